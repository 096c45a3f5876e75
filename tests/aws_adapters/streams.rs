//! The source port against the emulator.

use aws_sdk_dynamodb::types::{KeyType, StreamViewType};
use ddb_kinesis_bridge::aws::DynamoStreams;
use ddb_kinesis_bridge::error::ErrorKind;
use ddb_kinesis_bridge::stream::SequenceNumber;
use ddb_kinesis_bridge::stream::arn::StreamArn;
use ddb_kinesis_bridge::stream::source::{IteratorPosition, ListShards, ShardId, StreamSource, StreamStatus};
use serde_json::Value;

use crate::emulators;

/// A table `orders` with three changes, and its stream.
async fn orders() -> (DynamoStreams, StreamArn) {
    let url = emulators::dynamodb().await;
    let tables = emulators::tables(&url);
    let keys = [("id", KeyType::Hash), ("at", KeyType::Range)];
    emulators::create_table(&tables, "orders", &keys, Some(StreamViewType::NewAndOldImages)).await;
    emulators::create_table(&tables, "others", &keys, Some(StreamViewType::KeysOnly)).await;
    for note in ["first", "second", "tausend Grüße"] {
        emulators::put(&tables, "orders", &[("id", "1"), ("at", "now"), ("note", note)]).await;
    }
    let source = DynamoStreams::new(emulators::streams(&url), tables);
    let page = source.list_streams("orders", None).await.expect("a page");
    let [stream] = page.streams.as_slice() else { panic!("one stream: {page:?}") };
    (source, stream.clone())
}

async fn only_shard(source: &DynamoStreams, stream: &StreamArn) -> ShardId {
    let page = source.describe_stream(stream, &ListShards::All { after: None }).await.expect("a page");
    let [shard] = page.shards.as_slice() else { panic!("one shard: {page:?}") };
    shard.id.clone()
}

async fn read(source: &DynamoStreams, stream: &StreamArn, position: IteratorPosition) -> Vec<Value> {
    let shard = only_shard(source, stream).await;
    let iterator = source.get_shard_iterator(stream, &shard, &position).await.expect("an iterator");
    let body = source.get_records(&iterator.token).await.expect("a body");
    let page: Value = serde_json::from_slice(&body).expect("JSON");
    assert!(page["NextShardIterator"].is_string(), "the shard is open: {page}");
    page["Records"].as_array().expect("records").clone()
}

#[tokio::test]
async fn the_stream_is_described() {
    let (source, stream) = orders().await;
    assert_eq!(stream.table_name, "orders");
    let page = source.describe_stream(&stream, &ListShards::All { after: None }).await.expect("a page");
    assert_eq!(page.status, StreamStatus::Enabled);
    assert_eq!(page.key_schema.partition_key, "id");
    assert_eq!(page.key_schema.sort_key.as_deref(), Some("at"));
    assert_eq!(page.shards.len(), 1);
    assert!(page.shards[0].starting.is_some());
    assert!(page.served_at_ms.is_some_and(|millis| millis > 1_700_000_000_000), "{:?}", page.served_at_ms);

    let filter = ListShards::ChildrenOf(page.shards[0].id.clone());
    source.describe_stream(&stream, &filter).await.expect("the filter is accepted");
}

#[tokio::test]
async fn records_come_as_the_services_own_bytes() {
    let (source, stream) = orders().await;
    let records = read(&source, &stream, IteratorPosition::TrimHorizon).await;
    let notes: Vec<_> = records.iter().map(|record| &record["dynamodb"]["NewImage"]["note"]["S"]).collect();
    assert_eq!(notes, ["first", "second", "tausend Grüße"]);
    assert_eq!(records[0]["eventName"], "INSERT");
    assert_eq!(records[1]["dynamodb"]["OldImage"]["note"]["S"], "first");
}

#[tokio::test]
async fn positions() {
    let (source, stream) = orders().await;
    let all = read(&source, &stream, IteratorPosition::TrimHorizon).await;
    let first = all[0]["dynamodb"]["SequenceNumber"].as_str().expect("a number");
    let first = SequenceNumber::parse(first).expect("digits");
    assert_eq!(read(&source, &stream, IteratorPosition::After(first)).await, all[1..]);
    assert_eq!(read(&source, &stream, IteratorPosition::Latest).await, Vec::<Value>::new());
}

#[tokio::test]
async fn errors_by_kind() {
    let (source, stream) = orders().await;
    let error = source.get_records("no iterator").await.expect_err("no such iterator");
    assert_eq!((error.api, error.kind), ("GetRecords", ErrorKind::Invalid), "{error}");
    assert!(!error.message.is_empty(), "{error}");

    let gone = StreamArn::parse(&stream.arn.replace("orders", "gone")).expect("an ARN");
    let error =
        source.describe_stream(&gone, &ListShards::All { after: None }).await.expect_err("no such stream");
    assert_eq!((error.api, error.kind), ("DescribeStream", ErrorKind::NotFound), "{error}");

    let shard = only_shard(&source, &stream).await;
    let error = source
        .get_shard_iterator(&gone, &shard, &IteratorPosition::TrimHorizon)
        .await
        .expect_err("no such stream");
    assert_eq!((error.api, error.kind), ("GetShardIterator", ErrorKind::NotFound), "{error}");
}
