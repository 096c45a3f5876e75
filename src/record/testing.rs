//! What the tests of this module share: records made from a page's text.

use crate::stream::arn::StreamArn;
use crate::stream::page::{Page, StreamRecord};

use super::envelope::{Encoded, Encoder, EncoderOptions, Format, Oversize};
use super::key::{KeySchema, PartitionKeyMode};
use super::selection::Selection;

pub(super) const STREAM: &str =
    "arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2024-01-02T03:04:05.678";

/// The parts of a change that the tests vary; each is JSON.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) event: &'static str,
    pub(super) keys: String,
    pub(super) new: Option<String>,
    pub(super) old: Option<String>,
    pub(super) identity: &'static str,
    pub(super) view_type: &'static str,
}

impl Change {
    pub(super) fn new(event: &'static str, view_type: &'static str) -> Self {
        let keys = r#"{"id":{"S":"a"}}"#.to_owned();
        Self { event, keys, new: None, old: None, identity: "null", view_type }
    }

    pub(super) fn image_new(self, json: &str) -> Self {
        Self { new: Some(json.to_owned()), ..self }
    }

    pub(super) fn image_old(self, json: &str) -> Self {
        Self { old: Some(json.to_owned()), ..self }
    }

    /// Hands the change to `test` as a record of a parsed page.
    pub(super) fn record<T>(&self, test: impl FnOnce(&StreamRecord<'_>) -> T) -> T {
        let Self { event, keys, new, old, identity, view_type } = self;
        let image = |name: &str, json: &Option<String>| {
            json.as_ref().map_or(String::new(), |json| format!(r#","{name}":{json}"#))
        };
        let body = format!(
            r#"{{"Records":[{{"awsRegion":"eu-west-1","eventID":"0a1b","eventName":"{event}","userIdentity":{identity},
            "eventSource":"aws:dynamodb","dynamodb":{{"ApproximateCreationDateTime":1.75E9,"Keys":{keys}{}{},
            "SequenceNumber":"000300000000000000499659","SizeBytes":26,"StreamViewType":"{view_type}"}}}}]}}"#,
            image("NewImage", new),
            image("OldImage", old),
        );
        let page = Page::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{body}"));
        test(&page.records[0])
    }
}

/// An encoder's options for the table `orders` with the key `id`, and no limit.
pub(super) fn options(format: Format) -> EncoderOptions {
    EncoderOptions {
        format,
        key_mode: PartitionKeyMode::PartitionKey,
        key_schema: KeySchema { partition_key: "id".to_owned(), sort_key: None },
        stream: StreamArn::parse(STREAM).expect("a stream ARN"),
        limit_bytes: usize::MAX,
        oversize: Oversize::DropImages,
        selection: Selection::default(),
    }
}

/// Encodes a change that must encode.
pub(super) fn encode(options: &EncoderOptions, change: &Change) -> Encoded {
    let encoder = Encoder::new(options.clone());
    let encoded = change.record(|record| encoder.encode(record, &mut Vec::new()));
    encoded.unwrap_or_else(|error| panic!("{error}")).expect("it is carried")
}

/// The payload's text, of a change that must encode.
pub(super) fn payload(format: Format, change: &Change) -> String {
    String::from_utf8(encode(&options(format), change).entry.data().to_vec()).expect("JSON is UTF-8")
}
