//! How a command fails: what to tell the user, and the exit code that says whose fault it is.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::start::StartError;

type BoxedError = Box<dyn Error + Send + Sync>;

/// Why a command did not end cleanly. Displays as one message with its causes appended.
#[derive(Debug)]
pub enum Failure {
    /// Usage or configuration: exit code 2.
    Usage(BoxedError),
    /// Anything that went wrong while running: exit code 1.
    Runtime(BoxedError),
}

impl Failure {
    /// The user's to correct, in the arguments, the configuration or the environment.
    pub fn usage(error: impl Into<BoxedError>) -> Self {
        Self::Usage(error.into())
    }

    /// Went wrong while running.
    pub fn runtime(error: impl Into<BoxedError>) -> Self {
        Self::Runtime(error.into())
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Runtime(_) => ExitCode::from(1),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        if error.is_usage() { Self::usage(error) } else { Self::runtime(error) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(error) | Self::Runtime(error)) = self;
        let mut shown = error.to_string();
        f.write_str(&shown)?;
        let mut cause = error.source();
        while let Some(error) = cause {
            let message = error.to_string();
            // Many errors already quote their cause.
            if !shown.contains(&message) {
                write!(f, ": {message}")?;
                shown = message;
            }
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("connect to the lease table")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("send: {0}")]
    struct Middle(#[source] std::io::Error);

    #[test]
    fn causes_are_appended_once() {
        let outer = Outer(Middle(std::io::Error::other("refused")));
        assert_eq!(Failure::runtime(outer).to_string(), "connect to the lease table: send: refused");
        assert_eq!(Failure::usage("plain").to_string(), "plain");
    }

    #[test]
    fn exit_codes_tell_usage_from_runtime() {
        assert_eq!(Failure::usage("x").exit_code(), ExitCode::from(2));
        assert_eq!(Failure::runtime("x").exit_code(), ExitCode::from(1));
    }
}
