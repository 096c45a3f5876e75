//! The demo's error: what was being done, and why it failed. One sentence for a person at a terminal.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Something that the demo (or a test's harness) could not do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {doing}: {why}")]
pub struct DemoError {
    doing: String,
    why: String,
}

impl DemoError {
    /// `doing` is a verb and its object: "create the table orders".
    pub fn new(doing: impl Into<String>, why: impl std::fmt::Display) -> Self {
        DemoError { doing: doing.into(), why: why.to_string() }
    }

    /// From an SDK call: the service's code and message where it answered, else the whole chain of causes.
    pub fn sdk<E, R>(doing: impl Into<String>, error: &SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        let why = match error.as_service_error() {
            Some(answer) => format!(
                "{}: {}",
                answer.code().unwrap_or("error without a code"),
                answer.message().unwrap_or("no message")
            ),
            None => chain(error),
        };
        DemoError::new(doing, why)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
