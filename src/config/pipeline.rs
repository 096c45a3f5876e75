//! Stage two, `[[pipeline]]`: source, sink and record, with their defaults and limits.

use std::collections::HashMap;
use std::time::Duration;

use super::arn::{self, StreamName};
use super::connection;
use super::names;
use super::readers;
use super::record::record;
use super::section::Section;
use super::settings::{Aggregation, OnGap, Ordering, Pipeline, Sink, Source, SourceOf, Start};
use super::values::Limits;
use crate::record::envelope::Oversize;

/// All pipelines of the configuration.
pub(super) fn all(root: &Section<'_>) -> Vec<Pipeline> {
    let sections = root.sections("pipeline");
    let pipelines: Vec<Pipeline> = sections.iter().map(pipeline).collect();
    reject_repeated_names(&sections, &pipelines);
    readers::reject_third(&sections, &pipelines);
    pipelines
}

fn reject_repeated_names(sections: &[Section<'_>], pipelines: &[Pipeline]) {
    let mut first_lines = HashMap::new();
    for (section, pipeline) in sections.iter().zip(pipelines) {
        if pipeline.name.is_empty() {
            continue;
        }
        let line = section.line("name");
        if let Some(first) = first_lines.insert(pipeline.name.as_str(), line) {
            let first = first.map(|line| format!(" on line {line}")).unwrap_or_default();
            section.reject(
                "name",
                format!(
                    "{:?} already names the pipeline{first}; give each pipeline its own name",
                    pipeline.name
                ),
            );
        }
    }
}

fn pipeline(section: &Section<'_>) -> Pipeline {
    let name = section.parsed("name", "a name in quotes", names::identifier);
    if !section.has("name") {
        section.reject("name", r#"is missing; give the pipeline a name, such as name = "orders""#);
    }
    let pipeline = Pipeline {
        name: name.unwrap_or_default(),
        source: source(&section.section("source")),
        sink: sink(&section.section("sink")),
        record: record(&section.section("record")),
    };
    section.reject_unknown_keys();
    pipeline
}

fn source(section: &Section<'_>) -> Source {
    let of = source_of(section);
    let before = section.problems();
    let start = [("trim_horizon", Start::TrimHorizon), ("latest", Start::Latest)];
    let on_gap = [("continue", OnGap::Continue), ("halt", OnGap::Halt)];
    let intervals = Limits::new(Duration::from_millis(200), Duration::from_secs(60))
        .because("5 reads a second a shard is what DynamoDB Streams safely serves");
    let mut source = Source {
        start: section.choice("start", Start::TrimHorizon, &start),
        on_gap: section.choice("on_gap", OnGap::Continue, &on_gap),
        poll_interval_min: section.duration("poll_interval_min", Duration::from_millis(200), intervals),
        poll_interval_max: section.duration("poll_interval_max", Duration::from_secs(1), intervals),
        connection: connection::read(section),
        of,
    };
    connection::settle_region(section, of_key(&source.of), source.of.region(), &mut source.connection);
    if section.problems() == before && source.poll_interval_min > source.poll_interval_max {
        let (min, max) = (source.poll_interval_min, source.poll_interval_max);
        section.reject(
            if section.has("poll_interval_min") { "poll_interval_min" } else { "poll_interval_max" },
            format!(
                "poll_interval_min ({}) is above poll_interval_max ({}); lower the one or raise the other",
                humantime::format_duration(min),
                humantime::format_duration(max)
            ),
        );
    }
    section.reject_unknown_keys();
    source
}

fn of_key(of: &SourceOf) -> &'static str {
    match of {
        SourceOf::Table(_) => "table",
        SourceOf::StreamArn(_) => "stream_arn",
    }
}

/// Exactly one of `table` and `stream_arn`.
fn source_of(section: &Section<'_>) -> SourceOf {
    let table = section.parsed("table", "a table's name or ARN in quotes", arn::table_or_arn);
    let stream = section.parsed("stream_arn", "a stream's ARN in quotes", arn::stream_arn);
    match (section.has("table"), section.has("stream_arn")) {
        (true, true) => section.reject(
            "stream_arn",
            "`table` and `stream_arn` exclude each other; keep `table` to follow the table's streams, or \
             `stream_arn` for this one stream",
        ),
        (false, false) => section.reject(
            "table",
            r#"is missing; name the table to read, such as table = "orders", or one stream by stream_arn"#,
        ),
        _ => {}
    }
    match stream {
        Some(arn) => SourceOf::StreamArn(arn),
        None => SourceOf::Table(table.unwrap_or_default()),
    }
}

fn sink(section: &Section<'_>) -> Sink {
    let stream = section.parsed("stream", "a Kinesis stream's name or ARN in quotes", StreamName::parse);
    if !section.has("stream") {
        section.reject("stream", r#"is missing; name the Kinesis stream, such as stream = "orders-cdc""#);
    }
    let oversize = [("drop_images", Oversize::DropImages), ("halt", Oversize::Halt)];
    let linger = Limits::new(Duration::ZERO, Duration::from_secs(1));
    let mut sink = Sink {
        stream: stream.unwrap_or_else(|| StreamName::Name(String::new())),
        max_in_flight: section.integer("max_in_flight", 8, Limits::new(1, 256)),
        linger: section.duration("linger", Duration::from_millis(10), linger),
        ordering: ordering(section),
        aggregation: aggregation(section),
        oversize: section.choice("oversize", Oversize::DropImages, &oversize),
        connection: connection::read(section),
    };
    connection::settle_region(section, "stream", sink.stream.region(), &mut sink.connection);
    section.reject_unknown_keys();
    sink
}

fn ordering(section: &Section<'_>) -> Ordering {
    let choices = [("acknowledged", Ordering::Acknowledged), ("strict", Ordering::Strict)];
    section.choice("ordering", Ordering::Acknowledged, &choices)
}

fn aggregation(section: &Section<'_>) -> Aggregation {
    const DEFAULT_BYTES: u64 = 50_000;
    // Kinesis takes no larger record from anybody.
    let limits = Limits::new(1_000, 10 << 20);
    let before = section.problems();
    let is_kpl = section.choice("aggregation", false, &[("none", false), ("kpl", true)]);
    let limit_bytes = section.size_bytes("aggregate_limit", DEFAULT_BYTES, limits);
    match is_kpl {
        true => Aggregation::Kpl { limit_bytes: usize::try_from(limit_bytes).unwrap_or(usize::MAX) },
        false => {
            if section.has("aggregate_limit") && section.problems() == before {
                section.reject(
                    "aggregate_limit",
                    r#"nothing is aggregated with aggregation = "none"; write aggregation = "kpl", or remove `aggregate_limit`"#,
                );
            }
            Aggregation::None
        }
    }
}
