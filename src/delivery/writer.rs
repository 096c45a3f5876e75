//! The writer: one task a pipeline that carries the changes of all its shards to Kinesis. It owns the lanes and each
//! shard's watermark, keeps up to `max_in_flight` PutRecords calls going, and tells each shard how far it is. It never
//! sends past the session's deadline (P4) and never gives a change up by itself (P1).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use super::appetite::Appetite;
use super::batch::{Batch, BatchLimits, MORE_WITHIN, Outlook, Sent};
use super::inlet::{Command, More, Progress, Submission, WriterHandle};
use super::lanes::{Change, LaneId, Lanes, ShardSlot};
use super::memory::Reservation;
use super::put::{Outcome, Putter};
use super::sink::{Placement, PutEntry, TargetShard};
use super::survey::Survey;
use super::watermark::{PLACE_BYTES, Watermark};
use crate::error::ApiError;
use crate::machine::{BoxFuture, MonoTime, sleep_until};
use crate::ops::metrics::PipelineMetrics;
use crate::ops::repeats::Repeats;

/// A PutRecords call holds at most this many records.
pub const MAX_RECORDS: usize = 500;
/// A call's bytes are kept well under Kinesis' 10 MiB: emulators still hold the older limit of 5 MiB, and two calls
/// cost no more than one.
pub const MAX_BYTES: usize = 4 << 20;

/// All calls under way hold no more, save a single larger record: their bodies come on top of `memory_limit`, a third
/// larger for base64.
const MAX_BYTES_IN_FLIGHT: usize = 2 * MAX_BYTES;

/// So much ready to be sent is enough for a while: reading waits. Two rounds of calls, so that a page that is asked for when
/// the first begins is there before the second ends.
const ENOUGH_ROUNDS: usize = 2;
const ENOUGH_BYTES: usize = 2 * MAX_BYTES_IN_FLIGHT;

/// Past the session's deadline, how often to look whether a heartbeat has moved it.
const DEADLINE_LOOK: Duration = Duration::from_millis(50);

/// Gives a refused record's data with fewer images; `None` when there is nothing left to leave out, or it is not wanted.
pub type Shrink = Arc<dyn Fn(&[u8]) -> Option<Bytes> + Send + Sync>;

#[derive(Debug)]
struct Shard {
    watermark: Watermark,
    progress: watch::Sender<Progress>,
    halted: Option<Arc<str>>,
}

type Call = BoxFuture<(Batch, Vec<Outcome>, f64)>;

/// The writer's state; [`Writer::run`] is its task.
pub struct Writer {
    putter: Putter,
    lanes: Lanes,
    shards: BTreeMap<ShardSlot, Shard>,
    /// Shards of which more is on its way, and until when that is worth waiting for.
    expected: BTreeMap<ShardSlot, MonoTime>,
    survey: Survey,
    appetite: Arc<Appetite>,
    limits: BatchLimits,
    max_in_flight: usize,
    shrink: Shrink,
    metrics: PipelineMetrics,
    pipeline: Arc<str>,
    failures: Repeats,
    /// Of all calls under way.
    bytes_in_flight: usize,
    commands: mpsc::Receiver<Command>,
}

impl Writer {
    pub fn new(
        pipeline: Arc<str>,
        putter: Putter,
        limits: BatchLimits,
        max_in_flight: usize,
        shrink: Shrink,
        metrics: PipelineMetrics,
    ) -> (Self, WriterHandle) {
        let appetite = Arc::<Appetite>::default();
        let (handle, commands) = WriterHandle::channel(Arc::clone(&appetite));
        let writer = Writer {
            putter,
            lanes: Lanes::new(),
            shards: BTreeMap::new(),
            expected: BTreeMap::new(),
            survey: Survey::new(Arc::clone(&pipeline)),
            appetite,
            limits,
            max_in_flight,
            shrink,
            metrics,
            pipeline,
            failures: Repeats::default(),
            bytes_in_flight: 0,
            commands,
        };
        (writer, handle)
    }

    /// Runs until all handles are gone.
    pub async fn run(mut self) {
        let mut calls: FuturesUnordered<Call> = FuturesUnordered::new();
        let machine = Arc::clone(&self.putter.machine);
        loop {
            let due = self.send_due(&mut calls);
            self.tell_of_ready();
            self.tell_of_held();
            let wake = [due, self.survey.begin(&self.putter)].into_iter().flatten().min();
            tokio::select! {
                biased;
                Some((batch, outcomes, seconds)) = calls.next(), if !calls.is_empty() => {
                    self.metrics.put_duration.observe(seconds);
                    self.bytes_in_flight -= batch.bytes;
                    self.settle(batch, outcomes);
                }
                answer = self.survey.answer() => self.know_targets(answer),
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                () = sleep_until(&*machine, wake.unwrap_or_default()), if wake.is_some() => {}
            }
        }
    }

    /// Begins all calls that are due. Gives the moment to look again, if there is something to look for.
    fn send_due(&mut self, calls: &mut FuturesUnordered<Call>) -> Option<MonoTime> {
        while self.may_begin(calls) {
            let now = self.putter.machine.now();
            let outlook = self.outlook(calls, now);
            if self.putter.time_left().is_none() {
                // Nothing is sent until a heartbeat moves the deadline. All pipelines wait for the same one: were they
                // told by it, tokio would wake them in an order drawn by chance.
                return self.lanes.next_due(&self.limits, outlook).map(|_| now + DEADLINE_LOOK);
            }
            let Some(batch) = self.lanes.take_batch(now, &self.limits, outlook) else {
                return self.lanes.next_due(&self.limits, outlook);
            };
            debug_assert!(is_one_a_lane(&batch.sent), "P2: no PutRecords call holds a lane twice");
            self.bytes_in_flight += batch.bytes;
            let putter = self.putter.clone();
            calls.push(Box::pin(async move {
                let outcomes = putter.put(&batch.entries).await;
                let seconds = putter.machine.now().since(now).as_secs_f64();
                (batch, outcomes, seconds)
            }));
        }
        // With enough under way only an answer can make room: no need to wake for time.
        None
    }

    /// Whether one more call may begin, however large.
    fn may_begin(&self, calls: &FuturesUnordered<Call>) -> bool {
        let has_room = calls.is_empty() || self.bytes_in_flight + MAX_BYTES <= MAX_BYTES_IN_FLIGHT;
        has_room && calls.len() < self.max_in_flight
    }

    fn outlook(&mut self, calls: &FuturesUnordered<Call>, now: MonoTime) -> Outlook {
        self.expected.retain(|_, until| *until > now);
        let more_until = self.expected.values().max().copied();
        Outlook { calls_under_way: !calls.is_empty(), more_until }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open(slot, progress) => {
                self.forget_unheard();
                self.shards.insert(slot, Shard { watermark: Watermark::default(), progress, halted: None });
            }
            Command::Submit(slot, changes, more) => self.accept(slot, changes, more),
            Command::Close(slot, answer) => {
                self.forget(slot);
                if let Some(answer) = answer {
                    // Nobody waits any more where the shard's task was ended.
                    let _ = answer.send(());
                }
            }
        }
    }

    fn accept(&mut self, slot: ShardSlot, changes: Vec<Submission>, more: More) {
        let now = self.putter.machine.now();
        let Some(shard) = self.shards.get_mut(&slot) else { return };
        for change in changes {
            match change {
                Submission::Deliver { sequence_number, created_at_ms, entry, mut memory } => {
                    let ticket = shard.watermark.enter(sequence_number, created_at_ms);
                    shard.watermark.keep(memory.split(PLACE_BYTES));
                    if shard.halted.is_none() {
                        self.lanes.push(slot, Change { ticket, entry, created_at_ms, memory }, now);
                    }
                }
                Submission::Exclude { sequence_number, created_at_ms, memory } => {
                    let ticket = shard.watermark.enter(sequence_number, created_at_ms);
                    shard.watermark.keep(memory);
                    shard.watermark.done(ticket);
                    self.metrics.changes_filtered.inc();
                }
            }
        }
        match more {
            More::Follows if shard.halted.is_none() => self.expected.insert(slot, now + MORE_WITHIN),
            _ => self.expected.remove(&slot),
        };
        shard.tell();
    }

    /// What the question for the target stream's shards came back with.
    fn know_targets(&mut self, answer: Result<Vec<TargetShard>, ApiError>) {
        let now = self.putter.machine.now();
        let known = answer.map_err(|error| {
            self.metrics.api_error(&error);
            error.to_string()
        });
        match known.and_then(|shards| self.lanes.map(shards, now).map_err(|error| error.to_string())) {
            Ok(()) => self.survey.succeeded(),
            Err(error) => self.survey.failed(now, self.putter.machine.random(), &error),
        }
    }

    fn tell_of_ready(&self) {
        let (records, bytes) = self.lanes.ready();
        let enough_records = ENOUGH_ROUNDS * self.max_in_flight * self.limits.max_records;
        self.appetite.tell((records * 100 / enough_records).max(bytes * 100 / ENOUGH_BYTES));
    }

    /// Target shards that hold changes back are shown, and said when it lasts.
    fn tell_of_held(&mut self) {
        let (shards, bytes) = self.lanes.held();
        self.metrics.paced_target_shards.set(i64::try_from(shards).unwrap_or(i64::MAX));
        self.metrics.held_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        if shards == 0 {
            return;
        }
        let now = self.putter.machine.now();
        for held in self.lanes.lasting(now) {
            tracing::warn!(
                pipeline = &*self.pipeline,
                kinesis_shard = &*held.shard_id,
                changes = held.changes,
                bytes = held.bytes,
                seconds = now.since(held.since).as_secs(),
                "a target shard takes less than there is for it and holds its changes back; the other shards go on until \
                 the memory is full: split the shard, turn to on-demand mode, or choose another partition_key"
            );
        }
    }

    /// Shards whose `Close` found the channel full.
    fn forget_unheard(&mut self) {
        let unheard: Vec<ShardSlot> = self
            .shards
            .iter()
            .filter(|(_, shard)| shard.progress.is_closed())
            .map(|(slot, _)| *slot)
            .collect();
        for slot in unheard {
            self.forget(slot);
        }
    }

    fn forget(&mut self, slot: ShardSlot) {
        self.shards.remove(&slot);
        self.expected.remove(&slot);
        self.lanes.drop_shard(slot);
    }

    /// Feeds a call's outcomes back into lanes and watermarks.
    fn settle(&mut self, batch: Batch, outcomes: Vec<Outcome>) {
        let machine = Arc::clone(&self.putter.machine);
        let (now, wall_ms) = (machine.now(), machine.wall_ms());
        // The shards that moved, and the memory of what is done of each.
        let mut moved: BTreeMap<ShardSlot, Option<Reservation>> = BTreeMap::new();
        let mut failed: BTreeMap<String, (u64, ApiError)> = BTreeMap::new();
        let mut placed = 0;
        for ((sent, entry), outcome) in batch.sent.into_iter().zip(&batch.entries).zip(outcomes) {
            match outcome {
                Outcome::Placed(placement) => {
                    placed += 1;
                    let memory = self.placed(sent.lane, placement, now, wall_ms);
                    let freed = moved.entry(sent.shard).or_default();
                    match (freed.as_mut(), memory) {
                        (Some(freed), Some(memory)) => freed.absorb(memory),
                        (None, Some(memory)) => *freed = Some(memory),
                        (_, None) => {}
                    }
                }
                Outcome::Failed(error) => {
                    self.lanes.failed(sent.lane, now, machine.random());
                    failed.entry(error.code.clone()).or_insert((0, error)).0 += 1;
                }
                Outcome::Throttled(error) => {
                    self.lanes.throttled(sent.lane, now, machine.random());
                    failed.entry(error.code.clone()).or_insert((0, error)).0 += 1;
                }
                Outcome::NotSent => self.lanes.unsent(sent.lane, now),
                Outcome::Refused(error) => {
                    self.refused(sent, entry, &error);
                    moved.entry(sent.shard).or_default();
                }
            }
        }
        self.metrics.records_put.inc_by(placed);
        self.metrics.changes_delivered.inc_by(placed);
        self.say_failures(failed, placed);
        for slot in moved.into_keys() {
            if let Some(shard) = self.shards.get_mut(&slot) {
                shard.tell();
                if shard.progress.is_closed() {
                    self.forget(slot);
                }
            }
        }
    }

    /// Gives the memory that the change held.
    fn placed(
        &mut self,
        lane: LaneId,
        placement: Placement,
        now: MonoTime,
        wall_ms: u64,
    ) -> Option<Reservation> {
        let done = self.lanes.acknowledged(lane, placement, now)?;
        let lag_ms = wall_ms.saturating_sub(done.created_at_ms);
        self.metrics.delivery_lag.observe(lag_ms as f64 / 1_000.0);
        if done.strayed {
            self.survey.wanted();
        }
        if done.inverted {
            self.metrics.order_inversions.inc();
            tracing::error!(
                pipeline = &*self.pipeline,
                "Kinesis stored a record before an earlier one of the same partition key although that had been acknowledged (P2)"
            );
        }
        if let Some(shard) = self.shards.get_mut(&done.shard) {
            shard.watermark.done(done.ticket);
        }
        Some(done.memory)
    }

    /// A record that Kinesis will never take as it is: smaller, or its shard stops here (never the others).
    fn refused(&mut self, sent: Sent, entry: &PutEntry, error: &ApiError) {
        if let Some(data) = (self.shrink)(&entry.data) {
            self.metrics.truncated.inc();
            tracing::warn!(
                pipeline = &*self.pipeline,
                record = entry.described(),
                "Kinesis refused a record, sending it with an image less; raise the stream's MaxRecordSizeInKiB to keep it: {error}"
            );
            self.lanes.replace_head(sent.lane, data, self.putter.machine.now());
            return;
        }
        let Some(shard) = self.shards.get_mut(&sent.shard) else { return };
        let reason = format!("Kinesis refuses a record ({}): {error}", entry.described());
        shard.halted = Some(reason.into());
        self.expected.remove(&sent.shard);
        // Its lanes go, but what is in flight may still move the checkpoint.
        self.lanes.unsent(sent.lane, self.putter.machine.now());
        self.lanes.halt_shard(sent.shard);
    }

    fn say_failures(&mut self, failed: BTreeMap<String, (u64, ApiError)>, placed: u64) {
        let now = self.putter.machine.now();
        if failed.is_empty() {
            if placed > 0
                && let Some(times) = self.failures.went_well(now)
            {
                tracing::info!(pipeline = &*self.pipeline, times, "PutRecords succeeds again");
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

impl Shard {
    fn tell(&mut self) {
        self.watermark.settle();
        self.progress.send_replace(Progress {
            completed: self.watermark.completed(),
            checkpoint: self.watermark.checkpoint().cloned(),
            oldest_open_ms: self.watermark.oldest_open_ms(),
            halted: self.halted.clone(),
        });
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.metrics.paced_target_shards.set(0);
        self.metrics.held_bytes.set(0);
    }
}

fn is_one_a_lane(batch: &[Sent]) -> bool {
    let lanes: std::collections::BTreeSet<LaneId> = batch.iter().map(|sent| sent.lane).collect();
    lanes.len() == batch.len()
}

#[cfg(test)]
mod tests;
