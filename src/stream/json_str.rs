//! A JSON string as it stands in a body: quotes, escapes and all.
//!
//! Most strings of a change are only carried on, so they are copied byte for byte and never unescaped. It owns
//! nothing; it borrows from the body.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::json::Json;

/// One JSON string token, still escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonStr<'a>(&'a str);

impl<'a> JsonStr<'a> {
    /// The value, if it is a string.
    pub fn of(value: Json<'a>) -> Option<Self> {
        value.get().starts_with('"').then_some(Self(value.get()))
    }

    /// The token with its quotes: valid JSON by itself.
    pub fn as_json(self) -> &'a str {
        self.0
    }

    /// What stands between the quotes, still escaped.
    pub fn escaped(self) -> &'a str {
        self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default()
    }

    /// The string itself. `None` when an escape stands for no character (half a surrogate pair).
    pub fn decode(self) -> Option<Cow<'a, str>> {
        let escaped = self.escaped();
        if escaped.contains('\\') {
            serde_json::from_str(self.0).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(escaped))
        }
    }

    /// Whether the string, unescaped, is `text`.
    pub fn is(self, text: &str) -> bool {
        self.decode().is_some_and(|decoded| decoded == text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonStr<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::<'de>::deserialize(deserializer)?;
        Self::of(value).ok_or_else(|| D::Error::custom("expected a string"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(json: &str) -> JsonStr<'_> {
        serde_json::from_str(json).expect("a JSON string")
    }

    #[test]
    fn keeps_the_token_and_decodes_on_demand() {
        let plain = token(r#""straße""#);
        assert_eq!((plain.as_json(), plain.escaped()), (r#""straße""#, "straße"));
        assert!(matches!(plain.decode(), Some(Cow::Borrowed("straße"))));

        let escaped = token(r#""a\"\u0000\ud83d\ude00""#);
        assert_eq!(escaped.as_json(), r#""a\"\u0000\ud83d\ude00""#);
        assert_eq!(escaped.decode().as_deref(), Some("a\"\0😀"));
        assert_eq!(token(r#""""#).decode().as_deref(), Some(""));
    }

    #[test]
    fn compares_what_it_means() {
        assert!(token(r#""Service""#).is("Service"));
        assert!(token(r#""\u0053ervice""#).is("Service"));
        assert!(!token(r#""Service ""#).is("Service"));
        assert!(!token(r#""\\n""#).is("\n"));
    }

    #[test]
    fn half_a_surrogate_pair_has_no_meaning() {
        let lone = token(r#""\ud83d""#);
        assert_eq!(lone.as_json(), r#""\ud83d""#);
        assert_eq!(lone.decode(), None);
        assert!(!lone.is("\u{fffd}"));
    }

    #[test]
    fn other_values_are_no_strings() {
        for json in ["1", "null", "true", "{}", "[\"a\"]"] {
            assert!(serde_json::from_str::<JsonStr<'_>>(json).is_err(), "{json}");
        }
    }
}
