//! The order in which lanes became empty. A lane that fills again leaves its note behind; such notes are dropped when
//! they are come upon, or when they are more than the rest.

use std::collections::VecDeque;

use super::LaneId;

#[derive(Debug, Default)]
pub(super) struct Empties {
    notes: VecDeque<(u64, LaneId)>,
    /// The number of the next note.
    next: u64,
    /// Lanes that are empty.
    count: usize,
}

impl Empties {
    /// The lane is empty now; gives the note's number.
    pub(super) fn add(&mut self, lane: LaneId) -> u64 {
        let since = self.next;
        self.notes.push_back((since, lane));
        self.next += 1;
        self.count += 1;
        since
    }

    /// A new lane, which is filled at once.
    pub(super) fn enter(&mut self) {
        self.count += 1;
    }

    /// A lane is empty no more, or gone.
    pub(super) fn left(&mut self) {
        self.count -= 1;
    }

    /// With more than `most` lanes empty, the longest empty; `is_right` tells whether a note still holds.
    pub(super) fn one_too_many(
        &mut self,
        most: usize,
        is_right: impl Fn(u64, LaneId) -> bool,
    ) -> Option<LaneId> {
        if self.notes.len() > 2 * most {
            self.notes.retain(|(since, lane)| is_right(*since, *lane));
        }
        while self.count > most {
            let (since, lane) = self.notes.pop_front()?;
            if is_right(since, lane) {
                return Some(lane);
            }
        }
        None
    }
}
