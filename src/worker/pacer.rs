//! A pacer: calls that share a limit take turns, at least so far apart. The first goes at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::machine::{Machine, MonoTime, sleep_until};

/// Turns at least `apart` from each other.
#[derive(Debug)]
pub struct Pacer {
    apart: Duration,
    next: Mutex<MonoTime>,
    sharers: AtomicU32,
}

impl Pacer {
    /// Turns so far apart, of one process alone.
    pub fn new(apart: Duration) -> Self {
        Pacer { apart, next: Mutex::new(MonoTime::default()), sharers: AtomicU32::new(1) }
    }

    /// So many processes share the limit: turns are that much further apart from here on.
    pub fn shared_by(&self, processes: usize) {
        self.sharers.store(u32::try_from(processes).unwrap_or(u32::MAX).max(1), Ordering::Release);
    }

    /// Waits for the next turn.
    pub async fn turn(&self, machine: &dyn Machine) {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = machine.now().max(*next);
            *next = at + self.apart * self.sharers.load(Ordering::Acquire);
            at
        };
        sleep_until(machine, at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::RealMachine;

    #[tokio::test(start_paused = true)]
    async fn turns_are_so_far_apart_and_farther_for_each_who_shares_them() {
        let (machine, pacer) = (RealMachine::new(), Pacer::new(Duration::from_secs(1)));
        let mut turns = Vec::new();
        for sharers in [1, 1, 3, 3, 0] {
            pacer.shared_by(sharers);
            pacer.turn(&machine).await;
            turns.push(machine.now().as_millis() / 1_000);
        }
        assert_eq!(turns, [0, 1, 2, 5, 8]);
    }
}
