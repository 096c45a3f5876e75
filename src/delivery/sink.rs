//! The sink port: the calls that a pipeline makes to its Kinesis data stream, one request each.
//!
//! Sources: <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>,
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html>

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::error::{ApiError, ErrorKind};
use crate::stream::SequenceNumber;

/// A record on its way to Kinesis. Key and data stand behind each other in one allocation, and clones share it: as long as
/// a change waits, this is what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutEntry {
    bytes: Arc<[u8]>,
    key_bytes: usize,
}

impl PutEntry {
    /// A record of this partition key (1 to 256 characters).
    pub fn new(partition_key: &str, data: &[u8]) -> Self {
        PutEntry { bytes: [partition_key.as_bytes(), data].concat().into(), key_bytes: partition_key.len() }
    }

    /// The record whose partition key the first `key_bytes` are, and whose data the rest.
    pub(crate) fn of_parts(bytes: &[u8], key_bytes: usize) -> Self {
        PutEntry { bytes: bytes.into(), key_bytes }
    }

    pub fn partition_key(&self) -> &str {
        // It was made of text.
        std::str::from_utf8(&self.bytes[..self.key_bytes]).unwrap_or_default()
    }

    pub fn data(&self) -> &[u8] {
        &self.bytes[self.key_bytes..]
    }

    /// The bytes that Kinesis' limits count: data and partition key.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The record as logs and lease rows may name it: who holds the item can tell that it is this one, nobody can read it.
    pub fn described(&self) -> String {
        let hash = Sha256::digest(self.partition_key());
        let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{} bytes, the SHA-256 of its partition key begins with {hash}", self.size_bytes())
    }
}

/// Where Kinesis put an accepted record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The Kinesis shard.
    pub shard_id: Arc<str>,
    pub sequence_number: SequenceNumber,
}

/// An open shard of the target stream: it takes the keys whose MD5, read as a big-endian number, is in its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetShard {
    pub id: Arc<str>,
    pub first_hash: u128,
    /// The range holds it.
    pub last_hash: u128,
}

/// Why Kinesis did not accept one entry of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryError {
    pub kind: ErrorKind,
    /// `ProvisionedThroughputExceededException` or `InternalFailure`.
    pub code: String,
    pub message: String,
}

/// The target stream, as DescribeStreamSummary tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkDescription {
    pub arn: String,
    /// `CREATING`, `ACTIVE`, `UPDATING` or `DELETING`.
    pub status: String,
    /// The most bytes (data and partition key) of one record: MaxRecordSizeInKiB, 1 MiB where it is not told.
    pub max_record_bytes: usize,
}

/// The port to one pipeline's sink.
#[async_trait]
pub trait KinesisSink: Send + Sync + 'static {
    /// Writes at most 500 records. `Ok` holds one result an entry, in the entries' order, judged by each entry's own
    /// error code; `Err` means that the call as a whole failed. The call must end within `limit`.
    async fn put_records(
        &self,
        entries: &[PutEntry],
        limit: Duration,
    ) -> Result<Vec<Result<Placement, EntryError>>, ApiError>;

    /// Writes one record. With `after`, the SequenceNumberForOrdering, Kinesis gives it a higher number than that one. The
    /// call must end within `limit`.
    async fn put_record(
        &self,
        entry: &PutEntry,
        after: Option<&SequenceNumber>,
        limit: Duration,
    ) -> Result<Placement, ApiError>;

    /// All open shards of the stream. It must end within `limit`, however many requests it takes.
    async fn list_shards(&self, limit: Duration) -> Result<Vec<TargetShard>, ApiError>;

    /// The stream's state and limits.
    async fn describe(&self) -> Result<SinkDescription, ApiError>;
}
