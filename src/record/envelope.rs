//! From a change to a Kinesis record: partition key, payload, and what to do when it is too large.
//!
//! An [`Encoder`] is made once for a stream and encodes its changes one by one. With the same options
//! the same change gives the same bytes: a redelivery is byte for byte the first delivery.

use crate::delivery::sink::PutEntry;
use crate::stream::arn::StreamArn;
use crate::stream::json_str::JsonStr;
use crate::stream::page::StreamRecord;

use super::contradiction::{Contradiction, contradictions};
use super::key::{KeyError, KeySchema, PartitionKeyMode};
use super::plain::ItemError;
use super::selection::Selection;
use super::truncated::Truncated;
use super::{dynamodb_json, json};

/// How a payload is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// What Kinesis Data Streams for DynamoDB writes, and more.
    #[default]
    DynamodbJson,
    /// Plain values.
    Json,
}

/// What happens to a change that is too large for the target stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Oversize {
    /// It goes without its old image, or without both, and says so.
    #[default]
    DropImages,
    /// It is an error: its shard stops.
    Halt,
}

/// What an [`Encoder`] is told.
#[derive(Clone, Debug)]
pub struct EncoderOptions {
    /// How payloads are written.
    pub format: Format,
    /// What the partition key is made of.
    pub key_mode: PartitionKeyMode,
    /// The table's key attributes.
    pub key_schema: KeySchema,
    /// The stream the changes come from.
    pub stream: StreamArn,
    /// The most that payload and partition key may have together, in bytes.
    pub limit_bytes: usize,
    /// What happens beyond that.
    pub oversize: Oversize,
    /// Which changes are encoded, and what of each.
    pub selection: Selection,
}

/// Turns the changes of one stream into Kinesis records.
#[derive(Clone, Debug)]
pub struct Encoder {
    options: EncoderOptions,
    source: Source,
    replay: Option<ReplayMember>,
    /// There is something to choose: without it a change is not so much as looked at.
    is_choosy: bool,
}

/// The member that changes carried again get, and which changes those are.
#[derive(Clone, Debug)]
struct ReplayMember {
    json: String,
    /// Epoch milliseconds.
    until_ms: u64,
}

/// A change as it goes to Kinesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Its data is one JSON object, without a line end.
    pub entry: PutEntry,
    /// The images that did not fit.
    pub truncated: Truncated,
}

impl Encoder {
    /// An encoder for the stream in `options`.
    pub fn new(options: EncoderOptions) -> Self {
        let source = Source::new(&options.stream);
        let is_choosy = !options.selection.is_everything();
        Self { options, source, replay: None, is_choosy }
    }

    /// The same, with `"replay":"<mark>"` in the records of changes made up to this moment (epoch milliseconds).
    pub fn marking(self, mark: &str, until_ms: u64) -> Self {
        let json = format!(r#","replay":{}"#, serde_json::Value::from(mark));
        Self { replay: Some(ReplayMember { json, until_ms }), ..self }
    }

    /// From now on payload and partition key may have so many bytes together.
    pub fn limit_to(&mut self, limit_bytes: usize) {
        self.options.limit_bytes = limit_bytes;
    }

    pub fn limit_bytes(&self) -> usize {
        self.options.limit_bytes
    }

    /// What the selection asks for and this change's stream does not have.
    pub fn asked_in_vain(&self, record: &StreamRecord<'_>) -> Vec<Contradiction> {
        let EncoderOptions { selection, key_schema, .. } = &self.options;
        let view_type = record.stream_view_type.and_then(JsonStr::decode).unwrap_or_default();
        if self.is_choosy { contradictions(selection, &view_type, key_schema) } else { Vec::new() }
    }

    /// Encodes one change; `None` when the selection leaves it out. Key and payload are written into `draft` first and copied
    /// when their size is known: buffered, they take no more than is counted for them.
    ///
    /// A record beyond the limit loses its old image; if it is still beyond the limit (or had no old image), its
    /// new one. With [`Oversize::Halt`] it is [`EncodeError::TooLarge`] at once. An image that the selection leaves out was
    /// never there.
    pub fn encode(
        &self,
        record: &StreamRecord<'_>,
        draft: &mut Vec<u8>,
    ) -> Result<Option<Encoded>, EncodeError> {
        if !self.is_choosy {
            return self.encode_whole(record, draft).map(Some);
        }
        let EncoderOptions { selection, key_schema, .. } = &self.options;
        if !selection.takes(record, &self.source, key_schema) {
            return Ok(None);
        }
        let shaped = selection.shape(record, key_schema);
        self.encode_whole(&shaped.record(record), draft).map(Some)
    }

    fn encode_whole(&self, record: &StreamRecord<'_>, draft: &mut Vec<u8>) -> Result<Encoded, EncodeError> {
        let partition_key = self.options.key_schema.kinesis_key(self.options.key_mode, record.keys)?;
        draft.clear();
        put(draft, &partition_key);
        let truncated = self.fit(draft, record)?;
        Ok(Encoded { entry: PutEntry::of_parts(draft, partition_key.len()), truncated })
    }

    /// Writes the payload behind the key, without images where it does not fit otherwise.
    fn fit(&self, draft: &mut Vec<u8>, record: &StreamRecord<'_>) -> Result<Truncated, EncodeError> {
        let key_bytes = draft.len();
        let mut truncated = Truncated::NONE;
        loop {
            draft.truncate(key_bytes);
            self.write(draft, record, truncated)?;
            let size_bytes = draft.len();
            if size_bytes <= self.options.limit_bytes {
                return Ok(truncated);
            }
            truncated = self
                .next_cut(record, truncated)
                .ok_or(EncodeError::TooLarge { size_bytes, limit_bytes: self.options.limit_bytes })?;
        }
    }

    /// What to drop next from a record that is too large; `None` when nothing can or may be.
    fn next_cut(&self, record: &StreamRecord<'_>, truncated: Truncated) -> Option<Truncated> {
        match self.options.oversize {
            Oversize::Halt => None,
            Oversize::DropImages => {
                truncated.one_more(record.old_image.is_some(), record.new_image.is_some())
            }
        }
    }

    fn write(
        &self,
        data: &mut Vec<u8>,
        record: &StreamRecord<'_>,
        truncated: Truncated,
    ) -> Result<(), EncodeError> {
        match self.options.format {
            Format::DynamodbJson => dynamodb_json::write(data, record, &self.source, truncated),
            Format::Json => json::write(data, record, &self.source, truncated)
                .map_err(|json::FieldError { field, error }| EncodeError::NotAnItem { field, error })?,
        }
        if let Some(replay) = self.replay.as_ref().filter(|replay| record.created_at_ms <= replay.until_ms) {
            put(data, &replay.json);
        }
        truncated.write_member(data);
        put(data, "}");
        Ok(())
    }
}

/// Why a change could not be encoded. None of these shows an item's content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The partition key cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The `json` format could not make sense of the keys or of an image.
    #[error("{field} is not DynamoDB JSON: {error}; format = \"dynamodb_json\" would carry it as it is")]
    NotAnItem {
        /// `Keys`, `NewImage` or `OldImage`.
        field: &'static str,
        /// What is wrong with it.
        error: ItemError,
    },
    /// The record is beyond the limit and must not be cut, or cannot be cut further.
    #[error(
        "the record has {size_bytes} bytes with its partition key, the target stream takes {limit_bytes}: raise \
         the stream's MaxRecordSizeInKiB; oversize = \"drop_images\" sends a record without its images"
    )]
    TooLarge {
        /// Payload and partition key, in bytes, after all cuts that were allowed.
        size_bytes: usize,
        /// The limit, in bytes.
        limit_bytes: usize,
    },
}

/// What every payload says about where it comes from, already written as JSON strings.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) region: String,
    pub(super) table: String,
    pub(super) arn: String,
}

impl Source {
    pub(super) fn new(stream: &StreamArn) -> Self {
        let token = |text: &str| serde_json::Value::from(text).to_string();
        Self { region: token(&stream.region), table: token(&stream.table_name), arn: token(&stream.arn) }
    }
}

/// Appends JSON text.
pub(super) fn put(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

/// Appends a number.
pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    // serde_json writes integers without the formatting machinery; writing to a Vec cannot fail.
    let _ = serde_json::to_writer(out, &number);
}

#[cfg(test)]
mod tests;
