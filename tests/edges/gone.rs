//! Shards that are gone: not listed, and every iterator on them refused, twice.
//!
//! Where the child is younger than a minute, or there is none, the two refusals must lie 60 seconds apart: that is
//! shown by the simulation, where a minute costs nothing. Here the children are old.

use crate::bridge::{OF_TABLE, Stage, TABLE, write};
use crate::rows::{LEASES, assert_lineage, finished_row, finished_rows, first_iterator, is_there, shard_row};
use crate::support::shards::GoneAnswer;

const HOUR_MS: u64 = 3_600_000;

/// Rotates the shard as if an hour ago, so that the child's id is an hour old.
fn rotate_an_hour_ago(stage: &Stage, shard: &str) -> String {
    let mut world = stage.fake.world();
    world.fixed_now_ms = Some(world.now_ms() - HOUR_MS);
    let child = world.rotate(&stage.stream, shard);
    world.fixed_now_ms = None;
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_gone_before_the_first_start_is_nobodys_loss() {
    for answer in [GoneAnswer::ResourceNotFound, GoneAnswer::TrimmedDataAccess] {
        let stage = Stage::with_shards(1);
        let parent = stage.open_shard();
        stage.write(10, 3);
        rotate_an_hour_ago(&stage, &parent);
        stage.fake.world().drop_shard(&stage.stream, &parent, answer);
        stage.write(10, 3);
        let bridge = stage.start(stage.plain()).await;
        stage.all_but_arrive(10).await;
        bridge.stop().await;
        let world = stage.fake.world();
        let row = finished_row(&world, &parent);
        assert!(is_there(&row) && row["gaps"].is_null(), "{row}");
        let asked = world.log.of("GetShardIterator").filter(|request| request.input["ShardId"] == parent);
        assert_eq!(asked.count(), 2, "refused twice, and then believed");
        assert_lineage(&world, &stage.stream);
    }
}

/// Carries ten changes, then the shard gets five more, a child with five, and is gone.
async fn gone_while_down(stage: &Stage) -> (String, String) {
    let shard = stage.open_shard();
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.write(5, 3);
    let child = rotate_an_hour_ago(stage, &shard);
    let mut world = stage.fake.world();
    world.drop_shard(&stage.stream, &shard, GoneAnswer::ResourceNotFound);
    write(&mut world, 5, 3);
    (shard, child)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_shard_that_is_gone_is_finished_with_a_gap_and_its_child_read() {
    let stage = Stage::with_shards(1);
    let (shard, _) = gone_while_down(&stage).await;
    let bridge = stage.start(stage.plain()).await;
    stage.all_but_arrive(15).await;
    bridge.stop().await;
    let world = stage.fake.world();
    let row = finished_row(&world, &shard);
    let checkpoint = world.changes(TABLE)[9].sequence_number.clone();
    assert_eq!(row["gaps"][0]["from"], checkpoint.as_str(), "{row}");
    assert!(row["gaps"][0]["reason"].as_str().is_some_and(|reason| reason.contains("gone")), "{row}");
    assert_lineage(&world, &stage.stream);
    drop(world);
    stage.assert_missing(10..15);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_gap_halt_halts_a_shard_that_is_gone_and_its_child_waits() {
    let stage = Stage::with_shards(1);
    let (shard, child) = gone_while_down(&stage).await;
    let halt = format!("{OF_TABLE}\non_gap = \"halt\"");
    let bridge = stage.start(stage.config("", &halt, "")).await;
    stage.fake.wait_until("the shard halted", |world| shard_row(world, &shard)["state"] == "halted").await;
    let looks = stage.fake.world().log.count("Query");
    stage.fake.wait_until("more rounds", |world| world.log.count("Query") > looks + 3).await;
    bridge.stop().await;
    {
        let world = stage.fake.world();
        let row = shard_row(&world, &shard);
        assert!(row["halted_because"].as_str().is_some_and(|why| why.contains("gone")), "{row}");
        assert_eq!(first_iterator(&world, &child), None);
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_but_arrive(15).await;
    bridge.stop().await;
    assert!(is_there(&finished_row(&stage.fake.world(), &shard)["gaps"][0]));
}

/// The listing may lack a shard that can be read: that is not gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_listings_lack_is_read_on() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.fake.world().hide_shard(&stage.stream, &shard);
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert!(shard_row(&stage.fake.world(), &shard)["gaps"].is_null());
}

/// Finished rows are kept for 48 hours, and until no listing shows the shard or a child of it.
#[tokio::test(flavor = "multi_thread")]
async fn finished_rows_are_forgotten_when_nobody_needs_them() {
    let stage = Stage::new("NEW_AND_OLD_IMAGES", 1, |world| {
        world.fixed_now_ms = Some(world.now_ms() - 72 * HOUR_MS);
    });
    let mut chain = Vec::new();
    for _ in 0..3 {
        stage.write(3, 3);
        chain.push(stage.open_shard());
        stage.fake.world().rotate(&stage.stream, &chain[chain.len() - 1]);
    }
    // The shards' own dates say that they are old, too: no listing can lack them by mistake.
    stage.fake.world().fixed_now_ms = None;
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    stage.fake.wait_until("every end", |world| finished_rows(world).len() == 3).await;
    bridge.stop().await;
    {
        let mut world = stage.fake.world();
        let three_days_ago = world.now_ms() - 72 * HOUR_MS;
        for shard in &chain {
            let sk = finished_row(&world, shard)["sk"].as_str().expect("a finished row").to_owned();
            let key = serde_json::json!({"pk": {"S": "pipeline#orders"}, "sk": {"S": sk}});
            let old = serde_json::json!({"finished_at_ms": {"N": three_days_ago.to_string()}});
            world.update(LEASES, key, old);
        }
        for shard in &chain[..2] {
            world.drop_shard(&stage.stream, shard, GoneAnswer::TrimmedDataAccess);
        }
    }
    stage.write(3, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    stage.fake.wait_until("the oldest forgotten", |world| !is_there(&finished_row(world, &chain[0]))).await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    assert!(is_there(&finished_row(&world, &chain[1])), "a listed shard names it as its parent");
    assert!(is_there(&finished_row(&world, &chain[2])), "it is listed itself");
}
