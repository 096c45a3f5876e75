//! A filter: an event pattern with the meaning that Lambda and EventBridge give it, over a change as `dynamodb_json` writes it.
//!
//! A pattern is an object whose members name members of the record; each leads to a deeper object or to a list of
//! alternatives. All members must match (`$or` holds patterns of which one must), of a list's alternatives any, of an array
//! in the record any element. `exists: false` matches where nothing is. One extension: below `N` and `NS` a number in the
//! pattern is compared with the number that the text there is; AWS compares texts alone, and never finds it.
//!
//! Matching is guided by the pattern: a part of the record that it does not name is not looked into, and nothing is built.
//! The parser knows what a record can hold, so a pattern that nothing could ever match is an error that points into it.

mod event;
mod find;
mod leaf;
mod missing;
mod parse;
mod position;
mod tests_of;

#[cfg(test)]
mod tests;

pub(crate) use missing::Lack;
pub use parse::PatternError;

use std::fmt;

use super::envelope::Source;
use crate::stream::page::StreamRecord;
use leaf::Test;

/// A parsed filter.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    root: Object,
    /// For those who show it.
    text: String,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        parse::pattern(text).map(|root| Self { root, text: text.to_owned() })
    }

    /// As it was read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a change's record, as the source's encoder would write it whole, matches.
    pub(super) fn matches(&self, record: &StreamRecord<'_>, source: &Source) -> bool {
        event::Event { record, source }.find(&self.root) != Found::No
    }
}

/// A place in a pattern's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What a part of a pattern demands of what is found at its name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Leaf(Leaf),
    Object(Object),
}

/// A list of alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Leaf {
    tests: Vec<Test>,
    /// `exists: false` is among them.
    or_absent: bool,
    /// A string here is a number's digits.
    holds_digits: bool,
}

/// The members that a pattern, its `$or` included, names at one place, and how they go together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Object {
    fields: Vec<Field>,
    rule: Rule,
    /// What it finds where nothing is.
    missing: Found,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    place: Place,
    node: Node,
    /// What looking at it takes: the cheaper is asked first.
    cost: u8,
}

/// How fields go together, by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Field(usize),
    All(Vec<Rule>),
    Any(Vec<Rule>),
}

/// How a part of a pattern was found. Of an array, one element must be [`Found::Present`], or all [`Found::Absent`]: what must
/// not exist must not exist in any, save in the one where something else was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    No,
    /// It asks for absence alone, and nothing is there.
    Absent,
    /// A value matches.
    Present,
}

impl Node {
    fn missing(&self) -> Found {
        match self {
            Self::Leaf(leaf) => leaf.missing(),
            Self::Object(object) => object.missing,
        }
    }

    /// Whether it can match only where something is.
    fn needs_presence(&self) -> bool {
        self.missing() == Found::No
    }
}

impl Leaf {
    fn missing(&self) -> Found {
        if self.or_absent { Found::Absent } else { Found::No }
    }
}

impl Rule {
    /// Asks for fields only as far as they decide.
    fn find(&self, found: &mut impl FnMut(usize) -> Found) -> Found {
        match self {
            Self::Field(index) => found(*index),
            Self::All(rules) => {
                let mut all = Found::Absent;
                for rule in rules {
                    match rule.find(found) {
                        Found::No => return Found::No,
                        one => all = all.max(one),
                    }
                }
                all
            }
            Self::Any(rules) => {
                let mut any = Found::No;
                for rule in rules {
                    any = any.max(rule.find(found));
                    if any == Found::Present {
                        break;
                    }
                }
                any
            }
        }
    }
}
