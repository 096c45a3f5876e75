//! Dice: the simulation's randomness. Every draw comes from a generator that hangs on the seed alone.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One seeded generator.
#[derive(Debug)]
pub struct Dice(StdRng);

impl Dice {
    /// The generator for one `part` of the run with this seed; different parts draw independently.
    pub fn new(seed: u64, part: u64) -> Self {
        Dice(StdRng::seed_from_u64(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ part.wrapping_mul(0xd1b5_4a32_d192_ed03),
        ))
    }

    pub fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True `permille` times in a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    /// One of them; `None` when there is none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let index = usize::try_from(self.below(of.len() as u64)).ok()?;
        of.get(index).copied()
    }
}
