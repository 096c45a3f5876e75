//! What the built binary shows of its progress: figures that are honest, in each form, and health that follows them.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::SocketAddr;

use serde_json::Value;

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, item};
use crate::process::{HTTP, Process, get};
use crate::support::fault::{Fault, Gate, Which};

/// A gauge of the pipeline `orders`; `None` where it has no series.
fn gauge(address: SocketAddr, name: &str) -> Option<f64> {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200, "{text}");
    let wanted = format!("ddb_kinesis_bridge_{name}{{pipeline=\"orders\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&wanted))?;
    Some(value.parse().unwrap_or_else(|_| panic!("{value:?} is no number")))
}

const HOUR_MS: u64 = 3_600_000;

/// Much less than any lag that these tests make, and more than any machine takes for a look.
const SOON: f64 = 1_000.0;

/// A pipeline that has caught up says so; a change that is not delivered shows by its age, in figures and readiness, until
/// it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_near_the_retention_turns_readiness_until_it_is_delivered() {
    let stage = Stage::with_shards(1);
    let bridge = Process::run(&stage.text(HTTP, OF_TABLE, ""));
    let address = bridge.http_address();
    stage.fake.wait_until("a shard at its tip", |_| gauge(address, "shard_lag_seconds").is_some()).await;
    assert!(gauge(address, "shard_lag_seconds").is_some_and(|lag| lag < SOON));
    assert!(
        gauge(address, "seconds_until_trim").is_some_and(|left| left > 86_400.0 - SOON && left <= 86_400.0)
    );
    assert_eq!(gauge(address, "oldest_unacknowledged_seconds"), Some(0.0));
    stage.fake.wait_until("ready", |_| get(address, "/readyz").0 == 200).await;

    let rule = stage.fake.world().faults.always("PutRecords", |_| true, Fault::internal());
    {
        let mut world = stage.fake.world();
        let now_ms = world.now_ms();
        world.fixed_now_ms = Some(now_ms - 23 * HOUR_MS);
        world.put(TABLE, item("a", "1")).expect("a change");
        world.fixed_now_ms = None;
    }
    stage.fake.wait_until("not ready", |_| get(address, "/readyz").0 == 503).await;
    let (_, why) = get(address, "/readyz");
    assert!(why.starts_with("pipeline orders, shard ") && why.contains("late: in 5"), "{why}");
    assert_eq!(why.lines().count(), 1, "{why}");
    assert!(
        gauge(address, "shard_lag_seconds").is_some_and(|lag| (82_800.0..82_800.0 + SOON).contains(&lag))
    );
    assert!(
        gauge(address, "seconds_until_trim").is_some_and(|left| (3_600.0 - SOON..=3_600.0).contains(&left))
    );
    let waits = gauge(address, "oldest_unacknowledged_seconds").expect("it was read");
    assert!(waits < SOON, "{waits}: it was read just now, however old it is");
    assert_eq!(get(address, "/livez"), (200, "ok\n".to_owned()), "a restart would not help");

    stage.fake.world().faults.lift(rule);
    stage.fake.wait_until("ready again", |_| get(address, "/readyz").0 == 200).await;
    assert_eq!(gauge(address, "oldest_unacknowledged_seconds"), Some(0.0));
    assert!(gauge(address, "seconds_until_trim").is_some_and(|left| left > 86_400.0 - SOON));
}

/// Zero seconds would wake somebody.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_shard_that_was_never_read_nothing_is_told() {
    let stage = Stage::with_shards(1);
    let gate = Gate::shut();
    stage.fake.world().faults.always("GetRecords", |_| true, Fault::Hold(gate.clone()));
    let bridge = Process::run(&stage.text(HTTP, OF_TABLE, ""));
    gate.reached_by(1).await;
    let address = bridge.http_address();
    assert_eq!(gauge(address, "leases_owned"), Some(1.0));
    assert_eq!(gauge(address, "shard_lag_seconds"), None);
    assert_eq!(gauge(address, "seconds_until_trim"), None);
    gate.open();
    stage.fake.wait_until("a first page", |_| gauge(address, "seconds_until_trim").is_some()).await;
}

/// The README's table names each metric, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn the_readme_names_what_is_served() {
    let stage = Stage::with_shards(1);
    stage.write(20, 5);
    {
        let mut world = stage.fake.world();
        // What has a label of its own is only there once it has happened.
        world.faults.once("PutRecords", Fault::fail_entries(Which::All, "InternalFailure"));
        world.faults.once("GetRecords", Fault::internal());
    }
    let bridge = Process::run(&stage.text(HTTP, OF_TABLE, ""));
    stage.all_arrive().await;
    let address = bridge.http_address();
    stage.fake.wait_until("progress", |_| gauge(address, "shard_lag_seconds").is_some()).await;
    let (_, text) = get(address, "/metrics");
    let served: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ddb_kinesis_bridge_")?.split_once(' '))
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        })
        .collect();
    let readme = include_str!("../../README.md");
    let section = readme.split("## Metrics and health").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(['`', '{']));
    let documented: BTreeSet<String> = rows.map(|(name, _)| name.to_owned()).collect();
    assert_eq!(documented, served);
}

/// Standard output holds the same figures for CloudWatch; the last lines come with the end.
#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_metric_format_tells_the_same() {
    let stage = Stage::with_shards(1);
    stage.write(30, 7);
    let out = tempfile::NamedTempFile::new().expect("a temporary file");
    let front = "[metrics]\nemf = true\nnamespace = \"Orders/Bridge\"";
    let environment =
        [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "eu-central-1")];
    let file = File::create(out.path()).expect("it can be written");
    let bridge = Process::run_into(&stage.text(front, OF_TABLE, ""), &environment, file.into());
    stage.all_arrive().await;
    bridge.says("the session begins");
    bridge.signal("TERM");
    let (code, log) = bridge.end().await;
    assert_eq!(code, Some(0), "{log}");
    let text = std::fs::read_to_string(out.path()).expect("it can be read");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let sum = |name: &str| -> f64 { lines.iter().filter_map(|line| line[name].as_f64()).sum() };
    assert_eq!((sum("changes_read_total"), sum("changes_delivered_total")), (30.0, 30.0), "{text}");
    assert_eq!(stage.fake.world().kinesis_stream(SINK).stored.len(), 30);
    let orders = lines.iter().find(|line| line["pipeline"] == "orders").expect("a line of the pipeline");
    let directive = &orders["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(
        (&directive["Namespace"], &directive["Dimensions"][0][0]),
        (&"Orders/Bridge".into(), &"pipeline".into())
    );
    for metric in directive["Metrics"].as_array().expect("metrics") {
        assert!(orders[metric["Name"].as_str().expect("a name")].is_number(), "{metric} in {orders}");
    }
    let now_ms = stage.fake.world().now_ms();
    let told_ms = orders["_aws"]["Timestamp"].as_u64().expect("milliseconds");
    assert!(told_ms <= now_ms && told_ms + HOUR_MS > now_ms, "{told_ms} is not about {now_ms}");
}
