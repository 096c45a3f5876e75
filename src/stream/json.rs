//! A JSON value as it stands in a body: its text, and nothing read of it.
//!
//! Keys and images are copied on byte for byte, so a change holds them unparsed. It owns nothing; it borrows from the
//! body.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The text of one JSON value, without white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The value of this text, which the caller has checked, or put together of values.
    pub(crate) fn checked(text: &'a str) -> Self {
        debug_assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "no JSON");
        Self(text)
    }

    /// The text: valid JSON by itself.
    pub fn get(self) -> &'a str {
        self.0
    }
}

/// From any text; this is what checks it.
impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(|raw| Self(raw.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_text_without_the_space_around_it() {
        let value: Json<'_> = serde_json::from_str(" {\"a\" : [1E0, \"\\u0061\"] }\n").expect("JSON");
        assert_eq!(value.get(), r#"{"a" : [1E0, "\u0061"] }"#);
        assert!(serde_json::from_str::<Json<'_>>("{\"a\":}").is_err());
    }
}
