//! `status` and `health`: what an operator sees of real bridges, from the built binary.

use serde_json::{Value, json};

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, item, parse};
use crate::process::{HTTP, Process, code_without_reader, output_of};
use crate::rewind::{grown, stored_as_carried};
use crate::rows::{LEASES, finished_rows, session_rows, shard_row, shard_rows};

async fn shown(config: &str) -> Value {
    let (code, stdout, stderr) = output_of(config, &["status", "--json"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_table_alone_tells_how_a_fleet_stands() {
    let stage = Stage::with_shards(2);
    let (bridge, old) = grown(&stage).await;
    stored_as_carried(&stage).await;
    let text = stage.text("", OF_TABLE, "");
    let status = shown(&text).await;
    assert_eq!(status["schema_version"], 1);
    assert_eq!(status["lease_table"], LEASES);
    assert_eq!(status["workers"][0]["heartbeat"], "moving");
    let pipeline = &status["pipelines"][0];
    let (open, finished) = {
        let world = stage.fake.world();
        (shard_rows(&world).len(), finished_rows(&world).len())
    };
    assert_eq!(pipeline["shards"].as_array().map(Vec::len), Some(open));
    assert_eq!(pipeline["finished"].as_array().map(Vec::len), Some(finished));
    assert_eq!(pipeline["counts"]["reading"], open);
    assert!(
        pipeline["finished"].as_array().into_iter().flatten().any(|shard| shard["shard"] == old[0].as_str())
    );
    bridge.stop().await;

    let gone = shown(&text).await;
    assert_eq!(gone["workers"].as_array().map(Vec::len), Some(0));
    assert_eq!(gone["pipelines"][0]["counts"]["free"], open);
    let (code, stdout, _) = output_of(&text, &["status"]).await;
    assert_eq!(code, Some(0));
    assert!(stdout.contains("No worker runs") && stdout.contains("Pipeline orders: orders"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_is_seen_to_stand_still() {
    let stage = Stage::with_shards(1);
    let bridge = stage.start(stage.plain()).await;
    stage.fake.wait_until("a session", |world| !session_rows(world).is_empty()).await;
    bridge.stop().await;
    // Left behind by a worker of which no heartbeat is on its way any more.
    let ghost = json!({
        "pk": {"S": "workers"}, "sk": {"S": "ghost"}, "incarnation": {"S": "i"}, "counter": {"N": "7"},
        "host": {"S": "h"}, "version": {"S": "0"}, "started_at_ms": {"N": "1"}, "load": {"N": "0"},
        "pipelines": {"L": []}, "draining": {"BOOL": false}, "ownership_version": {"N": "0"},
    });
    stage.fake.world().put(LEASES, ghost);
    let status = shown(&stage.text("", OF_TABLE, "")).await;
    let worker = &status["workers"][0];
    let still_ms = worker["still_for_ms"].as_u64();
    assert!(worker["heartbeat"] == "still" && still_ms.is_some_and(|ms| ms >= 400), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_table_there_is_no_status() {
    let stage = Stage::with_shards(1);
    let text = stage.text("", OF_TABLE, "");
    let (code, stdout, stderr) = output_of(&text, &["status"]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("table `ddb-kinesis-bridge` does not exist"), "{stderr}");
    assert_eq!(stage.fake.world().log.count("CreateTable"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_the_lease_table_is_all_that_it_needs() {
    let stage = Stage::with_shards(1);
    let bridge = stage.start(stage.plain()).await;
    stage.write(3, 1);
    stage.all_arrive().await;
    bridge.stop().await;
    let before = stage.fake.world().log.all().len();
    shown(&stage.text("", OF_TABLE, "")).await;
    let world = stage.fake.world();
    let mut asked: Vec<&str> =
        world.log.all()[before..].iter().map(|request| request.operation.as_str()).collect();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked, ["GetItem", "Query"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_ends_with_its_reader() {
    let stage = Stage::with_shards(1);
    let bridge = stage.start(stage.plain()).await;
    stage.fake.wait_until("a shard", |world| !shard_rows(world).is_empty()).await;
    bridge.stop().await;
    for arguments in [&["status", "--watch=1"][..], &["status", "--watch", "--json"]] {
        assert_eq!(
            code_without_reader(&stage.text("", OF_TABLE, ""), arguments).await,
            Some(0),
            "{arguments:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_by_name() {
    let stage = Stage::with_shards(1);
    let bridge = stage.start(stage.plain()).await;
    stage.fake.wait_until("a shard", |world| !shard_rows(world).is_empty()).await;
    bridge.stop().await;
    let text = stage.text("", OF_TABLE, "");
    let (code, _, stderr) = output_of(&text, &["status", "--pipeline", "ordres"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("\"ordres\"") && stderr.contains("they know orders"), "{stderr}");
    // Another configuration, of which the lease table knows nothing, sees this pipeline too.
    let other = text.replace("name = \"orders\"", "name = \"users\"");
    parse(&other);
    let (code, stdout, stderr) = output_of(&other, &["status", "--pipeline", "orders"]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("Pipeline orders: orders (") && !stdout.contains("users"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_asked_for_its_health() {
    let stage = Stage::with_shards(1);
    stage.fake.world().kinesis_stream_mut(SINK).max_record_size_kib = 4;
    let text = stage.text(HTTP, OF_TABLE, "oversize = \"halt\"");
    let process = Process::run(&text);
    let port = process.http_address().port();
    let asked = text.replace("127.0.0.1:0", &format!("0.0.0.0:{port}"));
    stage.write(1, 1);
    stage.all_arrive().await;
    for arguments in [&["health"][..], &["health", "--ready"]] {
        let (code, stdout, stderr) = output_of(&asked, arguments).await;
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "ok\n", ""), "{arguments:?}");
    }

    let mut large = item("large", "1");
    large["text"] = json!({"S": "x".repeat(5_000)});
    stage.fake.world().put(TABLE, large).expect("a change");
    let shard = stage.open_shard();
    stage.fake.wait_until("the shard halted", |world| shard_row(world, &shard)["state"] == "halted").await;
    assert_eq!(output_of(&asked, &["health"]).await.0, Some(0), "a restart would not help");
    let (code, stdout, stderr) = output_of(&asked, &["health", "--ready"]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("not ready (/readyz answers 503)") && stderr.contains(&shard), "{stderr}");
    let (code, stdout, _) = output_of(&asked, &["status"]).await;
    assert_eq!(code, Some(0));
    assert!(stdout.contains("1 HALTED") && stdout.contains("! halted: "), "{stdout}");

    drop(process);
    let (code, stdout, stderr) = output_of(&asked, &["health", "--timeout", "20s"]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains(&format!("nobody answers at 127.0.0.1:{port}")), "{stderr}");
}
