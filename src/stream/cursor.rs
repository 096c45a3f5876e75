//! A way through a body of JSON: from token to token, and over values, which it gives as they stand.
//!
//! It knows nothing of what a body should hold. What it gives is text and checked; what it only passes over need not be UTF-8.

pub(crate) use super::scan::Broken;
use super::scan::{Scan, Token};
use crate::stream::json::Json;

/// A body and a place in it.
pub(crate) struct Cursor<'a> {
    scan: Scan<'a>,
    /// The body, if it is all UTF-8.
    text: Option<&'a str>,
    /// Kept from value to value, so that it is allocated once.
    open: Vec<u8>,
    /// The last name that was written with escapes.
    name: String,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        // Once for the whole body is cheaper than for each of its strings.
        Self::at_start(body, std::str::from_utf8(body).ok())
    }

    /// The way through one value.
    pub(crate) fn of(value: Json<'a>) -> Self {
        Self::at_start(value.get().as_bytes(), Some(value.get()))
    }

    fn at_start(body: &'a [u8], text: Option<&'a str>) -> Self {
        Self { scan: Scan { body, at: 0 }, text, open: Vec::new(), name: String::new() }
    }

    /// How many bytes are behind it; after an error, where that shows.
    pub(crate) fn at(&self) -> usize {
        self.scan.at
    }

    /// How many are before it.
    pub(crate) fn left(&self) -> usize {
        self.scan.body.len() - self.scan.at
    }

    /// Passes `byte`, if it is next after white space.
    pub(crate) fn takes(&mut self, byte: u8) -> Result<bool, Broken> {
        self.scan.takes(byte)
    }

    /// Passes a comma, which another member or element follows, or the closing bracket.
    pub(crate) fn goes_on(&mut self, close: u8) -> Result<bool, Broken> {
        self.scan.goes_on(close)
    }

    /// Steps into the object or array that comes next, and tells whether there is anything in it.
    pub(crate) fn opens(&mut self, bracket: u8) -> Result<bool, Broken> {
        if !self.takes(bracket)? {
            return Err(Broken::NotJson);
        }
        // ASCII has each closing bracket second after its opening one.
        Ok(!self.takes(bracket + 2)?)
    }

    /// The name of the member whose value comes next. Half a surrogate pair is no name.
    #[inline(always)]
    pub(crate) fn name(&mut self) -> Result<&str, Broken> {
        let token = self.scan.name()?;
        if token.has_escapes {
            return self.decoded(token);
        }
        self.slice(token.from + 1, token.end - 1)
    }

    #[cold]
    #[inline(never)]
    fn decoded(&mut self, token: Token) -> Result<&str, Broken> {
        self.name = serde_json::from_str(self.slice(token.from, token.end)?).map_err(|_| Broken::NotJson)?;
        Ok(&self.name)
    }

    /// The value that comes next, of whatever kind.
    pub(crate) fn value(&mut self) -> Result<Json<'a>, Broken> {
        self.scan.peek()?;
        let from = self.scan.at;
        self.scan.value(&mut self.open)?;
        self.slice(from, self.scan.at).map(Json::checked)
    }

    /// Passes over a value of whatever kind.
    pub(crate) fn skip(&mut self) -> Result<(), Broken> {
        self.scan.value(&mut self.open)
    }

    /// Sees that nothing follows.
    pub(crate) fn end(&mut self) -> Result<(), Broken> {
        match self.scan.peek() {
            Err(Broken::EndsEarly) => Ok(()),
            _ => Err(Broken::NotJson),
        }
    }

    fn slice(&self, from: usize, end: usize) -> Result<&'a str, Broken> {
        let slice = match self.text {
            Some(text) => text.get(from..end),
            None => self.scan.body.get(from..end).and_then(|slice| std::str::from_utf8(slice).ok()),
        };
        slice.ok_or(Broken::NotJson)
    }
}

#[cfg(test)]
pub(super) mod tests;
