//! The source port: the four calls of the DynamoDB Streams API that the worker makes, one request each. Paging, pacing,
//! retries and every decision belong to the callers.
//!
//! Source: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html>

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::arn::StreamArn;
use super::sequence::SequenceNumber;
use crate::error::ApiError;
use crate::record::key::KeySchema;

/// A stream shard's id, `shardId-<epoch ms>-<hex>` on AWS; emulators write other forms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(Arc<str>);

impl ShardId {
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        ShardId(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the shard was opened, epoch milliseconds, where its id tells.
    pub fn created_ms(&self) -> Option<u64> {
        self.0.strip_prefix("shardId-")?.split('-').next().filter(|digits| digits.len() >= 13)?.parse().ok()
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A page of ListStreams.
#[derive(Debug, Clone, Default)]
pub struct StreamsPage {
    pub streams: Vec<StreamArn>,
    /// Where the next page starts; `None` on the last.
    pub last_evaluated: Option<String>,
}

/// A stream's life: whether it still takes changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStatus {
    Enabling,
    Enabled,
    Disabling,
    Disabled,
}

/// A shard as DescribeStream lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedShard {
    pub id: ShardId,
    pub parent: Option<ShardId>,
    pub starting: Option<SequenceNumber>,
    /// Set once the shard is closed. One emulator sets it on open shards too, so it never ends a shard by itself.
    pub ending: Option<SequenceNumber>,
}

/// A page of DescribeStream.
#[derive(Debug, Clone)]
pub struct StreamPage {
    pub status: StreamStatus,
    pub key_schema: KeySchema,
    pub shards: Vec<ListedShard>,
    /// Where the next page starts; `None` on the last.
    pub last_evaluated: Option<ShardId>,
    /// The service's clock (its `Date` header), epoch milliseconds.
    pub served_at_ms: Option<u64>,
}

/// Which shards a DescribeStream call lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListShards {
    /// All, from the beginning or after a shard.
    All { after: Option<ShardId> },
    /// The children of one shard. Emulators mostly ignore this filter, so the caller checks each answer's parent.
    ChildrenOf(ShardId),
}

/// Where an iterator starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IteratorPosition {
    /// The oldest record still kept.
    TrimHorizon,
    /// Just after the newest record.
    Latest,
    /// Right after this record.
    After(SequenceNumber),
}

/// A shard iterator, good for 15 minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardIterator {
    pub token: String,
    /// The service's clock when it was given, epoch milliseconds.
    pub served_at_ms: Option<u64>,
}

/// The port to one pipeline's source.
#[async_trait]
pub trait StreamSource: Send + Sync + 'static {
    /// One page of the table's streams, disabled ones included while they are readable.
    async fn list_streams(&self, table: &str, after: Option<&str>) -> Result<StreamsPage, ApiError>;

    /// One page of a stream's shards.
    async fn describe_stream(&self, stream: &StreamArn, list: &ListShards) -> Result<StreamPage, ApiError>;

    /// An iterator at a position of a shard.
    async fn get_shard_iterator(
        &self,
        stream: &StreamArn,
        shard: &ShardId,
        position: &IteratorPosition,
    ) -> Result<ShardIterator, ApiError>;

    /// The raw body of one GetRecords answer (at most 1,000 records or 1 MB); [`super::page`] reads it.
    async fn get_records(&self, iterator: &str) -> Result<Bytes, ApiError>;
}
