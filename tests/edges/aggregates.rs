//! `aggregation = "kpl"`: the built binary packs what waits of one key into one record; taken apart by the tests' own
//! reading of the format, nothing is lost and each item's order holds, whatever fails.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, item};
use crate::process::{Process, output_of};
use crate::rows::shard_row;
use crate::support::aggregate::unpacked;
use crate::support::fault::{Fault, Loss, Which};
use crate::support::log::Request;
use crate::support::payload::payloads;
use crate::support::world::World;

const KPL: &str = "aggregation = \"kpl\"";

/// The changes that a request's records of this key carry.
fn carried(request: &Request, partition_key: &str) -> Vec<Vec<Vec<u8>>> {
    let records = request.input["Records"].as_array().into_iter().flatten();
    let of_key = records.filter(|record| record["PartitionKey"] == partition_key);
    let carried = of_key.map(|record| {
        let data = STANDARD.decode(record["Data"].as_str().unwrap_or_default()).expect("base64");
        unpacked(partition_key, &data).expect("an aggregate").into_iter().map(<[u8]>::to_vec).collect()
    });
    carried.collect()
}

/// How many changes each stored record carries.
fn sizes(world: &World) -> Vec<usize> {
    world.kinesis_stream(SINK).stored.iter().map(|stored| payloads(stored).len()).collect()
}

/// All at once: entries that fail, answers that are lost, whole calls that fail, a target shard that takes nothing and is
/// split, while more and more is written to few items.
#[tokio::test(flavor = "multi_thread")]
async fn failures_and_a_reshard_keep_every_items_order() {
    let stage = Stage::with_shards(2);
    stage.write(900, 6);
    {
        let mut world = stage.fake.world();
        world.kinesis_stream_mut(SINK).shards[0].is_full = true;
        let mut calls = 0;
        let fifth = move |_: &Request| {
            calls += 1;
            calls % 5 == 0
        };
        world.faults.always("PutRecords", fifth, Fault::FailAfterEffect(Loss::Dropped));
        let entries = Fault::fail_entries(Which::EveryNth(3), "InternalFailure");
        world.faults.always("PutRecords", |_| true, entries);
        world.faults.once("PutRecords", Fault::internal());
    }
    let process = Process::run(&stage.text("", OF_TABLE, KPL));
    stage.fake.wait_until("something stored", |world| world.kinesis_stream(SINK).carried > 100).await;
    {
        let mut world = stage.fake.world();
        let stream = world.kinesis_stream_mut(SINK);
        let full = stream.shards[0].id.clone();
        stream.split(&full);
        crate::bridge::write(&mut world, 900, 6);
    }
    stage.all_arrive().await;
    process.ends_cleanly().await;
    stage.judge().assert_complete_and_ordered();
    let sizes = sizes(&stage.fake.world());
    assert!(sizes.iter().any(|changes| *changes > 50), "what waited was packed: {sizes:?}");
}

/// Failed entries alone bring no duplicates: a record is taken whole or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn entries_that_fail_are_sent_again_once() {
    let stage = Stage::with_shards(1);
    stage.write(600, 5);
    let fail = Fault::fail_entries(Which::EveryNth(2), "InternalFailure");
    stage.fake.world().faults.always("PutRecords", |_| true, fail);
    let process = Process::run(&stage.text("", OF_TABLE, "aggregation = \"kpl\"\naggregate_limit = \"4KB\""));
    stage.all_arrive().await;
    process.ends_cleanly().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    assert!(sizes(&world).iter().any(|changes| *changes > 3), "{:?}", sizes(&world));
    let sizes =
        world.kinesis_stream(SINK).stored.iter().map(|stored| stored.data.len() + stored.partition_key.len());
    assert!(sizes.max().is_some_and(|most| (3_000..=4_000).contains(&most)), "the limit is used, and kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_alone_is_a_plain_record() {
    let stage = Stage::with_shards(1);
    stage.write(40, 40);
    let process = Process::run(&stage.text("", OF_TABLE, KPL));
    stage.all_arrive().await;
    process.ends_cleanly().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    let is_plain = |data: &[u8]| serde_json::from_slice::<Value>(data).is_ok();
    assert!(world.kinesis_stream(SINK).stored.iter().all(|stored| is_plain(&stored.data)));
}

/// Writes `poison` eleven times, the fifth time with an image that makes its record large. Gives what is large about it.
fn poison(stage: &Stage) -> usize {
    let mut world = stage.fake.world();
    for n in 0..11 {
        let mut item = item("poison", &n.to_string());
        if n == 4 {
            item["text"] = json!({"S": "x".repeat(4_000)});
        }
        world.put(TABLE, item).expect("a change");
    }
    4_000
}

/// Whether a request carries a change of `poison` with so large an image.
fn has_large(request: &Request, bytes: usize) -> bool {
    carried(request, "poison").iter().flatten().any(|change| change.len() > bytes)
}

/// Kinesis refuses an aggregate for one change in it: its changes go one by one, that one without its images, the others
/// whole; and what comes after is packed again.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_aggregate_goes_change_by_change() {
    let stage = Stage::with_shards(1);
    let large = poison(&stage);
    stage.write(30, 6);
    let refuse = Fault::reject(400, "ValidationException");
    stage.fake.world().faults.always("PutRecords", move |request| has_large(request, large), refuse);
    let process = Process::run(&stage.text("", OF_TABLE, KPL));
    stage.all_arrive().await;
    poison_again(&stage).await;
    process.says("its changes go one by one");
    process.ends_cleanly().await;
    stage.judge().assert_exactly_once();
    let cut: Vec<usize> = stage
        .payloads_of("poison")
        .iter()
        .enumerate()
        .filter(|(_, payload)| !payload["truncated"].is_null())
        .map(|(n, _)| n)
        .collect();
    // The one with the large new image, and the next, whose old image that is.
    assert_eq!(cut, [4, 5]);
    let world = stage.fake.world();
    let of_poison = |stored: &&crate::support::kinesis::Stored| stored.partition_key == "poison";
    let sizes: Vec<usize> =
        world.kinesis_stream(SINK).stored.iter().filter(of_poison).map(|one| payloads(one).len()).collect();
    assert_eq!(sizes[..11], [1; 11], "one by one");
    assert!(sizes[11..].iter().any(|changes| *changes > 1), "packed again: {sizes:?}");
}

/// Twenty changes more of `poison`, none of them large.
async fn poison_again(stage: &Stage) {
    {
        let mut world = stage.fake.world();
        for n in 20..40 {
            world.put(TABLE, item("poison", &n.to_string())).expect("a change");
        }
    }
    stage.all_arrive().await;
}

/// With `oversize = "halt"` what is before it in its aggregate is delivered, and the checkpoint is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_of_an_aggregate_halts_its_shard_just_before_it() {
    let stage = Stage::with_shards(1);
    let large = poison(&stage);
    let shard = stage.open_shard();
    let refuse = Fault::reject(400, "ValidationException");
    stage.fake.world().faults.always("PutRecords", move |request| has_large(request, large), refuse);
    let process = Process::run(&stage.text("", OF_TABLE, &format!("{KPL}\noversize = \"halt\"")));
    stage.fake.wait_until("the shard halted", |world| shard_row(world, &shard)["state"] == "halted").await;
    let last = stage.fake.world().changes(TABLE)[3].sequence_number.clone();
    let at_it = |world: &World| shard_row(world, &shard)["checkpoint"] == last.as_str();
    stage.fake.wait_until("the checkpoint just before it", at_it).await;
    process.ends_cleanly().await;
    stage.assert_missing(4..11);
}

/// More than the stream takes is the configuration's to correct: exit code 2, at the start and by `check`, and nothing made.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_above_the_streams_is_refused() {
    let stage = Stage::with_shards(1);
    let text = stage.text("", OF_TABLE, "aggregation = \"kpl\"\naggregate_limit = \"1025KiB\"");
    let told = "aggregate_limit is 1049600 bytes, but Kinesis stream `orders-cdc` takes records of 1024 KiB";
    let (code, log) = Process::run(&text).end().await;
    assert!(code == Some(2) && log.contains(told) && log.contains("MaxRecordSizeInKiB"), "{code:?} {log}");
    let (code, stdout, _) = output_of(&text, &["check"]).await;
    assert!(code == Some(2) && stdout.contains(told), "{code:?} {stdout}");
    assert!(stdout.contains("allowed: kinesis:DescribeStreamSummary"), "the rest is asked too: {stdout}");
    assert!(stage.fake.world().tables.keys().eq([TABLE]), "no lease table was made");
    // The stream is raised.
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 1_025;
    assert_eq!(output_of(&text, &["check"]).await.0, Some(0));
}

/// For a reader that we did not write (.ci/aggregates): what was written and what stands in Kinesis, as two files in the
/// folder that BRIDGE_AGGREGATES names, or in one that is thrown away.
#[tokio::test(flavor = "multi_thread")]
async fn for_another_reader() {
    let stage = Stage::with_shards(2);
    {
        let mut world = stage.fake.world();
        for n in 0..1_200 {
            let mut item = item(&format!("Ünïcode 🦀 {}", n % 7), &n.to_string());
            // Lengths of one, two and three bytes of a varint; and every seventh key's changes wait alone.
            item["text"] = json!({"S": "é".repeat([0, 40, 9_000][n % 3])});
            world.put(TABLE, item).expect("a change");
        }
        for n in 0..50 {
            world.put(TABLE, item(&format!("lone-{n}"), "1")).expect("a change");
        }
        let entries = Fault::fail_entries(Which::EveryNth(3), "InternalFailure");
        world.faults.always("PutRecords", |_| true, entries);
    }
    let process =
        Process::run(&stage.text("", OF_TABLE, "aggregation = \"kpl\"\naggregate_limit = \"200KB\""));
    stage.all_arrive().await;
    process.ends_cleanly().await;
    stage.judge().assert_exactly_once();
    let thrown_away = tempfile::tempdir().expect("a folder");
    let folder = std::env::var_os("BRIDGE_AGGREGATES");
    let folder = folder.as_ref().map_or(thrown_away.path(), std::path::Path::new);
    let world = stage.fake.world();
    let written = world.written(TABLE).map(
        |written| json!({"item": written.change.item_key, "sequence_number": written.change.sequence_number}),
    );
    let stored = world.kinesis_stream(SINK).stored.iter().map(|stored| {
        json!({
            "partition_key": stored.partition_key,
            "sequence_number": stored.sequence_number,
            "data": STANDARD.encode(&stored.data),
        })
    });
    for (name, lines) in [("written", written.collect::<Vec<_>>()), ("stored", stored.collect())] {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(folder.join(format!("{name}.jsonl")), text).expect("a file");
    }
}
