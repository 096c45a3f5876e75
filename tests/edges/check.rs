//! `check` proves each permission by asking for it, and changes nothing.

use crate::bridge::{OF_TABLE, SINK, Stage};
use crate::process::output_of;
use crate::rows::LEASES;
use crate::support::fault::Fault;
use crate::support::items::Item;
use crate::support::world::World;

/// Everything that a check could have changed.
fn state(world: &World) -> (Vec<Item>, usize, usize) {
    let rows = world.table(LEASES).items.values().cloned().collect();
    (rows, world.kinesis_stream(SINK).stored.len(), world.tables.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_permission_is_proven_and_nothing_changes() {
    let stage = Stage::with_shards(1);
    let bridge = stage.start(stage.plain()).await;
    stage.write(3, 1);
    stage.all_arrive().await;
    bridge.stop().await;
    let config = stage.text("", OF_TABLE, "");
    let before = state(&stage.fake.world());

    let (code, stdout, stderr) = output_of(&config, &["check"]).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    for action in [
        "dynamodb:Query, dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem, dynamodb:DeleteItem, \
         dynamodb:ConditionCheckItem",
        "dynamodb:ListStreams, dynamodb:DescribeStream, dynamodb:GetShardIterator, dynamodb:GetRecords",
        "kinesis:DescribeStreamSummary, kinesis:ListShards",
    ] {
        assert!(stdout.contains(action), "{action} is not in: {stdout}");
    }
    for (operation, action, code) in [
        ("Query", "dynamodb:Query", 1),
        ("GetItem", "dynamodb:GetItem", 1),
        ("PutItem", "dynamodb:PutItem", 1),
        ("UpdateItem", "dynamodb:UpdateItem", 1),
        ("DeleteItem", "dynamodb:DeleteItem", 1),
        ("TransactWriteItems", "dynamodb:ConditionCheckItem", 1),
        ("ListStreams", "dynamodb:ListStreams", 1),
        ("DescribeStream", "dynamodb:DescribeStream", 1),
        ("GetShardIterator", "dynamodb:GetShardIterator", 1),
        ("GetRecords", "dynamodb:GetRecords", 1),
        ("DescribeStreamSummary", "kinesis:DescribeStreamSummary", 1),
        // `run` goes on without it.
        ("ListShards", "kinesis:ListShards", 0),
    ] {
        stage.fake.world().faults.once(operation, Fault::reject(400, "AccessDeniedException"));
        let (ended, stdout, _) = output_of(&config, &["check"]).await;
        assert_eq!(ended, Some(code), "{operation}: {stdout}");
        assert!(stdout.contains(&format!("access denied: {action} on")), "{operation}: {stdout}");
        assert!(stage.fake.world().faults.all_met(), "{operation} was not asked for");
    }
    assert_eq!(state(&stage.fake.world()), before);
}
