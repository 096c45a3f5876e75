//! A held lease: the shard row that this worker owns, as it is and as it was last stored. Every write gets a new
//! revision and ends before the session's deadline (P4).

use std::time::Duration;

use tokio::sync::watch;

use crate::delivery::watermark::Checkpoint;
use crate::error::ApiError;
use crate::lease::row::{Gap, ShardKey, ShardRow, ShardState};
use crate::lease::store::{CALL_TIMEOUT, LeaseStore};
use crate::machine::{BoxFuture, Machine, MonoTime};

/// A write is not begun with less time than this before the deadline.
const LEAST_TIME: Duration = Duration::from_millis(50);

/// One owned shard row.
pub struct Held {
    pub store: LeaseStore,
    pub pipeline: String,
    pub key: ShardKey,
    pub row: ShardRow,
    pub deadline: watch::Receiver<MonoTime>,
    /// The row as it is known to be stored.
    stored: ShardRow,
}

impl Held {
    /// `row` is what the take returned.
    pub fn new(
        store: LeaseStore,
        pipeline: String,
        key: ShardKey,
        row: ShardRow,
        deadline: watch::Receiver<MonoTime>,
    ) -> Self {
        Held { store, pipeline, key, stored: row.clone(), row, deadline }
    }

    /// Whether there is something to store.
    pub fn is_dirty(&self) -> bool {
        let (now, stored) = (&self.row, &self.stored);
        now.checkpoint != stored.checkpoint
            || now.state != stored.state
            || now.halted_because != stored.halted_because
            || now.gaps != stored.gaps
            || now.latest_first != stored.latest_first
    }

    /// The shard's changes are done up to here (P6: never less far than before).
    pub fn advance(&mut self, checkpoint: &Checkpoint) {
        debug_assert!(
            self.row.checkpoint.as_ref().is_none_or(|before| *before <= checkpoint.sequence_number),
            "P6: a checkpoint only moves forward"
        );
        self.row.checkpoint = Some(checkpoint.sequence_number.clone());
        self.row.last_change_at_ms = Some(checkpoint.created_at_ms);
    }

    pub fn halt(&mut self, reason: String) {
        self.row.state = ShardState::Halted;
        self.row.halted_because = Some(reason);
    }

    pub fn note_gap(&mut self, gap: Gap) {
        self.row.gaps.push(gap);
    }

    /// The first record after the last gap.
    pub fn end_gap(&mut self, first: String) {
        if let Some(gap) = self.row.gaps.last_mut() {
            gap.to.get_or_insert(first);
        }
    }

    /// How long a write begun now may take; `None` when the deadline is too near.
    pub fn time_left(&self, machine: &dyn Machine) -> Option<Duration> {
        let left = self.deadline.borrow().since(machine.now());
        (left >= LEAST_TIME).then(|| left.min(CALL_TIMEOUT))
    }

    /// The row as the next write carries it.
    pub fn next_revision(&mut self) -> ShardRow {
        self.row.revision += 1;
        self.row.clone()
    }

    /// A write of the row's progress; gives the row that it stored.
    pub fn save(&mut self, limit: Duration) -> BoxFuture<Result<ShardRow, ApiError>> {
        let (store, pipeline, key) = (self.store.clone(), self.pipeline.clone(), self.key.clone());
        let row = self.next_revision();
        Box::pin(async move { store.save(&pipeline, &key, &row, limit).await.map(|()| row) })
    }

    /// The row was stored like this.
    pub fn saved(&mut self, row: ShardRow) {
        self.stored = row;
    }
}
