//! What stands in the way of a start: said with the thing, what was expected and the remedy; exit code 1; nothing
//! written anywhere.

use crate::bridge::{OF_TABLE, SINK, Stage, parse};
use crate::process::Process;
use crate::rows::LEASES;
use crate::support::fault::Fault;
use crate::support::items::KeySchema;
use crate::support::log::Request;

/// The start fails with all of this in its text, and leaves no lease table behind.
async fn fails(stage: &Stage, text: &str, parts: &[&str]) {
    let Err(error) = stage.try_start(parse(text)).await else { panic!("it starts") };
    let error = error.to_string();
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
    let world = stage.fake.world();
    assert!(!world.tables.contains_key(LEASES), "the lease table was made all the same");
    assert_eq!(world.log.count("PutRecords"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_there() {
    let stage = Stage::with_shards(1);
    let text = stage.text("", "table = \"missing\"", "");
    fails(&stage, &text, &["pipeline `orders`, source", "`missing`", "does not exist", "region"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_stream() {
    let stage = Stage::with_shards(1);
    stage.fake.world().create_table("quiet", KeySchema::hash("id", "S"));
    let text = stage.text("", "table = \"quiet\"", "");
    fails(&stage, &text, &["`quiet`", "not enabled", "StreamEnabled=true"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_arn_that_is_not_there() {
    let stage = Stage::with_shards(1);
    let arn = stage.stream.replace("00.000", "59.000");
    let text = stage.text("", &format!("stream_arn = \"{arn}\""), "");
    fails(&stage, &text, &[&arn, "does not exist", "24 hours"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kinesis_stream_that_is_not_there_or_going() {
    let stage = Stage::with_shards(1);
    let text = stage.text("", OF_TABLE, "");
    stage.fake.world().kinesis_stream_mut(SINK).status = "DELETING".to_owned();
    fails(&stage, &text, &["pipeline `orders`, sink", SINK, "being deleted"]).await;
    stage.fake.world().kinesis.clear();
    fails(&stage, &text, &["pipeline `orders`, sink", SINK, "does not exist", "create-stream"]).await;
}

/// A Kinesis stream that is being created will be there: puts are retried until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_kinesis_stream_that_is_being_created_is_waited_for() {
    let stage = Stage::with_shards(1);
    stage.fake.world().kinesis_stream_mut(SINK).status = "CREATING".to_owned();
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.fake.wait_until("a put refused", |world| world.log.count("PutRecords") > 1).await;
    stage.fake.world().kinesis_stream_mut(SINK).status = "ACTIVE".to_owned();
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread")]
async fn access_denied_names_the_action_and_the_resource() {
    for (operation, action, resource) in [
        ("ListStreams", "dynamodb:ListStreams", "table `orders`"),
        ("DescribeStream", "dynamodb:DescribeStream", "table `orders`"),
        ("DescribeStreamSummary", "kinesis:DescribeStreamSummary", "`orders-cdc`"),
        ("DescribeTable", "dynamodb:DescribeTable", "`ddb-kinesis-bridge`"),
        ("CreateTable", "dynamodb:CreateTable", "`ddb-kinesis-bridge`"),
    ] {
        let stage = Stage::with_shards(1);
        let denied = Fault::reject(400, "AccessDeniedException");
        stage.fake.world().faults.always(operation, |_| true, denied);
        let text = stage.text("", OF_TABLE, "");
        fails(&stage, &text, &["access denied", action, resource, "policy"]).await;
    }
}

/// The second pipeline's mistake is found before anything is written for the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_fails_leaves_nothing_written_for_the_others() {
    let stage = Stage::with_shards(1);
    stage.write(10, 3);
    let text = stage.text("", OF_TABLE, "");
    let second = text[text.find("[[pipeline]]").expect("a pipeline")..]
        .replace("name = \"orders\"", "name = \"second\"");
    let text = text + &second.replace(SINK, "nowhere");
    fails(&stage, &text, &["pipeline `second`, sink", "nowhere"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_lease_table_that_may_not_be_made() {
    let stage = Stage::with_shards(1);
    let text = stage.text("", OF_TABLE, "").replace("[lease_table]", "[lease_table]\ncreate = false");
    fails(&stage, &text, &["[lease_table]", LEASES, "does not exist", "`create` is false", "`pk`", "`sk`"])
        .await;
    stage.fake.world().create_table(LEASES, KeySchema::hash("pk", "S").and_range("sk", "S"));
    stage.write(10, 3);
    let bridge = stage.start(parse(&text)).await;
    stage.all_arrive().await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_table_with_another_schema_is_left_alone() {
    let stage = Stage::with_shards(1);
    stage.write(10, 3);
    {
        let mut world = stage.fake.world();
        world.create_table("others", KeySchema::hash("id", "S").and_range("line", "N"));
        world.put("others", crate::bridge::item("a", "1"));
    }
    let items = stage.fake.world().table("others").items.clone();
    let text = stage.text("", OF_TABLE, "").replace("[lease_table]", "[lease_table]\nname = \"others\"");
    let (code, log) = Process::run(&text).end().await;
    assert_eq!(code, Some(1), "{log}");
    for part in ["[lease_table]", "id (S) HASH, line (N) RANGE", "pk (S) HASH, sk (S) RANGE"] {
        assert!(log.contains(part), "{part:?} is not in: {log}");
    }
    assert_eq!(stage.fake.world().table("others").items, items);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credentials() {
    let stage = Stage::with_shards(1);
    let text = stage.text("", OF_TABLE, "");
    let (code, log) = Process::run_with(&text, &[("AWS_REGION", "eu-central-1")]).end().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("AWS_ACCESS_KEY_ID") && log.contains("AWS_PROFILE"), "{log}");
    assert!(stage.fake.world().log.all().is_empty(), "a request without credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials() {
    let stage = Stage::with_shards(1);
    let text = stage.text("", OF_TABLE, "");
    let wrong = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "wrong")];
    let (code, log) = Process::run_with(&text, &wrong).end().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("pipeline `orders`, source") && log.contains("credentials"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_missing_ends_the_process_with_code_1() {
    let stage = Stage::with_shards(1);
    let (code, log) = Process::run(&stage.text("", "table = \"missing\"", "")).end().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.lines().any(|line| line.starts_with("error: pipeline `orders`, source")), "{log}");
}

/// Each attempt is said; a minute of it is shown by the unit tests of the probes' patience.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_does_not_answer_is_asked_again_and_said() {
    let stage = Stage::with_shards(1);
    // Bound and let go: nobody listens there now.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = nobody.local_addr().expect("bound");
    drop(nobody);
    let text = stage.text("", OF_TABLE, "").replace(&stage.fake.endpoint(), &format!("http://{address}"));
    let process = Process::run(&text);
    let line = process.says("asking again");
    assert!(line.contains(&address.to_string()) && line.contains("source"), "{line}");
}

/// An endpoint that comes up within the minute is used.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_at_first_is_asked_again() {
    let stage = Stage::with_shards(1);
    stage.write(10, 3);
    {
        let mut world = stage.fake.world();
        world.faults.once("ListStreams", Fault::internal());
        let is_summary = |request: &Request| request.arrival < 4;
        world.faults.always("DescribeStreamSummary", is_summary, Fault::DropConnection);
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    assert!(stage.fake.world().faults.all_met());
}
