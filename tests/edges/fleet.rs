//! A fleet: workers join, leave and share what there is, each lease in one hand at a time.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bridge::{OF_TABLE, Running, SINK, Stage, TABLE, item, parse, puts};
use crate::pipelines::{pay, payments, two};
use crate::rows::{assert_lineage, session_rows, shard_row, shard_rows, shard_rows_of, stream_row};
use crate::support::fault::{Fault, Which};
use crate::support::log::{Outcome, Request};
use crate::support::world::World;

/// A worker's configuration. Two heartbeats of 3 s are the time in which it must pick up what it is offered: a busy
/// machine lets no offer lapse.
pub fn text(stage: &Stage, id: &str) -> String {
    let front = format!("[worker]\nid = \"{id}\"\nshutdown_timeout = \"100s\"");
    with_slow_heart(&stage.text(&front, OF_TABLE, ""))
}

fn with_slow_heart(text: &str) -> String {
    text.replace("heartbeat_interval = \"200ms\"", "heartbeat_interval = \"3s\"")
}

/// Starts a worker, its requests signed with its id.
pub async fn join(stage: &Stage, id: &str) -> Running {
    stage.start_as(id, parse(&text(stage, id))).await
}

/// The leases of a pipeline that each worker has taken; `-` has those that nobody has, or that are on offer.
fn loads_of(world: &World, pipeline: &str) -> BTreeMap<String, usize> {
    let mut loads = BTreeMap::new();
    for row in shard_rows_of(world, pipeline) {
        let owner = row["owner"].as_str().filter(|_| row["offered"] != true);
        *loads.entry(owner.unwrap_or("-").to_owned()).or_default() += 1;
    }
    loads
}

/// Waits until these workers have exactly these numbers of leases of `orders`.
pub async fn settled(stage: &Stage, loads: &[(&str, usize)]) {
    let loads: BTreeMap<String, usize> = loads.iter().map(|(id, load)| ((*id).to_owned(), *load)).collect();
    let what = format!("these leases: {loads:?}");
    stage.fake.wait_until(&what, |world| loads_of(world, "orders") == loads).await;
}

/// Each lease's owner and epoch.
pub fn epochs(world: &World) -> Vec<(String, u64)> {
    let epoch = |row: &Value| row["epoch"].as_str().and_then(|epoch| epoch.parse().ok());
    let owner = |row: &Value| row["owner"].as_str().unwrap_or("-").to_owned();
    shard_rows(world).iter().map(|row| (owner(row), epoch(row).expect("a number"))).collect()
}

fn is_of_shard(request: &Request) -> bool {
    request.operation == "UpdateItem"
        && request.input["Key"]["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with("shard#"))
}

fn names(request: &Request, attribute: &str) -> bool {
    let names = request.input["ExpressionAttributeNames"].as_object();
    names.is_some_and(|names| names.values().any(|name| name == attribute))
}

/// Whether a request takes a lease: nothing else stores that the parents are finished.
pub fn is_take(request: &Request) -> bool {
    is_of_shard(request) && names(request, "parents_finished")
}

/// The offers made to a worker so far.
pub fn offers_to(world: &World, id: &str) -> usize {
    let offers = |request: &&Request| {
        let values = request.input["ExpressionAttributeValues"].as_object();
        is_of_shard(request)
            && !is_take(request)
            && names(request, "offered")
            && request.outcome == Some(Outcome::Ok)
            && values.is_some_and(|values| values.values().any(|value| value["S"] == id))
    };
    world.log.of("UpdateItem").filter(offers).filter(|request| request.caller != id).count()
}

/// From now on Kinesis refuses this partition key, of which a change is under way. Returns the fault's number.
pub async fn block(stage: &Stage, key: &str) -> usize {
    let tries = |world: &World| world.log.of("PutRecords").filter(|put| puts(put, key)).count();
    let before = tries(&stage.fake.world());
    let fault = Fault::fail_entries(Which::PartitionKey(key.to_owned()), "InternalFailure");
    let of_key = key.to_owned();
    let rule = stage.fake.world().faults.always("PutRecords", move |put| puts(put, &of_key), fault);
    change(stage, key);
    stage.fake.wait_until("the blocked key tried", |world| tries(world) > before).await;
    rule
}

/// The keys of `items` items whose changes lie in this shard.
pub fn keys_in(world: &World, shard: &str, items: usize) -> Vec<String> {
    let written = world.written(TABLE).take(items).enumerate();
    written
        .filter(|(_, written)| written.shard_id == shard)
        .map(|(index, _)| format!("item-{index}"))
        .collect()
}

/// Changes one item.
pub fn change(stage: &Stage, key: &str) {
    let mut world = stage.fake.world();
    let version = world.changes(TABLE).len().to_string();
    world.put(TABLE, item(key, &version)).expect("a change");
}

/// The records of a partition key so far.
pub fn arrived(world: &World, key: &str) -> usize {
    world.kinesis_stream(SINK).stored.iter().filter(|stored| stored.partition_key == key).count()
}

/// The shard ids that a worker has taken.
pub fn shards_of(world: &World, id: &str) -> Vec<String> {
    let rows = shard_rows(world);
    let mine = rows.iter().filter(|row| row["owner"] == id && row["offered"] != true);
    mine.filter_map(|row| Some(row["sk"].as_str()?.rsplit_once('#')?.1.to_owned())).collect()
}

pub fn is_draining(world: &World, id: &str) -> bool {
    session_rows(world).iter().any(|row| row["sk"] == id && row["draining"] == true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_joins_gets_its_share_and_nothing_arrives_twice() {
    let stage = Stage::with_shards(6);
    stage.write(60, 23);
    let first = join(&stage, "w1").await;
    settled(&stage, &[("w1", 6)]).await;
    stage.write(60, 23);
    let second = join(&stage, "w2").await;
    stage.write(60, 23);
    settled(&stage, &[("w1", 3), ("w2", 3)]).await;
    stage.write(60, 23);
    stage.all_arrive().await;
    let mut epochs = epochs(&stage.fake.world());
    epochs.sort();
    let expected = |id: &str, epoch| vec![(id.to_owned(), epoch); 3];
    assert_eq!(
        epochs,
        [expected("w1", 1), expected("w2", 3)].concat(),
        "one epoch for the offer, one for the take"
    );
    let brought = |world: &World, id: &str| {
        let stored = &world.kinesis_stream(SINK).stored;
        stored.iter().filter(|stored| world.log.all()[stored.request].caller == id).count()
    };
    assert!(brought(&stage.fake.world(), "w1") > 0 && brought(&stage.fake.world(), "w2") > 0);
    second.stop().await;
    settled(&stage, &[("w1", 6)]).await;
    first.stop().await;
    stage.judge().assert_exactly_once();
}

/// Two configurations: nobody gets leases of a pipeline that it does not serve, and the loads are even for all that.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_no_lease_of_a_pipeline_that_it_does_not_serve() {
    let (stage, both) = two("[pipeline.record]\nformat = \"json\"\n");
    {
        let mut world = stage.fake.world();
        // Two shards of `payments` and four of `orders`.
        for stream in [stage.stream.clone(), world.latest_stream_of("payments").expect("one").arn.clone()] {
            for shard in world.stream(&stream).open_shards() {
                world.split(&stream, &shard);
            }
        }
        pay(&mut world, 20);
    }
    stage.write(40, 23);
    let of_both =
        || parse(&with_slow_heart(&format!("[worker]\nid = \"w1\"\nshutdown_timeout = \"100s\"\n{both}")));
    let first = stage.start_as("w1", of_both()).await;
    settled(&stage, &[("w1", 4)]).await;
    let second = join(&stage, "w2").await;
    settled(&stage, &[("w1", 1), ("w2", 3)]).await;
    assert_eq!(loads_of(&stage.fake.world(), "payments"), BTreeMap::from([("w1".to_owned(), 2)]));
    stage.write(40, 23);
    pay(&mut stage.fake.world(), 20);
    stage.all_arrive().await;
    stage.fake.wait_until("all payments", |world| payments(world).missing.is_empty()).await;
    first.stop().await;
    settled(&stage, &[("w2", 4)]).await;
    assert_eq!(loads_of(&stage.fake.world(), "payments"), BTreeMap::from([("-".to_owned(), 2)]));
    assert!(shard_rows_of(&stage.fake.world(), "payments").iter().all(|row| row["owner"].is_null()));
    stage.write(40, 23);
    pay(&mut stage.fake.world(), 20);
    stage.all_arrive().await;
    assert_eq!(payments(&stage.fake.world()).missing.len(), 20, "nobody is left to carry these");
    let first = stage.start_as("w1", of_both()).await;
    stage.fake.wait_until("the later payments", |world| payments(world).missing.is_empty()).await;
    settled(&stage, &[("w1", 1), ("w2", 3)]).await;
    second.stop().await;
    first.stop().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    payments(&world).assert_exactly_once();
    let strangers = |request: &&Request| {
        request.caller == "w2" && request.input.to_string().contains("pipeline#payments")
    };
    assert_eq!(world.log.all().iter().filter(strangers).count(), 0, "w2 does not so much as look");
}

/// Every shard of the stream ends. The children start where their parents were finished: their rows are made for that
/// worker, which nobody lists nor looks for first.
#[tokio::test(flavor = "multi_thread")]
async fn the_children_of_a_rotation_stay_with_who_finished_their_parents() {
    let stage = Stage::with_shards(4);
    stage.write(40, 23);
    let first = join(&stage, "w1").await;
    settled(&stage, &[("w1", 4)]).await;
    let second = join(&stage, "w2").await;
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    stage.all_arrive().await;
    let children = {
        let mut world = stage.fake.world();
        let sweeps = |request: &Request| request.input["ShardFilter"].is_null();
        world.faults.always("DescribeStream", sweeps, Fault::internal());
        crate::bridge::write(&mut world, 40, 23);
        let parents = world.stream(&stage.stream).open_shards();
        let children: Vec<String> =
            parents.iter().map(|parent| world.rotate(&stage.stream, parent)).collect();
        crate::bridge::write(&mut world, 40, 23);
        children
    };
    stage.all_arrive().await;
    stage.fake.wait_until("the parents finished", |world| crate::rows::finished_rows(world).len() == 4).await;
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    {
        let world = stage.fake.world();
        for child in &children {
            let (finisher, row) = made_by(&world, child);
            assert_eq!(row["owner"]["S"], finisher, "{row}");
            assert_eq!((&row["offered"]["BOOL"], row["epoch"]["N"].as_str()), (&true.into(), Some("0")));
            let takes = |request: &&Request| is_take(request) && request.input.to_string().contains(child);
            let takers: Vec<&str> =
                world.log.of("UpdateItem").filter(takes).map(|request| &*request.caller).collect();
            assert_eq!(takers, [finisher], "nobody else tries");
            assert_eq!(shard_row(&world, child)["epoch"], "1");
        }
        assert_lineage(&world, &stage.stream);
    }
    second.stop().await;
    first.stop().await;
    stage.judge().assert_exactly_once();
}

/// Who made a shard's row, and the row as it was made.
fn made_by<'a>(world: &'a World, shard: &str) -> (&'a str, &'a Value) {
    let mut made = world.log.of("TransactWriteItems").flat_map(|request| {
        let writes = request.input["TransactItems"].as_array();
        writes.into_iter().flatten().map(|write| (&*request.caller, &write["Put"]["Item"]))
    });
    let of_shard = |sk: &str| sk.starts_with("shard#") && sk.ends_with(shard);
    made.find(|(_, row)| row["sk"]["S"].as_str().is_some_and(of_shard)).expect("the shard's row was made")
}

/// While the one who lists the streams drains, another lists them: what is new meanwhile is found and read.
#[tokio::test(flavor = "multi_thread")]
async fn discovery_goes_on_elsewhere_while_its_owner_drains() {
    let stage = Stage::with_shards(4);
    stage.write(40, 40);
    let first = join(&stage, "w1").await;
    settled(&stage, &[("w1", 4)]).await;
    let second = join(&stage, "w2").await;
    settled(&stage, &[("w1", 2), ("w2", 2)]).await;
    stage.all_arrive().await;
    let (blocked, other) = {
        let world = stage.fake.world();
        (shards_of(&world, "w1")[0].clone(), shards_of(&world, "w2")[0].clone())
    };
    let keys =
        |stage: &Stage, shard: &str| keys_in(&stage.fake.world(), shard, 40).first().cloned().expect("a key");
    let (key, others_key) = (keys(&stage, &blocked), keys(&stage, &other));
    let rule = block(&stage, &key).await;
    let stopping = tokio::spawn(first.stop());
    stage
        .fake
        .wait_until("w2 lists the streams", |world| stream_row(world)["discovery_owner"]["id"] == "w2")
        .await;
    let child = {
        let mut world = stage.fake.world();
        // Not by the worker that reads the parent: only a listing of the whole stream shows the child.
        let asks_for_children = |request: &Request| !request.input["ShardFilter"].is_null();
        world.faults.always("DescribeStream", asks_for_children, Fault::internal());
        world.rotate(&stage.stream, &other)
    };
    let before = arrived(&stage.fake.world(), &others_key);
    change(&stage, &others_key);
    stage.fake.wait_until("the change in the new shard", |world| arrived(world, &others_key) > before).await;
    assert!(is_draining(&stage.fake.world(), "w1"), "all this while w1 was still draining");
    assert_eq!(shard_row(&stage.fake.world(), &child)["owner"], "w2");
    stage.fake.world().faults.lift(rule);
    stopping.await.expect("no panic");
    settled(&stage, &[("w2", 4)]).await;
    stage.all_arrive().await;
    second.stop().await;
    stage.judge().assert_exactly_once();
}
