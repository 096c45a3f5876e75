//! `policy` against what the built binary really asks for: each request is allowed on its resource, and nothing is allowed
//! that no command asks for.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, write};
use crate::process::{Process, output_of};
use crate::rewind::stored_as_carried;
use crate::support::answer::Service;
use crate::support::log::Request;

/// What a statement allows.
struct Allowed {
    actions: Vec<String>,
    resources: Vec<String>,
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

async fn allowed(config: &str, account: &str) -> Vec<Allowed> {
    let (code, stdout, stderr) = output_of(config, &["policy", "--account", account]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let policy: Value = serde_json::from_str(&stdout).expect("a policy");
    let statements = policy["Statement"].as_array().expect("statements").iter();
    statements
        .map(|one| Allowed { actions: strings(&one["Action"]), resources: strings(&one["Resource"]) })
        .collect()
}

/// As IAM does, for a star at the end.
fn matches(pattern: &str, resource: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => resource.starts_with(prefix),
        None => pattern == resource,
    }
}

/// The actions that a request takes, each with its resource.
fn taken(request: &Request, stage: &Stage) -> Vec<(String, String)> {
    let table_prefix = stage.stream.split("table/").next().expect("a prefix");
    let of_table =
        |input: &Value| format!("{table_prefix}table/{}", input["TableName"].as_str().unwrap_or_default());
    let input = &request.input;
    let action = |service: &str| format!("{service}:{}", request.operation);
    match (request.service, request.operation.as_str()) {
        (Service::DynamoDb, "TransactWriteItems") => {
            let members = input["TransactItems"].as_array().expect("members").iter();
            let kinds = members.flat_map(|member| member.as_object().expect("a member"));
            let named = kinds.map(|(kind, write)| {
                let action = if kind == "ConditionCheck" {
                    "ConditionCheckItem".to_owned()
                } else {
                    format!("{kind}Item")
                };
                (format!("dynamodb:{action}"), of_table(write))
            });
            named.collect()
        }
        (Service::DynamoDb, _) => vec![(action("dynamodb"), of_table(input))],
        (Service::Streams, "ListStreams") => vec![(action("dynamodb"), String::new())],
        // An iterator is of this stream: there is no other.
        (Service::Streams, "GetRecords") => vec![(action("dynamodb"), stage.stream.clone())],
        (Service::Streams, _) => {
            vec![(action("dynamodb"), input["StreamArn"].as_str().unwrap_or_default().to_owned())]
        }
        (Service::Sts, _) => unreachable!("no role is configured"),
        (Service::Kinesis, _) => {
            assert_eq!(input["StreamName"], SINK, "{request:?}");
            vec![(action("kinesis"), stage.fake.world().kinesis_stream(SINK).arn.clone())]
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_commands_ask_for_is_what_the_policy_allows() {
    for sink in ["", "ordering = \"strict\""] {
        asked_is_allowed(sink).await;
    }
}

/// With these lines in the sink's section.
async fn asked_is_allowed(sink: &str) {
    let stage = Stage::with_shards(2);
    let config = stage.text("", OF_TABLE, sink);
    assert_eq!(output_of(&config, &["check"]).await.0, Some(0), "before there is a lease table");
    let process = Process::run(&config);
    stage.write(20, 11);
    {
        let mut world = stage.fake.world();
        let parent = world.stream(&stage.stream).open_shards().remove(0);
        world.rotate(&stage.stream, &parent);
        write(&mut world, 20, 11);
    }
    stored_as_carried(&stage).await;
    for command in [&["check"][..], &["status"], &["rewind", "--to", "trim_horizon", "--yes"]] {
        let (code, _, stderr) = output_of(&config, command).await;
        assert_eq!(code, Some(0), "{command:?}: {stderr}");
    }
    process.signal("TERM");
    assert_eq!(process.end().await.0, Some(0));
    stage.fake.world().remove_stream(&stage.stream);
    assert_eq!(output_of(&config, &["check"]).await.0, Some(1), "there is no stream");

    let account = stage.stream.split(':').nth(4).expect("an account");
    let allowed = allowed(&config, account).await;
    let requests = stage.fake.world().log.all().to_vec();
    let mut asked = BTreeSet::new();
    for request in &requests {
        for (action, resource) in taken(request, &stage) {
            let is_allowed = allowed.iter().any(|one| {
                one.actions.contains(&action)
                    && one.resources.iter().any(|pattern| matches(pattern, &resource))
            });
            assert!(is_allowed, "{action} on {resource:?} is not allowed: {request:?}");
            asked.insert(action);
        }
    }
    let granted: BTreeSet<String> = allowed.into_iter().flat_map(|one| one.actions).collect();
    assert_eq!(asked, granted, "no action is allowed that nothing asks for");
    assert!(
        requests
            .iter()
            .any(|request| request.operation == "DescribeTable" && request.input["TableName"] == TABLE)
    );
}
