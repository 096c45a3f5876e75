//! Many seeds: each a run of its own, judged by the oracle.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::history::Event;
use crate::plan::Plan;
use crate::replay;
use crate::scenario::{Outcome, run, run_plan};
use crate::sights::{self, Sight};

/// Seeds in a run of the whole test suite.
const SEEDS: u64 = 100;
/// That many seeds come upon everything there is to see.
const ALL_SEEN_IN: u64 = 1_000;
/// After so many that fail there is enough to look at.
const FAILURES: usize = 10;

/// The number in an environment variable.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")))
}

/// What came of all seeds.
#[derive(Debug, Default)]
struct Tally {
    seeds: u64,
    delivered: usize,
    /// The longest that one took to settle, and which.
    slowest: (u64, u64),
    /// In how many seeds each was seen.
    sights: BTreeMap<Sight, u64>,
    failed: Vec<u64>,
}

impl Tally {
    fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        self.delivered += outcome.delivered;
        self.slowest = self.slowest.max((outcome.settled_after_ms, seed));
        for sight in sights::seen(&outcome.history) {
            *self.sights.entry(sight).or_default() += 1;
        }
        if let Err(violation) = &outcome.verdict {
            println!("seed {seed}: {violation:?}\n{}", replay_with(seed));
            self.failed.push(seed);
        }
    }

    fn say(&self) {
        let (settled_after_ms, seed) = self.slowest;
        println!(
            "{} seeds, {} changes delivered, slowest to settle: seed {seed} in {settled_after_ms} ms",
            self.seeds, self.delivered
        );
        for sight in sights::ALL {
            println!("{:>8} seeds saw {sight:?}", self.sights.get(&sight).unwrap_or(&0));
        }
    }
}

/// The command that shows a seed's timeline.
fn replay_with(seed: u64) -> String {
    format!("  SEED={seed} cargo test --test simulation many_seeds -- --nocapture")
}

/// Runs seeds on all cores: `seeds` of them, and on until `time` is over.
fn run_all(first: u64, seeds: u64, time: Duration) -> Tally {
    let (next, tally, began) = (AtomicU64::new(first), Mutex::new(Tally::default()), Instant::now());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let failures = tally.lock().unwrap_or_else(PoisonError::into_inner).failed.len();
            if (seed >= first + seeds && began.elapsed() >= time) || failures >= FAILURES {
                return;
            }
            let outcome = run(seed);
            tally.lock().unwrap_or_else(PoisonError::into_inner).add(seed, &outcome);
        }
    };
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(worker))));
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// `SEED=n` runs one and prints its timeline. Else `SEEDS=n` says how many, `FIRST=n` from which on, and `MINUTES=n` for
/// how long to go on when those are done.
#[test]
fn many_seeds() {
    if let Some(seed) = number("SEED") {
        return one(seed);
    }
    // Else a seed says nothing about the next run of it.
    replay::proven();
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let minutes = Duration::from_secs(60 * number("MINUTES").unwrap_or(0));
    let tally = run_all(number("FIRST").unwrap_or(0), seeds, minutes);
    tally.say();
    assert!(
        tally.failed.is_empty(),
        "seeds {:?} break a promise; replay one with\n{}",
        tally.failed,
        replay_with(tally.failed[0])
    );
    let unseen = sights::ALL.iter().filter(|sight| !tally.sights.contains_key(sight));
    let unseen: Vec<&Sight> = unseen.collect();
    assert!(tally.seeds < ALL_SEEN_IN || unseen.is_empty(), "no seed came upon {unseen:?}");
}

/// In some seeds there is a filter, and then what it lets through comes and nothing else.
#[test]
fn a_filter_leaves_out_what_it_says() {
    let mut plan = crate::regressions::calm(0);
    plan.left_out = 4;
    let outcome = run_plan(&plan);
    assert_eq!(outcome.verdict, Ok(()));
    let mut wanted = [0, 0];
    for entry in &outcome.history {
        match entry.event {
            Event::Written { seq, .. } => wanted[usize::from(seq % 10 >= 4)] += 1,
            Event::Stored { seq, .. } => assert!(seq % 10 >= 4, "{seq}"),
            _ => {}
        }
    }
    assert!(wanted[0] > 10 && outcome.delivered == wanted[1], "{wanted:?}, {} delivered", outcome.delivered);
    let with_filter = (0..100).filter(|seed| Plan::draw(*seed).with_filter().left_out > 0).count();
    assert!((20..40).contains(&with_filter), "{with_filter} of 100 seeds have a filter");
}

fn one(seed: u64) {
    let outcome = run(seed);
    println!("{}", outcome.timeline());
    println!("seen: {:?}", sights::seen(&outcome.history));
    if let Err(violation) = outcome.verdict {
        panic!("seed {seed}: {violation:?}");
    }
    println!(
        "seed {seed} holds: {} changes, settled after {} ms",
        outcome.delivered, outcome.settled_after_ms
    );
}
