//! A call's answer: what became of each record goes back into lanes and watermarks, and what went wrong is counted and said.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Answered, Outcome, ShardSlot, Writer};
use crate::delivery::batch::Sent;
use crate::delivery::lanes::Acknowledged;
use crate::delivery::memory::Reservation;
use crate::delivery::sink::{Placement, PutEntry};
use crate::error::ApiError;
use crate::machine::MonoTime;
use crate::ops::repeats::Repeats;

/// What Kinesis refuses without harm, said now and then.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    aggregates: Repeats,
    numbers: Repeats,
}

/// What a call brought.
#[derive(Debug, Default)]
struct Brought {
    records: u64,
    changes: u64,
    /// The shards that moved, and the memory of what is done of each.
    moved: BTreeMap<ShardSlot, Option<Reservation>>,
    failed: BTreeMap<String, (u64, ApiError)>,
}

impl Brought {
    fn failed(&mut self, error: ApiError) {
        self.failed.entry(error.code.clone()).or_insert((0, error)).0 += 1;
    }
}

impl Writer {
    /// Feeds a call's outcomes back into lanes and watermarks.
    pub(super) fn settle(&mut self, answered: Answered) {
        let machine = Arc::clone(&self.putter.machine);
        let (now, wall_ms) = (machine.now(), machine.wall_ms());
        let Answered { batch, outcomes, number_refused, .. } = answered;
        let mut brought = Brought::default();
        for ((sent, entry), outcome) in batch.sent.into_iter().zip(&batch.entries).zip(outcomes) {
            match outcome {
                Outcome::Placed(placement) => {
                    self.placed(sent, placement, (now, wall_ms), &mut brought);
                }
                Outcome::Failed(error) => {
                    self.lanes.failed(sent.lane, now, machine.random());
                    brought.failed(error);
                }
                Outcome::Throttled(error) => {
                    self.lanes.throttled(sent.lane, now, machine.random());
                    brought.failed(error);
                }
                Outcome::NotSent => self.lanes.unsent(sent.lane, now),
                Outcome::Refused(error) => {
                    self.refused(sent, entry, &error);
                    brought.moved.entry(sent.shard).or_default();
                }
            }
        }
        if let Some(error) = number_refused {
            self.say_refused_number(&error);
        }
        self.metrics.records_put.inc_by(brought.records);
        self.metrics.changes_delivered.inc_by(brought.changes);
        self.say_failures(brought.failed, brought.records);
        for slot in brought.moved.into_keys() {
            if let Some(shard) = self.shards.get_mut(&slot) {
                shard.tell();
                if shard.progress.is_closed() {
                    self.forget(slot);
                }
            }
        }
    }

    fn placed(
        &mut self,
        sent: Sent,
        placement: Placement,
        (now, wall_ms): (MonoTime, u64),
        brought: &mut Brought,
    ) {
        brought.records += 1;
        brought.changes += sent.changes as u64;
        let freed = brought.moved.entry(sent.shard).or_default();
        let Writer { lanes, shards, metrics, .. } = self;
        let mut shard = shards.get_mut(&sent.shard);
        let done = lanes.acknowledged(sent.lane, placement, now, |change| {
            let lag_ms = wall_ms.saturating_sub(change.created_at_ms);
            metrics.delivery_lag.observe(lag_ms as f64 / 1_000.0);
            if let Some(shard) = &mut shard {
                shard.watermark.done(change.ticket);
            }
            match freed {
                Some(freed) => freed.absorb(change.memory),
                None => *freed = Some(change.memory),
            }
        });
        let Some(Acknowledged { inverted, strayed }) = done else { return };
        if strayed {
            self.survey.wanted();
        }
        if inverted {
            self.metrics.order_inversions.inc();
            tracing::error!(
                pipeline = &*self.pipeline,
                "Kinesis stored a record before an earlier one of the same partition key although that had been acknowledged (P2)"
            );
        }
    }

    /// A record that Kinesis will never take as it is. An aggregate: its changes one by one. A change alone: smaller, or its
    /// shard stops here (never the others).
    fn refused(&mut self, sent: Sent, entry: &PutEntry, error: &ApiError) {
        if !self.shards.contains_key(&sent.shard) {
            return;
        }
        let now = self.putter.machine.now();
        if self.lanes.taken_apart(sent.lane, now) {
            self.metrics.api_error(error);
            if let Some(times) = self.refusals.aggregates.happened(now) {
                tracing::warn!(
                    pipeline = &*self.pipeline,
                    times,
                    record = entry.described(),
                    changes = sent.changes,
                    "Kinesis refused an aggregated record, its changes go one by one: {error}"
                );
            }
            return;
        }
        if let Some(data) = (self.shrink)(entry.data()) {
            self.metrics.truncated.inc();
            tracing::warn!(
                pipeline = &*self.pipeline,
                record = entry.described(),
                "Kinesis refused a record, sending it with an image less; raise the stream's MaxRecordSizeInKiB to keep it: {error}"
            );
            self.lanes.replace_head(sent.lane, &data, now);
            return;
        }
        let Some(shard) = self.shards.get_mut(&sent.shard) else { return };
        let reason = format!("Kinesis refuses a record ({}): {error}", entry.described());
        shard.halted = Some(reason.into());
        self.expected.remove(&sent.shard);
        // Its lanes go, but what is in flight may still move the checkpoint.
        self.lanes.unsent(sent.lane, now);
        self.lanes.halt_shard(sent.shard);
    }

    /// The record went without its number: its order is what the acknowledgement before it gives.
    fn say_refused_number(&mut self, error: &ApiError) {
        self.metrics.api_error(error);
        if let Some(times) = self.refusals.numbers.happened(self.putter.machine.now()) {
            tracing::warn!(
                pipeline = &*self.pipeline,
                times,
                "Kinesis refused a SequenceNumberForOrdering, and took the record without it: {error}"
            );
        }
    }

    fn say_failures(&mut self, failed: BTreeMap<String, (u64, ApiError)>, placed: u64) {
        let now = self.putter.machine.now();
        if failed.is_empty() {
            if placed > 0
                && let Some(times) = self.failures.went_well(now)
            {
                tracing::info!(pipeline = &*self.pipeline, times, "records are put again");
            }
            return;
        }
        for (code, (records, error)) in failed {
            self.metrics.api_error(&error);
            self.metrics.put_retry(&code, records);
            if let Some(times) = self.failures.happened(now) {
                tracing::warn!(pipeline = &*self.pipeline, times, records, "records are sent again: {error}");
            }
        }
    }
}
