//! The real binary as a process: killed, stopped, stopped twice, and what its consumers see of it. The emulators are
//! served by the test's own process, so they outlive every bridge.
#![expect(
    clippy::disallowed_methods,
    reason = "tests watch processes from outside: nothing here is simulated"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod killed;
mod second_signal;
