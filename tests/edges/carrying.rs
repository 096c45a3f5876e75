//! The plain way: changes are carried, and a restart goes on where it stopped.

use serde_json::{Value, json};

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, item};
use crate::process::Process;
use crate::support::judge::judge;
use crate::support::payload::{Format, delivered};

#[tokio::test(flavor = "multi_thread")]
async fn every_change_arrives_once_and_in_order_over_a_clean_restart() {
    let stage = Stage::with_shards(3);
    stage.write(500, 20);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;

    stage.write(500, 20);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_nothing_and_keeps_order() {
    let stage = Stage::with_shards(2);
    stage.write(1_000, 20);
    let bridge = stage.start(stage.mortal()).await;
    stage.fake.wait_until("some records", |world| world.kinesis_stream(SINK).stored.len() > 100).await;
    bridge.kill().await;
    stage.write(200, 20);
    let bridge = stage.start(stage.mortal()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}

/// An insert, an update and a delete by time to live, as each view type has them.
#[tokio::test(flavor = "multi_thread")]
async fn each_view_type_is_carried_as_it_is() {
    for (view_type, old, new) in [
        ("KEYS_ONLY", false, false),
        ("NEW_IMAGE", false, true),
        ("OLD_IMAGE", true, false),
        ("NEW_AND_OLD_IMAGES", true, true),
    ] {
        let stage = Stage::new(view_type, 1, |_| {});
        write_a_life(&stage);
        let bridge = stage.start(stage.plain()).await;
        stage.all_arrive().await;
        bridge.stop().await;
        stage.judge().assert_exactly_once();
        let shapes: Vec<(Value, bool, bool)> = stage
            .payloads_of("a")
            .iter()
            .map(|payload| {
                let change = &payload["dynamodb"];
                assert_eq!(change["StreamViewType"], view_type);
                assert_eq!(change["Keys"], json!({"id": {"S": "a"}, "line": {"N": "1"}}));
                let is_ttl = payload["userIdentity"]["principalId"] == "dynamodb.amazonaws.com"
                    || payload["userIdentity"]["PrincipalId"] == "dynamodb.amazonaws.com";
                assert_eq!(is_ttl, payload["eventName"] == "REMOVE", "{payload}");
                assert!(is_ttl || payload["userIdentity"].is_null(), "{payload}");
                (payload["eventName"].clone(), change["OldImage"].is_object(), change["NewImage"].is_object())
            })
            .collect();
        let expected =
            [(json!("INSERT"), false, new), (json!("MODIFY"), old, new), (json!("REMOVE"), old, false)];
        assert_eq!(shapes, expected, "{view_type}");
    }
}

/// Puts, changes and expires one item.
fn write_a_life(stage: &Stage) {
    let mut world = stage.fake.world();
    let key = json!({"id": {"S": "a"}, "line": {"N": "1"}});
    world.put(TABLE, item("a", "1")).expect("a change");
    let big = "12345678901234567890123456789012345678";
    let change =
        json!({"version": {"N": "2"}, "big": {"N": big}, "tags": {"SS": ["ä", "b"]}, "raw": {"B": "AAE="}});
    world.update(TABLE, key.clone(), change).expect("a change");
    world.ttl_delete(TABLE, key).expect("a change");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_format_has_plain_values_and_marks_expiry() {
    let stage = Stage::with_shards(1);
    write_a_life(&stage);
    let record = "[pipeline.record]\nformat = \"json\"";
    let bridge = stage.start(stage.config("", OF_TABLE, record)).await;
    stage.fake.wait_until("three records", |world| world.kinesis_stream(SINK).stored.len() == 3).await;
    bridge.stop().await;
    let world = stage.fake.world();
    judge(&world.changes(TABLE), &delivered(world.kinesis_stream(SINK), Format::Json)).assert_exactly_once();
    let texts: Vec<String> = world
        .kinesis_stream(SINK)
        .stored
        .iter()
        .map(|stored| String::from_utf8(stored.data.clone()).expect("UTF-8"))
        .collect();
    assert!(
        texts[0].starts_with(r#"{"op":"insert","table":"orders","keys":{"id":"a","line":1},"new":{"#),
        "{}",
        texts[0]
    );
    // Digit for digit: no float holds this number.
    assert!(texts[1].contains(r#""big":12345678901234567890123456789012345678"#), "{}", texts[1]);
    assert!(texts[1].contains(r#""raw":"AAE=""#) && texts[1].contains(r#""tags":["ä","b"]"#), "{}", texts[1]);
    let ttl: Vec<bool> = texts.iter().map(|text| text.contains(r#""ttl":true"#)).collect();
    assert_eq!(ttl, [false, false, true]);
    assert!(texts[2].contains(r#""op":"remove""#) && !texts[2].contains(r#""new""#), "{}", texts[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partition_keys_are_the_items_partition_key_or_both_keys() {
    for (mode, expected) in [("partition_key", ["a", "a", "ab"]), ("item_key", ["1:a1", "1:a2", "2:ab1"])] {
        let stage = Stage::with_shards(1);
        {
            let mut world = stage.fake.world();
            for (id, line) in [("a", "1"), ("a", "2"), ("ab", "1")] {
                world.put(TABLE, json!({"id": {"S": id}, "line": {"N": line}})).expect("a change");
            }
        }
        let record = format!("[pipeline.record]\npartition_key = \"{mode}\"");
        let bridge = stage.start(stage.config("", OF_TABLE, &record)).await;
        stage.all_arrive().await;
        bridge.stop().await;
        let world = stage.fake.world();
        let mut keys: Vec<&str> =
            world.kinesis_stream(SINK).stored.iter().map(|stored| stored.partition_key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, expected);
    }
}

/// Sequence numbers grow a digit: compared as text, the later ones would come first.
#[tokio::test(flavor = "multi_thread")]
async fn sequence_numbers_are_compared_as_numbers() {
    let stage = Stage::with_shards(1);
    stage.fake.world().numbers.continue_from(999_999_999_999_999_999_999 - 500);
    stage.write(40, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.write(40, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let lengths: std::collections::BTreeSet<usize> =
        stage.fake.world().changes(TABLE).iter().map(|change| change.sequence_number.len()).collect();
    assert_eq!(lengths.len(), 2, "the numbers grew a digit in between");
}

/// Table and Kinesis stream may be named by their ARNs, the endpoints by the SDK's own variable.
#[tokio::test(flavor = "multi_thread")]
async fn arns_for_names_and_the_environment_for_endpoints() {
    let stage = Stage::with_shards(1);
    stage.write(10, 3);
    let (table, sink) = {
        let world = stage.fake.world();
        (world.table(TABLE).arn.clone(), world.kinesis_stream(SINK).arn.clone())
    };
    let endpoint = stage.fake.endpoint();
    let text = stage.text("", &format!("table = \"{table}\""), "");
    let text = text.replace(&format!("stream = \"{SINK}\""), &format!("stream = \"{sink}\""));
    let text = text.replace(&format!("endpoint_url = \"{endpoint}\""), "");
    let environment =
        [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_ENDPOINT_URL", &*endpoint)];
    let process = Process::run_with(&text, &environment);
    stage.all_arrive().await;
    process.signal("TERM");
    assert_eq!(process.end().await.0, Some(0));
    stage.judge().assert_exactly_once();
    let world = stage.fake.world();
    assert!(world.log.of("PutRecords").all(|request| request.input["StreamARN"] == sink));
}
