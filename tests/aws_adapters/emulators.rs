//! Emulators and other servers on free ports, and clients for them. They end with the test's runtime.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use tokio::net::TcpListener;

/// A listener on a free port, and its URL.
pub async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    (listener, url)
}

/// DynamoDB and DynamoDB Streams.
pub async fn dynamodb() -> String {
    let (listener, url) = listen().await;
    let database = dynoxide::Database::memory().expect("an empty database");
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    url
}

/// Kinesis, whose streams are active at once.
pub async fn kinesis() -> String {
    let (listener, url) = listen().await;
    let options = ferrokinesis::store::StoreOptions {
        create_stream_ms: 0,
        shard_limit: 100,
        enforce_limits: true,
        ..Default::default()
    };
    let (app, _store) = ferrokinesis::create_app(options);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn credentials() -> Credentials {
    Credentials::new("id", "secret", None, None, "test")
}

/// The tests' clients hold their own credentials, so that none are looked for in the environment.
pub fn tables(url: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(url);
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

pub fn streams(url: &str) -> aws_sdk_dynamodbstreams::Client {
    let config = aws_sdk_dynamodbstreams::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(url);
    aws_sdk_dynamodbstreams::Client::from_conf(config.build())
}

pub fn kinesis_client(url: &str) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(url);
    aws_sdk_kinesis::Client::from_conf(config.build())
}

/// Creates a table with string keys; with a stream where a view type is given.
pub async fn create_table(
    client: &aws_sdk_dynamodb::Client,
    name: &str,
    keys: &[(&str, KeyType)],
    view: Option<StreamViewType>,
) {
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (key, key_type) in keys {
        let element = KeySchemaElement::builder().attribute_name(*key).key_type(key_type.clone()).build();
        let attribute = AttributeDefinition::builder()
            .attribute_name(*key)
            .attribute_type(ScalarAttributeType::S)
            .build();
        request = request
            .key_schema(element.expect("both are set"))
            .attribute_definitions(attribute.expect("both are set"));
    }
    if let Some(view) = view {
        let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build();
        request = request.stream_specification(stream.expect("enabled is set"));
    }
    request.send().await.expect("a table");
}

pub async fn put(client: &aws_sdk_dynamodb::Client, table: &str, item: &[(&str, &str)]) {
    let item: HashMap<String, AttributeValue> =
        item.iter().map(|(name, text)| ((*name).to_owned(), AttributeValue::S((*text).to_owned()))).collect();
    client.put_item().table_name(table).set_item(Some(item)).send().await.expect("an item put");
}

/// Creates a Kinesis stream and waits until it takes records.
pub async fn create_stream(client: &aws_sdk_kinesis::Client, name: &str) {
    client.create_stream().stream_name(name).shard_count(1).send().await.expect("a stream");
    loop {
        let answer = client.describe_stream_summary().stream_name(name).send().await.expect("a summary");
        let summary = answer.stream_description_summary().expect("a summary");
        if summary.stream_status() == &aws_sdk_kinesis::types::StreamStatus::Active {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many records a stream's one shard holds.
pub async fn records(client: &aws_sdk_kinesis::Client, name: &str) -> usize {
    let shards = client.list_shards().stream_name(name).send().await.expect("shards").shards.expect("shards");
    let iterator = client
        .get_shard_iterator()
        .stream_name(name)
        .shard_id(shards[0].shard_id())
        .shard_iterator_type(aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon);
    let iterator = iterator.send().await.expect("an iterator").shard_iterator.expect("an iterator");
    client.get_records().shard_iterator(iterator).send().await.expect("records").records.len()
}
