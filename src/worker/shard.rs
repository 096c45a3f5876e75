//! A shard's task: it owns one lease from its take to its end. It reads, stores checkpoints at intervals, and at the
//! end either finishes the shard, gives the lease up, or stops as soon as it learns that the lease is lost (P4).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use super::course::Course;
use super::finish;
use super::held::Held;
use super::pipeline::{Pipeline, Shared};
use super::reading::{Event, Reading, Start};
use crate::delivery::inlet::{ShardInlet, WriterHandle};
use crate::delivery::lanes::ShardSlot;
use crate::delivery::memory::Budget;
use crate::error::{ApiError, ErrorKind};
use crate::lease::row::{Gap, ShardKey, ShardRow};
use crate::machine::{BoxFuture, MonoTime, sleep_until};
use crate::ops::board::Seat;
use crate::ops::health::Trouble;
use crate::ops::repeats::Repeats;
use crate::ops::vitals::{AT_REST, Doing, Vitals};
use crate::retry::Retry;
use crate::stream::arn::StreamArn;

/// How a shard's task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardEnd {
    /// The shard is finished and its children may be read.
    Finished,
    /// The lease was given up, or handed over.
    Released,
    /// The lease belongs to another, or its row is gone.
    Lost,
}

/// What a shard's task starts with.
pub struct ShardTask {
    pub shared: Arc<Shared>,
    pub pipeline: Arc<Pipeline>,
    pub key: ShardKey,
    pub stream: StreamArn,
    /// The row as the take returned it.
    pub row: ShardRow,
    /// Until when this worker may act on its leases.
    pub deadline: watch::Receiver<MonoTime>,
    pub writer: WriterHandle,
    pub slot: ShardSlot,
    pub course: watch::Receiver<Course>,
    /// When reading last moved, on the machine's clock in milliseconds, or [`AT_REST`].
    pub touched_ms: Arc<AtomicU64>,
}

enum Phase {
    Reading,
    /// Everything was read: what is under way is delivered, then the shard is finished.
    Ending,
    /// Nothing more is read or sent until an operator helps.
    Halted,
    /// Nothing more is read; what is under way may be delivered until then.
    Draining {
        until: MonoTime,
        may_go_on: bool,
    },
}

impl ShardTask {
    /// Runs the shard to its end.
    pub async fn run(self) -> ShardEnd {
        let inlet = self.writer.open(self.slot).await;
        let held = Held::new(
            self.shared.store.clone(),
            self.pipeline.name.to_string(),
            self.key.clone(),
            self.row.clone(),
            self.deadline.clone(),
        );
        let now = self.shared.machine.now();
        let vitals = Vitals::new(Arc::clone(&self.touched_ms), now, held.row.position_at_ms(&self.key.shard));
        let seat = self.shared.health.holds(&self.pipeline.name, self.key.to_string(), Arc::clone(&vitals));
        let mut run = Run {
            vitals,
            _seat: seat,
            checkpoint_due: now + self.shared.checkpoint_interval,
            budget: self.pipeline.shard_budget(),
            task: self,
            inlet,
            held,
            phase: Phase::Reading,
            halt: None,
            reading: None,
            waiting: None,
            saving: None,
            save_retry: Retry::new(Duration::from_millis(200), Duration::from_secs(5)),
            save_failures: Repeats::default(),
        };
        let end = run.follow().await;
        if end == ShardEnd::Lost {
            run.task.shared.metrics.lease_losses.inc();
            tracing::warn!(pipeline = &*run.task.pipeline.name, shard = %run.task.key, "the lease is lost; the shard stops here");
        }
        end
    }
}

/// A halt, counted and shown until the shard's task ends in whatever way.
struct Halt {
    _shown: Trouble,
    halted_shards: Gauge,
}

impl Halt {
    fn of(task: &ShardTask, reason: &str) -> Self {
        let concerns = format!("pipeline {}, shard {}", task.pipeline.name, task.key);
        let halted_shards = task.pipeline.metrics.halted_shards.clone();
        halted_shards.inc();
        Halt { _shown: task.shared.health.trouble(concerns, format!("halted: {reason}")), halted_shards }
    }
}

impl Drop for Halt {
    fn drop(&mut self) {
        self.halted_shards.dec();
    }
}

type ReadingStep = BoxFuture<(Reading, Event)>;

/// A shard's task under way.
struct Run {
    task: ShardTask,
    vitals: Arc<Vitals>,
    _seat: Seat,
    inlet: ShardInlet,
    budget: Budget,
    held: Held,
    phase: Phase,
    halt: Option<Halt>,
    reading: Option<ReadingStep>,
    /// Goes on once the row is stored.
    waiting: Option<Reading>,
    saving: Option<BoxFuture<Result<ShardRow, ApiError>>>,
    checkpoint_due: MonoTime,
    save_retry: Retry,
    save_failures: Repeats,
}

impl Run {
    async fn follow(&mut self) -> ShardEnd {
        self.start_reading();
        let machine = Arc::clone(&self.task.shared.machine);
        loop {
            self.absorb_progress();
            if self.reading.is_none() {
                self.task.touched_ms.store(AT_REST, Ordering::Release);
                self.vitals.facts().doing(Doing::NotReading);
            }
            if let Some(end) = self.end_of_phase().await {
                return end;
            }
            self.save_if_due();
            let wake = self.wake();
            tokio::select! {
                biased;
                changed = self.task.course.changed() => if changed.is_err() { return ShardEnd::Released } else { self.obey() },
                result = when(&mut self.saving) => {
                    self.saving = None;
                    if !self.saved(result) {
                        return ShardEnd::Lost;
                    }
                }
                changed = self.inlet.progress.changed() => if changed.is_err() { return ShardEnd::Released },
                (reading, event) = when(&mut self.reading) => {
                    self.reading = None;
                    self.heed(reading, event);
                }
                () = sleep_until(&*machine, wake.unwrap_or_default()), if wake.is_some() => {}
            }
        }
    }

    fn start_reading(&mut self) {
        let task = &self.task;
        let row = &self.held.row;
        // What was submitted before a handover was called off is still under way: it is not read again.
        let position = self.inlet.last_submitted().or_else(|| row.checkpoint.clone());
        // A row that a rewind moved back has no moment any more: an iterator taken then would skip what is wanted again.
        let is_at_latest = row.latest_from_ms.is_some() && position.is_none() && row.latest_first.is_none();
        let start = Start {
            stream: task.stream.clone(),
            shard: task.key.shard.clone(),
            checkpoint: position,
            latest_from_ms: row.latest_from_ms,
            latest_first: row.latest_first.clone(),
            latest_iterator: task.pipeline.take_latest(&task.key).filter(|_| is_at_latest),
            discovered_at_ms: row.discovered_at_ms,
            budget: self.budget.clone(),
            in_gap: row.gaps.last().is_some_and(|gap| gap.to.is_none()),
            replay: row.replay.clone(),
            vitals: Arc::clone(&self.vitals),
        };
        let reading = Reading::new(
            Arc::clone(&task.shared),
            Arc::clone(&task.pipeline),
            self.inlet.feeder(),
            Arc::clone(&task.touched_ms),
            start,
        );
        self.reading = Some(Box::pin(reading.next()));
    }

    fn absorb_progress(&mut self) {
        let progress = self.inlet.progress.borrow_and_update().clone();
        let now = self.task.shared.machine.now();
        self.vitals.facts().acknowledged(now, progress.completed, progress.oldest_open_ms);
        if let Some(checkpoint) = &progress.checkpoint {
            self.held.advance(checkpoint);
        }
        if let Some(reason) = progress.halted
            && self.held.row.halted_because.is_none()
        {
            self.halt(reason.to_string());
        }
    }

    /// Ends the phase when it is over: finishes the shard, or gives the lease up.
    async fn end_of_phase(&mut self) -> Option<ShardEnd> {
        let now = self.task.shared.machine.now();
        match self.phase {
            Phase::Ending if self.inlet.is_empty() => {
                self.saving = None;
                // The last acknowledgements may have come since: the row must tell of them.
                self.absorb_progress();
                Some(finish::finish(&self.task, &mut self.held).await)
            }
            Phase::Draining { until, may_go_on } => {
                if self.inlet.is_empty() || !may_go_on && (self.inlet.is_halted() || now >= until) {
                    self.saving = None;
                    // What is left is the next owner's to send: with the lease, this worker gives up its lanes (P4).
                    self.inlet.close().await;
                    // As at the shard's end: without them the next owner would send these changes again.
                    self.absorb_progress();
                    return Some(finish::release(&self.task, &mut self.held).await);
                }
                if now >= until {
                    self.call_off();
                }
                None
            }
            _ => None,
        }
    }

    fn obey(&mut self) {
        let course = self.task.course.borrow_and_update().clone();
        let (until, may_go_on) = match course {
            Course::Run => return,
            // A shard at its end, or one that an operator must help, stays.
            Course::HandOver { .. } if !matches!(self.phase, Phase::Reading) => return,
            Course::HandOver { until, .. } => (until, true),
            Course::Stop { until, .. } => (until, false),
        };
        (self.reading, self.waiting) = (None, None);
        self.phase = Phase::Draining { until, may_go_on };
    }

    /// What is under way does not get delivered in time: reading goes on, or one blocked key would hold up the shard.
    fn call_off(&mut self) {
        tracing::info!(
            pipeline = &*self.task.pipeline.name,
            shard = %self.task.key,
            "handing the lease over is called off: its changes under way are not delivered in time"
        );
        self.phase = Phase::Reading;
        self.start_reading();
    }

    /// What reading came upon.
    fn heed(&mut self, reading: Reading, event: Event) {
        let pipeline = &self.task.pipeline;
        match event {
            Event::Ended => self.phase = Phase::Ending,
            Event::Gone(gap) => {
                self.note_gap(gap);
                self.phase = Phase::Ending;
            }
            Event::Halt(reason) => self.halt(reason),
            Event::FirstOfLatest(first) => {
                self.held.row.latest_first = Some(first);
                self.checkpoint_due = self.task.shared.machine.now();
                self.waiting = Some(reading);
            }
            Event::GapBegins(gap) => {
                self.note_gap(gap);
                self.reading = Some(Box::pin(reading.next()));
            }
            Event::GapEnds(first) => {
                tracing::warn!(pipeline = &*pipeline.name, shard = %self.task.key, to = %first, "reading goes on behind the gap");
                self.held.end_gap(first.to_string());
                self.reading = Some(Box::pin(reading.next()));
            }
        }
    }

    fn note_gap(&mut self, gap: Gap) {
        let pipeline = &self.task.pipeline;
        pipeline.metrics.gaps.inc();
        tracing::error!(
            pipeline = &*pipeline.name,
            shard = %self.task.key,
            from = gap.from.as_deref().unwrap_or("the shard's beginning"),
            "changes may be missing: {}", gap.reason
        );
        self.held.note_gap(gap);
        self.checkpoint_due = self.task.shared.machine.now();
    }

    fn halt(&mut self, reason: String) {
        let pipeline = &self.task.pipeline;
        tracing::error!(pipeline = &*pipeline.name, shard = %self.task.key, "the shard is halted: {reason}");
        self.halt = Some(Halt::of(&self.task, &reason));
        self.held.halt(reason);
        (self.reading, self.waiting) = (None, None);
        self.checkpoint_due = self.task.shared.machine.now();
        if !matches!(self.phase, Phase::Draining { may_go_on: false, .. }) {
            self.phase = Phase::Halted;
        }
    }

    fn save_if_due(&mut self) {
        let machine = &self.task.shared.machine;
        let now = machine.now();
        if self.saving.is_some() || !self.held.is_dirty() || now < self.checkpoint_due {
            return;
        }
        match self.held.time_left(&**machine) {
            Some(limit) => self.saving = Some(self.held.save(limit)),
            None => self.checkpoint_due = now + Duration::from_millis(200),
        }
    }

    /// A save came back. False when the lease is lost.
    fn saved(&mut self, result: Result<ShardRow, ApiError>) -> bool {
        let machine = &self.task.shared.machine;
        let pipeline = &self.task.pipeline;
        match result {
            Ok(row) => {
                if row.latest_first.is_some()
                    && let Some(reading) = self.waiting.take()
                {
                    self.reading = Some(Box::pin(reading.next()));
                }
                self.held.saved(row);
                pipeline.metrics.checkpoints.inc();
                self.save_retry.succeeded();
                if let Some(times) = self.save_failures.went_well(machine.now()) {
                    tracing::info!(pipeline = &*pipeline.name, shard = %self.task.key, times, "checkpoints are stored again");
                }
                self.checkpoint_due = machine.now() + self.task.shared.checkpoint_interval;
                true
            }
            Err(error) if error.kind == ErrorKind::ConditionFailed => false,
            Err(error) => {
                pipeline.failed(&error);
                if let Some(times) = self.save_failures.happened(machine.now()) {
                    tracing::warn!(pipeline = &*pipeline.name, shard = %self.task.key, times, "store the checkpoint: {error}");
                }
                self.checkpoint_due = machine.now() + self.save_retry.next(machine.random());
                true
            }
        }
    }

    /// When something is due without anybody telling.
    fn wake(&self) -> Option<MonoTime> {
        let save = (self.saving.is_none() && self.held.is_dirty()).then_some(self.checkpoint_due);
        match self.phase {
            Phase::Draining { until, .. } => Some(save.map_or(until, |save| save.min(until))),
            _ => save,
        }
    }
}

/// Waits for the future while there is one.
async fn when<T>(future: &mut Option<BoxFuture<T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
