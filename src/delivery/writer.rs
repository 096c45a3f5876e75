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

use super::inlet::{Command, Progress, Submission, WriterHandle};
use super::lanes::{BatchLimits, Change, LaneId, Lanes, Sent, ShardSlot};
use super::put::{Outcome, Putter};
use super::sink::Placement;
use super::watermark::Watermark;
use crate::error::ApiError;
use crate::machine::{BoxFuture, MonoTime, sleep_until};
use crate::ops::metrics::PipelineMetrics;
use crate::ops::repeats::Repeats;

/// A PutRecords call holds at most this many records.
pub const MAX_RECORDS: usize = 500;
/// A call's bytes are kept well under Kinesis' 10 MiB: emulators still hold the older limit of 5 MiB, and two calls
/// cost no more than one.
pub const MAX_BYTES: usize = 4 << 20;

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

type Call = BoxFuture<(Vec<Sent>, Vec<Outcome>, f64)>;

/// The writer's state; [`Writer::run`] is its task.
pub struct Writer {
    putter: Putter,
    lanes: Lanes,
    shards: BTreeMap<ShardSlot, Shard>,
    limits: BatchLimits,
    max_in_flight: usize,
    shrink: Shrink,
    metrics: PipelineMetrics,
    pipeline: Arc<str>,
    failures: Repeats,
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
        let (handle, commands) = WriterHandle::channel();
        let writer = Writer {
            putter,
            lanes: Lanes::new(),
            shards: BTreeMap::new(),
            limits,
            max_in_flight,
            shrink,
            metrics,
            pipeline,
            failures: Repeats::default(),
            commands,
        };
        (writer, handle)
    }

    /// Runs until all handles are gone.
    pub async fn run(mut self) {
        let mut calls: FuturesUnordered<Call> = FuturesUnordered::new();
        let machine = Arc::clone(&self.putter.machine);
        loop {
            let wake = self.send_due(&mut calls);
            tokio::select! {
                biased;
                Some((batch, outcomes, seconds)) = calls.next(), if !calls.is_empty() => {
                    self.metrics.put_duration.observe(seconds);
                    self.settle(batch, outcomes);
                }
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
        while calls.len() < self.max_in_flight {
            let now = self.putter.machine.now();
            if self.putter.time_left().is_none() {
                // Nothing is sent until a heartbeat moves the deadline. All pipelines wait for the same one: were they
                // told by it, tokio would wake them in an order drawn by chance.
                return self.lanes.next_due(&self.limits).map(|_| now + DEADLINE_LOOK);
            }
            let Some(batch) = self.lanes.take_batch(now, &self.limits) else {
                return self.lanes.next_due(&self.limits);
            };
            debug_assert!(is_one_a_lane(&batch), "P2: no PutRecords call holds a lane twice");
            let putter = self.putter.clone();
            calls.push(Box::pin(async move {
                let outcomes = putter.put(&batch).await;
                let seconds = putter.machine.now().since(now).as_secs_f64();
                (batch, outcomes, seconds)
            }));
        }
        // With all calls under way only an answer can make room: no need to wake for time.
        None
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open(slot, progress) => {
                self.forget_unheard();
                self.shards.insert(slot, Shard { watermark: Watermark::default(), progress, halted: None });
            }
            Command::Submit(slot, changes) => self.accept(slot, changes),
            Command::Close(slot, answer) => {
                self.forget(slot);
                if let Some(answer) = answer {
                    // Nobody waits any more where the shard's task was ended.
                    let _ = answer.send(());
                }
            }
        }
    }

    fn accept(&mut self, slot: ShardSlot, changes: Vec<Submission>) {
        let now = self.putter.machine.now();
        let Some(shard) = self.shards.get_mut(&slot) else { return };
        for change in changes {
            match change {
                Submission::Deliver { sequence_number, created_at_ms, entry, memory } => {
                    let ticket = shard.watermark.enter(sequence_number, created_at_ms);
                    if shard.halted.is_none() {
                        self.lanes.push(slot, Change { ticket, entry, created_at_ms, memory }, now);
                    }
                }
                Submission::Exclude { sequence_number, created_at_ms } => {
                    let ticket = shard.watermark.enter(sequence_number, created_at_ms);
                    shard.watermark.done(ticket);
                    self.metrics.changes_filtered.inc();
                }
            }
        }
        shard.tell();
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
        self.lanes.drop_shard(slot);
    }

    /// Feeds a call's outcomes back into lanes and watermarks.
    fn settle(&mut self, batch: Vec<Sent>, outcomes: Vec<Outcome>) {
        let mut moved = std::collections::BTreeSet::new();
        let mut failed: BTreeMap<String, (u64, ApiError)> = BTreeMap::new();
        let mut placed = 0;
        for (sent, outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Placed(placement) => {
                    placed += 1;
                    self.placed(sent.lane, placement);
                    moved.insert(sent.shard);
                }
                Outcome::Failed(error) => {
                    self.lanes.failed(sent.lane, self.putter.machine.now(), self.putter.machine.random());
                    failed.entry(error.code.clone()).or_insert((0, error)).0 += 1;
                }
                Outcome::NotSent => self.lanes.unsent(sent.lane),
                Outcome::Refused(error) => {
                    self.refused(&sent, &error);
                    moved.insert(sent.shard);
                }
            }
        }
        self.say_failures(failed, placed);
        for slot in moved {
            if let Some(shard) = self.shards.get(&slot) {
                shard.tell();
                if shard.progress.is_closed() {
                    self.forget(slot);
                }
            }
        }
    }

    fn placed(&mut self, lane: LaneId, placement: Placement) {
        let Some(done) = self.lanes.acknowledged(lane, placement) else { return };
        self.metrics.records_put.inc();
        self.metrics.changes_delivered.inc();
        let lag_ms = self.putter.machine.wall_ms().saturating_sub(done.created_at_ms);
        self.metrics.delivery_lag.observe(lag_ms as f64 / 1_000.0);
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
    }

    /// A record that Kinesis will never take as it is: smaller, or its shard stops here (never the others).
    fn refused(&mut self, sent: &Sent, error: &ApiError) {
        if let Some(data) = (self.shrink)(&sent.entry.data) {
            self.metrics.truncated.inc();
            tracing::warn!(
                pipeline = &*self.pipeline,
                bytes = sent.entry.size_bytes(),
                "Kinesis refused a record, sending it with an image less; raise the stream's MaxRecordSizeInKiB to keep it: {error}"
            );
            self.lanes.replace_head(sent.lane, data);
            return;
        }
        let Some(shard) = self.shards.get_mut(&sent.shard) else { return };
        let reason = format!("Kinesis refuses a record of {} bytes: {error}", sent.entry.size_bytes());
        shard.halted = Some(reason.into());
        // Its lanes go, but what is in flight may still move the checkpoint.
        self.lanes.unsent(sent.lane);
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
    fn tell(&self) {
        self.progress.send_replace(Progress {
            completed: self.watermark.completed(),
            checkpoint: self.watermark.checkpoint().cloned(),
            oldest_open_ms: self.watermark.oldest_open_ms(),
            halted: self.halted.clone(),
        });
    }
}

fn is_one_a_lane(batch: &[Sent]) -> bool {
    let lanes: std::collections::BTreeSet<LaneId> = batch.iter().map(|sent| sent.lane).collect();
    lanes.len() == batch.len()
}
