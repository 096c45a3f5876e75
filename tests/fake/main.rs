//! The fake and the judge, tested themselves: real SDK clients must understand the fake's answers, errors and
//! faults, conditional writes must be conditional, and the judge must reject bad histories.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "drives real servers over real sockets: no worker code, nothing to replay"
)]

#[path = "../support/mod.rs"]
mod support;

mod capacity;
mod faults;
mod judge;
mod kinesis;
mod listing;
mod reading;
mod tables;
mod transactions;
