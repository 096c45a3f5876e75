//! What a rewind is asked for: another sink or table, what cannot be, a second one at a time, and the command itself.

use ddb_kinesis_bridge::lease::order::Order;
use ddb_kinesis_bridge::rewind::{RewindError, prepare};
use ddb_kinesis_bridge::stream::source::ShardId;

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, credentials, parse};
use crate::process::{Process, output_of};
use crate::rewind::{assert_carried, grown, rewind, stored, stored_as_carried, to};
use crate::rows::{LEASES, finished_rows, session_rows, shard_rows, stream_row};
use crate::support::fault::{Fault, Gate};
use crate::support::items::KeySchema;
use crate::support::judge::judge;
use crate::support::payload::{Format, delivered};
use crate::support::world::World;

/// The old fleet still runs when the pipeline gets another sink: it loses its leases, and the new one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn another_sink_is_adopted_where_the_old_one_stopped() {
    let stage = Stage::with_shards(2);
    let old = stage.start(stage.plain()).await;
    stage.write(20, 5);
    stored_as_carried(&stage).await;
    stage.fake.world().create_kinesis_stream("other", 2);
    let text = stage.text("", OF_TABLE, "").replace(&format!("stream = \"{SINK}\""), "stream = \"other\"");
    let refused = stage.try_start(parse(&text)).await.err().expect("another sink").to_string();
    assert!(refused.contains("rewind --pipeline orders --adopt"), "{refused}");
    rewind(&parse(&text), Order { to: None, adopt: true, ..to("trim_horizon") })
        .await
        .expect("it is adopted");
    let is_free = |world: &World| shard_rows(world).iter().all(|row| row["owner"].is_null());
    assert!(is_free(&stage.fake.world()), "the old fleet takes nothing");
    let has_dropped_all = |world: &World| session_rows(world).iter().all(|row| row["load"] == "0");
    stage.fake.wait_until("the old fleet reading nothing", has_dropped_all).await;
    let new = stage.start(parse(&text)).await;
    stage.fake.wait_until("the new fleet at work", move |world| !is_free(world)).await;
    stage.write(20, 5);
    stage.fake.wait_until("twenty there", |world| world.kinesis_stream("other").stored.len() >= 20).await;
    old.stop().await;
    new.stop().await;
    let world = stage.fake.world();
    let records = delivered(world.kinesis_stream("other"), Format::DynamoDbJson);
    judge(&world.changes(TABLE)[20..], &records).assert_exactly_once();
    assert_eq!(stored(&world), 20, "nothing more to the old one");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_table_starts_anew() {
    let stage = Stage::with_shards(2);
    let (bridge, _) = grown(&stage).await;
    bridge.stop().await;
    {
        let mut world = stage.fake.world();
        world.create_table("payments", KeySchema::hash("id", "S"));
        world.enable_stream("payments", "NEW_AND_OLD_IMAGES", 1);
        for n in 0..10 {
            world.put("payments", serde_json::json!({"id": {"S": format!("p{n}")}}));
        }
    }
    let config = stage.config("", "table = \"payments\"", "");
    let order = Order { to: None, adopt: true, ..to("trim_horizon") };
    let both = Order { adopt: true, ..to("trim_horizon") };
    let refused = rewind(&config, both).await.expect_err("a table of which nothing is known").to_string();
    assert!(refused.contains("leave out --to"), "{refused}");
    rewind(&config, order).await.expect("it is adopted");
    assert!(shard_rows(&stage.fake.world()).is_empty() && finished_rows(&stage.fake.world()).is_empty());
    let bridge = stage.start(config).await;
    stage.fake.wait_until("ten payments", |world| stored(world) == 70).await;
    bridge.stop().await;
    let world = stage.fake.world();
    assert_carried(&world, 60..70, &world.changes("payments"));
    assert!(stream_row(&world)["table_arn"].as_str().is_some_and(|arn| arn.ends_with("payments")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_and_named() {
    let stage = Stage::with_shards(1);
    let config = stage.plain();
    let message = |result: Result<(), RewindError>| {
        let error = result.expect_err("refused");
        assert!(error.is_usage(), "{error}");
        error.to_string()
    };
    let never = rewind(&config, to("trim_horizon")).await.expect_err("no lease table").to_string();
    assert!(never.contains("does not exist yet"), "{never}");
    let bridge = stage.start(config.clone()).await;
    stage.write(10, 3);
    stored_as_carried(&stage).await;
    bridge.stop().await;
    let rows = stage.fake.world().table(LEASES).items.clone();

    let shard = ShardId::new(stage.open_shard());
    let last = stage.fake.world().changes(TABLE)[9].sequence_number.clone();
    let unknown = Order { shard: Some(ShardId::new("shardId-0")), ..to("trim_horizon") };
    let unknown = message(rewind(&config, unknown).await);
    assert!(unknown.contains("no shard shardId-0") && unknown.contains(shard.as_str()), "{unknown}");
    let ahead = message(rewind(&config, Order { shard: Some(shard.clone()), ..to(&last) }).await);
    assert!(ahead.contains(&format!("is at {last}")) && ahead.contains("only goes back"), "{ahead}");
    let other = prepare(&config, Some("payments"), to("trim_horizon"), Some(credentials())).await;
    let other = message(other.map(drop));
    assert!(other.contains("\"payments\"") && other.contains("orders"), "{other}");
    let another_key = stage.config("", OF_TABLE, "[pipeline.record]\npartition_key = \"item_key\"");
    let ends = message(rewind(&another_key, to("trim_horizon")).await);
    assert!(ends.contains("partition key mode") && ends.contains("--adopt"), "{ends}");
    assert_eq!(stage.fake.world().table(LEASES).items, rows, "nothing was changed");
}

/// Two at a time would undo each other's work.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_rewind_waits_for_the_first_ones_end() {
    let stage = Stage::with_shards(1);
    let bridge = stage.start(stage.plain()).await;
    stage.write(10, 3);
    stored_as_carried(&stage).await;
    let gate = Gate::shut();
    stage.fake.world().faults.once("TransactWriteItems", Fault::Hold(gate.clone()));
    let config = stage.plain();
    let first = tokio::spawn(async move { rewind(&config, to("trim_horizon")).await });
    gate.reached_by(1).await;
    let second = rewind(&stage.plain(), to("trim_horizon")).await.expect_err("one is under way");
    assert!(matches!(second, RewindError::Busy { .. }), "{second}");
    gate.open();
    first.await.expect("no panic").expect("it goes back");
    stage.fake.wait_until("all of it twice", |world| stored(world) == 20).await;
    bridge.stop().await;
}

/// The binary says what it will do, does it, and tells an operator what went wrong by its exit code.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_itself() {
    let stage = Stage::with_shards(1);
    let bridge = Process::run(&stage.text("", OF_TABLE, ""));
    stage.write(10, 3);
    stored_as_carried(&stage).await;
    let shard = stage.open_shard();
    let text = stage.text("", OF_TABLE, "");
    let (code, out, log) =
        output_of(&text, &["rewind", "--to", "trim_horizon", "--mark", "m", "--yes"]).await;
    assert_eq!(code, Some(0), "{log}");
    for part in ["shards that go back: 1", &shard, "from checkpoint", "\"replay\":\"m\"", "Done"] {
        assert!(out.contains(part), "{part:?} is not in: {out}");
    }
    stage.fake.wait_until("all of it twice", |world| stored(world) == 20).await;
    bridge.signal("TERM");
    assert_eq!(bridge.end().await.0, Some(0));
    let (code, out, log) = output_of(&text, &["rewind", "--to", "99999999999999999999999999", "--yes"]).await;
    assert_eq!((code, out.contains("Nothing to do")), (Some(0), true), "{out}{log}");
    let nowhere = ["rewind", "--pipeline", "x", "--to", "trim_horizon", "--yes"];
    let (code, _, log) = output_of(&text, &nowhere).await;
    assert_eq!((code, log.contains("no pipeline \"x\"")), (Some(2), true), "{log}");
    let (code, _, log) = output_of(&text, &["rewind", "--to", "trim_horizon"]).await;
    assert_eq!((code, log.contains("--yes")), (Some(2), true), "{log}");
}
