//! The status of a fleet as its lease table tells it: workers, pipelines, every shard's place, what was lost. Made of rows
//! that somebody read ([`read`]) and a moment of the reader's clock; it decides nothing and changes nothing.
//!
//! The table does not say everything, and the status does not guess: a shard's row is written when it has carried
//! something, so an idle shard that was read to its end looks like one that is behind. Times of changes therefore give
//! bounds: a shard lags *at most* so much, and nothing it has still to carry is trimmed for *at least* so long. Whether a
//! worker lives shows only where its counter was seen to move; no clocks of two machines are compared for that.

pub mod kept;
mod of_rows;
mod read;
mod shard;
mod text;

use serde::Serialize;

pub use of_rows::{PipelineRows, Rows};
pub use read::{ReadError, Reading};
pub use shard::{ShardStatus, Standing};

use crate::lease::order::Rewind;
use crate::lease::row::Gap;

/// Grows when a field of the JSON form goes or changes its meaning; new fields may come without it.
pub const SCHEMA_VERSION: u32 = 1;

/// What there is to know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    pub schema_version: u32,
    /// By the reader's clock, epoch milliseconds.
    pub read_at_ms: u64,
    pub lease_table: String,
    /// By id.
    pub workers: Vec<WorkerStatus>,
    /// Session rows that do not read.
    pub unreadable_workers: Vec<String>,
    pub pipelines: Vec<PipelineStatus>,
    /// Pipelines that workers serve and that are not shown.
    pub other_pipelines: Vec<String>,
}

/// A worker, by its session row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerStatus {
    pub id: String,
    #[serde(flatten)]
    pub heartbeat: Heartbeat,
    pub host: String,
    pub version: String,
    /// By the worker's clock, epoch milliseconds.
    pub started_at_ms: u64,
    /// It hands its leases over and ends.
    pub draining: bool,
    /// As its last heartbeat told.
    pub leases: u64,
    pub pipelines: Vec<String>,
}

/// What was seen of a worker's heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "heartbeat", rename_all = "snake_case")]
pub enum Heartbeat {
    /// It moved while it was watched.
    Moving,
    /// It stood still for as long as it was watched, by the watcher's clock.
    Still { still_for_ms: u64 },
    /// Seen once: nothing can be said.
    NotWatched,
}

/// One pipeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelineStatus {
    pub name: String,
    /// `None`: no worker has ever run it.
    pub ends: Option<PipelineEnds>,
    pub streams: Vec<StreamStatus>,
    /// The worker that lists the streams' shards.
    pub discovery_owner: Option<String>,
    /// A rewind's order that is not carried out yet.
    pub rewind: Option<RewindStatus>,
    /// Changes that may be missing between two streams of the table.
    pub gaps: Vec<Gap>,
    /// Unfinished shards: parents before their children, streams in order.
    pub shards: Vec<ShardStatus>,
    pub finished: Vec<FinishedStatus>,
    pub counts: Counts,
    /// Rows that do not read, and why.
    pub unreadable_rows: Vec<String>,
}

/// Between what a pipeline runs, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PipelineEnds {
    pub table_arn: String,
    pub sink_arn: String,
    pub partition_key: String,
}

/// A stream of the pipeline's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    pub label: String,
    /// Every shard of it is finished and a newer stream exists.
    pub drained: bool,
}

/// An order to go back that stands in the stream row: while it does, nobody takes a lease of the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RewindStatus {
    #[serde(flatten)]
    pub stored: Rewind,
    /// A `rewind` has a session: it is being carried out, unless that session stands still.
    pub is_under_way: bool,
}

/// A shard of which nothing more is to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FinishedStatus {
    pub stream: String,
    pub shard: String,
    pub parents: Vec<String>,
    pub checkpoint: Option<String>,
    pub finished_at_ms: u64,
    pub gaps: Vec<Gap>,
}

/// A pipeline in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Owned, and not waiting or halted.
    pub reading: usize,
    /// Behind a parent or an earlier stream.
    pub waiting: usize,
    /// Ready, and nobody's yet.
    pub free: usize,
    pub halted: usize,
    /// Held still by a `rewind`.
    pub frozen: usize,
    /// Known still: rows of finished shards are dropped after 48 hours.
    pub finished: usize,
    /// Places at which changes may be missing.
    pub gaps: usize,
    /// The largest of the shards'.
    pub lag_at_most_ms: Option<u64>,
    /// The smallest of the shards'.
    pub trim_at_least_ms: Option<u64>,
}
