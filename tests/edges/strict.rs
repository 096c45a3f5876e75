//! `ordering = "strict"`: the built binary puts each record by a PutRecord of its own, which names the acknowledged record of
//! its key before it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bridge::{OF_TABLE, SINK, Stage};
use crate::process::{Process, output_of};
use crate::support::fault::{Fault, Loss};
use crate::support::log::{Outcome, Request};
use crate::support::world::World;

const STRICT: &str = "ordering = \"strict\"";

/// Panics unless each PutRecord of a key (of one shard: to be used with one) names what the last answer about that key
/// said, and nothing before the first. Gives how many named one.
#[track_caller]
fn assert_numbered(world: &World) -> usize {
    assert_eq!(world.log.count("PutRecords"), 0);
    let number_of = |request: &Request| {
        let stored =
            world.kinesis_stream(SINK).stored.iter().find(|stored| stored.request == request.arrival);
        stored
            .map(|stored| Value::from(stored.sequence_number.as_str()))
            .expect("what was answered is stored")
    };
    let (mut last, mut numbered) = (BTreeMap::<String, Value>::new(), 0);
    for request in world.log.of("PutRecord") {
        let key = request.input["PartitionKey"].as_str().expect("a key").to_owned();
        let expected = last.get(&key).cloned().unwrap_or_default();
        assert_eq!(request.input["SequenceNumberForOrdering"], expected, "{request:?}");
        numbered += usize::from(!expected.is_null());
        if request.outcome == Some(Outcome::Ok) {
            last.insert(key, number_of(request));
        }
    }
    numbered
}

/// Calls that fail in every way, before and after their effect; with aggregation and without.
#[tokio::test(flavor = "multi_thread")]
async fn failures_keep_order_and_numbers() {
    for sink in [STRICT.to_owned(), format!("{STRICT}\naggregation = \"kpl\"")] {
        let stage = Stage::with_shards(1);
        stage.write(200, 9);
        {
            let mut world = stage.fake.world();
            for fault in [
                Fault::reject(400, "ProvisionedThroughputExceededException"),
                Fault::internal(),
                Fault::FailAfterEffect(Loss::Dropped),
                Fault::DropConnection,
                Fault::FailAfterEffect(Loss::MalformedBody),
                Fault::Throttle,
                Fault::internal_after_effect(),
            ] {
                world.faults.once("PutRecord", fault);
                world.faults.pass("PutRecord");
            }
        }
        let process = Process::run(&stage.text("", OF_TABLE, &sink));
        stage.all_arrive().await;
        stage.write(100, 9);
        stage.all_arrive().await;
        process.ends_cleanly().await;
        let report = stage.judge();
        report.assert_complete_and_ordered();
        assert!(!report.duplicates.is_empty(), "the faults took no effect");
        let world = stage.fake.world();
        assert!(world.faults.all_met());
        let (numbered, records) = (assert_numbered(&world), world.kinesis_stream(SINK).stored.len());
        assert!(numbered >= records - 9 - 3, "{numbered} of {records} records named one");
    }
}

/// A target shard at its limit holds up its own keys only; when it was split, the numbers of before name records of a shard
/// that is no more, and are still given.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_shard_and_its_split() {
    let stage = Stage::with_shards(1);
    stage.write(60, 20);
    let process = Process::run(&stage.text("", OF_TABLE, STRICT));
    stage.all_arrive().await;
    stage.fake.world().kinesis_stream_mut(SINK).shards[0].is_full = true;
    stage.write(60, 20);
    stage
        .fake
        .wait_until("a rejection", |world| {
            let is_full = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Error { .. }));
            world.log.of("PutRecord").any(|request| is_full(&request.outcome))
        })
        .await;
    {
        let mut world = stage.fake.world();
        let stream = world.kinesis_stream_mut(SINK);
        let full = stream.shards[0].id.clone();
        stream.split(&full);
    }
    stage.all_arrive().await;
    process.ends_cleanly().await;
    stage.judge().assert_exactly_once();
    let numbered = assert_numbered(&stage.fake.world());
    assert!(numbered > 100, "{numbered}: each but 20 first ones, and again what was rejected");
}

/// Kinesis does not take a number: the record goes once without it, behind nothing of its key all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_refused_is_left_out() {
    let stage = Stage::with_shards(1);
    stage.write(40, 4);
    let has_number = |request: &Request| !request.input["SequenceNumberForOrdering"].is_null();
    let refuse = Fault::reject(400, "InvalidArgumentException");
    stage.fake.world().faults.always("PutRecord", has_number, refuse);
    let process = Process::run(&stage.text("", OF_TABLE, STRICT));
    stage.all_arrive().await;
    process.says("Kinesis refused a SequenceNumberForOrdering");
    process.ends_cleanly().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    assert_eq!(world.log.of("PutRecord").filter(|request| has_number(request)).count(), 36);
    let row = crate::rows::shard_row(
        &world,
        &world.written(crate::bridge::TABLE).next().expect("a change").shard_id,
    );
    assert!(row["halted_because"].is_null(), "{row}");
}

/// A record that is refused with a number and without is the record's own fault.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_refused_goes_without_its_images() {
    let stage = Stage::with_shards(1);
    stage.write(10, 5);
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 4;
    let process = Process::run(&stage.text("", OF_TABLE, STRICT));
    stage.all_arrive().await;
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 1;
    {
        let mut world = stage.fake.world();
        let mut item = crate::bridge::item("item-0", "10");
        item["text"] = serde_json::json!({"S": "x".repeat(1_500)});
        world.put(crate::bridge::TABLE, item).expect("a change");
    }
    stage.all_arrive().await;
    process.ends_cleanly().await;
    stage.judge().assert_exactly_once();
    let payloads = stage.payloads_of("item-0");
    assert_eq!(payloads[2]["truncated"].to_string(), r#"["OldImage","NewImage"]"#);
}

/// `check` asks for PutRecord where order is strict, and for PutRecords where it is not.
#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_permission() {
    let stage = Stage::with_shards(1);
    for (sink, action) in [(STRICT, "kinesis:PutRecord: not tried"), ("", "kinesis:PutRecords: not tried")] {
        let (code, stdout, stderr) = output_of(&stage.text("", OF_TABLE, sink), &["check"]).await;
        assert!(code == Some(0) && stdout.contains(action), "{stdout} {stderr}");
    }
}
