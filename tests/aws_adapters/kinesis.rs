//! The sink port against the emulator.

use std::time::Duration;

use aws_sdk_kinesis::types::ShardIteratorType;
use ddb_kinesis_bridge::aws::KinesisStream;
use ddb_kinesis_bridge::config::StreamName;
use ddb_kinesis_bridge::delivery::sink::{KinesisSink, PutEntry};
use ddb_kinesis_bridge::error::ErrorKind;
use md5::{Digest, Md5};

use crate::emulators;

const LIMIT: Duration = Duration::from_secs(5);

fn entry(key: &str, data: &[u8]) -> PutEntry {
    PutEntry::new(key, data)
}

#[tokio::test]
async fn what_is_put_can_be_read() {
    let client = emulators::kinesis_client(&emulators::kinesis().await);
    emulators::create_stream(&client, "cdc").await;
    let by_name = KinesisStream::new(client.clone(), StreamName::parse("cdc").expect("a name"));
    let description = by_name.describe().await.expect("a description");
    assert_eq!(description.status, "ACTIVE");
    assert_eq!(description.max_record_bytes, 1024 * 1024);
    let arn = StreamName::parse(&description.arn).expect("an ARN");
    let by_arn = KinesisStream::new(client.clone(), arn);

    let entries = [entry("a", b"one"), entry("b", &[0, 159, 146, 150])];
    let first = by_name.put_records(&entries, LIMIT).await.expect("an answer");
    let second = by_arn.put_records(&[entry("c", b"three")], LIMIT).await.expect("an answer");
    let placed: Vec<_> = first.into_iter().chain(second).map(|result| result.expect("accepted")).collect();
    assert!(placed.windows(2).all(|pair| pair[0].sequence_number < pair[1].sequence_number), "{placed:?}");

    let iterator = client
        .get_shard_iterator()
        .stream_name("cdc")
        .shard_id(&*placed[0].shard_id)
        .shard_iterator_type(ShardIteratorType::TrimHorizon);
    let iterator = iterator.send().await.expect("an iterator").shard_iterator.expect("an iterator");
    let records = client.get_records().shard_iterator(iterator).send().await.expect("records").records;
    let read: Vec<_> = records
        .iter()
        .map(|record| (record.partition_key().expect("a key"), record.data().as_ref()))
        .collect();
    assert_eq!(read, [("a", &b"one"[..]), ("b", &[0, 159, 146, 150]), ("c", b"three")]);
}

#[tokio::test]
async fn one_record_behind_another() {
    let client = emulators::kinesis_client(&emulators::kinesis().await);
    emulators::create_stream(&client, "cdc").await;
    let sink = KinesisStream::new(client, StreamName::parse("cdc").expect("a name"));
    let first = sink.put_record(&entry("a", b"one"), None, LIMIT).await.expect("an answer");
    let number = &first.sequence_number;
    let second = sink.put_record(&entry("a", &[0, 159]), Some(number), LIMIT).await.expect("an answer");
    assert!(second.sequence_number > *number && second.shard_id == first.shard_id, "{second:?}");
    let error =
        sink.put_record(&entry(&"k".repeat(257), b"bad"), None, LIMIT).await.expect_err("too long a key");
    assert_eq!((error.api, error.kind), ("PutRecord", ErrorKind::Invalid), "{error}");
    assert!(!error.to_string().contains("kkk"), "{error}");
    let error = sink.put_record(&entry("a", b"one"), None, Duration::ZERO).await.expect_err("no time");
    assert_eq!((error.api, error.kind), ("PutRecord", ErrorKind::Transient), "{error}");
}

/// Closed shards are left out, and each record is put where the listing says.
#[tokio::test]
async fn open_shards_and_the_keys_they_take() {
    let client = emulators::kinesis_client(&emulators::kinesis().await);
    emulators::create_stream(&client, "cdc").await;
    let sink = KinesisStream::new(client.clone(), StreamName::parse("cdc").expect("a name"));
    let one = sink.list_shards(LIMIT).await.expect("a listing");
    assert_eq!(
        one.iter().map(|shard| (shard.first_hash, shard.last_hash)).collect::<Vec<_>>(),
        [(0, u128::MAX)]
    );
    let split = client.split_shard().stream_name("cdc").shard_to_split(&*one[0].id);
    split.new_starting_hash_key((1u128 << 127).to_string()).send().await.expect("it is split");
    let halves = loop {
        let listed = sink.list_shards(LIMIT).await.expect("a listing");
        if listed.len() == 2 {
            break listed;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(halves.iter().all(|half| half.id != one[0].id), "{halves:?}");
    let entries: Vec<_> = (0..20).map(|n| entry(&format!("item-{n}"), b"x")).collect();
    let results = sink.put_records(&entries, LIMIT).await.expect("an answer");
    for (entry, result) in entries.iter().zip(results) {
        let hash = u128::from_be_bytes(Md5::digest(entry.partition_key()).into());
        let taker = halves.iter().find(|half| (half.first_hash..=half.last_hash).contains(&hash));
        assert_eq!(taker.map(|half| &half.id), Some(&result.expect("accepted").shard_id));
    }
}

#[tokio::test]
async fn a_throttled_entry_fails_alone() {
    let client = emulators::kinesis_client(&emulators::kinesis().await);
    emulators::create_stream(&client, "cdc").await;
    let sink = KinesisStream::new(client, StreamName::parse("cdc").expect("a name"));
    // A shard takes 1 MiB a second: three times 450 KiB cannot all fit. (The emulator takes 2 MB a request.)
    let big = vec![b'x'; 450 * 1024];
    let entries: Vec<_> = (0..3).map(|number| entry(&number.to_string(), &big)).collect();
    let results = sink.put_records(&entries, LIMIT).await.expect("an answer");
    assert_eq!(results.len(), 3);
    assert!(results[0].is_ok(), "{results:?}");
    let throttled = results.iter().filter_map(|result| result.as_ref().err()).collect::<Vec<_>>();
    assert!(!throttled.is_empty());
    for error in throttled {
        assert_eq!(error.kind, ErrorKind::Throttled, "{error:?}");
        assert_eq!(error.code, "ProvisionedThroughputExceededException");
    }
}

#[tokio::test]
async fn a_stream_that_is_not_there() {
    let client = emulators::kinesis_client(&emulators::kinesis().await);
    let sink = KinesisStream::new(client, StreamName::parse("gone").expect("a name"));
    let error = sink.put_records(&[entry("a", b"one")], LIMIT).await.expect_err("no such stream");
    assert_eq!((error.api, error.kind), ("PutRecords", ErrorKind::NotFound), "{error}");
    let error = sink.describe().await.expect_err("no such stream");
    assert_eq!((error.api, error.kind), ("DescribeStreamSummary", ErrorKind::NotFound), "{error}");
    let error = sink.list_shards(LIMIT).await.expect_err("no such stream");
    assert_eq!((error.api, error.kind), ("ListShards", ErrorKind::NotFound), "{error}");
}

#[tokio::test]
async fn an_invalid_entry_makes_the_call_invalid() {
    let client = emulators::kinesis_client(&emulators::kinesis().await);
    emulators::create_stream(&client, "cdc").await;
    let sink = KinesisStream::new(client, StreamName::parse("cdc").expect("a name"));
    let entries = [entry("a", b"good"), entry(&"k".repeat(257), b"bad")];
    let error = sink.put_records(&entries, LIMIT).await.expect_err("a partition key of 257 characters");
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
}
