//! Event patterns for a record: most of them about what the record holds, so that they match now and then.

use crate::pen::Pen;
use crate::referee::{Json, Kind, decode, is_number};

/// A pattern over a payload.
pub fn pattern(pen: &mut Pen<'_, '_>, payload: &Json<'_>) -> String {
    object(pen, payload, 5)
}

/// A pattern over an object: some of its members, or others.
fn object(pen: &mut Pen<'_, '_>, event: &Json<'_>, depth: usize) -> String {
    let mut members = some_members(pen, event, depth);
    if depth > 1 && pen.choices.once_in(5) {
        let alternatives: Vec<String> = (0..2 + pen.choices.below(2))
            .map(|_| {
                let members = some_members(pen, event, depth - 1);
                pen.object(&members)
            })
            .collect();
        members.push((pen.token("$or"), pen.array(&alternatives)));
        if pen.choices.once_in(2) {
            members.drain(..members.len() - 1);
        }
    }
    pen.object(&members)
}

fn some_members(pen: &mut Pen<'_, '_>, event: &Json<'_>, depth: usize) -> Vec<(String, String)> {
    let there = event.members().unwrap_or_default();
    let mut named: Vec<String> = Vec::new();
    let mut members = Vec::new();
    for _ in 0..=pen.choices.below(2) {
        let place = pen.choices.below(there.len() + 1);
        let picked = there.iter().find(|(name, _)| {
            // What is inside is the better part.
            let likely =
                ["dynamodb", "NewImage", "OldImage"].contains(&decode(name).unwrap_or_default().as_str());
            likely && pen.choices.once_in(2)
        });
        let (name, value) = match picked.or(there.get(place)) {
            Some((name, value)) => (decode(name).unwrap_or_default(), Some(value)),
            None => (pen.text(2), None),
        };
        if named.contains(&name) {
            continue;
        }
        let wanted = match value.map(|value| (value, &value.kind)) {
            Some((value, Kind::Map(_))) if depth > 0 => object(pen, value, depth - 1),
            Some((_, Kind::List(elements))) if !elements.is_empty() => {
                let element = &elements[pen.choices.below(elements.len())];
                match element.kind {
                    // What one element has, none may have.
                    Kind::Map(_) if pen.choices.once_in(3) => absent(pen, element),
                    Kind::Map(_) if depth > 0 => object(pen, element, depth - 1),
                    _ => leaf(pen, Some(element), &name),
                }
            }
            Some((value, _)) => leaf(pen, Some(value), &name),
            None => {
                let unknown = leaf(pen, None, "S");
                let inner = (pen.token("S"), unknown);
                pen.object(&[inner])
            }
        };
        members.push((pen.token(&name), wanted));
        named.push(name);
    }
    members
}

/// The object's first member must not be.
fn absent(pen: &mut Pen<'_, '_>, object: &Json<'_>) -> String {
    let first = object.members().unwrap_or_default().first();
    let name = first.and_then(|(name, _)| decode(name)).unwrap_or_default();
    let absence = operator(pen, "exists", "false".to_owned());
    let leaf = pen.array(&[absence]);
    let member = (pen.token(&name), leaf);
    pen.object(&[member])
}

/// One to three alternatives about a value, or about its absence.
fn leaf(pen: &mut Pen<'_, '_>, value: Option<&Json<'_>>, name: &str) -> String {
    let alternatives: Vec<String> =
        (0..=pen.choices.below(3)).map(|_| alternative(pen, value, name)).collect();
    pen.array(&alternatives)
}

fn alternative(pen: &mut Pen<'_, '_>, value: Option<&Json<'_>>, name: &str) -> String {
    let exists = pen.choices.one_of(&["true", "false"]).to_owned();
    let Some(value) = value.filter(|_| !pen.choices.once_in(4)) else {
        return operator(pen, "exists", exists);
    };
    match value.kind {
        Kind::Number => about_number(pen, value.raw),
        Kind::Text => {
            let text = value.text().unwrap_or_default();
            let holds_digits = name == "N" || name == "NS";
            if holds_digits && pen.choices.once_in(2) {
                about_number(pen, &text)
            } else {
                about_text(pen, &text)
            }
        }
        _ => value.raw.to_owned(),
    }
}

fn operator(pen: &mut Pen<'_, '_>, name: &str, operand: String) -> String {
    let name = pen.token(name);
    pen.object(&[(name, operand)])
}

fn about_number(pen: &mut Pen<'_, '_>, text: &str) -> String {
    let near = if is_number(text) && !pen.choices.once_in(4) { text.to_owned() } else { pen.number() };
    match pen.choices.below(4) {
        0 => near,
        1 => {
            let other = pen.number();
            let list = pen.array(&[near, other]);
            operator(pen, "anything-but", list)
        }
        _ => {
            let mut parts = Vec::new();
            for number in [near, pen.number()] {
                let sign = pen.choices.one_of(&["=", "<", "<=", ">", ">="]);
                parts.extend([pen.token(sign), number]);
            }
            parts.truncate(2 + 2 * pen.choices.below(2));
            let list = pen.array(&parts);
            operator(pen, "numeric", list)
        }
    }
}

fn about_text(pen: &mut Pen<'_, '_>, text: &str) -> String {
    let other = pen.text(3);
    let text = if pen.choices.once_in(4) { &other } else { text };
    let chars: Vec<char> = text.chars().collect();
    let at = pen.choices.below(chars.len() + 1);
    let (start, end): (String, String) = (chars[..at].iter().collect(), chars[at..].iter().collect());
    match pen.choices.below(8) {
        0 => pen.token(text),
        1 => text_operator(pen, "prefix", &start),
        2 => text_operator(pen, "suffix", &end),
        3 => text_operator(pen, "equals-ignore-case", text),
        4 => {
            let wanted = wildcard(&start) + "*" + &wildcard(&end);
            let wanted = pen.token(&wanted);
            operator(pen, "wildcard", wanted)
        }
        5 => {
            let (one, other) = (pen.token(text), pen.token(&other));
            let list = pen.array(&[one, other]);
            operator(pen, "anything-but", list)
        }
        6 => {
            let name = pen.choices.one_of(&["prefix", "suffix", "equals-ignore-case"]);
            let nested = text_operator(pen, name, &start);
            operator(pen, "anything-but", nested)
        }
        _ => {
            let start = pen.token(&start);
            let nested = operator(pen, "equals-ignore-case", start);
            let name = pen.choices.one_of(&["prefix", "suffix"]);
            operator(pen, name, nested)
        }
    }
}

fn text_operator(pen: &mut Pen<'_, '_>, name: &str, text: &str) -> String {
    let token = pen.token(text);
    operator(pen, name, token)
}

/// The text with what a wildcard would take for more than itself taken for itself.
fn wildcard(text: &str) -> String {
    text.replace('\\', "\\\\").replace('*', "\\*")
}
