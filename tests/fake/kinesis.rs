//! Kinesis: limits, what is stored where, and entries that fail.

use aws_sdk_kinesis::operation::put_records::{PutRecordsError, PutRecordsOutput};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, StreamMode, StreamStatus};
use serde_json::json;

use crate::support::Fake;
use crate::support::fault::{FailEntries, Fault, Which};
use crate::support::items::KeySchema;
use crate::support::judge::judge;
use crate::support::payload::{Format, delivered};

fn fake_with_stream(shards: u32) -> Fake {
    let fake = Fake::start();
    fake.world().create_kinesis_stream("sink", shards);
    fake
}

fn entry(key: &str, data: impl Into<Vec<u8>>) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data)).build().expect("a whole entry")
}

async fn put(fake: &Fake, entries: Vec<PutRecordsRequestEntry>) -> Result<PutRecordsOutput, PutRecordsError> {
    let call = fake.kinesis().put_records().stream_name("sink").set_records(Some(entries));
    call.send().await.map_err(|error| error.into_service_error())
}

fn code(error: &PutRecordsError) -> &str {
    error.meta().code().unwrap_or_default()
}

#[tokio::test]
async fn describes_a_stream_and_its_shards() {
    let fake = fake_with_stream(2);
    let arn = fake.world().kinesis_stream("sink").arn.clone();
    fake.world().kinesis_stream_mut("sink").max_record_size_kib = 10_240;
    let client = fake.kinesis();
    let answer = client.describe_stream_summary().stream_arn(&arn).send().await.expect("a summary");
    let summary = answer.stream_description_summary().expect("a summary");
    assert_eq!(summary.stream_name(), "sink");
    assert_eq!(summary.stream_status(), &StreamStatus::Active);
    assert_eq!(summary.open_shard_count(), 2);
    assert_eq!(summary.max_record_size_in_kib(), Some(10_240));
    assert_eq!(summary.stream_mode_details().map(|mode| mode.stream_mode()), Some(&StreamMode::Provisioned));

    fake.world().kinesis_stream_mut("sink").split("shardId-000000000000");
    let page = client.list_shards().stream_name("sink").max_results(3).send().await.expect("a page");
    let next = page.next_token().expect("a further page");
    let rest = client.list_shards().next_token(next).send().await.expect("a page");
    let shards: Vec<_> = page.shards().iter().chain(rest.shards()).collect();
    assert_eq!(shards.len(), 4);
    assert_eq!(shards[3].parent_shard_id(), Some("shardId-000000000000"));
    assert!(shards[0].sequence_number_range().and_then(|range| range.ending_sequence_number()).is_some());

    let error =
        client.describe_stream_summary().stream_name("other").send().await.expect_err("no such stream");
    assert!(error.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn stores_by_the_partition_keys_hash() {
    let fake = fake_with_stream(4);
    let keys: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
    let answer =
        put(&fake, keys.iter().map(|key| entry(key, key.as_bytes())).collect()).await.expect("an answer");
    assert_eq!(answer.failed_record_count(), Some(0));
    let again = put(&fake, keys.iter().map(|key| entry(key, "again")).collect()).await.expect("an answer");
    for (first, second) in answer.records().iter().zip(again.records()) {
        assert_eq!(first.shard_id(), second.shard_id(), "a key stays in its shard");
        assert!(first.sequence_number() < second.sequence_number());
    }
    let world = fake.world();
    let stream = world.kinesis_stream("sink");
    assert_eq!(stream.stored.len(), 80);
    assert!(stream.open_shards().all(|shard| stream.log_of(&shard.id).count() > 0));
    assert_eq!(stream.stored[7].data, b"k7");
    // MD5("") is d41d8cd9…, MD5("a") is 0cc175b9…: the last and the first quarter of the hash space.
    assert_eq!(stream.shard_for("", None).map(|shard| shard.id.as_str()), Some("shardId-000000000003"));
    assert_eq!(stream.shard_for("a", None).map(|shard| shard.id.as_str()), Some("shardId-000000000000"));
}

#[tokio::test]
async fn one_invalid_entry_fails_the_whole_call() {
    let fake = fake_with_stream(1);
    let limit = 1024 * 1024;
    let bad = [
        vec![entry("k", "good"), entry("key", vec![0; limit - 2])],
        vec![entry("k", "good"), entry("", "x")],
        vec![entry("k", "good"), entry(&"ü".repeat(257), "x")],
        (0..501).map(|_| entry("k", "x")).collect(),
        vec![],
    ];
    for entries in bad {
        let error = put(&fake, entries).await.expect_err("a refused call");
        assert_eq!(code(&error), "ValidationException");
    }
    let eleven_megabytes = (0..11).map(|_| entry("k", vec![0; limit - 1])).collect();
    let error = put(&fake, eleven_megabytes).await.expect_err("a refused call");
    assert!(error.is_invalid_argument_exception(), "{error:?}");
    assert_eq!(fake.world().kinesis_stream("sink").stored.len(), 0);

    let largest = vec![entry("key", vec![0; limit - 3]), entry(&"ü".repeat(256), "")];
    put(&fake, largest).await.expect("what just fits");
    fake.world().kinesis_stream_mut("sink").status = "DELETING".to_owned();
    let error = put(&fake, vec![entry("k", "x")]).await.expect_err("a refused call");
    assert!(error.is_resource_not_found_exception(), "{error:?}");
}

#[tokio::test]
async fn entries_fail_one_by_one_and_the_count_may_lie() {
    let fake = fake_with_stream(1);
    let code = "ProvisionedThroughputExceededException";
    let lie = FailEntries {
        which: Which::Indices(vec![0, 2]),
        code: code.to_owned(),
        failed_record_count: Some(0),
    };
    fake.world().faults.once("PutRecords", Fault::FailEntries(lie));
    let abc = || vec![entry("a", "1"), entry("b", "2"), entry("c", "3")];
    let answer = put(&fake, abc()).await.expect("an answer");
    assert_eq!(answer.failed_record_count(), Some(0));
    let codes: Vec<_> = answer.records().iter().map(|record| record.error_code()).collect();
    assert_eq!(codes, [Some(code), None, Some(code)]);
    assert_eq!(answer.records()[0].sequence_number(), None);

    let rule = fake.world().faults.always(
        "PutRecords",
        |_| true,
        Fault::fail_entries(Which::EveryNth(2), "InternalFailure"),
    );
    // The stream has seen three entries: the 4th and the 6th fail.
    let answer = put(&fake, abc()).await.expect("an answer");
    assert_eq!(answer.failed_record_count(), Some(2));
    fake.world().faults.lift(rule);
    put(&fake, abc()).await.expect("an answer");
    let world = fake.world();
    let stored: Vec<_> =
        world.kinesis_stream("sink").stored.iter().map(|one| one.partition_key.as_str()).collect();
    assert_eq!(stored, ["b", "b", "a", "b", "c"]);
    assert!(world.faults.all_met());
}

#[tokio::test]
async fn put_record_takes_a_number_for_ordering() {
    let fake = fake_with_stream(1);
    let client = fake.kinesis();
    let put = |data: &str| client.put_record().stream_name("sink").partition_key("k").data(Blob::new(data));
    let first = put("1").send().await.expect("an answer");
    let second =
        put("2").sequence_number_for_ordering(first.sequence_number()).send().await.expect("an answer");
    assert!(first.sequence_number() < second.sequence_number());
    let error = put("3").sequence_number_for_ordering("x").send().await.expect_err("a refused call");
    assert!(error.into_service_error().is_invalid_argument_exception());
}

#[tokio::test]
async fn the_judge_reads_what_the_fake_holds() {
    let fake = fake_with_stream(2);
    {
        let mut world = fake.world();
        world.create_table("orders", KeySchema::hash("id", "S").and_range("line", "N"));
        world.enable_stream("orders", "KEYS_ONLY", 2);
        for n in 0..6 {
            world.put(
                "orders",
                json!({"id": {"S": "a"}, "line": {"N": (n % 2).to_string()}, "n": {"N": n.to_string()}}),
            );
        }
    }
    let payloads: Vec<(String, String)> = fake
        .world()
        .streams
        .iter()
        .flat_map(|stream| stream.shards.iter().flat_map(|shard| &shard.records))
        .map(|record| ("a".to_owned(), record.body.to_string()))
        .collect();
    assert_eq!(payloads.len(), 6);
    put(&fake, payloads[1..].iter().map(|(key, data)| entry(key, data.as_bytes())).collect())
        .await
        .expect("an answer");
    let report = |fake: &Fake| {
        let world = fake.world();
        judge(&world.changes("orders"), &delivered(world.kinesis_stream("sink"), Format::DynamoDbJson))
    };
    assert_eq!(report(&fake).missing.len(), 1);
    put(&fake, vec![entry("a", payloads[0].1.as_bytes())]).await.expect("an answer");
    let late = report(&fake);
    assert_eq!((late.missing.len(), late.inversions.len(), late.unexpected.len()), (0, 1, 0), "{late}");
}
