//! The source's probe: the table's newest stream, or the one stream configured.

use aws_sdk_dynamodb::types::TableDescription;

use super::{Patience, Problem, Subject};
use crate::aws::error::{from_sdk, unusable};
use crate::aws::source::{DynamoStreams, status};
use crate::config::SourceOf;
use crate::error::{ApiError, ErrorKind};
use crate::record::key::KeySchema;
use crate::stream::arn::StreamArn;
use crate::stream::source::{ListShards, StreamSource, StreamStatus};

/// What a source's stream says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    /// The newest stream of the table, or the configured one.
    pub stream: StreamArn,
    /// A disabled stream is still read to its end.
    pub status: StreamStatus,
    /// `KEYS_ONLY`, `NEW_IMAGE`, `OLD_IMAGE`, `NEW_AND_OLD_IMAGES`, or a word that this version does not know.
    pub view_type: String,
    pub key_schema: KeySchema,
}

/// Finds the stream and asks it for its state. `section` is how errors name this source.
pub async fn probe(
    source: &DynamoStreams,
    section: &str,
    of: &SourceOf,
    patience: &Patience<'_>,
) -> Result<SourceFacts, Problem> {
    match of {
        SourceOf::StreamArn(arn) => {
            let subject = Subject { section, service: "dynamodb", resource: format!("stream {arn}") };
            let stream = StreamArn::parse(arn)
                .map_err(|error| subject.problem(error.to_string(), "correct `stream_arn`"))?;
            describe_stream(source, &subject, stream, patience).await
        }
        SourceOf::Table(_) => {
            let table = of.table_name();
            let region = source.tables().config().region().map_or("?", |region| region.as_ref());
            let subject =
                Subject { section, service: "dynamodb", resource: format!("table `{table}` in {region}") };
            let listed = patience.ask(section, || newest_stream(source, table)).await;
            let stream = match listed {
                Ok(Some(stream)) => stream,
                Err(error) if error.kind != ErrorKind::NotFound => return Err(subject.failed(&error)),
                Ok(None) | Err(_) => enabled_stream(source, &subject, table, patience).await?,
            };
            describe_stream(source, &subject, stream, patience).await
        }
    }
}

/// The last of the table's streams in label order; labels are the times of enabling.
async fn newest_stream(source: &DynamoStreams, table: &str) -> Result<Option<StreamArn>, ApiError> {
    let mut newest: Option<StreamArn> = None;
    let mut after: Option<String> = None;
    loop {
        let page = source.list_streams(table, after.as_deref()).await?;
        for stream in page.streams {
            // An emulator may list other tables' streams too.
            let is_newer = newest.as_ref().is_none_or(|newest| stream.label > newest.label);
            if stream.table_name == table && is_newer {
                newest = Some(stream);
            }
        }
        match page.last_evaluated {
            Some(last) if after.as_ref() != Some(&last) => after = Some(last),
            _ => return Ok(newest),
        }
    }
}

/// No stream is listed: the table tells why, or names a stream that has only just been enabled.
async fn enabled_stream(
    source: &DynamoStreams,
    subject: &Subject<'_>,
    table: &str,
    patience: &Patience<'_>,
) -> Result<StreamArn, Problem> {
    const API: &str = "DescribeTable";
    let asked = patience.ask(subject.section, || async {
        let answer = source.tables().describe_table().table_name(table).send().await;
        answer.map_err(|error| from_sdk(API, &error))?.table.ok_or_else(|| unusable(API, "no Table"))
    });
    let description = match asked.await {
        Ok(description) => description,
        Err(error) if error.kind == ErrorKind::NotFound => {
            return Err(subject.problem(
                format!("{} does not exist", subject.resource),
                "check `table`, `region` and the account of the credentials",
            ));
        }
        Err(error) if error.kind == ErrorKind::Denied => {
            return Err(subject.problem(
                format!(
                    "no stream found: either {} does not exist or its stream is not enabled (which of them, \
                     dynamodb:DescribeTable would tell, but access is denied)",
                    subject.resource
                ),
                format!("check the name, or {ENABLE}"),
            ));
        }
        Err(error) => return Err(subject.failed(&error)),
    };
    latest_stream(&description).ok_or_else(|| not_enabled(subject))
}

/// The stream that a table says is enabled.
fn latest_stream(table: &TableDescription) -> Option<StreamArn> {
    let enabled = table.stream_specification().is_some_and(|stream| stream.stream_enabled());
    table.latest_stream_arn().filter(|_| enabled).and_then(|arn| StreamArn::parse(arn).ok())
}

const ENABLE: &str = "enable the stream: aws dynamodb update-table --table-name TABLE --stream-specification \
                      StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES";

fn not_enabled(subject: &Subject<'_>) -> Problem {
    subject.problem(format!("the stream of {} is not enabled", subject.resource), ENABLE)
}

async fn describe_stream(
    source: &DynamoStreams,
    subject: &Subject<'_>,
    stream: StreamArn,
    patience: &Patience<'_>,
) -> Result<SourceFacts, Problem> {
    let all = ListShards::All { after: None };
    match patience.ask(subject.section, || source.describe(&stream, &all)).await {
        Ok((description, key_schema, _)) => Ok(SourceFacts {
            stream,
            status: status(description.stream_status()),
            view_type: description.stream_view_type().map_or("unknown", |view| view.as_str()).to_owned(),
            key_schema,
        }),
        Err(error) if error.kind == ErrorKind::NotFound => Err(subject.problem(
            format!("stream {} does not exist", stream.arn),
            format!("a stream is gone 24 hours after it is disabled; {ENABLE}"),
        )),
        Err(error) => Err(subject.failed(&error)),
    }
}
