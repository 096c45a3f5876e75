//! Retention passed: the possible gap is noted in the row, from and to, and reading goes on or halts by `on_gap`. What
//! is only trimmed but was carried is no gap.

use serde_json::json;

use crate::bridge::{OF_TABLE, Stage, TABLE, write};
use crate::rows::{finished_row, is_there, shard_row};
use crate::support::fault::Fault;
use crate::support::shards::ShownEnd;

const HALT: &str = "table = \"orders\"\non_gap = \"halt\"";

/// The sequence number of the table's nth change.
fn number(stage: &Stage, n: usize) -> String {
    stage.fake.world().changes(TABLE)[n].sequence_number.clone()
}

/// Carries ten changes and stops; ten more are written, of which retention takes the first five.
async fn trimmed_while_down(stage: &Stage) -> String {
    let shard = stage.open_shard();
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.write(10, 3);
    let trimmed = number(stage, 14);
    stage.fake.world().trim_through(&stage.stream, &shard, &trimmed);
    shard
}

#[track_caller]
fn assert_gap_and_missing(stage: &Stage, row: &serde_json::Value) {
    let gaps = row["gaps"].as_array().unwrap_or_else(|| panic!("no gap in {row}"));
    assert_eq!(gaps.len(), 1, "{row}");
    assert_eq!(gaps[0]["from"], number(stage, 9).as_str(), "{row}");
    assert_eq!(gaps[0]["to"], number(stage, 15).as_str(), "{row}");
    assert!(gaps[0]["reason"].as_str().is_some_and(|reason| reason.contains("retention")), "{row}");
    stage.assert_missing(10..15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trimmed_checkpoint_is_a_gap_noted_from_and_to_and_reading_goes_on() {
    let stage = Stage::with_shards(1);
    let shard = trimmed_while_down(&stage).await;
    let bridge = stage.start(stage.plain()).await;
    stage.all_but_arrive(15).await;
    stage.write(5, 3);
    stage.all_but_arrive(15).await;
    stage
        .fake
        .wait_until("the gap's end in the row", |world| is_there(&shard_row(world, &shard)["gaps"][0]["to"]))
        .await;
    bridge.stop().await;
    let row = shard_row(&stage.fake.world(), &shard);
    assert_gap_and_missing(&stage, &row);
}

/// Retention may pass while the shard is being read, too: then it is GetRecords that says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_retention_overtakes_notes_the_gap() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    {
        let mut world = stage.fake.world();
        write(&mut world, 10, 3);
        let trimmed = world.changes(TABLE)[14].sequence_number.clone();
        world.trim_through(&stage.stream, &shard, &trimmed);
    }
    stage.all_but_arrive(15).await;
    stage
        .fake
        .wait_until("the gap's end in the row", |world| is_there(&shard_row(world, &shard)["gaps"][0]["to"]))
        .await;
    bridge.stop().await;
    let row = shard_row(&stage.fake.world(), &shard);
    assert_gap_and_missing(&stage, &row);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_gap_halt_stops_that_shard_until_the_operator_says_continue() {
    let stage = Stage::with_shards(2);
    stage.write(20, 10);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    // Retention takes what one shard got while the bridge was down.
    stage.write(20, 10);
    let halted = {
        let mut world = stage.fake.world();
        let halted = world.stream(&stage.stream).open_shards().remove(0);
        let trimmed = {
            let of_shard = world.written(TABLE).filter(|written| written.shard_id == halted);
            of_shard
                .skip(10)
                .map(|written| written.change.sequence_number.clone())
                .next()
                .expect("over ten changes")
        };
        world.trim_through(&stage.stream, &halted, &trimmed);
        halted
    };

    let bridge = stage.start(stage.config("", HALT, "")).await;
    stage.fake.wait_until("the shard halted", |world| shard_row(world, &halted)["state"] == "halted").await;
    stage.write(20, 10);
    let others = |world: &crate::support::world::World| {
        let missing = crate::bridge::judged(world).missing;
        let mut others = world.written(TABLE).filter(|written| written.shard_id != halted);
        others.all(|written| !missing.contains(&written.change))
    };
    stage.fake.wait_until("the other shard's changes", others).await;
    bridge.stop().await;
    {
        let world = stage.fake.world();
        let row = shard_row(&world, &halted);
        assert_eq!(row["state"], "halted");
        let reason = row["halted_because"].as_str().unwrap_or_default();
        assert!(reason.contains("retention") && reason.contains("on_gap = \"continue\""), "{row}");
        assert!(row["gaps"].is_null() && row["owner"].is_null(), "{row}");
        assert_eq!(crate::bridge::judged(&world).duplicates, []);
    }

    let bridge = stage.start(stage.plain()).await;
    stage
        .fake
        .wait_until("the gap's end", |world| is_there(&shard_row(world, &halted)["gaps"][0]["to"]))
        .await;
    stage.write(20, 10);
    stage.all_but_arrive(40).await;
    bridge.stop().await;
    let world = stage.fake.world();
    let row = shard_row(&world, &halted);
    assert_eq!(
        (&row["state"], &row["halted_because"]),
        (&json!("active"), &serde_json::Value::Null),
        "{row}"
    );
    let report = crate::bridge::judged(&world);
    let left = world.stream(&stage.stream).shard(&halted).expect("the shard").records.first().cloned();
    let to = left.map(|record| record.body["dynamodb"]["SequenceNumber"].clone());
    assert_eq!(Some(&row["gaps"][0]["to"]), to.as_ref());
    assert!(!report.missing.is_empty() && report.inversions.is_empty(), "{report}");
}

/// Carried to its end, then closed and trimmed while the bridge was down: nothing is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_shard_that_was_carried_to_its_end_has_no_gap() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    stage.write(10, 3);
    let bridge = stage.start(stage.config("", HALT, "")).await;
    stage.all_arrive().await;
    bridge.stop().await;
    {
        let mut world = stage.fake.world();
        world.rotate(&stage.stream, &shard);
        let last = world.changes(TABLE)[9].sequence_number.clone();
        let ending = world.numbers.parse(&last);
        world.stream_mut(&stage.stream).shard_mut(&shard).expect("the shard").ending = ending;
        world.trim_through(&stage.stream, &shard, &last);
        write(&mut world, 10, 3);
    }
    let bridge = stage.start(stage.config("", HALT, "")).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let row = finished_row(&stage.fake.world(), &shard);
    assert!(is_there(&row) && row["gaps"].is_null(), "{row}");
}

/// Closed and trimmed beyond the checkpoint: the gap stays in the finished row, and the child is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_shard_that_was_trimmed_unread_keeps_its_gap() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    {
        let mut world = stage.fake.world();
        write(&mut world, 5, 3);
        world.rotate(&stage.stream, &shard);
        let last = world.changes(TABLE)[14].sequence_number.clone();
        world.trim_through(&stage.stream, &shard, &last);
        write(&mut world, 10, 3);
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_but_arrive(15).await;
    bridge.stop().await;
    let row = finished_row(&stage.fake.world(), &shard);
    assert_eq!(row["gaps"][0]["from"], number(&stage, 9).as_str(), "{row}");
    assert!(row["gaps"][0]["to"].is_null(), "{row}");
    stage.assert_missing(10..15);
}

/// An emulator puts an EndingSequenceNumber on an open shard; taking it for closed would end it in its middle.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_shard_with_an_ending_number_is_not_ended_by_a_trim() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    stage.fake.world().show_end(&stage.stream, &shard, ShownEnd::Ended);
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    // All that is left is taken: the listing shows the shard's beginning as its end.
    let last = number(&stage, 9);
    stage.fake.world().trim_through(&stage.stream, &shard, &last);
    let bridge = stage.start(stage.config("", OF_TABLE, "")).await;
    stage.fake.wait_until("the gap", |world| is_there(&shard_row(world, &shard)["gaps"][0])).await;
    stage.write(10, 3);
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
}

/// A gap noted before a crash is not noted again after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_noted_once_over_a_restart_in_its_middle() {
    let stage = Stage::with_shards(1);
    let shard = trimmed_while_down(&stage).await;
    let rule = stage.fake.world().faults.always("GetRecords", |_| true, Fault::EmptyPage);
    let bridge = stage.start(stage.plain()).await;
    stage.fake.wait_until("the gap", |world| is_there(&shard_row(world, &shard)["gaps"][0])).await;
    bridge.stop().await;
    stage.fake.world().faults.lift(rule);
    let bridge = stage.start(stage.plain()).await;
    stage.all_but_arrive(15).await;
    stage
        .fake
        .wait_until("the gap's end in the row", |world| is_there(&shard_row(world, &shard)["gaps"][0]["to"]))
        .await;
    bridge.stop().await;
    let row = shard_row(&stage.fake.world(), &shard);
    assert_gap_and_missing(&stage, &row);
}
