//! Calls are full while there is a backlog, and nothing waits needlessly when there is none.

use super::*;

/// A generator of its own: what it draws is the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Every source's pages come five times a second, as GetRecords gives them, and each says that more follows but the
/// last. Gives how many records a call held.
async fn a_call(sources: u64, pages: usize, mut page: impl FnMut() -> Vec<Change>) -> usize {
    let mut stage = Stage::new(SmallKinesis::unlimited(4), sources).await;
    let mut records = 0;
    for n in 0..pages {
        for source in 0..sources as usize {
            let page = page();
            records += page.len();
            let more = if n + 1 < pages { More::Follows } else { More::Unknown };
            stage.submit(source, page, more).await;
            stage.sleep_ms(200 / sources).await;
        }
    }
    stage.all_done().await;
    let calls = stage.kinesis.state().calls.len();
    println!("{records} records in {calls} calls: {} a call", records / calls);
    records / calls
}

fn unique() -> impl FnMut() -> Change {
    let mut n = 0;
    move || {
        n += 1;
        (format!("item-{n}").into(), 500)
    }
}

fn one_of(items: u64) -> impl FnMut() -> Change {
    let mut draw = Draw(7);
    move || (format!("item-{}", draw.below(items)).into(), 500)
}

#[tokio::test(start_paused = true)]
async fn calls_are_full_in_a_backlog() {
    for (sources, pages) in [(1, 20), (4, 8)] {
        let mut change = unique();
        assert!(a_call(sources, pages, || (0..1_000).map(|_| change()).collect()).await >= 400);
        // Cut off by their bytes.
        let mut change = unique();
        assert!(a_call(sources, pages, || (0..770).map(|_| change()).collect()).await >= 400);
        let mut change = one_of(5_000);
        assert!(a_call(sources, pages, || (0..1_000).map(|_| change()).collect()).await >= 400);
    }
}

/// What is left waits for no page that does not come: reading may have stopped.
#[tokio::test(start_paused = true)]
async fn what_waits_for_more_goes_without_it_after_a_while() {
    let mut stage = Stage::new(SmallKinesis::unlimited(4), 2).await;
    let mut change = unique();
    let before = stage.machine.now();
    stage.submit(0, (0..100).map(|_| change()), More::Follows).await;
    stage.all_done().await;
    let took = stage.machine.now().since(before);
    assert!(took > Duration::from_millis(250) && took < Duration::from_millis(350), "{took:?}");
    // The shard says that no more comes; or it is closed.
    for closed in [false, true] {
        let before = stage.machine.now();
        stage.submit(0, [change()], More::Follows).await;
        stage.submit(1, [change()], More::Unknown).await;
        if closed {
            stage.inlets[0].close().await;
        } else {
            stage.submit(0, [change()], More::Unknown).await;
        }
        let inlet = &mut stage.inlets[1];
        while !inlet.is_empty() {
            inlet.progress.changed().await.expect("the writer lives");
        }
        let took = stage.machine.now().since(before);
        assert!(took < Duration::from_millis(40), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_change_waits_for_nothing() {
    let mut stage = Stage::new(SmallKinesis::unlimited(4), 1).await;
    let mut change = unique();
    for _ in 0..100 {
        let before = stage.machine.now();
        stage.submit(0, [change()], More::Unknown).await;
        stage.all_done().await;
        let took = stage.machine.now().since(before);
        assert!(took < Duration::from_millis(17), "{took:?}");
        stage.sleep_ms(137).await;
    }
}

/// Each change of the key waits for the answer to the one before it, and for nothing else, though more is on its way.
#[tokio::test(start_paused = true)]
async fn a_hot_key_goes_as_fast_as_the_answers_allow() {
    for more in [More::Unknown, More::Follows] {
        let mut stage = Stage::new(SmallKinesis::unlimited(4), 1).await;
        let before = stage.machine.now();
        stage.submit(0, (0..400).map(|_| (Arc::from("hot"), 100)), more).await;
        stage.all_done().await;
        let took = stage.machine.now().since(before);
        println!("400 changes of one key in {took:?}");
        assert!(took < Duration::from_millis(400 * 14 + 350), "{took:?}");
    }
}

/// Two hundred other changes, twenty a second, beside fifty changes a second of one key or without them; gives the mean
/// and the longest time that they took, in microseconds.
async fn others(beside_a_hot_key: bool) -> (u128, u128) {
    let mut stage = Stage::new(SmallKinesis::unlimited(4), 1).await;
    let mut draw = Draw(3);
    let mut submitted: Vec<(Arc<str>, MonoTime)> = vec![];
    let mut due_ms = 0;
    for ms in 0..10_000 {
        if beside_a_hot_key && ms % 20 == 0 {
            stage.submit(0, [(Arc::from("hot"), 100)], More::Unknown).await;
        }
        if ms == due_ms {
            let key: Arc<str> = format!("item-{ms}").into();
            submitted.push((Arc::clone(&key), stage.machine.now()));
            stage.submit(0, [(key, 100)], More::Unknown).await;
            due_ms += 1 + draw.below(99);
        }
        stage.sleep_ms(1).await;
    }
    stage.all_done().await;
    let state = stage.kinesis.state();
    let took: Vec<u128> =
        submitted.iter().map(|(key, at)| state.accepted_at[key][0].since(*at).as_micros()).collect();
    (took.iter().sum::<u128>() / took.len() as u128, took.into_iter().max().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_slows_no_other() {
    let (alone, beside) = (others(false).await, others(true).await);
    println!("mean and longest in microseconds: alone {alone:?}, beside a hot key {beside:?}");
    // No more than the linger.
    assert!(beside.0 <= alone.0 + 10_000 && beside.1 <= alone.1 + 11_000, "{alone:?}, {beside:?}");
}
