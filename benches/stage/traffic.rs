//! The traffic: a thread that changes items at a steady rate, and catches up when it was held up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Stage, TABLE};

/// Between two bursts.
const TICK: Duration = Duration::from_millis(10);
/// What each item holds beside its key and its version.
const FILLER: &str = "an order of some length, so that a record weighs as much as many an application's do: \
     lines, amounts, an address, the time it was placed and what became of it since";

/// Which items are changed, and how fast.
pub struct Load {
    pub items: Vec<String>,
    pub changes_a_second: usize,
    /// Items changed in any one second, each several times; then the next ones.
    pub items_a_second: usize,
}

impl Load {
    /// The item of the nth change.
    fn item(&self, number: usize) -> &str {
        let window = number / self.changes_a_second * self.items_a_second;
        let place = window + number % self.changes_a_second % self.items_a_second;
        &self.items[place % self.items.len()]
    }
}

/// Traffic under way.
pub struct Traffic<'scope> {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    thread: ScopedJoinHandle<'scope, ()>,
    began: Instant,
}

impl<'scope> Traffic<'scope> {
    pub fn start<'env>(scope: &'scope Scope<'scope, 'env>, stage: &'env Stage, load: Load) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&written));
        let began = Instant::now();
        let thread = scope.spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                let due = began.elapsed().as_millis() as usize * load.changes_a_second / 1_000;
                let done = count.load(Ordering::Acquire);
                for number in done..due {
                    let item = json!({
                        "id": {"S": load.item(number)},
                        "version": {"N": number.to_string()},
                        "text": {"S": FILLER},
                    });
                    // One lock a change: requests come in between.
                    stage.fake.world().put(TABLE, item).expect("a change");
                }
                count.store(due.max(done), Ordering::Release);
                std::thread::sleep(TICK);
            }
        });
        Traffic { stop, written, thread, began }
    }

    /// Ends it. Returns the changes made, and how many a second that was.
    pub fn stop(self) -> (usize, f64) {
        let seconds = self.began.elapsed().as_secs_f64();
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the traffic's thread does not panic");
        let written = self.written.load(Ordering::Acquire);
        (written, written as f64 / seconds)
    }
}
