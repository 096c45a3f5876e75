//! Items in DynamoDB JSON, every type nested in every other, and what the `json` format promises to make of them.

use crate::pen::Pen;
use crate::referee::{self, Json, Kind, decode};

/// The key attributes of the tables in these tests.
pub const PARTITION_KEY: &str = "pk";
pub const SORT_KEY: &str = "sk";

/// A key attribute's value, as its type and its text.
pub type KeyValue = (&'static str, String);

/// A value that a key attribute can have; now and then a long one.
pub fn key_value(pen: &mut Pen<'_, '_>) -> KeyValue {
    match pen.choices.below(4) {
        0 => ("S", pen.text(12)),
        1 => ("N", pen.number()),
        2 => ("B", base64(pen)),
        _ => {
            let length = 240 + pen.choices.below(20);
            ("S", pen.choices.one_of(&["x", "é", "😀"]).repeat(length) + &pen.text(3))
        }
    }
}

/// The `Keys` of an item: its key attributes, in any order.
pub fn keys(pen: &mut Pen<'_, '_>, partition: &KeyValue, sort: Option<&KeyValue>) -> String {
    let mut members = Vec::new();
    for (name, value) in [(PARTITION_KEY, Some(partition)), (SORT_KEY, sort)] {
        let Some((kind, text)) = value else { continue };
        let value = (pen.token(kind), pen.token(text));
        members.push((pen.token(name), pen.object(&[value])));
    }
    pen.choices.shuffle(&mut members);
    pen.object(&members)
}

/// An item of any attributes.
pub fn item(pen: &mut Pen<'_, '_>, depth: usize) -> String {
    let count = pen.choices.below(5);
    let members: Vec<_> = (0..count).map(|_| (pen.any_token(), attribute(pen, depth))).collect();
    pen.object(&members)
}

/// An attribute value of any type.
fn attribute(pen: &mut Pen<'_, '_>, depth: usize) -> String {
    let kinds = ["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"];
    let kind = kinds[pen.choices.below(if depth == 0 { 8 } else { 10 })];
    let value = match kind {
        "S" => pen.any_token(),
        "N" => number(pen),
        "B" => base64_token(pen),
        "BOOL" | "NULL" => pen.choices.one_of(&["true", "false"]).to_owned(),
        "SS" => array(pen, Pen::any_token),
        "NS" => array(pen, number),
        "BS" => array(pen, base64_token),
        "L" => array(pen, |pen| attribute(pen, depth - 1)),
        _ => item(pen, depth - 1),
    };
    let kind = pen.token(kind);
    pen.object(&[(kind, value)])
}

fn array<'c, 'b>(pen: &mut Pen<'c, 'b>, one: impl Fn(&mut Pen<'c, 'b>) -> String) -> String {
    let elements: Vec<_> = (0..pen.choices.below(4)).map(|_| one(pen)).collect();
    pen.array(&elements)
}

/// A number's digits; an emulator may write some that JSON has no number for.
fn number(pen: &mut Pen<'_, '_>) -> String {
    let odd = ["+1", ".5", "5.", "007", "", "-", "1e", "NaN", "1 "];
    let text = if pen.choices.once_in(12) { pen.choices.one_of(&odd).to_owned() } else { pen.number() };
    pen.token(&text)
}

fn base64(pen: &mut Pen<'_, '_>) -> String {
    let quads = pen.choices.some(3, |choices| choices.one_of(&["AAAA", "/+w/", "Zm9v", "AQ=="]));
    quads.concat()
}

fn base64_token(pen: &mut Pen<'_, '_>) -> String {
    let text = base64(pen);
    pen.token(&text)
}

/// The deepest lists and maps that the `json` format follows.
const MAX_NESTING: usize = 60;

/// The plain JSON of an item, slowly; `None` where it is not DynamoDB JSON.
pub fn plain(item: &Json<'_>) -> Option<String> {
    plain_map(item, 0)
}

fn plain_map(map: &Json<'_>, nesting: usize) -> Option<String> {
    let member = |(name, value): &(&str, Json<'_>)| Some(format!("{name}:{}", plain_value(value, nesting)?));
    let members: Option<Vec<String>> = map.members()?.iter().map(member).collect();
    Some(format!("{{{}}}", members?.join(",")))
}

fn plain_value(typed: &Json<'_>, nesting: usize) -> Option<String> {
    let [(kind, value)] = typed.members()? else { return None };
    let below = nesting + 1;
    match decode(kind)?.as_str() {
        "S" | "B" => plain_text(value),
        "N" => plain_number(value),
        "BOOL" => matches!(value.kind, Kind::Bool(_)).then(|| value.raw.to_owned()),
        "NULL" => matches!(value.kind, Kind::Bool(_)).then(|| "null".to_owned()),
        "SS" | "BS" => plain_list(value, plain_text),
        "NS" => plain_list(value, plain_number),
        "L" if below <= MAX_NESTING => plain_list(value, |value| plain_value(value, below)),
        "M" if below <= MAX_NESTING => plain_map(value, below),
        _ => None,
    }
}

fn plain_text(value: &Json<'_>) -> Option<String> {
    value.is_text().then(|| value.raw.to_owned())
}

fn plain_number(value: &Json<'_>) -> Option<String> {
    let digits = plain_text(value)?;
    let bare = digits.trim_matches('"');
    Some(if referee::is_number(bare) { bare.to_owned() } else { digits })
}

fn plain_list(list: &Json<'_>, one: impl Fn(&Json<'_>) -> Option<String>) -> Option<String> {
    let elements: Option<Vec<String>> = list.elements()?.iter().map(one).collect();
    Some(format!("[{}]", elements?.join(",")))
}
