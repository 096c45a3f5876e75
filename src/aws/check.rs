//! `check`'s questions and its report: everything that `run` needs of AWS, asked once, all parts even after one has
//! failed. It changes nothing. Permissions to write are tried by conditional writes whose condition cannot hold.

use std::fmt;

use serde_dynamo::{AttributeValue, Item};

use super::client::{Aws, CALL_TIMEOUT};
use super::lease_table::DynamoLeaseTable;
use super::probe::{self, LEASE_TABLE_SECTION, LeaseTableState, Patience, Problem, SourceFacts, Subject};
use super::source::DynamoStreams;
use crate::config::{Config, Connection, Ordering, Pipeline, SourceOf};
use crate::delivery::sink::KinesisSink;
use crate::error::{ApiError, ErrorKind};
use crate::lease::table::{Clause, Effect, LeaseTable, RowKey, RowWrite};
use crate::machine::Machine;
use crate::stream::source::{IteratorPosition, ListShards, StreamSource, StreamStatus};

/// What `check` found, line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub lines: Vec<Line>,
    /// Something that was found is the configuration's own to correct.
    pub is_contradicted: bool,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub outcome: Outcome,
    /// Which part of the configuration it concerns.
    pub section: String,
    pub text: String,
}

/// How a question went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// `run` works, though not as well.
    Warn,
    Fail,
    /// Not asked, and the text says why.
    Skip,
}

impl Report {
    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.lines.iter().all(|line| line.outcome != Outcome::Fail)
    }

    fn add(&mut self, outcome: Outcome, section: &str, text: impl Into<String>) {
        self.lines.push(Line { outcome, section: section.to_owned(), text: text.into() });
    }

    fn contradict(&mut self, problems: Vec<Problem>) {
        self.is_contradicted |= !problems.is_empty();
        problems.into_iter().for_each(|problem| self.fail(problem));
    }

    fn fail(&mut self, problem: Problem) {
        let text = format!("{}; {}", problem.what, problem.remedy);
        self.add(Outcome::Fail, &problem.section, text);
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Ok => "ok  ",
            Outcome::Warn => "warn",
            Outcome::Fail => "FAIL",
            Outcome::Skip => "skip",
        };
        write!(f, "{outcome}  {}: {}", self.section, self.text)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Asks everything. An endpoint that does not answer is asked twice.
pub async fn check(config: &Config, machine: &dyn Machine) -> Report {
    let aws = Aws::load(connections(config), None).await;
    let patience = Patience::brief(machine);
    let mut report = Report::default();
    if let Err(problem) = check_lease_table(&aws, config, &patience, &mut report).await {
        report.fail(problem);
    }
    let mut tables = Vec::new();
    for pipeline in &config.pipelines {
        match check_source(&aws, pipeline, &patience, &mut report).await {
            Ok(facts) => tables.push((pipeline, facts.stream.table_arn)),
            Err(problem) => report.fail(problem),
        }
        if let Err(problem) = check_sink(&aws, pipeline, &patience, &mut report).await {
            report.fail(problem);
        }
    }
    report.contradict(probe::third_readers(tables.iter().map(|(pipeline, arn)| (*pipeline, arn.as_str()))));
    report
}

/// Every connection of a configuration, for [`Aws::load`].
pub fn connections(config: &Config) -> impl Iterator<Item = &Connection> {
    let pipelines = config.pipelines.iter();
    let theirs = pipelines.flat_map(|pipeline| [&pipeline.source.connection, &pipeline.sink.connection]);
    std::iter::once(&config.lease_table.connection).chain(theirs)
}

async fn check_lease_table(
    aws: &Aws,
    config: &Config,
    patience: &Patience<'_>,
    report: &mut Report,
) -> Result<(), Problem> {
    let (section, table) = (LEASE_TABLE_SECTION, &config.lease_table);
    let client = aws.dynamodb(section, &table.connection)?;
    match probe::lease_table::probe(&client, table, patience).await? {
        LeaseTableState::Missing => {
            report.add(
                Outcome::Ok,
                section,
                format!("table `{}` does not exist yet; `run` will create it", table.name),
            );
            report.add(
                Outcome::Skip,
                section,
                "permissions: there is no table to try them on; dynamodb:CreateTable cannot be tried without creating one",
            );
        }
        LeaseTableState::Creating => {
            report.add(Outcome::Ok, section, format!("table `{}` is being created", table.name));
            report.add(Outcome::Skip, section, "permissions: there is no table to try them on yet");
        }
        LeaseTableState::Ready => {
            report.add(Outcome::Ok, section, format!("table `{}` is there, with our key schema", table.name));
            let resource = format!("table `{}`", table.name);
            let subject = Subject { section, service: "dynamodb", resource };
            try_lease_table(&DynamoLeaseTable::new(client, &table.name), &subject, patience, report).await;
        }
    }
    Ok(())
}

/// Tries each call that leases need. The writes ask for a row that both exists and does not, so none takes place.
async fn try_lease_table(
    table: &DynamoLeaseTable,
    subject: &Subject<'_>,
    patience: &Patience<'_>,
    report: &mut Report,
) {
    let key = RowKey { pk: "check".to_owned(), sk: "check".to_owned() };
    let never = |effect: Effect| RowWrite {
        key: key.clone(),
        effect,
        conditions: vec![Clause::RowPresent, Clause::RowAbsent],
    };
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let item = Item::from(std::collections::HashMap::from([
        ("pk".to_owned(), text(&key.pk)),
        ("sk".to_owned(), text(&key.sk)),
    ]));
    let put = never(Effect::Put(item));
    let update = never(Effect::Update { set: vec![("checked", text("never"))], remove: Vec::new() });
    let delete = never(Effect::Delete);
    let transaction = [never(Effect::Check)];

    let section = subject.section;
    let results = [
        ("Query", patience.ask(section, || table.query(&key.pk, "check", None)).await.map(drop)),
        ("GetItem", patience.ask(section, || table.get(&key)).await.map(drop)),
        ("PutItem", patience.ask(section, || table.write(&put)).await.map(drop)),
        ("UpdateItem", patience.ask(section, || table.write(&update)).await.map(drop)),
        ("DeleteItem", patience.ask(section, || table.write(&delete)).await.map(drop)),
        ("ConditionCheckItem", patience.ask(section, || table.transact(&transaction)).await),
    ];
    let mut allowed = Vec::new();
    for (action, result) in results {
        match result {
            Ok(()) => allowed.push(action),
            Err(error) if error.kind == ErrorKind::ConditionFailed => allowed.push(action),
            // The action's name differs from the API's for the transaction.
            Err(error) if action == "ConditionCheckItem" => {
                report.fail(subject.failed(&ApiError { api: "ConditionCheckItem", ..error }));
            }
            Err(error) => report.fail(subject.failed(&error)),
        }
    }
    if !allowed.is_empty() {
        report.add(Outcome::Ok, section, format!("allowed: dynamodb:{}", allowed.join(", dynamodb:")));
    }
}

async fn check_source(
    aws: &Aws,
    pipeline: &Pipeline,
    patience: &Patience<'_>,
    report: &mut Report,
) -> Result<SourceFacts, Problem> {
    let section = &probe::source_section(&pipeline.name);
    let source = aws.source(section, &pipeline.source.connection)?;
    let facts = probe::source::probe(&source, section, &pipeline.source.of, patience).await?;
    let subject = Subject { section, service: "dynamodb", resource: format!("stream {}", facts.stream.arn) };
    match facts.status {
        StreamStatus::Disabled | StreamStatus::Disabling => report.fail(subject.problem(
            format!(
                "{} is disabled: what it still holds would be delivered, new changes would not",
                subject.resource
            ),
            "enable the table's stream again",
        )),
        StreamStatus::Enabled | StreamStatus::Enabling => {
            report.add(
                Outcome::Ok,
                section,
                format!("{} is enabled, view type {}", subject.resource, facts.view_type),
            );
        }
    }
    report.contradict(probe::contradictions(pipeline, &facts));
    match patience.ask(section, || read_once(&source, &facts)).await {
        Ok(true) => {
            let listing = match pipeline.source.of {
                SourceOf::Table(_) => "dynamodb:ListStreams, ",
                SourceOf::StreamArn(_) => "",
            };
            let reading = "dynamodb:DescribeStream, dynamodb:GetShardIterator, dynamodb:GetRecords";
            report.add(Outcome::Ok, section, format!("allowed: {listing}{reading}"));
        }
        Ok(false) => report.add(Outcome::Skip, section, "reading: the stream lists no shard to read yet"),
        Err(error) => report.fail(subject.failed(&error)),
    }
    Ok(facts)
}

/// Reads the newest place of one shard; false when there is none.
async fn read_once(source: &DynamoStreams, facts: &SourceFacts) -> Result<bool, ApiError> {
    let page = source.describe_stream(&facts.stream, &ListShards::All { after: None }).await?;
    // The last listed is the least likely to be trimmed just now.
    let Some(shard) = page.shards.last() else { return Ok(false) };
    let iterator = source.get_shard_iterator(&facts.stream, &shard.id, &IteratorPosition::Latest).await?;
    source.get_records(&iterator.token).await?;
    Ok(true)
}

async fn check_sink(
    aws: &Aws,
    pipeline: &Pipeline,
    patience: &Patience<'_>,
    report: &mut Report,
) -> Result<(), Problem> {
    let section = &probe::sink_section(&pipeline.name);
    let stream = &pipeline.sink.stream;
    let sink = aws.sink(section, &pipeline.sink.connection, stream)?;
    let facts = probe::sink::probe(&sink, section, stream, patience).await?;
    let limit_kib = facts.max_record_bytes / 1024;
    report.add(
        Outcome::Ok,
        section,
        format!("Kinesis stream {} is {}, records up to {limit_kib} KiB", facts.arn, facts.status),
    );
    report.contradict(probe::sink::fits(&pipeline.sink, section, &facts).err().into_iter().collect());
    match patience.ask(section, || sink.list_shards(CALL_TIMEOUT)).await {
        Ok(_) => {
            report.add(Outcome::Ok, section, "allowed: kinesis:DescribeStreamSummary, kinesis:ListShards");
        }
        Err(error) => {
            let Problem { what, remedy, .. } = probe::sink::subject(section, stream).failed(&error);
            let effect = "without it `run` does not know which shard of the stream is full";
            report.add(Outcome::Warn, section, format!("{what}; {remedy}; {effect}"));
        }
    }
    let ordering = pipeline.sink.ordering;
    let action = match ordering {
        Ordering::Acknowledged => "kinesis:PutRecords",
        Ordering::Strict => "kinesis:PutRecord",
    };
    match patience.ask(section, || sink.dry_run(ordering)).await {
        Ok(true) => report.add(Outcome::Ok, section, format!("allowed: {action}")),
        Ok(false) => report.add(
            Outcome::Skip,
            section,
            format!(
                "{action}: not tried, since an endpoint that is not AWS' could take a dry run for a real one"
            ),
        ),
        Err(error) => report.fail(probe::sink::subject(section, stream).failed(&error)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_prints_a_line_a_finding_and_fails_with_any() {
        let mut report = Report::default();
        report.add(Outcome::Ok, "[lease_table]", "there");
        report.add(Outcome::Skip, "pipeline `a`, sink", "not tried");
        assert!(report.passed());
        report.fail(Problem {
            section: "pipeline `a`, source".to_owned(),
            what: "stream not enabled".to_owned(),
            remedy: "enable it".to_owned(),
        });
        assert!(!report.passed());
        assert_eq!(
            report.to_string(),
            "ok    [lease_table]: there\nskip  pipeline `a`, sink: not tried\n\
             FAIL  pipeline `a`, source: stream not enabled; enable it\n"
        );
    }
}
