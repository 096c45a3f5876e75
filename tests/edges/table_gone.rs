//! The lease table itself is deleted under running workers: with it goes who owns what and how far. They start over.

use ddb_kinesis_bridge::config::Config;

use crate::bridge::{OF_TABLE, Stage, parse, with_failover};
use crate::rows::{LEASES, session_rows, shard_rows};

fn worker(stage: &Stage, id: &str, front: &str, source: &str) -> Config {
    let front = format!("[worker]\nid = \"{id}\"\n{front}");
    parse(&with_failover(&stage.text(&front, source, ""), 1))
}

fn delete_table(stage: &Stage) {
    stage.fake.world().tables.remove(LEASES).expect("the lease table is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_make_it_anew_and_lose_nothing() {
    let stage = Stage::with_shards(3);
    stage.write(30, 11);
    let workers = [
        stage.start(worker(&stage, "w1", "", OF_TABLE)).await,
        stage.start(worker(&stage, "w2", "", OF_TABLE)).await,
    ];
    stage.all_arrive().await;
    delete_table(&stage);
    stage.write(30, 11);
    stage.fake.wait_until("both sessions", |world| session_rows(world).len() == 2).await;
    stage.fake.wait_until("the shards' rows", |world| shard_rows(world).len() == 3).await;
    stage.write(30, 11);
    stage.all_arrive().await;
    for worker in workers {
        worker.stop().await;
    }
    stage.judge().assert_complete_and_ordered();
}

/// Whoever started at the latest once does not do so again: what came meanwhile would be lost.
#[tokio::test(flavor = "multi_thread")]
async fn the_latest_of_a_first_start_is_not_the_latest_again() {
    let stage = Stage::with_shards(1);
    let latest = format!("{OF_TABLE}\nstart = \"latest\"");
    let bridge = stage.start(worker(&stage, "w1", "", &latest)).await;
    stage.fake.wait_until("the shard being read", |world| world.log.count("GetRecords") > 0).await;
    stage.write(10, 3);
    stage.all_arrive().await;
    delete_table(&stage);
    stage.write(10, 3);
    stage.fake.wait_until("the shard's row", |world| !shard_rows(world).is_empty()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}

/// Where it must not be created, nothing is sent, and the work goes on once it is there again.
#[tokio::test(flavor = "multi_thread")]
async fn without_leave_to_create_it_they_wait_for_it() {
    let stage = Stage::with_shards(1);
    stage.write(10, 3);
    let first = stage.start(worker(&stage, "w0", "", OF_TABLE)).await;
    stage.all_arrive().await;
    first.stop().await;
    let text = with_failover(&stage.text("[worker]\nid = \"w1\"", OF_TABLE, ""), 1);
    let bridge = stage.start(parse(&text.replace("[lease_table]", "[lease_table]\ncreate = false"))).await;
    stage.fake.wait_until("the session", |world| session_rows(world).len() == 1).await;
    let kept = stage.fake.world().tables.remove(LEASES).expect("the lease table is there");
    let begins = stage.fake.world().log.count("Query");
    // A tenure looks twice a second, and then a session is asked for: five fruitless questions are longer than the session lives.
    stage.fake.wait_until("questions in vain", |world| world.log.count("Query") > begins + 5).await;
    assert_eq!(stage.fake.world().log.count("CreateTable"), 1, "made at the first start alone");
    let stored = stage.fake.world().kinesis_stream("orders-cdc").stored.len();
    assert_eq!(stored, 10);
    stage.write(10, 3);
    stage.fake.world().tables.insert(LEASES.to_owned(), kept);
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}
