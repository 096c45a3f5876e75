//! Turns in the order of their records' arrival.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::LaneId;
use crate::delivery::targets::Turn;

/// Most join in that order, which costs a queue nothing; those that come again, or late, stand in a heap beside it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    in_order: VecDeque<Turn>,
    late: BinaryHeap<Reverse<Turn>>,
}

impl Turns {
    pub(super) fn push(&mut self, turn: Turn) {
        if self.in_order.back().is_none_or(|last| *last < turn) {
            self.in_order.push_back(turn);
        } else {
            self.late.push(Reverse(turn));
        }
    }

    /// The one whose record arrived first.
    pub(super) fn first(&self) -> Option<Turn> {
        let late = self.late.peek().map(|Reverse(turn)| *turn);
        self.in_order.front().copied().into_iter().chain(late).min()
    }

    pub(super) fn pop(&mut self) -> Option<Turn> {
        let first = self.first()?;
        if self.in_order.front() == Some(&first) {
            self.in_order.pop_front()
        } else {
            self.late.pop().map(|Reverse(turn)| turn)
        }
    }

    pub(super) fn len(&self) -> usize {
        self.in_order.len() + self.late.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn retain(&mut self, is_there: impl Fn(LaneId) -> bool) {
        self.in_order.retain(|turn| is_there(turn.lane));
        self.late.retain(|Reverse(turn)| is_there(turn.lane));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::slab::Slab;

    proptest! {
        /// Beside a plain list, whatever comes and goes in between.
        #[test]
        fn whose_record_arrived_first_goes_first(steps in prop::collection::vec(prop::option::of(0..50u64), 0..200)) {
            let lane = Slab::new().insert(());
            let (mut turns, mut plain) = (Turns::default(), vec![]);
            for arrival in steps {
                match arrival {
                    Some(arrival) => {
                        turns.push(Turn { arrival, lane });
                        plain.push(arrival);
                        plain.sort_unstable();
                    }
                    None => {
                        let first = (!plain.is_empty()).then(|| plain.remove(0));
                        prop_assert_eq!(turns.first().map(|turn| turn.arrival), first);
                        prop_assert_eq!(turns.pop().map(|turn| turn.arrival), first);
                    }
                }
                prop_assert_eq!((turns.len(), turns.is_empty()), (plain.len(), plain.is_empty()));
            }
        }
    }
}
