//! The vocabulary of a history: an item's key, and a change as it was made. Both sides of the comparison in
//! [`super::verify`] speak it; it knows neither DynamoDB's nor Kinesis' formats.

use std::collections::BTreeMap;
use std::fmt;

/// The attribute that counts an item's writes, from 1, deletes included, so that their order shows from outside.
pub const VERSION: &str = "version";

/// An item's key: its key attributes as text (a string as it is, a number as its digits, binary as base64). The types
/// of a table's keys are fixed, so two items never share a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ItemKey(BTreeMap<String, String>);

impl ItemKey {
    pub fn new<N: Into<String>, V: Into<String>>(attributes: impl IntoIterator<Item = (N, V)>) -> Self {
        ItemKey(attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// A key attribute's text.
    pub fn get(&self, attribute: &str) -> Option<&str> {
        self.0.get(attribute).map(String::as_str)
    }
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.0.values().enumerate() {
            write!(f, "{}{value}", if index == 0 { "" } else { "/" })?;
        }
        Ok(())
    }
}

/// What a change did to its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    Insert,
    Modify,
    Remove,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad`, so that columns can be aligned.
        f.pad(match self {
            ChangeKind::Insert => "INSERT",
            ChangeKind::Modify => "MODIFY",
            ChangeKind::Remove => "REMOVE",
        })
    }
}

/// A change as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub item: ItemKey,
    pub kind: ChangeKind,
    /// The item's count of writes, this one included.
    pub version: u64,
}
