//! The board: the vitals of every shard held here, and the pulses of tasks that all of them need. An entry goes with the
//! guard that it was given, however its task ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::pulse::Pulse;
use super::vitals::{Now, Vitals, until_trim};

/// What is on show.
#[derive(Debug, Default)]
pub struct Board {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    shards: BTreeMap<u64, Shard>,
    tasks: BTreeMap<u64, (String, Arc<Pulse>)>,
}

/// A held shard. A task that cannot be ended stays on show beside the one that was started in its place.
#[derive(Debug, Clone)]
pub struct Shard {
    pub pipeline: Arc<str>,
    pub shard: String,
    pub vitals: Arc<Vitals>,
}

/// Keeps an entry on show.
#[derive(Debug)]
pub struct Seat {
    board: Arc<Board>,
    id: u64,
}

/// The worst of a pipeline's shards held here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Worst {
    /// `None` where nothing is known of any.
    pub lag: Option<Duration>,
    /// Of the oldest change that was read.
    pub waiting: Duration,
}

impl Worst {
    pub fn until_trim(self) -> Option<Duration> {
        self.lag.map(until_trim)
    }
}

impl Board {
    pub fn shard(self: &Arc<Self>, pipeline: Arc<str>, shard: String, vitals: Arc<Vitals>) -> Seat {
        let mut entries = self.lock();
        let id = entries.take_id();
        entries.shards.insert(id, Shard { pipeline, shard, vitals });
        Seat { board: Arc::clone(self), id }
    }

    pub fn task(self: &Arc<Self>, name: String, pulse: Arc<Pulse>) -> Seat {
        let mut entries = self.lock();
        let id = entries.take_id();
        entries.tasks.insert(id, (name, pulse));
        Seat { board: Arc::clone(self), id }
    }

    /// By pipeline and shard.
    pub fn shards(&self) -> Vec<Shard> {
        let mut shards: Vec<Shard> = self.lock().shards.values().cloned().collect();
        shards.sort_by(|a, b| (&a.pipeline, &a.shard).cmp(&(&b.pipeline, &b.shard)));
        shards
    }

    pub fn tasks(&self) -> Vec<(String, Arc<Pulse>)> {
        self.lock().tasks.values().cloned().collect()
    }

    /// By pipeline; one of which no shard is held is not in it.
    pub fn worst(&self, now: Now) -> BTreeMap<Arc<str>, Worst> {
        let mut worst: BTreeMap<Arc<str>, Worst> = BTreeMap::new();
        for shard in self.shards() {
            let facts = shard.vitals.facts();
            let of = worst.entry(shard.pipeline).or_default();
            of.lag = of.lag.max(facts.lag(now));
            of.waiting = of.waiting.max(facts.waiting(now.mono));
        }
        worst
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn take_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut entries = self.board.lock();
        entries.shards.remove(&self.id);
        entries.tasks.remove(&self.id);
    }
}
