//! The reader of one shard, as decisions: which call comes next and when. It is told what each call came back with; it
//! makes none itself. At most five GetRecords calls begin within any second (DynamoDB's safe limit for a shard).

use std::collections::VecDeque;
use std::time::Duration;

use super::sequence::SequenceNumber;
use super::source::IteratorPosition;
use crate::error::{ApiError, ErrorKind};
use crate::machine::MonoTime;
use crate::retry::Retry;

/// GetRecords calls that may begin within a second.
const CALLS_A_SECOND: usize = 5;
/// A page of this many records, or bytes, was cut off by GetRecords' own limits: more is waiting.
const FULL_RECORDS: usize = 1_000;
const FULL_BYTES: usize = 700 << 10;

/// How often to ask.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// After a page with records.
    pub min: Duration,
    /// The longest pause while pages are empty.
    pub max: Duration,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask for an iterator.
    GetIterator(IteratorPosition),
    /// Ask for records.
    GetRecords(String),
    /// Nothing before this moment.
    Wait(MonoTime),
    /// The shard has ended: everything was read.
    Ended,
}

/// What a failed call means for the shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The reader tries again by itself.
    Passing,
    /// The position is older than the stream's retention.
    Trimmed,
    /// The service knows no such shard.
    NotFound,
}

/// What a page came with.
#[derive(Debug, Clone)]
pub struct PageFacts {
    pub records: usize,
    pub bytes: usize,
    /// The last record's; `None` on an empty page.
    pub last: Option<SequenceNumber>,
    /// `None` when the shard ends with this page.
    pub next_iterator: Option<String>,
}

impl PageFacts {
    /// Whether more is known to wait in the shard.
    pub fn is_cut_off(&self) -> bool {
        (self.records >= FULL_RECORDS || self.bytes >= FULL_BYTES) && self.next_iterator.is_some()
    }
}

/// One shard's reader. `next` gives orders; `granted`, `called`, `read` and `failed` feed facts.
#[derive(Debug)]
pub struct Reader {
    position: IteratorPosition,
    iterator: Option<String>,
    ended: bool,
    pace: Pace,
    /// The pause after the next empty page.
    idle: Duration,
    not_before: MonoTime,
    /// When the last calls began.
    calls: VecDeque<MonoTime>,
    retry: Retry,
}

impl Reader {
    /// Starts at a position, or with an iterator granted earlier.
    pub fn new(position: IteratorPosition, iterator: Option<String>, pace: Pace) -> Self {
        Reader {
            position,
            iterator,
            ended: false,
            pace,
            idle: pace.min,
            not_before: MonoTime::default(),
            calls: VecDeque::with_capacity(CALLS_A_SECOND),
            retry: Retry::new(Duration::from_millis(200), Duration::from_secs(5)),
        }
    }

    pub fn next(&self, now: MonoTime) -> Next {
        if self.ended {
            return Next::Ended;
        }
        if now < self.not_before {
            return Next::Wait(self.not_before);
        }
        let Some(iterator) = &self.iterator else { return Next::GetIterator(self.position.clone()) };
        match self.calls.front() {
            Some(first) if self.calls.len() == CALLS_A_SECOND && now < *first + Duration::from_secs(1) => {
                Next::Wait(*first + Duration::from_secs(1))
            }
            _ => Next::GetRecords(iterator.clone()),
        }
    }

    /// An iterator was granted.
    pub fn granted(&mut self, iterator: String) {
        self.retry.succeeded();
        self.iterator = Some(iterator);
    }

    /// A GetRecords call begins.
    pub fn called(&mut self, now: MonoTime) {
        if self.calls.len() == CALLS_A_SECOND {
            self.calls.pop_front();
        }
        self.calls.push_back(now);
    }

    /// A page was read.
    pub fn read(&mut self, now: MonoTime, page: PageFacts) {
        self.retry.succeeded();
        let is_cut_off = page.is_cut_off();
        if let Some(last) = page.last {
            self.position = IteratorPosition::After(last);
        }
        self.ended = page.next_iterator.is_none();
        self.iterator = page.next_iterator;
        let pause = if is_cut_off {
            self.idle = self.pace.min;
            Duration::ZERO
        } else if page.records > 0 {
            self.idle = self.pace.min;
            self.pace.min
        } else {
            self.idle = (self.idle * 2).min(self.pace.max);
            self.idle
        };
        // From the call's beginning: what it took is part of the period.
        self.not_before = self.calls.back().copied().unwrap_or(now) + pause;
    }

    /// A call failed. After anything but an expired iterator the next attempt waits.
    pub fn failed(&mut self, now: MonoTime, error: &ApiError, random: u64) -> Trouble {
        match error.kind {
            ErrorKind::ExpiredIterator => {
                self.start_over();
                Trouble::Passing
            }
            kind => {
                self.not_before = now + self.retry.next(random);
                match kind {
                    ErrorKind::Trimmed => {
                        self.start_over();
                        Trouble::Trimmed
                    }
                    ErrorKind::NotFound => {
                        self.start_over();
                        Trouble::NotFound
                    }
                    // A service that refuses an iterator as wrong would refuse it for ever.
                    ErrorKind::Invalid => {
                        self.start_over();
                        Trouble::Passing
                    }
                    _ => Trouble::Passing,
                }
            }
        }
    }

    /// Reads on from the oldest record still kept: what lay before is given up.
    pub fn skip_to_horizon(&mut self) {
        self.position = IteratorPosition::TrimHorizon;
        self.iterator = None;
    }

    /// Whether nothing has been read yet from a LATEST iterator.
    pub fn is_at_latest(&self) -> bool {
        self.position == IteratorPosition::Latest
    }

    /// Ends the shard by what a listing says: nothing lies beyond the position.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Nothing is asked before this moment.
    pub fn pause_until(&mut self, moment: MonoTime) {
        self.not_before = self.not_before.max(moment);
    }

    /// The iterator is of no more use. A LATEST one cannot be had again for the same moment: whoever started there
    /// reads from the horizon and leaves out what is older.
    fn start_over(&mut self) {
        self.iterator = None;
        if self.position == IteratorPosition::Latest {
            self.position = IteratorPosition::TrimHorizon;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { min: Duration::from_millis(200), max: Duration::from_secs(1) };

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_origin(Duration::from_millis(ms))
    }

    fn number(n: u64) -> SequenceNumber {
        SequenceNumber::parse(&n.to_string()).expect("digits")
    }

    fn page(records: usize, last: Option<u64>, next: Option<&str>) -> PageFacts {
        PageFacts {
            records,
            bytes: records * 100,
            last: last.map(number),
            next_iterator: next.map(str::to_owned),
        }
    }

    fn reading() -> Reader {
        let mut reader = Reader::new(IteratorPosition::TrimHorizon, None, PACE);
        assert_eq!(reader.next(at(0)), Next::GetIterator(IteratorPosition::TrimHorizon));
        reader.granted("i1".into());
        reader
    }

    fn error(kind: ErrorKind) -> ApiError {
        ApiError::new("GetRecords", kind, "", "")
    }

    #[test]
    fn the_pause_follows_what_the_page_held() {
        let mut reader = reading();
        reader.read(at(0), page(1_000, Some(5), Some("i2")));
        assert_eq!(reader.next(at(0)), Next::GetRecords("i2".into()));
        reader.read(at(0), page(1, Some(6), Some("i3")));
        assert_eq!(reader.next(at(0)), Next::Wait(at(200)));
        for (now, wait) in [(1_000, 400), (2_000, 800), (3_000, 1_000), (5_000, 1_000)] {
            reader.read(at(now), page(0, None, Some("i4")));
            assert_eq!(reader.next(at(now)), Next::Wait(at(now + wait)));
        }
    }

    /// What a call takes is part of the period, not added to it.
    #[test]
    fn the_pause_counts_from_the_calls_beginning() {
        let mut reader = reading();
        reader.called(at(1_000));
        reader.read(at(1_120), page(1, Some(6), Some("i2")));
        assert_eq!(reader.next(at(1_120)), Next::Wait(at(1_200)));
        reader.called(at(1_200));
        reader.read(at(1_700), page(1, Some(7), Some("i3")));
        assert_eq!(reader.next(at(1_700)), Next::GetRecords("i3".into()));
    }

    #[test]
    fn a_page_cut_off_by_its_bytes_is_followed_at_once() {
        let mut reader = reading();
        for (bytes, next) in
            [(700 << 10, Next::GetRecords("i2".into())), ((700 << 10) - 1, Next::Wait(at(200)))]
        {
            reader.read(at(0), PageFacts { bytes, ..page(3, Some(5), Some("i2")) });
            assert_eq!(reader.next(at(0)), next);
        }
    }

    #[test]
    fn never_more_than_five_calls_within_a_second() {
        let mut reader = reading();
        for n in 0..5 {
            assert_eq!(reader.next(at(n * 10)), Next::GetRecords("i1".into()));
            reader.called(at(n * 10));
            reader.read(at(n * 10), page(1_000, Some(n), Some("i1")));
        }
        assert_eq!(reader.next(at(50)), Next::Wait(at(1_000)));
        assert_eq!(reader.next(at(1_000)), Next::GetRecords("i1".into()));
        reader.called(at(1_000));
        assert_eq!(reader.next(at(1_000)), Next::Wait(at(1_010)));
    }

    #[test]
    fn records_may_come_with_the_end() {
        let mut reader = reading();
        reader.read(at(0), page(3, Some(9), None));
        assert_eq!(reader.next(at(0)), Next::Ended);
    }

    #[test]
    fn an_expired_iterator_is_replaced_after_the_last_record_read() {
        let mut reader = reading();
        reader.read(at(0), page(1_000, Some(7), Some("i2")));
        assert_eq!(reader.failed(at(0), &error(ErrorKind::ExpiredIterator), 0), Trouble::Passing);
        assert_eq!(reader.next(at(0)), Next::GetIterator(IteratorPosition::After(number(7))));
    }

    #[test]
    fn an_expired_latest_iterator_goes_back_to_the_horizon() {
        let mut reader = Reader::new(IteratorPosition::Latest, Some("l".into()), PACE);
        assert_eq!(reader.next(at(0)), Next::GetRecords("l".into()));
        reader.failed(at(0), &error(ErrorKind::ExpiredIterator), 0);
        assert_eq!(reader.next(at(0)), Next::GetIterator(IteratorPosition::TrimHorizon));
    }

    #[test]
    fn passing_trouble_keeps_the_iterator_and_waits_longer_each_time() {
        let mut reader = reading();
        assert_eq!(reader.failed(at(0), &error(ErrorKind::Throttled), 0), Trouble::Passing);
        assert_eq!(reader.next(at(0)), Next::Wait(at(100)));
        assert_eq!(reader.next(at(100)), Next::GetRecords("i1".into()));
        reader.failed(at(100), &error(ErrorKind::Transient), 0);
        assert_eq!(reader.next(at(100)), Next::Wait(at(300)));
    }

    #[test]
    fn an_iterator_refused_as_wrong_is_replaced_after_the_last_record_read() {
        let mut reader = reading();
        reader.read(at(0), page(1_000, Some(7), Some("i2")));
        assert_eq!(reader.failed(at(0), &error(ErrorKind::Invalid), 0), Trouble::Passing);
        assert_eq!(reader.next(at(100)), Next::GetIterator(IteratorPosition::After(number(7))));
    }

    #[test]
    fn it_stays_at_latest_until_a_record_was_read() {
        let mut reader = Reader::new(IteratorPosition::Latest, Some("l".into()), PACE);
        reader.read(at(0), page(0, None, Some("l2")));
        assert!(reader.is_at_latest());
        reader.read(at(1_000), page(1, Some(7), Some("l3")));
        assert!(!reader.is_at_latest());
    }

    #[test]
    fn a_listing_can_end_the_shard() {
        let mut reader = reading();
        reader.end();
        assert_eq!(reader.next(at(0)), Next::Ended);
    }

    #[test]
    fn a_pause_only_ever_grows() {
        let mut reader = reading();
        reader.pause_until(at(500));
        reader.pause_until(at(300));
        assert_eq!(reader.next(at(499)), Next::Wait(at(500)));
        assert_eq!(reader.next(at(500)), Next::GetRecords("i1".into()));
    }

    #[test]
    fn a_shard_not_found_or_trimmed_is_reported() {
        let mut reader = reading();
        reader.read(at(0), page(1_000, Some(7), Some("i2")));
        assert_eq!(reader.failed(at(0), &error(ErrorKind::NotFound), 0), Trouble::NotFound);
        assert_eq!(reader.failed(at(0), &error(ErrorKind::Trimmed), 0), Trouble::Trimmed);
        reader.skip_to_horizon();
        assert_eq!(reader.next(at(10_000)), Next::GetIterator(IteratorPosition::TrimHorizon));
    }
}
