//! Discovery: one worker of a fleet keeps a pipeline's rows in step with what DynamoDB lists. It adds the shards that
//! are new, settles parents that are gone, and moves on from a stream that is drained to the next (DESIGN, "Start
//! positions and stream edges"). It reads no records.

mod missing;
mod reconcile;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::pipeline::{Pipeline, Shared};
use crate::config::{SourceOf, Start};
use crate::error::{ApiError, ErrorKind};
use crate::lease::row::{Gap, Owner, ShardKey, StreamEntry, StreamRow};
use crate::lease::store::CALL_TIMEOUT;
use crate::machine::{MonoTime, timeout};
use crate::ops::health::Trouble;
use crate::ops::repeats::Repeats;
use crate::stream::arn::StreamArn;
use crate::stream::lineage::GoneTest;

/// Between sweeps while shards are being read.
const SWEEP_EVERY: Duration = Duration::from_secs(15);
/// Between sweeps while a new stream, a late child or a parent that is not listed is awaited.
const SWEEP_EVERY_WHEN_WAITING: Duration = Duration::from_secs(2);
/// Finished rows are kept at least this long.
const KEEP_FINISHED_MS: u64 = 48 * 3_600 * 1_000;
/// Subtracted from the service's clock at a LATEST iterator: records' times are whole seconds, rounded down.
const LATEST_MARGIN_MS: u64 = 2_000;

/// Keeps one pipeline's rows in step, while this worker owns its discovery.
pub struct Discovery {
    pub shared: Arc<Shared>,
    pub pipeline: Arc<Pipeline>,
    pub me: Owner,
    pub deadline: watch::Receiver<MonoTime>,
    /// The stream row as it is stored.
    pub row: StreamRow,
    /// A write of the row has not been answered: what is stored must be read before anything is concluded from it.
    is_row_unsure: bool,
    /// Told when there may be something new to find.
    pub sweep_now: Arc<Notify>,
    /// Told when rows were added or a stream was drained.
    pub found: Arc<Notify>,
    /// Shards known to be finished, and since when (epoch milliseconds); read once: only a rewind makes them unfinished,
    /// and it ends this discovery.
    finished: BTreeMap<ShardKey, u64>,
    /// When the last listing was asked for. What it lacks, it lacked then: a worker that slept since knows no more.
    asked_at: MonoTime,
    /// The service's clock at the last listing, epoch milliseconds: what it opened and trimmed when, it dates by that.
    listed_at_ms: u64,
    gone: BTreeMap<ShardKey, GoneTest>,
    /// Shards that can be read but stand in no listing yet, and since when.
    unlisted: BTreeMap<ShardKey, MonoTime>,
    failures: Repeats,
    disabled: Repeats,
    trouble: Option<Trouble>,
}

/// What one sweep came upon.
struct Sweep {
    /// Rows were added, or a stream was drained.
    found: bool,
    /// Something is left to read.
    busy: bool,
    /// The newest stream takes no more changes.
    disabled: bool,
    /// A parent must be asked for again at this moment.
    again: Option<MonoTime>,
}

impl Sweep {
    fn ask_again(&mut self, moment: MonoTime) {
        self.again = Some(self.again.map_or(moment, |again| again.min(moment)));
    }
}

/// Why a sweep stopped.
enum Stop {
    /// Another worker owns discovery now.
    NotOwner,
    Failed(ApiError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Stop::Failed(error)
    }
}

impl Discovery {
    pub fn new(
        shared: Arc<Shared>,
        pipeline: Arc<Pipeline>,
        me: Owner,
        deadline: watch::Receiver<MonoTime>,
        row: StreamRow,
        sweep_now: Arc<Notify>,
        found: Arc<Notify>,
    ) -> Self {
        Discovery {
            shared,
            pipeline,
            me,
            deadline,
            row,
            is_row_unsure: false,
            sweep_now,
            found,
            finished: BTreeMap::new(),
            asked_at: MonoTime::default(),
            listed_at_ms: 0,
            gone: BTreeMap::new(),
            unlisted: BTreeMap::new(),
            failures: Repeats::default(),
            disabled: Repeats::default(),
            trouble: None,
        }
    }

    /// Sweeps until another worker owns discovery.
    pub async fn run(mut self) {
        let machine = Arc::clone(&self.shared.machine);
        let mut loaded = false;
        loop {
            let sweep = async {
                if !loaded {
                    let rows = self.shared.store.finished_shards(&self.pipeline.name).await?;
                    self.finished = rows.into_iter().map(|(key, row)| (key, row.finished_at_ms)).collect();
                    loaded = true;
                }
                self.sweep().await
            };
            let pause = match sweep.await {
                Ok(sweep) => {
                    if let Some(times) = self.failures.went_well(machine.now()) {
                        tracing::info!(
                            pipeline = &*self.pipeline.name,
                            times,
                            "the stream's shards are listed again"
                        );
                    }
                    if sweep.found {
                        self.found.notify_one();
                    }
                    self.report_disabled(sweep.disabled && !sweep.busy);
                    let is_waiting = !sweep.busy || sweep.again.is_some();
                    let pause = if is_waiting { SWEEP_EVERY_WHEN_WAITING } else { SWEEP_EVERY };
                    sweep.again.map_or(pause, |again| again.since(machine.now()).min(pause))
                }
                Err(Stop::NotOwner) => {
                    tracing::info!(
                        pipeline = &*self.pipeline.name,
                        "another worker lists the stream's shards from here on"
                    );
                    return;
                }
                Err(Stop::Failed(error)) => {
                    self.pipeline.failed(&error);
                    if let Some(times) = self.failures.happened(machine.now()) {
                        tracing::warn!(
                            pipeline = &*self.pipeline.name,
                            times,
                            "list the stream's shards: {error}"
                        );
                    }
                    SWEEP_EVERY_WHEN_WAITING
                }
            };
            timeout(&*machine, pause, self.sweep_now.notified()).await;
        }
    }

    /// A stream that is disabled and drained leaves nothing to do: that must not look like health.
    fn report_disabled(&mut self, is_over: bool) {
        if !is_over {
            self.disabled = Repeats::default();
            self.trouble = None;
            return;
        }
        let remedy = match self.pipeline.settings.source.of {
            SourceOf::Table(_) => "enable the table's stream again: its new stream is found and followed",
            SourceOf::StreamArn(_) => {
                "a stream that was disabled never comes back: set `stream_arn` to the new one, or `table` to follow the table"
            }
        };
        let what = format!("the stream is disabled and carried to its end; {remedy}");
        if let Some(times) = self.disabled.happened(self.shared.machine.now()) {
            tracing::warn!(pipeline = &*self.pipeline.name, times, "{what}");
        }
        self.trouble.get_or_insert_with(|| {
            self.shared.health.trouble(format!("pipeline {}", self.pipeline.name), what)
        });
    }

    async fn sweep(&mut self) -> Result<Sweep, Stop> {
        if self.is_row_unsure {
            self.read_row().await?;
        }
        let labels = self.pipeline.labels(&self.shared).await?;
        let mut next = self.row.clone();
        let gaps_before = next.gaps.len();
        add_streams(&mut next, &labels, self.first_label_wanted(&labels), self.shared.machine.wall_ms());
        let mut sweep = Sweep { found: false, busy: false, disabled: true, again: None };
        // Before any shard of them: a row of a stream that is not entered would never be taken.
        if next != self.row {
            self.store(next, gaps_before).await?;
            next = self.row.clone();
        }
        let gaps_before = next.gaps.len();
        let streams = next.streams.len();
        for index in 0..streams {
            let Some(entry) = next.streams.get(index).cloned() else { break };
            if entry.drained && !labels.contains(&entry.label) {
                continue;
            }
            let stream = self.arn(&entry.label)?;
            self.asked_at = self.shared.machine.now();
            let listing = self.pipeline.list(&self.shared, &stream).await?;
            self.listed_at_ms = listing.served_at_ms().unwrap_or_else(|| self.shared.machine.wall_ms());
            sweep.disabled = listing.is_disabled();
            if self.is_first_of_latest() && listing.lags_behind(self.listed_at_ms) {
                // What this listing lacks may lie between shards that it has: it cannot tell where the latest begins.
                sweep.busy = true;
                sweep.ask_again(self.shared.machine.now() + SWEEP_EVERY_WHEN_WAITING);
                return Ok(sweep);
            }
            let drained = self.reconcile(&stream, &listing, &entry, &mut sweep).await?;
            if drained && !entry.drained && index + 1 < streams {
                tracing::info!(
                    pipeline = &*self.pipeline.name,
                    stream = entry.label,
                    "the stream is drained"
                );
                if let Some(entry) = next.streams.get_mut(index) {
                    entry.drained = true;
                }
            }
        }
        next.initialized = true;
        if next != self.row {
            self.store(next, gaps_before).await?;
            sweep.found = true;
        }
        Ok(sweep)
    }

    /// With `start = "latest"` the streams before the newest are skipped at the very first start.
    fn first_label_wanted<'a>(&self, labels: &'a BTreeSet<String>) -> Option<&'a str> {
        let skip = !self.row.initialized && self.pipeline.start() == Start::Latest;
        labels.last().filter(|_| skip).map(String::as_str)
    }

    fn arn(&self, label: &str) -> Result<StreamArn, ApiError> {
        self.pipeline
            .stream_arn(label)
            .map_err(|error| ApiError::new("ListStreams", ErrorKind::Invalid, "BadArn", error.to_string()))
    }

    /// Stores the stream row, while this worker owns discovery.
    async fn store(&mut self, mut next: StreamRow, gaps_before: usize) -> Result<(), Stop> {
        let limit = self.deadline.borrow().since(self.shared.machine.now()).min(CALL_TIMEOUT);
        next.revision += 1;
        self.is_row_unsure = true;
        let result = self.shared.store.update_stream_row(&self.pipeline.name, &self.row, &next, limit).await;
        match result {
            Ok(()) => self.row = next,
            Err(error) => {
                // Its effect may have taken place: what is stored decides.
                self.read_row().await?;
                if self.row != next {
                    return Err(error.into());
                }
            }
        }
        self.is_row_unsure = false;
        for gap in self.row.gaps.iter().skip(gaps_before) {
            self.pipeline.metrics.gaps.inc();
            tracing::error!(
                pipeline = &*self.pipeline.name,
                from = gap.from.as_deref().unwrap_or_default(),
                to = gap.to.as_deref().unwrap_or_default(),
                "changes may be missing: {}",
                gap.reason
            );
        }
        Ok(())
    }

    async fn read_row(&mut self) -> Result<(), Stop> {
        match self.shared.store.stream_row(&self.pipeline.name).await? {
            Some(Ok(row)) if row.discovery_owner.as_ref() == Some(&self.me) => self.row = row,
            _ => return Err(Stop::NotOwner),
        }
        self.is_row_unsure = false;
        Ok(())
    }
}

/// Enters streams not known yet, in label order, each behind a gap: between two streams the table had none. Streams
/// before `first_wanted` are entered as drained.
fn add_streams(row: &mut StreamRow, labels: &BTreeSet<String>, first_wanted: Option<&str>, wall_ms: u64) {
    for label in labels {
        if row.streams.iter().any(|stream| stream.label == *label) {
            continue;
        }
        let skipped = first_wanted.is_some_and(|first| label.as_str() < first);
        if let Some(before) = row.streams.last()
            && first_wanted.is_none()
        {
            row.gaps.push(Gap {
                reason: "the table's stream was disabled and enabled again".to_owned(),
                from: Some(before.label.clone()),
                to: Some(label.clone()),
                noticed_at_ms: wall_ms,
            });
        }
        row.streams.push(StreamEntry { label: label.clone(), drained: skipped });
    }
    row.streams.sort_by(|a, b| a.label.cmp(&b.label));
}
