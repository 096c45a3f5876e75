//! The simulation: whole workers over simulated services on a paused clock, driven by one seed, and an oracle that judges
//! what an onlooker saw. The first test is that a seed replays byte for byte; without it the others prove little.
//!
//! `SEEDS=n cargo test --test simulation many_seeds` runs n seeds, `SEED=n` replays one and prints its timeline.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the other side of the machine port: the world's own clock and tasks"
)]

#[path = "../support/aggregate.rs"]
mod aggregate;
mod dice;
mod faults;
mod history;
mod machine;
mod oracle;
mod plan;
mod process;
mod scenario;
mod sights;
mod world;

mod fleet;
mod judged;
mod regressions;
mod replay;
mod seeds;
