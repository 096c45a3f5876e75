//! A change as a pattern sees it: the record that `dynamodb_json` would write of it, member by member, on demand.

use std::borrow::Cow;

use super::{Field, Found, Node, Object};
use crate::record::dynamodb_json::{event_name, put_identity};
use crate::record::envelope::Source;
use crate::stream::json::Json;
use crate::stream::page::StreamRecord;

/// One change, and the stream it comes from.
pub(super) struct Event<'r> {
    pub record: &'r StreamRecord<'r>,
    pub source: &'r Source,
}

impl Event<'_> {
    /// Looks for a whole pattern.
    pub(super) fn find(&self, pattern: &Object) -> Found {
        pattern.rule.find(&mut |index| {
            let field = &pattern.fields[index];
            match (&*field.name, &field.node) {
                ("dynamodb", Node::Object(object)) => self.find_in_change(object),
                _ => find_in(field, self.member(&field.name)),
            }
        })
    }

    fn find_in_change(&self, object: &Object) -> Found {
        object.rule.find(&mut |index| {
            let field = &object.fields[index];
            let record = self.record;
            let item = match &*field.name {
                "Keys" => Some(record.keys),
                "NewImage" => record.new_image,
                "OldImage" => record.old_image,
                name => return find_in(field, self.change_member(name)),
            };
            item.map_or(field.node.missing(), |item| field.node.find(item))
        })
    }

    /// A member's JSON text.
    fn member(&self, name: &str) -> Option<Cow<'_, str>> {
        let (record, source) = (self.record, self.source);
        Some(Cow::Borrowed(match name {
            "awsRegion" => record.aws_region.map_or(source.region.as_str(), |region| region.as_json()),
            "eventID" => record.event_id.as_json(),
            "eventName" => event_name(record.event_name),
            "userIdentity" => {
                let mut identity = Vec::new();
                put_identity(&mut identity, record.user_identity);
                return String::from_utf8(identity).ok().map(Cow::Owned);
            }
            "recordFormat" => r#""application/json""#,
            "tableName" => &source.table,
            "eventSource" => record.event_source.map_or(r#""aws:dynamodb""#, |source| source.as_json()),
            "eventSourceARN" => &source.arn,
            _ => return None,
        }))
    }

    /// A member of `dynamodb` that is no item, as JSON text.
    fn change_member(&self, name: &str) -> Option<Cow<'_, str>> {
        let record = self.record;
        match name {
            "ApproximateCreationDateTime" => Some(Cow::Owned(record.created_at_ms.to_string())),
            "ApproximateCreationDateTimePrecision" => Some(Cow::Borrowed(r#""MILLISECOND""#)),
            "SizeBytes" => record.size_bytes.map(|bytes| Cow::Owned(bytes.to_string())),
            "SequenceNumber" => Some(Cow::Owned(format!("\"{}\"", record.sequence_number.as_str()))),
            "StreamViewType" => record.stream_view_type.map(|view_type| Cow::Borrowed(view_type.as_json())),
            _ => None,
        }
    }
}

fn find_in(field: &Field, json: Option<Cow<'_, str>>) -> Found {
    let raw = json.as_deref().and_then(|json| serde_json::from_str::<Json<'_>>(json).ok());
    raw.map_or(field.node.missing(), |raw| field.node.find(raw))
}
