//! Records too large for the target stream, by the limit that the stream itself tells.

use serde_json::{Value, json};

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, judged};
use crate::rows::{is_there, shard_row};
use crate::support::world::World;

fn text(length: usize) -> Value {
    json!({"S": "x".repeat(length)})
}

/// Writes an item of 600, then 2,500, then 700 characters: images of which not all fit into 4 KiB with each other.
fn write_large(stage: &Stage) {
    let mut world = stage.fake.world();
    for length in [600, 2_500, 2_501, 700] {
        let item = json!({"id": {"S": "large"}, "line": {"N": "1"}, "text": text(length)});
        world.put(TABLE, item).expect("a change");
    }
}

fn length_of(image: &Value) -> Option<usize> {
    image["text"]["S"].as_str().map(str::len)
}

/// Old and new image's length, and what is said to be cut, of each of the item's records.
fn shapes(stage: &Stage) -> Vec<(Option<usize>, Option<usize>, String)> {
    let payloads = stage.payloads_of("large");
    let shape = |payload: &Value| {
        let change = &payload["dynamodb"];
        (length_of(&change["OldImage"]), length_of(&change["NewImage"]), payload["truncated"].to_string())
    };
    payloads.iter().map(shape).collect()
}

fn shape(old: Option<usize>, new: Option<usize>, truncated: &str) -> (Option<usize>, Option<usize>, String) {
    (old, new, truncated.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_image_goes_first_and_the_new_one_only_if_it_must() {
    let stage = Stage::with_shards(1);
    // The unit is 1 KiB: lower than any real stream's, for small tests.
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 4;
    write_large(&stage);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_eq!(
        shapes(&stage),
        [
            shape(None, Some(600), "null"),
            shape(Some(600), Some(2_500), "null"),
            shape(None, Some(2_501), r#"["OldImage"]"#),
            shape(Some(2_501), Some(700), "null"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_limit_takes_both_images_of_what_still_does_not_fit() {
    let stage = Stage::with_shards(1);
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 2;
    write_large(&stage);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let both = r#"["OldImage","NewImage"]"#;
    assert_eq!(
        shapes(&stage),
        [
            shape(None, Some(600), "null"),
            shape(None, None, both),
            shape(None, None, both),
            shape(None, Some(700), r#"["OldImage"]"#),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_limit_is_used() {
    let stage = Stage::with_shards(1);
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 2_048;
    {
        let mut world = stage.fake.world();
        let item = json!({"id": {"S": "large"}, "line": {"N": "1"}, "text": text(1_300_000)});
        world.put(TABLE, item).expect("a change");
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    assert_eq!(shapes(&stage), [shape(None, Some(1_300_000), "null")]);
}

/// Lowered under a running bridge: Kinesis refuses what the bridge thought to fit, and it is cut then.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_lowered_later_cuts_what_kinesis_refuses() {
    let stage = Stage::with_shards(1);
    let bridge = stage.start(stage.plain()).await;
    stage.write(10, 5);
    stage.all_arrive().await;
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 4;
    write_large(&stage);
    stage.write(10, 5);
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_eq!(shapes(&stage)[2], shape(None, Some(2_501), r#"["OldImage"]"#));
}

/// Raised under a running bridge: the first change that would have lost an image finds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_raised_later_is_asked_for_before_an_image_is_left_out() {
    let stage = Stage::with_shards(1);
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 8;
    let bridge = stage.start(stage.config("", OF_TABLE, "oversize = \"halt\"")).await;
    stage.write(10, 5);
    stage.all_arrive().await;
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 10_240;
    let item = json!({"id": {"S": "large"}, "line": {"N": "1"}, "text": text(1_300_000)});
    stage.fake.world().put(TABLE, item).expect("a change");
    stage.all_arrive().await;
    bridge.stop().await;
    assert_eq!(shapes(&stage), [shape(None, Some(1_300_000), "null")]);
}

/// Lowered, then raised again: what Kinesis refused makes the bridge ask, so the next change is cut before it is sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_makes_it_ask_for_the_limit() {
    let stage = Stage::with_shards(1);
    let bridge = stage.start(stage.plain()).await;
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 4;
    write_large(&stage);
    let asked_again = |world: &World| world.log.count("DescribeStreamSummary") > 1;
    stage.fake.wait_until("a question for the limit", asked_again).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversize_halt_halts_its_shard_and_says_how_to_go_on() {
    let stage = Stage::with_shards(2);
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 4;
    stage.write(20, 10);
    write_large(&stage);
    let shard = stage.fake.world().written(TABLE).last().expect("a change").shard_id.clone();
    stage.write(20, 10);
    let bridge = stage.start(stage.config("", OF_TABLE, "oversize = \"halt\"")).await;
    stage.fake.wait_until("the shard halted", |world| shard_row(world, &shard)["state"] == "halted").await;
    stage
        .fake
        .wait_until("the other shard's changes", |world| {
            let missing = judged(world).missing;
            let mut others = world.written(TABLE).filter(|written| written.shard_id != shard);
            others.all(|written| !missing.contains(&written.change))
        })
        .await;
    bridge.stop().await;
    let (row, before) = {
        let world = stage.fake.world();
        let row = shard_row(&world, &shard);
        (row, world.changes(TABLE)[21].sequence_number.clone())
    };
    let reason = row["halted_because"].as_str().unwrap_or_default();
    assert!(reason.contains("MaxRecordSizeInKiB") && reason.contains("drop_images"), "{row}");
    assert_eq!(row["checkpoint"], before.as_str(), "everything before it is delivered, it is not: {row}");
    assert!(row["gaps"].is_null());

    // The limit is raised: a restart carries it whole.
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 1_024;
    let bridge = stage.start(stage.config("", OF_TABLE, "oversize = \"halt\"")).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_eq!(shapes(&stage)[2], shape(Some(2_500), Some(2_501), "null"));
    assert!(is_there(&shard_row(&stage.fake.world(), &shard)));
}
