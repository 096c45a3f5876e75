//! The slow meaning of event patterns and of equal items, over whole trees: what the bridge decides without building one.

use std::cmp::Ordering;

use crate::referee::{Json, Kind, decode};

/// How a pattern was found: not, by what is absent alone, or by a value that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    No,
    Absent,
    Present,
}

/// Whether an event matches a pattern.
pub fn matches(pattern: &Json<'_>, event: &Json<'_>) -> bool {
    found(pattern, Some(event), false) != Found::No
}

/// `digits`: texts here are numbers.
fn found(pattern: &Json<'_>, event: Option<&Json<'_>>, digits: bool) -> Found {
    if let Some(Kind::List(elements)) = event.map(|event| &event.kind) {
        let each: Vec<Found> = elements.iter().map(|element| found(pattern, Some(element), digits)).collect();
        let most = each.iter().max().copied();
        return match (most, each.iter().min()) {
            (Some(Found::Present), _) => Found::Present,
            (_, Some(least)) => *least,
            (_, None) => found(pattern, None, digits),
        };
    }
    match &pattern.kind {
        Kind::Map(members) => {
            let one = |(name, wanted): &(&str, Json<'_>)| {
                let name = decode(name).expect("a name");
                match name.as_str() {
                    "$or" => {
                        let alternatives = wanted.elements().expect("a list");
                        let each = alternatives.iter().map(|pattern| found(pattern, event, digits));
                        each.max().expect("two or more")
                    }
                    _ => {
                        let value = event.and_then(|event| event.get(&name));
                        found(wanted, value, name == "N" || name == "NS")
                    }
                }
            };
            let each: Vec<Found> = members.iter().map(one).collect();
            if each.contains(&Found::No) { Found::No } else { each.into_iter().max().expect("a member") }
        }
        Kind::List(alternatives) => {
            let is_absence = |alternative: &Json<'_>| {
                alternative.get("exists").is_some_and(|exists| exists.raw == "false")
            };
            match event.filter(|event| event.members().is_none()) {
                None if alternatives.iter().any(is_absence) => Found::Absent,
                Some(value) if alternatives.iter().any(|wanted| holds(wanted, value, digits)) => {
                    Found::Present
                }
                _ => Found::No,
            }
        }
        _ => panic!("not a pattern: {}", pattern.raw),
    }
}

/// Whether an alternative holds for a value that is neither object nor array.
fn holds(wanted: &Json<'_>, value: &Json<'_>, digits: bool) -> bool {
    let Some([(operator, operand)]) = wanted.members() else {
        return match (&wanted.kind, &value.kind) {
            (Kind::Null, Kind::Null) => true,
            (Kind::Bool(wanted), Kind::Bool(value)) => wanted == value,
            (Kind::Text, Kind::Text) => value.text().is_some_and(|text| wanted.text() == Some(text)),
            (Kind::Number, _) => number_of(value, digits)
                .is_some_and(|number| compare(&number, &number_of(wanted, false).expect("a number")).is_eq()),
            _ => false,
        };
    };
    let text = value.text();
    match decode(operator).expect("a name").as_str() {
        "exists" => operand.raw == "true",
        "anything-but" => match operand.members() {
            Some([(operator, operand)]) => !listed(operand)
                .iter()
                .any(|operand| text_holds(&decode(operator).expect("a name"), operand, text.as_deref())),
            _ => !listed(operand).iter().any(|wanted| holds(wanted, value, digits)),
        },
        "numeric" => {
            let Some(number) = number_of(value, digits) else { return false };
            operand.elements().expect("a list").chunks(2).all(|pair| {
                let ordering = compare(&number, &number_of(&pair[1], false).expect("a number"));
                match pair[0].text().expect("a sign").as_str() {
                    "=" => ordering == Ordering::Equal,
                    "<" => ordering == Ordering::Less,
                    "<=" => ordering != Ordering::Greater,
                    ">" => ordering == Ordering::Greater,
                    _ => ordering != Ordering::Less,
                }
            })
        }
        operator => text_holds(operator, operand, text.as_deref()),
    }
}

fn listed<'j, 'a>(operand: &'j Json<'a>) -> &'j [Json<'a>] {
    operand.elements().unwrap_or(std::slice::from_ref(operand))
}

fn text_holds(operator: &str, operand: &Json<'_>, text: Option<&str>) -> bool {
    let Some(text) = text else { return false };
    let any_case = operand.get("equals-ignore-case").and_then(Json::text);
    let (wanted, text) = match (&any_case, operator) {
        (Some(wanted), _) => (lower(wanted), lower(text)),
        (None, "equals-ignore-case") => (lower(&operand.text().expect("a text")), lower(text)),
        (None, _) => (operand.text().expect("a text"), text.to_owned()),
    };
    match operator {
        "prefix" => text.strip_prefix(&wanted).is_some(),
        "suffix" => text.strip_suffix(&wanted).is_some(),
        "equals-ignore-case" => text == wanted,
        "wildcard" => is_like(&wanted.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>()),
        _ => panic!("no operator: {operator}"),
    }
}

/// The texts here have letters of which upper and lower case are one for one.
fn lower(text: &str) -> String {
    text.to_lowercase()
}

fn is_like(wanted: &[char], text: &[char]) -> bool {
    match wanted {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|at| is_like(rest, &text[at..])),
        ['\\', char, rest @ ..] | [char, rest @ ..] => {
            text.first() == Some(char) && is_like(rest, &text[1..])
        }
    }
}

/// A number as text: whether negative, its digits without zeros around, and the power of ten of a point before them.
type Number = (bool, String, i64);

fn number_of(value: &Json<'_>, digits: bool) -> Option<Number> {
    match value.kind {
        Kind::Number => number(value.raw),
        Kind::Text if digits => number(&value.text()?),
        _ => None,
    }
}

/// Reads a number of up to 38 digits.
pub fn number(text: &str) -> Option<Number> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let bare = exponent.strip_prefix('+').unwrap_or(exponent);
            (!bare.starts_with('+')).then_some(())?;
            (mantissa, bare.parse::<i64>().ok()?)
        }
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let mantissa = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = all.trim_start_matches('0');
    let leading = (all.len() - significant.len()) as i64;
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    (significant.len() <= 38)
        .then(|| (negative, significant.to_owned(), whole.len() as i64 - leading + exponent))
}

fn compare(one: &Number, other: &Number) -> Ordering {
    let sign = |number: &Number| match (number.1.is_empty(), number.0) {
        (true, _) => 0,
        (_, true) => -1,
        _ => 1,
    };
    // Digits without zeros at their end compare as texts do.
    let magnitude = (one.2, &one.1).cmp(&(other.2, &other.1));
    match (sign(one), sign(other)) {
        (1, 1) => magnitude,
        (-1, -1) => magnitude.reverse(),
        (one, other) => one.cmp(&other),
    }
}

/// A text that two attribute values share if they are equal; `None` when one is not DynamoDB JSON.
pub fn canonical(value: &Json<'_>) -> Option<String> {
    let [(kind, held)] = value.members()? else { return None };
    let kind = decode(kind)?;
    let set = |one: &dyn Fn(&Json<'_>) -> Option<String>| -> Option<String> {
        let mut all = held.elements()?.iter().map(one).collect::<Option<Vec<_>>>()?;
        all.sort();
        Some(format!("{all:?}"))
    };
    let text = |value: &Json<'_>| value.text().map(|text| format!("{text:?}"));
    let digits = |value: &Json<'_>| {
        let text = value.text()?;
        Some(number(&text).map_or_else(|| format!("{text:?}"), |number| format!("{number:?}")))
    };
    let held = match kind.as_str() {
        "S" | "B" => text(held)?,
        "N" => digits(held)?,
        "BOOL" | "NULL" => matches!(held.kind, Kind::Bool(_)).then(|| held.raw.to_owned())?,
        "SS" | "BS" => set(&text)?,
        "NS" => set(&digits)?,
        "L" => format!("{:?}", held.elements()?.iter().map(canonical).collect::<Option<Vec<_>>>()?),
        "M" => format!("{:?}", attributes(held)?),
        _ => return None,
    };
    Some(format!("{kind} {held}"))
}

/// An item's attributes by name; of two of one name the last.
pub fn attributes(item: &Json<'_>) -> Option<std::collections::BTreeMap<String, String>> {
    item.members()?.iter().map(|(name, value)| Some((decode(name)?, canonical(value)?))).collect()
}
