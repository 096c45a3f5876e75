//! The README's recipes about what is carried: each configuration is read from there and run by the built binary.

use serde_json::{Value, json};

use crate::bridge::{SINK, Stage, TABLE};
use crate::process::{Process, output_of};
use crate::support::world::World;

/// The configuration in the README's recipe of this name.
fn recipe(name: &str) -> String {
    let readme = include_str!("../../README.md");
    let recipes = readme.split("\n## Recipes\n").nth(1).expect("the README's recipes");
    let recipes = recipes.split("\n## ").next().unwrap_or_default();
    let heading = format!("\n### {name}\n");
    let recipe = recipes.split(&heading).nth(1).unwrap_or_else(|| panic!("no recipe {name:?}"));
    let recipe = recipe.split("\n### ").next().unwrap_or_default();
    let toml = recipe.split("```toml\n").nth(1).expect("a configuration");
    toml.split("```").next().unwrap_or_default().to_owned()
}

/// The recipe on the stage, once `check` has found nothing.
async fn run(stage: &Stage, name: &str) -> Process {
    let front = "[http]\nlisten = \"\"\n[lease_table]\nlease.\n";
    let endpoint = stage.fake.endpoint();
    let at = |section: &str| {
        format!("{section}endpoint_url = \"{endpoint}\"\n{section}region = \"eu-central-1\"\n")
    };
    let config = format!("{front}{}", recipe(name))
        .replace("lease.\n", &at(""))
        .replace("source.table =", &(at("source.") + "source.table ="))
        .replace("sink.stream =", &(at("sink.") + "sink.stream ="));
    let (code, stdout, stderr) = output_of(&config, &["check"]).await;
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    Process::run(&config)
}

/// Runs the recipe until this many records are in each of these streams; no more come.
async fn carried(stage: &Stage, name: &str, expected: &[(&str, usize)]) -> Vec<Vec<Value>> {
    let process = run(stage, name).await;
    let there = |world: &World| {
        expected.iter().all(|(sink, count)| world.kinesis_stream(sink).stored.len() >= *count)
    };
    stage.fake.wait_until("the recipe's records", there).await;
    process.ends_cleanly().await;
    let world = stage.fake.world();
    let payloads = |sink: &str| -> Vec<Value> {
        let stored = world.kinesis_stream(sink).stored.iter();
        stored.map(|stored| serde_json::from_slice(&stored.data).expect("a payload is JSON")).collect()
    };
    expected
        .iter()
        .map(|(sink, count)| {
            let payloads = payloads(sink);
            assert_eq!(payloads.len(), *count, "{sink}: {payloads:#?}");
            payloads
        })
        .collect()
}

fn key(id: &str) -> Value {
    json!({"id": {"S": id}, "line": {"N": "1"}})
}

fn order(id: &str, status: &str, total: &str) -> Value {
    let mut order = key(id);
    order["status"] = json!({"S": status});
    order["total"] = json!({"N": total});
    order["card_number"] = json!({"S": "4111"});
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_item() {
    let stage = Stage::with_shards(1);
    stage.write(500, 1);
    let process = run(&stage, "A hot item").await;
    stage.all_arrive().await;
    process.ends_cleanly().await;
    stage.judge().assert_exactly_once();
    let records = stage.fake.world().kinesis_stream(SINK).stored.len();
    assert!(records <= 10, "500 changes of one item in {records} records");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_you_need() {
    let stage = Stage::with_shards(1);
    {
        let mut world = stage.fake.world();
        for (id, status, total) in
            [("small", "open", "99.99"), ("shut", "closed", "500"), ("wait", "waiting-for-stock", "100")]
        {
            world.put(TABLE, order(id, status, total)).expect("a change");
        }
        world.update(TABLE, key("wait"), json!({"seen_at": {"N": "1"}})).expect("a change");
        world.update(TABLE, key("wait"), json!({"total": {"N": "250"}})).expect("a change");
        world.update(TABLE, key("wait"), json!({"status": {"S": "closed"}})).expect("a change");
        world.delete(TABLE, key("wait")).expect("a change");
        world.put(TABLE, order("last", "open", "1000")).expect("a change");
    }
    let payloads = carried(&stage, "Only what you need", &[(SINK, 3)]).await.remove(0);
    let totals: Vec<&Value> =
        payloads.iter().map(|payload| &payload["dynamodb"]["NewImage"]["total"]["N"]).collect();
    for total in ["100", "250", "1000"] {
        assert!(totals.contains(&&json!(total)), "{totals:?}");
    }
    for payload in &payloads {
        let change = &payload["dynamodb"];
        assert!(change["OldImage"].is_null() && change["NewImage"]["card_number"].is_null(), "{payload}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_what_time_to_live_deletes() {
    let stage = Stage::new("OLD_IMAGE", 1, |_| {});
    {
        let mut world = stage.fake.world();
        world.create_kinesis_stream("orders-expired", 1);
        for id in ["deleted", "expired"] {
            world.put(TABLE, order(id, "open", "12.50")).expect("a change");
        }
        world.delete(TABLE, key("deleted")).expect("a change");
        world.ttl_delete(TABLE, key("expired")).expect("a change");
    }
    let expected = [("orders-expired", 1)];
    let payloads = carried(&stage, "An archive of what time to live deletes", &expected).await.remove(0);
    let payload = &payloads[0];
    assert_eq!((&payload["op"], &payload["ttl"]), (&json!("remove"), &json!(true)));
    assert_eq!(
        payload["old"],
        json!({"id": "expired", "line": 1, "status": "open", "total": 12.5, "card_number": "4111"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consumers_two_streams() {
    let stage = Stage::with_shards(2);
    {
        let mut world = stage.fake.world();
        world.create_kinesis_stream("orders-billing", 1);
        world.create_kinesis_stream("orders-search", 1);
        world.put(TABLE, order("a", "open", "1")).expect("a change");
        world.update(TABLE, key("a"), json!({"note": {"S": "x"}})).expect("a change");
        world.update(TABLE, key("a"), json!({"total": {"N": "2"}})).expect("a change");
    }
    let expected = [("orders-billing", 2), ("orders-search", 3)];
    let payloads = carried(&stage, "Two consumers, two streams", &expected).await;
    let [billing, search] = payloads.as_slice() else { panic!("two streams") };
    let image = json!({"id": {"S": "a"}, "line": {"N": "1"}, "status": {"S": "open"}, "total": {"N": "2"}});
    assert_eq!(billing[1]["dynamodb"]["NewImage"], image);
    let image = json!({"id": "a", "line": 1, "status": "open", "total": 2, "note": "x"});
    assert_eq!((&search[2]["new"], &search[2]["old"]), (&image, &Value::Null));
}
