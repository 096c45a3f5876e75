//! GetShardIterator and GetRecords: pages, ends, trims and expiry.

use aws_sdk_dynamodbstreams::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_dynamodbstreams::types::{OperationType, ShardIteratorType};
use serde_json::json;

use crate::support::Fake;
use crate::support::items::KeySchema;
use crate::support::sequence::compare;
use crate::support::shards::GoneAnswer;

struct Setup {
    fake: Fake,
    arn: String,
    shard: String,
}

/// A table with a stream of one shard.
fn setup() -> Setup {
    let fake = Fake::start();
    let (arn, shard) = {
        let mut world = fake.world();
        world.create_table("orders", KeySchema::hash("id", "S"));
        let arn = world.enable_stream("orders", "NEW_AND_OLD_IMAGES", 1);
        let shard = world.stream(&arn).open_shards().remove(0);
        (arn, shard)
    };
    Setup { fake, arn, shard }
}

impl Setup {
    /// Writes item `id` with the value `n`. Returns the change's sequence number.
    fn put(&self, id: &str, n: u32) -> String {
        let item = json!({"id": {"S": id}, "n": {"N": n.to_string()}});
        self.fake.world().put("orders", item).expect("a change")
    }

    async fn iterator(
        &self,
        shard: &str,
        from: ShardIteratorType,
        sequence: Option<&str>,
    ) -> Result<String, String> {
        let client = self.fake.streams();
        let call =
            client.get_shard_iterator().stream_arn(&self.arn).shard_id(shard).shard_iterator_type(from);
        let answer = call.set_sequence_number(sequence.map(str::to_owned)).send().await;
        let answer =
            answer.map_err(|error| error.into_service_error().meta().code().unwrap_or("").to_owned())?;
        Ok(answer.shard_iterator.expect("an iterator"))
    }

    async fn start(&self, shard: &str) -> String {
        self.iterator(shard, ShardIteratorType::TrimHorizon, None).await.expect("an iterator")
    }

    async fn records(&self, iterator: &str) -> Result<GetRecordsOutput, GetRecordsError> {
        let call = self.fake.streams().get_records().shard_iterator(iterator);
        call.send().await.map_err(|error| error.into_service_error())
    }
}

fn sequences(page: &GetRecordsOutput) -> Vec<&str> {
    page.records().iter().filter_map(|record| record.dynamodb()?.sequence_number()).collect()
}

#[tokio::test]
async fn records_hold_what_the_view_type_says() {
    let setup = setup();
    setup.fake.world().fixed_now_ms = Some(1_750_000_000_999);
    setup.put("a", 1);
    setup.put("a", 2);
    assert_eq!(setup.fake.world().put("orders", json!({"id": {"S": "a"}, "n": {"N": "2"}})), None, "a no-op");
    setup.fake.world().ttl_delete("orders", json!({"id": {"S": "a"}})).expect("a change");

    let iterator = setup.start(&setup.shard).await;
    let page = setup.records(&iterator).await.expect("a page");
    let events: Vec<_> = page.records().iter().filter_map(|record| record.event_name().cloned()).collect();
    assert_eq!(events, [OperationType::Insert, OperationType::Modify, OperationType::Remove]);
    let images: Vec<_> = page
        .records()
        .iter()
        .map(|record| {
            let change = record.dynamodb().expect("a change");
            assert_eq!(change.approximate_creation_date_time().map(|at| at.secs()), Some(1_750_000_000));
            assert!(change.keys().expect("keys").contains_key("id"));
            (change.old_image().is_some(), change.new_image().is_some())
        })
        .collect();
    assert_eq!(images, [(false, true), (true, true), (true, false)]);
    let identity = page.records()[2].user_identity().expect("a service's delete");
    assert_eq!(identity.r#type(), Some("Service"));
    assert_eq!(identity.principal_id(), Some("dynamodb.amazonaws.com"));
    assert!(page.records()[0].user_identity().is_none());
}

#[tokio::test]
async fn pages_are_limited_in_records_and_bytes() {
    let setup = setup();
    setup.fake.world().numbers.continue_from(999_999_999_999_999_999_900);
    let written: Vec<String> = (0..5).map(|n| setup.put(&format!("i{n}"), n)).collect();
    let iterator = setup.start(&setup.shard).await;
    let client = setup.fake.streams();
    let page = client.get_records().shard_iterator(&iterator).limit(2).send().await.expect("a page");
    assert_eq!(sequences(&page), written[..2]);
    let page = setup.records(page.next_shard_iterator().expect("an open shard")).await.expect("a page");
    assert_eq!(sequences(&page), written[2..]);
    assert!(written[0].len() == 21 && written[4].len() == 22, "{written:?} crosses a power of ten");
    assert!(written.windows(2).all(|pair| compare(&pair[0], &pair[1]).is_lt()));

    let big = "x".repeat(300 * 1024);
    for id in ["b0", "b1", "b2", "b3"] {
        setup.fake.world().put("orders", json!({"id": {"S": id}, "big": {"S": big}}));
    }
    let page = setup.records(page.next_shard_iterator().expect("an open shard")).await.expect("a page");
    assert_eq!(page.records().len(), 3, "a page ends before 1 MiB");
    let page = setup.records(page.next_shard_iterator().expect("an open shard")).await.expect("a page");
    assert_eq!(page.records().len(), 1);
}

#[tokio::test]
async fn iterators_start_where_they_are_asked_to() {
    let setup = setup();
    let written: Vec<String> = (0..3).map(|n| setup.put("a", n)).collect();
    let cases = [
        (ShardIteratorType::TrimHorizon, None, &written[..]),
        (ShardIteratorType::AtSequenceNumber, Some(&written[1]), &written[1..]),
        (ShardIteratorType::AfterSequenceNumber, Some(&written[1]), &written[2..]),
        (ShardIteratorType::Latest, None, &[]),
    ];
    for (from, sequence, expected) in cases {
        let iterator = setup.iterator(&setup.shard, from.clone(), sequence.map(String::as_str)).await;
        let page = setup.records(&iterator.expect("an iterator")).await.expect("a page");
        assert_eq!(sequences(&page), expected, "{from:?}");
    }
    let latest = setup.iterator(&setup.shard, ShardIteratorType::Latest, None).await.expect("an iterator");
    let after = setup.put("a", 9);
    assert_eq!(sequences(&setup.records(&latest).await.expect("a page")), [after]);
}

#[tokio::test]
async fn an_ended_shard_gives_its_last_records_without_an_iterator() {
    let setup = setup();
    let written = setup.put("a", 1);
    let child = setup.fake.world().rotate(&setup.arn, &setup.shard);
    let later = setup.put("a", 2);
    let page = setup.records(&setup.start(&setup.shard).await).await.expect("a page");
    assert_eq!(sequences(&page), [written.as_str()]);
    assert_eq!(page.next_shard_iterator(), None);
    // The item's changes go on in the child of its shard.
    let page = setup.records(&setup.start(&child).await).await.expect("a page");
    assert_eq!(sequences(&page), [later]);
    assert!(page.next_shard_iterator().is_some());

    setup.fake.world().quirks.end_on_empty_page = true;
    let page = setup.records(&setup.start(&setup.shard).await).await.expect("a page");
    let page = setup.records(page.next_shard_iterator().expect("one more page")).await.expect("a page");
    assert_eq!((page.records().len(), page.next_shard_iterator()), (0, None));
}

#[tokio::test]
async fn items_stay_with_the_children_of_their_shard() {
    let setup = setup();
    let items: Vec<String> = (0..20).map(|n| format!("i{n}")).collect();
    for item in &items {
        setup.put(item, 0);
    }
    let children = setup.fake.world().split(&setup.arn, &setup.shard);
    for item in &items {
        setup.put(item, 1);
    }
    let mut counts = Vec::new();
    for child in &children {
        let page = setup.records(&setup.start(child).await).await.expect("a page");
        counts.push(page.records().len());
    }
    assert_eq!(counts.iter().sum::<usize>(), 20);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}: both children have items");
}

#[tokio::test]
async fn localstack_never_ends_a_shard() {
    let setup = setup();
    setup.fake.world().be_localstack();
    let written = setup.put("a", 1);
    assert_eq!(written.len(), 56);
    setup.fake.world().close_shard(&setup.arn, &setup.shard);
    let page = setup.records(&setup.start(&setup.shard).await).await.expect("a page");
    assert_eq!(sequences(&page), [written.as_str()]);
    let next = page.next_shard_iterator().expect("a string in place of none");
    assert!(next.ends_with("|None"), "{next}");
    let page = setup.records(next).await.expect("a page");
    assert_eq!(page.next_shard_iterator(), Some(next));
}

#[tokio::test]
async fn retention_and_expiry_are_errors_of_their_own() {
    let setup = setup();
    let written: Vec<String> = (0..3).map(|n| setup.put("a", n)).collect();
    let old = setup.start(&setup.shard).await;
    setup.fake.world().trim_through(&setup.arn, &setup.shard, &written[1]);
    let error = setup.records(&old).await.expect_err("a trimmed position");
    assert!(error.is_trimmed_data_access_exception(), "{error:?}");
    let after = setup.iterator(&setup.shard, ShardIteratorType::AfterSequenceNumber, Some(&written[0])).await;
    assert_eq!(after, Err("TrimmedDataAccessException".to_owned()));
    let oldest = setup.start(&setup.shard).await;
    assert_eq!(sequences(&setup.records(&oldest).await.expect("a page")), [written[2].as_str()]);

    setup.fake.world().expire_iterators();
    let error = setup.records(&oldest).await.expect_err("an expired iterator");
    assert!(error.is_expired_iterator_exception(), "{error:?}");

    for (answer, code) in [
        (GoneAnswer::ResourceNotFound, "ResourceNotFoundException"),
        (GoneAnswer::TrimmedDataAccess, "TrimmedDataAccessException"),
    ] {
        setup.fake.world().drop_shard(&setup.arn, &setup.shard, answer);
        let refused = setup.iterator(&setup.shard, ShardIteratorType::TrimHorizon, None).await;
        assert_eq!(refused, Err(code.to_owned()));
    }
}
