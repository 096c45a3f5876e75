//! Names: which text may name a worker, a pipeline, a DynamoDB table or a Kinesis stream. An error is the sentence
//! that follows the key.

use super::values::quoted;

/// Longest worker id and pipeline name; they are part of lease-table keys and metric labels.
pub(super) const MAX_IDENTIFIER_CHARS: usize = 128;

/// A name of our own: a worker's id, a pipeline's name.
pub(super) fn identifier(text: &str) -> Result<String, String> {
    checked(text, 1, MAX_IDENTIFIER_CHARS, "a name").map(str::to_owned)
}

/// A DynamoDB table's name (not its ARN).
pub(super) fn table(text: &str) -> Result<String, String> {
    checked(text, 3, 255, "a DynamoDB table name").map(str::to_owned)
}

/// A Kinesis stream's name (not its ARN).
pub(super) fn stream(text: &str) -> Result<String, String> {
    checked(text, 1, 128, "a Kinesis stream name").map(str::to_owned)
}

/// A CloudWatch namespace.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let is_char = |c: char| is_name_char(c) || matches!(c, '/' | '#' | ':' | ' ');
    let is_plain = (1..=255).contains(&text.len()) && text.chars().all(is_char) && !text.trim().is_empty();
    if is_plain && !text.starts_with(':') && !text.starts_with("AWS/") {
        return Ok(text.to_owned());
    }
    let found = quoted(text);
    Err(format!(
        "{found} is not a CloudWatch namespace of your own; write 1 to 255 letters, digits, spaces or `-_./#:`, neither \
         `:` nor `AWS/` in front"
    ))
}

/// Letters, digits, `-`, `_` and `.`.
pub(super) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn checked<'a>(text: &'a str, min: usize, max: usize, what: &str) -> Result<&'a str, String> {
    if (min..=max).contains(&text.len()) && text.chars().all(is_name_char) {
        return Ok(text);
    }
    let found = quoted(text);
    Err(format!("{found} is not {what}; write {min} to {max} letters, digits, `-`, `_` or `.`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_the_services_rules() {
        assert_eq!(table("a.B-9_").as_deref(), Ok("a.B-9_"));
        assert!(table(&"x".repeat(255)).is_ok() && table(&"x".repeat(256)).is_err());
        assert!(table("ab").is_err() && table("").is_err());
        assert!(stream("x").is_ok() && stream(&"x".repeat(128)).is_ok() && stream(&"x".repeat(129)).is_err());
        for bad in ["", " ", "a b", "a/b", "a#b", "ä", "a\n"] {
            assert!(identifier(bad).is_err() && stream(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn namespaces() {
        for good in ["Orders/Bridge", "a b:c#d", "AWS"] {
            assert!(namespace(good).is_ok(), "{good}");
        }
        for bad in ["", " ", ":a", "AWS/DynamoDB", "ä", "a\n", &"x".repeat(256)] {
            assert!(namespace(bad).is_err(), "{bad:?}");
        }
    }
}
