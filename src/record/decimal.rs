//! Numbers as DynamoDB holds them: up to 38 significant digits, compared exactly. No float is involved.

use std::cmp::Ordering;

/// The most significant digits that DynamoDB keeps; as many fit into the integer used here.
pub const MAX_DIGITS: usize = 38;

/// A decimal number: `digits` × 10^`exponent`, without zeros at its end, so that equal numbers are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    digits: u128,
    exponent: i64,
}

impl Decimal {
    /// Reads a number as JSON or DynamoDB writes it, and a little more: `+1`, `.5`, `1.` and leading zeros are taken. `None`
    /// when it is no number, or has more digits than [`MAX_DIGITS`].
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut number = Self { negative, digits: 0, exponent: 0 };
        let (mut read, mut in_fraction, mut zeros) = (0_usize, false, 0_u32);
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    read += 1;
                    number.exponent -= i64::from(in_fraction);
                    // Zeros count once another digit follows: those at the end become part of the exponent.
                    if *byte == b'0' {
                        zeros += u32::from(number.digits > 0);
                        continue;
                    }
                    number.push(zeros, byte - b'0')?;
                    zeros = 0;
                }
                b'.' if !in_fraction => in_fraction = true,
                b'e' | b'E' => {
                    number.exponent = number.exponent.checked_add(exponent(&rest[at + 1..])?)?;
                    break;
                }
                _ => return None,
            }
        }
        if read == 0 {
            return None;
        }
        number.exponent = number.exponent.checked_add(i64::from(zeros))?;
        if number.digits == 0 {
            number = Self { negative: false, digits: 0, exponent: 0 };
        }
        Some(number)
    }

    /// Appends so many zeros and a digit.
    fn push(&mut self, zeros: u32, digit: u8) -> Option<()> {
        let shift = 10_u128.checked_pow(zeros.checked_add(1)?)?;
        let digits = self.digits.checked_mul(shift)?.checked_add(u128::from(digit))?;
        self.digits = digits;
        (self.width() <= MAX_DIGITS as u32).then_some(())
    }

    /// The number of digits.
    fn width(&self) -> u32 {
        self.digits.checked_ilog10().map_or(0, |log| log + 1)
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        if self.digits == 0 || other.digits == 0 {
            return self.digits.cmp(&other.digits);
        }
        let (ours, theirs) = (self.width(), other.width());
        let highest = |number: &Self, width: u32| i128::from(number.exponent) + i128::from(width);
        // Of the same magnitude, both are written with as many digits as the longer one.
        let width = ours.max(theirs);
        let widened = |number: &Self, own: u32| number.digits * 10_u128.pow(width - own);
        highest(self, ours)
            .cmp(&highest(other, theirs))
            .then_with(|| widened(self, ours).cmp(&widened(other, theirs)))
    }
}

/// What follows the `e`.
fn exponent(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.compare_magnitude(other),
            (true, true) => other.compare_magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn the_same_number_however_it_is_written() {
        for (left, right) in [
            ("300", "3.0e2"),
            ("300", "+0300.000"),
            ("0", "-0.00e7"),
            (".5", "5E-1"),
            ("1.", "1"),
            ("-12.50", "-1250e-2"),
            ("99999999999999999999999999999999999999", "9.9999999999999999999999999999999999999e37"),
            ("1e-130", "0.01e-128"),
            ("10e5", "1e+6"),
        ] {
            assert_eq!(number(left), number(right), "{left} {right}");
            assert_eq!(number(left).cmp(&number(right)), Ordering::Equal);
        }
    }

    #[test]
    fn every_digit_counts() {
        let ordered = [
            "-1e125",
            "-12345678901234567890123456789012345679",
            "-12345678901234567890123456789012345678",
            "-1",
            "-0.1",
            "0",
            "1e-130",
            "0.1",
            "0.10000000000000000000000000000000000001",
            "0.2",
            "2",
            "10",
            "15",
            "20",
            "12345678901234567890123456789012345678",
            "12345678901234567890123456789012345679",
            "1e125",
            "1e9000000000000000000",
        ];
        for (at, left) in ordered.iter().enumerate() {
            for (other, right) in ordered.iter().enumerate() {
                assert_eq!(number(left).cmp(&number(right)), at.cmp(&other), "{left} {right}");
            }
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in
            ["", "-", "+", ".", "e1", "1e", "1e+", "1e+-1", "--1", "1.2.3", "1 ", " 1", "NaN", "0x1", "١"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(Decimal::parse(&"9".repeat(39)), None);
        assert_eq!(Decimal::parse("1e99999999999999999999"), None);
        assert!(Decimal::parse(&format!("1{}", "0".repeat(5_000))).is_some());
    }

    proptest! {
        #[test]
        fn integers_compare_as_integers(left in -i128::pow(10, 37)..i128::pow(10, 37), right: i64) {
            let (one, other) = (number(&left.to_string()), number(&right.to_string()));
            prop_assert_eq!(one.cmp(&other), left.cmp(&i128::from(right)));
        }

        #[test]
        fn never_panics(text in "[-+0-9.eE]{0,60}|\\PC{0,10}") {
            let _ = Decimal::parse(&text).map(|number| number.cmp(&number));
        }
    }
}
