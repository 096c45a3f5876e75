//! The lease table: made when it is missing, left alone when it is another's, and relied on only as far as its answers
//! go: lost answers, throttles, pages and rows edited by hand.

use serde_json::{Value, json};

use crate::bridge::{OF_TABLE, Stage, TABLE, judged, write};
use crate::rows::{
    LEASES, assert_lineage, finished_row, finished_rows, is_there, session_rows, shard_key, shard_row,
    shard_rows, stream_row,
};
use crate::support::fault::{Fault, Gate, Loss};
use crate::support::items::KeySchema;
use crate::support::log::Request;

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_made_with_its_schema_and_the_rows_are_as_documented() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    stage.fake.world().quirks.creating_calls = 1;
    stage.write(10, 3);
    let bridge = stage.start(stage.config("[worker]\nid = \"w1\"", OF_TABLE, "")).await;
    stage.all_arrive().await;
    let last = stage.fake.world().changes(TABLE)[9].sequence_number.clone();
    stage
        .fake
        .wait_until("the checkpoint", |world| shard_row(world, &shard)["checkpoint"] == last.as_str())
        .await;
    {
        let world = stage.fake.world();
        let create = world.log.of("CreateTable").next().expect("the table is created").input.clone();
        assert_eq!(create["TableName"], LEASES);
        assert_eq!(create["BillingMode"], "PAY_PER_REQUEST");
        assert_eq!(world.table(LEASES).key_schema, KeySchema::hash("pk", "S").and_range("sk", "S"));
        let session = &session_rows(&world)[0];
        assert_eq!((&session["sk"], &session["pipelines"]), (&json!("w1"), &json!(["orders"])));
        let row = shard_row(&world, &shard);
        assert_eq!(row["owner"], "w1", "{row}");
        assert_eq!(row["incarnation"], session["incarnation"], "{row}");
        let stream = stream_row(&world);
        assert_eq!(stream["table_arn"], world.table("orders").arn.as_str(), "{stream}");
        assert_eq!(stream["sink_arn"], world.kinesis_stream("orders-cdc").arn.as_str(), "{stream}");
        assert_eq!(stream["partition_key"], "partition_key", "{stream}");
    }
    bridge.stop().await;
    let world = stage.fake.world();
    let row = shard_row(&world, &shard);
    assert!(
        row["owner"].is_null() && row["checkpoint"] == last.as_str(),
        "released with its checkpoint: {row}"
    );
    assert!(session_rows(&world).is_empty());
}

/// A predicate for every other request of those that `wanted` picks, the first included.
fn every_other(
    wanted: impl Fn(&Request) -> bool + Send + 'static,
) -> impl FnMut(&Request) -> bool + Send + 'static {
    let mut count = 0;
    move |request| {
        let is_wanted = wanted(request);
        count += usize::from(is_wanted);
        is_wanted && count % 2 == 1
    }
}

/// Heartbeats, takes, checkpoints, finishes, new rows, the session itself: every other answer is lost after its effect.
#[tokio::test(flavor = "multi_thread")]
async fn answers_to_conditional_writes_may_be_lost() {
    let stage = Stage::with_shards(2);
    stage.write(40, 13);
    {
        let mut world = stage.fake.world();
        for operation in ["UpdateItem", "PutItem", "TransactWriteItems"] {
            let lost = Fault::FailAfterEffect(Loss::Dropped);
            world.faults.always(operation, every_other(|_| true), lost);
        }
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    for _ in 0..2 {
        let closed = {
            let mut world = stage.fake.world();
            let open = world.stream(&stage.stream).open_shards();
            write(&mut world, 20, 13);
            world.split(&stage.stream, &open[0]);
            write(&mut world, 20, 13);
            open[0].clone()
        };
        stage.fake.wait_until("the parent finished", |world| is_there(&finished_row(world, &closed))).await;
    }
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
    let world = stage.fake.world();
    assert_lineage(&world, &stage.stream);
    assert_eq!((finished_rows(&world).len(), shard_rows(&world).len()), (2, 4));
    assert!(shard_rows(&world).iter().all(|row| is_there(&row["checkpoint"]) || row["parents"] != json!([])));
}

/// Errors of every kind before any effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_and_failing_lease_table_delays_and_loses_nothing() {
    let stage = Stage::with_shards(2);
    stage.write(40, 13);
    {
        let mut world = stage.fake.world();
        for operation in ["UpdateItem", "PutItem", "TransactWriteItems", "Query", "GetItem", "DeleteItem"] {
            for fault in [
                Fault::Throttle,
                Fault::internal(),
                Fault::DropConnection,
                Fault::FailAfterEffect(Loss::MalformedBody),
                Fault::reject(400, "ExpiredTokenException"),
            ] {
                world.faults.once(operation, fault);
                world.faults.pass(operation);
            }
        }
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    let parent = {
        let mut world = stage.fake.world();
        let open = world.stream(&stage.stream).open_shards();
        write(&mut world, 20, 13);
        world.rotate(&stage.stream, &open[0]);
        write(&mut world, 20, 13);
        open[0].clone()
    };
    stage.all_arrive().await;
    stage.fake.wait_until("the parent finished", |world| is_there(&finished_row(world, &parent))).await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
    assert_lineage(&stage.fake.world(), &stage.stream);
}

/// A write that hangs is given up; when it arrives late, it must not undo what came after it (P6).
#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_checkpoint_does_not_move_a_later_one_back() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    let gate = Gate::shut();
    let is_checkpoint = |request: &Request| {
        let values = request.input["ExpressionAttributeValues"].to_string();
        let names = request.input["ExpressionAttributeNames"].to_string();
        names.contains("\"checkpoint\"") && !values.contains("halted")
    };
    let mut held = false;
    let first = move |request: &Request| is_checkpoint(request) && !std::mem::replace(&mut held, true);
    stage.fake.world().faults.always("UpdateItem", first, Fault::Hold(gate.clone()));
    let bridge = stage.start(stage.mortal()).await;
    stage.write(10, 3);
    gate.reached_by(1).await;
    stage.write(10, 3);
    stage.all_arrive().await;
    let last = stage.fake.world().changes(TABLE)[19].sequence_number.clone();
    stage
        .fake
        .wait_until("the later checkpoint", |world| shard_row(world, &shard)["checkpoint"] == last.as_str())
        .await;
    gate.open();
    stage
        .fake
        .wait_until("the delayed write's answer", |world| {
            world
                .log
                .of("UpdateItem")
                .filter(|request| is_checkpoint(request))
                .all(|request| request.outcome.is_some())
        })
        .await;
    assert_eq!(shard_row(&stage.fake.world(), &shard)["checkpoint"], last.as_str());
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}

#[tokio::test(flavor = "multi_thread")]
async fn query_pages_of_one_row() {
    let stage = Stage::with_shards(3);
    stage.fake.world().quirks.query_page = 1;
    stage.write(30, 13);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    let parent = {
        let mut world = stage.fake.world();
        let open = world.stream(&stage.stream).open_shards();
        world.split(&stage.stream, &open[0]);
        write(&mut world, 30, 13);
        open[0].clone()
    };
    stage.all_arrive().await;
    stage.fake.wait_until("the parent finished", |world| is_there(&finished_row(world, &parent))).await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_lineage(&stage.fake.world(), &stage.stream);
}

/// A shard's row that does not read is left alone, as it is; the others go on, and its children wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_edited_to_nonsense_stops_its_own_shard_only() {
    for nonsense in [
        json!({"epoch": {"S": "three"}}),
        json!({"checkpoint": {"S": "the end"}}),
        json!({"state": {"N": "7"}}),
    ] {
        let stage = Stage::with_shards(2);
        stage.write(20, 10);
        let bridge = stage.start(stage.plain()).await;
        stage.all_arrive().await;
        bridge.stop().await;
        let (spoilt, before) = {
            let mut world = stage.fake.world();
            let spoilt = world.stream(&stage.stream).open_shards().remove(0);
            let key = shard_key(&world, &spoilt);
            world.update(LEASES, key, nonsense.clone());
            (spoilt.clone(), shard_row(&world, &spoilt))
        };
        stage.write(20, 10);
        let bridge = stage.start(stage.plain()).await;
        stage
            .fake
            .wait_until("the other shard's changes", |world| {
                let missing = judged(world).missing;
                let mut others = world.written(TABLE).filter(|written| written.shard_id != spoilt);
                others.all(|written| !missing.contains(&written.change))
            })
            .await;
        bridge.stop().await;
        let world = stage.fake.world();
        assert_eq!(shard_row(&world, &spoilt), before, "{nonsense}");
        assert!(!judged(&world).missing.is_empty());
    }
}

/// A stranger's session row that does not read is no reason to stop; nor is a row that no version of this wrote.
#[tokio::test(flavor = "multi_thread")]
async fn strange_rows_are_nobodys_concern() {
    let stage = Stage::with_shards(1);
    stage.write(10, 5);
    {
        let mut world = stage.fake.world();
        world.create_table(LEASES, KeySchema::hash("pk", "S").and_range("sk", "S"));
        world.put(LEASES, json!({"pk": {"S": "workers"}, "sk": {"S": "w9"}, "counter": {"S": "many"}}));
        world.put(LEASES, json!({"pk": {"S": "pipeline#orders"}, "sk": {"S": "shard#"}, "a": {"L": []}}));
        world.put(LEASES, json!({"pk": {"S": "pipeline#orders"}, "sk": {"S": "finished#x#y"}}));
        world.put(LEASES, json!({"pk": {"S": "elsewhere"}, "sk": {"S": "x"}}));
    }
    let bridge = stage.start(stage.config("[worker]\nid = \"w1\"", OF_TABLE, "")).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
}

/// A session row deleted by hand: a new session begins, nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_row_deleted_by_hand_ends_that_tenure_only() {
    let stage = Stage::with_shards(2);
    stage.write(20, 7);
    let bridge = stage.start(stage.config("[worker]\nid = \"w1\"", OF_TABLE, "")).await;
    stage.all_arrive().await;
    let before: Value = session_rows(&stage.fake.world())[0]["incarnation"].clone();
    stage.fake.world().delete(LEASES, json!({"pk": {"S": "workers"}, "sk": {"S": "w1"}}));
    stage
        .fake
        .wait_until("a new session", |world| {
            session_rows(world).first().is_some_and(|row| row["incarnation"] != before)
        })
        .await;
    stage.write(20, 7);
    stage.all_arrive().await;
    stage
        .fake
        .wait_until("the leases taken anew", |world| {
            let now = session_rows(world).first().map(|row| row["incarnation"].clone());
            shard_rows(world).iter().all(|row| Some(&row["incarnation"]) == now.as_ref())
        })
        .await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}

/// Heartbeats that do not come through for longer than the session lives: nothing is sent meanwhile (P4).
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_past_the_sessions_deadline() {
    let stage = Stage::with_shards(1);
    stage.write(10, 5);
    let bridge = stage.start(stage.mortal()).await;
    stage.all_arrive().await;
    let is_heartbeat = |request: &Request| request.input["Key"]["pk"]["S"] == "workers";
    let rule = stage.fake.world().faults.always("UpdateItem", is_heartbeat, Fault::internal());
    // A second and more of heartbeats that fail: by then the deadline has passed.
    let began = std::time::Instant::now();
    stage
        .fake
        .wait_until("heartbeats failing for long", |_| {
            began.elapsed() > std::time::Duration::from_millis(1_200)
        })
        .await;
    stage.write(10, 5);
    let reads = stage.fake.world().log.count("GetRecords");
    stage.fake.wait_until("the changes read", |world| world.log.count("GetRecords") > reads + 2).await;
    assert_eq!(
        stage.fake.world().kinesis_stream("orders-cdc").stored.len(),
        10,
        "P4: sent without a session"
    );
    stage.fake.world().faults.lift(rule);
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}
