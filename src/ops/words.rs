//! Words that a service says and a metric's label repeats: error codes. They are few, but nothing forces them to be: each
//! label set bounds how many it takes, and how they look.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// AWS documents about 100 codes for all calls that are made; a worker sees a handful.
const MAX_WORDS: usize = 100;
const MAX_CHARS: usize = 64;

/// In place of a word too many, or of what is no word.
const OTHER: &str = "Other";

/// The words admitted so far.
#[derive(Debug, Default)]
pub struct Words(Mutex<BTreeSet<String>>);

impl Words {
    /// The word, or `Other`.
    pub fn admit(&self, word: &str) -> String {
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !words.contains(word) {
            if words.len() >= MAX_WORDS || !is_word(word) {
                return OTHER.to_owned();
            }
            words.insert(word.to_owned());
        }
        word.to_owned()
    }
}

/// As AWS spells error codes: `ThrottlingException`, `InvalidClientTokenId`, `Throttling.User`.
pub fn is_word(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '.';
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= MAX_CHARS
        && text.chars().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_repeated_and_other_texts_are_not() {
        let words = Words::default();
        for code in ["ThrottlingException", "Http500", "Throttling.User"] {
            assert_eq!(words.admit(code), code);
        }
        for text in
            ["", "5", "no such item: 4711", "item-4711", "a\"b", "{\"S\":1}", &"x".repeat(65), "\u{e4}"]
        {
            assert_eq!(words.admit(text), OTHER, "{text}");
        }
    }

    #[test]
    fn there_are_only_so_many() {
        let words = Words::default();
        for n in 0..MAX_WORDS {
            assert_eq!(words.admit(&format!("Code{n}")), format!("Code{n}"));
        }
        assert_eq!(words.admit("OneMore"), OTHER);
        assert_eq!(words.admit("Code7"), "Code7");
    }
}
