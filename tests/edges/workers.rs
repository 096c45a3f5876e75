//! Workers that meet: one id belongs to one worker, and what a dead worker leaves is taken up by another.

use ddb_kinesis_bridge::config::Config;
use ddb_kinesis_bridge::start::StartError;
use serde_json::json;

use crate::bridge::{OF_TABLE, Stage, parse, with_failover};
use crate::process::Process;
use crate::rows::{LEASES, session_rows, shard_row, shard_rows};
use crate::support::items::KeySchema;

fn worker(stage: &Stage, id: &str) -> Config {
    stage.config(&format!("[worker]\nid = \"{id}\""), OF_TABLE, "")
}

/// The same for tests in which a worker dies.
fn mortal(stage: &Stage, id: &str) -> Config {
    parse(&with_failover(&stage.text(&format!("[worker]\nid = \"{id}\""), OF_TABLE, ""), 3))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_of_the_same_id_refuses_to_run() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    stage.write(10, 3);
    let first = stage.start(worker(&stage, "w1")).await;
    stage.all_arrive().await;
    let second = stage.start(worker(&stage, "w1")).await;
    let error = second.end().await.expect_err("the id is in use");
    assert!(matches!(error, StartError::Session(_)));
    let text = error.to_string();
    assert!(text.contains("\"w1\"") && text.contains("[worker] id"), "{text}");
    stage.write(10, 3);
    stage.all_arrive().await;
    assert_eq!(shard_row(&stage.fake.world(), &shard)["epoch"], "1", "the first worker was not disturbed");
    first.stop().await;
    stage.judge().assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_after_a_crash_takes_its_leases_back() {
    let stage = Stage::with_shards(2);
    stage.write(10, 3);
    let first = stage.start(mortal(&stage, "w1")).await;
    stage.all_arrive().await;
    first.kill().await;
    stage.write(10, 3);
    let second = stage.start(mortal(&stage, "w1")).await;
    stage.all_arrive().await;
    second.stop().await;
    stage.judge().assert_complete_and_ordered();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_shards_are_taken_up_by_another() {
    let stage = Stage::with_shards(3);
    stage.write(30, 11);
    let first = stage.start(mortal(&stage, "w1")).await;
    stage.all_arrive().await;
    let second = stage.start(mortal(&stage, "w2")).await;
    stage.fake.wait_until("both sessions", |world| session_rows(world).len() == 2).await;
    stage.write(30, 11);
    stage.all_arrive().await;
    let epochs = |world: &crate::support::world::World| -> Vec<(String, String)> {
        let rows = shard_rows(world);
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        rows.iter().map(|row| (text(&row["owner"]), text(&row["epoch"]))).collect()
    };
    let held = vec![("w1".to_owned(), "1".to_owned()); 3];
    assert_eq!(epochs(&stage.fake.world()), held, "nothing is taken from the living");
    first.kill().await;
    stage.write(30, 11);
    stage.all_arrive().await;
    // A second's session may be lost on a busy machine, and the leases taken anew: then the epoch is higher yet.
    let taken =
        |(owner, epoch): &(String, String)| owner == "w2" && epoch.parse().is_ok_and(|epoch: u64| epoch >= 2);
    let held = epochs(&stage.fake.world());
    assert!(held.len() == 3 && held.iter().all(taken), "{held:?}");
    assert_eq!(session_rows(&stage.fake.world()).len(), 1, "the dead worker's session is gone");
    // Discovery moved too: a new generation is found and read.
    {
        let mut world = stage.fake.world();
        let open = world.stream(&stage.stream).open_shards();
        world.rotate(&stage.stream, &open[0]);
    }
    stage.write(30, 11);
    stage.all_arrive().await;
    second.stop().await;
    stage.judge().assert_complete_and_ordered();
    crate::rows::assert_lineage(&stage.fake.world(), &stage.stream);
}

/// Its own session row, edited to nonsense, must not keep a worker from starting without a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_row_of_ones_own_that_does_not_read_is_said() {
    let stage = Stage::with_shards(1);
    {
        let mut world = stage.fake.world();
        world.create_table(LEASES, KeySchema::hash("pk", "S").and_range("sk", "S"));
        let row = json!({"pk": {"S": "workers"}, "sk": {"S": "w1"}, "counter": {"S": "many"}});
        world.put(LEASES, row);
    }
    stage.write(10, 3);
    let process = Process::run(&stage.text("[worker]\nid = \"w1\"", OF_TABLE, ""));
    let line = process.says("workers / w1");
    assert!(line.contains("restore it or delete it"), "{line}");
    // The remedy helps, without a restart.
    stage.fake.world().delete(LEASES, json!({"pk": {"S": "workers"}, "sk": {"S": "w1"}}));
    stage.all_arrive().await;
    process.signal("TERM");
    assert_eq!(process.end().await.0, Some(0));
    stage.judge().assert_exactly_once();
}

/// A worker that drains leaves its leases free: the other need not wait for its death.
#[tokio::test(flavor = "multi_thread")]
async fn a_drained_workers_shards_are_taken_up_without_duplicates() {
    let stage = Stage::with_shards(2);
    stage.write(30, 11);
    let first = stage.start(worker(&stage, "w1")).await;
    stage.all_arrive().await;
    let second = stage.start(worker(&stage, "w2")).await;
    stage.fake.wait_until("both sessions", |world| session_rows(world).len() == 2).await;
    first.stop().await;
    stage.write(30, 11);
    stage.all_arrive().await;
    second.stop().await;
    stage.judge().assert_exactly_once();
}

/// A session row that does not read (edited by hand, or of another version) cannot be judged: its worker keeps its leases.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_from_a_worker_whose_session_does_not_read() {
    let stage = Stage::with_shards(2);
    stage.write(10, 3);
    let first = stage.start(worker(&stage, "w1")).await;
    stage.all_arrive().await;
    let key = json!({"pk": {"S": "workers"}, "sk": {"S": "w1"}});
    stage.fake.world().update(LEASES, key, json!({"host": {"BOOL": true}}));
    let second = stage.start(worker(&stage, "w2")).await;
    let looks = |world: &crate::support::world::World| world.log.count("Query");
    let before = looks(&stage.fake.world());
    stage.fake.wait_until("w2 has looked often", |world| looks(world) >= before + 20).await;
    stage.write(10, 3);
    stage.all_arrive().await;
    for row in shard_rows(&stage.fake.world()) {
        assert_eq!((row["owner"].as_str(), row["epoch"].as_str()), (Some("w1"), Some("1")));
    }
    second.stop().await;
    first.stop().await;
    stage.judge().assert_exactly_once();
}
