//! What one stretch of work on one thread cost.

use std::future::Future;
use std::ops::AddAssign;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The cost of a stretch of work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// CPU time of the thread, its system calls included.
    pub cpu: Duration,
    pub allocations: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.cpu += other.cpu;
        self.allocations += other.allocations;
    }
}

impl Cost {
    /// CPU microseconds a change.
    pub fn micros(&self, changes: usize) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / changes as f64
    }
}

/// Runs `work` to its end on this thread's runtime.
pub fn measure<T>(runtime: &tokio::runtime::Runtime, work: impl Future<Output = T>) -> (T, Cost) {
    measure_here(|| runtime.block_on(work))
}

pub fn measure_here<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let mut done = None;
    let cpu = thread_cpu();
    let info = allocation_counter::measure(|| done = Some(work()));
    let cost = Cost { cpu: thread_cpu() - cpu, allocations: info.count_total };
    (done.expect("it has run"), cost)
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A runtime whose tasks all run on the thread that drives it.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
