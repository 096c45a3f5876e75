//! Choices read off a byte string: what an input is grown from.
//!
//! Zero is the plainest choice, and past the end all is zero; so when proptest cuts the bytes short and lowers them, the
//! input shrinks with them, whatever it is.

/// The choices that are left.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// So many bytes of choices for something else, which this one then cannot use up.
    pub fn part(&mut self, bytes: usize) -> Self {
        let (part, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        Self(part)
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| (word << 8) | u64::from(self.byte()))
    }

    /// A number below `end`, which is 65 536 at most.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = if end > 256 { usize::from(self.byte()) << 8 } else { 0 };
        (wide | usize::from(self.byte())) % end.max(1)
    }

    /// True once in so many times; false past the end.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// One of the words that `all` has between bars.
    pub fn one_part<'p>(&mut self, all: &'p str) -> &'p str {
        let all: Vec<&str> = all.split('|').collect();
        self.one_of(&all)
    }

    /// Up to `max` values.
    pub fn some<T>(&mut self, max: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(max + 1)).map(|_| one(self)).collect()
    }

    /// Puts the values into any order.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for at in 1..values.len() {
            // Zero leaves a value where it is.
            let back = self.below(at + 1);
            values.swap(at, at - back);
        }
    }
}
