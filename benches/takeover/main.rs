//! How long consumers wait when a worker of three leaves: `cargo bench --bench takeover`, a quick look with
//! `-- --quick`. The release binary as processes, the default timing of leases, a fake of the AWS APIs in this process.
//!
//! 1. SIGTERM: for each shard of the worker, until another has delivered a change written after the signal.
//! 2. SIGKILL: the same; the session has to be seen to stand still for `failover_time` first.
//! 3. A rolling restart under 2,000 changes a second: duplicates, and the longest that any change took.
//!
//! Times depend on the machine and are only reported beside their targets. What is missing, out of order, or twice
//! where nothing may come twice ends the bench with exit code 1.
#![allow(
    clippy::disallowed_methods,
    reason = "measures processes from outside, in real time: nothing here is simulated"
)]

#[path = "../stage/mod.rs"]
mod stage;
#[path = "../../tests/support/mod.rs"]
mod support;

mod figures;
mod leaves;
mod rolling;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use figures::Figures;
use stage::Stage;
use stage::leases::{balanced, shares};
use stage::worker::Worker;

const WORKERS: [&str; 3] = ["w1", "w2", "w3"];
/// The share of each worker: within so long after one joins or leaves.
const BALANCED_WITHIN: Duration = Duration::from_secs(15);
/// No step is waited for longer than this, so that the bench ends also where a target is missed by far.
const STEP: Duration = Duration::from_secs(25);

/// How much of it.
#[derive(Clone, Copy)]
pub struct Size {
    shards: usize,
    /// Of scenario 3.
    changes_a_second: usize,
}

fn main() -> ExitCode {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let size = match quick {
        false => Size { shards: 100, changes_a_second: 2_000 },
        true => Size { shards: 12, changes_a_second: 300 },
    };
    let began = Instant::now();
    let mut figures = Figures::default();
    leaves::measure(&mut figures, "SIGTERM of one of three", size, Signal::TERM, Duration::from_secs(2));
    leaves::measure(&mut figures, "SIGKILL of one of three", size, Signal::KILL, Duration::from_secs(12));
    rolling::measure(&mut figures, size);
    println!("\n{figures}");
    println!("{} shards, {:.0} s in all", size.shards, began.elapsed().as_secs_f64());
    if figures.counts_are_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Starts the three workers and waits until each holds its share.
fn start_all(figures: &mut Figures, what: &str, stage: &Stage, shards: usize) -> Vec<Worker> {
    let workers = WORKERS.map(|id| stage.start(id)).into();
    await_balance(figures, &format!("{what}: three join, until each holds its share"), stage, shards);
    workers
}

/// Waits until each worker holds its share, and notes how long that took.
fn await_balance(figures: &mut Figures, what: &str, stage: &Stage, shards: usize) {
    let took = stage.wait(STEP, |world| balanced(world, shards, &WORKERS));
    println!("{what}: {}", shares(&stage.fake.world()));
    figures.time(what, took, BALANCED_WITHIN);
}
