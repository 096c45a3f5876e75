//! The writer's appetite: reading waits while as much is ready to be sent as the next rounds of calls can take. More would
//! only lie in memory, and grow cold there. What cannot be sent yet (behind a head in flight, a failed one, or one whose
//! target shard is full) sates nobody: reading goes on past it, as far as the memory goes.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// What a pipeline's readers ask before each page, and its writer tells. Who waits is let in in turn.
#[derive(Debug, Default)]
pub(super) struct Appetite {
    is_sated: AtomicBool,
    let_in: Notify,
}

impl Appetite {
    /// Waits while the writer is sated.
    pub(super) async fn wait(&self) {
        if !self.is_sated() {
            return;
        }
        let mut turn = pin!(self.let_in.notified());
        // In the queue before the second look: what the writer tells in between is not missed.
        turn.as_mut().enable();
        if self.is_sated() {
            turn.await;
        }
    }

    pub(super) fn is_sated(&self) -> bool {
        // Between the queue and this flag only a total order tells who came first.
        self.is_sated.load(Ordering::SeqCst)
    }

    /// How much is ready, in hundredths of what is enough. Below half of it all may read; between that and enough, each
    /// time this is told, one more.
    pub(super) fn tell(&self, percent: usize) {
        match percent {
            0..50 => {
                self.is_sated.store(false, Ordering::SeqCst);
                self.let_in.notify_waiters();
            }
            50..100 if self.is_sated() => self.let_in.notify_one(),
            50..100 => {}
            _ => self.is_sated.store(true, Ordering::SeqCst),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_let_in_in_turn_and_all_once_it_is_hungry() {
        let appetite = Appetite::default();
        appetite.tell(99);
        appetite.wait().await;
        appetite.tell(100);
        let (mut first, mut second, mut third) =
            (pin!(appetite.wait()), pin!(appetite.wait()), pin!(appetite.wait()));
        for waiting in [&mut first, &mut second, &mut third] {
            assert!(poll!(waiting).is_pending());
        }
        appetite.tell(50);
        assert!(poll!(&mut second).is_pending() && poll!(&mut first).is_ready());
        {
            let mut newcomer = pin!(appetite.wait());
            assert!(poll!(&mut newcomer).is_pending(), "it is not hungry yet");
        }
        appetite.tell(49);
        assert!(poll!(&mut second).is_ready() && poll!(&mut third).is_ready());
        appetite.wait().await;
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_its_turn_to_the_next() {
        let appetite = Appetite::default();
        appetite.tell(100);
        let mut second = {
            let mut first = Box::pin(appetite.wait());
            assert!(poll!(&mut first).is_pending());
            let mut second = Box::pin(appetite.wait());
            assert!(poll!(&mut second).is_pending());
            appetite.tell(50);
            second
        };
        assert!(poll!(&mut second).is_ready());
    }
}
