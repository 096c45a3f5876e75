//! How many inputs a target gets, and what a failure says.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::choices::Choices;
use crate::entropy::Entropy;

/// Inputs of one seed.
const CASES: u32 = 800;

/// Tries `property` on inputs that `grow` makes.
///
/// Without further word these are the inputs of seed 0. `FUZZ_SEED=n` takes those of another seed, `FUZZ_SECONDS=n`
/// those of one random seed after another for so long.
pub fn fuzz<T: Debug>(
    target: &str,
    grow: impl Fn(&mut Choices<'_>) -> T + Clone,
    property: impl Fn(&T) -> Result<(), TestCaseError>,
) {
    let Some(seconds) = number("FUZZ_SECONDS") else {
        return batch(target, number("FUZZ_SEED").unwrap_or(0), &grow, &property);
    };
    let (begin, budget) = (Instant::now(), Duration::from_secs(seconds));
    let first: u64 = rand::random();
    let mut seeds = 0;
    while begin.elapsed() < budget {
        batch(target, first.wrapping_add(seeds), &grow, &property);
        seeds += 1;
    }
    println!("{target}: {} inputs hold, of {seeds} seeds from {first} on", seeds * u64::from(CASES));
}

/// Tries the inputs of one seed.
fn batch<T: Debug>(
    target: &str,
    seed: u64,
    grow: &(impl Fn(&mut Choices<'_>) -> T + Clone),
    property: &impl Fn(&T) -> Result<(), TestCaseError>,
) {
    let config = Config {
        cases: CASES,
        max_shrink_iters: 50_000,
        // What fails becomes a unit test with a name, not a line in a file.
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed_bytes = [0; 32];
    seed_bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes);
    let grow = grow.clone();
    let inputs = Entropy.prop_map(move |choices| grow(&mut Choices::new(&choices)));
    match TestRunner::new_with_rng(config, rng).run(&inputs, |input| property(&input)) {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("{target}, seed {seed}: {reason}"),
        Err(TestError::Fail(reason, input)) => panic!(
            "{target}, seed {seed}: {reason}\nthe smallest input that fails: {input:?}\nonce more:\n  \
             FUZZ_SEED={seed} cargo test --test fuzz {target}"
        ),
    }
}

/// The number in an environment variable.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")))
}
