//! The harness: a place with DynamoDB and Kinesis in it (embedded emulators, or what `BRIDGE_TEST_ENDPOINT` names),
//! the real binary as a child process, and a judge that watches the Kinesis streams from outside. It waits on what it
//! observes and gives up only when nothing has moved for a long time; it asserts nothing about speed.
// Each integration test crate includes this module whole and uses a part of it.
#![allow(dead_code)]

#[path = "../support/aggregate.rs"]
pub mod aggregate;
pub mod bridge;
pub mod delivery;
pub mod lease_rows;
pub mod place;
pub mod settings;
pub mod tap;

use std::time::{Duration, Instant};

/// Nothing has moved for this long: the test fails. Far longer than anything takes on a busy machine.
pub const STUCK: Duration = Duration::from_secs(120);
/// Between two looks at a state outside this process.
pub const LOOK: Duration = Duration::from_millis(50);

/// Looks again and again until `look` answers, and fails with what was waited for when it never does.
pub async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < STUCK, "waited {} s in vain: {what}", STUCK.as_secs());
        tokio::time::sleep(LOOK).await;
    }
}

/// Prints a line past the test runner's capture, for whoever reads the run's log.
pub fn announce(line: &str) {
    use std::io::Write;
    // Not `eprintln!`, which the runner holds back for tests that pass.
    let _unread = writeln!(std::io::stderr().lock(), "{line}");
}
