//! Many seeds: each a run of its own, judged by the oracle.

use crate::scenario::{Outcome, run};

/// Seeds in a run of the whole test suite.
const SEEDS: u64 = 100;

/// The number in an environment variable.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")))
}

#[test]
fn many_seeds() {
    if let Some(seed) = number("SEED") {
        let outcome = run(seed);
        println!("{}", outcome.timeline());
        if let Err(violation) = outcome.verdict {
            panic!("seed {seed}: {violation:?}");
        }
        println!(
            "seed {seed} holds: {} changes, settled after {} ms",
            outcome.delivered, outcome.settled_after_ms
        );
        return;
    }
    let first = number("FIRST").unwrap_or(0);
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let (mut failed, mut slowest, mut delivered) = (Vec::new(), (0, 0), 0);
    for seed in first..first + seeds {
        let Outcome { verdict, settled_after_ms, delivered: some, .. } = run(seed);
        delivered += some;
        slowest = slowest.max((settled_after_ms, seed));
        if let Err(violation) = verdict {
            println!("seed {seed}: {violation:?}");
            failed.push(seed);
        }
    }
    println!(
        "{seeds} seeds, {delivered} changes delivered, slowest to settle: seed {} in {} ms",
        slowest.1, slowest.0
    );
    assert!(
        failed.is_empty(),
        "seeds {failed:?} break a promise; replay one with\n  SEED={} cargo test --test simulation many_seeds -- --nocapture",
        failed[0]
    );
}
