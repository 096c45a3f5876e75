//! The stream's edges and bad conditions: the whole bridge in this process, over HTTP against the scripted fake, judged
//! from outside. No emulator rotates, splits, trims or expires; the fake does.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "drives a real bridge over real sockets: no worker code, nothing to replay"
)]

#[path = "../support/mod.rs"]
mod support;

mod bridge;
mod process;
mod rows;

mod aggregates;
mod carrying;
mod check;
mod figures;
mod fleet;
mod fleet_offers;
mod fleet_table;
mod gaps;
mod gone;
mod honesty;
mod identity;
mod import;
mod latest;
mod leases;
mod lineage;
mod listings;
mod manager;
mod oversize;
mod page;
mod pipelines;
mod policy;
mod puts;
mod reading;
mod recipes;
mod rewind;
mod rewind_broken_off;
mod rewind_orders;
mod roles;
mod secrets;
mod selection;
mod signals;
mod start;
mod status;
mod streams;
mod strict;
mod table_gone;
mod workers;
