//! A slow JSON reader that shares nothing with serde_json, against which the bridge's parsers are judged.
//!
//! It keeps every value's own text, all members in their order, and strings as UTF-16, so that half a surrogate pair,
//! which JSON's grammar allows, is a value too. Its first duty is to agree with serde_json (see the test below).

use std::iter::Peekable;
use std::str::CharIndices;

/// Deeper than any input is meant to be; the reader recurses.
const MAX_DEPTH: usize = 400;

/// A value and the text it stands in.
#[derive(Clone, Debug)]
pub struct Json<'a> {
    pub raw: &'a str,
    pub kind: Kind<'a>,
}

#[derive(Clone, Debug)]
pub enum Kind<'a> {
    Null,
    Bool(bool),
    Number,
    Text,
    List(Vec<Json<'a>>),
    /// Names as they stand, with their quotes.
    Map(Vec<(&'a str, Json<'a>)>),
}

/// What a text is.
#[derive(Clone, Debug)]
pub enum Verdict<'a> {
    Json(Json<'a>),
    NotJson,
    TooDeep,
}

impl<'a> Json<'a> {
    /// The members, if this is an object.
    pub fn members(&self) -> Option<&[(&'a str, Json<'a>)]> {
        if let Kind::Map(members) = &self.kind { Some(members) } else { None }
    }

    /// The elements, if this is an array.
    pub fn elements(&self) -> Option<&[Json<'a>]> {
        if let Kind::List(elements) = &self.kind { Some(elements) } else { None }
    }

    /// The last member of this name that is there.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        let named = |member: &&(&str, _)| decode(member.0).is_some_and(|text| text == name);
        self.members()?.iter().rev().find(named).map(|(_, value)| value)
    }

    /// The string that this is, if it is one and has a meaning.
    pub fn text(&self) -> Option<String> {
        if matches!(self.kind, Kind::Text) { decode(self.raw) } else { None }
    }

    pub fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text)
    }

    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }
}

/// Reads a whole text.
pub fn read(text: &str) -> Verdict<'_> {
    let mut reader = Reader { text, rest: text.char_indices().peekable(), depth: 0 };
    let value = reader.value();
    reader.space();
    match value {
        _ if reader.depth > MAX_DEPTH => Verdict::TooDeep,
        Some(value) if reader.rest.peek().is_none() => Verdict::Json(value),
        _ => Verdict::NotJson,
    }
}

/// Reads a text that the caller knows to be JSON.
#[track_caller]
pub fn must_read(text: &str) -> Json<'_> {
    match read(text) {
        Verdict::Json(json) => json,
        other => panic!("{other:?} instead of JSON: {text}"),
    }
}

/// Whether JSON can write a number so.
pub fn is_number(text: &str) -> bool {
    matches!(read(text), Verdict::Json(Json { raw, kind: Kind::Number }) if raw == text)
}

/// What a string token means; `None` for half a surrogate pair.
pub fn decode(token: &str) -> Option<String> {
    let mut chars = token.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut units = Vec::new();
    while let Some(c) = chars.next() {
        let meant = match c {
            '\\' => match chars.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).ok()?);
                    continue;
                }
                itself => itself,
            },
            itself => itself,
        };
        units.extend_from_slice(meant.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok()
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    /// The arrays and objects that are open; beyond the limit it only ever grows.
    depth: usize,
}

impl<'a> Reader<'a> {
    fn at(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        self.rest.next_if(|(_, c)| wanted(*c)).map(|(_, c)| c)
    }

    fn take(&mut self, wanted: char) -> Option<char> {
        self.next_if(|c| c == wanted)
    }

    fn space(&mut self) {
        while self.next_if(|c| matches!(c, ' ' | '\t' | '\r' | '\n')).is_some() {}
    }

    fn word(&mut self, word: &str) -> Option<()> {
        word.chars().try_for_each(|c| self.take(c).map(drop))
    }

    fn value(&mut self) -> Option<Json<'a>> {
        self.space();
        let start = self.at();
        let kind = match self.rest.peek()?.1 {
            'n' => self.word("null").map(|()| Kind::Null)?,
            't' => self.word("true").map(|()| Kind::Bool(true))?,
            'f' => self.word("false").map(|()| Kind::Bool(false))?,
            '"' => self.string().map(|_| Kind::Text)?,
            '[' => Kind::List(self.nested('[', ']', Self::value)?),
            '{' => Kind::Map(self.nested('{', '}', Self::member)?),
            _ => self.number().map(|()| Kind::Number)?,
        };
        let end = self.at();
        Some(Json { raw: &self.text[start..end], kind })
    }

    fn nested<T>(&mut self, open: char, close: char, one: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.take(open)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let mut all = Vec::new();
        self.space();
        if self.take(close).is_none() {
            loop {
                all.push(one(self)?);
                self.space();
                if self.take(close).is_some() {
                    break;
                }
                self.take(',')?;
            }
        }
        self.depth -= 1;
        Some(all)
    }

    fn member(&mut self) -> Option<(&'a str, Json<'a>)> {
        self.space();
        let name = self.string()?;
        self.space();
        self.take(':')?;
        Some((name, self.value()?))
    }

    fn string(&mut self) -> Option<&'a str> {
        let start = self.at();
        self.take('"')?;
        while self.take('"').is_none() {
            if self.next_if(|c| c >= ' ')? != '\\' {
                continue;
            }
            if self.next_if(|c| "\"\\/bfnrtu".contains(c))? == 'u' {
                for _ in 0..4 {
                    self.next_if(|c| c.is_ascii_hexdigit())?;
                }
            }
        }
        let end = self.at();
        Some(&self.text[start..end])
    }

    fn digits(&mut self) -> Option<()> {
        self.next_if(|c| c.is_ascii_digit())?;
        while self.next_if(|c| c.is_ascii_digit()).is_some() {}
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        self.take('-');
        if self.take('0').is_none() {
            self.digits()?;
        }
        if self.take('.').is_some() {
            self.digits()?;
        }
        if self.next_if(|c| matches!(c, 'e' | 'E')).is_some() {
            self.next_if(|c| matches!(c, '+' | '-'));
            self.digits()?;
        }
        Some(())
    }
}

mod agrees_with_serde_json {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::Value;

    use super::*;
    use crate::budget::fuzz;
    use crate::pages::{Input, input};

    /// Whether a value is what serde_json made of the same text. Numbers are compared as doubles, the last bits apart.
    fn same(ours: &Json<'_>, theirs: &Value) -> bool {
        match (&ours.kind, theirs) {
            (Kind::Null, Value::Null) => true,
            (Kind::Bool(ours), Value::Bool(theirs)) => ours == theirs,
            (Kind::Number, Value::Number(theirs)) => {
                let (ours, theirs): (f64, f64) =
                    (ours.raw.parse().expect("a number"), theirs.as_f64().expect("a double"));
                (ours - theirs).abs() <= ours.abs() * 1e-14
            }
            (Kind::Text, Value::String(theirs)) => ours.text().as_ref() == Some(theirs),
            (Kind::List(ours), Value::Array(theirs)) => {
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
            }
            (Kind::Map(members), Value::Object(theirs)) => {
                members.iter().all(|(name, _)| decode(name).is_some_and(|name| theirs.contains_key(&name)))
                    && theirs.iter().all(|(name, value)| ours.get(name).is_some_and(|ours| same(ours, value)))
            }
            _ => false,
        }
    }

    #[test]
    fn referee() {
        fuzz("referee", input, |input: &Input| {
            let text = String::from_utf8_lossy(input.bytes());
            let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            match read(&text) {
                Verdict::Json(ours) => {
                    prop_assert!(theirs, "serde_json refuses it");
                    if let Ok(value) = serde_json::from_str::<Value>(&text) {
                        prop_assert!(same(&ours, &value), "{:?}\n{:?}", ours, value);
                    }
                }
                Verdict::NotJson => prop_assert!(!theirs, "serde_json reads it"),
                Verdict::TooDeep => {}
            }
            Ok(())
        });
    }
}
