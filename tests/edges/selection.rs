//! Which changes a pipeline carries, and what of each: what is left out moves the checkpoint like what is delivered, and
//! what the stream does not have is refused before anything is read.

use serde_json::{Value, json};

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, item, parse, with_failover};
use crate::process::{HTTP, Process, get, output_of};
use crate::rows::{finished_rows, shard_rows};
use crate::support::items::KeySchema;
use crate::support::judge::judge;
use crate::support::payload::{Format, delivered};
use crate::support::world::World;

/// A configuration with these lines in `[pipeline.record]`.
fn text(stage: &Stage, record: &str) -> String {
    stage.text("", OF_TABLE, &format!("[pipeline.record]\n{record}"))
}

fn key(id: &str) -> Value {
    json!({"id": {"S": id}, "line": {"N": "1"}})
}

/// The versions in the new images that arrived for an item, in their order.
fn versions(world: &World, sink: &str, id: &str) -> Vec<usize> {
    let stored = world.kinesis_stream(sink).stored.iter();
    stored
        .map(|stored| serde_json::from_slice::<Value>(&stored.data).expect("a payload is JSON"))
        .filter(|payload| payload["dynamodb"]["Keys"]["id"]["S"] == id)
        .map(|payload| {
            payload["dynamodb"]["NewImage"]["version"]["N"].as_str().expect("a version").parse().unwrap()
        })
        .collect()
}

/// Waits until every shard's checkpoint is that of its last change: nothing is left to carry.
async fn all_checkpointed(stage: &Stage) {
    let all = |world: &World| {
        let rows = shard_rows(world);
        let stored: Vec<&str> = rows.iter().filter_map(|row| row["checkpoint"].as_str()).collect();
        let shards = world.stream(&stage.stream).shards.iter().filter(|shard| !shard.records.is_empty());
        shards
            .map(|shard| {
                shard.records.last().expect("it has some").body["dynamodb"]["SequenceNumber"].clone()
            })
            .all(|last| stored.contains(&last.as_str().expect("a number")))
    };
    stage.fake.wait_until("the last change's checkpoint", all).await;
}

const FILTER: &str = r#"filter = '''
{"dynamodb": {"NewImage": {"version": {"N": [{"suffix": "00"}, {"numeric": [">=", 40, "<", 60]}]}}}}'''"#;

/// Whether the filter lets this version through.
fn is_wanted(version: &usize) -> bool {
    version.is_multiple_of(100) && *version > 0 || (40..60).contains(version)
}

/// Of 800 changes the filter lets 27 through: each once and in order, over a restart, and what was left out lies before the
/// checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_keeps_order_and_moves_the_checkpoint() {
    let stage = Stage::with_shards(2);
    let config = || parse(&text(&stage, FILTER));
    for _ in 0..2 {
        stage.write(400, 4);
        let bridge = stage.start(config()).await;
        all_checkpointed(&stage).await;
        bridge.stop().await;
    }
    for n in 0..4 {
        let expected: Vec<usize> = (n..800).step_by(4).filter(is_wanted).collect();
        assert_eq!(versions(&stage.fake.world(), SINK, &format!("item-{n}")), expected);
    }
}

/// After a crash some come again, none is missing, and first deliveries are in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_nothing_that_a_filter_lets_through() {
    let stage = Stage::with_shards(2);
    let config = || parse(&with_failover(&text(&stage, FILTER), 1));
    stage.write(400, 4);
    let bridge = stage.start(config()).await;
    stage.fake.wait_until("some records", |world| world.kinesis_stream(SINK).stored.len() > 5).await;
    bridge.kill().await;
    stage.write(400, 4);
    let bridge = stage.start(config()).await;
    all_checkpointed(&stage).await;
    bridge.stop().await;
    for n in 0..4 {
        let expected: Vec<usize> = (n..800).step_by(4).filter(is_wanted).collect();
        let mut first: Vec<usize> = Vec::new();
        for version in versions(&stage.fake.world(), SINK, &format!("item-{n}")) {
            if !first.contains(&version) {
                first.push(version);
            }
        }
        assert_eq!(first, expected);
    }
}

/// A shard of which nothing is carried ends like any other, and its children are read.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_left_out_whole_is_finished() {
    let stage = Stage::with_shards(1);
    stage.write(50, 3);
    let bridge = Process::run(&stage.text(HTTP, OF_TABLE, "[pipeline.record]\nevents = [\"remove\"]"));
    let address = bridge.http_address();
    all_checkpointed(&stage).await;
    {
        let mut world = stage.fake.world();
        let parent = world.stream(&stage.stream).open_shards().remove(0);
        world.rotate(&stage.stream, &parent);
        world.delete(TABLE, key("item-0")).expect("a change");
    }
    stage.fake.wait_until("the delete", |world| world.kinesis_stream(SINK).stored.len() == 1).await;
    stage.fake.wait_until("the finished parent", |world| finished_rows(world).len() == 1).await;
    let figures =
        ["changes_filtered_total{pipeline=\"orders\"} 50", "changes_delivered_total{pipeline=\"orders\"} 1"];
    let told =
        |metrics: &str| figures.iter().all(|line| metrics.contains(&format!("ddb_kinesis_bridge_{line}\n")));
    stage.fake.wait_until("the figures", |_| told(&get(address, "/metrics").1)).await;
    bridge.ends_cleanly().await;
}

/// What arrives of an insert, two modifications (of which one changes the version only), a delete and an expiry.
async fn arrived(view_type: &str, record: &str) -> Vec<Value> {
    let stage = Stage::new(view_type, 1, |_| {});
    {
        let mut world = stage.fake.world();
        world.put(TABLE, json!({"id": {"S": "a"}, "line": {"N": "1"}, "version": {"N": "1"}, "tags": {"SS": ["x", "y"]}})).expect("a change");
        world.update(TABLE, key("a"), json!({"version": {"N": "2"}})).expect("a change");
        world.update(TABLE, key("a"), json!({"tags": {"SS": ["z"]}})).expect("a change");
        world.delete(TABLE, key("a")).expect("a change");
        world.put(TABLE, item("b", "1")).expect("a change");
        world.ttl_delete(TABLE, key("b")).expect("a change");
    }
    let bridge = stage.start(parse(&text(&stage, record))).await;
    all_checkpointed(&stage).await;
    bridge.stop().await;
    let world = stage.fake.world();
    let stored = world.kinesis_stream(SINK).stored.iter();
    stored.map(|stored| serde_json::from_slice(&stored.data).expect("a payload is JSON")).collect()
}

/// Each payload's event and item; of one item in the order of arrival.
fn events(payloads: &[Value]) -> Vec<(&str, &str)> {
    let mut all: Vec<(&str, &str)> = Vec::new();
    for item in ["a", "b"] {
        let of_item = payloads.iter().filter(|payload| payload["dynamodb"]["Keys"]["id"]["S"] == item);
        all.extend(of_item.map(|payload| (payload["eventName"].as_str().expect("a name"), item)));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_deletes_by_time_to_live() {
    const BOTH: &str = "NEW_AND_OLD_IMAGES";
    assert_eq!(
        events(&arrived(BOTH, "").await),
        [
            ("INSERT", "a"),
            ("MODIFY", "a"),
            ("MODIFY", "a"),
            ("REMOVE", "a"),
            ("INSERT", "b"),
            ("REMOVE", "b")
        ]
    );
    let removed = arrived("KEYS_ONLY", "events = [\"remove\"]\nttl_deletes = \"exclude\"").await;
    assert_eq!(events(&removed), [("REMOVE", "a")]);
    let inserted = arrived("KEYS_ONLY", "events = [\"insert\"]").await;
    assert_eq!(events(&inserted), [("INSERT", "a"), ("INSERT", "b")]);
    let expired = arrived("OLD_IMAGE", "ttl_deletes = \"only\"\nimages = \"old\"").await;
    assert_eq!(events(&expired), [("REMOVE", "b")]);
    assert_eq!(expired[0]["dynamodb"]["OldImage"], item("b", "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn images_attributes_and_what_did_not_change() {
    const BOTH: &str = "NEW_AND_OLD_IMAGES";
    for (images, new, old) in [("keys", false, false), ("new", true, false), ("old", false, true)] {
        let payloads = arrived(BOTH, &format!("images = \"{images}\"\nevents = [\"modify\"]")).await;
        assert_eq!(payloads.len(), 2);
        for payload in payloads {
            let change = &payload["dynamodb"];
            assert_eq!(
                (change["NewImage"].is_object(), change["OldImage"].is_object()),
                (new, old),
                "{payload}"
            );
            assert!(payload["truncated"].is_null() && change["StreamViewType"] == BOTH, "{payload}");
        }
    }
    // The second modification leaves the version as it was.
    let payloads = arrived(BOTH, "include_attributes = [\"version\"]\ndrop_unchanged = true").await;
    assert_eq!(
        events(&payloads),
        [("INSERT", "a"), ("MODIFY", "a"), ("REMOVE", "a"), ("INSERT", "b"), ("REMOVE", "b")]
    );
    let modified = payloads.iter().find(|payload| payload["eventName"] == "MODIFY");
    let change = &modified.expect("it is there")["dynamodb"];
    assert_eq!(change["NewImage"], item("a", "2"));
    assert_eq!(change["OldImage"], item("a", "1"));
    let payloads = arrived(BOTH, "exclude_attributes = [\"version\", \"id\"]\nformat = \"json\"").await;
    let new: Vec<&Value> = payloads.iter().map(|payload| &payload["new"]).collect();
    assert!(new.contains(&&json!({"id": "a", "line": 1, "tags": ["x", "y"]})), "{new:?}");
}

/// Each is refused by `run` and by `check` alike: exit code 2, key, what was found, remedy; nothing read, nothing written.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_does_not_have_is_refused_before_anything_is_read() {
    for (view_type, record, parts) in [
        (
            "KEYS_ONLY",
            "images = \"new\"",
            ["record.images", "KEYS_ONLY", "enable the table's stream with NEW_IMAGE"],
        ),
        ("NEW_IMAGE", "images = \"old\"", ["record.images", "NEW_IMAGE", "OLD_IMAGE or NEW_AND_OLD_IMAGES"]),
        ("OLD_IMAGE", "drop_unchanged = true", ["record.drop_unchanged", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]),
        (
            "KEYS_ONLY",
            "include_attributes = [\"a\"]",
            ["record.include_attributes", "KEYS_ONLY", "remove the key"],
        ),
        (
            "OLD_IMAGE",
            r#"filter = '{"dynamodb": {"NewImage": {"a": {"S": ["x"]}}}}'"#,
            [
                "record.filter",
                "`dynamodb.NewImage` (line 1, column 15 of the pattern)",
                "filter by what there is",
            ],
        ),
        (
            "NEW_IMAGE",
            r#"filter = '{"dynamodb": {"Keys": {"total": {"N": [1]}}}}'"#,
            ["record.filter", "key attributes are id and line", "name one of these"],
        ),
        // These the configuration alone tells.
        (
            "NEW_IMAGE",
            "ttl_deletes = \"only\"\nevents = [\"insert\"]",
            ["record.ttl_deletes", "lacks \"remove\"", "add it"],
        ),
        (
            "NEW_IMAGE",
            "filter = '{\"detail\": [1]}'",
            ["record.filter", "line 1, column 2", "it has awsRegion"],
        ),
    ] {
        let stage = Stage::new(view_type, 1, |_| {});
        stage.write(3, 1);
        let config = text(&stage, record);
        let (code, stdout, stderr) = output_of(&config, &["check"]).await;
        let said = stdout + &stderr;
        assert_eq!(code, Some(2), "{said}");
        for part in parts {
            assert!(said.contains(part), "check: {part:?} is not in: {said}");
        }
        let (code, log) = Process::run(&config).end().await;
        assert_eq!(code, Some(2), "{log}");
        let log = log.replace("\\\"", "\"");
        for part in parts {
            assert!(log.contains(part), "run: {part:?} is not in: {log}");
        }
        let (code, _, stderr) = output_of(&config, &["rewind", "--to", "trim_horizon", "--yes"]).await;
        assert_eq!(code, Some(2), "{stderr}");
        let world = stage.fake.world();
        // `check` proves the permission to read; it reads the newest place and keeps nothing.
        assert!(world.log.count("GetRecords") <= 1 && world.log.count("CreateTable") == 0, "{log}");
        assert!(world.kinesis_stream(SINK).stored.is_empty());
    }
}

/// A stream that is enabled later has fewer images: it is carried as it is, and that is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_stream_without_the_image_is_said_and_carried() {
    let stage = Stage::with_shards(1);
    let process = Process::run(&text(&stage, "images = \"new\"\nevents = [\"insert\"]"));
    stage.write(3, 3);
    stage.all_arrive().await;
    {
        let mut world = stage.fake.world();
        world.disable_stream(&stage.stream);
        world.enable_stream(TABLE, "KEYS_ONLY", 1);
        world.put(TABLE, item("late", "1")).expect("a change");
    }
    stage.all_arrive().await;
    let line = process.says("does not have what the configuration asks for");
    assert!(line.contains("record.images") && line.contains("KEYS_ONLY"), "{line}");
    assert!(stage.payloads_of("late")[0]["dynamodb"]["NewImage"].is_null());
    assert_eq!(process.log().matches("does not have what the configuration").count(), 1);
    process.ends_cleanly().await;
}

/// The configuration with more pipelines on the same table, each into a Kinesis stream of its name.
fn more(text: &str, pipelines: &[(&str, &str, &str)]) -> String {
    let first = &text[text.find("[[pipeline]]").expect("a pipeline")..];
    let others = pipelines.iter().map(|(name, of, record)| {
        let other = first.replace("name = \"orders\"", &format!("name = \"{name}\""));
        let other = other.replace(&format!("stream = \"{SINK}\""), &format!("stream = \"{name}\""));
        format!("{}[pipeline.record]\n{record}\n", other.replace(OF_TABLE, of))
    });
    text.to_owned() + &others.collect::<String>()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pipelines_with_other_filters_read_one_table() {
    let stage = Stage::with_shards(2);
    stage.fake.world().create_kinesis_stream("evens", 1);
    let even =
        r#"filter = '{"dynamodb": {"NewImage": {"version": {"N": [{"suffix": "0"}, {"suffix": "2"}]}}}}'"#;
    let config = more(&stage.text("", OF_TABLE, ""), &[("evens", OF_TABLE, even)]);
    stage.write(100, 5);
    let process = Process::run(&config);
    stage.all_arrive().await;
    let wanted = |n: &usize| [0, 2].contains(&(n % 10));
    let in_evens = |world: &World| world.kinesis_stream("evens").stored.len();
    stage.fake.wait_until("the others", |world| in_evens(world) == 20).await;
    process.ends_cleanly().await;
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    for n in 0..5 {
        let expected: Vec<usize> = (n..100).step_by(5).filter(wanted).collect();
        assert_eq!(versions(&world, "evens", &format!("item-{n}")), expected);
    }
    let report =
        judge(&world.changes(TABLE), &delivered(world.kinesis_stream("evens"), Format::DynamoDbJson));
    assert!(
        report.inversions.is_empty() && report.duplicates.is_empty() && report.missing.len() == 80,
        "{report}"
    );
}

/// By the configuration alone, and where one says the table's name and another its ARN, by DynamoDB's answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_third_pipeline_on_one_table_is_refused() {
    let stage = Stage::with_shards(1);
    let arn = {
        let mut world = stage.fake.world();
        world.create_kinesis_stream("second", 1);
        world.create_kinesis_stream("third", 1);
        world.create_table("other", KeySchema::hash("id", "S"));
        world.table(TABLE).arn.clone()
    };
    let text = stage.text("", OF_TABLE, "");
    let by_arn = format!("table = \"{arn}\"");
    let by_stream = format!("stream_arn = \"{}\"", stage.stream);
    for (second, third) in [(OF_TABLE, OF_TABLE), (OF_TABLE, &*by_arn), (&*by_arn, &*by_stream)] {
        let config = more(&text, &[("second", second, ""), ("third", third, "")]);
        let (code, stdout, stderr) = output_of(&config, &["check"]).await;
        let said = stdout + &stderr;
        assert_eq!(code, Some(2), "{said}");
        let (code, log) = Process::run(&config).end().await;
        assert_eq!(code, Some(2), "{log}");
        for text in [said, log] {
            assert!(text.contains("orders and second") && text.contains("two readers a shard"), "{text}");
        }
    }
    assert_eq!(stage.fake.world().log.count("CreateTable"), 0);
}
