//! The machine: what a process takes from the computer it runs on. A clock, tasks, randomness. Worker code takes them
//! from here and nowhere else, so that a simulation can run many workers in one process, each with a clock of its own
//! speed, each pausable and killable, and replay it all from one seed.

use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::task::JoinHandle;

/// A future that can be moved between threads and owns what it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A moment on one machine's monotonic clock, counted from an arbitrary origin. Never compared across machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct MonoTime(Duration);

impl MonoTime {
    /// The moment `since_origin` after the clock's origin.
    pub fn from_origin(since_origin: Duration) -> Self {
        MonoTime(since_origin)
    }

    /// Time since the clock's origin, in whole milliseconds.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: MonoTime) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for MonoTime {
    type Output = MonoTime;
    fn add(self, by: Duration) -> MonoTime {
        MonoTime(self.0.saturating_add(by))
    }
}

impl Sub<Duration> for MonoTime {
    type Output = MonoTime;
    fn sub(self, by: Duration) -> MonoTime {
        MonoTime(self.0.saturating_sub(by))
    }
}

/// The port to the machine.
pub trait Machine: Send + Sync + 'static {
    /// The monotonic clock.
    fn now(&self) -> MonoTime;
    /// The wall clock: milliseconds since 1970-01-01 UTC. For notes that people read and for hours, never for leases.
    fn wall_ms(&self) -> u64;
    /// Completes `duration` later on the monotonic clock.
    fn sleep(&self, duration: Duration) -> BoxFuture<()>;
    /// Starts a task. It ends when its [`Task`] is dropped.
    fn spawn(&self, task: BoxFuture<()>) -> Task;
    /// The next number of the machine's one random generator.
    fn random(&self) -> u64;
}

/// A running task; dropping it ends the task.
pub struct Task(JoinHandle<()>);

impl Task {
    /// Takes charge of a task that the runtime runs.
    pub fn new(handle: JoinHandle<()>) -> Self {
        Task(handle)
    }

    /// Whether the task has ended, by itself or by a panic.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the task's end; false when it panicked or was ended from outside.
    pub async fn join(mut self) -> bool {
        (&mut self.0).await.is_ok()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.is_finished()).finish()
    }
}

/// Runs `future` for at most `limit`; `None` when it did not complete in time (it is dropped then).
pub async fn timeout<T>(
    machine: &dyn Machine,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    tokio::select! {
        biased;
        value = &mut future => Some(value),
        () = machine.sleep(limit) => None,
    }
}

/// Waits until the monotonic clock shows `moment`.
pub async fn sleep_until(machine: &dyn Machine, moment: MonoTime) {
    machine.sleep(moment.since(machine.now())).await;
}

/// The real machine: tokio's clock and tasks, the operating system's randomness.
#[derive(Debug)]
pub struct RealMachine {
    origin: tokio::time::Instant,
}

#[expect(clippy::disallowed_methods, reason = "this is the port's real side")]
impl RealMachine {
    pub fn new() -> Self {
        RealMachine { origin: tokio::time::Instant::now() }
    }
}

impl Default for RealMachine {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the port's real side")]
impl Machine for RealMachine {
    fn now(&self) -> MonoTime {
        MonoTime(self.origin.elapsed())
    }

    fn wall_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn(&self, task: BoxFuture<()>) -> Task {
        Task::new(tokio::spawn(task))
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}
