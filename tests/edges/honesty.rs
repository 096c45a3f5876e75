//! What could not be kept is said (P7): in the metrics and by /readyz, as an operator sees them of the built binary.

use std::net::SocketAddr;

use serde_json::json;

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, item, with_failover};
use crate::process::{HTTP, Process, get};
use crate::rows::{is_there, shard_row};
use crate::support::fault::{Fault, Which};

/// A metric's value for the pipeline `orders`.
#[track_caller]
fn metric(address: SocketAddr, name: &str) -> u64 {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200, "{text}");
    let wanted = format!("ddb_kinesis_bridge_{name}{{pipeline=\"orders\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&wanted));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {wanted} in:\n{text}"))
}

/// Carries ten changes; of ten more, written while the bridge is down, retention takes five.
async fn trimmed_while_down(stage: &Stage) -> String {
    let shard = stage.open_shard();
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.write(10, 3);
    let mut world = stage.fake.world();
    let trimmed = world.changes(TABLE)[14].sequence_number.clone();
    world.trim_through(&stage.stream, &shard, &trimmed);
    shard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_counted_and_what_was_carried_too() {
    let stage = Stage::with_shards(1);
    let shard = trimmed_while_down(&stage).await;
    let bridge = Process::run(&stage.text(HTTP, OF_TABLE, ""));
    stage.all_but_arrive(15).await;
    stage
        .fake
        .wait_until("the gap's end in the row", |world| is_there(&shard_row(world, &shard)["gaps"][0]["to"]))
        .await;
    let address = bridge.http_address();
    assert_eq!(metric(address, "gaps_total"), 1);
    assert_eq!(metric(address, "changes_read_total"), 5);
    assert_eq!(metric(address, "changes_delivered_total"), 5);
    assert_eq!(metric(address, "leases_owned"), 1);
    assert_eq!(metric(address, "halted_shards"), 0);
    assert_eq!(
        get(address, "/readyz"),
        (200, "ok\n".to_owned()),
        "a gap that was accepted is no reason to be unready"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_shard_is_not_ready_and_says_which_and_why() {
    let stage = Stage::with_shards(1);
    let shard = trimmed_while_down(&stage).await;
    let bridge = Process::run(&stage.text(HTTP, &format!("{OF_TABLE}\non_gap = \"halt\""), ""));
    stage.fake.wait_until("the shard halted", |world| shard_row(world, &shard)["state"] == "halted").await;
    let address = bridge.http_address();
    let (status, why) = get(address, "/readyz");
    assert_eq!(status, 503);
    for part in ["pipeline orders", shard.as_str(), "halted", "on_gap = \"continue\""] {
        assert!(why.contains(part), "{part:?} is not in: {why}");
    }
    assert_eq!(metric(address, "halted_shards"), 1);
    assert_eq!(get(address, "/livez").0, 200, "restarting the process would not help");
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_records_and_excluded_changes_are_counted() {
    let stage = Stage::with_shards(1);
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 2;
    for version in ["1", "2"] {
        let large = json!({"id": {"S": "large"}, "line": {"N": "1"}, "text": {"S": version.repeat(3_000)}});
        stage.fake.world().put(TABLE, large).expect("a change");
    }
    stage.write(5, 5);
    let bridge = Process::run(&stage.text(HTTP, OF_TABLE, ""));
    stage.all_arrive().await;
    assert_eq!(metric(bridge.http_address(), "truncated_total"), 2);
}

/// P2 rests on Kinesis keeping the order of acknowledged puts: where it does not, that is seen and counted.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_kinesis_does_not_keep_is_counted() {
    let stage = Stage::with_shards(1);
    let bridge = Process::run(&stage.text(HTTP, OF_TABLE, ""));
    for version in ["1", "2"] {
        stage.fake.world().put(TABLE, item("a", version)).expect("a change");
        stage.all_arrive().await;
    }
    let address = bridge.http_address();
    stage.fake.wait_until("two records", |_| metric(address, "records_put_total") == 2).await;
    assert_eq!(metric(address, "order_inversions_total"), 0);
    stage.fake.world().kinesis_stream_mut(SINK).last_number = 0;
    stage.fake.world().put(TABLE, item("a", "3")).expect("a change");
    stage.fake.wait_until("three records", |_| metric(address, "records_put_total") == 3).await;
    assert_eq!(metric(address, "order_inversions_total"), 1);
}

/// The session is part of being ready: without the lease table nothing may be sent.
#[tokio::test(flavor = "multi_thread")]
async fn without_heartbeats_it_is_not_ready() {
    let stage = Stage::with_shards(1);
    let bridge = Process::run(&with_failover(&stage.text(HTTP, OF_TABLE, ""), 1));
    let address = bridge.http_address();
    stage.fake.wait_until("ready", |_| get(address, "/readyz").0 == 200).await;
    let fails = Fault::internal();
    let rule = stage.fake.world().faults.always("UpdateItem", |_| true, fails);
    stage
        .fake
        .wait_until("not ready", |_| {
            let (status, why) = get(address, "/readyz");
            status == 503 && why.contains("no session")
        })
        .await;
    stage.fake.world().faults.lift(rule);
    stage.fake.wait_until("ready again", |_| get(address, "/readyz").0 == 200).await;
}

/// Trouble that comes and goes is said once a minute, not with every call.
#[tokio::test(flavor = "multi_thread")]
async fn entries_that_fail_now_and_then_do_not_flood_the_log() {
    let stage = Stage::with_shards(1);
    stage.write(200, 23);
    let fail = Fault::fail_entries(Which::EveryNth(3), "ProvisionedThroughputExceededException");
    stage.fake.world().faults.always("PutRecords", |_| true, fail);
    let began = std::time::Instant::now();
    let bridge = Process::run(&stage.text(HTTP, OF_TABLE, ""));
    stage.all_arrive().await;
    let log = bridge.log();
    let said = log.lines().filter(|line| line.contains("records are sent again")).count() as u64;
    assert!(said >= 1 && said <= 1 + began.elapsed().as_secs() / 10, "{log}");
}
