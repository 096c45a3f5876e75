//! One alternative of a pattern's list, and the value it is held against.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Found, Leaf};
use crate::record::decimal::Decimal;
use crate::stream::json::Json;
use crate::stream::json_str::JsonStr;

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Anything, null too.
    Exists,
    Null,
    Bool(bool),
    Text(TextTest),
    Number(NumberTest),
    /// A value that none of these is.
    AnythingBut(Vec<Test>),
}

/// What a text must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextTest {
    Is(Wanted),
    StartsWith(Wanted),
    EndsWith(Wanted),
    /// The parts between asterisks; two or more.
    Wildcard(Vec<String>),
}

/// A text, perhaps in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub text: String,
    pub any_case: bool,
}

/// What a number must be: all of these comparisons hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NumberTest(pub Vec<(Comparison, Decimal)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A value that is neither object nor array.
enum Value<'a> {
    Null,
    Bool(bool),
    /// None when half a surrogate pair makes it no text: such a value equals nothing.
    Text(Option<Cow<'a, str>>),
    Number(Option<Decimal>),
}

impl<'a> Value<'a> {
    fn of(raw: Json<'a>) -> Self {
        match raw.get() {
            "null" => Self::Null,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            json => match JsonStr::of(raw) {
                Some(text) => Self::Text(text.decode()),
                None => Self::Number(Decimal::parse(json)),
            },
        }
    }
}

impl Leaf {
    /// Holds the alternatives against a value that is neither object nor array.
    pub(super) fn find(&self, raw: Json<'_>) -> Found {
        let value = Value::of(raw);
        let any = self.tests.iter().any(|test| test.holds(&value, self.holds_digits));
        if any { Found::Present } else { Found::No }
    }
}

impl Test {
    fn holds(&self, value: &Value<'_>, holds_digits: bool) -> bool {
        match (self, value) {
            (Self::Exists, _) | (Self::Null, Value::Null) => true,
            (Self::Bool(wanted), Value::Bool(value)) => wanted == value,
            (Self::Text(test), Value::Text(Some(text))) => test.holds(text),
            (Self::Number(test), Value::Number(Some(number))) => test.holds(number),
            (Self::Number(test), Value::Text(Some(text))) if holds_digits => {
                Decimal::parse(text).is_some_and(|number| test.holds(&number))
            }
            (Self::AnythingBut(tests), value) => !tests.iter().any(|test| test.holds(value, holds_digits)),
            _ => false,
        }
    }
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) if wanted.any_case => folded(text).eq(folded(&wanted.text)),
            Self::Is(wanted) => text == wanted.text,
            Self::StartsWith(wanted) if wanted.any_case => starts_with(folded(text), folded(&wanted.text)),
            Self::StartsWith(wanted) => text.starts_with(&wanted.text),
            Self::EndsWith(wanted) if wanted.any_case => {
                starts_with(folded(text).rev(), folded(&wanted.text).rev())
            }
            Self::EndsWith(wanted) => text.ends_with(&wanted.text),
            Self::Wildcard(parts) => is_like(text, parts),
        }
    }
}

/// The characters without their case; one for one, as Java does it, so `ß` stays itself.
fn folded(text: &str) -> impl DoubleEndedIterator<Item = char> + '_ {
    fn only(mut mapped: impl Iterator<Item = char>, or: char) -> char {
        match (mapped.next(), mapped.next()) {
            (Some(one), None) => one,
            _ => or,
        }
    }
    text.chars().map(|char| {
        let upper = only(char.to_uppercase(), char);
        only(upper.to_lowercase(), upper)
    })
}

fn starts_with(mut text: impl Iterator<Item = char>, start: impl Iterator<Item = char>) -> bool {
    start.into_iter().all(|wanted| text.next() == Some(wanted))
}

/// Whether `text` is these parts with anything between them.
fn is_like(text: &str, parts: &[String]) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        // The first occurrence leaves the most for the parts that follow.
        match rest.find(part.as_str()) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}

impl NumberTest {
    fn holds(&self, number: &Decimal) -> bool {
        self.0.iter().all(|(comparison, bound)| comparison.holds(number.cmp(bound)))
    }
}

impl Comparison {
    /// From its sign.
    pub(super) fn of(sign: &str) -> Option<Self> {
        Some(match sign {
            "=" => Self::Equal,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}
