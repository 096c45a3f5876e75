//! The real binary as a process: killed, stopped, stopped twice, three at a time, and what its consumers see of it. The
//! emulators outlive every bridge: they are served by the test's own process, or a fleet's by one of their own.
#![expect(
    clippy::disallowed_methods,
    reason = "tests watch processes from outside: nothing here is simulated"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod emulators;
mod fleet;
mod killed;
mod second_signal;
