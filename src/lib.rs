pub mod aws;
pub mod cli;
pub mod config;
pub mod delivery;
/// Emulators, traffic and a judge, in one process.
#[cfg(feature = "demo")]
pub mod demo;
pub mod error;
pub mod lease;
pub mod ops;
pub mod record;
pub mod stream;
pub mod worker;
