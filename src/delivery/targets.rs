//! The target stream's shards as the writer knows them: which of them takes which key, at which pace, and the lanes whose
//! heads wait for a shard that has no room. A shard without room holds back only what hashes to it. Pure: the clock is
//! handed in; without a map of the shards nothing is held.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use super::lanes::LaneId;
use super::pace::{Load, Pace};
use super::sink::TargetShard;
use crate::machine::MonoTime;
use crate::ops::repeats::Repeats;

/// A shard that has held changes back for so long without a break is told of.
const TOLD_AFTER: Duration = Duration::from_secs(5);

/// A target shard's place in the map, until the map is replaced.
pub type Target = usize;

/// A lane whose head waits its turn: whose arrived first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// The head's number in the order of arrival.
    pub arrival: u64,
    pub lane: LaneId,
}

/// A listing that is no map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMap {
    #[error("no open shard is listed")]
    Empty,
    #[error("the hash key ranges of {one} and {other} overlap: expected open shards alone")]
    Overlap { one: Arc<str>, other: Arc<str> },
}

/// A target shard that holds changes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    pub shard_id: Arc<str>,
    pub changes: usize,
    pub bytes: usize,
    pub since: MonoTime,
}

/// The map. `replace` feeds it, `accepted` and `rejected` tell it what Kinesis did.
#[derive(Debug, Default)]
pub struct Targets {
    /// By their ranges.
    shards: Vec<Shard>,
    /// Those with lanes that wait.
    holding: BTreeSet<Target>,
}

#[derive(Debug)]
struct Shard {
    listed: TargetShard,
    pace: Pace,
    /// Lanes whose heads wait, with the changes behind them.
    held: BinaryHeap<Reverse<Turn>>,
    changes: usize,
    bytes: usize,
    /// Since when some lane has waited.
    since: MonoTime,
    told: Repeats,
}

impl Targets {
    /// Takes a new map; shards that are known keep their pace. Gives back all lanes that waited, for their heads to find
    /// their shards anew.
    pub fn replace(&mut self, mut listed: Vec<TargetShard>) -> Result<Vec<Turn>, NoMap> {
        if listed.is_empty() {
            return Err(NoMap::Empty);
        }
        listed.sort_by_key(|shard| shard.first_hash);
        for pair in listed.windows(2) {
            if pair[0].last_hash >= pair[1].first_hash {
                let (one, other) = (Arc::clone(&pair[0].id), Arc::clone(&pair[1].id));
                return Err(NoMap::Overlap { one, other });
            }
        }
        let mut known = std::mem::take(&mut self.shards);
        let waited = known.iter_mut().flat_map(|shard| std::mem::take(&mut shard.held).into_vec());
        let waited = waited.map(|Reverse(turn)| turn).collect();
        self.holding.clear();
        self.shards = listed
            .into_iter()
            .map(|listed| {
                let place = known.iter().position(|shard| shard.listed == listed);
                let (pace, told) = place
                    .map(|place| known.swap_remove(place))
                    .map_or_else(Default::default, |shard| (shard.pace, shard.told));
                let (held, since) = (BinaryHeap::new(), MonoTime::default());
                Shard { listed, pace, held, changes: 0, bytes: 0, since, told }
            })
            .collect();
        Ok(waited)
    }

    /// The shard that takes keys of this hash.
    pub fn of(&self, hash: u128) -> Option<Target> {
        let place = self.shards.partition_point(|shard| shard.listed.last_hash < hash);
        self.shards.get(place).filter(|shard| shard.listed.first_hash <= hash).map(|_| place)
    }

    /// The shard that takes keys of this hash, when it goes at a pace.
    pub fn paced(&mut self, hash: u128, now: MonoTime) -> Option<Target> {
        let target = self.of(hash)?;
        // What holds something back is not forgotten, however long nobody looked.
        let is_paced = self.holding.contains(&target) || self.shards[target].pace.is_limited(now);
        is_paced.then_some(target)
    }

    /// Kinesis put a record of this hash into that shard. False when the map says another.
    pub fn accepted(&mut self, hash: u128, shard_id: &str, now: MonoTime, bytes: usize) -> bool {
        let Some(target) = self.of(hash) else { return false };
        let shard = &mut self.shards[target];
        let is_right = *shard.listed.id == *shard_id;
        if is_right {
            shard.pace.accepted(now, Load::of_record(bytes));
        }
        is_right
    }

    /// Kinesis rejected a record of this hash, since its shard had taken its limit. False when it is not known which.
    pub fn rejected(&mut self, hash: u128, now: MonoTime) -> bool {
        let Some(target) = self.of(hash) else { return false };
        self.shards[target].pace.rejected(now);
        true
    }

    /// The lane waits for its target, with so many changes and bytes.
    pub fn hold(&mut self, target: Target, turn: Turn, changes: usize, bytes: usize, now: MonoTime) {
        let shard = &mut self.shards[target];
        if self.holding.insert(target) {
            shard.since = now;
        }
        shard.held.push(Reverse(turn));
        shard.changes += changes;
        shard.bytes += bytes;
    }

    /// One more change stands behind a head that waits.
    pub fn joined(&mut self, target: Target, bytes: usize) {
        self.shards[target].changes += 1;
        self.shards[target].bytes += bytes;
    }

    /// The lane of a head that waited is no more; [`Targets::retain`] follows.
    pub fn left(&mut self, target: Target, changes: usize, bytes: usize) {
        self.shards[target].changes -= changes;
        self.shards[target].bytes -= bytes;
    }

    /// Keeps only these of the lanes that wait.
    pub fn retain(&mut self, keep: impl Fn(LaneId) -> bool) {
        for target in &self.holding {
            self.shards[*target].held.retain(|Reverse(turn)| keep(turn.lane));
        }
        self.holding.retain(|target| !self.shards[*target].held.is_empty());
    }

    /// The lanes that need wait no longer, as `size` tells of each: its head's bytes, its changes and their bytes.
    pub fn release(
        &mut self,
        now: MonoTime,
        mut size: impl FnMut(LaneId) -> (usize, usize, usize),
    ) -> Vec<Turn> {
        let mut released = Vec::new();
        self.holding.retain(|target| {
            let shard = &mut self.shards[*target];
            while shard.pace.may_send(now)
                && let Some(Reverse(turn)) = shard.held.pop()
            {
                let (head_bytes, changes, bytes) = size(turn.lane);
                shard.pace.spend(Load::of_record(head_bytes));
                shard.changes -= changes;
                shard.bytes -= bytes;
                released.push(turn);
            }
            let holds = !shard.held.is_empty();
            if holds {
                shard.pace.binds(now);
            }
            holds
        });
        released
    }

    /// When some lane need wait no longer, as things stand.
    pub fn opens_at(&self) -> Option<MonoTime> {
        self.holding.iter().map(|target| self.shards[*target].pace.opens_at()).min()
    }

    /// How many shards hold changes back, and how many bytes of them.
    pub fn held(&self) -> (usize, usize) {
        let bytes = self.holding.iter().map(|target| self.shards[*target].bytes).sum();
        (self.holding.len(), bytes)
    }

    /// The shards of which it is to be said now that they hold changes back.
    pub fn lasting(&mut self, now: MonoTime) -> Vec<HeldBack> {
        let mut told = Vec::new();
        for target in &self.holding {
            let shard = &mut self.shards[*target];
            if now.since(shard.since) >= TOLD_AFTER && shard.told.happened(now).is_some() {
                told.push(HeldBack {
                    shard_id: Arc::clone(&shard.listed.id),
                    changes: shard.changes,
                    bytes: shard.bytes,
                    since: shard.since,
                });
            }
        }
        told
    }
}

#[cfg(test)]
mod tests;
