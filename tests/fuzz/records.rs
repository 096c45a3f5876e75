//! Records made by the encoder from the pages of the other targets: what the envelope targets judge.

use ddb_kinesis_bridge::record::envelope::{EncodeError, Encoded, Encoder, EncoderOptions, Format, Oversize};
use ddb_kinesis_bridge::record::key::{KeySchema, PartitionKeyMode};
use ddb_kinesis_bridge::record::selection::Selection;
use ddb_kinesis_bridge::stream::arn::StreamArn;
use ddb_kinesis_bridge::stream::page::Page;
use proptest::prelude::*;

use crate::facts::{Facts, of_text};
use crate::items::{PARTITION_KEY, SORT_KEY};
use crate::pages::Input;
use crate::referee::{Json, decode};

/// A stream whose names need escapes, as an emulator's may.
pub const REGION: &str = "re\"gion";
pub const TABLE: &str = "ta\\bleü";
pub const ARN: &str = "arn:aws:dynamodb:re\"gion:1:table/ta\\bleü/stream/2024-01-02T03:04:05.678";

/// An encoder's options without a limit.
pub fn options(format: Format) -> EncoderOptions {
    EncoderOptions {
        format,
        key_mode: PartitionKeyMode::ItemKey,
        key_schema: schema(),
        stream: StreamArn::parse(ARN).expect("a stream's ARN"),
        limit_bytes: usize::MAX,
        oversize: Oversize::DropImages,
        selection: Selection::default(),
    }
}

pub fn schema() -> KeySchema {
    KeySchema { partition_key: PARTITION_KEY.to_owned(), sort_key: Some(SORT_KEY.to_owned()) }
}

/// Hands `judge` each record of a page that parses: what the referee says of it, and what became of it.
pub fn each(
    input: &Input,
    options: &EncoderOptions,
    judge: impl Fn(&Facts, Result<Encoded, EncodeError>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    each_chosen(input, options, |facts, encoded| {
        judge(facts, encoded.map(|encoded| encoded.expect("nothing is left out")))
    })
}

/// The same, where a selection may leave a record out.
pub fn each_chosen(
    input: &Input,
    options: &EncoderOptions,
    judge: impl Fn(&Facts, Result<Option<Encoded>, EncodeError>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let body = String::from_utf8_lossy(input.bytes());
    // Where the parser and the referee differ, the target `page` says so.
    let (Ok(page), Ok(says)) = (Page::parse(input.bytes()), of_text(&body)) else { return Ok(()) };
    let encoder = Encoder::new(options.clone());
    for (record, facts) in page.records.iter().zip(&says.records) {
        let encoded = encoder.encode(record, &mut Vec::new());
        prop_assert_eq!(&encoded, &encoder.encode(record, &mut Vec::new()), "a redelivery differs");
        judge(facts, encoded)?;
    }
    Ok(())
}

/// The names of an object's members, in their order.
pub fn names(object: &Json<'_>) -> Vec<String> {
    object.members().unwrap_or_default().iter().map(|(name, _)| decode(name).unwrap_or_default()).collect()
}

/// A member's text as it stands.
pub fn raw<'a>(object: &Json<'a>, name: &str) -> Option<&'a str> {
    object.get(name).map(|value| value.raw)
}

/// Whether a member is a string that means `text`.
pub fn means(object: &Json<'_>, name: &str, text: &str) -> bool {
    object.get(name).and_then(Json::text).is_some_and(|found| found == text)
}
