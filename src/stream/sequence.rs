//! A stream record's sequence number: its place in the history of a table.
//!
//! It is a string of decimal digits that is compared as an integer. AWS writes 21 to 40 digits, emulators up to
//! 56, so no machine integer holds it. It never does arithmetic: a position is only compared and handed back.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A sequence number, kept exactly as the service wrote it.
///
/// Comparison and equality are by value: leading zeros do not count, though [`as_str`](Self::as_str) and
/// `Display` give them back, because the service must be asked with the spelling it gave out.
///
/// Every change has one and every acknowledgement another, so they allocate nothing as long as they are no longer than any
/// that was seen.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SequenceNumber(Digits);

/// How many digits are held in place: with them a number takes 64 bytes.
const HELD_IN_PLACE: usize = 62;

#[derive(Clone)]
enum Digits {
    InPlace { length: u8, digits: [u8; HELD_IN_PLACE] },
    Elsewhere(Arc<str>),
}

impl Digits {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Digits::InPlace { length, digits } => &digits[..usize::from(*length)],
            Digits::Elsewhere(digits) => digits.as_bytes(),
        }
    }
}

impl SequenceNumber {
    /// Reads a sequence number: one or more of the digits 0 to 9, and nothing else.
    pub fn parse(text: &str) -> Result<Self, SequenceNumberError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SequenceNumberError { text: text.to_owned() });
        }
        let mut digits = [b'0'; HELD_IN_PLACE];
        let Some(place) = digits.get_mut(..text.len()) else {
            return Ok(Self(Digits::Elsewhere(Arc::from(text))));
        };
        place.copy_from_slice(text.as_bytes());
        Ok(Self(Digits::InPlace { length: text.len() as u8, digits }))
    }

    /// The digits as the service wrote them.
    pub fn as_str(&self) -> &str {
        // Digits are text.
        std::str::from_utf8(self.0.as_bytes()).unwrap_or_default()
    }

    /// The digits that count: without leading zeros, empty for zero.
    fn significant(&self) -> &[u8] {
        let digits = self.0.as_bytes();
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        &digits[zeros..]
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (self.significant(), other.significant());
        left.len().cmp(&right.len()).then_with(|| left.cmp(right))
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SequenceNumber").field(&self.as_str()).finish()
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SequenceNumber {
    fn eq(&self, other: &Self) -> bool {
        self.significant() == other.significant()
    }
}

impl Eq for SequenceNumber {}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for SequenceNumber {
    type Error = SequenceNumberError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<SequenceNumber> for String {
    fn from(number: SequenceNumber) -> Self {
        number.as_str().to_owned()
    }
}

/// A text that is no sequence number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a sequence number: expected one or more decimal digits, as DynamoDB Streams writes them, \
     such as 100000000003498069978"
)]
pub struct SequenceNumberError {
    text: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> SequenceNumber {
        SequenceNumber::parse(text).expect("the test writes digits")
    }

    #[test]
    fn orders_as_integers_whatever_the_length() {
        assert!(number("9") < number("10"));
        assert!(number("100000000003498069978") < number("100000000003498069979"));
        let emulator = "49".repeat(28);
        assert!(number(&"9".repeat(40)) < number(&emulator));
    }

    #[test]
    fn leading_zeros_do_not_count_but_are_kept() {
        assert_eq!(number("007"), number("7"));
        assert_eq!(number("000"), number("0"));
        assert_ne!(number("70"), number("7"));
        assert!(number("0100") > number("99"));
        assert_eq!(number("007").to_string(), "007");
    }

    #[test]
    fn refuses_all_but_digits_and_shows_what_it_got() {
        for text in ["", " 1", "1 ", "+1", "-1", "1.0", "1e3", "٣", "LATEST"] {
            let error = SequenceNumber::parse(text).expect_err(text);
            assert!(error.to_string().starts_with(&format!("`{text}` is not a sequence number")), "{error}");
        }
    }

    #[test]
    fn is_held_whole_whatever_its_length() {
        for length in [1, 61, 62, 63, 200] {
            let text = "1234567890".repeat(20)[..length].to_owned();
            let longer = number(&format!("{text}0"));
            assert_eq!(number(&text).as_str(), text);
            assert!(number(&text) < longer && longer > number(&text), "{length}");
            assert_eq!(number(&format!("0{text}")), number(&text), "{length}");
        }
        assert_eq!(size_of::<SequenceNumber>(), 64);
    }

    #[test]
    fn is_a_string_to_serde() {
        let json = r#""000123456789012345678901""#;
        let read: SequenceNumber = serde_json::from_str(json).expect("digits");
        assert_eq!(read.as_str(), "000123456789012345678901");
        assert_eq!(serde_json::to_string(&read).expect("a string"), json);
        assert!(serde_json::from_str::<SequenceNumber>(r#""12x""#).is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_integers(a: u128, b: u128, zeros in 0_usize..4) {
            let (left, right) = (number(&a.to_string()), number(&format!("{}{b}", "0".repeat(zeros))));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(left == right, a == b);
        }
    }
}
