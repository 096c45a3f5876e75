//! How many pipelines read one table. DynamoDB Streams serves two readers a shard, and each pipeline is one.

use super::section::Section;
use super::settings::{Pipeline, Source, SourceOf};

/// Readers that a stream's shard can have.
const MAX_READERS: usize = 2;

/// What to do with a third reader.
pub const TOO_MANY_READERS: &str = "DynamoDB Streams serves two readers a shard (one where the table is a global table); \
                                    let two of the pipelines share a Kinesis stream, or fan out from Kinesis";

/// The readers that are one too many for their table: the index of each, and who reads the table before it. They are told
/// by a pipeline's name and by what tells its table.
pub fn too_many<T>(readers: &[(&str, T)], is_same_table: impl Fn(&T, &T) -> bool) -> Vec<(usize, String)> {
    let one = |(at, (_, table)): (usize, &(&str, T))| {
        let earlier = readers[..at].iter().filter(|(_, other)| is_same_table(other, table));
        let names: Vec<&str> = earlier.map(|(name, _)| *name).collect();
        (names.len() >= MAX_READERS).then(|| (at, names.join(" and ")))
    };
    readers.iter().enumerate().filter_map(one).collect()
}

/// Rejects each pipeline that is one too many for its table, as far as the configuration tells which table it is; the start
/// asks DynamoDB for the rest.
pub(super) fn reject_third(sections: &[Section<'_>], pipelines: &[Pipeline]) {
    let sources = pipelines.iter().map(|pipeline| (pipeline.name.as_str(), &pipeline.source));
    let sources: Vec<(&str, &Source)> = sources.collect();
    for (at, earlier) in too_many(&sources, |one, other| is_same_table(one, other)) {
        let of = &pipelines[at].source.of;
        let key = if matches!(of, SourceOf::Table(_)) { "table" } else { "stream_arn" };
        let table = of.table_name();
        let message =
            format!("the table {table:?} is read by the pipelines {earlier} already; {TOO_MANY_READERS}");
        sections[at].section("source").reject(key, message);
    }
}

/// Whether two sources read one table for sure: the same name, Region and endpoint, and the same account, by number or by
/// role. An ARN beside a plain name may mean the same table or not.
fn is_same_table(one: &Source, other: &Source) -> bool {
    !one.of.table_name().is_empty()
        && one.of.table_name() == other.of.table_name()
        && one.connection.region == other.connection.region
        && one.connection.endpoint_url == other.connection.endpoint_url
        && one.of.account() == other.of.account()
        && (one.of.account().is_some() || one.connection.role_arn == other.connection.role_arn)
}
