//! Endpoints that misbehave: refuse, never answer, answer nonsense.

use std::time::Duration;

use axum::Router;
use ddb_kinesis_bridge::aws::{DynamoLeaseTable, DynamoStreams, KinesisStream};
use ddb_kinesis_bridge::config::StreamName;
use ddb_kinesis_bridge::delivery::sink::{KinesisSink, PutEntry};
use ddb_kinesis_bridge::error::ErrorKind;
use ddb_kinesis_bridge::lease::table::{LeaseTable, RowKey};
use ddb_kinesis_bridge::stream::source::StreamSource;

use crate::emulators;

/// An endpoint that gives every request the same good answer.
async fn answering(body: &'static str) -> String {
    let (listener, url) = emulators::listen().await;
    tokio::spawn(
        async move { axum::serve(listener, Router::new().fallback(move || async move { body })).await },
    );
    url
}

fn sink(url: &str) -> KinesisStream {
    KinesisStream::new(emulators::kinesis_client(url), StreamName::parse("cdc").expect("a name"))
}

fn source(url: &str) -> DynamoStreams {
    DynamoStreams::new(emulators::streams(url), emulators::tables(url))
}

fn entries(count: usize) -> Vec<PutEntry> {
    vec![PutEntry::new("a", b"x"); count]
}

#[tokio::test]
async fn a_put_ends_within_its_limit() {
    // Connections are accepted by the operating system, and nobody ever answers.
    let (_listener, url) = emulators::listen().await;
    let limit = Duration::from_millis(50);
    let error = sink(&url).put_records(&entries(1), limit).await.expect_err("no answer");
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Transient, "Timeout"), "{error}");
    assert_eq!(error.message, "no answer within 50ms");
    let error = sink(&url).put_records(&entries(1), Duration::ZERO).await.expect_err("no time");
    assert_eq!(error.code, "Timeout");
}

#[tokio::test]
async fn a_refused_connection_is_passing() {
    let (listener, url) = emulators::listen().await;
    drop(listener);
    let source = source(&url);
    let error = source.get_records("iterator").await.expect_err("nobody listens");
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Transient, "ConnectionFailed"), "{error}");
    assert!(error.message.starts_with("connection refused"), "{error}");
    let table = DynamoLeaseTable::new(emulators::tables(&url), "leases");
    let key = RowKey { pk: "a".to_owned(), sk: "b".to_owned() };
    assert_eq!(table.get(&key).await.expect_err("nobody listens").kind, ErrorKind::Transient);
}

#[tokio::test]
async fn a_put_answer_of_another_length_is_no_answer() {
    let one = r#"{"FailedRecordCount":0,"Records":[{"ShardId":"shardId-0","SequenceNumber":"1"}]}"#;
    let sink = sink(&answering(one).await);
    assert_eq!(sink.put_records(&entries(1), Duration::from_secs(5)).await.expect("one for one").len(), 1);
    for count in [2, 3] {
        let error = sink.put_records(&entries(count), Duration::from_secs(5)).await.expect_err("one result");
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Transient, "UnusableAnswer"), "{error}");
        assert_eq!(error.message, format!("1 results for {count} records"));
    }
}

#[tokio::test]
async fn the_failed_count_is_not_believed() {
    let lying = r#"{"FailedRecordCount":0,"Records":[{"ErrorCode":"InternalFailure","ErrorMessage":"oh"}]}"#;
    let results = sink(&answering(lying).await).put_records(&entries(1), Duration::from_secs(5)).await;
    let results = results.expect("an answer");
    assert_eq!(results[0].as_ref().map_err(|error| error.kind), Err(ErrorKind::Transient));
}

#[tokio::test]
async fn any_good_body_of_get_records_goes_to_the_parser() {
    for body in ["", "<html>", r#"{"Records":[{"dynamodb":{"NewImage":{"a":{"NEW":1}}}}]}"#] {
        let source = source(&answering(body).await);
        assert_eq!(source.get_records("iterator").await.expect("a body"), body.as_bytes());
    }
}

#[tokio::test]
async fn an_answer_without_its_iterator_is_unusable() {
    use ddb_kinesis_bridge::stream::arn::StreamArn;
    use ddb_kinesis_bridge::stream::source::{IteratorPosition, ListShards, ShardId};
    let source = source(&answering("{}").await);
    let stream =
        StreamArn::parse("arn:aws:dynamodb:us-east-1:111122223333:table/t/stream/1").expect("an ARN");
    let position = IteratorPosition::Latest;
    let error = source.get_shard_iterator(&stream, &ShardId::new("shardId-1"), &position).await;
    assert_eq!(error.expect_err("no iterator").code, "UnusableAnswer");
    let error = source.describe_stream(&stream, &ListShards::All { after: None }).await;
    assert_eq!(error.expect_err("no description").code, "UnusableAnswer");
}
