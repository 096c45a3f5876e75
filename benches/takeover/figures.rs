//! The figures of a run, each with its target, as a table.

use std::fmt;
use std::time::Duration;

#[derive(Default)]
pub struct Figures {
    lines: Vec<Line>,
}

struct Line {
    what: String,
    found: String,
    target: String,
    met: bool,
    /// A count decides the exit code; a time does not.
    decides: bool,
}

impl Figures {
    /// A time that should not be longer than the target; none: it was over before.
    pub fn time(&mut self, what: &str, took: Option<Duration>, target: Duration) {
        let found = took.map_or_else(|| "never".to_owned(), seconds);
        self.add(what, found, target, took.is_some_and(|took| took <= target));
    }

    /// Several such times, and how many never came.
    pub fn times(&mut self, what: &str, mut times: Vec<Duration>, never: usize, target: Duration) {
        times.sort();
        let seconds = |time: Option<&Duration>| time.map_or(f64::NAN, Duration::as_secs_f64);
        let (least, middle, most) = (times.first(), times.get(times.len() / 2), times.last());
        let mut found =
            format!("min {:.2}, median {:.2}, max {:.2} s", seconds(least), seconds(middle), seconds(most));
        if never > 0 {
            found.push_str(&format!(", {never} never"));
        }
        self.add(what, found, target, never == 0 && most.is_some_and(|most| *most <= target));
    }

    /// A count that must be 0.
    pub fn none_of(&mut self, what: &str, count: usize) {
        let (what, found, target) = (what.to_owned(), count.to_string(), "0".to_owned());
        self.lines.push(Line { what, found, target, met: count == 0, decides: true });
    }

    /// What has no target.
    pub fn note(&mut self, what: &str, found: String) {
        let (what, target) = (what.to_owned(), String::new());
        self.lines.push(Line { what, found, target, met: true, decides: false });
    }

    pub fn counts_are_right(&self) -> bool {
        self.lines.iter().all(|line| line.met || !line.decides)
    }

    fn add(&mut self, what: &str, found: String, target: Duration, met: bool) {
        let (what, target) = (what.to_owned(), format!("<= {} s", target.as_secs()));
        self.lines.push(Line { what, found, target, met, decides: false });
    }
}

/// A time, for a person.
pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { what, found, target, met, .. } in &self.lines {
            let met = match (target.as_str(), met) {
                ("", _) => "",
                (_, true) => "met",
                (_, false) => "MISSED",
            };
            writeln!(f, "{what:<72} {found:<46} {target:>7} {met}")?;
        }
        Ok(())
    }
}
