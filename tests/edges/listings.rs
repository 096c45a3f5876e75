//! Listings that are paged, late, out of order or wrong: what DescribeStream shows never loses a change or its order.

use crate::bridge::{OF_TABLE, Stage, write};
use crate::rows::{assert_lineage, finished_row, is_there, shard_row};
use crate::support::shards::{ListingOrder, ShownEnd};

const HOUR_MS: u64 = 3_600_000;

/// Three generations before the start, listed like this.
async fn tree(order: ListingOrder, page: usize) {
    let stage = Stage::with_shards(1);
    {
        let mut world = stage.fake.world();
        world.stream_mut(&stage.stream).listing_order = order;
        world.quirks.describe_page = page;
        for _ in 0..2 {
            write(&mut world, 20, 7);
            let open = world.stream(&stage.stream).open_shards();
            world.rotate(&stage.stream, &open[0]);
        }
        write(&mut world, 20, 7);
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_lineage(&stage.fake.world(), &stage.stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn children_listed_before_their_parents() {
    tree(ListingOrder::ChildrenFirst, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_one_shard_with_children_first() {
    tree(ListingOrder::ChildrenFirst, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_one_shard_in_any_order() {
    tree(ListingOrder::Shuffled(3), 1).await;
}

/// A parent whose child is listed first, or that never is, can still be read: it is, before the child. One that is not
/// listed yet may still turn out to have a parent itself, so a young child waits a minute for a better listing; here the
/// child of the parent that never is listed is an hour old.
#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_listings_lack_is_read_first_all_the_same() {
    for late in [true, false] {
        let stage = Stage::with_shards(1);
        let parent = stage.open_shard();
        {
            let mut world = stage.fake.world();
            write(&mut world, 20, 7);
            world.fixed_now_ms = (!late).then(|| world.now_ms() - HOUR_MS);
            world.rotate(&stage.stream, &parent);
            world.fixed_now_ms = None;
            write(&mut world, 20, 7);
            if late {
                // The probe makes the first call, discovery's first listing the second.
                world.list_after_calls(&stage.stream, &parent, 2);
            } else {
                world.hide_shard(&stage.stream, &parent);
            }
        }
        let bridge = stage.start(stage.plain()).await;
        stage.all_arrive().await;
        bridge.stop().await;
        stage.judge().assert_exactly_once();
        let world = stage.fake.world();
        assert!(is_there(&finished_row(&world, &parent)));
        assert_lineage(&world, &stage.stream);
    }
}

/// A child not listed when its parent ends never delays the parent's end; discovery adds it later.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_is_listed_late() {
    let stage = Stage::with_shards(1);
    let parent = stage.open_shard();
    stage.write(10, 5);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    let child = {
        let mut world = stage.fake.world();
        let child = world.rotate(&stage.stream, &parent);
        // Neither the question at the parent's end nor the sweep that follows it shows the child.
        world.list_after_calls(&stage.stream, &child, 2);
        write(&mut world, 10, 5);
        child
    };
    stage.fake.wait_until("the parent finished", |world| is_there(&finished_row(world, &parent))).await;
    stage.fake.wait_until("the child's row", |world| is_there(&shard_row(world, &child))).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_lineage(&stage.fake.world(), &stage.stream);
}

/// Seen during a reshard: a parent that has children and no EndingSequenceNumber; seen in an emulator: an
/// EndingSequenceNumber on an open shard. Only a missing next iterator ends a shard.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_listing_says_of_a_shards_end_is_not_believed() {
    for start in ["trim_horizon", "latest"] {
        let stage = Stage::with_shards(1);
        let parent = stage.open_shard();
        stage.fake.world().show_end(&stage.stream, &parent, ShownEnd::Ended);
        let bridge = stage.start(stage.config("", &format!("{OF_TABLE}\nstart = \"{start}\""), "")).await;
        stage
            .fake
            .wait_until("the shard being read", |world| {
                is_there(&shard_row(world, &parent)) && world.log.count("GetRecords") > 0
            })
            .await;
        stage.write(10, 5);
        stage.all_arrive().await;
        {
            let mut world = stage.fake.world();
            world.show_end(&stage.stream, &parent, ShownEnd::Open);
            write(&mut world, 10, 5);
            world.rotate(&stage.stream, &parent);
            write(&mut world, 10, 5);
        }
        stage.all_arrive().await;
        bridge.stop().await;
        stage.judge().assert_exactly_once();
        assert_lineage(&stage.fake.world(), &stage.stream);
    }
}

/// LocalStack's default Streams provider: an iterator that ends in `|None`, numbers of 56 digits, no filter, ENABLING.
#[tokio::test(flavor = "multi_thread")]
async fn localstacks_ways() {
    let stage = Stage::new("NEW_AND_OLD_IMAGES", 2, |world| world.be_localstack());
    stage.write(50, 13);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    let parent = {
        let mut world = stage.fake.world();
        let open = world.stream(&stage.stream).open_shards();
        write(&mut world, 20, 13);
        world.rotate(&stage.stream, &open[0]);
        write(&mut world, 20, 13);
        open[0].clone()
    };
    stage.all_arrive().await;
    stage.fake.wait_until("the parent finished", |world| is_there(&finished_row(world, &parent))).await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_lineage(&stage.fake.world(), &stage.stream);
}
