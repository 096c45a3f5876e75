//! One lane: the changes of one key of one stream shard that wait, the first of them the head.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ShardSlot;
use crate::delivery::memory::Reservation;
use crate::delivery::sink::{Placement, PutEntry};
use crate::delivery::targets::Target;
use crate::delivery::watermark::Ticket;
use crate::machine::MonoTime;
use crate::retry::Retry;

/// So many changes in one lane: waiting for a fuller batch would slow its key.
const DEEP: usize = 4;

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

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) shard: ShardSlot,
    pub(super) key: Arc<str>,
    /// The key's MD5, by which Kinesis chooses the shard.
    pub(super) hash: u128,
    pub(super) head: Option<Queued>,
    /// Most lanes hold one change: nothing is allocated for them.
    pub(super) rest: VecDeque<Queued>,
    /// Of all its changes.
    pub(super) bytes: usize,
    pub(super) state: State,
    pub(super) retry: Option<Box<Retry>>,
    pub(super) last: Option<Placement>,
}

#[derive(Debug)]
pub(super) struct Queued {
    /// The change's number in the order of arrival.
    pub(super) arrival: u64,
    pub(super) change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Empty {
        since: u64,
    },
    /// Its head may be sent; whether the lane is deep was counted so.
    Ready {
        deep: bool,
    },
    /// Its head waits for room in its target shard.
    Held(Target),
    InFlight,
    Delayed {
        until: MonoTime,
    },
}

impl Lane {
    pub(super) fn new(shard: ShardSlot, key: Arc<str>, hash: u128) -> Self {
        let state = State::Empty { since: u64::MAX };
        Lane { shard, key, hash, head: None, rest: VecDeque::new(), bytes: 0, state, retry: None, last: None }
    }

    /// How many changes it holds.
    pub(super) fn len(&self) -> usize {
        usize::from(self.head.is_some()) + self.rest.len()
    }

    pub(super) fn is_deep(&self) -> bool {
        self.len() >= DEEP
    }

    pub(super) fn head_bytes(&self) -> usize {
        self.head.as_ref().map_or(0, |head| head.change.entry.size_bytes())
    }

    pub(super) fn push(&mut self, queued: Queued) {
        self.bytes += queued.change.entry.size_bytes();
        match self.head {
            None => self.head = Some(queued),
            Some(_) => self.rest.push_back(queued),
        }
    }

    /// Takes the head; the next change, if there is one, stands in its place.
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let queued = std::mem::replace(&mut self.head, self.rest.pop_front())?;
        self.bytes -= queued.change.entry.size_bytes();
        if self.rest.is_empty() {
            self.rest = VecDeque::new();
        }
        Some(queued)
    }

    /// Drops all but the head; gives how many that are.
    pub(super) fn keep_head(&mut self) -> usize {
        let dropped = self.rest.len();
        self.rest = VecDeque::new();
        self.bytes = self.head_bytes();
        dropped
    }
}
