//! A payload as a consumer sees it: the JSON of one Kinesis record, in either of the bridge's formats, read without
//! the code that wrote it (only the type of a sequence number is shared), so that it can judge what the bridge wrote.

use serde_json::{Map, Value};

use super::history::{ChangeKind, ItemKey, VERSION};
use crate::stream::SequenceNumber;

/// One delivered change.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    pub item: ItemKey,
    pub kind: ChangeKind,
    /// The item's count of writes, where an image tells it.
    pub version: Option<u64>,
    /// The stream's own number of the change.
    pub sequence_number: SequenceNumber,
    /// The item before and after, in the payload's own format.
    pub old: Option<Value>,
    pub new: Option<Value>,
}

impl Delivered {
    /// Reads a record's data in the format `dynamodb_json` or `json`, whichever it is.
    ///
    /// # Errors
    /// A sentence that names what is missing or wrong.
    pub fn parse(data: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(data).map_err(|error| format!("the payload is not JSON: {error}"))?;
        let object = value.as_object().ok_or("the payload is not a JSON object")?;
        if object.contains_key("dynamodb") { dynamodb_json(object) } else { plain_json(object) }
    }
}

fn dynamodb_json(object: &Map<String, Value>) -> Result<Delivered, String> {
    let change = object.get("dynamodb").and_then(Value::as_object).ok_or("`dynamodb` is not an object")?;
    let kind = match text(object, "eventName")? {
        "INSERT" => ChangeKind::Insert,
        "MODIFY" => ChangeKind::Modify,
        "REMOVE" => ChangeKind::Remove,
        other => return Err(format!("`eventName` is {other:?}")),
    };
    let keys = change.get("Keys").and_then(Value::as_object).ok_or("`dynamodb.Keys` is not an object")?;
    let mut item = Vec::new();
    for (name, value) in keys {
        item.push((name.clone(), typed(value).ok_or_else(|| format!("key {name:?} is {value}"))?.to_owned()));
    }
    let image = |name: &str| change.get(name).cloned();
    let number = text(change, "SequenceNumber")?;
    finish(ItemKey::new(item), kind, number, image("OldImage"), image("NewImage"))
}

fn plain_json(object: &Map<String, Value>) -> Result<Delivered, String> {
    let kind = match text(object, "op")? {
        "insert" => ChangeKind::Insert,
        "modify" => ChangeKind::Modify,
        "remove" => ChangeKind::Remove,
        other => return Err(format!("`op` is {other:?}")),
    };
    let keys = object.get("keys").and_then(Value::as_object).ok_or("`keys` is not an object")?;
    let mut item = Vec::new();
    for (name, value) in keys {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => return Err(format!("key {name:?} is {other}")),
        };
        item.push((name.clone(), value));
    }
    let image = |name: &str| object.get(name).cloned();
    finish(ItemKey::new(item), kind, text(object, "sequence_number")?, image("old"), image("new"))
}

fn finish(
    item: ItemKey,
    kind: ChangeKind,
    sequence_number: &str,
    old: Option<Value>,
    new: Option<Value>,
) -> Result<Delivered, String> {
    let sequence_number = SequenceNumber::parse(sequence_number)
        .map_err(|error| format!("sequence number {sequence_number:?}: {error}"))?;
    // A removal has no image of its own version: it is the one after the version that it removed.
    let after_old = || old.as_ref().and_then(version_in).map(|version| version.saturating_add(1));
    let version = new.as_ref().and_then(version_in).or_else(after_old);
    Ok(Delivered { item, kind, version, sequence_number, old, new })
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    object.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is not a string"))
}

/// The text of a scalar in DynamoDB's JSON: `{"S": "…"}`, `{"N": "…"}`, `{"B": "…"}`.
fn typed(value: &Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (scalar, text) = object.iter().next()?;
    matches!(scalar.as_str(), "S" | "N" | "B").then(|| text.as_str()).flatten()
}

fn version_in(image: &Value) -> Option<u64> {
    let version = image.get(VERSION)?;
    match version {
        Value::Number(number) => number.as_u64(),
        other => typed(other)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_tell_the_same_change() {
        let dynamodb = br#"{"eventName":"MODIFY","dynamodb":{"Keys":{"c":{"S":"\u00e5sa"},"n":{"N":"7"}},
            "NewImage":{"version":{"N":"3"}},"OldImage":{"version":{"N":"2"}},
            "SequenceNumber":"100000000000000000007"}}"#;
        let plain = br#"{"op":"modify","keys":{"c":"\u00e5sa","n":7},"new":{"version":3},"old":{"version":2},
            "sequence_number":"100000000000000000007"}"#;
        let (a, b) = (Delivered::parse(dynamodb).unwrap(), Delivered::parse(plain).unwrap());
        assert_eq!(
            (&a.item, a.kind, a.version, &a.sequence_number),
            (&b.item, b.kind, b.version, &b.sequence_number)
        );
        assert_eq!(a.version, Some(3));
        assert_eq!(a.item, ItemKey::new([("c", "åsa"), ("n", "7")]));
    }

    #[test]
    fn a_removal_is_the_version_after_the_one_it_removed() {
        let data =
            br#"{"eventName":"REMOVE","dynamodb":{"Keys":{"k":{"B":"AA=="}},"OldImage":{"version":{"N":"4"}},
            "SequenceNumber":"100000000000000000001"}}"#;
        assert_eq!(Delivered::parse(data).unwrap().version, Some(5));
    }

    #[test]
    fn what_is_no_change_is_refused_with_a_reason() {
        for (data, reason) in [
            (&b"not json"[..], "not JSON"),
            (b"[]", "not a JSON object"),
            (br#"{"op":"upsert"}"#, "`op`"),
            (br#"{"op":"insert"}"#, "`keys`"),
            (br#"{"eventName":"INSERT","dynamodb":{"Keys":{"k":{"M":{}}}}}"#, "key"),
            (br#"{"eventName":"INSERT","dynamodb":{"Keys":{}}}"#, "SequenceNumber"),
        ] {
            let error = Delivered::parse(data).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
