//! Lanes: the first-in-first-out queues between reading and writing, one for each (stream shard, Kinesis partition key).
//! A lane has at most one record in flight, its first change or an aggregate of its first ones, and a batch takes only the
//! records of idle lanes, so no PutRecords call holds a lane twice (P2). A record whose target shard has no room waits for
//! that shard alone. Lanes decide what may be sent when; they send nothing and know no clock but the one handed in.

mod empties;
mod lane;
mod ready;
mod turns;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use hashbrown::HashTable;
use md5::{Digest, Md5};

use self::empties::Empties;
pub use self::lane::Change;
use self::lane::{Lane, Queued, State};
use self::turns::Turns;
use super::aggregate::Packing;
use super::batch::{Batch, BatchLimits, Outlook, Sent};
use super::sink::{Placement, PutEntry, TargetShard};
use super::slab::{Key, Slab};
use super::targets::{HeldBack, NoMap, Targets};
use crate::machine::MonoTime;
use crate::retry::Retry;

/// One shard's number within its pipeline's writer; never used twice in a process.
pub type ShardSlot = u64;

/// A lane's name; a lane that is gone is never found under it again.
pub type LaneId = Key;

/// An acknowledged record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// Kinesis put it before the lane's previous record, in the same Kinesis shard (P2's assumption broken).
    pub inverted: bool,
    /// Kinesis put it into another shard than the map says, or there is no map.
    pub strayed: bool,
}

/// All lanes of one pipeline. `push` feeds changes in stream order, `take_batch` gives orders to send, and
/// `acknowledged`, `failed`, `throttled`, `taken_apart` and `replace_head` feed back what became of each record sent.
#[derive(Debug)]
pub struct Lanes {
    lanes: Slab<Lane>,
    /// The lanes by shard and the key's hash. Looked up, never iterated: its hashes may differ from run to run. They are keyed by
    /// chance, since keys come from whoever writes items, who could else choose many of one hash.
    ids: HashTable<LaneId>,
    hasher: RandomState,
    /// How much of a lane one record may carry.
    packing: Packing,
    targets: Targets,
    arrivals: u64,
    /// Lanes whose next record may be sent, the one whose head arrived first on top.
    ready: Turns,
    ready_bytes: usize,
    /// How many of them are deep.
    ready_deep: usize,
    /// Since when some lane has been ready, or since the last batch left some behind.
    ready_since: MonoTime,
    /// Lanes whose head is sent again at that moment.
    delayed: BTreeSet<(MonoTime, LaneId)>,
    /// Empty lanes, kept for a while for the placement of their last record.
    empty: Empties,
    /// So many of them.
    remembered: usize,
    queued: usize,
}

impl Lanes {
    /// Lanes that hold no change are remembered for their last record's placement, up to so many.
    pub fn new(packing: Packing, remembered: usize) -> Self {
        Lanes {
            lanes: Slab::new(),
            ids: HashTable::new(),
            hasher: RandomState::new(),
            packing,
            targets: Targets::default(),
            arrivals: 0,
            ready: Turns::default(),
            ready_bytes: 0,
            ready_deep: 0,
            ready_since: MonoTime::default(),
            delayed: BTreeSet::new(),
            empty: Empties::default(),
            remembered,
            queued: 0,
        }
    }

    /// The shard's next change joins its key's lane.
    pub fn push(&mut self, shard: ShardSlot, change: Change, now: MonoTime) {
        let id = self.lane_of(shard, change.entry.partition_key());
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let bytes = change.entry.size_bytes();
        lane.push(Queued { arrival: self.arrivals, change });
        self.arrivals += 1;
        self.queued += 1;
        match lane.state {
            State::Empty { .. } => {
                self.empty.left();
                self.make_ready(id, now);
            }
            State::Ready { deep } => {
                self.ready_bytes += lane.join_parcel(self.packing);
                lane.state = State::Ready { deep: lane.is_deep() };
                self.ready_deep += usize::from(lane.is_deep()) - usize::from(deep);
            }
            State::Held(target) => {
                lane.join_parcel(self.packing);
                self.targets.joined(target, bytes);
            }
            State::InFlight | State::Delayed { .. } => {}
        }
    }

    fn lane_of(&mut self, shard: ShardSlot, key: &str) -> LaneId {
        let hash = u128::from_be_bytes(Md5::digest(key).into());
        let place = self.hasher.hash_one((shard, hash));
        let find = |is_it: fn(&Lane, &str) -> bool| {
            let of_hash = |lane: &&Lane| lane.hash == hash && lane.shard == shard;
            self.ids
                .find(place, |id| self.lanes.get(*id).filter(of_hash).is_some_and(|lane| is_it(lane, key)))
        };
        // A lane that is empty is anyone's of that hash, unless the key has changes waiting in another. Its last record may be
        // another key's of that hash then: to compare numbers with it is of no use, and does no harm.
        if let Some(id) = find(Lane::holds).or_else(|| find(|lane, _| lane.head.is_none())) {
            return *id;
        }
        let id = self.lanes.insert(Lane::new(shard, hash, place));
        self.empty.enter();
        let lanes = &self.lanes;
        self.ids.insert_unique(place, id, |id| lanes.get(*id).map_or(0, |lane| lane.place));
        id
    }

    /// The next PutRecords call's records, when one is due: enough are ready to fill it, or waiting for more has had its
    /// time. Their lanes are in flight from here on.
    pub fn take_batch(&mut self, now: MonoTime, limits: &BatchLimits, outlook: Outlook) -> Option<Batch> {
        self.wake_delayed(now);
        self.release(now);
        if self.ready_due(limits, outlook)? > now {
            return None;
        }
        let size = self.ready.len().min(limits.max_records);
        let mut batch = Batch { sent: Vec::with_capacity(size), entries: Vec::with_capacity(size), bytes: 0 };
        while batch.sent.len() < limits.max_records {
            let Some(turn) = self.ready.first() else { break };
            let Some(lane) = self.lanes.get_mut(turn.lane) else { break };
            let size = lane.record_bytes();
            if !batch.sent.is_empty() && batch.bytes + size > limits.max_bytes {
                break;
            }
            let Some(entry) = lane.record() else { break };
            batch.bytes += size;
            let (shard, changes) = (lane.shard, lane.parcel.changes());
            batch.sent.push(Sent { lane: turn.lane, shard, changes });
            batch.entries.push(entry);
            debug_assert!(
                matches!(lane.state, State::Ready { .. }),
                "P2: a lane is sent only when nothing of it is in flight"
            );
            self.ready_deep -= usize::from(lane.state == State::Ready { deep: true });
            lane.state = State::InFlight;
            self.ready.pop();
            self.ready_bytes -= size;
        }
        self.ready_since = now;
        Some(batch)
    }

    /// Kinesis has the lane's record; `done` gets each change of it, in order. `None` when the lane's shard is gone meanwhile.
    pub fn acknowledged(
        &mut self,
        id: LaneId,
        placement: Placement,
        now: MonoTime,
        mut done: impl FnMut(Change),
    ) -> Option<Acknowledged> {
        let lane = self.lanes.get_mut(id)?;
        let bytes = lane.record_bytes();
        for _ in 0..lane.parcel.changes() {
            let Queued { change, .. } = lane.pop()?;
            self.queued -= 1;
            lane.singly = lane.singly.saturating_sub(1);
            done(change);
        }
        lane.retry = None;
        let strayed = !self.targets.accepted(lane.hash, &placement.shard_id, now, bytes);
        let inverted = lane.last.as_ref().is_some_and(|last| {
            last.shard_id == placement.shard_id && last.sequence_number >= placement.sequence_number
        });
        lane.last = Some(placement);
        let acknowledged = Acknowledged { inverted, strayed };
        if lane.head.is_none() {
            lane.state = State::Empty { since: self.empty.add(id) };
            self.forget_one_empty();
        } else {
            self.make_ready(id, now);
        }
        Some(acknowledged)
    }

    /// Where the lane's last acknowledged record stands.
    pub fn last(&self, id: LaneId) -> Option<&Placement> {
        self.lanes.get(id)?.last.as_ref()
    }

    /// The lane's record was not accepted: its changes are sent again after a delay, and nothing of the lane overtakes them.
    pub fn failed(&mut self, id: LaneId, now: MonoTime, random: u64) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let retry = lane
            .retry
            .get_or_insert_with(|| Box::new(Retry::new(Duration::from_millis(50), Duration::from_secs(5))));
        let until = now + retry.next(random);
        lane.state = State::Delayed { until };
        self.delayed.insert((until, id));
    }

    /// The lane's record found its target shard at its limit: it waits for that shard's turn, which the shard's pace gives.
    /// Where it is not known which shard that is, it waits as after any failure.
    pub fn throttled(&mut self, id: LaneId, now: MonoTime, random: u64) {
        let Some(lane) = self.lanes.get(id) else { return };
        if self.targets.rejected(lane.hash, now) {
            self.make_ready(id, now);
        } else {
            self.failed(id, now, random);
        }
    }

    /// The lane's record was never sent (its call was not begun): it may go at once.
    pub fn unsent(&mut self, id: LaneId, now: MonoTime) {
        self.make_ready(id, now);
    }

    /// The lane's record is refused. False where that is a change alone; an aggregate's changes go again one by one, so that
    /// what is wrong with one of them is no other's.
    pub fn taken_apart(&mut self, id: LaneId, now: MonoTime) -> bool {
        let Some(lane) = self.lanes.get_mut(id) else { return true };
        let changes = lane.parcel.changes();
        if changes < 2 {
            return false;
        }
        lane.singly = u32::try_from(changes).unwrap_or(u32::MAX);
        self.make_ready(id, now);
        true
    }

    /// The lane's head, refused alone, goes again with other data.
    pub fn replace_head(&mut self, id: LaneId, data: &[u8], now: MonoTime) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let Some(head) = &mut lane.head else { return };
        let entry = PutEntry::new(head.change.entry.partition_key(), data);
        lane.bytes -= head.change.entry.size_bytes();
        lane.bytes += entry.size_bytes();
        head.change.entry = entry;
        self.make_ready(id, now);
    }

    /// The target stream's shards as they are now: what waits for a shard finds its shard anew.
    pub fn map(&mut self, listed: Vec<TargetShard>, now: MonoTime) -> Result<(), NoMap> {
        for turn in self.targets.replace(listed)? {
            self.make_ready(turn.lane, now);
        }
        Ok(())
    }

    /// How many target shards hold changes back, and how many bytes of them.
    pub fn held(&self) -> (usize, usize) {
        self.targets.held()
    }

    /// The target shards of which it is to be said now that they hold changes back.
    pub fn lasting(&mut self, now: MonoTime) -> Vec<HeldBack> {
        self.targets.lasting(now)
    }

    /// The shard is given up: all its lanes go, those in flight too (their answers find no lane).
    pub fn drop_shard(&mut self, shard: ShardSlot) {
        for id in self.of_shard(shard) {
            self.remove(id);
        }
        self.forget_removed();
    }

    /// The shard sends nothing more but what is in flight already, until that is acknowledged.
    pub fn halt_shard(&mut self, shard: ShardSlot) {
        for id in self.of_shard(shard) {
            match self.lanes.get_mut(id) {
                Some(lane) if lane.state == State::InFlight => self.queued -= lane.keep_parcel(),
                _ => self.remove(id),
            }
        }
        self.forget_removed();
    }

    fn of_shard(&self, shard: ShardSlot) -> Vec<LaneId> {
        self.lanes.iter().filter(|(_, lane)| lane.shard == shard).map(|(id, _)| id).collect()
    }

    /// How many changes wait in all lanes, those in flight included.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// How many records may be sent at once, and their bytes.
    pub fn ready(&self) -> (usize, usize) {
        (self.ready.len(), self.ready_bytes)
    }

    /// One more lane is empty: if that is one too many, the longest empty goes.
    fn forget_one_empty(&mut self) {
        let is_right =
            |since, id| self.lanes.get(id).is_some_and(|lane| lane.state == State::Empty { since });
        if let Some(id) = self.empty.one_too_many(self.remembered, is_right) {
            self.remove(id);
        }
    }

    /// Lanes that are ready or held leave their turns behind: [`Lanes::forget_removed`] follows.
    fn remove(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.remove(id) else { return };
        self.queued -= lane.len();
        match lane.state {
            State::Empty { .. } => self.empty.left(),
            State::Delayed { until } => {
                self.delayed.remove(&(until, id));
            }
            State::Ready { deep } => {
                self.ready_deep -= usize::from(deep);
                self.ready_bytes -= lane.record_bytes();
            }
            State::Held(target) => self.targets.left(target, lane.len(), lane.bytes),
            State::InFlight => {}
        }
        if let Ok(found) = self.ids.find_entry(lane.place, |found| *found == id) {
            found.remove();
        }
    }

    fn forget_removed(&mut self) {
        let is_there = |id| self.lanes.get(id).is_some();
        self.ready.retain(is_there);
        self.targets.retain(is_there);
    }
}

#[cfg(test)]
mod any_schedule;
#[cfg(test)]
mod parcels;
#[cfg(test)]
mod tests;
