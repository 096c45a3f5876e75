//! The settings: what a valid configuration says, as types. Plain data; the limits that hold for each field are
//! checked where it is read (`read`, `pipeline`), so a value of these types made by [`Config::load`] keeps them.

use crate::delivery::aggregate::Packing;
use crate::record::envelope::{Format, Oversize};
use crate::record::key::PartitionKeyMode;
use crate::record::selection::Selection;
use std::net::SocketAddr;
use std::time::Duration;

use super::arn::{self, StreamName};

/// A whole, validated configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub worker: Worker,
    pub lease_table: LeaseTable,
    pub http: Http,
    pub metrics: Metrics,
    pub log: Log,
    /// At least one; their names differ.
    pub pipelines: Vec<Pipeline>,
}

/// `[worker]`: this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// This worker's name in the lease table.
    pub id: String,
    /// The id was made up (host name and random suffix), so no earlier run can have used it.
    pub id_is_default: bool,
    /// How long a drain may take after SIGTERM or SIGINT.
    pub shutdown_timeout: Duration,
    /// Limit on buffered changes, for the whole process, in bytes.
    pub memory_limit_bytes: u64,
}

/// `[lease_table]`: where checkpoints and ownership are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseTable {
    /// The DynamoDB table's name.
    pub name: String,
    /// Create the table on first start when it is missing.
    pub create: bool,
    /// Time between two writes of this worker's session row.
    pub heartbeat_interval: Duration,
    /// A session row that stands still this long is dead. More than three heartbeats.
    pub failover_time: Duration,
    /// Time between two checkpoints of a shard.
    pub checkpoint_interval: Duration,
    pub connection: Connection,
}

/// `[http]`: metrics and health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Address to listen on; none turns HTTP off.
    pub listen: Option<SocketAddr>,
}

/// `[metrics]`: the figures in other forms than on `[http] listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Write them to standard output in CloudWatch's embedded metric format, once a minute.
    pub emf: bool,
    /// The CloudWatch namespace that they get.
    pub namespace: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { emf: false, namespace: "ddb-kinesis-bridge".to_owned() }
    }
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A level, or comma-separated `target=level` directives; checked, see [`crate::ops::logging`].
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text when standard error is a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `[[pipeline]]`: one table's changes into one Kinesis stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// Names the pipeline's rows in the lease table, and its metrics.
    pub name: String,
    pub source: Source,
    pub sink: Sink,
    pub record: Record,
}

/// `[pipeline.source]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub of: SourceOf,
    pub start: Start,
    pub on_gap: OnGap,
    /// Wait after a page with records that was not full; at least 200 ms.
    pub poll_interval_min: Duration,
    /// Longest wait of an idle shard.
    pub poll_interval_max: Duration,
    pub connection: Connection,
}

/// What a pipeline reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceOf {
    /// A table, by name or ARN: its streams, one after another.
    Table(String),
    /// One stream, and no later one.
    StreamArn(String),
}

impl SourceOf {
    /// The table's name, also where the configuration gives an ARN.
    pub fn table_name(&self) -> &str {
        match self {
            Self::Table(text) | Self::StreamArn(text) => arn::table_name(text),
        }
    }

    /// The account that the ARN names, if it is an ARN.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Table(text) | Self::StreamArn(text) => arn::account(text),
        }
    }

    /// The Region that the ARN names, if it is an ARN.
    pub fn region(&self) -> Option<&str> {
        match self {
            Self::Table(text) | Self::StreamArn(text) => arn::region(text),
        }
    }
}

/// Where a pipeline starts that has no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest change that the stream still holds.
    TrimHorizon,
    /// Changes made from now on.
    Latest,
}

/// What to do where the stream's retention has passed a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// Note the gap and go on from the oldest change.
    Continue,
    /// Stop that shard.
    Halt,
}

/// `[pipeline.sink]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    pub stream: StreamName,
    /// PutRecords calls at a time (PutRecord calls, where order is strict), 1 to 256.
    pub max_in_flight: usize,
    /// How long a batch that is not full may wait for more; may be zero.
    pub linger: Duration,
    pub ordering: Ordering,
    pub aggregation: Aggregation,
    pub oversize: Oversize,
    pub connection: Connection,
}

/// How order is kept in Kinesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// One unacknowledged record a lane.
    Acknowledged,
    /// PutRecord with SequenceNumberForOrdering.
    Strict,
}

/// How changes are packed into Kinesis records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// One change a record.
    None,
    /// Several changes of one key a record, in the KPL's format; 1 KB to 10 MiB.
    Kpl { limit_bytes: usize },
}

impl Aggregation {
    pub fn packing(self) -> Packing {
        match self {
            Self::None => Packing::NONE,
            Self::Kpl { limit_bytes } => Packing::up_to(limit_bytes),
        }
    }
}

/// `[pipeline.record]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    pub format: Format,
    pub partition_key: PartitionKeyMode,
    /// Which changes are carried, and what of each.
    pub selection: Selection,
}

/// How to reach one AWS service. What is absent follows the SDK's own configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// The Region; taken from the table's or stream's ARN where that is given and `region` is not.
    pub region: Option<String>,
    /// An `http` or `https` URL.
    pub endpoint_url: Option<String>,
    /// The IAM role to assume.
    pub role_arn: Option<String>,
    /// Sent with `role_arn`, never without it.
    pub external_id: Option<String>,
}
