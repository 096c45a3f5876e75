//! The writer: one task a pipeline that carries the changes of all its shards to Kinesis. It owns the lanes and each
//! shard's watermark, keeps up to `max_in_flight` calls going, and tells each shard how far it is. It never sends past the
//! session's deadline (P4) and never gives a change up by itself (P1).

mod settling;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

use self::settling::Refusals;
use super::aggregate::Packing;
use super::appetite::{Amount, Appetite};
use super::batch::{Batch, BatchLimits, MORE_WITHIN, Outlook, Sent};
use super::inlet::{Command, More, Progress, Submission, WriterHandle};
use super::lanes::{Change, LaneId, Lanes, ShardSlot};
use super::put::{Ordered, Outcome, Putter};
use super::sink::TargetShard;
use super::survey::Survey;
use super::watermark::{PLACE_BYTES, Watermark};
use crate::config::Ordering;
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
/// larger for base64, and so do the aggregates in them, copies of changes that are counted there.
const MAX_BYTES_IN_FLIGHT: usize = 2 * MAX_BYTES;

/// So much ready to be sent, or on its way from the stream, is enough for a while: reading waits. Two rounds of calls, so that
/// a page that is asked for when the first begins is there before the second ends.
const ENOUGH_ROUNDS: usize = 2;
/// However few calls go at a time, some pages may be on their way: not all that they bring can be sent at once.
const LEAST_TOGETHER: usize = 4_000;
const ENOUGH_BYTES: usize = ENOUGH_ROUNDS * MAX_BYTES_IN_FLIGHT;

/// Of how many keys without a change under way it is known where their last record stands. Strict order names it in the
/// next record; else it only tells whether Kinesis keeps its word, which the keys that change often show.
const REMEMBERED_FOR_ORDERING: usize = 16_384;
const REMEMBERED_FOR_INVERSIONS: usize = 2_048;

/// Past the session's deadline, how often to look whether a heartbeat has moved it.
const DEADLINE_LOOK: Duration = Duration::from_millis(50);

/// Gives a refused record's data with fewer images; `None` when there is nothing left to leave out, or it is not wanted.
pub type Shrink = Arc<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

#[derive(Debug)]
struct Shard {
    watermark: Watermark,
    progress: watch::Sender<Progress>,
    halted: Option<Arc<str>>,
}

type Call = BoxFuture<Answered>;

/// A call that has ended.
struct Answered {
    batch: Batch,
    outcomes: Vec<Outcome>,
    /// PutRecord's number for ordering was refused, its record taken without.
    number_refused: Option<ApiError>,
    seconds: f64,
}

/// How a pipeline's records go.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub linger: Duration,
    /// Calls at a time.
    pub max_in_flight: usize,
    /// With [`Ordering::Strict`] each record is a PutRecord of its own.
    pub ordering: Ordering,
    pub packing: Packing,
}

/// The writer's state; [`Writer::run`] is its task.
pub struct Writer {
    putter: Putter,
    lanes: Lanes,
    shards: BTreeMap<ShardSlot, Shard>,
    /// Shards of which more is on its way, and until when that is worth waiting for.
    expected: BTreeMap<ShardSlot, MonoTime>,
    survey: Survey,
    appetite: Appetite,
    limits: BatchLimits,
    max_in_flight: usize,
    ordering: Ordering,
    shrink: Shrink,
    metrics: PipelineMetrics,
    pipeline: Arc<str>,
    failures: Repeats,
    /// Aggregates that Kinesis refused, and numbers for ordering.
    refusals: Refusals,
    /// Of all calls under way.
    bytes_in_flight: usize,
    commands: mpsc::Receiver<Command>,
}

impl Writer {
    pub fn new(
        pipeline: Arc<str>,
        putter: Putter,
        manner: Manner,
        shrink: Shrink,
        metrics: PipelineMetrics,
    ) -> (Self, WriterHandle) {
        let Manner { linger, max_in_flight, ordering, packing } = manner;
        let enough = Amount { records: ENOUGH_ROUNDS * max_in_flight * MAX_RECORDS, bytes: ENOUGH_BYTES };
        let together = Amount { records: enough.records.max(LEAST_TOGETHER), ..enough };
        let appetite = Appetite::new(enough, together);
        let (handle, commands) = WriterHandle::channel(appetite.clone());
        let (max_records, remembered) = match ordering {
            Ordering::Strict => (1, REMEMBERED_FOR_ORDERING),
            Ordering::Acknowledged => (MAX_RECORDS, REMEMBERED_FOR_INVERSIONS),
        };
        let writer = Writer {
            putter,
            lanes: Lanes::new(packing, remembered),
            shards: BTreeMap::new(),
            expected: BTreeMap::new(),
            survey: Survey::new(Arc::clone(&pipeline)),
            appetite,
            limits: BatchLimits { max_records, max_bytes: MAX_BYTES, linger },
            max_in_flight,
            ordering,
            shrink,
            metrics,
            pipeline,
            failures: Repeats::default(),
            refusals: Refusals::default(),
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
                Some(answered) = calls.next(), if !calls.is_empty() => {
                    self.metrics.put_duration.observe(answered.seconds);
                    self.bytes_in_flight -= answered.batch.bytes;
                    self.settle(answered);
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
            calls.push(self.call(batch, now));
        }
        // With enough under way only an answer can make room: no need to wake for time.
        None
    }

    /// The batch's call, begun at that moment.
    fn call(&self, batch: Batch, began: MonoTime) -> Call {
        let putter = self.putter.clone();
        let of_lane = |sent: &Sent| self.lanes.last(sent.lane);
        let after = batch.sent.first().filter(|_| self.ordering == Ordering::Strict).and_then(of_lane);
        let after = after.map(|last| last.sequence_number.clone());
        let ordering = self.ordering;
        Box::pin(async move {
            let (outcomes, number_refused) = match (ordering, batch.entries.as_slice()) {
                (Ordering::Strict, [entry]) => {
                    let Ordered { outcome, number_refused } = putter.put_after(entry, after.as_ref()).await;
                    (vec![outcome], number_refused)
                }
                (_, entries) => (putter.put(entries).await, None),
            };
            let seconds = putter.machine.now().since(began).as_secs_f64();
            Answered { batch, outcomes, number_refused, seconds }
        })
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
            Command::Submit(slot, changes, more, portion) => {
                self.accept(slot, changes, more);
                // From here on it counts as far as it is ready.
                self.tell_of_ready();
                drop(portion);
            }
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
        self.appetite.tell(Amount { records, bytes });
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
