//! A fleet whose lease table fails: out of reach for one worker or for all, slow to anger, or edited by hand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bridge::{OF_TABLE, Stage, parse, with_failover, write};
use crate::fleet::{self, join, settled};
use crate::process::Process;
use crate::rows::{LEASES, assert_lineage, session_rows, shard_rows};
use crate::support::answer::Service;
use crate::support::fault::{Fault, Gate};
use crate::support::log::{Outcome, Request};
use crate::support::world::World;

/// What a worker asks of its lease table while it runs.
const CALLS: [&str; 6] = ["GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "TransactWriteItems"];

/// How long a session lives here after its last heartbeat: its worker may act for four fifths of it.
const FAILOVER: Duration = Duration::from_secs(3);

fn text(stage: &Stage, id: &str) -> String {
    with_failover(&stage.text(&format!("[worker]\nid = \"{id}\""), OF_TABLE, ""), 3)
}

/// From now on these workers' calls to the lease table end like this. Returns the rules' numbers.
fn cut_off(stage: &Stage, workers: &'static [&'static str], fault: &Fault) -> Vec<usize> {
    let mut world = stage.fake.world();
    let of_theirs =
        |request: &Request| request.service == Service::DynamoDb && workers.contains(&&*request.caller);
    CALLS.iter().map(|call| world.faults.always(call, of_theirs, fault.clone())).collect()
}

fn lift(stage: &Stage, rules: Vec<usize>) {
    rules.into_iter().for_each(|rule| stage.fake.world().faults.lift(rule));
}

fn calls_by(world: &World, call: &str, workers: &[&str]) -> usize {
    world.log.of(call).filter(|request| workers.contains(&&*request.caller)).count()
}

/// Changes go on, and these workers read on, until this moment and for a while more.
async fn changes_go_on(stage: &Stage, readers: &[&str], until: Instant) {
    loop {
        let is_last = Instant::now() >= until;
        stage.write(5, 23);
        let reads = calls_by(&stage.fake.world(), "GetRecords", readers);
        stage
            .fake
            .wait_until("reading goes on", |world| calls_by(world, "GetRecords", readers) >= reads + 4)
            .await;
        if is_last {
            return;
        }
    }
}

#[track_caller]
fn assert_said_once(log: &str, shards: usize) {
    let lines = |part: &str| log.lines().filter(|line| line.contains(part)).count();
    assert_eq!(lines("\"heartbeat: "), 1, "{log}");
    assert_eq!(lines("look at the lease table"), 1, "{log}");
    assert!(lines("store the checkpoint") <= shards, "{log}");
    let troubles = log.lines().filter(|line| !line.contains("\"INFO\"")).count();
    assert!(troubles <= 10, "{troubles} lines of trouble: {log}");
}

/// One of two cannot reach the lease table for longer than its session lives: it sends nothing past its deadline, the
/// other takes over, and it joins again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_reach_the_lease_table_stops_and_joins_again() {
    let stage = Stage::with_shards(4);
    stage.write(40, 23);
    let first = Process::run_as("w1", &text(&stage, "w1"));
    settled(&stage, &[("w1", 4)]).await;
    let second = stage.start_as("w2", parse(&text(&stage, "w2"))).await;
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    let (rules, cut_at) = (cut_off(&stage, &["w1"], &Fault::internal()), Instant::now());
    changes_go_on(&stage, &["w1"], cut_at + FAILOVER).await;
    let sent = calls_by(&stage.fake.world(), "PutRecords", &["w1"]);
    settled(&stage, &[("w2", 4)]).await;
    stage.write(40, 23);
    stage.all_arrive().await;
    assert_eq!(calls_by(&stage.fake.world(), "PutRecords", &["w1"]), sent, "P4: sent without a session");
    let log = first.log();
    lift(&stage, rules);
    assert_said_once(&log, 2);
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    stage.write(40, 23);
    stage.all_arrive().await;
    let log = first.log();
    assert_eq!(log.matches("the session begins").count(), 2, "{log}");
    first.signal("TERM");
    assert_eq!(first.end().await.0, Some(0));
    second.stop().await;
    stage.judge().assert_complete_and_ordered();
}

/// Nobody reaches it: its calls hang, and take effect late. Nobody sends, and nobody needs a hand afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_does_not_reach_the_lease_table_stops_and_goes_on() {
    const ALL: &[&str] = &["w1", "w2"];
    let stage = Stage::with_shards(4);
    stage.write(40, 23);
    let first = Process::run_as("w1", &text(&stage, "w1"));
    settled(&stage, &[("w1", 4)]).await;
    let second = Process::run_as("w2", &text(&stage, "w2"));
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    let gate = Gate::shut();
    let (rules, cut_at) = (cut_off(&stage, ALL, &Fault::Hold(gate.clone())), Instant::now());
    changes_go_on(&stage, ALL, cut_at + FAILOVER).await;
    let sent = calls_by(&stage.fake.world(), "PutRecords", ALL);
    changes_go_on(&stage, ALL, cut_at + FAILOVER * 2).await;
    assert_eq!(calls_by(&stage.fake.world(), "PutRecords", ALL), sent, "P4: sent without a session");
    assert_said_once(&first.log(), 2);
    assert_said_once(&second.log(), 2);
    lift(&stage, rules);
    gate.open();
    stage.all_arrive().await;
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    stage.write(40, 23);
    stage.all_arrive().await;
    for process in [first, second] {
        process.signal("TERM");
        let (code, log) = process.end().await;
        assert_eq!(code, Some(0), "{log}");
    }
    stage.judge().assert_complete_and_ordered();
}

/// Half of all calls are throttled, each at its first try, while workers come and go and shards end.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_lease_table_delays_handovers_and_loses_nothing() {
    let stage = Stage::with_shards(4);
    // A look of three calls comes to an end at the eighth try: that must not be too late for what is on offer.
    let patient = |id: &str| parse(&fleet::text(&stage, id).replace("\"3s\"", "\"9s\""));
    stage.write(40, 23);
    let first = stage.start_as("w1", patient("w1")).await;
    settled(&stage, &[("w1", 4)]).await;
    throttle_half(&stage);
    let rotate = || {
        let mut world = stage.fake.world();
        let open = world.stream(&stage.stream).open_shards();
        write(&mut world, 20, 23);
        world.rotate(&stage.stream, &open[0]);
        write(&mut world, 20, 23);
    };
    let second = stage.start_as("w2", patient("w2")).await;
    rotate();
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    rotate();
    stage.write(40, 23);
    first.stop().await;
    stage.write(40, 23);
    settled(&stage, &[("w2", 4)]).await;
    stage.all_arrive().await;
    second.stop().await;
    stage.judge().assert_exactly_once();
    assert_lineage(&stage.fake.world(), &stage.stream);
}

/// One call fails at each end as a worker leaves: it tries again to end its session, and the other looks again at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_once_as_a_worker_leaves_holds_up_nothing() {
    let stage = Stage::with_shards(4);
    let first = join(&stage, "w1").await;
    settled(&stage, &[("w1", 4)]).await;
    let second = join(&stage, "w2").await;
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    {
        let mut world = stage.fake.world();
        world.faults.once("DeleteItem", Fault::Throttle);
        // The claim of discovery.
        world.faults.once("PutItem", Fault::Throttle);
    }
    first.stop().await;
    let ids: Vec<_> = session_rows(&stage.fake.world()).into_iter().map(|mut row| row["sk"].take()).collect();
    assert_eq!(ids, ["w2"], "w1's session is over");
    settled(&stage, &[("w2", 4)]).await;
    {
        let world = stage.fake.world();
        assert!(world.faults.all_met());
        let claim = world.log.of("PutItem").filter(|put| put.caller == "w2").last();
        let refused = world
            .log
            .of("PutItem")
            .find(|put| matches!(put.outcome, Some(Outcome::Error { .. })))
            .map(|put| put.arrival);
        let refused = refused.expect("a claim was throttled");
        assert!(claim.is_some_and(|claim| claim.arrival > refused && claim.outcome == Some(Outcome::Ok)));
        let taken = world.log.of("UpdateItem").filter(|request| fleet::is_take(request)).last();
        let taken = taken.map_or(0, |take| take.arrival);
        let rounds = world.log.of("Query").filter(|query| {
            query.caller == "w2"
                && (refused..taken).contains(&query.arrival)
                && query.input["ExpressionAttributeValues"][":v0"]["S"] == "workers"
        });
        // Unless it looks again at once, it does after 60 rounds.
        assert!(rounds.count() < 20);
    }
    stage.write(40, 23);
    stage.all_arrive().await;
    second.stop().await;
    stage.judge().assert_exactly_once();
}

/// Every first, third, fifth … call of the same kind on the same row or rows by the same worker.
fn throttle_half(stage: &Stage) {
    let mut world = stage.fake.world();
    for call in CALLS {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let odd = move |request: &Request| {
            let of = match &request.input {
                input if input["Key"].is_object() => input["Key"].to_string(),
                input if input["Item"].is_object() => input["Item"]["sk"].to_string(),
                input => input["ExpressionAttributeValues"].to_string(),
            };
            let count = counts.entry(format!("{} {of}", request.caller)).or_default();
            *count += 1;
            *count % 2 == 1
        };
        world.faults.always(call, odd, Fault::Throttle);
    }
}

/// The session row of one of two is deleted by hand: its worker drops everything and joins again.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_row_deleted_by_hand_brings_its_worker_back() {
    let stage = Stage::with_shards(4);
    stage.write(40, 23);
    let first = join(&stage, "w1").await;
    settled(&stage, &[("w1", 4)]).await;
    let second = join(&stage, "w2").await;
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    let incarnation = |world: &World| {
        session_rows(world).iter().find(|row| row["sk"] == "w1").map(|row| row["incarnation"].clone())
    };
    let before = {
        let mut world = stage.fake.world();
        let before = incarnation(&world).expect("w1 has a session");
        write(&mut world, 40, 23);
        world.delete(LEASES, json!({"pk": {"S": "workers"}, "sk": {"S": "w1"}}));
        write(&mut world, 40, 23);
        before
    };
    stage.write(40, 23);
    stage
        .fake
        .wait_until("w1 is back", |world| incarnation(world).is_some_and(|incarnation| incarnation != before))
        .await;
    stage
        .fake
        .wait_until("nothing is the lost session's", |world| {
            shard_rows(world).iter().all(|row| row["incarnation"] != before)
        })
        .await;
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    stage.write(40, 23);
    stage.all_arrive().await;
    first.stop().await;
    second.stop().await;
    stage.judge().assert_complete_and_ordered();
}
