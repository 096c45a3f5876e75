//! Aggregation: what waits of one key travels as one record.

use super::*;

const AGGREGATING: Manner = Manner { packing: Packing::up_to(50_000), ..MANNER };

/// A thousand changes a second of one key, in pages five times a second, for half a minute. Gives the changes delivered a
/// second, and the greatest backlog when a page came.
async fn hot_item(manner: Manner) -> (u64, u64) {
    const SECONDS: u64 = 30;
    let mut stage = Stage::of(SmallKinesis::unlimited(4), 1, manner).await;
    let mut backlog = 0;
    for page in 1..=SECONDS * 5 {
        stage.submit(0, (0..200).map(|_| (Arc::from("hot"), 500)), More::Unknown).await;
        stage.sleep_ms(200).await;
        backlog = backlog.max(page * 200 - stage.metrics.changes_delivered.get());
    }
    let (delivered, records) = (stage.metrics.changes_delivered.get(), stage.metrics.records_put.get());
    let state = stage.kinesis.state();
    let stored = &state.changes["hot"];
    assert!(stored.iter().copied().eq(1..=stored.len() as u64), "each change once and in order");
    println!("{} changes a second in {records} records, at most {backlog} behind", delivered / SECONDS);
    (delivered / SECONDS, backlog)
}

#[tokio::test(start_paused = true)]
async fn a_hot_item_is_carried_at_a_thousand_changes_a_second() {
    // Every page is delivered before the next one comes.
    assert_eq!(hot_item(AGGREGATING).await, (1_000, 0));
    let (rate, backlog) = hot_item(MANNER).await;
    assert!(rate < 90 && backlog > 25_000, "without aggregation: {rate} a second, {backlog} behind");
}

#[tokio::test(start_paused = true)]
async fn a_lone_change_is_a_plain_record_and_records_are_counted_apart_from_changes() {
    let mut stage = Stage::of(SmallKinesis::unlimited(1), 1, AGGREGATING).await;
    for changes in [1, 7] {
        stage.submit(0, (0..changes).map(|_| (Arc::from("a"), 100)), More::Unknown).await;
        stage.all_done().await;
    }
    let figures = (stage.metrics.records_put.get(), stage.metrics.changes_delivered.get());
    assert_eq!((figures, stage.kinesis.state().calls.as_slice()), ((2, 8), &[1, 1][..]));
    assert_eq!(stage.kinesis.state().changes["a"], [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// An aggregate larger than what calls are kept under travels alone.
#[tokio::test(start_paused = true)]
async fn a_large_aggregate_travels_alone() {
    let manner = Manner { packing: Packing::up_to(10 << 20), ..MANNER };
    let mut stage = Stage::of(SmallKinesis::unlimited(1), 1, manner).await;
    let large = (0..9).map(|_| (Arc::from("large"), 1_000_000));
    let small = (0..9).map(|n| (Arc::from(format!("small-{n}").as_str()), 100));
    stage.submit(0, large.chain(small).collect::<Vec<_>>(), More::Unknown).await;
    stage.all_done().await;
    assert_eq!(stage.kinesis.state().calls, [1, 9]);
    assert_eq!(stage.metrics.records_put.get(), 10);
}

/// A change that Kinesis refuses spoils no other: its aggregate's changes go one by one, and it halts its shard alone.
#[tokio::test(start_paused = true)]
async fn a_refused_aggregate_is_taken_apart() {
    let mut kinesis = SmallKinesis::unlimited(4);
    kinesis.poison = Some(7);
    let mut stage = Stage::of(kinesis, 2, AGGREGATING).await;
    stage.submit(0, (0..10).map(|_| (Arc::from("a"), 100)), More::Unknown).await;
    stage.submit(1, (0..10).map(|_| (Arc::from("b"), 100)), More::Unknown).await;
    while !stage.inlets[0].is_halted() || !stage.inlets[1].is_empty() {
        stage.sleep_ms(10).await;
    }
    stage.sleep_ms(1_000).await;
    assert_eq!(stage.inlets[0].progress.borrow().completed, 6);
    let state = stage.kinesis.state();
    assert_eq!(state.changes["a"], [1, 2, 3, 4, 5, 6]);
    assert_eq!(state.changes["b"], (11..=20).collect::<Vec<_>>());
}

/// What could not be delivered with a full target shard comes packed when there is room.
#[tokio::test(start_paused = true)]
async fn a_full_target_shard_gets_fewer_and_fuller_records() {
    let mut rates = vec![];
    for manner in [AGGREGATING, MANNER] {
        let kinesis = SmallKinesis::new(1);
        let keys = kinesis.keys(0, 20);
        let mut stage = Stage::of(kinesis, 1, manner).await;
        // Three times the records that the shard takes, and less than half of its bytes.
        for _ in 0..100 {
            let page = (0..300).map(|n| (Arc::clone(&keys[n % keys.len()]), 100));
            stage.submit(0, page.collect::<Vec<_>>(), More::Unknown).await;
            stage.sleep_ms(100).await;
        }
        rates.push(stage.metrics.changes_delivered.get() / 10);
        stage.all_done().await;
        let state = stage.kinesis.state();
        let in_order = |changes: &Vec<u64>| changes.is_sorted_by(|a, b| a < b);
        assert!(state.changes.values().all(in_order) && state.changes.len() == 20);
        println!("{} changes a second, {} rejected", rates[rates.len() - 1], state.rejected);
    }
    assert!(rates[0] > 2_900 && rates[1] < 1_050, "{rates:?}");
}

/// Aggregates are counted by their bytes: of what a target shard cannot take little is rejected.
#[tokio::test(start_paused = true)]
async fn a_target_shard_at_its_bytes_limit_is_paced() {
    let kinesis = SmallKinesis::new(1);
    let keys = kinesis.keys(0, 20);
    let mut stage = Stage::of(kinesis, 1, AGGREGATING).await;
    // Twice the shard's bytes, in a third of its records.
    for _ in 0..200 {
        let page = (0..200).map(|n| (Arc::clone(&keys[n % keys.len()]), 1_000));
        stage.submit(0, page.collect::<Vec<_>>(), More::Unknown).await;
        stage.sleep_ms(100).await;
    }
    let (records, rejected) = (stage.metrics.records_put.get(), stage.kinesis.state().rejected);
    let rate = stage.metrics.changes_delivered.get() / 20;
    println!("{rate} changes a second in {records} records, {rejected} rejected");
    assert!(rate > 900 && rejected * 5 < records, "{rate}, {rejected} of {records}");
}
