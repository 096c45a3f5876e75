//! The screen: what the demo prints, one line at a time. Plain text; colours only on a terminal, and not where
//! `NO_COLOR` is set. On a high rate it prints a sample of the records and says how many it left out.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::consumer::Landed;
use super::history::ChangeKind;
use super::payload::Delivered;

/// At most twenty record lines a second.
const BETWEEN_RECORDS: Duration = Duration::from_millis(50);

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Where the lines go, and whether colours are understood there.
pub struct Output {
    pub to: Box<dyn Write + Send>,
    pub colours: bool,
}

impl Output {
    /// Standard output; colours on a terminal, unless `NO_COLOR` says no.
    pub fn standard() -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let stdout = std::io::stdout();
        Output { colours: stdout.is_terminal() && !no_colour, to: Box::new(stdout) }
    }
}

/// Prints on one output.
pub struct Screen {
    output: Output,
    last_record: Option<Instant>,
    left_out: usize,
}

/// One second's figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Second {
    pub elapsed: Duration,
    pub written: usize,
    pub written_now: usize,
    pub arrived: usize,
    pub arrived_now: usize,
    pub duplicates: usize,
    /// The median of the last second's landings.
    pub lag: Option<Duration>,
    /// Changes that the stored checkpoint covers.
    pub checkpointed: usize,
}

impl Screen {
    pub fn new(output: Output) -> Self {
        Screen { output, last_record: None, left_out: 0 }
    }

    /// A line of plain text.
    pub fn line(&mut self, text: impl Display) {
        // A closed pipe (`demo | head`) is no reason to stop verifying.
        let _closed = writeln!(self.output.to, "{text}");
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) {
        let text = self.painted(BOLD, text);
        self.line(text);
    }

    /// A last word: green or red.
    pub fn verdict(&mut self, good: bool, text: &str) {
        let text = self.painted(if good { GREEN } else { RED }, text);
        self.line(text);
    }

    /// The head of the record lines.
    pub fn columns(&mut self) {
        let head = format!(
            "{:<12}  {:<6}  {:<32} {:>7}  {:<8}  {}",
            "time (UTC)", "event", "item", "version", "shard", "change"
        );
        let head = self.painted(DIM, &head);
        self.line(head);
    }

    /// A record that landed, unless one was printed just before.
    pub fn record(&mut self, landed: &Landed, record: &Delivered, duplicate: bool) {
        if self.last_record.is_some_and(|last| landed.at.saturating_duration_since(last) < BETWEEN_RECORDS) {
            self.left_out += 1;
            return;
        }
        self.last_record = Some(landed.at);
        let colour = match record.kind {
            ChangeKind::Insert => GREEN,
            ChangeKind::Modify => YELLOW,
            ChangeKind::Remove => RED,
        };
        let version = record.version.map_or_else(|| "-".to_owned(), |version| version.to_string());
        let shard = landed.shard_id.trim_start_matches("shardId-").trim_start_matches('0');
        let shard = if shard.is_empty() { "0" } else { shard };
        let painted = self.painted(colour, &format!("{:<6}", record.kind));
        self.line(format_args!(
            "{:<12}  {}  {:<32} {version:>7}  {shard:<8}  {}{}",
            time_of_day(),
            painted,
            record.item.to_string(),
            summary(record),
            if duplicate { "  (duplicate)" } else { "" },
        ));
    }

    /// The running line.
    pub fn second(&mut self, second: &Second) {
        let lag = second.lag.map_or_else(|| "-".to_owned(), |lag| format!("{} ms", lag.as_millis()));
        let left_out = match std::mem::take(&mut self.left_out) {
            0 => String::new(),
            count => format!(" | {} records not shown", thousands(count)),
        };
        let text = format!(
            "-- {:>3} s | written {} ({}/s) | delivered {} ({}/s) | lag {lag} | checkpoint at {}{}{left_out}",
            second.elapsed.as_secs(),
            thousands(second.written),
            thousands(second.written_now),
            thousands(second.arrived),
            thousands(second.arrived_now),
            thousands(second.checkpointed),
            if second.duplicates == 0 {
                String::new()
            } else {
                format!(" | duplicates {}", thousands(second.duplicates))
            },
        );
        let text = self.painted(BOLD, &text);
        self.line(text);
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.output.colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A count with its thousands apart.
pub fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time_of_day() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = now.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, now.subsec_millis())
}

/// What changed, in a few words of the demo's own domain.
fn summary(record: &Delivered) -> String {
    let field = |image: &Option<Value>, name: &str| scalar(image.as_ref()?.get(name)?);
    let status = |image| field(image, "status").unwrap_or_else(|| "?".to_owned());
    match record.kind {
        ChangeKind::Insert => {
            let total = field(&record.new, "total").unwrap_or_else(|| "?".to_owned());
            let lines =
                record.new.as_ref().and_then(|new| new.pointer("/lines/L")?.as_array()).map_or(0, Vec::len);
            let city = record.new.as_ref().and_then(|new| scalar(new.pointer("/ship_to/M/city")?));
            format!("{lines} lines, {total} EUR, to {}", city.unwrap_or_else(|| "?".to_owned()))
        }
        ChangeKind::Modify => {
            let (old, new) = (field(&record.old, "total"), field(&record.new, "total"));
            let total = match (old, new) {
                (Some(old), Some(new)) if old != new => format!(", {old} -> {new} EUR"),
                _ => String::new(),
            };
            format!("{} -> {}{total}", status(&record.old), status(&record.new))
        }
        ChangeKind::Remove => format!("was {}", status(&record.old)),
    }
}

fn scalar(value: &Value) -> Option<String> {
    let (_, text) = value.as_object()?.iter().next()?;
    Some(text.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(count), text);
        }
    }

    #[test]
    fn a_change_is_told_in_a_few_words() {
        let record = |data: &str| Delivered::parse(data.as_bytes()).expect("a change");
        let modify = record(
            r#"{"eventName":"MODIFY","dynamodb":{"Keys":{"order":{"S":"1"}},"SequenceNumber":"1",
               "OldImage":{"status":{"S":"placed"},"total":{"N":"1"}},
               "NewImage":{"status":{"S":"paid"},"total":{"N":"2.5"}}}}"#,
        );
        assert_eq!(summary(&modify), "placed -> paid, 1 -> 2.5 EUR");
        let insert = record(
            r#"{"eventName":"INSERT","dynamodb":{"Keys":{"order":{"S":"1"}},"SequenceNumber":"1",
               "NewImage":{"total":{"N":"7"},"lines":{"L":[{},{}]},"ship_to":{"M":{"city":{"S":"Malmö"}}}}}}"#,
        );
        assert_eq!(summary(&insert), "2 lines, 7 EUR, to Malmö");
        let keys_only =
            record(r#"{"eventName":"REMOVE","dynamodb":{"Keys":{"order":{"S":"1"}},"SequenceNumber":"1"}}"#);
        assert_eq!(summary(&keys_only), "was ?");
    }
}
