//! Items and their keys, in DynamoDB's JSON: `{"id":{"S":"a"},"n":{"N":"1"}}`.
//!
//! Owns the key schema and the checks of attribute values. Items are plain JSON maps.

use serde_json::{Map, Value, json};

use super::answer::ApiError;

pub type Item = Map<String, Value>;

/// The item in `value`. Panics if it is none: for items that a test writes down itself.
pub fn item(value: Value) -> Item {
    match value {
        Value::Object(map) => map,
        other => panic!("an item is a JSON object of attribute values, not {other}"),
    }
}

/// One attribute of a key: its name, and `S`, `N` or `B`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    pub name: String,
    pub kind: String,
}

/// A table's primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySchema {
    pub hash: KeyAttribute,
    pub range: Option<KeyAttribute>,
}

/// What tells a table's items apart, sorted as Query sorts string keys (the fake does not sort numbers).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemKey {
    pub hash: String,
    pub range: Option<String>,
}

impl KeySchema {
    pub fn hash(name: &str, kind: &str) -> KeySchema {
        KeySchema { hash: KeyAttribute { name: name.to_owned(), kind: kind.to_owned() }, range: None }
    }

    pub fn and_range(mut self, name: &str, kind: &str) -> KeySchema {
        self.range = Some(KeyAttribute { name: name.to_owned(), kind: kind.to_owned() });
        self
    }

    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.hash).chain(self.range.as_ref())
    }

    /// As DescribeTable and DescribeStream list it.
    pub fn to_json(&self) -> Value {
        let kinds = ["HASH", "RANGE"];
        let elements = self.attributes().zip(kinds);
        elements.map(|(key, kind)| json!({"AttributeName": key.name, "KeyType": kind})).collect()
    }

    /// The key attributes of `item`, which must all be there and have the schema's types.
    pub fn key_of(&self, item: &Item) -> Result<Item, ApiError> {
        self.attributes()
            .map(|key| match item.get(&key.name) {
                Some(value) if value.get(&key.kind).is_some() => Ok((key.name.clone(), value.clone())),
                Some(_) => Err(ApiError::validation(format!(
                    "One or more parameter values were invalid: Type mismatch for key {} expected: {}",
                    key.name, key.kind
                ))),
                None => Err(ApiError::validation(format!(
                    "One or more parameter values were invalid: Missing the key {} in the item",
                    key.name
                ))),
            })
            .collect()
    }

    /// What orders and tells apart the item with these key attributes.
    pub fn item_key(&self, item: &Item) -> Result<ItemKey, ApiError> {
        let key = self.key_of(item)?;
        let text = |attribute: &KeyAttribute| {
            let scalar = key.get(&attribute.name).and_then(|value| value.get(&attribute.kind));
            scalar.and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
                ApiError::validation(format!("the key attribute {} holds no string", attribute.name))
            })
        };
        let range = self.range.as_ref().map(text).transpose()?;
        let item_key = ItemKey { hash: text(&self.hash)?, range };
        if item_key.hash.is_empty() || item_key.range.as_deref() == Some("") {
            return Err(ApiError::validation(
                "One or more parameter values are not valid: an empty key attribute",
            ));
        }
        Ok(item_key)
    }
}

/// Checks that every attribute of `item` is a well-formed attribute value.
pub fn check_item(item: &Item) -> Result<(), ApiError> {
    item.values().try_for_each(check_value)
}

/// Checks one attribute value, nested ones included.
pub fn check_value(value: &Value) -> Result<(), ApiError> {
    let malformed = |why: &str| {
        let message = format!("Supplied AttributeValue {value} is not valid: {why}");
        Err(ApiError::validation(message))
    };
    let Some((kind, content)) =
        value.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next())
    else {
        return malformed("it must contain exactly one of the supported datatypes");
    };
    let strings = |list: &Value| list.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    match (kind.as_str(), content) {
        ("S" | "B", Value::String(_)) | ("BOOL", Value::Bool(_)) | ("NULL", Value::Bool(true)) => Ok(()),
        ("N", Value::String(digits)) if is_number(digits) => Ok(()),
        ("SS" | "NS" | "BS", list) if strings(list) && list.as_array().is_some_and(|all| !all.is_empty()) => {
            Ok(())
        }
        ("L", Value::Array(values)) => values.iter().try_for_each(check_value),
        ("M", Value::Object(values)) => values.values().try_for_each(check_value),
        _ => malformed("unknown type, or content that is not of it"),
    }
}

/// Whether DynamoDB would take `digits` as a number (its magnitude aside).
fn is_number(digits: &str) -> bool {
    let significant = digits.bytes().filter(u8::is_ascii_digit).count();
    significant <= 40 && digits.parse::<f64>().is_ok_and(f64::is_finite)
}
