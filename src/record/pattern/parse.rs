//! From a pattern's text to its parts. An error says where, what was found, what is expected.

use super::find::MAX_FIELDS;
use super::position::Position;
use super::tests_of::test;
use super::{Field, Found, Leaf, Node, Object, Place, Rule};
use crate::record::walk::{elements, members};
use crate::stream::json::Json;
use crate::stream::json_str::JsonStr;

/// The deepest nesting of a pattern. DynamoDB's own is 32, and a map there is two objects here.
const MAX_DEPTH: usize = 80;

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({place} of the pattern)")]
pub struct PatternError {
    /// Where in the text.
    pub place: Place,
    /// What was found there, what is expected, what to write.
    pub message: String,
}

/// What a whole pattern demands.
pub(super) fn pattern(text: &str) -> Result<Object, PatternError> {
    let raw: Json<'_> = serde_json::from_str(text).map_err(|error| PatternError {
        place: Place { line: error.line().max(1), column: error.column().max(1) },
        message: format!("this is not JSON: {}; correct it", bare(&error)),
    })?;
    let parser = Parser { text };
    match parser.node(raw, Position::Record, &[])? {
        (Node::Object(object), _) => Ok(object),
        (Node::Leaf(_), _) => {
            Err(parser
                .error(raw.get(), r#"a pattern is an object; write one such as {"eventName": ["INSERT"]}"#))
        }
    }
}

/// serde_json's message without its own place.
fn bare(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}

/// What is known of the text around.
pub(super) struct Parser<'t> {
    text: &'t str,
}

/// The names that lead to a part.
type Path<'p> = [&'p str];

impl<'t> Parser<'t> {
    /// An error at a part of the text.
    pub(super) fn error(&self, part: &'t str, message: impl Into<String>) -> PatternError {
        PatternError { place: self.place(part), message: message.into() }
    }

    /// Where a part of the text stands.
    fn place(&self, part: &'t str) -> Place {
        // Every part borrows from the text, so their distance is the offset.
        let at = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
        Place { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }

    /// A part, and what looking at it costs.
    fn node(&self, raw: Json<'t>, at: Position, path: &Path<'_>) -> Result<(Node, u8), PatternError> {
        if path.len() > MAX_DEPTH {
            return Err(self.error(raw.get(), format!("nested deeper than {MAX_DEPTH} objects; no item is")));
        }
        match raw.get().as_bytes().first() {
            Some(b'{') => {
                let object = self.object(raw, at, path)?;
                let inner = object.fields.iter().map(|field| field.cost).max().unwrap_or(0);
                Ok((Node::Object(object), inner))
            }
            Some(b'[') => Ok((Node::Leaf(self.leaf(raw, at, path)?), 0)),
            _ => Err(self.error(
                raw.get(),
                format!(
                    "expected a list of alternatives or an object, found {}; write it in brackets: [{}]",
                    found(raw),
                    shown(raw)
                ),
            )),
        }
    }

    fn object(&self, raw: Json<'t>, at: Position, path: &Path<'_>) -> Result<Object, PatternError> {
        let mut fields = Vec::new();
        let rule = self.rule(raw, at, path, &mut fields)?;
        if fields.len() > MAX_FIELDS {
            let count = fields.len();
            return Err(
                self.error(raw.get(), format!("{count} members are more than {MAX_FIELDS}; name fewer"))
            );
        }
        let missing = rule.find(&mut |index: usize| -> Found { fields[index].node.missing() });
        Ok(Object { fields, rule, missing })
    }

    /// The members of one object, and how they go together.
    fn rule(
        &self,
        raw: Json<'t>,
        at: Position,
        path: &Path<'_>,
        fields: &mut Vec<Field>,
    ) -> Result<Rule, PatternError> {
        let mut named: Vec<(String, JsonStr<'t>, Json<'t>)> = Vec::new();
        let mut wrong = None;
        let _ = members(raw.get(), |name, value| match name.decode() {
            Some(text) if named.iter().any(|(other, ..)| *other == text) => {
                wrong = wrong.or(Some((name, "this name stands twice; merge the two, or use $or")));
            }
            Some(_) if named.len() == MAX_FIELDS => {
                wrong = wrong.or(Some((name, "more than 64 members in one object; name fewer")));
            }
            Some(text) => named.push((text.into_owned(), name, value)),
            None => wrong = wrong.or(Some((name, "this name is no text: half of a surrogate pair"))),
        });
        if let Some((name, message)) = wrong {
            return Err(self.error(name.as_json(), message));
        }
        if named.is_empty() {
            let message = "an empty object asks for nothing; name a member, or leave this out";
            return Err(self.error(raw.get(), message));
        }
        let mut rules = Vec::new();
        for (text, name, value) in named {
            let rule = if text == "$or" {
                self.any(value, at, path, fields)?
            } else {
                fields.push(self.field(text, name, value, at, path)?);
                (fields[fields.len() - 1].cost, Rule::Field(fields.len() - 1))
            };
            rules.push(rule);
        }
        // The cheap first: what it refuses need not be looked into.
        rules.sort_by_key(|(cost, _)| *cost);
        Ok(Rule::All(rules.into_iter().map(|(_, rule)| rule).collect()))
    }

    fn field(
        &self,
        text: String,
        name: JsonStr<'t>,
        value: Json<'t>,
        at: Position,
        path: &Path<'_>,
    ) -> Result<Field, PatternError> {
        let place = self.place(name.as_json());
        let path: Vec<&str> = path.iter().copied().chain([&*text]).collect();
        let (node, inner) = match at.member(&text) {
            Ok(position) => self.node(value, position, &path)?,
            // What is never there may well be asked not to be there.
            Err(why) => match self.node(value, Position::Nowhere, &path) {
                Ok((node, cost)) if !node.needs_presence() => (node, cost),
                _ => return Err(self.error(name.as_json(), format!("`{}`: {why}", path.join(".")))),
            },
        };
        let cost = match (at, &*text) {
            (Position::Record, "userIdentity") => 1,
            (Position::Change, "Keys") => 2,
            (Position::Change, "NewImage" | "OldImage") => 3,
            _ => inner,
        };
        Ok(Field { name: text, place, node, cost })
    }

    /// `$or`: patterns for the same place, one of which must match.
    fn any(
        &self,
        raw: Json<'t>,
        at: Position,
        path: &Path<'_>,
        fields: &mut Vec<Field>,
    ) -> Result<(u8, Rule), PatternError> {
        let mut alternatives = Vec::new();
        let is_list = elements(raw.get(), |element| alternatives.push(element)).is_some();
        let expected = "$or holds a list of two or more patterns; write it as [{…}, {…}]";
        if !is_list || alternatives.len() < 2 {
            return Err(self.error(raw.get(), expected));
        }
        let (mut rules, before) = (Vec::new(), fields.len());
        // One level of `$or` is one of nesting.
        let path: Vec<&str> = path.iter().copied().chain(["$or"]).collect();
        for alternative in alternatives {
            if !alternative.get().starts_with('{') || path.len() > MAX_DEPTH {
                return Err(self.error(alternative.get(), expected));
            }
            rules.push(self.rule(alternative, at, &path, fields)?);
        }
        let cost = fields[before..].iter().map(|field| field.cost).max().unwrap_or(0);
        Ok((cost, Rule::Any(rules)))
    }

    fn leaf(&self, raw: Json<'t>, at: Position, path: &Path<'_>) -> Result<Leaf, PatternError> {
        let mut alternatives = Vec::new();
        let _ = elements(raw.get(), |element| alternatives.push(element));
        if alternatives.is_empty() {
            return Err(self.error(raw.get(), "an empty list matches nothing; write an alternative into it"));
        }
        let mut leaf = Leaf { tests: Vec::new(), or_absent: false, holds_digits: at.holds_digits() };
        for alternative in alternatives {
            let test = test(self, alternative)?;
            let taken = test.as_ref().map_or_else(|| at.takes_absence(), |test| at.takes(test));
            taken.map_err(|why| self.error(alternative.get(), format!("`{}`: {why}", path.join("."))))?;
            leaf.or_absent |= test.is_none();
            leaf.tests.extend(test);
        }
        Ok(leaf)
    }
}

/// What kind of value was found, for an error.
pub(super) fn found(raw: Json<'_>) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// A value as an error shows it, cut where it is long.
fn shown(raw: Json<'_>) -> String {
    const SHOWN_CHARS: usize = 40;
    let mut shown: String = raw.get().chars().take(SHOWN_CHARS).collect();
    if shown.len() < raw.get().len() {
        shown.push('…');
    }
    shown
}
