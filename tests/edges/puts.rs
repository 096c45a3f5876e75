//! PutRecords under bad conditions: entries that fail whatever FailedRecordCount says, calls that fail before or after
//! their effect, answers that break. Nothing is lost, order is kept, and no call holds a lane twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, item, judged, puts, write};
use crate::rows::{is_there, shard_row};
use crate::support::fault::{FailEntries, Fault, Gate, Loss, Which};
use crate::support::log::{Outcome, Request};
use crate::support::world::World;

/// The partition keys of each PutRecords call.
fn calls(world: &World) -> Vec<Vec<String>> {
    let keys = |request: &Request| {
        let records = request.input["Records"].as_array().expect("a PutRecords call has records").clone();
        records.iter().map(|record| record["PartitionKey"].as_str().expect("a key").to_owned()).collect()
    };
    world.log.of("PutRecords").map(keys).collect()
}

/// Panics if a call holds two records of one key (of one shard: to be used with one shard) or more than 500.
#[track_caller]
fn assert_one_a_lane(world: &World) {
    for call in calls(world) {
        assert!(call.len() <= 500, "a call of {} records", call.len());
        let distinct: BTreeSet<&String> = call.iter().collect();
        assert_eq!(distinct.len(), call.len(), "a call holds a key twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_fail_are_judged_by_their_own_code() {
    for (code, count) in [
        ("ProvisionedThroughputExceededException", Some(0)),
        ("InternalFailure", Some(400)),
        ("ProvisionedThroughputExceededException", None),
    ] {
        let stage = Stage::with_shards(1);
        stage.write(200, 23);
        let fail =
            FailEntries { which: Which::EveryNth(3), code: code.to_owned(), failed_record_count: count };
        stage.fake.world().faults.always("PutRecords", |_| true, Fault::FailEntries(fail));
        let bridge = stage.start(stage.plain()).await;
        stage.all_arrive().await;
        bridge.stop().await;
        stage.judge().assert_exactly_once();
        assert_one_a_lane(&stage.fake.world());
    }
}

/// A wrong count must not make a success of a failure nor a failure of a success.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_record_count_without_failed_records_is_not_believed() {
    let stage = Stage::with_shards(1);
    stage.write(40, 10);
    let fail =
        FailEntries { which: Which::Indices(vec![]), code: String::new(), failed_record_count: Some(7) };
    stage.fake.world().faults.always("PutRecords", |_| true, Fault::FailEntries(fail));
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
}

/// One key that Kinesis does not take for a while holds up nobody but its own later changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_key_holds_up_no_other() {
    let stage = Stage::with_shards(1);
    stage.write(40, 4);
    let code = "ProvisionedThroughputExceededException";
    let fail = Fault::fail_entries(Which::PartitionKey("item-0".to_owned()), code);
    let rule = stage.fake.world().faults.always("PutRecords", |_| true, fail);
    let bridge = stage.start(stage.plain()).await;
    stage.fake.wait_until("the other keys", |world| world.kinesis_stream(SINK).stored.len() == 30).await;
    stage.fake.world().faults.lift(rule);
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
}

/// Whether an item's key is of the stream's first shard.
fn is_of_first_shard(world: &World, key: &str) -> bool {
    let stream = world.kinesis_stream(SINK);
    stream.shard_for(key, None).is_some_and(|shard| shard.id == stream.shards[0].id)
}

/// A target shard at its limit holds up its own keys and no others, whether the bridge may ask for the stream's shards or
/// not; and when the shard is split, its halves are learnt of.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_shard_holds_up_no_other() {
    for may_list in [true, false] {
        let stage = Stage::with_shards(1);
        stage.fake.world().quirks.list_shards_page = 1;
        stage.fake.world().kinesis_stream_mut(SINK).shards[0].is_full = true;
        if !may_list {
            let denied = Fault::reject(400, "AccessDeniedException");
            stage.fake.world().faults.always("ListShards", |_| true, denied);
        }
        stage.write(600, 60);
        let others = {
            let world = stage.fake.world();
            (0..60).filter(|n| !is_of_first_shard(&world, &format!("item-{n}"))).count() * 10
        };
        assert!(others > 0 && others < 600);
        let bridge = stage.start(stage.plain()).await;
        stage
            .fake
            .wait_until("the other shard's keys", |world| world.kinesis_stream(SINK).stored.len() == others)
            .await;
        {
            let mut world = stage.fake.world();
            let stream = world.kinesis_stream_mut(SINK);
            let full = stream.shards[0].id.clone();
            stream.split(&full);
        }
        stage.all_arrive().await;
        bridge.stop().await;
        stage.judge().assert_exactly_once();
        assert_one_a_lane(&stage.fake.world());
        let world = stage.fake.world();
        let is_next = |request: &Request| is_there(&request.input["NextToken"]);
        let pages: Vec<bool> = world.log.of("ListShards").map(is_next).collect();
        // At first two shards, and three with the one that was split when its halves are learnt of.
        let whole = [false, true, false, true, true];
        assert!(if may_list { pages.starts_with(&whole) } else { !pages[0] }, "{pages:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_calls_that_fail_before_their_effect() {
    let stage = Stage::with_shards(1);
    stage.write(60, 7);
    {
        let mut world = stage.fake.world();
        for fault in [
            Fault::internal(),
            Fault::Throttle,
            Fault::DropConnection,
            Fault::reject(503, "ServiceUnavailable"),
            Fault::reject(400, "ExpiredTokenException"),
            Fault::reject(400, "AccessDeniedException"),
            Fault::reject(400, "KMSAccessDeniedException"),
            Fault::reject(400, "ResourceNotFoundException"),
        ] {
            world.faults.once("PutRecords", fault);
            world.faults.pass("PutRecords");
        }
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert!(stage.fake.world().faults.all_met());
}

/// The records are there, the answer is not: they are sent again, behind nothing that came after them.
#[tokio::test(flavor = "multi_thread")]
async fn answers_lost_after_the_effect_bring_duplicates_and_no_disorder() {
    let stage = Stage::with_shards(1);
    stage.write(100, 7);
    {
        let mut world = stage.fake.world();
        for loss in [Loss::Dropped, Loss::MalformedBody, Loss::TruncatedBody] {
            world.faults.once("PutRecords", Fault::FailAfterEffect(loss));
            world.faults.pass("PutRecords");
        }
        world.faults.once("PutRecords", Fault::internal_after_effect());
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    let report = stage.judge();
    report.assert_complete_and_ordered();
    assert!(!report.duplicates.is_empty(), "the faults took no effect");
    let world = stage.fake.world();
    assert!(world.faults.all_met());
    assert_one_a_lane(&world);
}

/// Lost answers and failed entries at once, for as long as it lasts: every fifth call's answer, every fourth entry.
#[tokio::test(flavor = "multi_thread")]
async fn everything_at_once() {
    let stage = Stage::with_shards(3);
    stage.write(300, 31);
    {
        let mut world = stage.fake.world();
        let mut calls = 0;
        let fifth = move |_: &Request| {
            calls += 1;
            calls % 5 == 0
        };
        let both = vec![
            Fault::fail_entries(Which::EveryNth(4), "InternalFailure"),
            Fault::FailAfterEffect(Loss::Dropped),
        ];
        world.faults.always("PutRecords", fifth, both);
        let entries = Fault::fail_entries(Which::EveryNth(4), "InternalFailure");
        world.faults.always("PutRecords", |_| true, entries);
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_hold_at_most_five_hundred_records_and_each_lane_once() {
    let stage = Stage::with_shards(1);
    stage.write(1_500, 700);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    assert_one_a_lane(&world);
    // A full first page of 1,000 changes holds 700 keys.
    assert_eq!(calls(&world).iter().map(Vec::len).max(), Some(500), "batches are filled");
}

/// While a call is under way nothing more of its lanes is sent, and the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_has_one_record_under_way() {
    let stage = Stage::with_shards(1);
    stage.write(40, 10);
    let gate = Gate::shut();
    stage.fake.world().faults.once("PutRecords", Fault::HoldAnswer(gate.clone()));
    let bridge = stage.start(stage.plain()).await;
    gate.reached_by(1).await;
    {
        let mut world = stage.fake.world();
        // More for the lanes whose record is under way, and then for others.
        write(&mut world, 20, 10);
        for n in 0..10 {
            world.put(TABLE, item(&format!("other-{n}"), "1")).expect("a change");
        }
    }
    stage
        .fake
        .wait_until("the others", |world| {
            let others = world.kinesis_stream(SINK).stored.iter();
            others.filter(|stored| stored.partition_key.starts_with("other-")).count() == 10
        })
        .await;
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for key in calls(&stage.fake.world()).into_iter().flatten() {
        *sent.entry(key).or_default() += 1;
    }
    assert!(
        sent.values().all(|times| *times == 1),
        "a lane is sent on while its record is under way: {sent:?}"
    );
    gate.open();
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
}

/// A connection that hangs ends with the call's own time limit: a silent stall is what must not be.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_hang_are_given_up_and_made_again() {
    let stage = Stage::with_shards(1);
    stage.write(20, 5);
    let gate = Gate::shut();
    {
        let mut world = stage.fake.world();
        world.faults.once("PutRecords", Fault::Hold(gate.clone()));
        world.faults.once("PutRecords", Fault::HoldAnswer(gate.clone()));
    }
    let bridge = stage.start(stage.mortal()).await;
    stage.all_arrive().await;
    // What was held takes effect only now, long after it was given up.
    let before = stage.fake.world().kinesis_stream(SINK).stored.len();
    gate.open();
    stage.fake.wait_until("the delayed call", |world| world.kinesis_stream(SINK).stored.len() > before).await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}

/// A call that no retry can mend is halved down to the record that spoils it: the others arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_refused_is_found_and_sent_without_its_images() {
    let stage = Stage::with_shards(1);
    stage.write(100, 50);
    {
        let mut world = stage.fake.world();
        let images = "x".repeat(4_000);
        world.put(TABLE, item("poison", "1")).expect("a change");
        let fat = serde_json::json!({"text": {"S": images}, "version": {"N": "2"}});
        let key = serde_json::json!({"id": {"S": "poison"}, "line": {"N": "1"}});
        world.update(TABLE, key.clone(), fat).expect("a change");
        world.update(TABLE, key, serde_json::json!({"version": {"N": "3"}})).expect("a change");
    }
    stage.write(100, 50);
    let refuse = Fault::reject(400, "ValidationException");
    stage.fake.world().faults.always("PutRecords", has_fat_poison, refuse);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let payloads = stage.payloads_of("poison");
    let truncated: Vec<String> = payloads.iter().map(|payload| payload["truncated"].to_string()).collect();
    assert_eq!(truncated, ["null", r#"["OldImage","NewImage"]"#, r#"["OldImage","NewImage"]"#]);
    for payload in &payloads[1..] {
        let change = &payload["dynamodb"];
        assert!(change["OldImage"].is_null() && change["NewImage"].is_null() && is_there(&change["Keys"]));
    }
    let world = stage.fake.world();
    assert_one_a_lane(&world);
    // Halved at once, down to the one record: the others do not wait for retries to part them.
    let is_refused = |request: &&Request| matches!(request.outcome, Some(Outcome::Error { status: 400, .. }));
    let refused = world.log.of("PutRecords").filter(is_refused);
    let sizes: Vec<usize> =
        refused.map(|request| request.input["Records"].as_array().map_or(0, Vec::len)).collect();
    assert!(sizes.first().is_some_and(|size| *size > 1), "{sizes:?}");
    let halves = |pair: &[usize]| pair[0] == 1 || pair[1] == pair[0] / 2 || pair[1] == pair[0].div_ceil(2);
    assert!(sizes.windows(2).all(halves) && sizes.last() == Some(&1), "{sizes:?}");
}

/// With `oversize = "halt"` it halts its own shard, with all before it delivered and the checkpoint before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_refused_halts_its_own_shard_only() {
    let stage = Stage::with_shards(2);
    stage.write(40, 20);
    let (shard, poison) = {
        let mut world = stage.fake.world();
        let fat =
            serde_json::json!({"id": {"S": "poison"}, "line": {"N": "1"}, "text": {"S": "x".repeat(4_000)}});
        let poison = world.put(TABLE, fat).expect("a change");
        let shard = world.written(TABLE).last().expect("the change").shard_id.clone();
        (shard, poison)
    };
    stage.write(40, 20);
    let refuse = Fault::reject(400, "ValidationException");
    let rule = stage.fake.world().faults.always("PutRecords", has_fat_poison, refuse);
    let bridge = stage.start(stage.config("", OF_TABLE, "oversize = \"halt\"")).await;
    stage.fake.wait_until("the shard halted", |world| shard_row(world, &shard)["state"] == "halted").await;
    stage.write(40, 20);
    stage
        .fake
        .wait_until("the other shard's changes", |world| {
            let missing = judged(world).missing;
            let mut others = world.written(TABLE).filter(|written| written.shard_id != shard);
            others.all(|written| !missing.contains(&written.change))
        })
        .await;
    bridge.stop().await;
    {
        let world = stage.fake.world();
        let row = shard_row(&world, &shard);
        let checkpoint = row["checkpoint"].as_str().unwrap_or("0");
        assert!(crate::support::sequence::compare(checkpoint, &poison).is_lt(), "P1: {row}");
        let reason = row["halted_because"].as_str().unwrap_or_default();
        assert!(reason.contains("refuses a record"), "{row}");
        judged(&world).inversions.is_empty().then_some(()).expect("order is kept");
    }
    // What refused it is mended: the next start carries the rest.
    stage.fake.world().faults.lift(rule);
    let bridge = stage.start(stage.config("", OF_TABLE, "oversize = \"halt\"")).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}

/// Whether a call holds the item `poison` with an image left.
fn has_fat_poison(request: &Request) -> bool {
    let records = request.input["Records"].as_array();
    puts(request, "poison")
        && records.is_some_and(|records| {
            records.iter().any(|record| {
                record["PartitionKey"] == "poison"
                    && record["Data"].as_str().is_some_and(|data| data.len() > 4_000)
            })
        })
}
