//! A rewind that dies at any of its writes, before or after it took effect: run again, it comes to the same end, and what
//! the dead one sent arrives too late to do harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, parse, with_failover, write};
use crate::process::{HTTP, Process, get};
use crate::rewind::{rewind, to};
use crate::rows::{LEASES, finished_rows, is_there, shard_rows, stream_row};
use crate::support::fault::{Fault, Gate};
use crate::support::judge::judge;
use crate::support::log::Request;
use crate::support::payload::{Format, delivered};
use crate::support::world::World;

/// 40 carried changes of a parent, its child and another shard, and nobody at work.
async fn carried() -> Stage {
    let stage = Stage::with_shards(2);
    stage.write(20, 7);
    {
        let mut world = stage.fake.world();
        let parent = world.stream(&stage.stream).open_shards().remove(0);
        world.rotate(&stage.stream, &parent);
        write(&mut world, 20, 7);
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    stage.fake.wait_until("the parent finished", |world| finished_rows(world).len() == 1).await;
    bridge.stop().await;
    stage
}

/// Whether a request is one of a rewind's writes to the pipeline's rows.
fn is_a_write(request: &Request) -> bool {
    let pk = &request.input["Item"]["pk"]["S"];
    request.operation == "TransactWriteItems" || pk.as_str().is_some_and(|pk| pk.starts_with("pipeline#"))
}

/// What the rows say, but for what counts writes.
fn told(world: &World) -> Vec<String> {
    let shown = |row: &Value| {
        let kind = row["sk"].as_str().and_then(|sk| sk.split('#').next());
        let (state, owner, checkpoint) = (&row["state"], &row["owner"], &row["checkpoint"]);
        let (ready, gaps) = (&row["parents_finished"], &row["gaps"]);
        format!("{kind:?} {state} {owner} {checkpoint} {ready} {gaps} {}", is_there(&row["replay"]))
    };
    let rows = shard_rows(world).into_iter().chain(finished_rows(world));
    let mut told: Vec<String> = rows.map(|row| shown(&row)).collect();
    told.sort();
    let stream = stream_row(world);
    told.push(format!("{} {} {}", stream["rewind"], stream["streams"], stream["discovery_owner"]));
    told
}

/// Kills a rewind at its nth write (from 0) and runs it again. `None` when there is no such write.
async fn killed_at(n: usize, fault: fn(Gate) -> Fault) -> Option<Vec<String>> {
    let stage = carried().await;
    let (gate, writes) = (Gate::shut(), Arc::new(AtomicUsize::new(0)));
    let rules = ["TransactWriteItems", "PutItem"].map(|operation| {
        let writes = Arc::clone(&writes);
        let is_nth =
            move |request: &Request| is_a_write(request) && writes.fetch_add(1, Ordering::Relaxed) == n;
        stage.fake.world().faults.always(operation, is_nth, fault(gate.clone()))
    });
    let config = stage.plain();
    let mut first = tokio::spawn(async move { rewind(&config, to("trim_horizon")).await });
    tokio::select! {
        biased;
        ended = &mut first => {
            ended.expect("no panic").expect("nothing went wrong");
            return None;
        }
        () = gate.reached_by(1) => first.abort(),
    }
    let _ = first.await;
    {
        let mut world = stage.fake.world();
        rules.into_iter().for_each(|rule| world.faults.lift(rule));
        // As a worker does that sees it stand still.
        world.delete(LEASES, json!({"pk": {"S": "workers"}, "sk": {"S": "rewind-orders"}}));
    }
    rewind(&stage.plain(), to("trim_horizon")).await.expect("it goes on");
    let before = told(&stage.fake.world());
    gate.open();
    let is_through = |world: &World| world.log.all().iter().all(|one| one.effective || one.outcome.is_some());
    stage.fake.wait_until("what the dead one sent", is_through).await;
    let after = told(&stage.fake.world());
    assert_eq!(before, after, "a write of the dead one took effect late, the {n}th");

    let bridge = stage.start(stage.plain()).await;
    let twice = |world: &World| world.kinesis_stream(SINK).stored.len() == 80;
    stage.fake.wait_until("all of it twice", twice).await;
    bridge.stop().await;
    let world = stage.fake.world();
    let records = delivered(world.kinesis_stream(SINK), Format::DynamoDbJson);
    judge(&world.changes(TABLE), &records[40..]).assert_exactly_once();
    Some(after)
}

async fn uninterrupted() -> Vec<String> {
    let stage = carried().await;
    rewind(&stage.plain(), to("trim_horizon")).await.expect("it goes back");
    told(&stage.fake.world())
}

/// Dies at each of its writes in turn, four at a time.
async fn at_every_write(fault: fn(Gate) -> Fault) {
    const MOST: usize = 30;
    let expected = uninterrupted().await;
    let runs = stream::iter(0..MOST).map(|n| killed_at(n, fault)).buffered(4);
    let ends: Vec<Vec<String>> = runs
        .take_while(|end| std::future::ready(end.is_some()))
        .map(Option::unwrap_or_default)
        .collect()
        .await;
    assert!((6..MOST).contains(&ends.len()), "{} writes", ends.len());
    for (n, end) in ends.into_iter().enumerate() {
        assert_eq!(end, expected, "killed at write {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_write_takes_effect() {
    at_every_write(Fault::Hold).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_write_is_answered() {
    at_every_write(Fault::HoldAnswer).await;
}

/// Its session stands still and is seized; until then, and with another order, nothing goes on.
#[tokio::test(flavor = "multi_thread")]
async fn another_order_is_refused_and_workers_keep_away_until_it_is_carried_out() {
    let stage = carried().await;
    let gate = Gate::shut();
    {
        let mut world = stage.fake.world();
        world.faults.pass("TransactWriteItems");
        world.faults.once("TransactWriteItems", Fault::Hold(gate.clone()));
    }
    let mortal = parse(&with_failover(&stage.text("", OF_TABLE, ""), 1));
    let config = mortal.clone();
    let first = tokio::spawn(async move { rewind(&config, to("trim_horizon")).await });
    gate.reached_by(1).await;
    first.abort();
    let _ = first.await;

    let process = Process::run(&with_failover(&stage.text(HTTP, OF_TABLE, ""), 1));
    process.says("rewind --pipeline orders --to trim_horizon");
    let address = process.http_address();
    let (status, why) = get(address, "/readyz");
    assert!(status == 503 && why.contains("rewind --pipeline orders --to trim_horizon"), "{status} {why}");
    stage.write(10, 7);
    let other = rewind(&mortal, to("1")).await.expect_err("another order");
    assert!(other.is_usage() && other.to_string().contains("--to trim_horizon"), "{other}");
    assert_eq!(stage.fake.world().kinesis_stream(SINK).stored.len(), 40, "nothing is taken");

    rewind(&mortal, to("trim_horizon")).await.expect("it goes on");
    stage.all_arrive().await;
    let twice = |world: &World| world.kinesis_stream(SINK).stored.len() == 40 + 50;
    stage.fake.wait_until("all of it twice", twice).await;
    assert_eq!(get(address, "/readyz").0, 200);
    process.signal("TERM");
    assert_eq!(process.end().await.0, Some(0));
    stage.judge().assert_complete_and_ordered();
    gate.open();
}
