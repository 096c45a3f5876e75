//! Sequence numbers: growing, never consecutive, and wider than any machine integer that code might put them in.
//!
//! Owns the one counter of a world. Kept as integers inside; only their text leaves the fake.

use std::cmp::Ordering;

/// A source of sequence numbers.
#[derive(Clone, Debug)]
pub struct SequenceNumbers {
    last: u128,
    drawn: u64,
    /// Digits put before every number (LocalStack's have 56 digits).
    prefix: &'static str,
}

/// Digits of a number that has a prefix.
const PREFIXED_WIDTH: usize = 24;

impl SequenceNumbers {
    /// As DynamoDB Streams writes them: 21 digits at first, more as they grow.
    pub fn new() -> SequenceNumbers {
        SequenceNumbers { last: 111_649_000_000_000_000_000, drawn: 0, prefix: "" }
    }

    /// 56 digits, as LocalStack's default Streams provider writes them.
    pub fn use_56_digits(&mut self) {
        self.prefix = "49590338271490256608559692538361";
    }

    /// Starts over from `last`, say just below a power of ten, where a comparison as text goes wrong.
    pub fn continue_from(&mut self, last: u128) {
        assert!(last >= self.last, "sequence numbers grow: {last} is below the last one, {}", self.last);
        self.last = last;
    }

    /// The next number; the steps vary, so that nothing may count on `last + 1`.
    pub fn draw(&mut self) -> u128 {
        self.drawn += 1;
        self.last += 1 + u128::from(self.drawn.wrapping_mul(7919) % 97);
        self.last
    }

    /// The last number drawn.
    pub fn last(&self) -> u128 {
        self.last
    }

    pub fn text(&self, number: u128) -> String {
        if self.prefix.is_empty() {
            number.to_string()
        } else {
            format!("{}{number:0width$}", self.prefix, width = PREFIXED_WIDTH)
        }
    }

    /// The number that `text` stands for, `None` if it is no sequence number of this world.
    pub fn parse(&self, text: &str) -> Option<u128> {
        let digits = text.strip_prefix(self.prefix)?;
        (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse().ok())?
    }
}

/// Compares two sequence numbers as integers of any width.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}
