//! The sink's probe: the Kinesis stream's state and limits.

use super::{Patience, Problem, Subject};
use crate::config::{Aggregation, Sink, StreamName};
use crate::delivery::sink::{KinesisSink, SinkDescription};
use crate::error::ErrorKind;

/// Asks the stream for its state. One that is being created is fine: puts are retried until it is there.
pub async fn probe(
    sink: &dyn KinesisSink,
    section: &str,
    stream: &StreamName,
    patience: &Patience<'_>,
) -> Result<SinkDescription, Problem> {
    let subject = subject(section, stream);
    match patience.ask(section, || sink.describe()).await {
        Ok(description) if description.status == "DELETING" => Err(subject.problem(
            format!("{} is being deleted", subject.resource),
            "create it again once it is gone, or name another `stream`",
        )),
        Ok(description) => Ok(description),
        Err(error) if error.kind == ErrorKind::NotFound => Err(subject.problem(
            format!("{} does not exist", subject.resource),
            "create it (aws kinesis create-stream), or check `stream`, `region` and the account of the credentials",
        )),
        Err(error) => Err(subject.failed(&error)),
    }
}

/// Whether the stream takes what the configuration makes.
pub fn fits(sink: &Sink, section: &str, target: &SinkDescription) -> Result<(), Problem> {
    match sink.aggregation {
        Aggregation::Kpl { limit_bytes } if limit_bytes > target.max_record_bytes => Err(Problem {
            section: section.to_owned(),
            what: format!(
                "aggregate_limit is {limit_bytes} bytes, but {} takes records of {} KiB at the most",
                subject(section, &sink.stream).resource,
                target.max_record_bytes / 1024
            ),
            remedy: "lower `aggregate_limit`, or raise the stream's MaxRecordSizeInKiB".to_owned(),
        }),
        _ => Ok(()),
    }
}

pub(in crate::aws) fn subject<'a>(section: &'a str, stream: &StreamName) -> Subject<'a> {
    let resource = match stream.arn() {
        Some(arn) => format!("Kinesis stream {arn}"),
        None => format!("Kinesis stream `{}`", stream.name()),
    };
    Subject { section, service: "kinesis", resource }
}
