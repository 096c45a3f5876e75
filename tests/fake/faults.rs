//! Faults as an SDK client meets them, the request log, and requests that are not of AWS's form.

use std::io::{Read, Write};

use aws_sdk_kinesis::operation::put_records::PutRecordsError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use serde_json::{Value, json};

use crate::support::Fake;
use crate::support::fault::{Fault, Gate, Loss};
use crate::support::items::KeySchema;
use crate::support::log::Outcome;

type SdkError = aws_sdk_kinesis::error::SdkError<PutRecordsError>;

fn fake_with_sink() -> Fake {
    let fake = Fake::start();
    fake.world().create_kinesis_stream("sink", 1);
    fake
}

async fn put(fake: &Fake, key: &str) -> Result<(), SdkError> {
    let entry = PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new("data")).build();
    let call = fake.kinesis().put_records().stream_name("sink").records(entry.expect("a whole entry"));
    call.send().await.map(drop)
}

fn stored(fake: &Fake) -> Vec<String> {
    fake.world().kinesis_stream("sink").stored.iter().map(|stored| stored.partition_key.clone()).collect()
}

#[tokio::test]
async fn faults_before_the_effect_leave_no_trace() {
    let fake = fake_with_sink();
    {
        let mut world = fake.world();
        world.faults.once("PutRecords", Fault::Throttle);
        world.faults.once("PutRecords", Fault::internal());
        world.faults.once("PutRecords", Fault::DropConnection);
        world.faults.once("PutRecords", Fault::reject(400, "ExpiredTokenException"));
    }
    let error = put(&fake, "a").await.expect_err("a throttle");
    assert!(error.into_service_error().is_provisioned_throughput_exceeded_exception());
    let error = put(&fake, "b").await.expect_err("a 500");
    assert_eq!(error.raw_response().map(|response| response.status().as_u16()), Some(500));
    let error = put(&fake, "c").await.expect_err("a dropped connection");
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    let error = put(&fake, "d").await.expect_err("an expired token");
    assert_eq!(error.into_service_error().meta().code(), Some("ExpiredTokenException"));
    assert_eq!(stored(&fake), [""; 0]);
    put(&fake, "e").await.expect("all faults are met");
    assert_eq!(stored(&fake), ["e"]);
    let world = fake.world();
    assert!(world.faults.all_met());
    let effective: Vec<bool> = world.log.of("PutRecords").map(|request| request.effective).collect();
    assert_eq!(effective, [false, false, false, false, true]);
    let outcomes: Vec<_> = world.log.all().iter().filter_map(|request| request.outcome.as_ref()).collect();
    assert_eq!(outcomes[2], &Outcome::Dropped);
    assert_eq!(outcomes[4], &Outcome::Ok);
}

#[tokio::test]
async fn an_answer_lost_after_the_effect_leaves_the_effect() {
    let fake = fake_with_sink();
    let losses = [
        Fault::internal_after_effect(),
        Fault::FailAfterEffect(Loss::Dropped),
        Fault::FailAfterEffect(Loss::MalformedBody),
        Fault::FailAfterEffect(Loss::TruncatedBody),
    ];
    for (index, loss) in losses.into_iter().enumerate() {
        fake.world().faults.once("PutRecords", loss.clone());
        let error = put(&fake, &index.to_string()).await.expect_err("a lost answer");
        match loss {
            Fault::FailAfterEffect(Loss::Error { .. }) => assert!(matches!(error, SdkError::ServiceError(_))),
            // The SDK calls a 200 that it cannot read an error of the service, without a code.
            Fault::FailAfterEffect(Loss::MalformedBody) => {
                assert_eq!(error.raw_response().map(|response| response.status().as_u16()), Some(200));
                assert_eq!(error.into_service_error().meta().code(), None);
            }
            Fault::FailAfterEffect(Loss::Dropped) => assert!(matches!(error, SdkError::DispatchFailure(_))),
            _ => assert!(matches!(error, SdkError::ResponseError(_)), "{error:?}"),
        }
        assert_eq!(stored(&fake).len(), index + 1);
    }
}

#[tokio::test]
async fn a_held_request_takes_effect_late_even_without_its_client() {
    let fake = fake_with_sink();
    let gate = Gate::shut();
    fake.world().faults.once("PutRecords", Fault::Hold(gate.clone()));
    {
        let held = put(&fake, "held");
        tokio::pin!(held);
        tokio::select! {
            biased;
            answer = &mut held => panic!("the request passed a shut gate: {answer:?}"),
            () = gate.reached_by(1) => {}
        }
        // The client hangs up here.
    }
    put(&fake, "later").await.expect("other requests go on");
    gate.open();
    fake.wait_until("the held record", |world| world.kinesis_stream("sink").stored.len() == 2).await;
    assert_eq!(stored(&fake), ["later", "held"]);
}

#[tokio::test]
async fn a_held_answer_comes_after_the_effect() {
    let fake = fake_with_sink();
    let gate = Gate::shut();
    fake.world().faults.once("PutRecords", Fault::HoldAnswer(gate.clone()));
    let (answer, ()) = tokio::join!(put(&fake, "a"), async {
        gate.reached_by(1).await;
        assert_eq!(stored(&fake), ["a"]);
        assert_eq!(fake.world().log.all()[0].outcome, None);
        gate.open();
    });
    answer.expect("an answer in the end");
}

#[tokio::test]
async fn rules_stand_until_lifted_and_choose_their_requests() {
    let fake = fake_with_sink();
    let of_b =
        |request: &crate::support::log::Request| request.input["Records"][0]["PartitionKey"] == json!("b");
    let rule = fake.world().faults.always("PutRecords", of_b, Fault::internal());
    put(&fake, "a").await.expect("not of the rule");
    put(&fake, "b").await.expect_err("of the rule");
    put(&fake, "b").await.expect_err("of the rule, still");
    // A queued script comes before the rules.
    fake.world().faults.pass("PutRecords");
    put(&fake, "b").await.expect("scripted to pass");
    fake.world().faults.lift(rule);
    put(&fake, "b").await.expect("no rule any more");
    assert_eq!(stored(&fake), ["a", "b", "b"]);
    fake.wait_until("five requests", |world| world.log.count("PutRecords") == 5).await;
}

#[tokio::test]
async fn an_empty_page_keeps_the_place() {
    let fake = Fake::start();
    let (arn, shard) = {
        let mut world = fake.world();
        world.create_table("orders", KeySchema::hash("id", "S"));
        let arn = world.enable_stream("orders", "KEYS_ONLY", 1);
        world.put("orders", json!({"id": {"S": "a"}}));
        world.faults.once("GetRecords", Fault::EmptyPage);
        world.faults.once("GetRecords", Fault::Throttle);
        let shard = world.stream(&arn).open_shards().remove(0);
        (arn, shard)
    };
    let client = fake.streams();
    let iterator = client
        .get_shard_iterator()
        .stream_arn(arn)
        .shard_id(shard)
        .shard_iterator_type("TRIM_HORIZON".into());
    let iterator = iterator.send().await.expect("an answer").shard_iterator.expect("an iterator");
    let page = client.get_records().shard_iterator(iterator).send().await.expect("a page");
    assert_eq!(page.records().len(), 0);
    let next = page.next_shard_iterator().expect("an iterator");
    let error = client.get_records().shard_iterator(next).send().await.expect_err("a throttle");
    assert!(error.into_service_error().is_limit_exceeded_exception());
    let page = client.get_records().shard_iterator(next).send().await.expect("a page");
    assert_eq!(page.records().len(), 1);
}

#[test]
#[should_panic(expected = "PutRecord5 is no operation of the fake")]
fn a_fault_for_no_operation_is_a_mistake() {
    Fake::start().world().faults.once("PutRecord5", Fault::Throttle);
}

#[tokio::test]
async fn a_stopped_fake_refuses_connections() {
    let mut fake = fake_with_sink();
    put(&fake, "a").await.expect("an answer");
    fake.stop();
    let error = put(&fake, "b").await.expect_err("no one answers");
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    assert_eq!(stored(&fake), ["a"]);
}

/// Sends a request as it is, without a signature. Returns the head and the body of the answer.
fn send_raw(fake: &Fake, target: &str, body: &str) -> (String, Value) {
    let mut connection = std::net::TcpStream::connect(fake.address()).expect("a connection");
    let head = format!(
        "POST / HTTP/1.1\r\nhost: fake\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: {target}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(format!("{head}{body}").as_bytes()).expect("a request");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_lowercase(), serde_json::from_str(body).expect("a JSON body"))
}

#[test]
fn unsigned_and_wrongly_signed_requests_are_refused() {
    let fake = fake_with_sink();
    let (head, body) = send_raw(&fake, "Kinesis_20131202.ListShards", r#"{"StreamName":"sink"}"#);
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert_eq!(body["__type"], "MissingAuthenticationTokenException");

    fake.world().quirks.secret_access_key = Some("another secret".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let error = runtime.block_on(put(&fake, "a")).expect_err("a wrong signature");
    assert_eq!(error.into_service_error().meta().code(), Some("InvalidSignatureException"));
}

#[test]
fn raw_requests_get_awss_error_shapes() {
    let fake = fake_with_sink();
    fake.world().quirks.secret_access_key = None;
    fake.world().fixed_now_ms = Some(1_750_000_000_000);
    let dry = r#"{"StreamName":"sink","DryRun":true,"Records":[{"PartitionKey":"k","Data":"aGk="}]}"#;
    let (head, body) = send_raw(&fake, "Kinesis_20131202.PutRecords", dry);
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert!(head.contains("date: sun, 15 jun 2025 15:06:40 gmt"), "{head}");
    assert!(head.contains("content-type: application/x-amz-json-1.1"), "{head}");
    assert_eq!(body["__type"], "DryRunOperationException");
    assert_eq!(stored(&fake), [""; 0]);
    let bad = dry.replace("\"k\"", "\"\"");
    assert_eq!(send_raw(&fake, "Kinesis_20131202.PutRecords", &bad).1["__type"], "ValidationException");

    let (_, body) = send_raw(&fake, "DynamoDBStreams_20120810.DescribeStream", r#"{"StreamArn":"arn"}"#);
    assert_eq!(body["__type"], "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException");
    let (_, body) = send_raw(&fake, "DynamoDB_20120810.BatchGetItem", r#"{"TableName":"t"}"#);
    assert_eq!(body["__type"], "com.amazon.coral.service#UnknownOperationException");
    let (_, body) = send_raw(&fake, "DynamoDB_20120810.GetItem", "{");
    assert_eq!(body["__type"], "com.amazon.coral.service#SerializationException");
    let (_, body) = send_raw(&fake, "DynamoDB_20120810.GetItem", r#"{"TableName":"t","Tabel":1}"#);
    assert_eq!(body["message"], "the fake does not know the member Tabel");
}
