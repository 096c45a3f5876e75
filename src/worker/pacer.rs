//! A pacer: calls that share a limit take turns, at least so far apart. The first goes at once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::machine::{Machine, MonoTime, sleep_until};

/// Turns at least `apart` from each other.
#[derive(Debug)]
pub struct Pacer {
    apart: Duration,
    next: Mutex<MonoTime>,
}

impl Pacer {
    pub fn new(apart: Duration) -> Self {
        Pacer { apart, next: Mutex::new(MonoTime::default()) }
    }

    /// Waits for the next turn.
    pub async fn turn(&self, machine: &dyn Machine) {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = machine.now().max(*next);
            *next = at + self.apart;
            at
        };
        sleep_until(machine, at).await;
    }
}
