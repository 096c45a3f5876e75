//! Reads what the bridge puts into Kinesis, in either of its formats, as a consumer would.
//!
//! Owns the one spelling of an item's key that histories are compared by, from DynamoDB JSON and from plain JSON
//! alike. The types of key attributes are the table's and need not be spelt.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::aggregate::unpacked;
use super::items::Item;
use super::judge::Delivered;
use super::kinesis::{KinesisStream, Stored};

/// The key of an item given by its key attributes in DynamoDB JSON.
pub fn item_key(keys: &Item) -> String {
    let scalars = keys.iter().map(|(name, value)| {
        let scalar =
            value.as_object().and_then(|typed| typed.values().next()).and_then(|value| value.as_str());
        (name.as_str(), scalar.unwrap_or_default())
    });
    spell(scalars)
}

/// Names sorted, each value with its length, so that no two keys are spelt alike.
fn spell<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let attributes: BTreeMap<&str, &str> = attributes.collect();
    let spelt = attributes.iter().map(|(name, value)| format!("{name}={}:{value}", value.len()));
    spelt.collect::<Vec<_>>().join(",")
}

/// Which of the two formats a stream is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    DynamoDbJson,
    Json,
}

#[derive(Deserialize)]
struct DynamoDbJson {
    dynamodb: Change,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "Keys")]
    keys: Item,
    #[serde(rename = "SequenceNumber")]
    sequence_number: String,
}

#[derive(Deserialize)]
struct Json<'a> {
    /// Kept as text: a number of 38 digits must not pass through a float.
    #[serde(borrow)]
    keys: BTreeMap<String, &'a RawValue>,
    sequence_number: String,
}

/// Reads one payload. The error says why it is none.
pub fn read(format: Format, data: &[u8]) -> Result<Delivered, String> {
    let failed = |error: serde_json::Error| {
        format!("{error} in the {format:?} payload {:?}", String::from_utf8_lossy(data))
    };
    match format {
        Format::DynamoDbJson => {
            let payload: DynamoDbJson = serde_json::from_slice(data).map_err(failed)?;
            let Change { keys, sequence_number } = payload.dynamodb;
            Ok(Delivered { item_key: item_key(&keys), sequence_number })
        }
        Format::Json => {
            let payload: Json<'_> = serde_json::from_slice(data).map_err(failed)?;
            let mut plain = BTreeMap::new();
            for (name, raw) in &payload.keys {
                let text = match raw.get() {
                    quoted if quoted.starts_with('"') => serde_json::from_str(quoted).map_err(failed)?,
                    number => number.to_owned(),
                };
                plain.insert(name.as_str(), text);
            }
            let item_key = spell(plain.iter().map(|(name, value)| (*name, value.as_str())));
            Ok(Delivered { item_key, sequence_number: payload.sequence_number })
        }
    }
}

/// The payloads that a record carries, in order. Panics on an aggregate that cannot be taken apart.
pub fn payloads(stored: &Stored) -> Vec<&[u8]> {
    let Stored { partition_key, data, .. } = stored;
    unpacked(partition_key, data).unwrap_or_else(|error| panic!("a record of {partition_key}: {error}"))
}

/// Everything a Kinesis stream holds, in order of arrival. Panics on a payload that is none.
pub fn delivered(stream: &KinesisStream, format: Format) -> Vec<Delivered> {
    let read = |data: &[u8]| read(format, data).unwrap_or_else(|error| panic!("{}: {error}", stream.name));
    stream.stored.iter().flat_map(payloads).map(read).collect()
}
