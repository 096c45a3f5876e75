//! An API error: what a call to AWS (or a simulated port) came back with, classified once. Everything that decides what
//! to do next looks at [`ErrorKind`], never at codes or texts.

use std::fmt;

/// Why a call failed, as far as it changes what we do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The service asked us to slow down. Retried with backoff.
    Throttled,
    /// 5xx, a timeout, a lost connection, an unreadable answer. The effect may have taken place. Retried with backoff.
    Transient,
    /// No credentials, or expired ones. Fatal at start, retried while running: they may be renewed.
    Credentials,
    /// The identity lacks a permission. Fatal at start, retried while running.
    Denied,
    /// The table, stream or shard does not exist (or is not visible yet).
    NotFound,
    /// A conditional write found another state than it expected. Nothing was written.
    ConditionFailed,
    /// The shard iterator is older than 15 minutes.
    ExpiredIterator,
    /// The position asked for is older than the stream's retention.
    Trimmed,
    /// The request itself is wrong; sending it again cannot help.
    Invalid,
}

impl ErrorKind {
    /// Whether the same call may succeed later with nothing changed on our side.
    pub fn is_passing(self) -> bool {
        matches!(self, ErrorKind::Throttled | ErrorKind::Transient)
    }
}

/// A failed call: the API's name, the kind, the service's code and its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The operation's name, as AWS spells it (`GetRecords`).
    pub api: &'static str,
    pub kind: ErrorKind,
    /// The service's error code, or a short word of our own (`Timeout`).
    pub code: String,
    pub message: String,
}

impl ApiError {
    pub fn new(
        api: &'static str,
        kind: ErrorKind,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        ApiError { api, kind, code: code.into(), message: message.into() }
    }

    /// A call that gave no answer within its time.
    pub fn timeout(api: &'static str, after: std::time::Duration) -> Self {
        let after = std::time::Duration::from_millis(after.as_millis() as u64);
        Self::new(api, ErrorKind::Transient, "Timeout", format!("no answer within {after:?}"))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.api, self.code)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}
