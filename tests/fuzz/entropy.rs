//! Random bytes for [`Choices`](crate::choices::Choices) as a proptest strategy: cheap to make, and quick to shrink, by
//! slices first and bytes then.

use proptest::prelude::*;
use proptest::strategy::{NewTree, ValueTree};
use proptest::test_runner::TestRunner;

/// The most choices that one input is made of, in bytes.
const MAX_BYTES: u64 = 1_500;

/// Up to so many random bytes.
#[derive(Clone, Copy, Debug)]
pub struct Entropy;

impl Strategy for Entropy {
    type Tree = Shrinking;
    type Value = Vec<u8>;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let mut state = any::<u64>().new_tree(runner)?.current();
        let length = splitmix(&mut state) % MAX_BYTES;
        let bytes: Vec<u8> = (0..length).map(|_| splitmix(&mut state) as u8).collect();
        Ok(Shrinking::from(bytes))
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Bytes that still fail, and what to try next: rounds of cutting out slices, half of the bytes first and single bytes
/// last, and of lowering bytes, until a round changes nothing.
#[derive(Debug)]
pub struct Shrinking {
    /// The smallest that fails so far.
    best: Vec<u8>,
    /// What is being tried.
    tried: Option<Vec<u8>>,
    /// The length of the slices that are cut out; 0 while bytes are lowered.
    slice: usize,
    at: usize,
    /// How often the byte at `at` was lowered in vain.
    lowered: usize,
    changed: bool,
}

impl From<Vec<u8>> for Shrinking {
    fn from(best: Vec<u8>) -> Self {
        let slice = best.len() / 2;
        Self { best, tried: None, slice, at: 0, lowered: 0, changed: false }
    }
}

impl Shrinking {
    /// Tries the next; false when nothing is left to try.
    fn next(&mut self) -> bool {
        loop {
            if self.at < self.best.len() {
                let mut bytes = self.best.clone();
                if self.slice > 0 {
                    bytes.drain(self.at..bytes.len().min(self.at + self.slice));
                    self.tried = Some(bytes);
                    return true;
                }
                let byte = bytes[self.at];
                let lower = [0, byte / 2, byte.saturating_sub(1)];
                if byte > 0 && self.lowered < lower.len() {
                    bytes[self.at] = lower[self.lowered];
                    self.tried = Some(bytes);
                    return true;
                }
                (self.at, self.lowered) = (self.at + 1, 0);
            } else if self.slice > 0 {
                (self.at, self.slice) = (0, self.slice / 2);
            } else if self.changed {
                (self.at, self.slice, self.changed) = (0, self.best.len().div_ceil(2), false);
            } else {
                return false;
            }
        }
    }
}

impl ValueTree for Shrinking {
    type Value = Vec<u8>;

    fn current(&self) -> Vec<u8> {
        self.tried.as_ref().unwrap_or(&self.best).clone()
    }

    /// The present bytes fail: on from them.
    fn simplify(&mut self) -> bool {
        if let Some(tried) = self.tried.take() {
            (self.best, self.lowered, self.changed) = (tried, 0, true);
        }
        self.next()
    }

    /// The present bytes hold: back to those that fail, and something else.
    fn complicate(&mut self) -> bool {
        if self.tried.take().is_none() {
            return false;
        }
        if self.slice > 0 {
            self.at += self.slice;
        } else {
            self.lowered += 1;
        }
        self.next()
    }
}
