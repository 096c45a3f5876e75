//! One of four target shards has three times what it takes: the others go on, and little is rejected.

use super::*;

const SECONDS: u64 = 60;
const HOT: usize = 0;
/// Records a second for the hot shard, and for each of the others.
const HOT_RATE: usize = 3_000;
const OTHER_RATE: usize = 900;

struct Run {
    stage: Stage,
    /// Each shard's keys, and how many of them were used.
    keys: Vec<(Vec<Arc<str>>, usize)>,
    bytes: usize,
}

/// What Kinesis saw.
#[derive(Debug)]
struct Seen {
    hot: u64,
    others: Vec<u64>,
    /// Of all entries put, how many in a thousand were rejected.
    rejected_permille: u64,
}

impl Run {
    async fn new(kinesis: SmallKinesis, bytes: usize) -> Run {
        let keys = (0..4).map(|shard| (kinesis.keys(shard, 3_000), 0)).collect();
        Run { stage: Stage::new(kinesis, 1).await, keys, bytes }
    }

    fn next_keys(&mut self, shard: usize, count: usize) -> Vec<Change> {
        let bytes = self.bytes;
        let (keys, used) = &mut self.keys[shard];
        let from = *used;
        *used += count;
        (from..from + count).map(|n| (Arc::clone(&keys[n % keys.len()]), bytes)).collect()
    }

    /// Offers so many seconds of changes, in pages ten times a second.
    async fn offer(&mut self, seconds: u64, hot: usize, other: usize) {
        for _ in 0..seconds * 10 {
            let mut page = vec![];
            for shard in 0..4 {
                let rate = if shard == HOT { hot } else { other };
                page.extend(self.next_keys(shard, rate / 10));
            }
            self.stage.submit(0, page, More::Unknown).await;
            self.stage.sleep_ms(100).await;
        }
    }

    fn seen(&self) -> Seen {
        let state = self.stage.kinesis.state();
        let accepted: Vec<u64> = state.shards.iter().map(|shard| shard.accepted).collect();
        let all: u64 = accepted.iter().sum::<u64>() + state.rejected;
        let hot = accepted[HOT] + accepted.get(4).unwrap_or(&0);
        let rejected_permille = state.rejected * 1_000 / all;
        let seen = Seen { hot, others: accepted[1..4].to_vec(), rejected_permille };
        println!("{seen:?} in {} calls, listed {} times", state.calls.len(), state.listings);
        seen
    }
}

impl Seen {
    #[track_caller]
    fn assert_the_others_go_on(&self, offered: u64) {
        assert!(self.others.iter().all(|accepted| accepted * 100 >= offered * 95), "{self:?}");
        assert!(self.rejected_permille < 50, "{self:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_hot_target_shard_holds_back_no_other() {
    let mut run = Run::new(SmallKinesis::new(4), 200).await;
    run.offer(SECONDS, HOT_RATE, OTHER_RATE).await;
    let seen = run.seen();
    seen.assert_the_others_go_on(SECONDS * OTHER_RATE as u64);
    assert!(seen.hot >= SECONDS * 900, "what the hot shard takes is used: {seen:?}");
    assert_eq!(run.stage.kinesis.state().listings, 1);
}

/// The shard's bytes are the limit, not its records.
#[tokio::test(start_paused = true)]
async fn one_target_shard_hot_by_its_bytes_holds_back_no_other() {
    let mut run = Run::new(SmallKinesis::new(4), 4_000).await;
    run.offer(SECONDS, 780, 230).await;
    let seen = run.seen();
    seen.assert_the_others_go_on(SECONDS * 230);
    assert!(seen.hot >= SECONDS * 230, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn another_writer_takes_half_of_the_hot_shard_from_the_middle_on() {
    let mut run = Run::new(SmallKinesis::new(4), 200).await;
    run.offer(SECONDS / 2, HOT_RATE, OTHER_RATE).await;
    run.stage.kinesis.state().shards[HOT].others = 500;
    run.offer(SECONDS / 2, HOT_RATE, OTHER_RATE).await;
    let seen = run.seen();
    seen.assert_the_others_go_on(SECONDS * OTHER_RATE as u64);
    assert!(seen.hot >= SECONDS * 650, "of 750 a second: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_hot_shard_is_split_in_the_middle() {
    let mut run = Run::new(SmallKinesis::new(4), 200).await;
    run.offer(SECONDS / 2, HOT_RATE, OTHER_RATE).await;
    run.stage.kinesis.state().split(HOT);
    run.offer(SECONDS / 2, HOT_RATE, OTHER_RATE).await;
    let seen = run.seen();
    seen.assert_the_others_go_on(SECONDS * OTHER_RATE as u64);
    assert!(seen.hot >= SECONDS * 1_300, "of 1,500 a second: {seen:?}");
    assert_eq!(run.stage.kinesis.state().listings, 2);
}

/// Without a map each key waits for itself: nothing is lost, in whatever time.
#[tokio::test(start_paused = true)]
async fn a_listing_that_is_refused_changes_nothing_but_the_pace() {
    let mut kinesis = SmallKinesis::new(4);
    kinesis.is_mute = true;
    let mut run = Run::new(kinesis, 200).await;
    run.offer(3, HOT_RATE, OTHER_RATE).await;
    run.stage.all_done().await;
    let seen = run.seen();
    assert_eq!((seen.hot, seen.others), (9_000, vec![2_700; 3]));
    assert!(run.stage.kinesis.state().listings < 10);
}

/// Until what was held back is delivered it stays held, and then the limit is forgotten.
#[tokio::test(start_paused = true)]
async fn what_was_held_back_is_delivered_and_nothing_is_left() {
    let mut run = Run::new(SmallKinesis::new(4), 200).await;
    run.offer(5, HOT_RATE, OTHER_RATE).await;
    assert!(run.stage.budget.used() > 5_000 * 256);
    run.stage.all_done().await;
    let seen = run.seen();
    assert_eq!((seen.hot, seen.others), (15_000, vec![4_500; 3]));
    assert_eq!(run.stage.budget.used(), 0);
}
