//! One lane: the changes of one key of one stream shard that wait, the first of them the head.

use std::collections::VecDeque;

use super::ShardSlot;
use crate::delivery::aggregate::{Packing, Parcel, encode};
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
    /// The key's MD5, by which Kinesis chooses the shard.
    pub(super) hash: u128,
    /// Where it is looked up.
    pub(super) place: u64,
    pub(super) head: Option<Queued>,
    /// Most lanes hold one change: nothing is allocated for them.
    pub(super) rest: VecDeque<Queued>,
    /// Of all its changes.
    pub(super) bytes: usize,
    pub(super) state: State,
    /// The changes that its next record carries, or the one in flight.
    pub(super) parcel: Parcel,
    /// So many of its first changes go one by one: their aggregate was refused.
    pub(super) singly: u32,
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
    pub(super) fn new(shard: ShardSlot, hash: u128, place: u64) -> Self {
        Lane {
            shard,
            hash,
            place,
            head: None,
            rest: VecDeque::new(),
            bytes: 0,
            state: State::Empty { since: u64::MAX },
            parcel: Parcel::default(),
            singly: 0,
            retry: None,
            last: None,
        }
    }

    /// Whether changes of this key wait in it: keys of one MD5 can be made.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.head.as_ref().is_some_and(|head| head.change.entry.partition_key() == key)
    }

    /// How many changes it holds.
    pub(super) fn len(&self) -> usize {
        usize::from(self.head.is_some()) + self.rest.len()
    }

    pub(super) fn is_deep(&self) -> bool {
        self.len() >= DEEP
    }

    /// The bytes of its next record, or of the one in flight, as Kinesis counts them.
    pub(super) fn record_bytes(&self) -> usize {
        match &self.head {
            Some(head) if self.parcel.changes() < 2 => head.change.entry.size_bytes(),
            Some(head) => {
                let key_bytes = head.change.entry.partition_key().len();
                self.parcel.aggregate_bytes(key_bytes) + key_bytes
            }
            None => 0,
        }
    }

    /// Its next record: the head as it is, or an aggregate of the head and those behind it.
    pub(super) fn record(&self) -> Option<PutEntry> {
        let head = &self.head.as_ref()?.change.entry;
        let changes = self.parcel.changes();
        if changes < 2 {
            return Some(head.clone());
        }
        let behind = self.rest.iter().take(changes - 1).map(|queued| &queued.change.entry);
        let all = std::iter::once(head).chain(behind).map(PutEntry::data);
        let key = head.partition_key();
        Some(PutEntry::new(key, &encode(key, all, self.parcel.aggregate_bytes(key.len()))))
    }

    /// Chooses what its next record carries: as many of the first changes as fit.
    pub(super) fn pack(&mut self, packing: Packing) {
        let Some(head) = &self.head else { return };
        let head = &head.change.entry;
        self.parcel = Parcel::of(head.data().len());
        if self.singly > 0 {
            return;
        }
        for queued in &self.rest {
            match self.parcel.and(queued.change.entry.data().len(), head.partition_key().len(), packing) {
                Some(parcel) => self.parcel = parcel,
                None => return,
            }
        }
    }

    /// The last change joins the next record, where it fits and all before it have. Gives by how much that grows.
    pub(super) fn join_parcel(&mut self, packing: Packing) -> usize {
        let before = self.record_bytes();
        if self.singly == 0
            && self.parcel.changes() + 1 == self.len()
            && let Some(last) = self.rest.back()
            && let last = &last.change.entry
            && let Some(parcel) = self.parcel.and(last.data().len(), last.partition_key().len(), packing)
        {
            self.parcel = parcel;
        }
        self.record_bytes() - before
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

    /// Drops all but the changes of the record in flight; gives how many that are.
    pub(super) fn keep_parcel(&mut self) -> usize {
        let before = self.len();
        self.rest.truncate(self.parcel.changes().saturating_sub(1));
        self.rest.shrink_to_fit();
        let all = self.head.iter().chain(&self.rest);
        self.bytes = all.map(|queued| queued.change.entry.size_bytes()).sum();
        before - self.len()
    }
}
