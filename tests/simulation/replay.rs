//! A seed replays byte for byte.

use std::sync::Once;

use crate::plan::{Happening, Plan};
use crate::scenario::{Outcome, run, run_plan};
use crate::seeds::number;

/// The first line in which two timelines differ, with what stood before it.
fn first_difference(one: &str, other: &str) -> Option<String> {
    let mut before = "";
    for (left, right) in one.lines().zip(other.lines()) {
        if left != right {
            return Some(format!("after\n  {before}\none has\n  {left}\nthe other\n  {right}"));
        }
        before = left;
    }
    (one.len() != other.len()).then(|| format!("one goes on after\n  {before}"))
}

/// Seeds that are run twice; `REPLAYS=n` runs more.
fn replays() -> u64 {
    number("REPLAYS").unwrap_or(6)
}

fn same(seed: u64, one: &Outcome, other: &Outcome) {
    if let Some(difference) = first_difference(&one.timeline(), &other.timeline()) {
        panic!("seed {seed} differs from itself: {difference}");
    }
}

/// Seeds replay byte for byte; checked once in a process.
pub fn proven() {
    static PROVEN: Once = Once::new();
    PROVEN.call_once(|| (0..replays()).for_each(|seed| same(seed, &run(seed), &run(seed))));
}

#[test]
fn a_seed_replays_byte_for_byte() {
    proven();
}

#[test]
fn different_seeds_differ() {
    assert_ne!(run(1).timeline(), run(2).timeline());
}

/// Two pipelines of one worker wait for the same thing, the next heartbeat: who goes first must not be left to chance.
#[test]
fn pipelines_that_wait_for_one_heartbeat_go_on_in_order() {
    let mut plan = Plan::draw(0);
    plan.workers = 1;
    plan.pipelines = 2;
    plan.turmoil_ms = 60_000;
    (plan.away, plan.ambush) = (None, 0);
    plan.weights = vec![(Happening::Write, 60), (Happening::Burst, 20), (Happening::Cut, 5)];
    for seed in 0..replays() {
        plan.seed = seed;
        same(seed, &run_plan(&plan), &run_plan(&plan));
    }
}
