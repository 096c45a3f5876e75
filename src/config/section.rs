//! Stage one: a section is one table of the parsed text, in which keys are looked up by name and type.
//!
//! Every lookup says that the key exists in the schema, so the valid keys and the keys read can never differ. A
//! broken rule is noted with its line, and the lookup answers as if the key were absent: reading goes on, so that
//! one run shows every error; the values read are thrown away if any was noted.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::interpolate::interpolate;
use super::values::{self, Limits, closest, quoted};

/// What all sections of one text share.
pub(super) struct Document<'a> {
    text: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    problems: RefCell<Vec<Problem>>,
    /// Schema paths looked up so far, such as `pipeline.sink.linger`.
    known: RefCell<BTreeSet<String>>,
}

impl<'a> Document<'a> {
    pub fn new(text: &'a str, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { text, env, problems: RefCell::default(), known: RefCell::default() }
    }

    /// The document's top level.
    pub fn root<'d>(&'d self, table: &'d DeTable<'d>) -> Section<'d> {
        Section { document: self, path: String::new(), schema: String::new(), at: None, table: Some(table) }
    }

    /// Every rule broken and every schema path looked up.
    pub fn finish(self) -> (Vec<Problem>, BTreeSet<String>) {
        (self.problems.into_inner(), self.known.into_inner())
    }

    /// The line of a byte offset, from 1.
    fn line(&self, at: usize) -> usize {
        line_of(self.text, at)
    }
}

/// The line of byte `at` in `text`, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&b| b == b'\n').count() + 1
}

/// One table of the text, or one that the text leaves out (its keys then have their defaults).
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    /// As errors name it: `pipeline[0].sink`; empty for the top level.
    path: String,
    /// The same without indices.
    schema: String,
    /// Byte offset of the section's header.
    at: Option<usize>,
    table: Option<&'d DeTable<'d>>,
}

/// A key found in the text.
struct Found<'d> {
    at: usize,
    value: &'d DeValue<'d>,
    /// Where the value stands.
    value_at: Range<usize>,
}

impl<'d> Section<'d> {
    fn find(&self, key: &str) -> Option<Found<'d>> {
        self.document.known.borrow_mut().insert(join(&self.schema, key));
        let (name, value) = self.table?.get_key_value(key)?;
        Some(Found { at: name.span().start, value: value.get_ref(), value_at: value.span() })
    }

    /// Whether the text has `key`.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The line of `key`, or of its section where the text leaves it out.
    pub fn line(&self, key: &str) -> Option<usize> {
        self.find(key).map(|found| found.at).or(self.at).map(|at| self.document.line(at))
    }

    /// Notes that `key` breaks a rule; `message` says what was found, what is expected, and the remedy.
    pub fn reject(&self, key: &str, message: impl Into<String>) {
        let problem =
            Problem { line: self.line(key), key: Some(join(&self.path, key)), message: message.into() };
        self.document.problems.borrow_mut().push(problem);
    }

    /// Notes that the string under `key` breaks a rule in one of its own lines (from 1). The problem's line is that of the
    /// configuration's text where the string stands there as it is: between quotes, nothing escaped or put in.
    pub fn reject_within(&self, key: &str, value: &str, line: usize, message: &str) {
        let in_text = self.find(key).and_then(|found| {
            let start = found.value_at.start;
            // Whatever stands before it is a quote, or a line's end after three.
            let before = self.document.text.get(found.value_at)?.find(value).filter(|before| *before <= 5)?;
            Some(self.document.line(start + before) + line - 1)
        });
        let problem = Problem {
            line: in_text.or_else(|| self.line(key)),
            key: Some(join(&self.path, key)),
            message: message.to_owned(),
        };
        self.document.problems.borrow_mut().push(problem);
    }

    /// The number of rules broken so far, in the whole text.
    pub fn problems(&self) -> usize {
        self.document.problems.borrow().len()
    }

    fn reject_type(&self, key: &str, value: &DeValue<'_>, expected: &str) {
        self.reject(key, format!("expected {expected}, found {}", describe(value)));
    }

    /// A string with its `${VAR}` replaced, then turned into `T` by `parse`, whose error is a sentence.
    pub fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let found = self.find(key)?;
        let DeValue::String(text) = found.value else {
            self.reject_type(key, found.value, expected);
            return None;
        };
        match interpolate(text, self.document.env).and_then(|text| parse(&text)) {
            Ok(value) => Some(value),
            Err(message) => {
                self.reject(key, message);
                None
            }
        }
    }

    pub fn duration(&self, key: &str, default: Duration, limits: Limits<Duration>) -> Duration {
        let expected = r#"a duration in quotes with its unit, such as "5s" or "200ms""#;
        self.parsed(key, expected, |text| values::duration(text, limits)).unwrap_or(default)
    }

    pub fn size_bytes(&self, key: &str, default: u64, limits: Limits<u64>) -> u64 {
        let expected = r#"a size in quotes with its unit, such as "256MiB""#;
        self.parsed(key, expected, |text| values::size_bytes(text, limits)).unwrap_or(default)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, key: &str, default: T, choices: &[(&str, T)]) -> T {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        let expected = format!("one of {}", words.join(", "));
        let parse = |text: &str| {
            let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            chosen.ok_or_else(|| {
                let hint = closest(text, choices.iter().map(|(word, _)| *word));
                let hint = hint.map(|word| format!(" (did you mean {word:?}?)")).unwrap_or_default();
                format!("{} is not valid here{hint}; write {expected}", quoted(text))
            })
        };
        self.parsed(key, &expected, parse).unwrap_or(default)
    }

    /// A list of strings, each with its `${VAR}` replaced.
    pub fn words(&self, key: &str, expected: &str) -> Option<Vec<String>> {
        let found = self.find(key)?;
        let DeValue::Array(array) = found.value else {
            self.reject_type(key, found.value, expected);
            return None;
        };
        let mut words = Vec::new();
        for element in array.iter() {
            let DeValue::String(text) = element.get_ref() else {
                self.reject_type(key, element.get_ref(), expected);
                return None;
            };
            match interpolate(text, self.document.env) {
                Ok(text) => words.push(text),
                Err(message) => {
                    self.reject(key, message);
                    return None;
                }
            }
        }
        Some(words)
    }

    pub fn boolean(&self, key: &str, default: bool) -> bool {
        match self.find(key).map(|found| found.value) {
            None => default,
            Some(DeValue::Boolean(value)) => *value,
            Some(other) => {
                self.reject_type(key, other, "true or false, without quotes");
                default
            }
        }
    }

    pub fn integer(&self, key: &str, default: usize, limits: Limits<usize>) -> usize {
        let integer = match self.find(key).map(|found| found.value) {
            None => return default,
            Some(DeValue::Integer(integer)) => integer,
            Some(other) => {
                self.reject_type(key, other, "a whole number, without quotes");
                return default;
            }
        };
        let value = i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX);
        // What does not fit is as far outside the limits as a value can be.
        let value = usize::try_from(value).unwrap_or(if value < 0 { 0 } else { usize::MAX });
        limits.admit(value, &integer.to_string(), |limit| limit).unwrap_or_else(|message| {
            self.reject(key, message);
            default
        })
    }

    /// The table under `key`.
    pub fn section(&self, key: &str) -> Section<'d> {
        let found = self.find(key);
        let table = found.as_ref().and_then(|found| match found.value {
            DeValue::Table(table) => Some(table),
            other => {
                let header = join(&self.schema, key);
                self.reject_type(key, other, &format!("a table; write it as [{header}]"));
                None
            }
        });
        let at = found.map(|found| found.at).or(self.at);
        Section { path: join(&self.path, key), schema: join(&self.schema, key), at, table, ..*self }
    }

    /// The tables under `key`, written `[[key]]`.
    pub fn sections(&self, key: &str) -> Vec<Section<'d>> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let DeValue::Array(array) = found.value else {
            let expected =
                format!("a list of tables; write each as [[{key}]], with two brackets on either side");
            self.reject_type(key, found.value, &expected);
            return Vec::new();
        };
        let one = |(index, element): (usize, &'d toml::Spanned<DeValue<'d>>)| {
            let path = format!("{}[{index}]", join(&self.path, key));
            let DeValue::Table(table) = element.get_ref() else {
                self.reject_type(key, element.get_ref(), &format!("tables only; write each as [[{key}]]"));
                return None;
            };
            let at = Some(element.span().start);
            Some(Section { path, schema: join(&self.schema, key), at, table: Some(table), ..*self })
        };
        array.iter().enumerate().filter_map(one).collect()
    }

    /// Rejects the keys that no lookup asked for. To be called once every key of the section has been looked up.
    pub fn reject_unknown_keys(&self) {
        let prefix = join(&self.schema, "");
        let known = self.document.known.borrow();
        let valid: Vec<&str> = known
            .iter()
            .filter_map(|path| path.strip_prefix(&prefix).filter(|rest| !rest.contains('.')))
            .collect();
        for key in self.table.iter().flat_map(|table| table.keys()) {
            let name = key.get_ref().as_ref();
            if valid.contains(&name) {
                continue;
            }
            let hint = closest(name, valid.iter().copied());
            let hint = hint.map(|hint| format!(" (did you mean `{hint}`?)")).unwrap_or_default();
            let message =
                format!("unknown key{hint}; remove it, or use one of the valid keys: {}", valid.join(", "));
            let problem = Problem {
                line: Some(self.document.line(key.span().start)),
                key: Some(join(&self.path, &bare_or_quoted(name))),
                message,
            };
            self.document.problems.borrow_mut().push(problem);
        }
    }
}

/// `path.key`; the key alone at the top level.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A key as TOML writes it: quoted unless it is a bare key.
fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { key.to_owned() } else { quoted(key) }
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {}", quoted(text)),
        DeValue::Integer(integer) => format!("the integer {integer}"),
        DeValue::Float(float) => format!("the number {float}"),
        DeValue::Boolean(value) => format!("the boolean {value}"),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
