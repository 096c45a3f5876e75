//! The consumers of `deploy/consumers`: the Rust one against histories with crashes in them, made from seeds and by the built
//! bridge. The Python one has its tests in the files beside this one (`.ci/recipes`).

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    dead_code,
    reason = "drives a real bridge over real sockets, with the edge tests' tools: no worker code, nothing to replay"
)]

#[path = "../edges/bridge.rs"]
mod bridge;
#[path = "../../deploy/consumers/high_watermark.rs"]
mod high_watermark;
#[path = "../edges/process.rs"]
mod process;
#[path = "../support/mod.rs"]
mod support;

mod consumer;
mod histories;
mod killed;
mod parts;
