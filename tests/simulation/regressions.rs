//! What the simulation found, each kept with the plan or seed that showed it.

use crate::faults::{Outage, Service};
use crate::history::{Entry, Event};
use crate::plan::{Happening, Plan};
use crate::scenario::{run, run_plan};

/// The highest epoch of any lease.
fn highest_epoch(history: &[Entry]) -> u64 {
    let epoch = |entry: &Entry| match &entry.event {
        Event::Lease { row: Some(row), .. } => row.epoch,
        _ => 0,
    };
    history.iter().map(epoch).max().unwrap_or(0)
}

#[test]
fn a_shard_that_waits_for_kinesis_is_not_taken_for_stuck() {
    let mut plan = Plan::draw(0);
    (plan.workers, plan.pipelines, plan.settings.latest, plan.away) = (1, 1, false, None);
    plan.turmoil_ms = 150_000;
    plan.weights = vec![(Happening::Write, 60), (Happening::Rotate, 1)];
    plan.outages = vec![Outage { service: Service::Sink, from_ms: 10_000, until_ms: 140_000 }];
    let outcome = run_plan(&plan);
    assert_eq!(outcome.verdict, Ok(()));
    assert_eq!(highest_epoch(&outcome.history), 1, "each lease is taken once");
}

/// `start = "latest"`, a worker dead between its first send and its first checkpoint: the next one began earlier than it
/// had, and changes from in between came after later ones of their item.
#[test]
fn a_restart_behind_latest_begins_where_the_first_start_did() {
    for seed in [0, 55] {
        assert_eq!(run(seed).verdict, Ok(()), "seed {seed}");
    }
}
