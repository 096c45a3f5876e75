//! A held shard's vitals: how far reading and delivery of it are, as its task reports them. Figures and health are judged
//! from them. Pure: moments are handed in. A report costs one uncontended lock a page, and one an acknowledged call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::machine::{Machine, MonoTime};
use crate::stream::retention::RETENTION_MS;

/// In place of a moment: what is waited for may take any time (memory, Kinesis, a turn at the listings, an operator).
pub const AT_REST: u64 = u64::MAX;

/// A shard that is taken is read within this time, or what its row says of it counts.
const FIRST_PAGE_WITHIN: Duration = Duration::from_secs(60);

/// A moment on both clocks of a machine.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub mono: MonoTime,
    pub wall_ms: u64,
}

impl Now {
    pub fn of(machine: &dyn Machine) -> Self {
        Now { mono: machine.now(), wall_ms: machine.wall_ms() }
    }

    /// How long ago a change was made.
    fn since_made(self, made_ms: u64) -> Duration {
        Duration::from_millis(self.wall_ms.saturating_sub(made_ms))
    }
}

/// What the shard's task is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Reading,
    /// It would read on, and enough that was read waits to be sent.
    WaitingForDelivery,
    /// It would read on, and there is no room.
    WaitingForMemory,
    /// Nothing is to be read: at the end, halted, or about to be given up.
    NotReading,
}

/// One shard's vitals, shared by its task and whoever looks.
#[derive(Debug)]
pub struct Vitals {
    /// When reading last moved, on the machine's clock in milliseconds, or [`AT_REST`].
    touched_ms: Arc<AtomicU64>,
    facts: Mutex<Facts>,
}

impl Vitals {
    /// `position_ms`: a change that was not carried by an earlier owner was made then, or later (epoch milliseconds).
    pub fn new(touched_ms: Arc<AtomicU64>, taken_at: MonoTime, position_ms: u64) -> Arc<Self> {
        Arc::new(Vitals { touched_ms, facts: Mutex::new(Facts::new(taken_at, position_ms)) })
    }

    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long reading has stood still in the middle of a step.
    pub fn still_for(&self, now: MonoTime) -> Duration {
        let touched = Duration::from_millis(self.touched_ms.load(Ordering::Acquire));
        now.since(MonoTime::from_origin(touched))
    }
}

/// What is known of the shard.
#[derive(Debug)]
pub struct Facts {
    doing: Doing,
    taken_at: MonoTime,
    /// The last page came then.
    read_at: Option<MonoTime>,
    /// The call began then whose page was the last that was not cut off: older changes were all read.
    tip_at: Option<MonoTime>,
    /// Changes made before this moment were read (epoch milliseconds).
    position_ms: u64,
    /// Pages that are not wholly acknowledged: how many changes were handed over with them, and when.
    pages: VecDeque<(u64, MonoTime)>,
    /// Changes acknowledged without a hole, counted as the pages' are.
    completed: u64,
    /// The oldest change not acknowledged has been that since.
    front_since: MonoTime,
    /// It was made then, epoch milliseconds.
    oldest_open_ms: Option<u64>,
}

impl Facts {
    fn new(taken_at: MonoTime, position_ms: u64) -> Self {
        Facts {
            doing: Doing::Reading,
            taken_at,
            read_at: None,
            tip_at: None,
            position_ms,
            pages: VecDeque::new(),
            completed: 0,
            front_since: taken_at,
            oldest_open_ms: None,
        }
    }

    pub fn doing(&mut self, doing: Doing) {
        self.doing = doing;
    }

    /// A page came of a call that began at `asked_at`; its last change was made at `last_made_ms`.
    pub fn page(&mut self, now: MonoTime, asked_at: MonoTime, is_cut_off: bool, last_made_ms: Option<u64>) {
        self.read_at = Some(now);
        if !is_cut_off {
            self.tip_at = Some(asked_at);
        }
        if let Some(made_ms) = last_made_ms {
            self.position_ms = self.position_ms.max(made_ms);
        }
    }

    /// With a page, so many changes have been handed to the writer in all.
    pub fn submitted(&mut self, now: MonoTime, total: u64) {
        if self.open_since().is_none() {
            self.front_since = now;
        }
        if total > self.pages.back().map_or(self.completed, |(before, _)| *before) {
            self.pages.push_back((total, now));
        }
    }

    /// So many have been acknowledged without a hole; the first that has not was made at `oldest_open_ms`.
    pub fn acknowledged(&mut self, now: MonoTime, completed: u64, oldest_open_ms: Option<u64>) {
        if completed > self.completed {
            self.front_since = now;
        }
        self.completed = completed;
        self.oldest_open_ms = oldest_open_ms;
        while self.pages.front().is_some_and(|(total, _)| *total <= completed) {
            self.pages.pop_front();
        }
    }

    fn open_since(&self) -> Option<MonoTime> {
        self.pages.iter().find(|(total, _)| *total > self.completed).map(|(_, at)| *at)
    }

    /// How old the oldest change is, at most, that Kinesis has not acknowledged: read or not. `None` while nothing is known
    /// of a shard just taken.
    pub fn lag(&self, now: Now) -> Option<Duration> {
        let unread = self.unread(now);
        let unacknowledged = self.oldest_open_ms.map(|made_ms| now.since_made(made_ms));
        // Where nothing is known of what was not read, what was read says too little.
        unread.map(|unread| unread.max(unacknowledged.unwrap_or_default()))
    }

    /// How old the oldest change is, at most, that was not read.
    fn unread(&self, now: Now) -> Option<Duration> {
        let by_position = now.since_made(self.position_ms);
        match (self.read_at, self.tip_at) {
            (Some(_), Some(tip_at)) => Some(now.mono.since(tip_at).min(by_position)),
            (Some(_), None) => Some(by_position),
            (None, _) if now.mono.since(self.taken_at) < FIRST_PAGE_WITHIN => None,
            (None, _) => Some(by_position),
        }
    }

    /// How long the oldest change that was read has waited for its acknowledgement.
    pub fn waiting(&self, now: MonoTime) -> Duration {
        self.open_since().map(|since| now.since(since)).unwrap_or_default()
    }

    /// For how long one and the same change has been the oldest not acknowledged.
    pub fn blocked_for(&self, now: MonoTime) -> Duration {
        self.open_since().map(|_| now.since(self.front_since)).unwrap_or_default()
    }

    /// For how long nothing was read of a shard that should be read, and whether for want of memory.
    pub fn unread_for(&self, now: MonoTime) -> Option<(Duration, Doing)> {
        let since = self.read_at.unwrap_or(self.taken_at);
        (self.doing != Doing::NotReading).then(|| (now.since(since), self.doing))
    }
}

/// How long until the stream drops a change of this age.
pub fn until_trim(lag: Duration) -> Duration {
    Duration::from_millis(RETENTION_MS).saturating_sub(lag)
}

#[cfg(test)]
#[path = "vitals_tests.rs"]
mod tests;
