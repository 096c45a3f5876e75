//! Strict order: PutRecord, each with the number of its lane's record before it. The small Kinesis holds every number against
//! what it stored.

use super::*;

const STRICT: Manner = Manner { ordering: Ordering::Strict, ..MANNER };

#[tokio::test(start_paused = true)]
async fn every_record_but_a_lanes_first_names_the_one_before() {
    let mut stage = Stage::of(SmallKinesis::unlimited(4), 1, STRICT).await;
    let page = (0..200).map(|n| (Arc::from(format!("item-{}", n % 20).as_str()), 100));
    let before = stage.machine.now();
    stage.submit(0, page.collect::<Vec<_>>(), More::Unknown).await;
    stage.all_done().await;
    // Eight at a time, each answered within 15 ms.
    let took = stage.machine.now().since(before);
    assert!(took < Duration::from_millis(200 / 8 * 15), "{took:?}");
    let state = stage.kinesis.state();
    assert_eq!(
        (state.singles.len(), state.singles.iter().filter(|(_, numbered)| *numbered).count()),
        (200, 180)
    );
    assert!(state.changes.values().all(|changes| changes.is_sorted() && changes.len() == 10));
}

#[tokio::test(start_paused = true)]
async fn with_aggregation_what_waits_of_a_key_is_one_record() {
    let manner = Manner { packing: Packing::up_to(50_000), ..STRICT };
    let mut stage = Stage::of(SmallKinesis::unlimited(4), 1, manner).await;
    for _ in 0..50 {
        stage.submit(0, (0..200).map(|_| (Arc::from("hot"), 100)), More::Unknown).await;
        stage.sleep_ms(200).await;
    }
    assert_eq!(stage.metrics.changes_delivered.get(), 10_000, "a thousand a second");
    let state = stage.kinesis.state();
    assert!(state.changes["hot"].iter().copied().eq(1..=10_000));
    assert!(state.singles[1..].iter().all(|(_, numbered)| *numbered));
}

/// It is tried once without, and counts as refused only then.
#[tokio::test(start_paused = true)]
async fn a_number_that_is_refused_is_left_out() {
    let mut kinesis = SmallKinesis::unlimited(1);
    kinesis.refuses_numbers = true;
    let mut stage = Stage::of(kinesis, 1, STRICT).await;
    stage.submit(0, (0..3).map(|_| (Arc::from("a"), 100)), More::Unknown).await;
    stage.all_done().await;
    let state = stage.kinesis.state();
    let numbered: Vec<bool> = state.singles.iter().map(|(_, numbered)| *numbered).collect();
    assert_eq!(numbered, [false, true, false, true, false]);
    assert_eq!(state.changes["a"], [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_full_target_shard_is_paced_by_its_rejections() {
    let kinesis = SmallKinesis::new(1);
    let keys = kinesis.keys(0, 2_000);
    let mut stage = Stage::of(kinesis, 1, Manner { max_in_flight: 64, ..STRICT }).await;
    for page in 0..100 {
        let page = (0..200).map(|n| (Arc::clone(&keys[(page * 200 + n) % keys.len()]), 100));
        stage.submit(0, page.collect::<Vec<_>>(), More::Unknown).await;
        stage.sleep_ms(100).await;
    }
    let delivered = stage.metrics.changes_delivered.get();
    let state = stage.kinesis.state();
    println!("{delivered} in ten seconds, {} rejected", state.rejected);
    assert!(delivered > 9_000 && state.rejected * 10 < delivered, "{delivered}, {} rejected", state.rejected);
}
