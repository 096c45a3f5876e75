//! Reading one shard: the loop that asks for pages, encodes their changes and hands them to the writer. It decides
//! little (that is [`Reader`]'s) and stores nothing; what the shard's lease must hear it returns as an [`Event`].

mod in_vain;
mod trouble;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;

use super::pipeline::{PAGE_BYTES, Pipeline, READ_TIMEOUT, Shared};
use crate::delivery::appetite::{Amount, Portion};
use crate::delivery::inlet::{Feeder, More, Submission, to_be_sent};
use crate::delivery::memory::{Budget, Reservation};
use crate::delivery::watermark::PLACE_BYTES;
use crate::error::{ApiError, ErrorKind};
use crate::lease::order::Replay;
use crate::lease::row::Gap;
use crate::machine::{MonoTime, sleep_until, timeout};
use crate::ops::repeats::Repeats;
use crate::ops::vitals::{AT_REST, Doing, Vitals};
use crate::record::envelope::Encoder;
use crate::stream::SequenceNumber;
use crate::stream::arn::StreamArn;
use crate::stream::lineage::GoneTest;
use crate::stream::page::{Page, StreamRecord};
use crate::stream::reader::{Next, PageFacts, Reader};
use crate::stream::retention::Unread;
use crate::stream::source::{IteratorPosition, ShardId};

/// What a buffered change costs besides its payload and key: its sequence number, its lane, its place in the watermark,
/// its turn (`cargo bench --bench memory` shows whether that holds).
const CHANGE_OVERHEAD_BYTES: usize = 512;
/// What an allocator loses of a payload, by rounding it up and by gaps too small for the next: up to a quarter.
const LOST_OF: usize = 4;

/// Behind so much time a page is not counted any more as one that is on its way.
const LATE: Duration = Duration::from_secs(1);

/// What the shard's lease must hear.
#[derive(Debug)]
pub enum Event {
    /// Everything was read.
    Ended,
    /// The first change that `start = "latest"` wants: to be stored before any is sent.
    FirstOfLatest(SequenceNumber),
    /// Changes may be missing from here; reading goes on behind them.
    GapBegins(Gap),
    /// The first change read after the gap.
    GapEnds(SequenceNumber),
    /// The shard itself is gone, with what was not read of it.
    Gone(Gap),
    /// An operator must help.
    Halt(String),
}

/// One shard being read.
pub struct Reading {
    pub shared: Arc<Shared>,
    pub pipeline: Arc<Pipeline>,
    pub stream: StreamArn,
    pub shard: ShardId,
    pub reader: Reader,
    pub encoder: Encoder,
    pub feeder: Feeder,
    /// Leaves out the leading run of changes made before this moment (epoch milliseconds).
    pub latest_from_ms: Option<u64>,
    /// Leaves out the leading run of changes before this one; outweighs the moment.
    pub latest_first: Option<SequenceNumber>,
    /// The last change read.
    pub last_read: Option<SequenceNumber>,
    /// Set until a change was read: retention may pass some before.
    unread: Option<Unread>,
    /// A gap was noted and no change has been read since.
    pub in_gap: bool,
    /// When this loop last moved, on the machine's clock in milliseconds; [`AT_REST`] while it waits with good reason.
    pub touched_ms: Arc<AtomicU64>,
    vitals: Arc<Vitals>,
    budget: Budget,
    gone: GoneTest,
    failures: Repeats,
    /// The stream's view type was looked at.
    knows_view_type: bool,
    /// What the next page will bring: as much as the last one, where that was cut off.
    expected: Amount,
}

/// What a reading starts with.
pub struct Start {
    pub stream: StreamArn,
    pub shard: ShardId,
    pub checkpoint: Option<SequenceNumber>,
    pub latest_from_ms: Option<u64>,
    pub latest_first: Option<SequenceNumber>,
    /// A LATEST iterator granted a moment ago.
    pub latest_iterator: Option<String>,
    pub discovered_at_ms: u64,
    pub in_gap: bool,
    /// The shard's part of the pipeline's memory: the same for every reading of it, since what an earlier one read may
    /// still be under way.
    pub budget: Budget,
    pub replay: Option<Replay>,
    pub vitals: Arc<Vitals>,
}

impl Reading {
    pub fn new(
        shared: Arc<Shared>,
        pipeline: Arc<Pipeline>,
        feeder: Feeder,
        touched_ms: Arc<AtomicU64>,
        start: Start,
    ) -> Self {
        use crate::stream::reader::Pace;
        let settings = &pipeline.settings.source;
        let pace = Pace { min: settings.poll_interval_min, max: settings.poll_interval_max };
        let position = match (&start.checkpoint, &start.latest_iterator) {
            (Some(checkpoint), _) => IteratorPosition::After(checkpoint.clone()),
            (None, Some(_)) => IteratorPosition::Latest,
            (None, None) => IteratorPosition::TrimHorizon,
        };
        let iterator = start.latest_iterator.filter(|_| position == IteratorPosition::Latest);
        let carried_until_ms = start.replay.as_ref().and_then(|replay| replay.carried_until_ms);
        let from_ms = start.latest_from_ms.or(carried_until_ms);
        let unread = Unread::new(&start.shard, from_ms, start.discovered_at_ms);
        let encoder = pipeline.encoder(start.stream.clone(), start.replay.as_ref());
        Reading {
            shared,
            pipeline,
            stream: start.stream,
            shard: start.shard,
            reader: Reader::new(position, iterator, pace),
            encoder,
            feeder,
            latest_from_ms: start.latest_from_ms.filter(|_| start.latest_first.is_none()),
            latest_first: start.latest_first.filter(|first| start.checkpoint.as_ref() < Some(first)),
            unread: start.checkpoint.is_none().then_some(unread),
            last_read: start.checkpoint,
            in_gap: start.in_gap,
            touched_ms,
            vitals: start.vitals,
            budget: start.budget,
            gone: GoneTest::default(),
            failures: Repeats::default(),
            knows_view_type: false,
            expected: Amount::default(),
        }
    }

    /// Reads until the lease must hear of something.
    pub async fn next(mut self) -> (Self, Event) {
        self.vitals.facts().doing(Doing::Reading);
        loop {
            self.moves();
            let now = self.shared.machine.now();
            let event = match self.reader.next(now) {
                Next::Ended => Some(Event::Ended),
                Next::Wait(until) => {
                    self.rests();
                    sleep_until(&*self.shared.machine, until).await;
                    None
                }
                Next::GetIterator(position) => self.get_iterator(&position).await,
                Next::GetRecords(iterator) => self.get_records(&iterator).await,
            };
            if let Some(event) = event {
                return (self, event);
            }
        }
    }

    fn moves(&self) {
        self.touched_ms.store(self.shared.machine.now().as_millis(), Ordering::Release);
    }

    fn rests(&self) {
        self.touched_ms.store(AT_REST, Ordering::Release);
    }

    async fn get_iterator(&mut self, position: &IteratorPosition) -> Option<Event> {
        const API: &str = "GetShardIterator";
        let call = self.pipeline.source.get_shard_iterator(&self.stream, &self.shard, position);
        let answer = timeout(&*self.shared.machine, READ_TIMEOUT, call).await;
        match answer.unwrap_or_else(|| Err(ApiError::timeout(API, READ_TIMEOUT))) {
            Ok(iterator) => {
                self.gone.seen();
                self.reader.granted(iterator.token);
                let now_ms = iterator.served_at_ms.unwrap_or_else(|| self.shared.machine.wall_ms());
                let may_be_trimmed = self.unread.is_some_and(|unread| unread.may_be_trimmed(now_ms));
                if *position == IteratorPosition::TrimHorizon && may_be_trimmed && !self.in_gap {
                    return self.gap("the shard was not read within the stream's retention of 24 hours");
                }
                None
            }
            Err(error) => self.trouble(error).await,
        }
    }

    async fn get_records(&mut self, iterator: &str) -> Option<Event> {
        const API: &str = "GetRecords";
        let (reservation, portion) = self.leave_to_read().await;
        let mut portion = Some(portion);
        let machine = Arc::clone(&self.shared.machine);
        let asked_at;
        let answer = {
            // The semaphore is never closed.
            let _turn = self.shared.get_records.acquire().await;
            self.moves();
            asked_at = machine.now();
            self.reader.called(asked_at);
            self.pipeline.metrics.get_records_calls.inc();
            let mut call = self.pipeline.source.get_records(iterator);
            match timeout(&*machine, LATE, &mut call).await {
                None => {
                    // A shard that hangs keeps no other from reading, nor the next time.
                    portion = None;
                    self.expected = Amount::default();
                    timeout(&*machine, READ_TIMEOUT - LATE, call).await
                }
                answer => answer,
            }
        };
        match answer.unwrap_or_else(|| Err(ApiError::timeout(API, READ_TIMEOUT))) {
            Ok(body) => self.take_page(body, reservation, portion, asked_at).await,
            Err(error) => {
                drop((reservation, portion));
                self.expected = Amount::default();
                self.trouble(error).await
            }
        }
    }

    /// Waits until a page may be asked for: the writer wants it, and there is memory for it.
    async fn leave_to_read(&self) -> (Reservation, Portion) {
        let facts = || self.vitals.facts();
        self.rests();
        facts().doing(Doing::WaitingForDelivery);
        let mut portion = self.feeder.wanted(self.expected).await;
        facts().doing(Doing::WaitingForMemory);
        let reservation = match self.budget.reserve(PAGE_BYTES).now_or_never() {
            Some(reservation) => reservation,
            None => {
                // Who waits for memory keeps nobody else from reading.
                drop(portion);
                let reservation = self.budget.reserve(PAGE_BYTES).await;
                facts().doing(Doing::WaitingForDelivery);
                portion = self.feeder.wanted(self.expected).await;
                reservation
            }
        };
        facts().doing(Doing::Reading);
        (reservation, portion)
    }

    async fn take_page(
        &mut self,
        body: Bytes,
        reservation: Reservation,
        mut portion: Option<Portion>,
        asked_at: MonoTime,
    ) -> Option<Event> {
        let page = match Page::parse(&body) {
            Ok(page) => page,
            // Never skipped: the same iterator is asked again, and the trouble is seen and said.
            Err(error) => {
                let error =
                    ApiError::new("GetRecords", ErrorKind::Transient, "UnreadableAnswer", error.to_string());
                drop((reservation, portion));
                return self.trouble(error).await;
            }
        };
        self.over_trouble();
        if let Some(first) = self.first_of_latest(&page.records) {
            // The same iterator gives the page again.
            self.latest_first = Some(first.clone());
            return Some(Event::FirstOfLatest(first));
        }
        let limit_bytes = {
            let mut limit = pin!(self.pipeline.record_limit(&*self.shared.machine, &page.records));
            match limit.as_mut().now_or_never() {
                Some(limit_bytes) => limit_bytes,
                None => {
                    // Kinesis is asked, which may take its time.
                    portion = None;
                    limit.await
                }
            }
        };
        self.encoder.limit_to(limit_bytes);
        self.tell_what_is_asked_in_vain(&page.records);
        let last_made_ms = page.records.last().map(|record| record.created_at_ms);
        let (changes, refused) = self.encode(&page.records, reservation);
        self.pipeline.metrics.changes_read.inc_by(page.records.len() as u64);
        let first = page.records.first().map(|record| record.sequence_number.clone());
        let facts = PageFacts {
            records: page.records.len(),
            bytes: body.len(),
            last: page.records.last().map(|record| record.sequence_number.clone()),
            next_iterator: page.next_iterator.map(std::borrow::Cow::into_owned),
        };
        let is_cut_off = facts.is_cut_off() || refused.is_some();
        let more = if facts.is_cut_off() && refused.is_none() { More::Follows } else { More::Unknown };
        self.expected = match more {
            More::Follows => to_be_sent(&changes),
            More::Unknown => Amount::default(),
        };
        let total = self.feeder.submit(changes, more, portion).await;
        let now = self.shared.machine.now();
        {
            let mut vitals = self.vitals.facts();
            vitals.submitted(now, total);
            vitals.page(now, asked_at, is_cut_off, last_made_ms);
        }
        if facts.last.is_some() {
            self.last_read.clone_from(&facts.last);
            self.unread = None;
        }
        self.reader.read(self.shared.machine.now(), facts);
        if let Some(reason) = refused {
            return Some(Event::Halt(reason));
        }
        let first = first.filter(|_| self.in_gap)?;
        self.in_gap = false;
        Some(Event::GapEnds(first))
    }

    /// The first change to be carried, when the page has it and it is not known yet: behind a LATEST iterator any, at the
    /// horizon the first that is not older than the moment.
    fn first_of_latest(&self, records: &[StreamRecord<'_>]) -> Option<SequenceNumber> {
        let from_ms = if self.reader.is_at_latest() { 0 } else { self.latest_from_ms? };
        let mut wanted = records.iter().filter(|record| record.created_at_ms >= from_ms);
        wanted.next().filter(|_| self.latest_first.is_none()).map(|first| first.sequence_number.clone())
    }

    /// The page's changes as the writer takes them, up to the first that cannot be written, and why it cannot.
    fn encode(
        &mut self,
        records: &[StreamRecord<'_>],
        mut reservation: Reservation,
    ) -> (Vec<Submission>, Option<String>) {
        let mut changes = Vec::with_capacity(records.len());
        let mut draft = Vec::new();
        for record in records {
            let (sequence_number, created_at_ms) = (record.sequence_number.clone(), record.created_at_ms);
            let is_before = match (&self.latest_first, self.latest_from_ms) {
                (Some(first), _) => sequence_number < *first,
                (None, Some(moment)) => created_at_ms < moment,
                (None, None) => false,
            };
            if is_before {
                let memory = reservation.split(PLACE_BYTES);
                changes.push(Submission::Exclude { sequence_number, created_at_ms, memory });
                continue;
            }
            (self.latest_first, self.latest_from_ms) = (None, None);
            let encoded = match self.encoder.encode(record, &mut draft) {
                Ok(Some(encoded)) => encoded,
                Ok(None) => {
                    let memory = reservation.split(PLACE_BYTES);
                    changes.push(Submission::Exclude { sequence_number, created_at_ms, memory });
                    continue;
                }
                Err(error) => {
                    return (changes, Some(format!("the change {sequence_number} cannot be sent: {error}")));
                }
            };
            if !encoded.truncated.is_empty() {
                self.pipeline.metrics.truncated.inc();
                tracing::warn!(
                    pipeline = &*self.pipeline.name,
                    shard = %self.shard,
                    %sequence_number,
                    limit_bytes = self.encoder.limit_bytes(),
                    "a change is too large for the target stream and goes without an image; raise the stream's MaxRecordSizeInKiB to keep it"
                );
            }
            let entry = encoded.entry;
            let bytes = entry.size_bytes();
            let memory = reservation.split(bytes + bytes / LOST_OF + CHANGE_OVERHEAD_BYTES);
            changes.push(Submission::Deliver { sequence_number, created_at_ms, entry, memory });
        }
        (changes, None)
    }
}
