use serde_json::{Value, json};

use super::*;
use crate::config::ConfigSource;

fn of(text: &str, known: &Known) -> (Value, Vec<String>) {
    let config = Config::parse(text, ConfigSource::StandardInput, &|_| None).expect("a configuration");
    let found = policies(&config, known);
    (serde_json::from_str(&found.to_json().expect("JSON")).expect("JSON"), found.notes)
}

const PLAIN: &str = r#"
[lease_table]
region = "eu-west-1"
[[pipeline]]
name = "orders"
[pipeline.source]
table = "orders"
region = "eu-west-1"
[pipeline.sink]
stream = "orders-cdc"
region = "eu-west-1"
"#;

#[test]
fn one_identity_has_a_plain_document() {
    let known = Known { account: Some("111122223333".into()), region: None };
    let (policy, notes) = of(PLAIN, &known);
    let statement = |sid: &str, action: Value, resource: &str| json!({"Sid": sid, "Effect": "Allow", "Action": action, "Resource": [resource]});
    let lease_table = json!([
        "dynamodb:ConditionCheckItem",
        "dynamodb:CreateTable",
        "dynamodb:DeleteItem",
        "dynamodb:DescribeTable",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem"
    ]);
    let reads = json!(["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]);
    let puts = json!(["kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:PutRecords"]);
    let table = |name: &str| format!("arn:aws:dynamodb:eu-west-1:111122223333:table/{name}");
    assert_eq!(
        policy,
        json!({"Version": "2012-10-17", "Statement": [
            statement("LeaseTable", lease_table, &table("ddb-kinesis-bridge")),
            statement("ListStreams", json!(["dynamodb:ListStreams"]), "*"),
            statement("SourceTables", json!(["dynamodb:DescribeTable"]), &table("orders")),
            statement("SourceStreams", reads, &table("orders/stream/*")),
            statement("KinesisStreams", puts, "arn:aws:kinesis:eu-west-1:111122223333:stream/orders-cdc"),
        ]})
    );
    assert!(notes.iter().all(|note| note.contains("KMS")), "{notes:?}");
}

#[test]
fn strict_order_takes_put_record_in_the_place_of_put_records() {
    let strict = PLAIN[PLAIN.find("[[pipeline]]").expect("a pipeline")..].replace("orders", "users");
    let (policy, _) = of(&format!("{PLAIN}{strict}ordering = \"strict\"\n"), &Known::default());
    let of_sinks = policy["Statement"].as_array().into_iter().flatten().skip(4);
    let found: Vec<Value> = of_sinks.map(|one| json!([one["Sid"], one["Action"], one["Resource"]])).collect();
    let (describe, list) = ("kinesis:DescribeStreamSummary", "kinesis:ListShards");
    let stream = |name: &str| json!([format!("arn:aws:kinesis:eu-west-1:*:stream/{name}")]);
    assert_eq!(
        found,
        [
            json!(["KinesisStreams", [describe, list, "kinesis:PutRecords"], stream("orders-cdc")]),
            json!(["StrictKinesisStreams", [describe, list, "kinesis:PutRecord"], stream("users-cdc")]),
        ]
    );
}

#[test]
fn what_is_not_known_stays_open_and_is_said() {
    let (policy, notes) = of(&PLAIN.replace("region = \"eu-west-1\"", ""), &Known::default());
    assert_eq!(policy["Statement"][0]["Resource"][0], "arn:aws:dynamodb:*:*:table/ddb-kinesis-bridge");
    assert!(notes[0].contains("--region") && notes[1].contains("--account"), "{notes:?}");
}

#[test]
fn a_table_that_must_be_there_is_not_created() {
    let text = PLAIN.replace("[lease_table]", "[lease_table]\ncreate = false");
    let (policy, _) = of(&text, &Known::default());
    assert!(!policy.to_string().contains("CreateTable"));
}

#[test]
fn a_stream_by_its_arn_takes_no_listing() {
    let arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2024-05-06T07:08:09.123";
    let text = PLAIN.replace("table = \"orders\"", &format!("stream_arn = \"{arn}\""));
    let (policy, _) = of(&text, &Known::default());
    let sids: Vec<&Value> =
        policy["Statement"].as_array().into_iter().flatten().map(|one| &one["Sid"]).collect();
    assert_eq!(sids, ["LeaseTable", "SourceStreams", "KinesisStreams"]);
    assert_eq!(policy["Statement"][1]["Resource"], json!([arn]));
}

#[test]
fn each_role_has_a_document_and_the_process_assumes_them() {
    let text = format!(
        "{}role_arn = \"arn:aws:iam::444455556666:role/puts\"\nexternal_id = \"secret-word\"\n",
        PLAIN.replace(
            "stream = \"orders-cdc\"",
            "stream = \"arn:aws:kinesis:eu-west-1:444455556666:stream/o\""
        )
    );
    let (policy, notes) = of(&text, &Known::default());
    let role = &policy["arn:aws:iam::444455556666:role/puts"];
    assert_eq!(role["Statement"].as_array().map(Vec::len), Some(1));
    assert_eq!(role["Statement"][0]["Resource"][0], "arn:aws:kinesis:eu-west-1:444455556666:stream/o");
    let own = policy["process"]["Statement"].as_array().expect("statements");
    assert_eq!(
        own.last(),
        Some(&json!({
            "Sid": "AssumeRoles", "Effect": "Allow", "Action": ["sts:AssumeRole"],
            "Resource": ["arn:aws:iam::444455556666:role/puts"]
        }))
    );
    assert!(!own.iter().any(|one| one["Sid"] == "KinesisStreams"));
    assert!(
        notes.iter().any(|note| note.contains("trust policy")) && !policy.to_string().contains("secret-word")
    );
}

#[test]
fn pipelines_share_statements() {
    let more = "[[pipeline]]\nname = \"users\"\nsource.table = \"users\"\nsink.stream = \"users-cdc\"\n";
    let (policy, _) =
        of(&format!("{PLAIN}{more}"), &Known { region: Some("eu-west-1".into()), account: None });
    assert_eq!(
        policy["Statement"][4]["Resource"],
        json!([
            "arn:aws:kinesis:eu-west-1:*:stream/orders-cdc",
            "arn:aws:kinesis:eu-west-1:*:stream/users-cdc"
        ])
    );
}
