//! How many pipelines read one table. DynamoDB Streams serves two readers a shard, and each pipeline is one.

use super::section::Section;
use super::settings::{Pipeline, Source, SourceOf};

/// Readers that a stream's shard can have.
pub const MAX_READERS: usize = 2;

/// What to do with a third reader.
pub const TOO_MANY_READERS: &str = "DynamoDB Streams serves two readers a shard (one where the table is a global table); \
                                    let two of the pipelines share a Kinesis stream, or fan out from Kinesis";

/// Rejects each pipeline that is one too many for its table, as far as the configuration tells which table it is; the start
/// asks DynamoDB for the rest.
pub(super) fn reject_third(sections: &[Section<'_>], pipelines: &[Pipeline]) {
    for (at, (section, pipeline)) in sections.iter().zip(pipelines).enumerate() {
        let source = &pipeline.source;
        if source.of.table_name().is_empty() {
            continue;
        }
        let earlier: Vec<&str> = pipelines[..at]
            .iter()
            .filter(|other| is_same_table(&other.source, source))
            .map(|other| other.name.as_str())
            .collect();
        if earlier.len() >= MAX_READERS {
            let key = if matches!(source.of, SourceOf::Table(_)) { "table" } else { "stream_arn" };
            section.section("source").reject(
                key,
                format!(
                    "the table {:?} is read by the pipelines {} already; {TOO_MANY_READERS}",
                    source.of.table_name(),
                    earlier.join(" and ")
                ),
            );
        }
    }
}

/// Whether two sources read one table for sure: the same name, Region and endpoint, and the same account, by number or by
/// role. An ARN beside a plain name may mean the same table or not.
fn is_same_table(one: &Source, other: &Source) -> bool {
    let account = |source: &Source| source.of.account().map(str::to_owned);
    one.of.table_name() == other.of.table_name()
        && one.connection.region == other.connection.region
        && one.connection.endpoint_url == other.connection.endpoint_url
        && account(one) == account(other)
        && (account(one).is_some() || one.connection.role_arn == other.connection.role_arn)
}
