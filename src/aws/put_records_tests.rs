use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_smithy_types::Blob;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn stream(text: &str) -> StreamName {
    StreamName::parse(text).expect("a stream")
}

fn entry(key: &str, data: &[u8]) -> PutEntry {
    PutEntry::new(key, data)
}

/// The body that the SDK writes by itself.
async fn by_the_sdk(stream: &StreamName, entries: &[PutEntry]) -> Value {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("a", "b", None, None, "test"))
        // Nobody listens there, and nobody need.
        .endpoint_url("http://127.0.0.1:1")
        .retry_config(aws_sdk_kinesis::config::retry::RetryConfig::disabled());
    let client = aws_sdk_kinesis::Client::from_conf(config.build());
    let records = entries.iter().map(|entry| {
        let builder = PutRecordsRequestEntry::builder().partition_key(entry.partition_key());
        builder.data(Blob::new(entry.data())).build().expect("an entry")
    });
    let (sender, body) = std::sync::mpsc::channel();
    let call = client
        .put_records()
        .set_stream_name(stream.arn().is_none().then(|| stream.name().to_owned()))
        .set_stream_arn(stream.arn().map(str::to_owned))
        .set_records(Some(records.collect()))
        .customize()
        .mutate_request(move |request| {
            let _ = sender.send(request.body().bytes().map(<[u8]>::to_vec));
        });
    call.send().await.expect_err("nobody listens");
    let body = body.recv().expect("a request").expect("a body in memory");
    serde_json::from_slice(&body).expect("JSON")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_request_says_what_the_sdks_says(
        records in prop::collection::vec((".{1,40}", prop::collection::vec(any::<u8>(), 0..100)), 1..8),
        by_arn: bool,
    ) {
        let stream = stream(if by_arn { "arn:aws:kinesis:eu-central-1:111122223333:stream/cdc" } else { "cdc" });
        let entries: Vec<_> = records.iter().map(|(key, data)| entry(key, data)).collect();
        let ours: Value = serde_json::from_slice(&request(&stream, &entries)).expect("JSON");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        prop_assert_eq!(ours, runtime.block_on(by_the_sdk(&stream, &entries)));
    }

    #[test]
    fn no_answer_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), entries in 0..4usize) {
        let _ = results(&body, entries);
    }
}

#[test]
fn the_room_for_a_request_is_taken_once() {
    let entries: Vec<_> = (0..500).map(|n| entry(&format!("key-{n}"), &vec![b'x'; n])).collect();
    let body = request(&stream("cdc"), &entries);
    let body = body.try_into_mut().expect("nobody shares it");
    assert!(body.capacity() < body.len() + 40_000, "{} of {}", body.len(), body.capacity());
}

fn judged(entry: &Value) -> Result<Placement, EntryError> {
    let body = json!({"FailedRecordCount": 7, "Records": [entry], "EncryptionType": "NONE"}).to_string();
    results(body.as_bytes(), 1).expect("an answer").remove(0)
}

#[test]
fn entries_are_judged_by_their_own_code() {
    let accepted =
        judged(&json!({"ShardId": "shardId-000000000000", "SequenceNumber": "495", "ErrorCode": null}));
    let accepted = accepted.expect("accepted");
    assert_eq!((&*accepted.shard_id, accepted.sequence_number.as_str()), ("shardId-000000000000", "495"));

    let left_out = "its message of 5 characters is left out, since it may quote records";
    for (code, kind, message) in [
        ("ProvisionedThroughputExceededException", ErrorKind::Throttled, "\"why\""),
        ("InternalFailure", ErrorKind::Transient, left_out),
        ("SomethingNew", ErrorKind::Transient, left_out),
    ] {
        // A code outweighs a place, should an answer hold both.
        let failed =
            json!({"ErrorCode": code, "ErrorMessage": "\"why\"", "ShardId": "s", "SequenceNumber": "495"});
        let failed = judged(&failed).expect_err("failed");
        assert_eq!((failed.kind, failed.code.as_str(), failed.message.as_str()), (kind, code, message));
    }

    for useless in [
        json!({}),
        json!({"ShardId": "s"}),
        json!({"SequenceNumber": "1"}),
        json!({"ShardId": "s", "SequenceNumber": "one"}),
    ] {
        let failed = judged(&useless).expect_err("neither");
        assert_eq!(
            (failed.kind, failed.code.as_str()),
            (ErrorKind::Transient, "UnusableAnswer"),
            "{useless}"
        );
    }
}

#[test]
fn an_answer_of_another_length_or_kind_is_unusable() {
    let one = json!({"Records": [{"ShardId": "s", "SequenceNumber": "1"}]}).to_string();
    for (body, entries) in
        [(one.as_str(), 2), (one.as_str(), 0), ("{}", 1), ("", 1), ("<html>", 1), ("[]", 0)]
    {
        let error = results(body.as_bytes(), entries).expect_err(body);
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Transient, "UnusableAnswer"), "{body}");
    }
}

#[test]
fn shard_ids_are_shared() {
    let record = |shard: &str| json!({"ShardId": shard, "SequenceNumber": "1"});
    let body = json!({"Records": [record("b"), record("a"), record("b"), record("a")]}).to_string();
    let placed: Vec<_> =
        results(body.as_bytes(), 4).expect("an answer").into_iter().map(Result::unwrap).collect();
    let ids: Vec<&str> = placed.iter().map(|placement| &*placement.shard_id).collect();
    assert_eq!(ids, ["b", "a", "b", "a"]);
    assert!(Arc::ptr_eq(&placed[0].shard_id, &placed[2].shard_id));
    assert!(Arc::ptr_eq(&placed[1].shard_id, &placed[3].shard_id));
}
