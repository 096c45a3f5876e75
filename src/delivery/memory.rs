//! Memory budgets: how many bytes of changes may be held (P5). A reader reserves before it asks for a page, splits the
//! reservation among the page's changes, and each change gives its part back when it is done. A budget may be part of a
//! larger one, so that a pipeline that cannot deliver leaves room for the others, and so for a shard in its pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// A limit in bytes that many hold parts of; who waits for room is served in turn. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Budget(Arc<State>);

#[derive(Debug)]
struct State {
    limit: usize,
    /// One permit a byte.
    room: Semaphore,
    used: AtomicUsize,
    /// Bytes held beyond the limit, by pages that turned out larger than what was reserved for them.
    overdraft: AtomicUsize,
    /// What is held here is held there too.
    whole: Option<Budget>,
}

/// Bytes held of a budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub fn new(limit_bytes: usize) -> Self {
        Self::with(limit_bytes, None)
    }

    /// A part of this budget with a limit of its own; parts may add up to more than the whole.
    pub fn part(&self, limit_bytes: usize) -> Self {
        Self::with(limit_bytes.min(self.0.limit), Some(self.clone()))
    }

    fn with(limit_bytes: usize, whole: Option<Budget>) -> Self {
        let limit = limit_bytes.clamp(1, Semaphore::MAX_PERMITS);
        let (room, used, overdraft) = (Semaphore::new(limit), AtomicUsize::new(0), AtomicUsize::new(0));
        Budget(Arc::new(State { limit, room, used, overdraft, whole }))
    }

    /// Bytes held at present.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Acquire)
    }

    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// This budget and those it is a part of, the smallest first: the order in which room is taken everywhere.
    fn levels(&self) -> impl Iterator<Item = &State> {
        std::iter::successors(Some(&*self.0), |state| state.whole.as_ref().map(|whole| &*whole.0))
    }

    /// Waits until `bytes` fit under every limit and takes them; never more than this budget's whole limit. Given up
    /// while it waits, it holds nothing.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        let bytes = bytes.min(self.0.limit);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut taken = Vec::new();
        for level in self.levels() {
            // The semaphores are never closed.
            taken.extend(level.room.acquire_many(permits).await);
        }
        taken.into_iter().for_each(tokio::sync::SemaphorePermit::forget);
        for level in self.levels() {
            level.used.fetch_add(bytes, Ordering::AcqRel);
        }
        Reservation { budget: self.clone(), bytes }
    }

    fn overdraw(&self, bytes: usize) {
        for level in self.levels() {
            level.used.fetch_add(bytes, Ordering::AcqRel);
            level.overdraft.fetch_add(bytes, Ordering::AcqRel);
        }
    }

    fn give_back(&self, bytes: usize) {
        self.levels().for_each(|level| level.give_back(bytes));
    }
}

impl State {
    /// Gives bytes back, to the overdraft first.
    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
        let mut repaid = 0;
        let _ = self.overdraft.fetch_update(Ordering::AcqRel, Ordering::Acquire, |overdraft| {
            repaid = overdraft.min(bytes);
            Some(overdraft - repaid)
        });
        self.room.add_permits(bytes - repaid);
    }
}

impl Reservation {
    /// Moves `bytes` out into a reservation of their own. Where more are asked for than are left (a page that grew
    /// past its reservation), the budget runs over by the difference: what is in memory already must be counted.
    pub fn split(&mut self, bytes: usize) -> Reservation {
        let own = bytes.min(self.bytes);
        self.bytes -= own;
        if bytes > own {
            self.budget.overdraw(bytes - own);
        }
        Reservation { budget: self.budget.clone(), bytes }
    }

    /// Holds the other's bytes too.
    pub fn absorb(&mut self, mut other: Reservation) {
        if Arc::ptr_eq(&self.budget.0, &other.budget.0) {
            self.bytes += std::mem::take(&mut other.bytes);
        } else {
            self.budget.overdraw(other.bytes);
            self.bytes += other.bytes;
        }
    }

    /// Gives bytes back, as many as it holds at the most.
    pub fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        if bytes > 0 {
            self.bytes -= bytes;
            self.budget.give_back(bytes);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reservation_waits_for_room_and_gives_it_back() {
        let budget = Budget::new(100);
        let first = budget.reserve(80).await;
        let second = budget.reserve(30);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        let second = second.await;
        assert_eq!(budget.used(), 30);
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn parts_are_counted_until_each_is_dropped() {
        let budget = Budget::new(100);
        let mut page = budget.reserve(50).await;
        let change = page.split(20);
        let grown = page.split(60);
        assert_eq!(budget.used(), 80);
        drop(page);
        assert_eq!(budget.used(), 80);
        drop(change);
        assert_eq!(budget.used(), 60);
        drop(grown);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn what_is_absorbed_is_held_until_it_is_given_back() {
        let whole = Budget::new(100);
        let (one, other) = (whole.part(60), whole.part(60));
        let mut all = one.reserve(10).await;
        all.absorb(one.reserve(20).await);
        all.absorb(other.reserve(30).await);
        assert_eq!((one.used(), other.used(), whole.used()), (60, 0, 60));
        all.give_back(25);
        assert_eq!((all.bytes, one.used(), whole.used()), (35, 35, 35));
        all.give_back(1_000);
        assert_eq!((all.bytes, one.used(), whole.used()), (0, 0, 0));
        drop(all);
        assert_eq!(whole.reserve(100).await.bytes, 100);
    }

    #[tokio::test]
    async fn an_overdraft_is_paid_back_before_anyone_gets_room() {
        let budget = Budget::new(100);
        let mut page = budget.reserve(100).await;
        let grown = page.split(150);
        drop(page);
        assert_eq!(budget.used(), 150);
        let next = budget.reserve(100);
        tokio::pin!(next);
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(grown);
        let next = next.await;
        assert_eq!((next.bytes, budget.used()), (100, 100));
    }

    #[tokio::test]
    async fn a_part_that_is_full_leaves_the_rest_to_the_others() {
        let whole = Budget::new(100);
        let (one, other) = (whole.part(60), whole.part(60));
        let held = one.reserve(60).await;
        {
            let more = one.reserve(1);
            tokio::pin!(more);
            assert!(futures_util::poll!(&mut more).is_pending());
        }
        let theirs = other.reserve(40).await;
        assert_eq!((one.used(), other.used(), whole.used()), (60, 40, 100));
        {
            // Room in its part, none in the whole: given up, it leaves no trace.
            let more = other.reserve(10);
            tokio::pin!(more);
            assert!(futures_util::poll!(&mut more).is_pending());
        }
        drop(held);
        drop(theirs);
        let all = other.reserve(60).await;
        assert_eq!((all.bytes, whole.used()), (60, 60));
    }
}
