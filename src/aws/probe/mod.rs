//! The probes: what `run` asks AWS before anything starts, and what `check` reports. Is the table's stream there and
//! enabled, the Kinesis stream there to stay, the lease table there with our schema? They read; only
//! [`lease_table::prepare`] writes, and only a missing lease table. Each answer is typed, each failure a [`Problem`]
//! that says what stands in the way and what to do about it.

pub mod lease_table;
mod patience;
mod settings;
pub mod sink;
pub mod source;

use std::fmt;

pub use lease_table::LeaseTableState;
pub use patience::Patience;
pub use settings::{contradictions, third_readers};
pub use source::SourceFacts;

use super::client::NoRegion;
use super::role::CREDENTIALS_DENIED;
use crate::error::{ApiError, ErrorKind};

/// What stands in the way of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which part of the configuration it concerns.
    pub section: String,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.section, self.what, self.remedy)
    }
}

impl std::error::Error for Problem {}

impl From<NoRegion> for Problem {
    fn from(missing: NoRegion) -> Self {
        Problem {
            section: missing.section,
            what: NoRegion::WHAT.to_owned(),
            remedy: NoRegion::REMEDY.to_owned(),
        }
    }
}

/// How errors name the lease table's part of the configuration.
pub const LEASE_TABLE_SECTION: &str = "[lease_table]";

/// How errors name a pipeline's source.
pub fn source_section(pipeline: &str) -> String {
    format!("pipeline `{pipeline}`, source")
}

/// How errors name a pipeline as a whole.
pub fn pipeline_section(pipeline: &str) -> String {
    format!("pipeline `{pipeline}`")
}

/// How errors name a pipeline's sink.
pub fn sink_section(pipeline: &str) -> String {
    format!("pipeline `{pipeline}`, sink")
}

/// What a call was about, for the words of its failure.
#[derive(Debug, Clone)]
pub(super) struct Subject<'a> {
    pub(super) section: &'a str,
    /// The prefix of its IAM actions: `dynamodb` or `kinesis`.
    pub(super) service: &'static str,
    /// Such as ``table `orders` in eu-west-1``.
    pub(super) resource: String,
}

impl Subject<'_> {
    pub(super) fn problem(&self, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem { section: self.section.to_owned(), what: what.into(), remedy: remedy.into() }
    }

    /// A failed call in an operator's words, whatever its kind.
    pub(super) fn failed(&self, error: &ApiError) -> Problem {
        let Subject { service, resource, .. } = self;
        match error.kind {
            ErrorKind::Denied if error.code == CREDENTIALS_DENIED => self.problem(
                format!("access denied: {}", error.message),
                "allow sts:AssumeRole on it to this identity, here and in the role's trust policy, and check `external_id`",
            ),
            ErrorKind::Denied if error.code.starts_with("KMS") => self.problem(
                format!("the encryption key of {resource} cannot be used: {error}"),
                "check that the KMS key is enabled and that this identity may use it",
            ),
            ErrorKind::Denied => self.problem(
                format!("access denied: {service}:{} on {resource} ({})", error.api, error.message),
                "allow that action on that resource in this identity's IAM policy",
            ),
            ErrorKind::Credentials => self.problem(
                format!("{error}"),
                "credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), IAM Identity \
                 Center, a web identity, an ECS task role or an EC2 instance profile; check that they are there, not \
                 expired, and that the host's clock is right",
            ),
            ErrorKind::Transient | ErrorKind::Throttled => self.problem(
                format!("no usable answer about {resource}: {error}"),
                "check `endpoint_url`, the Region and the network",
            ),
            ErrorKind::NotFound => {
                self.problem(format!("{resource} was not found: {error}"), "check its name, Region and account")
            }
            _ => self.problem(format!("{resource}: {error}"), "check its name, Region and `endpoint_url`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: ErrorKind, code: &str) -> String {
        let subject =
            Subject { section: "[lease_table]", service: "dynamodb", resource: "table `leases`".to_owned() };
        subject.failed(&ApiError::new("DescribeTable", kind, code, "why")).to_string()
    }

    #[test]
    fn denied_names_action_and_resource() {
        let text = failed(ErrorKind::Denied, "AccessDeniedException");
        assert!(
            text.starts_with("[lease_table]: access denied: dynamodb:DescribeTable on table `leases`"),
            "{text}"
        );
        let text = failed(ErrorKind::Denied, CREDENTIALS_DENIED);
        assert!(text.contains("sts:AssumeRole") && !text.contains("dynamodb:DescribeTable"), "{text}");
    }

    #[test]
    fn missing_credentials_say_where_they_come_from() {
        let text = failed(ErrorKind::Credentials, "NoCredentials");
        assert!(text.contains("AWS_ACCESS_KEY_ID") && text.contains("AWS_PROFILE"), "{text}");
    }
}
