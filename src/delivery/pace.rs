//! The pace of one target shard: how much of it this writer may use. Nobody tells: other writers share the stream, so it
//! is learnt from what Kinesis accepts and rejects. Until a first rejection there is no limit; then the limit is a little
//! less than what was accepted within the last second, and grows while it holds something back and nothing is rejected,
//! the faster the longer. Pure: the clock is handed in.

use std::time::Duration;

use crate::machine::MonoTime;

/// What a Kinesis shard takes in a second.
const SHARD_RECORDS: f64 = 1_000.0;
const SHARD_BYTES: f64 = 1_048_576.0;

/// After a rejection: this much of what was accepted within the last second.
const LOWERED: f64 = 0.97;
/// Rejections within this time tell of one and the same excess.
const LOWERED_EVERY: Duration = Duration::from_millis(250);
/// And not less than this much of what the limit was: with few large records, a second without one says little.
const LOWERED_AT_MOST: f64 = 0.5;
/// Never less: ten small records a second.
const LEAST_RATE: f64 = 0.01;
/// By how much a limit grows in a second, for each second since the last rejection, and at most.
const GROWTH: f64 = 0.04;
const MOST_GROWTH: f64 = 0.5;
/// A limit that has held nothing back for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);
/// A closed target opens again for so much of its rate at once: a few records now and then would make small calls.
const QUANTUM: f64 = 0.05;
/// What a target may have saved up.
const BURST: f64 = 0.1;
/// What it may owe, in seconds of its rate: a large record that is rejected must not close it for long.
const MOST_DEBT: f64 = 3.0;
/// A target that holds something back is looked at so often: its rate grows meanwhile.
const LOOK: Duration = Duration::from_millis(500);

/// How much of a shard something uses, in seconds of all that the shard takes: of its records and of its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    records: f64,
    bytes: f64,
}

impl Load {
    /// One record of so many bytes, its partition key included.
    pub fn of_record(bytes: usize) -> Self {
        Load { records: 1.0 / SHARD_RECORDS, bytes: bytes as f64 / SHARD_BYTES }
    }

    fn plus(self, other: Load, times: f64) -> Self {
        Load { records: self.records + other.records * times, bytes: self.bytes + other.bytes * times }
    }

    /// By the limit that it uses more of.
    fn most(self) -> f64 {
        self.records.max(self.bytes)
    }

    fn least(self) -> f64 {
        self.records.min(self.bytes)
    }
}

/// One target shard's pace. `accepted` and `rejected` feed what Kinesis did, `may_send` and `opens_at` give orders,
/// `spend` and `binds` tell it what came of them.
#[derive(Debug, Default)]
pub struct Pace {
    limit: Option<Limit>,
    accepted: LastSecond,
}

#[derive(Debug)]
struct Limit {
    /// The part of the shard that is used, 1 for the whole.
    rate: f64,
    /// What may be sent, of records and of bytes; below zero after a large record.
    room: Load,
    /// When `room` and `rate` were right.
    at: MonoTime,
    /// Set while it is closed: with how much room it opens again.
    opens_with: Option<f64>,
    lowered_at: MonoTime,
    rejected_at: MonoTime,
    /// When it last held something back.
    bound_at: MonoTime,
}

impl Pace {
    /// Whether there is a limit at all.
    pub fn is_limited(&mut self, now: MonoTime) -> bool {
        if self.limit.as_ref().is_some_and(|limit| now.since(limit.bound_at) > FORGOTTEN_AFTER) {
            self.limit = None;
        }
        self.limit.is_some()
    }

    /// Kinesis took a record.
    pub fn accepted(&mut self, now: MonoTime, load: Load) {
        self.accepted.add(now, load);
    }

    /// Kinesis rejected a record, because the shard had taken its limit.
    pub fn rejected(&mut self, now: MonoTime) {
        let mut rate = |least: f64, most: f64| {
            (self.accepted.sum(now).most() * LOWERED).clamp(least.max(LEAST_RATE), most)
        };
        let Some(limit) = &mut self.limit else {
            let room = Load::default();
            let rate = rate(LEAST_RATE, 1.0);
            let opens_with = Some(rate * QUANTUM);
            let (lowered_at, rejected_at, bound_at) = (now, now, now);
            self.limit = Some(Limit { rate, room, at: now, opens_with, lowered_at, rejected_at, bound_at });
            return;
        };
        limit.pass(now);
        (limit.rejected_at, limit.bound_at) = (now, now);
        if now.since(limit.lowered_at) >= LOWERED_EVERY {
            limit.lowered_at = now;
            let most = limit.rate.clamp(LEAST_RATE, 1.0);
            limit.rate = rate(most * LOWERED_AT_MOST, most);
            let quantum = limit.rate * QUANTUM;
            limit.opens_with = limit.opens_with.map(|with| with.min(quantum));
            // What was owed at a faster rate would take longer to pay.
            limit.spend(Load::default());
        }
    }

    /// Whether a record may be sent now. One that goes is told to [`Pace::spend`].
    pub fn may_send(&mut self, now: MonoTime) -> bool {
        let Some(limit) = &mut self.limit else { return true };
        limit.pass(now);
        let room = limit.room.least();
        match limit.opens_with {
            Some(with) if room >= with => limit.opens_with = None,
            None if room <= 0.0 => limit.opens_with = Some(limit.rate * QUANTUM),
            _ => {}
        }
        limit.opens_with.is_none()
    }

    /// A record goes. A large one may use more than there is: those behind it wait the longer.
    pub fn spend(&mut self, load: Load) {
        if let Some(limit) = &mut self.limit {
            limit.spend(load);
        }
    }

    /// Something waits for it.
    pub fn binds(&mut self, now: MonoTime) {
        if let Some(limit) = &mut self.limit {
            limit.bound_at = now;
        }
    }

    /// When it opens, as things stand, or is to be looked at again.
    pub fn opens_at(&self) -> MonoTime {
        let Some(limit) = &self.limit else { return MonoTime::default() };
        let missing = limit.opens_with.map_or(0.0, |with| (with - limit.room.least()).max(0.0));
        // A millisecond more: rounding must not wake anybody a moment early.
        limit.at + Duration::from_secs_f64(missing / limit.rate).min(LOOK) + Duration::from_millis(1)
    }
}

impl Limit {
    /// Takes of the room, or owes, as much as may be owed.
    fn spend(&mut self, load: Load) {
        let (room, least) = (self.room.plus(load, -1.0), -self.rate * MOST_DEBT);
        self.room = Load { records: room.records.max(least), bytes: room.bytes.max(least) };
    }

    /// Lets time pass: room comes, and the rate grows while it binds.
    fn pass(&mut self, now: MonoTime) {
        let seconds = now.since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let whole = Load { records: 1.0, bytes: 1.0 };
        let room = self.room.plus(whole, self.rate * seconds);
        let most = self.rate * BURST;
        self.room = Load { records: room.records.min(most), bytes: room.bytes.min(most) };
        if now.since(self.bound_at) < Duration::from_secs(1) {
            let growth = (GROWTH * now.since(self.rejected_at).as_secs_f64()).min(MOST_GROWTH);
            self.rate *= 1.0 + growth * seconds.min(1.0);
        }
    }
}

const BUCKETS: usize = 20;
const BUCKET_MS: u64 = 50;

/// What was accepted within the last second: a ring of small buckets.
#[derive(Debug, Default)]
struct LastSecond {
    buckets: [Load; BUCKETS],
    /// The number of the newest bucket, counted from the clock's origin.
    newest: u64,
}

impl LastSecond {
    fn turn_to(&mut self, now: MonoTime) {
        let bucket = now.as_millis() / BUCKET_MS;
        let first = (self.newest + 1).max(bucket.saturating_sub(BUCKETS as u64 - 1));
        for emptied in first..=bucket {
            self.buckets[(emptied % BUCKETS as u64) as usize] = Load::default();
        }
        self.newest = self.newest.max(bucket);
    }

    fn add(&mut self, now: MonoTime, load: Load) {
        self.turn_to(now);
        let bucket = &mut self.buckets[(self.newest % BUCKETS as u64) as usize];
        *bucket = bucket.plus(load, 1.0);
    }

    fn sum(&mut self, now: MonoTime) -> Load {
        self.turn_to(now);
        self.buckets.iter().fold(Load::default(), |sum, bucket| sum.plus(*bucket, 1.0))
    }
}

#[cfg(test)]
mod tests;
