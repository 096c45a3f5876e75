//! Health: whether the worker's loops move, and whether it can do its work. Tasks report facts here; the HTTP listener
//! answers from them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::machine::{Machine, MonoTime};

/// The coordinator goes round at least this often, whatever its calls come back with.
const MOVES_WITHIN: Duration = Duration::from_secs(60);

/// What the worker's tasks report of themselves.
pub struct Health {
    machine: Arc<dyn Machine>,
    moved_ms: AtomicU64,
    deadline: Mutex<Option<watch::Receiver<MonoTime>>>,
    /// What keeps a part of the work from going on, by what it concerns.
    troubles: Mutex<BTreeMap<String, String>>,
}

impl Health {
    pub fn new(machine: Arc<dyn Machine>) -> Self {
        let moved_ms = AtomicU64::new(machine.now().as_millis());
        Health { machine, moved_ms, deadline: Mutex::default(), troubles: Mutex::default() }
    }

    /// The worker's main loop went round.
    pub fn moved(&self) {
        self.moved_ms.store(self.machine.now().as_millis(), Ordering::Release);
    }

    /// A session began; it may act until this deadline.
    pub fn session(&self, deadline: watch::Receiver<MonoTime>) {
        *lock(&self.deadline) = Some(deadline);
    }

    /// Something needs an operator, until the answer is dropped.
    #[must_use = "the trouble is over when this is dropped"]
    pub fn trouble(self: &Arc<Self>, concerns: impl Into<String>, what: impl Into<String>) -> Trouble {
        let concerns = concerns.into();
        lock(&self.troubles).insert(concerns.clone(), what.into());
        Trouble { health: Arc::clone(self), concerns }
    }

    /// `Err` says what does not move.
    pub fn live(&self) -> Result<(), String> {
        let still_ms = self.machine.now().as_millis().saturating_sub(self.moved_ms.load(Ordering::Acquire));
        if Duration::from_millis(still_ms) <= MOVES_WITHIN {
            Ok(())
        } else {
            Err(format!("the worker's main loop has not moved for {} s\n", still_ms / 1_000))
        }
    }

    /// `Err` says why work does not go on.
    pub fn ready(&self) -> Result<(), String> {
        let mut why = String::new();
        let now = self.machine.now();
        let may_act = lock(&self.deadline).as_ref().is_some_and(|deadline| *deadline.borrow() > now);
        // Writing into a String cannot fail.
        if !may_act {
            let _ = writeln!(
                why,
                "no session: the lease table cannot be reached, or no heartbeat succeeded in time"
            );
        }
        for (concerns, what) in &*lock(&self.troubles) {
            let _ = writeln!(why, "{concerns}: {what}");
        }
        if why.is_empty() { Ok(()) } else { Err(why) }
    }
}

/// Something that needs an operator; over when dropped, however its task ends.
pub struct Trouble {
    health: Arc<Health>,
    concerns: String,
}

impl Drop for Trouble {
    fn drop(&mut self) {
        lock(&self.health.troubles).remove(&self.concerns);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::RealMachine;

    #[tokio::test(start_paused = true)]
    async fn ready_with_a_session_and_no_trouble() {
        let machine = Arc::new(RealMachine::new());
        let health = Arc::new(Health::new(machine.clone()));
        assert!(health.ready().is_err());
        let (deadline, receiver) = watch::channel(machine.now() + Duration::from_secs(8));
        health.session(receiver);
        assert_eq!(health.ready(), Ok(()));
        let trouble = health.trouble("orders, shard 1", "halted");
        assert_eq!(health.ready(), Err("orders, shard 1: halted\n".to_owned()));
        drop(trouble);
        assert_eq!(health.ready(), Ok(()));
        machine.sleep(Duration::from_secs(8)).await;
        assert!(health.ready().is_err());
        deadline.send_replace(machine.now() + Duration::from_secs(8));
        assert_eq!(health.ready(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn alive_while_the_loop_goes_round() {
        let machine = Arc::new(RealMachine::new());
        let health = Health::new(machine.clone());
        machine.sleep(Duration::from_secs(61)).await;
        assert!(health.live().is_err());
        health.moved();
        assert_eq!(health.live(), Ok(()));
    }
}
