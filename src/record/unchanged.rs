//! Whether two images say the same.
//!
//! By value, not by text: attributes and the elements of sets come in any order, strings may be escaped one way or another,
//! and numbers are equal as numbers (`1`, `1.0`, `1E0`), though DynamoDB writes each number one way only. What is no
//! DynamoDB JSON is the same only byte for byte: in doubt a change counts as one.

use std::borrow::Cow;

use serde_json::Value;

use super::decimal::Decimal;
use super::walk::members;
use crate::stream::json::Json;
use crate::stream::json_str::JsonStr;

/// Whether the attributes that `take` chooses are equal in both images.
pub(super) fn is_unchanged(new: Json<'_>, old: Json<'_>, take: impl Fn(JsonStr<'_>) -> bool) -> bool {
    if new.get() == old.get() {
        return true;
    }
    let (Some(new), Some(old)) = (chosen(new, &take), chosen(old, &take)) else { return false };
    new.len() == old.len()
        && new.iter().zip(&old).all(|((name, value), (other, before))| {
            name == other && (value.get() == before.get() || is_same_text(*value, *before))
        })
}

/// The chosen attributes by name; of two of one name the last counts. `None` when a name is no text.
fn chosen<'a>(image: Json<'a>, take: impl Fn(JsonStr<'_>) -> bool) -> Option<Vec<(Cow<'a, str>, Json<'a>)>> {
    let (mut all, mut readable) = (Vec::new(), true);
    members(image.get(), |name, value| match name.decode() {
        Some(text) if take(name) => all.push((text, value)),
        Some(_) => {}
        None => readable = false,
    })?;
    // The sort is stable: the last of a name stays behind the others, and is the one that is kept.
    all.sort_by(|(name, _), (other, _)| name.cmp(other));
    all.reverse();
    all.dedup_by(|(name, _), (kept, _)| name == kept);
    readable.then_some(all)
}

fn is_same_text(value: Json<'_>, before: Json<'_>) -> bool {
    let parse = |raw: Json<'_>| serde_json::from_str::<Value>(raw.get()).ok();
    matches!((parse(value), parse(before)), (Some(value), Some(before)) if is_same(&value, &before))
}

/// Whether two attribute values are the same.
fn is_same(value: &Value, before: &Value) -> bool {
    let (Some((kind, value)), Some((kind_before, before))) = (typed(value), typed(before)) else {
        return value == before;
    };
    if kind != kind_before {
        return false;
    }
    match (kind, value, before) {
        ("N", Value::String(number), Value::String(before)) => number_of(number) == number_of(before),
        ("SS" | "BS" | "NS", Value::Array(elements), Value::Array(before)) => {
            set_of(kind, elements).zip(set_of(kind, before)).is_some_and(|(set, before)| set == before)
        }
        ("L", Value::Array(elements), Value::Array(before)) => {
            elements.len() == before.len()
                && elements.iter().zip(before).all(|(element, before)| is_same(element, before))
        }
        ("M", Value::Object(map), Value::Object(before)) => {
            map.len() == before.len()
                && map
                    .iter()
                    .all(|(name, value)| before.get(name).is_some_and(|before| is_same(value, before)))
        }
        (_, value, before) => value == before,
    }
}

/// An attribute value's type and what it holds.
fn typed(value: &Value) -> Option<(&str, &Value)> {
    let mut members = value.as_object()?.iter();
    let (kind, held) = members.next()?;
    members.next().is_none().then_some((kind.as_str(), held))
}

/// A set's elements in an order of their own.
fn set_of<'v>(kind: &str, elements: &'v [Value]) -> Option<Vec<(Option<Decimal>, &'v str)>> {
    let element = |text: &'v str| if kind == "NS" { number_of(text) } else { (None, text) };
    let mut all: Vec<_> = elements.iter().map(|value| value.as_str().map(element)).collect::<Option<_>>()?;
    all.sort_unstable();
    Some(all)
}

/// A number by its value; its text where it is none.
fn number_of(text: &str) -> (Option<Decimal>, &str) {
    match Decimal::parse(text) {
        Some(number) => (Some(number), ""),
        None => (None, text),
    }
}

#[cfg(test)]
mod tests;
