//! Leases on offer to a worker that does not take them, and handovers that do not come to an end.

use crate::bridge::{OF_TABLE, Stage, parse, with_failover};
use crate::fleet::{
    arrived, block, change, epochs, is_draining, is_take, join, keys_in, offers_to, settled, shards_of, text,
};
use crate::process::Process;
use crate::rows::{assert_lineage, session_rows, shard_row};
use crate::support::fault::{Fault, Gate};
use crate::support::log::Request;

/// With heartbeats so fast that what is on offer lapses after two seconds.
fn fast(stage: &Stage, id: &str) -> String {
    stage.text(&format!("[worker]\nid = \"{id}\""), OF_TABLE, "")
}

fn takes_of_w2(request: &Request) -> bool {
    request.caller == "w2" && is_take(request)
}

/// The target stands still between the offer and its take, long before it counts as dead: the offer lapses. The take,
/// which arrives late, takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_standing_worker_does_not_take_goes_on_elsewhere() {
    let stage = Stage::with_shards(4);
    stage.write(40, 23);
    let first = stage.start_as("w1", parse(&fast(&stage, "w1"))).await;
    settled(&stage, &[("w1", 4)]).await;
    let gate = Gate::shut();
    stage.fake.world().faults.always("UpdateItem", takes_of_w2, Fault::Hold(gate.clone()));
    let second = stage.start_as("w2", parse(&fast(&stage, "w2"))).await;
    gate.reached_by(2).await;
    stage.write(40, 23);
    second.kill().await;
    settled(&stage, &[("w1", 4)]).await;
    assert_eq!(session_rows(&stage.fake.world()).len(), 2, "w2 does not count as dead yet");
    stage.all_arrive().await;
    gate.open();
    stage
        .fake
        .wait_until("the late takes", |world| {
            let mut late = world.log.of("UpdateItem").filter(|request| takes_of_w2(request));
            late.all(|request| request.outcome.is_some())
        })
        .await;
    stage.write(40, 23);
    stage.all_arrive().await;
    let mut epochs = epochs(&stage.fake.world());
    epochs.sort();
    let w1 = |epoch| ("w1".to_owned(), epoch);
    assert_eq!(epochs, [w1(1), w1(1), w1(3), w1(3)]);
    first.stop().await;
    stage.judge().assert_exactly_once();
}

/// The same where its death shows before the offer lapses.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_worker_was_offered_goes_on_elsewhere() {
    let stage = Stage::with_shards(4);
    stage.write(40, 23);
    let mortal = |id: &str| parse(&with_failover(&fast(&stage, id), 1));
    let first = stage.start_as("w1", mortal("w1")).await;
    stage.all_arrive().await;
    let gate = Gate::shut();
    stage.fake.world().faults.always("UpdateItem", takes_of_w2, Fault::Hold(gate.clone()));
    let second = stage.start_as("w2", mortal("w2")).await;
    gate.reached_by(1).await;
    stage.write(40, 23);
    second.kill().await;
    stage
        .fake
        .wait_until("w2 is dead", |world| session_rows(world).iter().all(|row| row["sk"] != "w2"))
        .await;
    settled(&stage, &[("w1", 4)]).await;
    gate.open();
    stage.write(40, 23);
    stage.all_arrive().await;
    first.stop().await;
    stage.judge().assert_complete_and_ordered();
}

/// It lives, and its takes fail: it loses what it was offered, and is not offered more at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_take_is_offered_nothing_more() {
    let stage = Stage::with_shards(4);
    stage.write(40, 23);
    let first = stage.start_as("w1", parse(&fast(&stage, "w1"))).await;
    settled(&stage, &[("w1", 4)]).await;
    stage.fake.world().faults.always("UpdateItem", takes_of_w2, Fault::internal());
    let second = stage.start_as("w2", parse(&fast(&stage, "w2"))).await;
    stage.fake.wait_until("two offers", |world| offers_to(world, "w2") == 2).await;
    settled(&stage, &[("w1", 4)]).await;
    // Reasons for w1 to look at the leases again, and more to hand over: shards that end.
    for generation in 1..=3 {
        let parent = {
            let mut world = stage.fake.world();
            let parent = world.stream(&stage.stream).open_shards()[0].clone();
            world.split(&stage.stream, &parent);
            parent
        };
        stage.write(40, 23);
        settled(&stage, &[("w1", 4 + generation)]).await;
        assert!(shard_row(&stage.fake.world(), &parent).is_null());
    }
    // With a third one to hand over to, it still is not w2's turn.
    let third = stage.start_as("w3", parse(&fast(&stage, "w3"))).await;
    stage.fake.wait_until("w3 has its share", |world| shards_of(world, "w3").len() == 3).await;
    settled(&stage, &[("w1", 4), ("w3", 3)]).await;
    stage.all_arrive().await;
    assert_eq!(offers_to(&stage.fake.world(), "w2"), 2, "the first time, and never since");
    assert!(epochs(&stage.fake.world()).iter().all(|(_, epoch)| *epoch <= 5));
    second.stop().await;
    third.stop().await;
    first.stop().await;
    stage.judge().assert_exactly_once();
    assert_lineage(&stage.fake.world(), &stage.stream);
}

/// Kinesis refuses one key of a shard that is being handed over: after ten seconds the shard stays, and its other keys
/// go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_key_calls_the_handover_off() {
    let stage = Stage::with_shards(2);
    stage.write(40, 40);
    let first = Process::run_as("w1", &text(&stage, "w1"));
    settled(&stage, &[("w1", 2)]).await;
    stage.all_arrive().await;
    // The younger shard is the one that is given away.
    let shard = shards_of(&stage.fake.world(), "w1").pop().expect("two shards");
    let keys = keys_in(&stage.fake.world(), &shard, 40);
    let (blocked, free) = (&keys[0], &keys[1]);
    let count = |key: &str| arrived(&stage.fake.world(), key);
    let rule = block(&stage, blocked).await;
    change(&stage, blocked);
    // Delivered beyond the checkpoint: reading must not begin there again.
    let before = count(free);
    change(&stage, free);
    stage.fake.wait_until("the free key", |world| arrived(world, free) > before).await;
    let second = join(&stage, "w2").await;
    first.says("handing the lease over is called off");
    let before = count(free);
    change(&stage, free);
    change(&stage, blocked);
    stage.fake.wait_until("the free key again", |world| arrived(world, free) > before).await;
    assert_eq!(count(blocked), 1, "still blocked");
    let row = shard_row(&stage.fake.world(), &shard);
    assert_eq!((row["owner"].as_str(), row["epoch"].as_str()), (Some("w1"), Some("1")), "{row}");
    stage.fake.world().faults.lift(rule);
    stage.all_arrive().await;
    first.signal("TERM");
    assert_eq!(first.end().await.0, Some(0));
    settled(&stage, &[("w2", 2)]).await;
    stage.write(40, 40);
    stage.all_arrive().await;
    second.stop().await;
    stage.judge().assert_exactly_once();
}

/// One drains for long, another leaves: what that one had goes to the third.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_drains_is_given_nothing() {
    let stage = Stage::with_shards(6);
    stage.write(60, 60);
    let first = join(&stage, "w1").await;
    settled(&stage, &[("w1", 6)]).await;
    let second = join(&stage, "w2").await;
    settled(&stage, &[("w1", 3), ("w2", 3)]).await;
    let third = join(&stage, "w3").await;
    settled(&stage, &[("w1", 2), ("w2", 2), ("w3", 2)]).await;
    stage.all_arrive().await;
    let shard = shards_of(&stage.fake.world(), "w1").remove(0);
    let key = keys_in(&stage.fake.world(), &shard, 60).remove(0);
    let rule = block(&stage, &key).await;
    let stopping = tokio::spawn(first.stop());
    stage
        .fake
        .wait_until("w1 drains, with one shard left", |world| {
            is_draining(world, "w1") && shards_of(world, "w1").len() == 1
        })
        .await;
    second.stop().await;
    settled(&stage, &[("w1", 1), ("w3", 5)]).await;
    stage.write(60, 60);
    assert!(is_draining(&stage.fake.world(), "w1"), "w1 was there all the time");
    stage.fake.world().faults.lift(rule);
    stopping.await.expect("no panic");
    settled(&stage, &[("w3", 6)]).await;
    stage.all_arrive().await;
    assert_eq!(offers_to(&stage.fake.world(), "w1"), 0);
    third.stop().await;
    stage.judge().assert_exactly_once();
}
