//! How long a probe goes on asking an endpoint that does not answer.

use std::time::Duration;

use crate::error::ApiError;
use crate::machine::{Machine, MonoTime};

/// `run` waits this long in all for endpoints that do not answer.
const START_LIMIT: Duration = Duration::from_secs(60);

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The one retry rule of the probes: passing errors (no answer, 5xx, throttles) are retried after 1, 2, 4, 8, 10, 10, …
/// seconds, each said in the log; all others are final at once.
pub struct Patience<'a> {
    machine: &'a dyn Machine,
    limit: Limit,
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    /// No wait may end after this moment.
    Until(MonoTime),
    Tries(u32),
}

impl<'a> Patience<'a> {
    /// For `run`: a minute from now, shared by all that is asked.
    pub fn at_start(machine: &'a dyn Machine) -> Self {
        Patience { machine, limit: Limit::Until(machine.now() + START_LIMIT) }
    }

    /// For `check`: every question at most twice.
    pub fn brief(machine: &'a dyn Machine) -> Self {
        Patience { machine, limit: Limit::Tries(2) }
    }

    pub(super) fn machine(&self) -> &'a dyn Machine {
        self.machine
    }

    /// The answer to `call`, asked as often as the limit allows; else its last error.
    pub async fn ask<T, Answer>(&self, section: &str, call: impl Fn() -> Answer) -> Result<T, ApiError>
    where
        Answer: Future<Output = Result<T, ApiError>>,
    {
        let (mut wait, mut tries) = (FIRST_WAIT, 1);
        loop {
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.kind.is_passing() && self.allows(tries, wait) => error,
                Err(error) => return Err(error),
            };
            let wait_s = wait.as_secs();
            tracing::warn!(section, api = error.api, error = %error, wait_s, "no usable answer; asking again");
            self.machine.sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            tries += 1;
        }
    }

    fn allows(&self, tries: u32, wait: Duration) -> bool {
        match self.limit {
            Limit::Until(deadline) => self.machine.now() + wait <= deadline,
            Limit::Tries(most) => tries < most,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::ErrorKind;
    use crate::machine::{BoxFuture, Task};

    /// A machine whose sleeps pass at once and are written down.
    #[derive(Default)]
    struct Sleeper {
        slept: Mutex<Vec<u64>>,
    }

    impl Sleeper {
        fn slept_s(&self) -> Vec<u64> {
            self.slept.lock().expect("not poisoned").clone()
        }
    }

    impl Machine for Sleeper {
        fn now(&self) -> MonoTime {
            MonoTime::from_origin(Duration::from_secs(self.slept_s().iter().sum()))
        }
        fn wall_ms(&self) -> u64 {
            0
        }
        fn sleep(&self, duration: Duration) -> BoxFuture<()> {
            self.slept.lock().expect("not poisoned").push(duration.as_secs());
            Box::pin(async {})
        }
        fn spawn(&self, _task: BoxFuture<()>) -> Task {
            unimplemented!("probes start no tasks")
        }
        fn random(&self) -> u64 {
            0
        }
    }

    async fn ask(patience: &Patience<'_>, kind: ErrorKind, good_after: u32) -> (Result<(), ApiError>, u32) {
        let calls = AtomicU32::new(0);
        let result = patience
            .ask("[x]", || async {
                let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
                if call > good_after { Ok(()) } else { Err(ApiError::new("Api", kind, "Code", "why")) }
            })
            .await;
        (result, calls.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_start_waits_a_minute_in_all() {
        let machine = Sleeper::default();
        let patience = Patience::at_start(&machine);
        let (result, _) = ask(&patience, ErrorKind::Transient, u32::MAX).await;
        assert_eq!(result.map_err(|error| error.kind), Err(ErrorKind::Transient));
        assert_eq!(machine.slept_s(), [1, 2, 4, 8, 10, 10, 10, 10]);
        // The minute is spent: a second question is still asked, once for each second left.
        let (_, calls) = ask(&patience, ErrorKind::Throttled, u32::MAX).await;
        assert_eq!((calls, machine.slept_s().iter().sum::<u64>()), (3, 58));
    }

    #[tokio::test]
    async fn an_answer_ends_the_waiting() {
        let machine = Sleeper::default();
        let (result, calls) = ask(&Patience::at_start(&machine), ErrorKind::Transient, 2).await;
        assert_eq!((result, calls), (Ok(()), 3));
    }

    #[tokio::test]
    async fn what_does_not_pass_is_final() {
        let machine = Sleeper::default();
        for kind in [ErrorKind::Credentials, ErrorKind::Denied, ErrorKind::NotFound, ErrorKind::Invalid] {
            let (result, calls) = ask(&Patience::at_start(&machine), kind, u32::MAX).await;
            assert_eq!((result.is_err(), calls), (true, 1), "{kind:?}");
        }
        assert!(machine.slept_s().is_empty());
    }

    #[tokio::test]
    async fn a_check_asks_twice() {
        let machine = Sleeper::default();
        let (_, calls) = ask(&Patience::brief(&machine), ErrorKind::Transient, u32::MAX).await;
        assert_eq!((calls, machine.slept_s()), (2, vec![1]));
    }
}
