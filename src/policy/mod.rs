//! The IAM policy that this configuration takes, and no more: one document for each identity that calls AWS, the process's
//! own and the roles that it assumes. Made from the configuration alone; it asks nobody.

mod arns;
mod calls;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::config::{Config, Connection, Ordering, SourceOf};
use arns::Owner;
use calls::{CALLS, Part};

/// What the configuration leaves open and the caller may know.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub region: Option<String>,
    pub account: Option<String>,
}

/// An IAM policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    version: &'static str,
    statement: Vec<Statement>,
}

/// One resource's actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: BTreeSet<&'static str>,
    resource: BTreeSet<String>,
}

/// What [`policies`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// By the role's ARN; `None`: the identity that the process runs as.
    pub documents: BTreeMap<Option<String>, Document>,
    /// What the documents leave open.
    pub notes: Vec<String>,
}

impl Policies {
    /// The plain policy where there is only one identity, else an object: `process`, and each role's ARN.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let mut text = match (self.documents.get(&None), self.documents.len()) {
            (Some(document), 1) => serde_json::to_string_pretty(document)?,
            _ => {
                let name = |role: &Option<String>| role.clone().unwrap_or_else(|| "process".to_owned());
                let named: BTreeMap<String, &Document> =
                    self.documents.iter().map(|(role, document)| (name(role), document)).collect();
                serde_json::to_string_pretty(&named)?
            }
        };
        text.push('\n');
        Ok(text)
    }
}

/// Statements by identity, in the order of their parts.
type Grants = BTreeMap<Option<String>, BTreeMap<Part, BTreeSet<String>>>;

/// The policies of a configuration.
pub fn policies(config: &Config, known: &Known) -> Policies {
    let mut grants = Grants::new();
    let mut grant = |connection: &Connection, part: Part, resource: String| {
        let parts = grants.entry(connection.role_arn.clone()).or_default();
        parts.entry(part).or_default().insert(resource);
    };
    let table = &config.lease_table;
    let lease_table = Owner::of(&table.connection, known).table(&table.name);
    grant(&table.connection, Part::LeaseTable, lease_table.clone());
    if table.create {
        grant(&table.connection, Part::LeaseTableCreation, lease_table);
    }
    for pipeline in &config.pipelines {
        let source = &pipeline.source;
        let owner = Owner::of(&source.connection, known);
        match &source.of {
            SourceOf::StreamArn(arn) => grant(&source.connection, Part::Stream, arn.clone()),
            SourceOf::Table(text) => {
                let table = if arns::is_arn(text) { text.clone() } else { owner.table(text) };
                grant(&source.connection, Part::Stream, format!("{table}/stream/*"));
                grant(&source.connection, Part::Listing, "*".to_owned());
                grant(&source.connection, Part::Table, table);
            }
        }
        let sink = &pipeline.sink;
        let stream = sink.stream.arn().map(str::to_owned);
        let stream = stream.unwrap_or_else(|| Owner::of(&sink.connection, known).stream(sink.stream.name()));
        let part = match sink.ordering {
            Ordering::Acknowledged => Part::Sink,
            Ordering::Strict => Part::StrictSink,
        };
        grant(&sink.connection, part, stream);
    }
    let notes = notes(&grants);
    let roles: BTreeSet<String> = grants.keys().flatten().cloned().collect();
    let mut documents: BTreeMap<Option<String>, Document> =
        grants.into_iter().map(|(role, parts)| (role, document(parts))).collect();
    if !roles.is_empty() {
        let own = documents.entry(None).or_insert_with(|| document(BTreeMap::new()));
        own.statement.push(statement("AssumeRoles", ["sts:AssumeRole"].into(), roles));
    }
    Policies { documents, notes }
}

fn document(parts: BTreeMap<Part, BTreeSet<String>>) -> Document {
    let mut statements: Vec<Statement> = Vec::new();
    for (part, resources) in parts {
        let of_part = CALLS.iter().filter(|call| call.part == part);
        let actions: BTreeSet<&str> = of_part.flat_map(|call| call.actions.iter().copied()).collect();
        match statements.iter_mut().find(|statement| statement.sid == sid(part)) {
            Some(statement) => statement.action.extend(actions),
            None => statements.push(statement(sid(part), actions, resources)),
        }
    }
    Document { version: "2012-10-17", statement: statements }
}

/// Parts that share one share a statement: they name the same resources.
fn sid(part: Part) -> &'static str {
    match part {
        Part::LeaseTable | Part::LeaseTableCreation => "LeaseTable",
        // IAM takes no resource for dynamodb:ListStreams.
        Part::Listing => "ListStreams",
        Part::Table => "SourceTables",
        Part::Stream => "SourceStreams",
        Part::Sink => "KinesisStreams",
        Part::StrictSink => "StrictKinesisStreams",
    }
}

fn statement(sid: &'static str, action: BTreeSet<&'static str>, resource: BTreeSet<String>) -> Statement {
    Statement { sid, effect: "Allow", action, resource }
}

fn notes(grants: &Grants) -> Vec<String> {
    let resources = || grants.values().flat_map(BTreeMap::values).flatten();
    let mut notes = Vec::new();
    if resources().any(|resource| arns::lacks_region(resource)) {
        notes.push(
            "a Region is not known and stands as *: set `region` in the configuration, or give --region"
                .to_owned(),
        );
    }
    if resources().any(|resource| arns::lacks_account(resource)) {
        notes.push("an account is not known and stands as *: give --account".to_owned());
    }
    if grants.keys().any(Option::is_some) {
        notes.push(
            "each role needs a trust policy that lets the process's identity assume it (with the `external_id` where one \
             is configured)"
                .to_owned(),
        );
    }
    notes.push(
        "customer managed KMS keys, if any, are not in here: an encrypted Kinesis stream takes kms:GenerateDataKey on its \
         key, an encrypted table (the lease table too) what DynamoDB's documentation names for its own, kms:Decrypt at least"
            .to_owned(),
    );
    notes
}

#[cfg(test)]
mod tests;
