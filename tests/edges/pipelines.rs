//! Several pipelines in one process: one that cannot go on holds up none of the others.

use serde_json::json;

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE};
use crate::support::fault::Fault;
use crate::support::items::KeySchema;
use crate::support::judge::judge;
use crate::support::log::Request;
use crate::support::payload::{Format, delivered};
use crate::support::world::World;

/// A stage with a second table, `payments`, and its own Kinesis stream; and the configuration of both pipelines.
pub fn two(record: &str) -> (Stage, String) {
    let stage = Stage::with_shards(2);
    {
        let mut world = stage.fake.world();
        world.create_table("payments", KeySchema::hash("id", "N"));
        world.enable_stream("payments", "NEW_IMAGE", 1);
        world.create_kinesis_stream("payments-cdc", 1);
    }
    let text = stage.text("", OF_TABLE, "");
    let second = text[text.find("[[pipeline]]").expect("a pipeline")..].to_owned();
    let second = second.replace("name = \"orders\"", "name = \"payments\"").replace(SINK, "payments-cdc");
    let second = second.replace(OF_TABLE, "table = \"payments\"");
    (stage, text + &second + record)
}

pub fn pay(world: &mut World, count: usize) {
    let already = world.changes("payments").len();
    for n in already..already + count {
        let item = json!({"id": {"N": (n % 5).to_string()}, "cents": {"N": n.to_string()}});
        world.put("payments", item).expect("a change");
    }
}

pub fn payments(world: &World) -> crate::support::judge::Report {
    judge(&world.changes("payments"), &delivered(world.kinesis_stream("payments-cdc"), Format::Json))
}

const JSON: &str = "[pipeline.record]\nformat = \"json\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_fails_holds_up_its_own_pipeline_only() {
    let (stage, text) = two(JSON);
    stage.write(100, 13);
    pay(&mut stage.fake.world(), 20);
    let to_orders = |request: &Request| request.input["StreamName"] == SINK;
    let rule = stage.fake.world().faults.always("PutRecords", to_orders, Fault::internal());
    let bridge = stage.start(crate::bridge::parse(&text)).await;
    stage.fake.wait_until("all payments", |world| payments(world).missing.is_empty()).await;
    pay(&mut stage.fake.world(), 20);
    stage.fake.wait_until("the later payments", |world| payments(world).missing.is_empty()).await;
    assert_eq!(stage.fake.world().kinesis_stream(SINK).stored.len(), 0);
    stage.fake.world().faults.lift(rule);
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    payments(&stage.fake.world()).assert_exactly_once();
}

/// The same with a source that fails for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_holds_up_its_own_pipeline_only() {
    let (stage, text) = two(JSON);
    stage.write(50, 13);
    pay(&mut stage.fake.world(), 20);
    {
        let mut world = stage.fake.world();
        let of_orders = |request: &Request| {
            request.input["StreamArn"].as_str().is_some_and(|arn| arn.contains(&format!("table/{TABLE}/")))
        };
        world.faults.always("GetShardIterator", of_orders, Fault::reject(400, "AccessDeniedException"));
    }
    let bridge = stage.start(crate::bridge::parse(&text)).await;
    stage.fake.wait_until("all payments", |world| payments(world).missing.is_empty()).await;
    bridge.stop().await;
    payments(&stage.fake.world()).assert_exactly_once();
}

/// One table into two Kinesis streams, each pipeline with positions of its own.
#[tokio::test(flavor = "multi_thread")]
async fn one_table_into_two_streams() {
    let (stage, text) = two("");
    let text = text.replace("table = \"payments\"", OF_TABLE);
    stage.write(60, 13);
    let bridge = stage.start(crate::bridge::parse(&text)).await;
    stage.all_arrive().await;
    let second = |world: &World| {
        judge(&world.changes(TABLE), &delivered(world.kinesis_stream("payments-cdc"), Format::DynamoDbJson))
    };
    stage.fake.wait_until("the second stream", |world| second(world).missing.is_empty()).await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    second(&stage.fake.world()).assert_exactly_once();
}
