//! Reading under bad conditions: expired iterators, throttles, errors and broken answers. Nothing is lost, nothing
//! ends, and no shard is asked more than five times a second.

use std::time::{Duration, Instant};

use crate::bridge::{OF_TABLE, Stage, write};
use crate::rows::{assert_lineage, finished_row, is_there, shard_rows};
use crate::support::fault::{Fault, Gate, Loss};
use crate::support::log::Outcome;

#[tokio::test(flavor = "multi_thread")]
async fn expired_iterators_are_replaced_after_the_last_record_read() {
    let stage = Stage::with_shards(1);
    stage.fake.world().quirks.records_page = 10;
    stage.write(60, 7);
    let bridge = stage.start(stage.plain()).await;
    for stored in [10, 40] {
        stage
            .fake
            .wait_until("some records", |world| {
                world.kinesis_stream(crate::bridge::SINK).stored.len() >= stored
            })
            .await;
        stage.fake.world().expire_iterators();
    }
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    let is_expiry = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Error { code, .. }) if code == "ExpiredIteratorException");
    assert!(world.log.of("GetRecords").any(|request| is_expiry(&request.outcome)), "no iterator expired");
    assert!(shard_rows(&world).iter().all(|row| row["gaps"].is_null()), "an expiry is no gap");
}

/// An iterator that always expires is the fastest loop there is: only the limit slows it down.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_never_asked_more_than_five_times_a_second() {
    let stage = Stage::with_shards(1);
    stage.write(1, 1);
    let expired = Fault::reject(400, "ExpiredIteratorException");
    let rule = stage.fake.world().faults.always("GetRecords", |_| true, expired);
    let bridge = stage.start(stage.plain()).await;
    stage.fake.wait_until("the first call", |world| world.log.count("GetRecords") >= 1).await;
    let began = Instant::now();
    stage.fake.wait_until("eleven calls", |world| world.log.count("GetRecords") >= 11).await;
    // 5 in the first second, 5 in the next; a slow machine only takes longer. The tenth is for the test's own delay.
    assert!(began.elapsed() > Duration::from_millis(1_900), "eleven calls within {:?}", began.elapsed());
    stage.fake.world().faults.lift(rule);
    stage.all_arrive().await;
    bridge.stop().await;
}

fn broken() -> Vec<Fault> {
    vec![
        Fault::Throttle,
        Fault::FailAfterEffect(Loss::MalformedBody),
        Fault::internal(),
        Fault::DropConnection,
        Fault::FailAfterEffect(Loss::TruncatedBody),
        Fault::FailAfterEffect(Loss::Dropped),
        Fault::reject(503, "ServiceUnavailable"),
        Fault::reject(400, "ExpiredTokenException"),
        Fault::reject(400, "AccessDeniedException"),
        Fault::reject(400, "ValidationException"),
        Fault::reject(400, "ResourceNotFoundException"),
        Fault::EmptyPage,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn get_records_may_fail_in_every_way() {
    let stage = Stage::with_shards(1);
    {
        let mut world = stage.fake.world();
        world.quirks.records_page = 5;
        write(&mut world, 80, 7);
        for fault in broken() {
            world.faults.once("GetRecords", fault);
            // A success between two failures keeps the delays short.
            world.faults.pass("GetRecords");
        }
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    assert!(world.faults.all_met());
    assert!(shard_rows(&world).iter().all(|row| row["gaps"].is_null()));
}

#[tokio::test(flavor = "multi_thread")]
async fn get_shard_iterator_may_fail_in_every_way() {
    // One shard a fault, so that the delays run side by side.
    let faults: Vec<Fault> =
        broken().into_iter().filter(|fault| !matches!(fault, Fault::EmptyPage)).collect();
    let stage = Stage::with_shards(faults.len() as u64);
    stage.write(60, 40);
    for fault in faults {
        stage.fake.world().faults.once("GetShardIterator", fault);
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    assert!(world.faults.all_met());
    assert!(shard_rows(&world).iter().all(|row| row["gaps"].is_null()), "trouble that passes is no gap");
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_that_fail_delay_children_and_lose_nothing() {
    let stage = Stage::with_shards(1);
    let parent = stage.open_shard();
    stage.write(10, 5);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    {
        let mut world = stage.fake.world();
        // The question at the shard's end, then the sweep after it, then the sweep after that.
        world.faults.once("DescribeStream", Fault::FailAfterEffect(Loss::MalformedBody));
        world.faults.once("DescribeStream", Fault::DropConnection);
        world.faults.once("DescribeStream", Fault::Throttle);
        world.faults.once("ListStreams", Fault::internal());
        write(&mut world, 10, 5);
        world.rotate(&stage.stream, &parent);
        write(&mut world, 10, 5);
    }
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    assert!(world.faults.all_met());
    assert!(is_there(&finished_row(&world, &parent)));
    assert_lineage(&world, &stage.stream);
}

/// What is read beyond the next rounds of calls would only lie in memory.
#[tokio::test(flavor = "multi_thread")]
async fn reading_waits_while_kinesis_has_enough_before_it() {
    let stage = Stage::with_shards(1);
    stage.fake.world().quirks.records_page = 500;
    stage.write(8_000, 8_000);
    let gate = Gate::shut();
    let rule = stage.fake.world().faults.always("PutRecords", |_| true, Fault::Hold(gate.clone()));
    let bridge = stage.start(stage.config("", OF_TABLE, "max_in_flight = 1")).await;
    // One call of 500 under way, two rounds of it before it.
    stage.fake.wait_until("three pages", |world| world.log.count("GetRecords") >= 3).await;
    let looks = |world: &crate::support::world::World| world.log.count("Query");
    let before = looks(&stage.fake.world());
    // Several looks at the leases, each as long as three pauses between reads.
    stage.fake.wait_until("time to read the rest", |world| looks(world) > before + 10).await;
    let pages = stage.fake.world().log.count("GetRecords");
    assert!(pages <= 5, "{pages} of 16 pages were read");
    stage.fake.world().faults.lift(rule);
    gate.open();
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}
