//! A task's pulse: whether it is at work this moment, and since when. A task that blocks its thread, or has ended although
//! it never should, shows; one that waits is well, whatever it waits for.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::machine::{Machine, MonoTime};

const WAITS: u64 = u64::MAX;
const OVER: u64 = u64::MAX - 1;

/// At work for so long without a pause, it is stuck.
const AT_WORK_FOR: Duration = Duration::from_secs(60);

/// Shared by the task and whoever looks.
#[derive(Debug)]
pub struct Pulse(AtomicU64);

impl Default for Pulse {
    fn default() -> Self {
        Pulse(AtomicU64::new(WAITS))
    }
}

impl Pulse {
    /// Runs a future that should not end before its owner does.
    pub async fn of<T>(&self, machine: &dyn Machine, future: impl Future<Output = T>) -> T {
        let _over = Over(self);
        let mut future = pin!(future);
        poll_fn(|context| {
            self.0.store(machine.now().as_millis(), Ordering::Release);
            let polled = future.as_mut().poll(context);
            self.0.store(WAITS, Ordering::Release);
            polled
        })
        .await
    }

    /// `Err` says what is wrong with it.
    pub fn check(&self, now: MonoTime) -> Result<(), String> {
        match self.0.load(Ordering::Acquire) {
            WAITS => Ok(()),
            OVER => Err("has ended unexpectedly".to_owned()),
            since_ms => {
                let busy = now.since(MonoTime::from_origin(Duration::from_millis(since_ms)));
                if busy <= AT_WORK_FOR {
                    Ok(())
                } else {
                    Err(format!("has not moved for {} s", busy.as_secs()))
                }
            }
        }
    }
}

/// However the task ends, by a panic too.
struct Over<'a>(&'a Pulse);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.0.store(OVER, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::RealMachine;

    fn at(seconds: u64) -> MonoTime {
        MonoTime::from_origin(Duration::from_secs(seconds))
    }

    #[tokio::test]
    async fn a_task_that_waits_is_well_and_one_that_ended_is_not() {
        let (machine, pulse) = (RealMachine::new(), Pulse::default());
        let mut task = Box::pin(pulse.of(&machine, std::future::pending::<()>()));
        assert!(futures_util::poll!(&mut task).is_pending());
        assert_eq!(pulse.check(at(1_000_000)), Ok(()));
        drop(task);
        assert!(pulse.check(at(0)).unwrap_err().contains("ended"));
    }

    #[tokio::test]
    async fn a_task_that_blocks_its_thread_shows() {
        let (machine, pulse) = (RealMachine::new(), Pulse::default());
        let looks = async {
            assert_eq!(pulse.check(machine.now() + Duration::from_secs(59)), Ok(()));
            pulse.check(machine.now() + Duration::from_secs(61)).unwrap_err()
        };
        // Looked at from within: as another thread would see it.
        assert!(pulse.of(&machine, looks).await.contains("not moved for 61 s"));
    }
}
