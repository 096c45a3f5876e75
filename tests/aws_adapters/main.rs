//! The AWS adapters against the emulators that run inside the test's process, and against endpoints that misbehave.

#![cfg(feature = "demo")]
#![expect(clippy::disallowed_methods, reason = "tests start servers of their own; nothing here is simulated")]

mod emulators;
mod endpoints;
mod failures;
mod kinesis;
mod lease_table;
mod probes;
mod streams;
