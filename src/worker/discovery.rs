//! Discovery: one worker of a fleet keeps a pipeline's rows in step with what DynamoDB lists. It adds the shards that
//! are new, settles parents that are gone, and moves on from a stream that is drained to the next (DESIGN, "Start
//! positions and stream edges"). It reads no records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::finish::{late_shard_row, new_shard_row, say_gaps};
use super::pipeline::{Pipeline, READ_TIMEOUT, Shared};
use crate::config::{SourceOf, Start};
use crate::error::{ApiError, ErrorKind};
use crate::lease::row::{FinishedRow, Gap, Owner, ShardKey, ShardRow, StreamEntry, StreamRow};
use crate::lease::store::CALL_TIMEOUT;
use crate::machine::{MonoTime, timeout};
use crate::ops::health::Trouble;
use crate::ops::repeats::Repeats;
use crate::stream::arn::StreamArn;
use crate::stream::lineage::{self, GONE_AFTER, Gone, GoneTest, Listing};
use crate::stream::source::{IteratorPosition, ListedShard, ShardId, ShardIterator};

/// Between sweeps while shards are being read.
const SWEEP_EVERY: Duration = Duration::from_secs(15);
/// Between sweeps while the pipeline has nothing to read: a new stream or a late child is awaited.
const SWEEP_EVERY_WHEN_IDLE: Duration = Duration::from_secs(2);
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
    /// The stream row as this worker last stored it.
    pub row: StreamRow,
    /// Told when there may be something new to find.
    pub sweep_now: Arc<Notify>,
    /// Told when rows were added or a stream was drained.
    pub found: Arc<Notify>,
    /// Shards known to be finished, and since when (epoch milliseconds); read once, since finished is for ever.
    finished: BTreeMap<ShardKey, u64>,
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
            sweep_now,
            found,
            finished: BTreeMap::new(),
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
                    if let Some(times) = self.failures.over() {
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
                    let pause = if sweep.busy { SWEEP_EVERY } else { SWEEP_EVERY_WHEN_IDLE };
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
                    SWEEP_EVERY_WHEN_IDLE
                }
            };
            timeout(&*machine, pause, self.sweep_now.notified()).await;
        }
    }

    /// A stream that is disabled and drained leaves nothing to do: that must not look like health.
    fn report_disabled(&mut self, is_over: bool) {
        if !is_over {
            self.disabled.over();
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
        let labels = self.labels().await?;
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
            let listing = self.pipeline.list(&self.shared, &stream).await?;
            sweep.disabled = listing.is_disabled();
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

    /// The streams that DynamoDB lists, by label.
    async fn labels(&self) -> Result<BTreeSet<String>, ApiError> {
        const API: &str = "ListStreams";
        let table = match &self.pipeline.settings.source.of {
            SourceOf::StreamArn(arn) => return Ok(BTreeSet::from([arn_label(arn)])),
            SourceOf::Table(_) => self.pipeline.settings.source.of.table_name(),
        };
        let mut labels = BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let call = self.pipeline.source.list_streams(table, after.as_deref());
            let page = timeout(&*self.shared.machine, READ_TIMEOUT, call).await;
            let page = page.unwrap_or_else(|| Err(ApiError::timeout(API, READ_TIMEOUT)))?;
            // One emulator lists the streams of every table.
            let own = page.streams.into_iter().filter(|stream| stream.table_name == table);
            labels.extend(own.map(|stream| stream.label));
            after = page.last_evaluated;
            if after.is_none() {
                return Ok(labels);
            }
        }
    }

    /// With `start = "latest"` the streams before the newest are skipped at the very first start.
    fn first_label_wanted<'a>(&self, labels: &'a BTreeSet<String>) -> Option<&'a str> {
        let skip = !self.row.initialized && self.pipeline.settings.source.start == Start::Latest;
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
        let result = self.shared.store.update_stream_row(&self.pipeline.name, &self.row, &next, limit).await;
        if let Err(error) = result {
            // Its effect may have taken place: what is stored decides.
            match self.shared.store.stream_row(&self.pipeline.name).await? {
                Some(Ok(row)) if row.discovery_owner.as_ref() == Some(&self.me) => self.row = row,
                _ => return Err(Stop::NotOwner),
            }
            if self.row != next {
                return Err(error.into());
            }
        }
        for gap in next.gaps.iter().skip(gaps_before) {
            self.pipeline.metrics.gaps.inc();
            tracing::error!(
                pipeline = &*self.pipeline.name,
                from = gap.from.as_deref().unwrap_or_default(),
                to = gap.to.as_deref().unwrap_or_default(),
                "changes may be missing: {}",
                gap.reason
            );
        }
        self.row = next;
        Ok(())
    }

    /// Adds what the listing has and the lease table lacks. True when every shard of the stream is finished.
    async fn reconcile(
        &mut self,
        stream: &StreamArn,
        listing: &Listing,
        entry: &StreamEntry,
        sweep: &mut Sweep,
    ) -> Result<bool, ApiError> {
        let pipeline = Arc::clone(&self.pipeline);
        // Read after the listing: a shard finished in between is in neither, and its new row is refused.
        let rows = self.shared.store.shards(&pipeline.name).await?;
        let rows = || rows.iter().filter(|(key, _)| key.label == entry.label);
        let mut unfinished: BTreeSet<ShardKey> = rows().map(|(key, _)| key.clone()).collect();
        // Parents that no listing shows, by what their children say, listed or not.
        let mut parents = listing.missing_parents();
        for (key, row) in rows().filter_map(|(key, row)| Some((key, row.as_ref().ok()?))) {
            let unknown =
                row.parents.iter().filter(|parent| !row.parents_finished && listing.get(parent).is_none());
            parents.extend(unknown.map(|parent| (parent.clone(), key.shard.clone())));
        }
        let latest = rows().filter(|(_, row)| row.as_ref().is_ok_and(|row| row.latest_from_ms.is_some()));
        let latest = latest.map(|(key, _)| key.shard.clone()).collect();
        let skipped = self.before_latest(listing, entry, &unfinished, latest).await?;
        for shard in listing.shards() {
            let key = ShardKey::new(&entry.label, &shard.id);
            if unfinished.contains(&key) || self.finished.contains_key(&key) {
                continue;
            }
            if skipped.contains(&shard.id) {
                self.add_skipped(&key, shard, self.shared.machine.wall_ms()).await?;
            } else if self.add(stream, listing, shard, entry, &unfinished).await? {
                unfinished.insert(key);
            }
            sweep.found = true;
        }
        self.unlisted.retain(|key, _| key.label != entry.label || parents.contains_key(&key.shard));
        for (parent, child) in &parents {
            let key = ShardKey::new(&entry.label, parent);
            if !unfinished.contains(&key)
                && !self.finished.contains_key(&key)
                && !self.is_finished(&key).await?
            {
                let is_skipped = skipped.contains(parent) || self.is_first_of_latest();
                self.settle_missing(stream, &key, child, is_skipped, sweep).await?;
                unfinished.insert(key);
            }
        }
        self.forget_finished(listing, entry, &parents).await?;
        sweep.busy |= !unfinished.is_empty();
        Ok(unfinished.is_empty())
    }

    /// The very first listing, with `start = "latest"`.
    fn is_first_of_latest(&self) -> bool {
        !self.row.initialized && self.pipeline.settings.source.start == Start::Latest
    }

    /// `start = "latest"`: ancestors, listed late, of shards that are done or were entered at their latest (`entered`).
    /// They lie before the start; read now, their changes would come after those of their children (P2).
    async fn before_latest(
        &mut self,
        listing: &Listing,
        entry: &StreamEntry,
        unfinished: &BTreeSet<ShardKey>,
        mut entered: Vec<ShardId>,
    ) -> Result<BTreeSet<ShardId>, ApiError> {
        let mut before = BTreeSet::new();
        if self.pipeline.settings.source.start != Start::Latest {
            return Ok(before);
        }
        for shard in listing.shards() {
            let key = ShardKey::new(&entry.label, &shard.id);
            let is_known = unfinished.contains(&key);
            if !is_known && (self.finished.contains_key(&key) || self.is_finished(&key).await?) {
                entered.push(shard.id.clone());
            }
        }
        while let Some(shard) = entered.pop() {
            if let Some(parent) = listing.get(&shard).and_then(|shard| shard.parent.clone())
                && before.insert(parent.clone())
            {
                entered.push(parent);
            }
        }
        Ok(before)
    }

    async fn is_finished(&mut self, key: &ShardKey) -> Result<bool, ApiError> {
        let finished = self.shared.store.is_finished(&self.pipeline.name, key).await?;
        if finished {
            self.finished.insert(key.clone(), self.shared.machine.wall_ms());
        }
        Ok(finished)
    }

    /// Adds a listed shard's row. True when it is there now, unfinished.
    async fn add(
        &mut self,
        stream: &StreamArn,
        listing: &Listing,
        shard: &ListedShard,
        entry: &StreamEntry,
        unfinished: &BTreeSet<ShardKey>,
    ) -> Result<bool, ApiError> {
        let key = ShardKey::new(&entry.label, &shard.id);
        let wall_ms = self.shared.machine.wall_ms();
        let parent = shard.parent.as_ref().map(|parent| ShardKey::new(&entry.label, parent));
        let parent_unfinished = parent.as_ref().is_some_and(|parent| unfinished.contains(parent));
        let first_listing = self.is_first_of_latest();
        // A shard behind one that an interrupted first start already entered is read whole, or there would be a hole.
        if first_listing && !parent_unfinished {
            if listing.is_closed(shard) || entry.drained {
                return self.add_skipped(&key, shard, wall_ms).await;
            }
            return self.add_latest(stream, &key, shard).await;
        }
        let parents_finished = match &parent {
            Some(parent) => self.finished.contains_key(parent),
            None => true,
        };
        self.create(&key, self.new_row(shard, parents_finished, wall_ms)).await
    }

    /// `start = "latest"`: a shard that was closed before the first start.
    async fn add_skipped(
        &mut self,
        key: &ShardKey,
        shard: &ListedShard,
        wall_ms: u64,
    ) -> Result<bool, ApiError> {
        let parents = shard.parent.clone().into_iter().collect();
        let row =
            FinishedRow { checkpoint: shard.ending.clone(), finished_at_ms: wall_ms, parents, gaps: vec![] };
        match self
            .shared
            .store
            .create_finished(&self.pipeline.name, key, &row, self.row.discovery_epoch)
            .await
        {
            Ok(()) => {
                self.finished.insert(key.clone(), self.shared.machine.wall_ms());
                Ok(false)
            }
            Err(error) if error.kind == ErrorKind::ConditionFailed => Ok(!self.is_finished(key).await?),
            Err(error) => Err(error),
        }
    }

    /// `start = "latest"`: a shard that is open at the first start.
    async fn add_latest(
        &mut self,
        stream: &StreamArn,
        key: &ShardKey,
        shard: &ListedShard,
    ) -> Result<bool, ApiError> {
        let iterator = self.iterator(stream, &shard.id, &IteratorPosition::Latest).await?;
        let wall_ms = self.shared.machine.wall_ms();
        // What lies before the moment is left out on purpose, the parents with it.
        let mut row = new_shard_row(shard, true, wall_ms);
        row.latest_from_ms = Some(iterator.served_at_ms.unwrap_or(wall_ms).saturating_sub(LATEST_MARGIN_MS));
        self.pipeline.keep_latest(key.clone(), iterator.token);
        self.create(key, row).await
    }

    /// What retention had passed at the very first listing is before our time; later it is a possible gap.
    fn new_row(&self, shard: &ListedShard, parents_finished: bool, wall_ms: u64) -> ShardRow {
        if self.row.initialized {
            late_shard_row(shard, parents_finished, wall_ms)
        } else {
            new_shard_row(shard, parents_finished, wall_ms)
        }
    }

    async fn create(&mut self, key: &ShardKey, row: ShardRow) -> Result<bool, ApiError> {
        match self.shared.store.create_shard(&self.pipeline.name, key, &row, self.row.discovery_epoch).await {
            Ok(()) => {
                tracing::info!(pipeline = &*self.pipeline.name, shard = %key, "a new shard");
                say_gaps(&self.pipeline, key, &row.gaps);
                Ok(true)
            }
            Err(error) if error.kind == ErrorKind::ConditionFailed => Ok(!self.is_finished(key).await?),
            Err(error) => Err(error),
        }
    }

    async fn iterator(
        &self,
        stream: &StreamArn,
        shard: &ShardId,
        position: &IteratorPosition,
    ) -> Result<ShardIterator, ApiError> {
        const API: &str = "GetShardIterator";
        let call = self.pipeline.source.get_shard_iterator(stream, shard, position);
        let answer = timeout(&*self.shared.machine, READ_TIMEOUT, call).await;
        answer.unwrap_or_else(|| Err(ApiError::timeout(API, READ_TIMEOUT)))
    }

    /// A parent that is neither listed nor known: it is read if it still can be, else finished once it is gone for
    /// certain, so that its children never wait for ever.
    async fn settle_missing(
        &mut self,
        stream: &StreamArn,
        key: &ShardKey,
        child: &ShardId,
        is_skipped: bool,
        sweep: &mut Sweep,
    ) -> Result<(), ApiError> {
        let listed = ListedShard { id: key.shard.clone(), parent: None, starting: None, ending: None };
        let wall_ms = self.shared.machine.wall_ms();
        // Before the start with `latest` there is nothing to want from a parent.
        if is_skipped {
            self.add_skipped(key, &listed, wall_ms).await?;
            return Ok(());
        }
        loop {
            match self.iterator(stream, &key.shard, &IteratorPosition::TrimHorizon).await {
                Ok(_) => {
                    self.gone.remove(key);
                    if let Some(moment) = self.await_listing(key, lineage::is_old(child, wall_ms)) {
                        sweep.ask_again(moment);
                        return Ok(());
                    }
                    self.unlisted.remove(key);
                    self.create(key, self.new_row(&listed, true, wall_ms)).await?;
                    sweep.found = true;
                    return Ok(());
                }
                Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Trimmed) => {}
                Err(error) => return Err(error),
            }
            let now = self.shared.machine.now();
            let test = self.gone.entry(key.clone()).or_default();
            match test.refused(now, lineage::is_old(child, wall_ms)) {
                Gone::Yes => break,
                Gone::AskAgain(moment) if moment <= now => {}
                Gone::AskAgain(moment) => {
                    sweep.ask_again(moment);
                    return Ok(());
                }
            }
        }
        self.gone.remove(key);
        self.finish_gone(key, wall_ms).await?;
        sweep.found = true;
        Ok(())
    }

    /// A shard that can be read but is not listed: the next listing will show it, with its own parent, which comes first
    /// (P3). `None` once it was awaited long enough: one more listing, and a minute unless its child is older.
    fn await_listing(&mut self, key: &ShardKey, has_old_child: bool) -> Option<MonoTime> {
        let now = self.shared.machine.now();
        let Some(since) = self.unlisted.get(key).copied() else {
            self.unlisted.insert(key.clone(), now);
            return Some(if has_old_child { now } else { now + GONE_AFTER });
        };
        (!has_old_child && now.since(since) < GONE_AFTER).then(|| since + GONE_AFTER)
    }

    /// Before the first listing was stored, what is gone is simply before our time; later it is a possible gap.
    async fn finish_gone(&mut self, key: &ShardKey, wall_ms: u64) -> Result<(), ApiError> {
        let gap = Gap {
            reason: "the shard was gone before it was first seen".to_owned(),
            from: None,
            to: None,
            noticed_at_ms: wall_ms,
        };
        let gaps: Vec<Gap> = self.row.initialized.then_some(gap).into_iter().collect();
        say_gaps(&self.pipeline, key, &gaps);
        let row = FinishedRow { checkpoint: None, finished_at_ms: wall_ms, parents: vec![], gaps };
        match self
            .shared
            .store
            .create_finished(&self.pipeline.name, key, &row, self.row.discovery_epoch)
            .await
        {
            Ok(()) => {
                self.finished.insert(key.clone(), self.shared.machine.wall_ms());
                Ok(())
            }
            Err(error) if error.kind == ErrorKind::ConditionFailed => self.is_finished(key).await.map(drop),
            Err(error) => Err(error),
        }
    }

    /// Forgets finished shards that are old, no longer listed, and nobody's parent any more.
    async fn forget_finished(
        &mut self,
        listing: &Listing,
        entry: &StreamEntry,
        needed: &BTreeMap<ShardId, ShardId>,
    ) -> Result<(), ApiError> {
        let wall_ms = self.shared.machine.wall_ms();
        let of_no_use = |key: &ShardKey, finished_at_ms: u64| {
            key.label == entry.label
                && finished_at_ms.saturating_add(KEEP_FINISHED_MS) < wall_ms
                && listing.get(&key.shard).is_none()
                && !needed.contains_key(&key.shard)
        };
        let forgotten: Vec<ShardKey> = self
            .finished
            .iter()
            .filter(|(key, finished_at_ms)| of_no_use(key, **finished_at_ms))
            .map(|(key, _)| key.clone())
            .collect();
        for key in forgotten {
            self.shared.store.forget_finished(&self.pipeline.name, &key).await?;
            self.finished.remove(&key);
        }
        Ok(())
    }
}

fn arn_label(arn: &str) -> String {
    arn.rsplit_once("/stream/").map_or_else(String::new, |(_, label)| label.to_owned())
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
