//! What the tests of this module share: a lease table in memory, with DynamoDB's meaning, that can be told to misbehave,
//! and a machine whose only moving part is tokio's clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_dynamo::{AttributeValue, Item};

use super::row::{ShardKey, ShardRow, StreamEntry, StreamRow};
use super::table::{Clause, Effect, LeaseTable, RowKey, RowWrite, RowsPage};
use crate::error::{ApiError, ErrorKind};
use crate::machine::{BoxFuture, Machine, MonoTime, RealMachine, Task};
use crate::stream::source::ShardId;

/// Writes after which a test that goes round and round is ended.
const MOST_WRITES: u64 = 1_000;

pub(super) type Rows = BTreeMap<RowKey, Item>;

/// What becomes of the next call.
pub(super) enum Fault {
    /// Refused, without effect.
    Fail(ErrorKind),
    /// It takes effect and its answer is lost.
    LoseAnswer,
    /// Its answer comes late.
    Delay(Duration),
    /// It never comes to an end.
    Hang,
    /// Somebody changes the rows just before it.
    Before(Box<dyn FnOnce(&mut Rows) + Send>),
}

/// The rows, and what is to go wrong with writes.
#[derive(Default)]
pub(super) struct MemoryTable {
    pub(super) rows: Mutex<Rows>,
    /// One for each of the next writes; what is behind the last goes well.
    pub(super) faults: Mutex<VecDeque<Fault>>,
    writes: AtomicU64,
}

impl MemoryTable {
    /// How many writes were begun.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    pub(super) fn fault(&self, fault: Fault) {
        self.faults.lock().expect("not poisoned").push_back(fault);
    }

    /// The row, as far as there is one.
    pub(super) fn row(&self, key: &RowKey) -> Option<Item> {
        self.rows.lock().expect("not poisoned").get(key).cloned()
    }

    async fn change(&self, writes: &[RowWrite]) -> Result<Item, ApiError> {
        let count = self.writes.fetch_add(1, Ordering::Relaxed);
        assert!(count < MOST_WRITES, "writes without end");
        let fault = self.faults.lock().expect("not poisoned").pop_front();
        match fault {
            Some(Fault::Fail(kind)) => return Err(ApiError::new("Write", kind, "", "")),
            Some(Fault::LoseAnswer) => {
                self.apply(writes)?;
                return Err(ApiError::new("Write", ErrorKind::Transient, "", "the answer is lost"));
            }
            Some(Fault::Delay(delay)) => RealMachine::new().sleep(delay).await,
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Before(meddle)) => meddle(&mut self.rows.lock().expect("not poisoned")),
            None => {}
        }
        self.apply(writes)
    }

    fn apply(&self, writes: &[RowWrite]) -> Result<Item, ApiError> {
        let mut rows = self.rows.lock().expect("not poisoned");
        let holds =
            |write: &RowWrite| write.conditions.iter().all(|clause| holds(rows.get(&write.key), clause));
        if !writes.iter().all(holds) {
            return Err(ApiError::new("Write", ErrorKind::ConditionFailed, "", ""));
        }
        let mut last = Item::default();
        for RowWrite { key, effect, .. } in writes {
            match effect {
                Effect::Put(item) => {
                    assert_eq!((&item["pk"], &item["sk"]), (&text(&key.pk), &text(&key.sk)));
                    rows.insert(key.clone(), item.clone());
                }
                Effect::Delete => {
                    rows.remove(key);
                }
                Effect::Check => {}
                Effect::Update { set, remove } => {
                    let row = rows.entry(key.clone()).or_default();
                    for (name, value) in set {
                        row.insert((*name).into(), value.clone());
                    }
                    for name in remove {
                        row.remove(*name);
                    }
                }
            }
            last = rows.get(key).cloned().unwrap_or_default();
        }
        Ok(last)
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn holds(row: Option<&Item>, clause: &Clause) -> bool {
    let attribute = |name: &str| row.and_then(|row| row.get(name));
    match clause {
        Clause::RowAbsent => row.is_none(),
        Clause::RowPresent => row.is_some(),
        Clause::Equals(name, value) => attribute(name) == Some(value),
        Clause::Missing(name) => attribute(name).is_none(),
        Clause::Below(name, limit) => match attribute(name) {
            Some(AttributeValue::N(number)) => number.parse::<u64>().is_ok_and(|number| number < *limit),
            _ => false,
        },
    }
}

#[async_trait]
impl LeaseTable for MemoryTable {
    async fn restore(&self) -> Result<(), ApiError> {
        Ok(())
    }

    /// One row a page.
    async fn query(&self, pk: &str, prefix: &str, after: Option<&str>) -> Result<RowsPage, ApiError> {
        let rows = self.rows.lock().expect("not poisoned");
        let mut found = rows
            .iter()
            .filter(|(key, _)| key.pk == pk && key.sk.starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| key.sk.as_str() > after));
        let Some((key, row)) = found.next() else { return Ok(RowsPage::default()) };
        let last_evaluated = found.next().map(|_| key.sk.clone());
        Ok(RowsPage { rows: vec![row.clone()], last_evaluated })
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Item>, ApiError> {
        Ok(self.row(key))
    }

    async fn write(&self, write: &RowWrite) -> Result<Item, ApiError> {
        self.change(std::slice::from_ref(write)).await
    }

    async fn transact(&self, writes: &[RowWrite]) -> Result<(), ApiError> {
        self.change(writes).await.map(drop)
    }
}

/// Tokio's clock, which a test pauses; a wall clock that stands; no chance: every random number is 0.
pub(super) struct StillMachine {
    real: RealMachine,
}

impl StillMachine {
    pub(super) const WALL_MS: u64 = 1_700_000_000_000;

    pub(super) fn new() -> Self {
        StillMachine { real: RealMachine::new() }
    }
}

impl Machine for StillMachine {
    fn now(&self) -> MonoTime {
        self.real.now()
    }

    fn wall_ms(&self) -> u64 {
        Self::WALL_MS
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        self.real.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<()>) -> Task {
        self.real.spawn(task)
    }

    fn random(&self) -> u64 {
        0
    }
}

/// A lease that nobody has held yet.
pub(super) fn fresh_row() -> ShardRow {
    ShardRow::fresh(vec![], false, 0)
}

/// A pipeline whose one stream is being read.
pub(super) fn stream_row() -> StreamRow {
    StreamRow {
        table_arn: "t".into(),
        sink_arn: "s".into(),
        partition_key: "partition_key".into(),
        streams: vec![StreamEntry { label: "L1".into(), drained: false }],
        initialized: true,
        discovery_owner: None,
        discovery_epoch: 1,
        revision: 1,
        gaps: vec![],
        rewind: None,
    }
}

pub(super) fn shard_key(shard: &str) -> ShardKey {
    ShardKey::new("L1", &ShardId::new(shard))
}
