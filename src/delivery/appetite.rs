//! The writer's appetite: reading waits while as much is ready to be sent, or on its way here, as the next rounds of calls can
//! take. More would only lie in memory, and grow cold there. What cannot be sent yet (behind a head in flight, a failed one, or
//! one whose target shard is full) sates nobody: reading goes on past it, as far as the memory goes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Records and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    pub records: usize,
    pub bytes: usize,
}

impl Amount {
    fn reaches(self, limit: Amount) -> bool {
        self.records >= limit.records || self.bytes >= limit.bytes
    }
}

/// What a pipeline's readers ask before each page, and its writer tells. Who waits is let in in turn. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Appetite(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    enough: Amount,
    /// Enough of what is ready and what is on its way, together.
    together: Amount,
    ready: Amount,
    /// What those who were let in are to bring.
    coming: Amount,
    waiting: VecDeque<(Amount, oneshot::Sender<Portion>)>,
}

/// Leave to bring so much; it counts until it is dropped.
#[derive(Debug)]
pub struct Portion {
    amount: Amount,
    of: Appetite,
}

impl Appetite {
    /// Sated by so much ready, or by so much `together` with what is on its way.
    pub(super) fn new(enough: Amount, together: Amount) -> Self {
        let (ready, coming) = Default::default();
        Appetite(Arc::new(Mutex::new(State { enough, together, ready, coming, waiting: VecDeque::new() })))
    }

    /// Waits until there is room for more: at once, unless the writer is sated or others wait. So that nobody waits for ever
    /// the last portion may be larger than the room that is left.
    pub(super) async fn wait(&self, amount: Amount) -> Portion {
        let turn = {
            let mut state = self.lock();
            if state.waiting.is_empty() && !state.is_sated() {
                return self.portion(&mut state, amount);
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.retain(|(_, waiting)| !waiting.is_closed());
            state.waiting.push_back((amount, sender));
            turn
        };
        match turn.await {
            Ok(portion) => portion,
            // Nobody drops a sender but with the whole queue.
            Err(_) => self.portion(&mut self.lock(), amount),
        }
    }

    /// So much is ready.
    pub(super) fn tell(&self, ready: Amount) {
        self.lock().ready = ready;
        self.let_in();
    }

    fn let_in(&self) {
        loop {
            let mut state = self.lock();
            let next = if state.is_sated() { None } else { state.waiting.pop_front() };
            let Some((amount, waiting)) = next else { return };
            if waiting.is_closed() {
                continue;
            }
            let portion = self.portion(&mut state, amount);
            drop(state);
            // Where nobody takes it after all, it comes back by its drop.
            drop(waiting.send(portion));
        }
    }

    fn portion(&self, state: &mut State, amount: Amount) -> Portion {
        state.coming.records += amount.records;
        state.coming.bytes += amount.bytes;
        Portion { amount, of: self.clone() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_sated(&self) -> bool {
        let together = Amount {
            records: self.ready.records + self.coming.records,
            bytes: self.ready.bytes + self.coming.bytes,
        };
        self.ready.reaches(self.enough) || together.reaches(self.together)
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        if self.amount == Amount::default() {
            return;
        }
        {
            let mut state = self.of.lock();
            state.coming.records -= self.amount.records;
            state.coming.bytes -= self.amount.bytes;
        }
        self.of.let_in();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    fn records(records: usize) -> Amount {
        Amount { records, bytes: 0 }
    }

    fn of_hundred() -> Appetite {
        let enough = Amount { records: 100, bytes: 1_000 };
        Appetite::new(enough, enough)
    }

    #[tokio::test]
    async fn what_is_coming_counts_until_it_is_there() {
        let appetite = of_hundred();
        let first = appetite.wait(records(60)).await;
        let second = appetite.wait(records(60)).await;
        let (mut third, mut fourth) = (pin!(appetite.wait(records(30))), pin!(appetite.wait(records(30))));
        assert!(poll!(&mut third).is_pending() && poll!(&mut fourth).is_pending());
        // It is there, all of it ready: 60 and 60 still.
        appetite.tell(records(60));
        drop(first);
        assert!(poll!(&mut third).is_pending());
        appetite.tell(records(30));
        assert!(poll!(&mut fourth).is_pending(), "who waited first goes first, and fills it up");
        assert!(poll!(&mut third).is_ready());
        drop(second);
        assert!(poll!(&mut fourth).is_ready());
    }

    #[tokio::test]
    async fn who_brings_nothing_waits_as_the_others_do_and_takes_no_room() {
        let appetite = of_hundred();
        appetite.tell(Amount { records: 0, bytes: 1_000 });
        let mut empty = pin!(appetite.wait(Amount::default()));
        let mut full = pin!(appetite.wait(records(100)));
        assert!(poll!(&mut empty).is_pending());
        assert!(poll!(&mut full).is_pending());
        appetite.tell(Amount { records: 0, bytes: 999 });
        assert!(poll!(&mut full).is_ready());
        assert!(poll!(&mut empty).is_ready());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_its_turn_to_the_next() {
        let appetite = of_hundred();
        appetite.tell(records(100));
        let mut third = pin!(appetite.wait(records(1)));
        {
            let (mut first, mut second) =
                (Box::pin(appetite.wait(records(100))), Box::pin(appetite.wait(records(100))));
            assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
            assert!(poll!(&mut third).is_pending());
            // The first has its turn and does not know; the second has none yet.
            appetite.tell(records(0));
        }
        assert!(poll!(&mut third).is_ready());
        assert!(!appetite.lock().is_sated(), "nothing of theirs is coming any more");
    }

    #[tokio::test]
    async fn more_may_be_on_its_way_than_is_to_be_ready() {
        let up_to = |records| Amount { records, bytes: 1 };
        let appetite = Appetite::new(up_to(100), up_to(300));
        let _two = [appetite.wait(records(100)).await, appetite.wait(records(100)).await];
        let mut third = pin!(appetite.wait(records(100)));
        appetite.tell(records(100));
        assert!(poll!(&mut third).is_pending(), "enough is ready");
        appetite.tell(records(99));
        let third = third.await;
        assert!(poll!(pin!(appetite.wait(records(0)))).is_pending(), "enough is on its way");
        drop(third);
        appetite.wait(records(0)).await;
    }

    #[tokio::test]
    async fn any_number_may_give_up() {
        let appetite = of_hundred();
        appetite.tell(records(100));
        let mut waiting: Vec<_> = (0..10_000).map(|_| Box::pin(appetite.wait(records(10)))).collect();
        for one in &mut waiting {
            assert!(poll!(one).is_pending());
        }
        drop(waiting);
        appetite.tell(records(0));
        assert_eq!(appetite.lock().waiting.len(), 0);
        assert_eq!(appetite.lock().coming, Amount::default());
    }
}
