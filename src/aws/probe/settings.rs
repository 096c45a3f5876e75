//! What the configuration says that AWS' answers contradict. Each is the user's to correct: exit code 2.

use super::{Problem, SourceFacts, pipeline_section};
use crate::config::Pipeline;
use crate::config::readers::{TOO_MANY_READERS, too_many};
use crate::record::contradiction;

/// What a pipeline asks for and its stream does not have.
pub fn contradictions(pipeline: &Pipeline, facts: &SourceFacts) -> Vec<Problem> {
    let selection = &pipeline.record.selection;
    let all = contradiction::contradictions(selection, &facts.view_type, &facts.key_schema);
    let problem = |found: contradiction::Contradiction| Problem {
        section: format!("{}, record.{}", pipeline_section(&pipeline.name), found.key),
        what: found.what,
        remedy: found.remedy,
    };
    all.into_iter().map(problem).collect()
}

/// The pipelines that are one reader too many for their table, of all with the ARN of theirs.
pub fn third_readers<'a>(pipelines: impl IntoIterator<Item = (&'a Pipeline, &'a str)>) -> Vec<Problem> {
    // ARNs are unique in AWS; two emulators may each have a table of one ARN.
    let reader = |(pipeline, table_arn): (&'a Pipeline, &'a str)| {
        (pipeline.name.as_str(), (table_arn, pipeline.source.connection.endpoint_url.as_deref()))
    };
    let readers: Vec<_> = pipelines.into_iter().map(reader).collect();
    let problem = |(at, earlier): (usize, String)| {
        let (name, (table_arn, _)) = readers[at];
        Problem {
            section: super::source_section(name),
            what: format!("the table {table_arn} is read by the pipelines {earlier} already"),
            remedy: TOO_MANY_READERS.to_owned(),
        }
    };
    too_many(&readers, |one, other| one == other).into_iter().map(problem).collect()
}
