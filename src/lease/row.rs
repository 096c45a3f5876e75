//! The rows of the lease table: what each holds and under which key. One table serves all pipelines of a fleet.
//!
//! | pk | sk | row |
//! | --- | --- | --- |
//! | `workers` | worker id | [`SessionRow`] |
//! | `pipeline#NAME` | `stream` | [`StreamRow`] |
//! | `pipeline#NAME` | `shard#LABEL#SHARD` | [`ShardRow`] |
//! | `pipeline#NAME` | `finished#LABEL#SHARD` | [`FinishedRow`] |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_dynamo::{AttributeValue, Item};

use super::order::{Replay, Rewind};
use super::table::RowKey;
use crate::stream::SequenceNumber;
use crate::stream::retention::RETENTION_MS;
use crate::stream::source::ShardId;

/// The partition of the session rows.
pub const WORKERS: &str = "workers";
/// The sort key of a pipeline's stream row.
pub const STREAM: &str = "stream";
/// What a shard row's sort key begins with.
pub const SHARD_PREFIX: &str = "shard#";
/// What a finished row's sort key begins with.
pub const FINISHED_PREFIX: &str = "finished#";

/// The partition of a pipeline's rows.
pub fn pipeline_pk(pipeline: &str) -> String {
    format!("pipeline#{pipeline}")
}

/// A shard within a pipeline: its stream's label and its id. Stream labels sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShardKey {
    pub label: String,
    pub shard: ShardId,
}

impl ShardKey {
    pub fn new(label: &str, shard: &ShardId) -> Self {
        ShardKey { label: label.to_owned(), shard: shard.clone() }
    }

    pub fn row_key(&self, pipeline: &str) -> RowKey {
        RowKey { pk: pipeline_pk(pipeline), sk: format!("{SHARD_PREFIX}{}#{}", self.label, self.shard) }
    }

    pub fn finished_key(&self, pipeline: &str) -> RowKey {
        RowKey { pk: pipeline_pk(pipeline), sk: format!("{FINISHED_PREFIX}{}#{}", self.label, self.shard) }
    }

    /// Reads a shard or finished row's sort key.
    pub fn from_sk(sk: &str) -> Option<Self> {
        let rest = sk.strip_prefix(SHARD_PREFIX).or_else(|| sk.strip_prefix(FINISHED_PREFIX))?;
        let (label, shard) = rest.split_once('#')?;
        Some(ShardKey { label: label.to_owned(), shard: ShardId::new(shard) })
    }
}

impl std::fmt::Display for ShardKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.label, self.shard)
    }
}

/// Who holds a lease: a worker's id and the incarnation of its session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    pub id: String,
    /// Random, new at each start.
    pub incarnation: String,
}

/// A worker's session; it lives while its counter moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    pub incarnation: String,
    /// Grows with every heartbeat.
    pub counter: u64,
    pub host: String,
    pub version: String,
    /// Epoch milliseconds.
    pub started_at_ms: u64,
    /// Shards owned.
    pub load: u64,
    /// The same by pipeline, for those who do not serve all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub loads: BTreeMap<String, u64>,
    pub pipelines: Vec<String>,
    pub draining: bool,
    /// How many pipelines' streams it lists: those who do share the calls for which there is a limit.
    #[serde(default)]
    pub discovers: u64,
    /// Grows when the worker leaves something for others to take, so that they look at the shard rows.
    pub ownership_version: u64,
}

/// What a pipeline is, and its streams in the order in which they are drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRow {
    pub table_arn: String,
    pub sink_arn: String,
    /// `partition_key` or `item_key`.
    pub partition_key: String,
    /// Oldest first; the first that is not drained is the one being read.
    pub streams: Vec<StreamEntry>,
    /// Whether the first listing has been stored whole; before that nothing is read.
    pub initialized: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery_owner: Option<Owner>,
    pub discovery_epoch: u64,
    pub revision: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// While it is there, no worker takes a lease of the pipeline or adds a row to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewind: Option<Rewind>,
}

/// A stream of the pipeline's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEntry {
    pub label: String,
    /// Every shard of it is finished and a newer stream exists.
    pub drained: bool,
}

impl StreamRow {
    /// Whether the shards of this stream may be read: every stream before it is drained.
    pub fn is_open(&self, label: &str) -> bool {
        let first_left = self.streams.iter().position(|stream| !stream.drained);
        let open = &self.streams[..first_left.map_or(self.streams.len(), |index| index + 1)];
        open.iter().any(|stream| stream.label == label)
    }
}

/// A lease: one unfinished shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// The owner was named by the one before it, or by the shard's parent's: it has not taken the lease yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub offered: bool,
    /// Grows with each change of owner.
    pub epoch: u64,
    /// Grows with every write, so that a delayed write of the owner's own cannot undo a later one (P4).
    pub revision: u64,
    /// The last change that is done with all before it; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<SequenceNumber>,
    #[serde(default)]
    pub parents: Vec<ShardId>,
    /// Whether every parent is known to be finished (P3).
    #[serde(default)]
    pub parents_finished: bool,
    pub state: ShardState,
    /// Why the shard is halted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted_because: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// When the checkpoint's change was made, epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change_at_ms: Option<u64>,
    /// `start = "latest"`: changes made before this moment (epoch milliseconds) are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_from_ms: Option<u64>,
    /// `start = "latest"`: the first change carried, stored before it is sent. A LATEST iterator cannot be had twice, and
    /// the moment is not as exact: without this, a restart could carry earlier changes after later ones (P2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_first: Option<SequenceNumber>,
    /// When the row was made, epoch milliseconds.
    pub discovered_at_ms: u64,
    /// Set by the last `rewind` that moved the checkpoint back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl ShardRow {
    /// The lease of a shard found just now (epoch milliseconds, by the service's clock): nobody has held it yet.
    pub fn fresh(parents: Vec<ShardId>, parents_finished: bool, discovered_at_ms: u64) -> Self {
        ShardRow {
            owner: None,
            incarnation: None,
            offered: false,
            epoch: 0,
            revision: 0,
            checkpoint: None,
            parents,
            parents_finished,
            state: ShardState::Active,
            halted_because: None,
            gaps: vec![],
            last_change_at_ms: None,
            latest_from_ms: None,
            latest_first: None,
            discovered_at_ms,
            replay: None,
        }
    }

    /// No change of the shard that is still to be carried is older than this (epoch milliseconds). Along a shard changes only
    /// get later: none behind the checkpoint is older than the checkpoint's, and none of the shard is older than the shard,
    /// nor than what the stream still held when the shard was found.
    pub fn position_at_ms(&self, shard: &ShardId) -> u64 {
        let oldest_held = self.discovered_at_ms.saturating_sub(RETENTION_MS);
        let opened = || shard.created_ms().unwrap_or(self.discovered_at_ms).max(oldest_held);
        self.last_change_at_ms.or(self.latest_from_ms).unwrap_or_else(opened)
    }

    pub fn owner(&self) -> Option<Owner> {
        Some(Owner { id: self.owner.clone()?, incarnation: self.incarnation.clone()? })
    }

    /// Names an owner who has still to take the lease.
    pub fn offer_to(&mut self, owner: &Owner) {
        (self.owner, self.incarnation) = (Some(owner.id.clone()), Some(owner.incarnation.clone()));
        self.offered = true;
    }
}

/// Whether a shard can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardState {
    Active,
    /// Stopped until an operator helps; tried again by whoever takes the lease next.
    Halted,
    /// Held still by a `rewind`: nobody takes it.
    Frozen,
}

/// Changes that may be missing (P7): from this position (or stream) to that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub reason: String,
    /// The last position known to be carried; `None`: the shard's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The first position carried after the gap; `None` while none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// When it was noticed, epoch milliseconds.
    pub noticed_at_ms: u64,
}

/// A shard of which nothing more is to come: the children may be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<SequenceNumber>,
    /// Epoch milliseconds.
    pub finished_at_ms: u64,
    #[serde(default)]
    pub parents: Vec<ShardId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// The lease's last epoch: a `rewind` that reads the shard again goes on from it, so that no write of the shard's
    /// first life can reach the row of its second (P4).
    #[serde(default)]
    pub epoch: u64,
}

/// A row that does not read as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("lease-table row {pk} / {sk} is not as written by this program: {cause}; restore it or delete it")]
pub struct BadRow {
    pub pk: String,
    pub sk: String,
    pub cause: String,
}

/// A row's sort key, as far as it has one.
pub fn sort_key(item: &Item) -> &str {
    match item.get("sk") {
        Some(AttributeValue::S(sk)) => sk,
        _ => "",
    }
}

/// Reads a row.
pub fn decode<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, BadRow> {
    let text = |name: &str| match item.get(name) {
        Some(AttributeValue::S(text)) => text.clone(),
        _ => String::new(),
    };
    serde_dynamo::from_item(item.clone()).map_err(|error| BadRow {
        pk: text("pk"),
        sk: text("sk"),
        cause: error.to_string(),
    })
}

/// A row's attributes, without its key.
pub fn encode<T: Serialize>(row: &T) -> Item {
    // These types hold only strings, numbers, flags and lists of them: nothing that DynamoDB lacks.
    serde_dynamo::to_item(row).unwrap_or_else(|error| unreachable!("a row that cannot be encoded: {error}"))
}

/// One attribute's value.
pub fn attribute<T: Serialize>(value: &T) -> AttributeValue {
    serde_dynamo::to_attribute_value(value)
        .unwrap_or_else(|error| unreachable!("an attribute that cannot be encoded: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_row_comes_back_as_it_was() {
        let row = ShardRow {
            owner: Some("a".into()),
            incarnation: Some("i".into()),
            offered: true,
            epoch: 3,
            revision: 9,
            checkpoint: SequenceNumber::parse("111000000000000000000000000000000000001").ok(),
            parents: vec![ShardId::new("shardId-1")],
            parents_finished: true,
            state: ShardState::Halted,
            halted_because: Some("retention".into()),
            gaps: vec![Gap { reason: "r".into(), from: None, to: Some("5".into()), noticed_at_ms: 4 }],
            last_change_at_ms: None,
            latest_from_ms: Some(7),
            latest_first: SequenceNumber::parse("6").ok(),
            discovered_at_ms: 8,
            replay: Some(Replay { mark: "m".parse().ok(), until_ms: 2, carried_until_ms: Some(1) }),
        };
        assert_eq!(decode::<ShardRow>(&encode(&row)), Ok(row));
    }

    #[test]
    fn nonsense_is_an_error_that_names_the_row() {
        let mut item = Item::default();
        item.insert("pk".into(), AttributeValue::S("pipeline#p".into()));
        item.insert("sk".into(), AttributeValue::S("shard#L#s".into()));
        item.insert("epoch".into(), AttributeValue::S("three".into()));
        let error = decode::<ShardRow>(&item).expect_err("nonsense");
        assert!(error.to_string().contains("pipeline#p / shard#L#s"), "{error}");
    }

    #[test]
    fn a_sort_key_names_its_shard() {
        let key = ShardKey::new("2024-01-01T00:00:00.000", &ShardId::new("shardId-000-abc"));
        assert_eq!(ShardKey::from_sk(&key.row_key("p").sk), Some(key.clone()));
        assert_eq!(ShardKey::from_sk(&key.finished_key("p").sk), Some(key));
        assert_eq!(ShardKey::from_sk("stream"), None);
    }

    /// Operators look rows up by these keys, and a later version must find them.
    #[test]
    fn a_shards_rows_have_the_documented_keys() {
        let key = ShardKey::new("L", &ShardId::new("s"));
        let expected = |sk: &str| RowKey { pk: "pipeline#orders".into(), sk: sk.into() };
        assert_eq!(key.row_key("orders"), expected("shard#L#s"));
        assert_eq!(key.finished_key("orders"), expected("finished#L#s"));
        assert_eq!(key.to_string(), "L#s");
    }
}
