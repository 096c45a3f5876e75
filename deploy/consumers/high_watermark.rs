//! Dropping duplicates: the highest sequence number handled of each item. The standard library is all it needs; copy it.
//!
//! The bridge delivers each change at least once, and an item's *first* deliveries in order. So a change whose
//! `SequenceNumber` is not above the highest that was handled for its item is a repeat, and dropping it leaves every change
//! once and in order. That holds over stream shards, and over streams: when a table's stream is disabled and enabled again,
//! sequence numbers go on growing along an item's life.
//!
//! **Store it with the effect.** A watermark that is stored before its effect loses the change when the program dies in
//! between; one that is stored after it repeats the effect. Only one transaction over both does neither: keep
//! [`HighWatermark::entries`] where the effects are kept, or one number beside each item there, and let the store do the
//! comparison (`lambda_handler.py` beside this file does). Effects that no transaction covers (a mail, a call) stay at
//! least once.
//!
//! **Memory** is one entry, some 100 bytes and the key, for each item ever seen. [`HighWatermark::forget`] what was removed,
//! once no repeat of it can come: the Kinesis stream's retention and a day after its last change.
//!
//! Records that `rewind --mark ID` carried again are repeats like any other. To handle them anew, give those with
//! `"replay":"ID"` a `HighWatermark` of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Sequence numbers have 21 to 40 digits.
const DIGITS: usize = 40;

/// A change's `SequenceNumber`, ordered as a number. (As text, one more digit would come first.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber([u8; DIGITS]);

/// The text is no sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASequenceNumber;

impl FromStr for SequenceNumber {
    type Err = NotASequenceNumber;

    fn from_str(text: &str) -> Result<Self, NotASequenceNumber> {
        let first = DIGITS.checked_sub(text.len()).ok_or(NotASequenceNumber)?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotASequenceNumber);
        }
        let mut digits = [b'0'; DIGITS];
        digits[first..].copy_from_slice(text.as_bytes());
        Ok(SequenceNumber(digits))
    }
}

impl fmt::Display for SequenceNumber {
    /// All 40 digits: in this form stores compare them rightly as text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&digit| write!(f, "{}", char::from(digit)))
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An item's key as one text: all its key attributes by name, whatever order they came in, each with its length, so that no
/// two items share a key by accident. Put the table's name before it where a Kinesis stream carries several.
pub fn item_key<'a>(attributes: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let sorted: BTreeMap<&str, &str> = attributes.into_iter().collect();
    let one = |(name, value): (&&str, &&str)| format!("{}:{name}={}:{value};", name.len(), value.len());
    sorted.iter().map(one).collect()
}

/// The highest sequence number handled of each item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HighWatermark {
    of_items: BTreeMap<String, SequenceNumber>,
}

impl HighWatermark {
    /// Whether this change of the item is to be handled; if so it counts as handled from now on. Commit that together with
    /// the effect.
    pub fn is_new(&mut self, item: &str, number: SequenceNumber) -> bool {
        match self.of_items.get_mut(item) {
            Some(highest) if *highest >= number => false,
            Some(highest) => {
                *highest = number;
                true
            }
            None => {
                self.of_items.insert(item.to_owned(), number);
                true
            }
        }
    }

    /// Every item with its highest number, to be stored.
    pub fn entries(&self) -> impl Iterator<Item = (&str, SequenceNumber)> {
        self.of_items.iter().map(|(item, number)| (item.as_str(), *number))
    }

    /// Lets go of an item of which no repeat can come any more.
    pub fn forget(&mut self, item: &str) {
        self.of_items.remove(item);
    }
}

impl FromIterator<(String, SequenceNumber)> for HighWatermark {
    /// What was stored.
    fn from_iter<Entries: IntoIterator<Item = (String, SequenceNumber)>>(entries: Entries) -> Self {
        HighWatermark { of_items: entries.into_iter().collect() }
    }
}
