//! Shards that end: rotation, splits, generations; a child is read only behind its parent's last acknowledged change
//! (P3), which the request log shows.

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, item, judged, write};
use crate::rows::{
    assert_lineage, finished_at, finished_row, finished_rows, first_iterator, is_there, session_rows,
    shard_row, shard_rows,
};
use crate::support::fault::{Fault, Gate};
use crate::support::log::Request;

#[tokio::test(flavor = "multi_thread")]
async fn generations_of_rotations_and_splits_while_changes_are_written() {
    let stage = Stage::with_shards(2);
    let bridge = stage.start(stage.plain()).await;
    let mut closed = 0;
    for _ in 0..3 {
        stage.write(60, 17);
        {
            // All at once: the parents hold changes not yet read when their children begin.
            let mut world = stage.fake.world();
            let open = world.stream(&stage.stream).open_shards();
            world.rotate(&stage.stream, &open[0]);
            world.split(&stage.stream, &open[1]);
            closed += 2;
        }
        stage.write(60, 17);
        stage.fake.wait_until("a finished shard", |world| finished_rows(world).len() > closed - 2).await;
    }
    stage.all_arrive().await;
    stage.fake.wait_until("every closed shard finished", |world| finished_rows(world).len() == closed).await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_lineage(&stage.fake.world(), &stage.stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_tree_is_read_in_its_order_at_the_first_start() {
    let stage = Stage::with_shards(1);
    for _ in 0..3 {
        stage.write(30, 7);
        let mut world = stage.fake.world();
        let open = world.stream(&stage.stream).open_shards();
        world.split(&stage.stream, &open[0]);
    }
    stage.write(30, 7);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_lineage(&stage.fake.world(), &stage.stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_shards_end_too() {
    let stage = Stage::with_shards(1);
    let mut empty = Vec::new();
    {
        let mut world = stage.fake.world();
        for _ in 0..3 {
            let open = world.stream(&stage.stream).open_shards().remove(0);
            world.rotate(&stage.stream, &open);
            empty.push(open);
        }
    }
    stage.write(5, 5);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    let world = stage.fake.world();
    for shard in &empty {
        let row = finished_row(&world, shard);
        assert!(is_there(&row) && row["checkpoint"].is_null() && row["gaps"].is_null(), "{row}");
    }
    assert_lineage(&world, &stage.stream);
}

/// The last page holds records and no next iterator; or its iterator leads to an empty page that is the end.
#[tokio::test(flavor = "multi_thread")]
async fn records_may_come_together_with_the_end() {
    for end_on_empty_page in [false, true] {
        let stage = Stage::with_shards(1);
        let parent = stage.open_shard();
        {
            let mut world = stage.fake.world();
            world.quirks.end_on_empty_page = end_on_empty_page;
            write(&mut world, 10, 3);
            world.rotate(&stage.stream, &parent);
            write(&mut world, 10, 3);
        }
        let bridge = stage.start(stage.plain()).await;
        stage.all_arrive().await;
        bridge.stop().await;
        stage.judge().assert_exactly_once();
        let world = stage.fake.world();
        let last = world.changes(TABLE)[9].sequence_number.clone();
        assert_eq!(finished_row(&world, &parent)["checkpoint"], last.as_str());
        assert_lineage(&world, &stage.stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_waits_until_its_parents_last_change_is_acknowledged() {
    let stage = Stage::with_shards(1);
    let parent = stage.open_shard();
    let gate = Gate::shut();
    let (child, rule) = {
        let mut world = stage.fake.world();
        write(&mut world, 10, 5);
        let child = world.rotate(&stage.stream, &parent);
        write(&mut world, 10, 5);
        (child, world.faults.always("PutRecords", |_| true, Fault::Hold(gate.clone())))
    };
    let bridge = stage.start(stage.plain()).await;
    gate.reached_by(1).await;
    // Time enough for whoever does not wait: the leases are looked at several times over.
    let looks = stage.fake.world().log.count("Query");
    stage.fake.wait_until("more rounds", |world| world.log.count("Query") > looks + 3).await;
    {
        let mut world = stage.fake.world();
        assert_eq!(first_iterator(&world, &child), None, "the child is read before its parent is delivered");
        assert_eq!(finished_at(&world, &parent), None);
        assert!(is_there(&shard_row(&world, &parent)));
        world.faults.lift(rule);
    }
    gate.open();
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
    assert_lineage(&stage.fake.world(), &stage.stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shards_end_asks_for_its_children_and_stores_them_with_it() {
    let stage = Stage::with_shards(1);
    let parent = stage.open_shard();
    let bridge = stage.start(stage.plain()).await;
    stage.write(10, 5);
    stage.all_arrive().await;
    let children = stage.fake.world().split(&stage.stream, &parent);
    stage.fake.wait_until("the parent finished", |world| is_there(&finished_row(world, &parent))).await;
    stage.write(20, 10);
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();

    let world = stage.fake.world();
    let asked = world.log.of("DescribeStream").any(|request| {
        request.input["ShardFilter"]["Type"] == "CHILD_SHARDS"
            && request.input["ShardFilter"]["ShardId"] == parent
    });
    assert!(asked, "the children are asked for");
    let arrival = finished_at(&world, &parent).expect("the parent is finished");
    let finish = world.log.all()[arrival].input.to_string();
    for child in &children {
        assert!(finish.contains(&format!("#{child}")), "{finish}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ignores_child_shards_brings_no_strangers() {
    let stage = Stage::with_shards(2);
    stage.fake.world().quirks.ignore_shard_filter = true;
    let bridge = stage.start(stage.plain()).await;
    stage.write(30, 11);
    stage.all_arrive().await;
    let (first, second, child) = {
        let mut world = stage.fake.world();
        let open = world.stream(&stage.stream).open_shards();
        let child = world.rotate(&stage.stream, &open[0]);
        (open[0].clone(), open[1].clone(), child)
    };
    stage.fake.wait_until("the end of the first", |world| is_there(&finished_row(world, &first))).await;
    stage.write(30, 11);
    stage.all_arrive().await;
    stage.fake.wait_until("the child's row", |world| is_there(&shard_row(world, &child))).await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    assert_lineage(&world, &stage.stream);
    assert_eq!(shard_rows(&world).len(), 2);
    assert_eq!(shard_row(&world, &second)["parents"], serde_json::json!([]));
}

/// Killed between its end and the finish transaction's answer, a shard is neither read again nor finished twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_a_shards_end() {
    let stage = Stage::with_shards(1);
    let parent = stage.open_shard();
    stage.write(10, 5);
    let bridge = stage.start(stage.mortal()).await;
    stage.all_arrive().await;
    let gate = Gate::shut();
    {
        let mut world = stage.fake.world();
        let of_finish = |request: &Request| request.input.to_string().contains("finished_at_ms");
        world.faults.always("TransactWriteItems", of_finish, Fault::HoldAnswer(gate.clone()));
        write(&mut world, 10, 5);
        world.rotate(&stage.stream, &parent);
        write(&mut world, 10, 5);
    }
    gate.reached_by(1).await;
    bridge.kill().await;
    gate.open();
    assert!(is_there(&finished_row(&stage.fake.world(), &parent)));
    let arrival = stage.fake.world().log.all().len();

    let bridge = stage.start(stage.mortal()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
    let world = stage.fake.world();
    let again = world.log.of("GetShardIterator").filter(|request| request.arrival > arrival);
    assert!(again.into_iter().all(|request| request.input["ShardId"] != parent), "it is read again");
    assert_lineage(&world, &stage.stream);
}

/// A split's children share nothing: one that cannot be delivered does not hold up the other.
#[tokio::test(flavor = "multi_thread")]
async fn siblings_do_not_wait_for_each_other() {
    let stage = Stage::with_shards(1);
    let parent = stage.open_shard();
    let bridge = stage.start(stage.config("", OF_TABLE, "linger = \"0s\"")).await;
    stage.write(20, 20);
    stage.all_arrive().await;
    let rule = {
        let mut world = stage.fake.world();
        let [stuck, _] = world.split(&stage.stream, &parent);
        let is_stuck = move |request: &Request| request.input["ShardId"] == stuck;
        let rule = world.faults.always("GetShardIterator", is_stuck, Fault::internal());
        for n in 0..20 {
            world.put(TABLE, item(&format!("item-{n}"), &format!("2{n}"))).expect("a change");
        }
        rule
    };
    stage
        .fake
        .wait_until("the other child's changes", |world| {
            let of_stuck = world.stream(&stage.stream).open_shards().remove(0);
            let there = world.written(TABLE).filter(|written| written.shard_id != of_stuck).count();
            there > 20 && world.kinesis_stream(SINK).stored.len() == there
        })
        .await;
    stage.fake.world().faults.lift(rule);
    stage.all_arrive().await;
    bridge.stop().await;
    judged(&stage.fake.world()).assert_exactly_once();
    assert!(session_rows(&stage.fake.world()).is_empty(), "a drained worker leaves no session");
}
