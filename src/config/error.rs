//! Configuration errors: which text, which line, which key, what was expected, and the remedy.

use std::fmt;

use super::source::ConfigSource;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Line in the text, from 1; none when it concerns the text as a whole.
    pub line: Option<usize>,
    /// Full path of the key, such as `pipeline[0].sink.linger`.
    pub key: Option<String>,
    /// What was found, what is expected, and what to do.
    pub message: String,
}

impl Problem {
    /// About the text as a whole, or the way it was read.
    pub fn of_text(line: Option<usize>, message: String) -> Self {
        Self { line, key: None, message }
    }
}

/// Why there is no configuration. Displays as one line a broken rule; the process exits with code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// None when there was no text at all.
    source: Option<ConfigSource>,
    /// At least one, by line.
    problems: Vec<Problem>,
}

impl ConfigError {
    /// `problems` found in the text that `source` names.
    pub(super) fn in_text(source: ConfigSource, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        Self { source: Some(source), problems }
    }

    /// The text of `source` could not be had.
    pub(super) fn unreadable(source: ConfigSource, message: String) -> Self {
        Self { source: Some(source), problems: vec![Problem::of_text(None, message)] }
    }

    /// Nobody said where the configuration is.
    pub(super) fn absent(message: String) -> Self {
        Self { source: None, problems: vec![Problem::of_text(None, message)] }
    }

    fn write_problem(&self, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}:")?;
            if let Some(line) = problem.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        if let Some(key) = &problem.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&problem.message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return self.write_problem(only, f);
        }
        write!(f, "the configuration has {} errors", self.problems.len())?;
        for problem in &self.problems {
            f.write_str("\n  ")?;
            self.write_problem(problem, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
