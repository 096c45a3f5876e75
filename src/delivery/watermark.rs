//! The watermark: how far one shard's changes are done without a hole. Changes are entered in stream order and are
//! done in any order; the checkpoint is the last change of the longest done prefix (P1). It knows nothing of lanes,
//! Kinesis or the lease table.

use std::collections::VecDeque;

use super::memory::Reservation;
use crate::stream::SequenceNumber;

/// What a change's place costs from its entry until the checkpoint has passed it, its sequence number and the room that
/// a growing queue has to spare included.
pub const PLACE_BYTES: usize = 160;

/// A queue of so many places keeps its room: pages come and go.
const PLACES_KEPT: usize = 4_096;

/// One shard's watermark. `enter` feeds it changes in stream order, `done` what became of them; `checkpoint` and
/// `completed` tell how far it is.
#[derive(Debug, Default)]
pub struct Watermark {
    /// Changes that are not in the done prefix, in stream order; the front is never done.
    open: VecDeque<Slot>,
    /// How many changes the done prefix has held so far; also the ticket of `open`'s front.
    completed: u64,
    checkpoint: Option<Checkpoint>,
    /// The memory of all places.
    memory: Option<Reservation>,
    /// Places that the checkpoint has passed since their memory was last given back.
    passed: usize,
}

#[derive(Debug)]
struct Slot {
    sequence_number: SequenceNumber,
    created_at_ms: u64,
    done: bool,
}

/// The last change of the done prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub sequence_number: SequenceNumber,
    /// The change's ApproximateCreationDateTime, epoch milliseconds.
    pub created_at_ms: u64,
}

/// A change's place in its shard's watermark.
pub type Ticket = u64;

impl Watermark {
    /// Enters the shard's next change and returns its ticket.
    pub fn enter(&mut self, sequence_number: SequenceNumber, created_at_ms: u64) -> Ticket {
        self.open.push_back(Slot { sequence_number, created_at_ms, done: false });
        self.completed + self.open.len() as u64 - 1
    }

    /// Takes the memory of places that were entered; it is given back by [`Watermark::settle`], and when the shard is
    /// forgotten.
    pub fn keep(&mut self, memory: Reservation) {
        match &mut self.memory {
            Some(kept) => kept.absorb(memory),
            None => self.memory = Some(memory),
        }
    }

    /// Gives back the memory of the places that the checkpoint has passed. Not done with each change: a budget is shared
    /// by threads, and giving back is what it costs most.
    pub fn settle(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.give_back(self.passed * PLACE_BYTES);
        }
        self.passed = 0;
        if self.open.capacity() > PLACES_KEPT && self.open.len() < self.open.capacity() / 4 {
            self.open.shrink_to(2 * self.open.len());
        }
    }

    /// The change is acknowledged, filtered or excluded. A ticket that is done already is left alone. Returns whether
    /// the checkpoint moved.
    pub fn done(&mut self, ticket: Ticket) -> bool {
        let Some(index) = ticket.checked_sub(self.completed) else { return false };
        let Some(slot) = usize::try_from(index).ok().and_then(|index| self.open.get_mut(index)) else {
            return false;
        };
        slot.done = true;
        let mut last = None;
        while self.open.front().is_some_and(|front| front.done) {
            last = self.open.pop_front();
            self.completed += 1;
            self.passed += 1;
        }
        let Some(Slot { sequence_number, created_at_ms, .. }) = last else { return false };
        self.checkpoint = Some(Checkpoint { sequence_number, created_at_ms });
        true
    }

    /// The last change of the done prefix; `None` while it is empty.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// How many changes the done prefix holds, counted from the first one entered.
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// How many changes stand at or behind the first one that is not done.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// When the first change that is not done was made, epoch milliseconds.
    pub fn oldest_open_ms(&self) -> Option<u64> {
        self.open.front().map(|slot| slot.created_at_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::memory::Budget;

    fn number(n: u64) -> SequenceNumber {
        SequenceNumber::parse(&n.to_string()).expect("digits")
    }

    fn entered(count: u64) -> Watermark {
        let mut watermark = Watermark::default();
        for n in 0..count {
            assert_eq!(watermark.enter(number(100 + n), 500 + n), n);
        }
        watermark
    }

    #[test]
    fn a_hole_holds_the_checkpoint_back() {
        let mut watermark = entered(3);
        assert!(!watermark.done(1));
        assert!(!watermark.done(2));
        assert_eq!(watermark.checkpoint(), None);
        assert_eq!(watermark.oldest_open_ms(), Some(500));
        assert!(watermark.done(0));
        let last = Checkpoint { sequence_number: number(102), created_at_ms: 502 };
        assert_eq!(watermark.checkpoint(), Some(&last));
        assert_eq!((watermark.completed(), watermark.open(), watermark.oldest_open_ms()), (3, 0, None));
    }

    #[test]
    fn done_twice_and_unknown_tickets_change_nothing() {
        let mut watermark = entered(2);
        assert!(watermark.done(0));
        assert!(!watermark.done(0));
        assert!(!watermark.done(7));
        assert_eq!((watermark.completed(), watermark.open()), (1, 1));
    }

    #[tokio::test]
    async fn a_place_holds_its_memory_until_the_checkpoint_has_passed_it() {
        let budget = Budget::new(3 * PLACE_BYTES);
        let mut watermark = entered(3);
        for _ in 0..3 {
            watermark.keep(budget.reserve(PLACE_BYTES).await);
        }
        watermark.done(1);
        watermark.settle();
        assert_eq!(budget.used(), 3 * PLACE_BYTES, "the first is not done");
        watermark.done(0);
        watermark.settle();
        watermark.settle();
        assert_eq!(budget.used(), PLACE_BYTES);
        drop(watermark);
        assert_eq!(budget.used(), 0);
    }

    proptest! {
        /// P1, held against a plain model: the checkpoint is the last change before the first one not done.
        #[test]
        fn the_checkpoint_is_the_contiguous_prefix(order in Just((0..60u64).collect::<Vec<_>>()).prop_shuffle(), cut in 0..60usize) {
            let mut watermark = entered(60);
            let mut done = [false; 60];
            for ticket in &order[..cut] {
                watermark.done(*ticket);
                done[usize::try_from(*ticket).unwrap()] = true;
                let prefix = done.iter().take_while(|done| **done).count() as u64;
                prop_assert_eq!(watermark.completed(), prefix);
                let expected = prefix.checked_sub(1).map(|last| number(100 + last));
                prop_assert_eq!(watermark.checkpoint().map(|c| c.sequence_number.clone()), expected);
            }
        }
    }
}
