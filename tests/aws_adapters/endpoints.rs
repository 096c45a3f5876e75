//! What the SDK takes from the environment: endpoints, Region, credentials; and `check` as a whole, which takes its
//! credentials from there. A process' environment cannot be changed safely while threads run, so these tests run this
//! test program once more, as a child that does one thing ([`child`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use ddb_kinesis_bridge::aws::{self, Aws};
use ddb_kinesis_bridge::config::{Config, ConfigSource, Connection};
use ddb_kinesis_bridge::machine::RealMachine;

use crate::emulators;

/// A pipeline `p` from `orders` to `cdc`.
pub fn configuration_text(dynamodb: &str, kinesis: &str) -> String {
    format!(
        r#"
        [lease_table]
        region = "us-east-1"
        endpoint_url = "{dynamodb}"
        [[pipeline]]
        name = "p"
        source = {{ table = "orders", region = "us-east-1", endpoint_url = "{dynamodb}" }}
        sink = {{ stream = "cdc", region = "us-east-1", endpoint_url = "{kinesis}" }}
        "#
    )
}

pub fn configuration(text: &str) -> Config {
    Config::parse(text, ConfigSource::StandardInput, &|_| None).expect("a configuration")
}

/// Calls each service once over one connection, or runs `check`, as its environment says; prints what came back.
#[tokio::test]
#[ignore = "the other tests of this file run it as a child process"]
async fn child() {
    let variable = |name: &str| std::env::var(name).ok();
    if let Some(text) = variable("CHILD_CONFIG") {
        let report = aws::check(&configuration(&text), &RealMachine::new()).await;
        println!("{report}passed: {}", report.passed());
        return;
    }
    let connection = Connection {
        endpoint_url: variable("CHILD_ENDPOINT"),
        role_arn: variable("CHILD_ROLE"),
        external_id: variable("CHILD_EXTERNAL_ID"),
        ..Connection::default()
    };
    let aws = Aws::load([&connection], None).await;
    let tables = match aws.dynamodb("[lease_table]", &connection) {
        Ok(client) => client,
        Err(error) => return println!("{error}"),
    };
    let streams = aws.dynamodb_streams("[source]", &connection).expect("the Region is there");
    let kinesis = aws.kinesis("[sink]", &connection).expect("the Region is there");
    let error = tables.describe_table().table_name("t").send().await.expect_err("no such answer is good");
    println!("{}", aws::error::from_sdk("DescribeTable", &error));
    let error = streams.list_streams().send().await.expect_err("no such answer is good");
    println!("{}", aws::error::from_sdk("ListStreams", &error));
    let error = kinesis.list_shards().stream_name("s").send().await.expect_err("no such answer is good");
    println!("{}", aws::error::from_sdk("ListShards", &error));
}

/// Runs [`child`] with this environment and no other, and returns what it printed.
async fn run_child(environment: &[(&str, &str)]) -> String {
    let program = std::env::current_exe().expect("this program has a path");
    let output = tokio::process::Command::new(program)
        .args(["endpoints::child", "--exact", "--ignored", "--nocapture"])
        .env_clear()
        .envs([("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nonexistent")])
        .envs(environment.iter().copied())
        .output()
        .await
        .expect("a child process");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");
const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIDOWN"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// What an endpoint was asked: operation, `Authorization` and body of each request.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Request>>>);

#[derive(Clone)]
struct Request {
    operation: String,
    headers: HeaderMap,
    body: String,
}

impl Asked {
    fn requests(&self) -> Vec<Request> {
        self.0.lock().expect("not poisoned").clone()
    }

    fn operations(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.operation).collect()
    }
}

/// An endpoint that writes down what it is asked and answers each operation by `answer`.
async fn serve<A>(answer: A) -> (Asked, String)
where
    A: Fn(&str) -> (StatusCode, String) + Clone + Send + Sync + 'static,
{
    let (listener, url) = emulators::listen().await;
    let asked = Asked::default();
    let app = Router::new()
        .fallback(async move |State(asked): State<Asked>, headers: HeaderMap, body: String| {
            let target =
                headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let answer = answer(&operation);
            asked.0.lock().expect("not poisoned").push(Request { operation, headers, body });
            answer
        })
        .with_state(asked.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (asked, url)
}

/// An endpoint that gives one answer to all.
async fn endpoint(status: StatusCode, answer: &'static str) -> (Asked, String) {
    serve(move |_| (status, answer.to_owned())).await
}

async fn refusing() -> (Asked, String) {
    endpoint(StatusCode::BAD_REQUEST, r#"{"__type":"ValidationException","message":"no"}"#).await
}

#[tokio::test]
async fn the_sdks_endpoint_variables_are_followed() {
    let (global, global_url) = refusing().await;
    let mut environment = vec![REGION, ("AWS_ENDPOINT_URL", &*global_url)];
    environment.extend(KEY);
    run_child(&environment).await;
    assert_eq!(global.operations(), ["DescribeTable", "ListStreams", "ListShards"]);

    let services =
        ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS", "AWS_ENDPOINT_URL_KINESIS"];
    let mut endpoints = BTreeMap::new();
    for service in services {
        endpoints.insert(service, refusing().await);
    }
    environment.extend(endpoints.iter().map(|(service, (_, url))| (*service, url.as_str())));
    run_child(&environment).await;
    let asked: Vec<_> = services.iter().map(|service| endpoints[service].0.operations()).collect();
    assert_eq!(asked, [["DescribeTable"], ["ListStreams"], ["ListShards"]]);
    assert_eq!(global.operations().len(), 3, "a service's own variable wins");

    let (configured, configured_url) = refusing().await;
    environment.push(("CHILD_ENDPOINT", &configured_url));
    run_child(&environment).await;
    assert_eq!(configured.operations(), ["DescribeTable", "ListStreams", "ListShards"]);
    assert_eq!(endpoints[services[0]].0.operations().len(), 1, "the configuration wins");
}

#[tokio::test]
async fn each_request_names_us_and_is_sent_once() {
    let (asked, url) = endpoint(StatusCode::INTERNAL_SERVER_ERROR, "").await;
    let mut environment = vec![REGION, ("CHILD_ENDPOINT", &*url)];
    environment.extend(KEY);
    let printed = run_child(&environment).await;
    assert_eq!(asked.operations(), ["DescribeTable", "ListStreams", "ListShards"], "5xx, and no retries");
    assert!(printed.contains("DescribeTable: Http500"), "{printed}");
    for request in asked.requests() {
        let agent = request.headers["x-amz-user-agent"].to_str().expect("text").to_owned();
        assert!(agent.contains("ddb-kinesis-bridge"), "{agent}");
    }
}

#[tokio::test]
async fn a_missing_region_names_section_and_remedy() {
    let printed = run_child(&KEY).await;
    assert!(printed.contains("[lease_table]: no AWS Region; set `region` there"), "{printed}");
}

#[tokio::test]
async fn missing_credentials_are_told_as_such() {
    let (asked, url) = refusing().await;
    let printed = run_child(&[REGION, ("CHILD_ENDPOINT", &url)]).await;
    assert!(printed.contains("DescribeTable: NoCredentials: no AWS credentials found\n"), "{printed}");
    assert!(asked.operations().is_empty(), "nothing is sent without credentials");
    let role = ("CHILD_ROLE", "arn:aws:iam::111122223333:role/bridge");
    let printed = run_child(&[REGION, ("CHILD_ENDPOINT", &url), role]).await;
    let expected =
        "NoCredentials: cannot assume arn:aws:iam::111122223333:role/bridge: no AWS credentials found\n";
    assert!(printed.contains(expected), "{printed}");
}

#[tokio::test]
async fn a_role_is_assumed_with_its_external_id() {
    let (sts, sts_url) = endpoint(
        StatusCode::OK,
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIDROLE</AccessKeyId>\
         <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
    )
    .await;
    let (asked, url) = refusing().await;
    let mut environment = vec![
        REGION,
        ("AWS_ENDPOINT_URL_STS", &*sts_url),
        ("CHILD_ENDPOINT", &url),
        ("CHILD_ROLE", "arn:aws:iam::111122223333:role/bridge"),
        ("CHILD_EXTERNAL_ID", "secret-handshake"),
    ];
    environment.extend(KEY);
    run_child(&environment).await;
    let authorization =
        |request: &Request| request.headers["authorization"].to_str().expect("text").to_owned();
    for request in sts.requests() {
        assert!(authorization(&request).contains("AKIDOWN"));
        for part in
            ["Action=AssumeRole&", "RoleSessionName=ddb-kinesis-bridge", "ExternalId=secret-handshake"]
        {
            assert!(request.body.contains(part), "{}", request.body);
        }
    }
    assert!(!sts.requests().is_empty());
    assert_eq!(asked.requests().len(), 3);
    assert!(asked.requests().iter().all(|request| authorization(request).contains("AKIDROLE")));
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed() {
    let (_sts, sts_url) = endpoint(
        StatusCode::FORBIDDEN,
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not sts:AssumeRole</Message>\
         </Error></ErrorResponse>",
    )
    .await;
    let (_asked, url) = refusing().await;
    let role = ("CHILD_ROLE", "arn:aws:iam::111122223333:role/bridge");
    let mut environment = vec![REGION, ("AWS_ENDPOINT_URL_STS", &*sts_url), ("CHILD_ENDPOINT", &url), role];
    environment.extend(KEY);
    let printed = run_child(&environment).await;
    let expected = "DescribeTable: CredentialsDenied: cannot assume arn:aws:iam::111122223333:role/bridge: not sts:AssumeRole";
    assert!(printed.contains(expected), "{printed}");
}

#[tokio::test]
async fn check_reports_every_part() {
    use aws_sdk_dynamodb::types::{KeyType, StreamViewType};
    let (dynamodb, kinesis) = (emulators::dynamodb().await, emulators::kinesis().await);
    let text = configuration_text(&dynamodb, &kinesis);
    let mut environment = vec![("CHILD_CONFIG", &*text)];
    environment.extend(KEY);

    let nothing = run_child(&environment).await;
    assert!(
        nothing.contains("ok    [lease_table]: table `ddb-kinesis-bridge` does not exist yet"),
        "{nothing}"
    );
    assert!(
        nothing.contains("FAIL  pipeline `p`, source: table `orders` in us-east-1 does not exist"),
        "{nothing}"
    );
    assert!(nothing.contains("FAIL  pipeline `p`, sink: Kinesis stream `cdc` does not exist"), "{nothing}");
    assert!(nothing.contains("passed: false"), "{nothing}");

    let tables = emulators::tables(&dynamodb);
    let stream = Some(StreamViewType::NewAndOldImages);
    emulators::create_table(&tables, "orders", &[("id", KeyType::Hash)], stream).await;
    let keys = [("pk", KeyType::Hash), ("sk", KeyType::Range)];
    emulators::create_table(&tables, "ddb-kinesis-bridge", &keys, None).await;
    emulators::create_stream(&emulators::kinesis_client(&kinesis), "cdc").await;
    let all = run_child(&environment).await;
    for line in [
        "ok    [lease_table]: allowed: dynamodb:Query, dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem, \
         dynamodb:DeleteItem, dynamodb:ConditionCheckItem\n",
        "is enabled, view type NEW_AND_OLD_IMAGES\n",
        "dynamodb:GetRecords\n",
        "is ACTIVE, records up to 1024 KiB\n",
        "skip  pipeline `p`, sink: kinesis:PutRecords: not tried",
        "passed: true",
    ] {
        assert!(all.contains(line), "{line:?} in {all}");
    }
    assert_eq!(
        emulators::records(&emulators::kinesis_client(&kinesis), "cdc").await,
        0,
        "check writes nothing"
    );
    let rows = tables.scan().table_name("ddb-kinesis-bridge").send().await.expect("a scan");
    assert_eq!(rows.count(), 0, "check writes nothing");
}

#[tokio::test]
async fn permission_to_put_is_asked_by_a_dry_run() {
    let summary = r#"{"StreamDescriptionSummary":{"StreamName":"cdc","StreamStatus":"UPDATING","OpenShardCount":1,
        "StreamARN":"arn:aws:kinesis:us-east-1:111122223333:stream/cdc","RetentionPeriodHours":24,
        "StreamCreationTimestamp":1.0,"EnhancedMonitoring":[],"MaxRecordSizeInKiB":10240}}"#;
    for (code, line) in [
        ("DryRunOperationException", "ok    pipeline `p`, sink: allowed: kinesis:PutRecords\n"),
        (
            "AccessDeniedException",
            "FAIL  pipeline `p`, sink: access denied: kinesis:PutRecords on Kinesis stream `cdc` (why); allow",
        ),
        (
            "KMSDisabledException",
            "FAIL  pipeline `p`, sink: the encryption key of Kinesis stream `cdc` cannot be used: PutRecords: \
             KMSDisabledException: why; check that the KMS key is enabled",
        ),
    ] {
        // The real name of a Kinesis endpoint, reached through a proxy that is our own server.
        let put = format!(r#"{{"__type":"{code}","message":"why"}}"#);
        let (asked, proxy) = serve(move |operation| match operation {
            "DescribeStreamSummary" => (StatusCode::OK, summary.to_owned()),
            _ => (StatusCode::BAD_REQUEST, put.clone()),
        })
        .await;
        let (_nothing, dynamodb) = refusing().await;
        let text = configuration_text(&dynamodb, "http://kinesis.us-east-1.amazonaws.com");
        let mut environment =
            vec![("CHILD_CONFIG", &*text), ("HTTP_PROXY", &*proxy), ("NO_PROXY", "127.0.0.1")];
        environment.extend(KEY);
        let printed = run_child(&environment).await;
        assert!(printed.contains(line), "{line:?} in {printed}");
        assert!(printed.contains("is UPDATING, records up to 10240 KiB"), "{printed}");
        let puts: Vec<_> =
            asked.requests().into_iter().filter(|asked| asked.operation == "PutRecords").collect();
        assert_eq!(puts.len(), 1);
        assert!(puts[0].body.contains(r#""DryRun":true"#), "{}", puts[0].body);
    }
}
