//! The configuration's text: the sample damaged, values of any kind under every key, and noise. Whatever it is, it is
//! read without a panic; it gives the same each time; and an error says where and what.

use std::fmt;
use std::time::Duration;

use ddb_kinesis_bridge::config::{Config, ConfigSource, SAMPLE};
use proptest::prelude::*;

use crate::budget::fuzz;
use crate::choices::Choices;
use crate::damage::damaged;
use crate::pen::Pen;

/// What errors call the text.
const FILE: &str = "bridge.toml";

/// A text, and what it says where it is known to be valid: `max_in_flight` and `linger`.
struct Text {
    text: String,
    says: Option<(usize, Duration)>,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}\nas a literal: {:?}", self.text, self.text)
    }
}

#[test]
fn config() {
    fuzz("config", text, |Text { text, says }: &Text| {
        let (first, again) = (parse(text), parse(text));
        prop_assert_eq!(&first, &again);
        match first {
            Ok(config) => {
                let sink = config.pipelines.first().map(|pipeline| &pipeline.sink);
                prop_assert!(sink.is_some(), "nothing to do");
                let read = sink.map(|sink| (sink.max_in_flight, sink.linger));
                prop_assert!(says.is_none() || *says == read, "{:?}", read);
            }
            Err(error) => {
                prop_assert!(says.is_none(), "refused: {}", error);
                tells_where_and_what(text, &error)?;
            }
        }
        Ok(())
    });
}

/// The configuration, its random worker id apart, or the whole error text.
fn parse(text: &str) -> Result<Config, String> {
    let env = |name: &str| (name == "STAGE").then(|| "prod".to_owned());
    let mut config =
        Config::parse(text, ConfigSource::File(FILE.into()), &env).map_err(|error| error.to_string())?;
    if config.worker.id_is_default {
        config.worker.id.clear();
    }
    Ok(config)
}

/// Every line names the file, a line that the text has, and what is wrong; no line is more than one.
fn tells_where_and_what(text: &str, error: &str) -> Result<(), TestCaseError> {
    prop_assert!(!error.chars().any(|c| c.is_control() && c != '\n'), "control characters: {:?}", error);
    let mut lines: Vec<&str> = error.lines().collect();
    if lines.len() > 1 {
        prop_assert_eq!(lines.remove(0), format!("the configuration has {} errors", lines.len()));
    }
    prop_assert!(!lines.is_empty());
    let last_line = text.matches('\n').count() + 1;
    for line in lines {
        let after = line.trim_start().strip_prefix(FILE).and_then(|rest| rest.strip_prefix(':'));
        let (place, what) = after.and_then(|rest| rest.split_once(' ')).unwrap_or_default();
        prop_assert!(what.len() > 10 && what.contains([';', ':']), "says nothing: {}", line);
        if let Some(number) = place.strip_suffix(':') {
            let number: usize =
                number.parse().map_err(|_| TestCaseError::fail(format!("no line: {line}")))?;
            prop_assert!((1..=last_line).contains(&number), "{} lines: {}", last_line, line);
        } else {
            prop_assert!(place.is_empty() && what.starts_with("pipeline: there is no"), "no line: {}", line);
        }
    }
    Ok(())
}

fn text(choices: &mut Choices<'_>) -> Text {
    match choices.below(10) {
        0 => spelt(choices),
        1..5 => {
            let (text, other) = (base(choices), base(choices));
            let bytes = damaged(choices, text.as_bytes(), other.as_bytes());
            Text { text: String::from_utf8_lossy(&bytes).into_owned(), says: None }
        }
        5..9 => Text { text: with_values(choices), says: None },
        _ => Text { text: noise(choices), says: None },
    }
}

/// The sample, or one in which all that is commented out is set (and some of it excludes the rest).
fn base(choices: &mut Choices<'_>) -> String {
    if choices.once_in(2) {
        return SAMPLE.to_owned();
    }
    let set = |line: &str| {
        let setting =
            line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        setting.unwrap_or(line).to_owned()
    };
    SAMPLE.lines().map(set).collect::<Vec<_>>().join("\n")
}

/// A configuration spelt in any of TOML's ways.
fn spelt(choices: &mut Choices<'_>) -> Text {
    let end = choices.one_of(&["\n", "\r\n", " # …\n"]);
    let (in_flight, max_in_flight) =
        choices.one_of(&[("8", 8), ("+9", 9), ("0x1f", 31), ("0o10", 8), ("0b101", 5), ("2_5_6", 256)]);
    let (linger, wait) =
        choices.one_of(&[("10ms", 10_000), ("0s", 0), ("1s", 1_000_000), ("999us 1us", 1_000)]);
    let name = quoted(choices, "orders");
    let table = quoted(choices, "orders-${STAGE}");
    let (stream, linger) = (quoted(choices, "cdc"), quoted(choices, linger));
    let text = match choices.below(3) {
        0 => format!(
            "[[pipeline]]{end}name = {name}{end}[pipeline.source]{end}table = {table}{end}[pipeline.sink]{end}\
             stream = {stream}{end}linger = {linger}{end}max_in_flight = {in_flight}{end}"
        ),
        1 => format!(
            "[[pipeline]]{end}sink.stream = {stream}{end}\"sink\".'linger' = {linger}{end}\
             sink . max_in_flight\t=\t{in_flight}{end}source.table = {table}{end}name = {name}{end}"
        ),
        _ => format!(
            "pipeline = [ {{ name = {name}, source = {{ table = {table} }}, sink = {{ stream = {stream}, \
             linger = {linger}, max_in_flight = {in_flight} }} }} ]{end}"
        ),
    };
    Text { text, says: Some((max_in_flight, Duration::from_micros(wait))) }
}

/// A string in one of TOML's four ways.
fn quoted(choices: &mut Choices<'_>, text: &str) -> String {
    match choices.below(4) {
        0 => format!("\"{text}\""),
        1 => format!("'{text}'"),
        2 => format!("\"\"\"\n{text}\"\"\""),
        _ => format!("\"{}\"", text.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect::<String>()),
    }
}

/// The sample's settings with other values under some of its keys.
fn with_values(choices: &mut Choices<'_>) -> String {
    let base = base(choices);
    let is_text = |line: &&str| !line.starts_with('#') && !line.is_empty();
    let mut lines: Vec<String> = base.lines().filter(is_text).map(str::to_owned).collect();
    let settings: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].contains(" = ")).collect();
    for _ in 0..=choices.below(12) {
        let at = choices.one_of(&settings);
        let key = lines[at].split(" = ").next().unwrap_or_default().to_owned();
        lines[at] = format!("{key} = {}", value(choices, &key));
    }
    lines.join("\n")
}

/// What strings for the configuration are put together from, by the kind of key; separated by bars.
const PARTS: [(&[&str], &str); 4] = [
    (&["level"], "info|é|[|]|{|}|=|,|a|/|\"| |off|1"),
    (
        &["timeout", "time", "interval", "min", "max", "linger"],
        "1|.|ms|s| |18446744073709551615s |1000000000ns|9y|µs|us|-|é|00000000000000000000000|h|10m",
    ),
    (&["limit"], "1|.|-| |18446744073709551615|EiB|MiB|B|k|inf|NaN|e9|é|é9"),
    (
        &[],
        "a|0|:|-|_|.|/|arn:aws:|dynamodb:|kinesis:|iam:|eu-west-1|123456789012|:table/orders|/stream/|:stream/|:role/\
        |http://|https://|[::1]|[|]|@|?|#|,|=|$|${|}|STAGE|é| |acknowledged|latest|json",
    ),
];

/// What may stand under `key`: a string that is nearly one of its kind, any other, or a value that is no string.
fn value(choices: &mut Choices<'_>, key: &str) -> String {
    const VALUES: &str = "true|-1|0|99999999999999999999999999999999999999999|0xffffffffffffffff|1.5|nan|1979-05-27|[]|{}|\
        [[1]]|{a.b = 1}";
    let text = match choices.below(8) {
        0 => return choices.one_part(VALUES).to_owned(),
        1 => Pen::new(choices).text(12),
        _ => {
            let of_key = |words: &[&str]| words.is_empty() || words.iter().any(|word| key.ends_with(word));
            let (_, parts) =
                PARTS.into_iter().find(|(words, _)| of_key(words)).expect("the last is for all keys");
            choices.some(8, |choices| choices.one_part(parts)).concat()
        }
    };
    toml::Value::String(text).to_string()
}

/// Bytes as text, or TOML's words in any order.
fn noise(choices: &mut Choices<'_>) -> String {
    const WORDS: &str = "[|]|[[pipeline]]|\n|=|.|\"|'|\"\"\"|'''|{|}|,|#|pipeline|worker|id|1e9|\\u00e9|\
        é";
    if choices.once_in(2) {
        String::from_utf8_lossy(&choices.some(200, Choices::byte)).into_owned()
    } else {
        choices.some(60, |choices| choices.one_part(WORDS)).concat()
    }
}
