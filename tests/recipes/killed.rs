//! Histories of the built bridge, killed with SIGKILL in the middle of its work.

use std::collections::BTreeMap;

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, with_failover};
use crate::consumer::{Dice, Effects, Record, Storing, Telling, consume, differs};
use crate::process::Process;
use crate::support::payload::{Format, delivered};
use crate::support::world::World;

/// What was written to the table.
fn written(world: &World) -> Effects {
    let mut effects = Effects::new();
    for change in world.changes(TABLE) {
        effects.entry(change.item_key).or_default().push(change.sequence_number);
    }
    effects
}

/// What the Kinesis stream holds, shard by shard.
fn shards(world: &World) -> Vec<Vec<Record>> {
    let stream = world.kinesis_stream(SINK);
    let mut shards: BTreeMap<&str, Vec<Record>> = BTreeMap::new();
    for (stored, read) in stream.stored.iter().zip(delivered(stream, Format::DynamoDbJson)) {
        shards.entry(&stored.shard_id).or_default().push((read.item_key, read.sequence_number));
    }
    shards.into_values().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_bridge_delivers_twice_is_handled_once() {
    let stage = Stage::with_shards(2);
    stage.fake.world().numbers.continue_from(999_999_999_999_999_999_999 - 400);
    // No checkpoint before a kill, however slow this machine: each life delivers again what those before it did.
    let text = with_failover(&stage.text("", OF_TABLE, ""), 1)
        .replace("checkpoint_interval = \"200ms\"", "checkpoint_interval = \"5m\"");
    assert!(text.contains("5m"), "{text}");
    for _ in 0..4 {
        let before = stage.fake.world().kinesis_stream(SINK).stored.len();
        stage.write(800, 40);
        let bridge = Process::run(&text);
        let landed = |world: &World| world.kinesis_stream(SINK).stored.len() >= before + 200;
        stage.fake.wait_until("some records", landed).await;
        bridge.signal("KILL");
        assert_eq!(bridge.end().await.0, None, "killed");
    }
    let bridge = Process::run(&text);
    stage.all_arrive().await;
    bridge.signal("TERM");
    assert_eq!(bridge.end().await.0, Some(0));

    let world = stage.fake.world();
    let (written, shards) = (written(&world), shards(&world));
    let (changes, records): (usize, usize) =
        (written.values().map(Vec::len).sum(), shards.iter().map(Vec::len).sum());
    assert!(records > changes, "four kills, and nothing came twice");
    for seed in 0..5 {
        let consumed = |telling| consume(&mut Dice::new(seed), &shards, telling, Storing::Together).0;
        assert_eq!(differs(&written, &consumed(Telling::HighWatermark)), None, "seed {seed}");
        assert!(differs(&written, &consumed(Telling::NotTheLast)).is_some(), "seed {seed}");
        assert!(differs(&written, &consumed(Telling::Texts)).is_some(), "seed {seed}: numbers grew a digit");
    }
    println!("{changes} changes, {records} Kinesis records");
}
