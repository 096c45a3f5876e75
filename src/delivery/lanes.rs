//! Lanes: the first-in-first-out queues between reading and writing, one for each (stream shard, Kinesis partition key).
//! A lane has at most one record in flight, and a batch takes only heads of idle lanes, so no PutRecords call holds a
//! lane twice (P2). Lanes decide what may be sent when; they send nothing and know no clock but the one handed in.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::memory::Reservation;
use super::sink::{Placement, PutEntry};
use super::watermark::Ticket;
use crate::machine::MonoTime;
use crate::retry::Retry;

/// One shard's number within its pipeline's writer; never used twice in a process.
pub type ShardSlot = u64;

/// A lane's number; never used twice in a process.
pub type LaneId = u64;

/// A change waiting for its acknowledgement.
#[derive(Debug)]
pub struct Change {
    /// Its place in its shard's watermark.
    pub ticket: Ticket,
    pub entry: PutEntry,
    /// ApproximateCreationDateTime, epoch milliseconds.
    pub created_at_ms: u64,
    /// The memory that it holds, given back when the change is dropped.
    pub memory: Reservation,
}

/// What one PutRecords call may hold.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub max_records: usize,
    /// Data and partition keys together. A single larger record travels alone.
    pub max_bytes: usize,
    /// How long a record may wait for others to fill its batch.
    pub linger: Duration,
}

/// A batch's member: which lane's head it is, and what to send.
#[derive(Debug, Clone)]
pub struct Sent {
    pub lane: LaneId,
    pub shard: ShardSlot,
    pub entry: PutEntry,
}

/// An acknowledged change.
#[derive(Debug)]
pub struct Acknowledged {
    pub shard: ShardSlot,
    pub ticket: Ticket,
    pub created_at_ms: u64,
    /// Kinesis put it before the lane's previous record, in the same Kinesis shard (P2's assumption broken).
    pub inverted: bool,
}

/// All lanes of one pipeline. `push` feeds changes in stream order, `take_batch` gives orders to send, and
/// `acknowledged`, `failed` and `replace_head` feed back what became of each record sent.
#[derive(Debug)]
pub struct Lanes {
    /// Looked up, never iterated.
    ids: HashMap<(ShardSlot, Arc<str>), LaneId>,
    lanes: BTreeMap<LaneId, Lane>,
    next_id: LaneId,
    /// Lanes whose head may be sent, in the order in which their heads arrived.
    ready: BTreeSet<(MonoTime, LaneId)>,
    ready_bytes: usize,
    /// Lanes whose head is sent again at that moment.
    delayed: BTreeSet<(MonoTime, LaneId)>,
    /// Empty lanes, kept for a while for the placement of their last record, the longest empty first.
    empty: BTreeSet<(u64, LaneId)>,
    emptied: u64,
    queued: usize,
}

/// How many empty lanes are remembered for comparing placements.
const EMPTY_LANES_KEPT: usize = 16_384;

#[derive(Debug)]
struct Lane {
    shard: ShardSlot,
    key: Arc<str>,
    queue: VecDeque<(MonoTime, Change)>,
    state: State,
    retry: Option<Box<Retry>>,
    last: Option<Placement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Empty { since: u64 },
    Ready,
    InFlight,
    Delayed { until: MonoTime },
}

impl Lanes {
    pub fn new() -> Self {
        Lanes {
            ids: HashMap::new(),
            lanes: BTreeMap::new(),
            next_id: 0,
            ready: BTreeSet::new(),
            ready_bytes: 0,
            delayed: BTreeSet::new(),
            empty: BTreeSet::new(),
            emptied: 0,
            queued: 0,
        }
    }

    /// The shard's next change joins its key's lane.
    pub fn push(&mut self, shard: ShardSlot, change: Change, now: MonoTime) {
        let key = Arc::clone(&change.entry.partition_key);
        let id = *self.ids.entry((shard, Arc::clone(&key))).or_insert_with(|| {
            let id = self.next_id;
            self.next_id += 1;
            let state = State::Empty { since: u64::MAX };
            self.lanes
                .insert(id, Lane { shard, key, queue: VecDeque::new(), state, retry: None, last: None });
            id
        });
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.queue.push_back((now, change));
        self.queued += 1;
        if let State::Empty { since } = lane.state {
            self.empty.remove(&(since, id));
            self.make_ready(id);
        }
    }

    /// The next PutRecords call's records, when one is due: enough are ready to fill it, or the longest waiting has
    /// waited `linger`. Their lanes are in flight from here on.
    pub fn take_batch(&mut self, now: MonoTime, limits: &BatchLimits) -> Option<Vec<Sent>> {
        self.wake_delayed(now);
        let (oldest, _) = *self.ready.first()?;
        let full = self.ready.len() >= limits.max_records || self.ready_bytes >= limits.max_bytes;
        if !full && now < oldest + limits.linger {
            return None;
        }
        let mut batch = Vec::with_capacity(self.ready.len().min(limits.max_records));
        let mut bytes = 0;
        while batch.len() < limits.max_records {
            let Some(&(arrived, id)) = self.ready.first() else { break };
            let Some((_, head)) = self.lanes.get(&id).and_then(|lane| lane.queue.front()) else { break };
            let size = head.entry.size_bytes();
            if !batch.is_empty() && bytes + size > limits.max_bytes {
                break;
            }
            bytes += size;
            let entry = head.entry.clone();
            self.ready.remove(&(arrived, id));
            self.ready_bytes -= size;
            if let Some(lane) = self.lanes.get_mut(&id) {
                debug_assert_eq!(
                    lane.state,
                    State::Ready,
                    "P2: a lane is sent only when nothing of it is in flight"
                );
                lane.state = State::InFlight;
                batch.push(Sent { lane: id, shard: lane.shard, entry });
            }
        }
        Some(batch)
    }

    /// When `take_batch` has something to say next; `None` when nothing waits for time to pass.
    pub fn next_due(&self, limits: &BatchLimits) -> Option<MonoTime> {
        let ready = self.ready.first().map(|(arrived, _)| *arrived + limits.linger);
        let delayed = self.delayed.first().map(|(until, _)| *until);
        match (ready, delayed) {
            (Some(ready), Some(delayed)) => Some(ready.min(delayed)),
            (ready, delayed) => ready.or(delayed),
        }
    }

    /// Kinesis has the lane's head. `None` when the lane's shard is gone meanwhile.
    pub fn acknowledged(&mut self, id: LaneId, placement: Placement) -> Option<Acknowledged> {
        let lane = self.lanes.get_mut(&id)?;
        let (_, change) = lane.queue.pop_front()?;
        self.queued -= 1;
        lane.retry = None;
        let inverted = lane.last.as_ref().is_some_and(|last| {
            last.shard_id == placement.shard_id && last.sequence_number >= placement.sequence_number
        });
        lane.last = Some(placement);
        let acknowledged = Acknowledged {
            shard: lane.shard,
            ticket: change.ticket,
            created_at_ms: change.created_at_ms,
            inverted,
        };
        if lane.queue.is_empty() {
            lane.state = State::Empty { since: self.emptied };
            self.empty.insert((self.emptied, id));
            self.emptied += 1;
            self.forget_one_empty();
        } else {
            self.make_ready(id);
        }
        Some(acknowledged)
    }

    /// The lane's head was not accepted: it is sent again after a delay, and nothing of the lane overtakes it.
    pub fn failed(&mut self, id: LaneId, now: MonoTime, random: u64) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let retry = lane
            .retry
            .get_or_insert_with(|| Box::new(Retry::new(Duration::from_millis(50), Duration::from_secs(5))));
        let until = now + retry.next(random);
        lane.state = State::Delayed { until };
        self.delayed.insert((until, id));
    }

    /// The lane's head was never sent (its call was not begun): it may go at once.
    pub fn unsent(&mut self, id: LaneId) {
        self.make_ready(id);
    }

    /// The lane's head goes again, with other data.
    pub fn replace_head(&mut self, id: LaneId, data: bytes::Bytes) {
        if let Some((_, head)) = self.lanes.get_mut(&id).and_then(|lane| lane.queue.front_mut()) {
            head.entry.data = data;
            self.make_ready(id);
        }
    }

    /// The shard is given up: all its lanes go, those in flight too (their answers find no lane).
    pub fn drop_shard(&mut self, shard: ShardSlot) {
        let ids: Vec<LaneId> =
            self.lanes.iter().filter(|(_, lane)| lane.shard == shard).map(|(id, _)| *id).collect();
        for id in ids {
            self.remove(id);
        }
    }

    /// The shard sends nothing more but what is in flight already, until that is acknowledged.
    pub fn halt_shard(&mut self, shard: ShardSlot) {
        let ids: Vec<LaneId> =
            self.lanes.iter().filter(|(_, lane)| lane.shard == shard).map(|(id, _)| *id).collect();
        for id in ids {
            match self.lanes.get_mut(&id) {
                Some(lane) if lane.state == State::InFlight => {
                    self.queued -= lane.queue.len().saturating_sub(1);
                    lane.queue.truncate(1);
                }
                _ => self.remove(id),
            }
        }
    }

    /// How many changes wait in all lanes, those in flight included.
    pub fn queued(&self) -> usize {
        self.queued
    }

    fn make_ready(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let Some((arrived, head)) = lane.queue.front() else { return };
        lane.state = State::Ready;
        self.ready_bytes += head.entry.size_bytes();
        self.ready.insert((*arrived, id));
    }

    fn wake_delayed(&mut self, now: MonoTime) {
        while let Some(&(until, id)) = self.delayed.first() {
            if until > now {
                break;
            }
            self.delayed.pop_first();
            self.make_ready(id);
        }
    }

    /// One more lane is empty: if that is one too many, the longest empty goes.
    fn forget_one_empty(&mut self) {
        if self.empty.len() > EMPTY_LANES_KEPT
            && let Some(&(_, id)) = self.empty.first()
        {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.remove(&id) else { return };
        self.queued -= lane.queue.len();
        match lane.state {
            State::Empty { since } => {
                self.empty.remove(&(since, id));
            }
            State::Delayed { until } => {
                self.delayed.remove(&(until, id));
            }
            State::Ready => {
                if let Some((arrived, head)) = lane.queue.front() {
                    self.ready.remove(&(*arrived, id));
                    self.ready_bytes -= head.entry.size_bytes();
                }
            }
            State::InFlight => {}
        }
        self.ids.remove(&(lane.shard, lane.key));
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
