//! The status page and what it asks: served by the built binary, whatever the lease table does.

use std::net::SocketAddr;

use serde_json::Value;

use crate::bridge::{OF_TABLE, Stage};
use crate::process::{HTTP, Process, get, headers_of, output_of};
use crate::support::fault::Fault;
use crate::support::log::Request;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The names of all fields, with the place where they stand.
fn fields(value: &Value, place: &str) -> Vec<String> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| {
                let place = format!("{place}.{name}");
                let below = fields(value, &place);
                std::iter::once(place).chain(below)
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(|value| fields(value, place)).collect(),
        _ => vec![],
    }
}

/// Asks for the status after every request that reaches the fake, which the answer needs, too, until it is as wanted.
async fn status_when(stage: &Stage, address: SocketAddr, wanted: impl Fn(u16, &Value) -> bool) -> Value {
    loop {
        let seen = stage.fake.world().log.all().len();
        let (status, body) = get(address, "/status.json");
        let body = json(&body);
        if wanted(status, &body) {
            return body;
        }
        stage.fake.wait_until("another request", |world| world.log.all().len() > seen).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_whole_from_the_program_and_loads_nothing_else() {
    let stage = Stage::with_shards(1);
    let process = Process::run(&stage.text(HTTP, OF_TABLE, ""));
    let address = process.http_address();
    let (status, html) = get(address, "/");
    assert_eq!(status, 200);
    assert!(html.starts_with("<!doctype html>"), "{html}");
    for part in [" style=", "<script>", "onclick", "http:", "https:", "//"] {
        assert!(!html.contains(part), "{part:?} in the page");
    }
    for (path, content_type) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/figures.js", "text/javascript"),
        ("/words.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
        ("/worker.json", "application/json"),
    ] {
        let headers = headers_of(address, path);
        for part in [
            "HTTP/1.1 200",
            &format!("content-type: {content_type}"),
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
            "require-trusted-types-for 'script'",
            "x-content-type-options: nosniff",
        ] {
            assert!(headers.contains(part), "{path}: no {part:?} in\n{headers}");
        }
        assert!(!headers.contains("unsafe") && !headers.contains("access-control"), "{headers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_status_is_the_one_of_the_command() {
    let stage = Stage::with_shards(2);
    let text = stage.text(HTTP, OF_TABLE, "");
    let process = Process::run(&text);
    let address = process.http_address();
    stage.write(20, 5);
    stage.all_arrive().await;
    // Whether a worker moves is said once it was watched.
    let is_whole = |_, status: &Value| {
        let counts = &status["pipelines"][0]["counts"];
        status["workers"][0]["heartbeat"] == "moving" && counts["reading"] == 2
    };
    let page = status_when(&stage, address, is_whole).await;
    let (_, stdout, stderr) = output_of(&text, &["status", "--json"]).await;
    let command = json(&stdout);
    assert_eq!(page["schema_version"], 1, "{stderr}");
    assert_eq!(fields(&page, ""), fields(&command, ""));
    let shards = |status: &Value| {
        let shards = status["pipelines"][0]["shards"].as_array().cloned().unwrap_or_default();
        shards.iter().map(|shard| shard["shard"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(shards(&page), shards(&command));

    let says = json(&get(address, "/worker.json").1);
    assert_eq!(says["worker"], page["workers"][0]["id"]);
    assert_eq!((&says["ready"], &says["why"]), (&Value::Bool(true), &Value::Array(vec![])));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_there_when_the_lease_table_is_not_and_says_why() {
    let stage = Stage::with_shards(1);
    let process = Process::run(&stage.text(HTTP, OF_TABLE, ""));
    let address = process.http_address();
    stage.write(1, 1);
    stage.all_arrive().await;
    let denied = {
        let mut world = stage.fake.world();
        let denial = Fault::reject(400, "AccessDeniedException");
        world.faults.always("Query", |_: &Request| true, [denial])
    };
    let error = status_when(&stage, address, |status, _| status == 503).await["error"].to_string();
    assert!(error.contains("access denied: dynamodb:Query on table `ddb-kinesis-bridge`"), "{error}");
    assert_eq!(get(address, "/").0, 200);
    assert_eq!(json(&get(address, "/worker.json").1)["worker"].as_str().map(str::is_empty), Some(false));
    stage.fake.world().faults.lift(denied);
    let status = status_when(&stage, address, |status, _| status == 200).await;
    assert_eq!(status["pipelines"][0]["name"], "orders");
}
