//! `start = "latest"`: changes made before the first start are left out, every later one is carried, also when the first
//! start was cut short.

use crate::bridge::{OF_TABLE, Stage, TABLE, parse, with_failover, write};
use crate::rows::{assert_lineage, finished_row, first_iterator, is_there, shard_row, stream_row};
use crate::support::fault::Fault;
use crate::support::log::Request;
use crate::support::shards::GoneAnswer;
use ddb_kinesis_bridge::config::Config;

const HOUR_MS: u64 = 3_600_000;

fn latest(stage: &Stage) -> Config {
    parse(&stage.text("", &format!("{OF_TABLE}\nstart = \"latest\""), ""))
}

/// The same for tests in which a worker dies.
fn mortal(stage: &Stage) -> Config {
    parse(&with_failover(&stage.text("", &format!("{OF_TABLE}\nstart = \"latest\""), ""), 1))
}

/// Writes changes as if an hour ago.
fn write_an_hour_ago(stage: &Stage, count: usize) {
    let mut world = stage.fake.world();
    world.fixed_now_ms = Some(world.now_ms() - HOUR_MS);
    write(&mut world, count, 3);
    world.fixed_now_ms = None;
}

/// Waits until the shard is being read, from a LATEST iterator.
async fn is_read(stage: &Stage, shard: &str) {
    stage
        .fake
        .wait_until("the shard being read", |world| {
            is_there(&shard_row(world, shard)["latest_from_ms"]) && world.log.count("GetRecords") > 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_changes_are_left_out_and_later_ones_carried() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    stage.write(20, 3);
    let bridge = stage.start(latest(&stage)).await;
    is_read(&stage, &shard).await;
    stage.write(20, 3);
    stage.all_but_arrive(20).await;
    bridge.stop().await;
    stage.write(20, 3);
    let bridge = stage.start(latest(&stage)).await;
    stage.all_but_arrive(20).await;
    bridge.stop().await;
    stage.assert_missing(0..20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_before_the_first_record_keeps_to_the_moment() {
    for is_crash in [false, true] {
        let stage = Stage::with_shards(1);
        let shard = stage.open_shard();
        write_an_hour_ago(&stage, 20);
        let bridge = stage.start(mortal(&stage)).await;
        is_read(&stage, &shard).await;
        if is_crash {
            bridge.kill().await
        } else {
            bridge.stop().await
        }
        stage.write(20, 3);
        let bridge = stage.start(mortal(&stage)).await;
        stage.all_but_arrive(20).await;
        bridge.stop().await;
        stage.assert_missing(0..20);
    }
}

/// Fifteen minutes without a change: the LATEST iterator expires, and the moment stands.
#[tokio::test(flavor = "multi_thread")]
async fn an_iterator_that_expires_before_the_first_record() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    write_an_hour_ago(&stage, 20);
    let bridge = stage.start(latest(&stage)).await;
    is_read(&stage, &shard).await;
    {
        let mut world = stage.fake.world();
        world.expire_iterators();
        write(&mut world, 20, 3);
    }
    stage.all_but_arrive(20).await;
    bridge.stop().await;
    stage.assert_missing(0..20);
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_closed_before_are_stored_finished_and_never_read() {
    let stage = Stage::with_shards(1);
    let closed = stage.open_shard();
    stage.write(10, 3);
    stage.fake.world().rotate(&stage.stream, &closed);
    let open = stage.open_shard();
    stage.write(10, 3);
    let bridge = stage.start(latest(&stage)).await;
    is_read(&stage, &open).await;
    stage.write(10, 3);
    stage.all_but_arrive(20).await;
    bridge.stop().await;
    stage.assert_missing(0..20);
    let world = stage.fake.world();
    let row = finished_row(&world, &closed);
    assert!(is_there(&row) && row["gaps"].is_null(), "{row}");
    assert_eq!(first_iterator(&world, &closed), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn children_born_after_the_start_are_read_from_their_beginning() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    stage.write(10, 3);
    let bridge = stage.start(latest(&stage)).await;
    is_read(&stage, &shard).await;
    {
        let mut world = stage.fake.world();
        write(&mut world, 5, 3);
        world.split(&stage.stream, &shard);
        write(&mut world, 15, 3);
    }
    stage.all_but_arrive(10).await;
    bridge.stop().await;
    stage.assert_missing(0..10);
    assert_lineage(&stage.fake.world(), &stage.stream);
}

/// With `latest`, earlier streams of the table are left out at the first start; a later one is read from its beginning.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_enabled_later_is_read_from_its_beginning() {
    let stage = Stage::with_shards(1);
    let earlier = stage.open_shard();
    stage.write(10, 3);
    let open = {
        let mut world = stage.fake.world();
        world.disable_stream(&stage.stream);
        let second = world.enable_stream(TABLE, "NEW_AND_OLD_IMAGES", 1);
        world.stream(&second).open_shards().remove(0)
    };
    let bridge = stage.start(latest(&stage)).await;
    is_read(&stage, &open).await;
    stage.write(5, 3);
    stage.all_but_arrive(10).await;
    {
        let mut world = stage.fake.world();
        let second = world.latest_stream_of(TABLE).expect("a stream").arn.clone();
        write(&mut world, 5, 3);
        world.disable_stream(&second);
        world.enable_stream(TABLE, "NEW_AND_OLD_IMAGES", 1);
        write(&mut world, 5, 3);
    }
    stage.all_but_arrive(10).await;
    bridge.stop().await;
    stage.assert_missing(0..10);
    let world = stage.fake.world();
    assert_eq!(first_iterator(&world, &earlier), None);
    let gaps = stream_row(&world)["gaps"].as_array().map_or(0, Vec::len);
    assert_eq!(gaps, 1, "only the time between the second stream and the third: {}", stream_row(&world));
}

/// Killed in the middle of its first listing: what was entered keeps its moment, and what came behind it is read whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_cut_short_before_its_listing_was_stored_whole() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    write_an_hour_ago(&stage, 10);
    let completes = |request: &Request| request.input["Item"]["initialized"]["BOOL"] == true;
    let rule = stage.fake.world().faults.always("PutItem", completes, Fault::internal());
    let bridge = stage.start(mortal(&stage)).await;
    stage.fake.wait_until("the shard's row", |world| is_there(&shard_row(world, &shard))).await;
    bridge.kill().await;
    assert_eq!(stream_row(&stage.fake.world())["initialized"], false);
    {
        let mut world = stage.fake.world();
        world.faults.lift(rule);
        write(&mut world, 5, 3);
        world.rotate(&stage.stream, &shard);
        write(&mut world, 5, 3);
    }
    let bridge = stage.start(mortal(&stage)).await;
    stage.all_but_arrive(10).await;
    bridge.stop().await;
    stage.assert_missing(0..10);
    assert_lineage(&stage.fake.world(), &stage.stream);
}

/// A parent that is gone is nothing to want for who starts at the latest.
#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_is_gone_is_skipped() {
    let stage = Stage::with_shards(1);
    let parent = stage.open_shard();
    stage.write(10, 3);
    let child = {
        let mut world = stage.fake.world();
        // Behind a young shard, a listing without its parent is not believed.
        world.fixed_now_ms = Some(world.now_ms() - 3_600_000);
        let child = world.rotate(&stage.stream, &parent);
        world.fixed_now_ms = None;
        world.drop_shard(&stage.stream, &parent, GoneAnswer::ResourceNotFound);
        child
    };
    let bridge = stage.start(latest(&stage)).await;
    is_read(&stage, &child).await;
    stage.write(10, 3);
    stage.all_but_arrive(10).await;
    bridge.stop().await;
    stage.assert_missing(0..10);
}
