//! The Kinesis partition key of a change, made from its item's key attributes.
//!
//! The partition key decides the target shard, and it is half of a lane's identity: two changes whose order
//! matters must get the same one. It depends on the key attributes alone, never on an image or on time.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::stream::cursor::Cursor;
use crate::stream::json::Json;
use crate::stream::json_str::JsonStr;

/// The longest partition key that Kinesis takes, in characters (Unicode scalar values).
pub const MAX_CHARACTERS: usize = 256;

/// The names of a table's key attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySchema {
    /// The partition (HASH) key's attribute.
    pub partition_key: String,
    /// The sort (RANGE) key's attribute, if the table has one.
    pub sort_key: Option<String>,
}

/// Which key attributes make the Kinesis partition key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PartitionKeyMode {
    /// The item's partition key: all items under it share a lane.
    #[default]
    PartitionKey,
    /// Partition and sort key: each item has a lane of its own.
    ItemKey,
}

impl KeySchema {
    /// The Kinesis partition key of the item that has these key attributes (the record's `Keys`).
    ///
    /// [`PartitionKeyMode::PartitionKey`]: a string as it is, a number as its digits, binary as its base64.
    /// [`PartitionKeyMode::ItemKey`]: `<bytes of the partition part>:<partition part><sort part>`, where the length
    /// in front keeps (`ab`, `c`) and (`a`, `bc`) apart; a table without sort key has an empty sort part.
    ///
    /// A key longer than [`MAX_CHARACTERS`], or empty (only emulators let that happen), becomes the SHA-256 of its
    /// bytes in lower-case hexadecimal. An item key so hashed has no colon, so it never meets one that is not.
    pub fn kinesis_key<'a>(&self, mode: PartitionKeyMode, keys: Json<'a>) -> Result<Cow<'a, str>, KeyError> {
        let sort_key = match mode {
            PartitionKeyMode::PartitionKey => None,
            PartitionKeyMode::ItemKey => self.sort_key.as_deref(),
        };
        let [partition, sort] = find(keys, &self.partition_key, sort_key).ok_or(KeyError::NotAnItem)?;
        let partition = text(&self.partition_key, partition)?;
        let whole = match mode {
            PartitionKeyMode::PartitionKey => partition,
            PartitionKeyMode::ItemKey => {
                let sort = sort_key.map_or(Ok(Cow::Borrowed("")), |name| text(name, sort))?;
                let length = partition.len().to_string();
                Cow::Owned([length.as_str(), ":", &partition, &sort].concat())
            }
        };
        Ok(fit(whole))
    }
}

/// Why an item's key attributes make no partition key. It names the attribute, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The table's key schema has the attribute, the change has not.
    #[error(
        "the change's Keys lack the key attribute `{attribute}`; if the table was made anew with other keys, \
         restart the worker so that it reads the key schema again"
    )]
    Missing {
        /// The attribute's name in the key schema.
        attribute: String,
    },
    /// The attribute is there, but not as a key may be.
    #[error(
        "the key attribute `{attribute}` is not what a key can be: expected one of {{\"S\": …}}, {{\"N\": …}}, {{\"B\": …}}"
    )]
    NotAKey {
        /// The attribute's name in the key schema.
        attribute: String,
    },
    /// `Keys` is not an object.
    #[error("the change's Keys are not an object of attributes in DynamoDB JSON")]
    NotAnItem,
}

/// The text of a key attribute, as the partition key writes it.
fn text<'a>(attribute: &str, value: Option<Json<'a>>) -> Result<Cow<'a, str>, KeyError> {
    let value = value.ok_or_else(|| KeyError::Missing { attribute: attribute.to_owned() })?;
    key_text(value).ok_or_else(|| KeyError::NotAKey { attribute: attribute.to_owned() })
}

/// The value of the attribute's one member, a string; `None` when it is anything else.
fn key_text(value: Json<'_>) -> Option<Cow<'_, str>> {
    let mut cursor = Cursor::of(value);
    let is_key = cursor.takes(b'{').ok()? && matches!(cursor.name().ok()?, "S" | "N" | "B");
    let token = JsonStr::of(cursor.value().ok()?)?;
    let is_alone = !cursor.goes_on(b'}').ok()?;
    token.decode().filter(|_| is_key && is_alone)
}

/// Makes any text a partition key that Kinesis takes.
fn fit(key: Cow<'_, str>) -> Cow<'_, str> {
    // Bytes bound characters from above, so counting is left to the few long keys.
    let is_short = key.len() <= MAX_CHARACTERS || key.chars().count() <= MAX_CHARACTERS;
    if is_short && !key.is_empty() { key } else { Cow::Owned(sha256_hex(key.as_bytes())) }
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The values of the partition key's and the sort key's attribute, of those that are there; `None` when the keys are no item.
fn find<'a>(keys: Json<'a>, partition_key: &str, sort_key: Option<&str>) -> Option<[Option<Json<'a>>; 2]> {
    let mut cursor = Cursor::of(keys);
    let (mut partition, mut sort) = (None, None);
    let mut goes_on = cursor.opens(b'{').ok()?;
    while goes_on {
        match cursor.name().ok()? {
            name if name == partition_key => partition = Some(cursor.value().ok()?),
            name if Some(name) == sort_key => sort = Some(cursor.value().ok()?),
            _ => cursor.skip().ok()?,
        }
        goes_on = cursor.goes_on(b'}').ok()?;
    }
    Some([partition, sort])
}

#[cfg(test)]
mod tests;
