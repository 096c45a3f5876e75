//! The Kinesis partition key of a change, made from its item's key attributes.
//!
//! The partition key decides the target shard, and it is half of a lane's identity: two changes whose order
//! matters must get the same one. It depends on the key attributes alone, never on an image or on time.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use sha2::{Digest, Sha256};

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
        let wanted = Wanted { partition_key: &self.partition_key, sort_key };
        let found = wanted.deserialize(&mut serde_json::Deserializer::from_str(keys.get()));
        let found = found.map_err(|_| KeyError::NotAnItem)?;

        let partition = text(&self.partition_key, found.partition)?;
        let whole = match mode {
            PartitionKeyMode::PartitionKey => partition,
            PartitionKeyMode::ItemKey => {
                let sort = sort_key.map_or(Ok(Cow::Borrowed("")), |name| text(name, found.sort))?;
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

/// The three types that a key attribute can have.
#[derive(Deserialize)]
enum KeyValue<'a> {
    #[serde(borrow)]
    S(JsonStr<'a>),
    N(JsonStr<'a>),
    B(JsonStr<'a>),
}

fn key_text(value: Json<'_>) -> Option<Cow<'_, str>> {
    match serde_json::from_str(value.get()).ok()? {
        KeyValue::S(token) | KeyValue::N(token) | KeyValue::B(token) => token.decode(),
    }
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

/// The key attributes to look for.
struct Wanted<'s> {
    partition_key: &'s str,
    sort_key: Option<&'s str>,
}

/// Those that were there, unparsed.
#[derive(Default)]
struct Found<'a> {
    partition: Option<Json<'a>>,
    sort: Option<Json<'a>>,
}

/// What an attribute's name says it is.
enum Role {
    Partition,
    Sort,
    Other,
}

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("key attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::default();
        while let Some(name) = map.next_key::<JsonStr<'de>>()? {
            match self.role(name).ok_or_else(|| A::Error::custom("an attribute name that is no text"))? {
                Role::Partition => found.partition = Some(map.next_value()?),
                Role::Sort => found.sort = Some(map.next_value()?),
                Role::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

impl Wanted<'_> {
    fn role(&self, name: JsonStr<'_>) -> Option<Role> {
        let name = name.decode()?;
        Some(match &*name {
            name if name == self.partition_key => Role::Partition,
            name if Some(name) == self.sort_key => Role::Sort,
            _ => Role::Other,
        })
    }
}

#[cfg(test)]
mod tests;
