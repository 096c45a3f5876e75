//! A seed replays byte for byte.

use crate::scenario::run;

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

#[test]
fn a_seed_replays_byte_for_byte() {
    for seed in 0..6 {
        let (one, other) = (run(seed).timeline, run(seed).timeline);
        if let Some(difference) = first_difference(&one, &other) {
            panic!("seed {seed} differs from itself: {difference}");
        }
    }
}

#[test]
fn different_seeds_differ() {
    assert_ne!(run(1).timeline, run(2).timeline);
}
