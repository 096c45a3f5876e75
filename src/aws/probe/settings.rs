//! What the configuration says that AWS' answers contradict. Each is the user's to correct: exit code 2.

use super::{Problem, SourceFacts, pipeline_section};
use crate::config::Pipeline;
use crate::config::readers::{MAX_READERS, TOO_MANY_READERS};
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
    let mut readers: Vec<(&Pipeline, &str)> = Vec::new();
    let mut problems = Vec::new();
    for (pipeline, table_arn) in pipelines {
        // ARNs are unique in AWS; two emulators may each have a table of one ARN.
        let endpoint = |pipeline: &Pipeline| pipeline.source.connection.endpoint_url.clone();
        let same: Vec<&str> = readers
            .iter()
            .filter(|(other, arn)| *arn == table_arn && endpoint(other) == endpoint(pipeline))
            .map(|(other, _)| other.name.as_str())
            .collect();
        if same.len() >= MAX_READERS {
            problems.push(Problem {
                section: super::source_section(&pipeline.name),
                what: format!(
                    "the table {table_arn} is read by the pipelines {} already",
                    same.join(" and ")
                ),
                remedy: TOO_MANY_READERS.to_owned(),
            });
        }
        readers.push((pipeline, table_arn));
    }
    problems
}
