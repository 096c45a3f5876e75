//! Reading waits while enough is ready to be sent, and for nothing else.

use futures_util::poll;

use super::*;

fn distinct(count: usize) -> impl Iterator<Item = Change> {
    (0..count).map(|n| (format!("item-{n}").into(), 500))
}

#[tokio::test(start_paused = true)]
async fn reading_waits_while_enough_is_ready_and_goes_on_before_it_is_sent() {
    let mut stage = Stage::new(SmallKinesis::unlimited(4), 1).await;
    let feeder = stage.inlets[0].feeder();
    // Eight calls go, two more rounds of them wait.
    stage.submit(0, distinct((1 + ENOUGH_ROUNDS) * 8 * MAX_RECORDS), More::Unknown).await;
    stage.sleep_ms(1).await;
    {
        let mut wanted = std::pin::pin!(feeder.wanted(Amount::default()));
        assert!(poll!(&mut wanted).is_pending());
        wanted.await;
    }
    assert!(!stage.inlets[0].is_empty(), "the next page comes while there is something to be sent");
    let sent: usize = stage.kinesis.state().calls.iter().sum();
    assert!(sent >= 8 * MAX_RECORDS, "it waited for the first round: {sent}");
    stage.all_done().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_yet_keeps_nobody_from_reading() {
    // All behind one head that is in flight; and all held by a target shard at its limit.
    for (kinesis, keys) in [(SmallKinesis::unlimited(1), 1), (SmallKinesis::new(1), 20_000)] {
        let mut stage = Stage::new(kinesis, 1).await;
        // The first thousand use the target shard's second up, and its pace is learnt.
        stage.submit(0, (0..20_000).map(|n| (format!("item-{}", n % keys).into(), 100)), More::Unknown).await;
        stage.sleep_ms(900).await;
        let feeder = stage.inlets[0].feeder();
        let mut wanted = std::pin::pin!(feeder.wanted(Amount::default()));
        assert!(poll!(&mut wanted).is_ready(), "{keys} keys");
        assert!(!stage.inlets[0].is_empty());
    }
}
