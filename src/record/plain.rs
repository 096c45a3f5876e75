//! Items in DynamoDB JSON (`{"id":{"N":"1"}}`) rewritten as plain JSON (`{"id":1}`).
//!
//! One pass, no tree: the walk writes as it reads. Names, strings and base64 are copied still escaped, numbers
//! digit for digit, so nothing is lost that a double or a re-escaping would lose.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::stream::json::Json;
use crate::stream::json_str::JsonStr;

/// The deepest nesting of lists and maps that is followed. DynamoDB allows 32 levels; the rest is for emulators,
/// and stays below the JSON parser's own bound of 128 (a level here is two there).
pub const MAX_NESTING: u32 = 60;

/// Appends `item`, an object of attributes in DynamoDB JSON, to `out` as plain JSON.
///
/// Strings, numbers, booleans and null become themselves; lists and maps are followed; sets become arrays in
/// their order; binary stays base64 in a string. A number that JSON cannot write (`+1`, `.5`, from an emulator)
/// becomes a string. On an error `out` holds a part of the item.
pub fn write_item(item: Json<'_>, out: &mut Vec<u8>) -> Result<(), ItemError> {
    let mut writer = Writer { out, nesting: 0, expected: "" };
    let mut deserializer = serde_json::Deserializer::from_str(item.get());
    match (Node { writer: &mut writer, kind: Attributes }).deserialize(&mut deserializer) {
        Ok(()) => Ok(()),
        Err(error) => {
            Err(ItemError { expected: writer.expected, line: error.line(), column: error.column() })
        }
    }
}

/// An item that is not DynamoDB JSON. It tells the place, never the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at line {line}, column {column}")]
pub struct ItemError {
    /// What should have been there.
    pub expected: &'static str,
    /// The line in the item, from 1.
    pub line: usize,
    /// The column in that line, in bytes, from 1: where the parse stood, just after a value of the wrong kind.
    pub column: usize,
}

/// Where the plain JSON goes, and what the walk knows of its place.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// The lists and maps that are open around the present place.
    nesting: u32,
    /// What comes next, for the error that is made if it does not.
    expected: &'static str,
}

impl Writer<'_> {
    fn put(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }

    /// Writes a list's or map's inside with `walk`, if the nesting allows.
    fn nested<E: serde::de::Error>(
        &mut self,
        walk: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.nesting == MAX_NESTING {
            self.expected = "no deeper nesting (DynamoDB allows 32 levels)";
            return Err(E::custom("nested too deeply"));
        }
        self.nesting += 1;
        walk(self)?;
        self.nesting -= 1;
        Ok(())
    }

    /// Writes one string token as a value of this type.
    fn put_scalar(&mut self, scalar: Scalar, token: JsonStr<'_>) {
        match scalar {
            Scalar::Number if is_json_number(token.escaped().as_bytes()) => self.put(token.escaped()),
            Scalar::Text | Scalar::Number => self.put(token.as_json()),
        }
    }
}

/// What a string token stands for.
#[derive(Clone, Copy)]
enum Scalar {
    /// A string, or binary in base64.
    Text,
    /// A number's digits.
    Number,
}

/// Whether JSON can write this number as it stands.
fn is_json_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);

    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

/// A part of the item and the writer it goes to.
struct Node<'w, 'o, K> {
    writer: &'w mut Writer<'o>,
    kind: K,
}

/// The kinds of parts: an item or map, one attribute's value, a list, a set.
struct Attributes;
struct Value;
struct List;
struct Set(Scalar);

/// DynamoDB's type descriptors.
#[derive(Deserialize)]
#[serde(field_identifier)]
enum Type {
    S,
    N,
    B,
    #[serde(rename = "BOOL")]
    Bool,
    #[serde(rename = "NULL")]
    Null,
    M,
    L,
    #[serde(rename = "SS")]
    StringSet,
    #[serde(rename = "NS")]
    NumberSet,
    #[serde(rename = "BS")]
    BinarySet,
}

impl<'de> Visitor<'de> for Node<'_, '_, Attributes> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let writer = self.writer;
        let mut separator = "{";
        while let Some(name) = map.next_key::<JsonStr<'de>>()? {
            writer.put(separator);
            writer.put(name.as_json());
            writer.put(":");
            map.next_value_seed(Node { writer, kind: Value })?;
            separator = ",";
        }
        writer.put(if separator == "{" { "{}" } else { "}" });
        Ok(())
    }
}

impl<'de> Visitor<'de> for Node<'_, '_, Value> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let writer = self.writer;
        writer.expected = "one of the types S, N, B, BOOL, NULL, M, L, SS, NS, BS";
        let kind = map.next_key()?.ok_or_else(|| A::Error::custom("no type"))?;
        match kind {
            Type::S | Type::B => scalar(&mut map, writer, Scalar::Text)?,
            Type::N => scalar(&mut map, writer, Scalar::Number)?,
            Type::Bool => {
                writer.expected = "true or false";
                let value = map.next_value::<bool>()?;
                writer.put(if value { "true" } else { "false" });
            }
            Type::Null => {
                writer.expected = "true";
                map.next_value::<bool>()?;
                writer.put("null");
            }
            Type::M => writer.nested(|writer| map.next_value_seed(Node { writer, kind: Attributes }))?,
            Type::L => writer.nested(|writer| map.next_value_seed(Node { writer, kind: List }))?,
            Type::StringSet | Type::BinarySet => {
                map.next_value_seed(Node { writer, kind: Set(Scalar::Text) })?;
            }
            Type::NumberSet => map.next_value_seed(Node { writer, kind: Set(Scalar::Number) })?,
        }
        writer.expected = "one type only in an attribute value";
        match map.next_key::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::custom("a second type")),
        }
    }
}

/// Writes the string that follows a type descriptor.
fn scalar<'de, A: MapAccess<'de>>(
    map: &mut A,
    writer: &mut Writer<'_>,
    scalar: Scalar,
) -> Result<(), A::Error> {
    writer.expected = "a string";
    let token = map.next_value::<JsonStr<'de>>()?;
    writer.put_scalar(scalar, token);
    Ok(())
}

impl<'de> Visitor<'de> for Node<'_, '_, List> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of attribute values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let writer = self.writer;
        writer.put("[");
        let mut end = writer.out.len();
        while seq.next_element_seed(Node { writer: &mut *writer, kind: Value })?.is_some() {
            end = writer.out.len();
            writer.put(",");
        }
        // An element writes itself while it is asked for, so its comma comes before it, and the last is too many.
        writer.out.truncate(end);
        writer.put("]");
        Ok(())
    }
}

impl<'de> Visitor<'de> for Node<'_, '_, Set> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (writer, Set(scalar)) = (self.writer, self.kind);
        let mut separator = "[";
        loop {
            writer.expected = "a string";
            let Some(token) = seq.next_element::<JsonStr<'de>>()? else { break };
            writer.put(separator);
            writer.put_scalar(scalar, token);
            separator = ",";
        }
        writer.put(if separator == "[" { "[]" } else { "]" });
        Ok(())
    }
}

/// Every part can be deserialised: its visitor is the seed.
macro_rules! node_is_its_own_seed {
    ($($kind:ty => $ask:ident, $expected:literal;)+) => {$(
        impl<'de> DeserializeSeed<'de> for Node<'_, '_, $kind> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                self.writer.expected = $expected;
                deserializer.$ask(self)
            }
        }
    )+};
}

node_is_its_own_seed! {
    Attributes => deserialize_map, "an object of attributes";
    Value => deserialize_map, "an attribute value such as {\"S\": \"…\"}";
    List => deserialize_seq, "an array of attribute values";
    Set => deserialize_seq, "an array of strings";
}

#[cfg(test)]
mod tests;
