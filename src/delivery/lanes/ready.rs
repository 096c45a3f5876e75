//! When a lane's next record goes: at once, when a batch is full or has waited long enough, after a delay, or when its target
//! shard has room.

use super::lane::State;
use super::{LaneId, Lanes};
use crate::delivery::batch::{BatchLimits, MORE_WITHIN, Outlook};
use crate::delivery::targets::Turn;
use crate::machine::MonoTime;

impl Lanes {
    /// When a batch of what is ready goes.
    pub(super) fn ready_due(&self, limits: &BatchLimits, outlook: Outlook) -> Option<MonoTime> {
        let since = self.ready_since;
        if self.ready.is_empty() {
            return None;
        }
        if self.ready.len() >= limits.max_records || self.ready_bytes >= limits.max_bytes {
            return Some(since);
        }
        let lingered = if outlook.calls_under_way { since + limits.linger } else { since };
        let more = outlook.more_until.filter(|_| self.ready_deep == 0);
        Some(more.map_or(lingered, |until| lingered.max(until.min(since + MORE_WITHIN))))
    }

    /// When `take_batch` has something to say next; `None` when nothing waits for time to pass.
    pub fn next_due(&self, limits: &BatchLimits, outlook: Outlook) -> Option<MonoTime> {
        let ready = self.ready_due(limits, outlook);
        let delayed = self.delayed.first().map(|(until, _)| *until);
        [ready, delayed, self.targets.opens_at()].into_iter().flatten().min()
    }

    /// The lane's next record is to be sent: now, or when its target shard has room.
    pub(super) fn make_ready(&mut self, id: LaneId, now: MonoTime) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        lane.pack(self.packing);
        let Some(head) = &lane.head else { return };
        let turn = Turn { arrival: head.arrival, lane: id };
        match self.targets.paced(lane.hash, now) {
            Some(target) => {
                lane.state = State::Held(target);
                self.targets.hold(target, turn, lane.len(), lane.bytes, now);
            }
            None => self.join_ready(turn, now),
        }
    }

    fn join_ready(&mut self, turn: Turn, now: MonoTime) {
        let Some(lane) = self.lanes.get_mut(turn.lane) else { return };
        let deep = lane.is_deep();
        lane.state = State::Ready { deep };
        self.ready_deep += usize::from(deep);
        self.ready_bytes += lane.record_bytes();
        if self.ready.is_empty() {
            self.ready_since = now;
        }
        self.ready.push(turn);
    }

    /// Records whose target shards have room for them now.
    pub(super) fn release(&mut self, now: MonoTime) {
        let lanes = &self.lanes;
        let size = |id| lanes.get(id).map_or((0, 0, 0), |lane| (lane.record_bytes(), lane.len(), lane.bytes));
        for turn in self.targets.release(now, size) {
            self.join_ready(turn, now);
        }
    }

    pub(super) fn wake_delayed(&mut self, now: MonoTime) {
        while let Some(&(until, id)) = self.delayed.first() {
            if until > now {
                break;
            }
            self.delayed.pop_first();
            self.make_ready(id, now);
        }
    }
}
