//! PutRecords' bodies: a request written once, in base64 straight from the payloads, and an answer read in place. The
//! SDK's own way costs a copy of each payload and a dozen allocations a record.
//!
//! Source: <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>

use std::sync::Arc;

use base64_simd::STANDARD;
use bytes::Bytes;

use super::error::unusable;
use super::error_codes::kind_of_code;
use super::spoken;
use crate::config::StreamName;
use crate::delivery::sink::{EntryError, Placement, PutEntry};
use crate::error::{ApiError, ErrorKind};
use crate::stream::SequenceNumber;
use crate::stream::cursor::{Broken, Cursor};
use crate::stream::json_str::JsonStr;

pub(super) const PUT_RECORDS: &str = "PutRecords";

/// The request's body. A stream is named by its ARN where the configuration has it, as the SDK's input is.
pub(super) fn request(stream: &StreamName, entries: &[PutEntry]) -> Bytes {
    const AROUND: usize = 64;
    let size = |entry: &PutEntry| entry.data().len().div_ceil(3) * 4 + entry.partition_key().len() + AROUND;
    let mut body = Vec::with_capacity(entries.iter().map(size).sum::<usize>() + 4 * AROUND);
    let mut separator: &[u8] = br#"{"Records":["#;
    for entry in entries {
        body.extend_from_slice(separator);
        body.extend_from_slice(br#"{"Data":""#);
        STANDARD.encode_append(entry.data(), &mut body);
        body.extend_from_slice(br#"","PartitionKey":"#);
        put_string(&mut body, entry.partition_key());
        body.push(b'}');
        separator = b",";
    }
    let (member, name): (&[u8], _) = match stream.arn() {
        Some(arn) => (br#"],"StreamARN":"#, arn),
        None => (br#"],"StreamName":"#, stream.name()),
    };
    body.extend_from_slice(member);
    put_string(&mut body, name);
    body.push(b'}');
    body.into()
}

fn put_string(body: &mut Vec<u8>, text: &str) {
    // Writing to a Vec never fails, nor does a string's serialization.
    let _ = serde_json::to_writer(body, text);
}

/// An entry's members, as far as they are there and not null.
#[derive(Default)]
struct Entry<'a> {
    shard_id: Option<JsonStr<'a>>,
    sequence_number: Option<JsonStr<'a>>,
    error_code: Option<JsonStr<'a>>,
    error_message: Option<JsonStr<'a>>,
}

type Results = Vec<Result<Placement, EntryError>>;

/// What became of each entry, judged by its own ErrorCode.
pub(super) fn results(body: &[u8], entries: usize) -> Result<Results, ApiError> {
    let mut cursor = Cursor::new(body);
    let results = answer(&mut cursor, entries).ok().filter(|_| cursor.end().is_ok()).flatten();
    let results = results.ok_or_else(|| unusable(PUT_RECORDS, "no list of Records"))?;
    if results.len() != entries {
        let told = format!("{} results for {entries} records", results.len());
        return Err(unusable(PUT_RECORDS, told));
    }
    Ok(results)
}

/// `None` without Records.
fn answer(cursor: &mut Cursor<'_>, entries: usize) -> Result<Option<Results>, Broken> {
    let mut results = None;
    let mut goes_on = cursor.opens(b'{')?;
    while goes_on {
        match cursor.name()? {
            "Records" => results = Some(records(cursor, entries)?),
            _ => cursor.skip()?,
        }
        goes_on = cursor.goes_on(b'}')?;
    }
    Ok(results)
}

fn records(cursor: &mut Cursor<'_>, entries: usize) -> Result<Results, Broken> {
    let mut shard_ids = ShardIds::default();
    let mut results = Vec::with_capacity(entries);
    let mut goes_on = cursor.opens(b'[')?;
    while goes_on {
        results.push(result(entry(cursor)?, &mut shard_ids));
        goes_on = cursor.goes_on(b']')?;
    }
    Ok(results)
}

fn entry<'a>(cursor: &mut Cursor<'a>) -> Result<Entry<'a>, Broken> {
    let mut entry = Entry::default();
    let mut goes_on = cursor.opens(b'{')?;
    while goes_on {
        match cursor.name()? {
            "ShardId" => entry.shard_id = string(cursor)?,
            "SequenceNumber" => entry.sequence_number = string(cursor)?,
            "ErrorCode" => entry.error_code = string(cursor)?,
            "ErrorMessage" => entry.error_message = string(cursor)?,
            _ => cursor.skip()?,
        }
        goes_on = cursor.goes_on(b'}')?;
    }
    Ok(entry)
}

fn string<'a>(cursor: &mut Cursor<'a>) -> Result<Option<JsonStr<'a>>, Broken> {
    let value = cursor.value()?;
    match JsonStr::of(value) {
        None if value.get() != "null" => Err(Broken::NotJson),
        string => Ok(string),
    }
}

fn result(entry: Entry<'_>, shard_ids: &mut ShardIds) -> Result<Placement, EntryError> {
    if let Some(code) = entry.error_code {
        let code = code.decode().unwrap_or_default();
        let kind = kind_of_code(&code).unwrap_or(ErrorKind::Transient);
        let message = entry.error_message.and_then(JsonStr::decode).unwrap_or_default();
        let (code, message) = (spoken::code(&code), spoken::message(PUT_RECORDS, kind, &message));
        return Err(EntryError { kind, code, message });
    }
    placement(entry, shard_ids).ok_or_else(|| EntryError {
        kind: ErrorKind::Transient,
        code: "UnusableAnswer".to_owned(),
        message: "neither an ErrorCode nor a ShardId with a SequenceNumber".to_owned(),
    })
}

fn placement(entry: Entry<'_>, shard_ids: &mut ShardIds) -> Option<Placement> {
    let shard_id = shard_ids.shared(&entry.shard_id?.decode()?);
    let sequence_number = SequenceNumber::parse(&entry.sequence_number?.decode()?).ok()?;
    Some(Placement { shard_id, sequence_number })
}

/// The shard ids of one answer: few, each in many entries.
#[derive(Default)]
struct ShardIds(Vec<Arc<str>>);

impl ShardIds {
    fn shared(&mut self, id: &str) -> Arc<str> {
        match self.0.binary_search_by(|known| (**known).cmp(id)) {
            Ok(at) => Arc::clone(&self.0[at]),
            Err(at) => {
                self.0.insert(at, Arc::from(id));
                Arc::clone(&self.0[at])
            }
        }
    }
}

#[cfg(test)]
#[path = "put_records_tests.rs"]
mod tests;
