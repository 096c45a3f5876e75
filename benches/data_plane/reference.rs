//! (a) The reference: what one writes first, with the SDK's types all the way. GetRecords, serde_dynamo to a
//! `serde_json::Value`, an envelope, PutRecords; no lanes, no checkpoints, no retries.

use std::collections::HashMap;

use aws_sdk_dynamodbstreams::types::{AttributeValue, Record};
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_smithy_types::Blob;
use ddb_kinesis_bridge::aws::Aws;
use ddb_kinesis_bridge::config::Connection;
use serde_json::{Value, json};

use crate::canned::{Pages, STREAM_ARN};
use crate::meter::{Cost, measure, runtime};
use crate::server::Server;

/// Carries all pages, one shard after another. The first shard's are not measured: with them the process grows to its size.
/// Gives the cost, and of how many changes it is.
pub fn carry(pages: Pages) -> (Cost, usize) {
    let (changes, shards) = (pages.changes(), pages.shards());
    let server = Server::start(pages);
    server.served.open.store(usize::MAX, std::sync::atomic::Ordering::Release);
    let runtime = runtime();
    let connection = Connection {
        region: Some("eu-central-1".to_owned()),
        endpoint_url: Some(server.endpoint.clone()),
        ..Connection::default()
    };
    let (streams, kinesis) = runtime.block_on(async {
        let aws = Aws::load([&connection], Some(crate::credentials())).await;
        let streams = aws.dynamodb_streams("source", &connection).expect("a Region");
        (streams, aws.kinesis("sink", &connection).expect("a Region"))
    });
    let first = runtime.block_on(carry_shard(&streams, &kinesis, 0));
    let (carried, cost) = measure(&runtime, async {
        let mut carried = 0;
        for shard in 1..shards {
            carried += carry_shard(&streams, &kinesis, shard).await;
        }
        carried
    });
    assert_eq!(first + carried, changes);
    (cost, carried)
}

async fn carry_shard(
    streams: &aws_sdk_dynamodbstreams::Client,
    kinesis: &aws_sdk_kinesis::Client,
    shard: usize,
) -> usize {
    let mut carried = 0;
    let mut iterator = format!("{shard}:0");
    loop {
        let page = streams.get_records().shard_iterator(iterator).send().await.expect("a page");
        if page.records().is_empty() {
            return carried;
        }
        for records in page.records().chunks(500) {
            let entries = records.iter().map(entry).collect();
            let answer = kinesis.put_records().stream_name("orders-cdc").set_records(Some(entries));
            let answer = answer.send().await.expect("an answer");
            carried += answer.records().iter().filter(|result| result.error_code().is_none()).count();
        }
        iterator = page.next_shard_iterator.expect("an open shard");
    }
}

fn entry(record: &Record) -> PutRecordsRequestEntry {
    let change = record.dynamodb().expect("a change");
    let image = |image: Option<&HashMap<String, AttributeValue>>| -> Option<Value> {
        Some(serde_dynamo::from_item(image?.clone()).expect("an item"))
    };
    let keys = image(change.keys()).expect("keys");
    let partition_key = keys["id"].as_str().expect("a string").to_owned();
    let payload = json!({
        "op": record.event_name().map(|name| name.as_str()),
        "table": "orders",
        "keys": keys,
        "new": image(change.new_image()),
        "old": image(change.old_image()),
        "at": change.approximate_creation_date_time().and_then(|at| at.to_millis().ok()),
        "sequence_number": change.sequence_number(),
        "event_id": record.event_id(),
        "stream": STREAM_ARN,
    });
    let data = serde_json::to_vec(&payload).expect("JSON");
    PutRecordsRequestEntry::builder()
        .partition_key(partition_key)
        .data(Blob::new(data))
        .build()
        .expect("an entry")
}
