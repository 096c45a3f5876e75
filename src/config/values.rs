//! Scalar values with limits: durations and sizes. Pure text → value functions; an error is the sentence that
//! follows the key.

use std::fmt::Display;
use std::time::Duration;

use bytesize::ByteSize;

/// Inclusive limits, and why they are there (empty where it is obvious).
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<T> {
    pub min: T,
    pub max: T,
    pub why: &'static str,
}

impl<T: PartialOrd + Copy> Limits<T> {
    pub const fn new(min: T, max: T) -> Self {
        Self { min, max, why: "" }
    }

    pub const fn because(self, why: &'static str) -> Self {
        Self { why, ..self }
    }

    /// `value` if it is within the limits; `show` writes a limit the way the configuration would.
    pub fn admit<D: Display>(&self, value: T, found: &str, show: impl Fn(T) -> D) -> Result<T, String> {
        if value >= self.min && value <= self.max {
            return Ok(value);
        }
        let (min, max, why) = (show(self.min), show(self.max), self.why);
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        Err(format!("{found} is outside {min} to {max}{why}; write a value within these limits"))
    }
}

/// humantime panics where the sum just passes `u64::MAX` seconds, which no text this short can say.
const MAX_DURATION_CHARS: usize = 20;

/// A number and its unit (`humantime`'s), within `limits`.
pub(super) fn duration(text: &str, limits: Limits<Duration>) -> Result<Duration, String> {
    let found = quoted(text);
    const REMEDY: &str = r#"write a number and its unit, such as "500ms", "5s" or "2m""#;
    if is_bare_number(text) {
        return Err(format!("{found} has no unit; {REMEDY}"));
    }
    if text.chars().count() > MAX_DURATION_CHARS {
        return Err(format!("{found} is too long for a duration; {REMEDY}"));
    }
    let value = humantime::parse_duration(text)
        .map_err(|error| format!("{found} is not a duration: {error}; {REMEDY}"))?;
    limits.admit(value, &found, |limit| humantime::format_duration(limit).to_string())
}

/// A number of bytes and its unit (`bytesize`'s), within `limits`.
pub(super) fn size_bytes(text: &str, limits: Limits<u64>) -> Result<u64, String> {
    let found = quoted(text);
    const REMEDY: &str = r#"write a number and its unit, such as "256MiB" or "1GiB""#;
    if is_bare_number(text) {
        return Err(format!("{found} has no unit; {REMEDY}"));
    }
    let value: ByteSize = text.parse().map_err(|_| format!("{found} is not a size; {REMEDY}"))?;
    limits.admit(value.as_u64(), &found, |limit| ByteSize(limit).display().iec().to_string())
}

fn is_bare_number(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'_')
}

/// `text` as an error shows it: quoted, escaped, and cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The one of `candidates` that `text` most likely means, if any is close.
pub(super) fn closest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = text.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: Limits<Duration> = Limits::new(Duration::from_millis(100), Duration::from_secs(60));
    const SIZES: Limits<u64> = Limits::new(16 << 20, 64 << 30);

    #[test]
    fn durations_with_a_unit_and_within_limits() {
        assert_eq!(duration("2s", SECONDS), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1s 500ms", SECONDS), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("100ms", SECONDS), Ok(SECONDS.min));
        assert_eq!(duration("1m", SECONDS), Ok(SECONDS.max));
        for (text, part) in [
            ("0s", "outside 100ms to 1m"),
            ("61s", "outside 100ms to 1m"),
            ("99ms", "outside"),
            ("5", "has no unit"),
            ("0", "has no unit"),
            ("0.5", "has no unit"),
            ("", "not a duration"),
            ("5 parsecs", "unknown time unit"),
            ("-5s", "not a duration"),
            ("18446744073709551615s 1000000000ns", "too long"),
            ("99999999999999999999", "has no unit"),
            ("9999999999999999999y", "not a duration"),
        ] {
            let error = duration(text, SECONDS).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_limit_says_why() {
        let error = duration("1ms", SECONDS.because("the service's limit")).unwrap_err();
        assert!(error.contains("(the service's limit)"), "{error}");
    }

    #[test]
    fn sizes_with_a_unit_and_within_limits() {
        assert_eq!(size_bytes("256MiB", SIZES), Ok(256 << 20));
        assert_eq!(size_bytes("1 GiB", SIZES), Ok(1 << 30));
        assert_eq!(size_bytes("20MB", SIZES), Ok(20_000_000));
        for (text, part) in [
            ("0MiB", "outside 16.0 MiB to 64.0 GiB"),
            ("9999999EiB", "outside"),
            ("268435456", "has no unit"),
            ("lots", "not a size"),
            ("", "not a size"),
            ("-1MiB", "not a size"),
            ("1.2.3MiB", "not a size"),
        ] {
            let error = size_bytes(text, SIZES).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn suggests_only_what_is_close() {
        assert_eq!(closest("lingre", ["linger", "stream"]), Some("linger"));
        assert_eq!(closest("LINGER", ["linger", "stream"]), Some("linger"));
        assert_eq!(closest("banana", ["linger", "stream"]), None);
    }

    #[test]
    fn long_values_are_cut() {
        let shown = quoted(&"é\n".repeat(200));
        assert!(shown.chars().count() < 130 && shown.ends_with("…\""), "{shown}");
    }
}
