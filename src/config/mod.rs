//! The configuration: TOML text in, one validated [`Config`] out.
//!
//! It owns every key's name, default, limits and error text. Stage one (`section`) looks keys up in the parsed
//! document together with their lines; stage two (`read`, `pipeline`) turns them into the types of `settings`, so
//! that the rest of the program never sees a value that breaks a limit. It never talks to AWS: whether a table
//! exists is `check`'s question, not this module's.

mod arn;
mod connection;
mod error;
mod interpolate;
mod names;
mod pipeline;
mod read;
pub mod readers;
mod record;
mod section;
mod settings;
mod source;
mod values;

#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod tests;

pub use crate::record::envelope::{Format, Oversize};
pub use crate::record::key::PartitionKeyMode;
pub use crate::record::selection::Selection;
pub use arn::StreamName;
pub use error::ConfigError;
pub use settings::{
    Aggregation, Config, Connection, Http, LeaseTable, Log, LogFormat, Metrics, OnGap, Ordering, Pipeline,
    Record, Sink, Source, SourceOf, Start, Worker,
};
pub use source::{CONFIG_VARIABLE, ConfigSource};

/// A commented configuration with every key and its default; `ddb-kinesis-bridge config` prints it.
pub const SAMPLE: &str = include_str!("sample.toml");

impl Config {
    /// Reads the text from `source` and validates it. `env` answers an environment variable's value, for `${VAR}`
    /// and for [`CONFIG_VARIABLE`].
    ///
    /// # Errors
    /// When the text cannot be read, is not TOML, or breaks a rule; the error lists every rule broken.
    pub fn load(source: ConfigSource, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = source.read(env)?;
        Self::parse(&text, source, env)
    }

    /// Validates `text`; `source` only names it in errors.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        source: ConfigSource,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        read::config(text, env).map_err(|problems| ConfigError::in_text(source, problems))
    }
}
