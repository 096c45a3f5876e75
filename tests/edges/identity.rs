//! A pipeline's name belongs to one table, one Kinesis stream and one way of making partition keys: another
//! configuration under the same name is refused, with exit code 2, and nothing is written.

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE};
use crate::process::Process;
use crate::rows::{LEASES, shard_rows};
use crate::support::items::KeySchema;
use crate::support::world::World;

/// How many requests so far could have added something. Heartbeats and what else changes rows that are there may still
/// be on their way when a bridge has ended: for them the rows speak.
fn writes(world: &World) -> usize {
    let adding = ["PutRecords", "CreateTable", "PutItem", "TransactWriteItems"];
    adding.iter().map(|operation| world.log.count(operation)).sum()
}

/// Carries once; then this other configuration is refused.
async fn refused(front: &str, change: impl Fn(String) -> String, parts: &[&str]) {
    let stage = Stage::with_shards(1);
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    let (before, rows) = {
        let mut world = stage.fake.world();
        world.create_table("payments", KeySchema::hash("id", "S"));
        world.enable_stream("payments", "KEYS_ONLY", 1);
        world.create_kinesis_stream("payments-cdc", 1);
        (writes(&world), world.table(LEASES).items.clone())
    };
    let process = Process::run(&change(stage.text(front, OF_TABLE, "")));
    let (code, log) = process.end().await;
    assert_eq!(code, Some(2), "{log}");
    for part in parts {
        assert!(log.contains(part), "{part:?} is not in: {log}");
    }
    let world = stage.fake.world();
    assert_eq!(writes(&world), before, "{log}");
    assert_eq!(world.table(LEASES).items, rows);
}

const REMEDY: &str = "give this pipeline another name, or use another lease table";

#[tokio::test(flavor = "multi_thread")]
async fn another_table() {
    let change = |text: String| text.replace(OF_TABLE, "table = \"payments\"");
    refused("", change, &["table/payments", "table/orders", REMEDY]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kinesis_stream() {
    let change = |text: String| text.replace(&format!("stream = \"{SINK}\""), "stream = \"payments-cdc\"");
    refused("", change, &["stream/payments-cdc", "stream/orders-cdc", REMEDY]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_partition_key_mode() {
    let change = |text: String| text + "[pipeline.record]\npartition_key = \"item_key\"\n";
    refused("", change, &["partition key mode", "item_key", REMEDY]).await;
}

/// The fleet that the name belongs to is at work meanwhile: the stranger ends, and it notices nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_while_the_others_go_on() {
    let stage = Stage::with_shards(2);
    stage.write(10, 3);
    let bridge = stage.start(stage.config("[worker]\nid = \"w1\"", OF_TABLE, "")).await;
    stage.all_arrive().await;
    {
        let mut world = stage.fake.world();
        world.create_table("payments", KeySchema::hash("id", "S"));
        world.enable_stream("payments", "KEYS_ONLY", 1);
    }
    let text = stage.text("[worker]\nid = \"w2\"", OF_TABLE, "");
    let (code, log) = Process::run(&text.replace(OF_TABLE, "table = \"payments\"")).end().await;
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("table/payments") && log.contains(REMEDY), "{log}");
    stage.write(10, 3);
    stage.all_arrive().await;
    for row in shard_rows(&stage.fake.world()) {
        assert_eq!((row["owner"].as_str(), row["epoch"].as_str()), (Some("w1"), Some("1")), "{row}");
    }
    bridge.stop().await;
    stage.judge().assert_exactly_once();
}

/// The first pipeline is fine and the second is not: nothing is written for the first either.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_pipelines() {
    let change = |text: String| {
        let second = text[text.find("[[pipeline]]").expect("a pipeline")..].to_owned();
        let renamed = text.replace("name = \"orders\"", "name = \"fresh\"");
        renamed + &second.replace(OF_TABLE, "table = \"payments\"")
    };
    refused("", change, &["pipeline \"orders\"", TABLE, REMEDY]).await;
}

/// A stream row that does not read may be another version's, or another's: it is not written over.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_row_that_does_not_read() {
    let stage = Stage::with_shards(1);
    {
        let mut world = stage.fake.world();
        world.create_table(LEASES, KeySchema::hash("pk", "S").and_range("sk", "S"));
        let row =
            serde_json::json!({"pk": {"S": "pipeline#orders"}, "sk": {"S": "stream"}, "streams": {"S": "?"}});
        world.put(LEASES, row);
    }
    let process = Process::run(&stage.text("", OF_TABLE, ""));
    let (code, log) = process.end().await;
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("pipeline#orders / stream") && log.contains("restore it or delete it"), "{log}");
    assert_eq!(writes(&stage.fake.world()), 0);
}
