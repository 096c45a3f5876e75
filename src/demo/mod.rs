//! The demo: a DynamoDB table, its stream, the real worker and a Kinesis stream, all in one process over HTTP, with
//! live writes and a judge that watches from outside. It owns the emulators, the traffic and the verdict; the worker
//! is handed in, started from TOML text like any user's. The pieces are public, for the integration tests.
#![expect(
    clippy::disallowed_methods,
    reason = "the demo is outside the worker: it lives by the ambient clock"
)]

pub mod checkpoints;
pub mod clients;
pub mod consumer;
pub mod emulators;
pub mod error;
pub mod figures;
pub mod history;
pub mod ledger;
pub mod orders;
pub mod payload;
pub mod plan;
mod run;
mod screen;
pub mod settings;
pub mod tables;
pub mod traffic;
pub mod verify;

pub use error::DemoError;
pub use run::{Options, StartWorker, run};
pub use screen::Output;
