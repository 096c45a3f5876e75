//! ListStreams and DescribeStream: pages, lineage, and listings that lag or lie.

use aws_sdk_dynamodbstreams::types::{Shard, ShardFilter, ShardFilterType, StreamStatus};

use crate::support::Fake;
use crate::support::items::KeySchema;
use crate::support::shards::{GoneAnswer, ListingOrder, ShownEnd};

fn fake_with_stream(shards: u64) -> (Fake, String) {
    let fake = Fake::start();
    let arn = {
        let mut world = fake.world();
        world.create_table("orders", KeySchema::hash("id", "S"));
        world.enable_stream("orders", "NEW_AND_OLD_IMAGES", shards)
    };
    (fake, arn)
}

/// Every page of DescribeStream, joined, and how many there were.
async fn list(fake: &Fake, arn: &str) -> (Vec<Shard>, usize) {
    let (client, mut shards, mut pages, mut start) = (fake.streams(), Vec::new(), 0, None);
    loop {
        let call = client.describe_stream().stream_arn(arn).set_exclusive_start_shard_id(start);
        let answer = call.send().await.expect("a listing").stream_description.expect("a description");
        pages += 1;
        shards.extend(answer.shards.unwrap_or_default());
        start = answer.last_evaluated_shard_id;
        if start.is_none() {
            return (shards, pages);
        }
    }
}

fn ids(shards: &[Shard]) -> Vec<&str> {
    shards.iter().filter_map(Shard::shard_id).collect()
}

fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range().and_then(|range| range.ending_sequence_number()).is_none()
}

#[tokio::test]
async fn pages_through_streams_of_one_table_in_label_order() {
    let (fake, first) = fake_with_stream(1);
    let second = {
        let mut world = fake.world();
        world.create_table("others", KeySchema::hash("id", "S"));
        world.enable_stream("others", "KEYS_ONLY", 1);
        world.disable_stream(&first);
        world.quirks.list_streams_page = 1;
        world.enable_stream("orders", "NEW_IMAGE", 1)
    };
    let client = fake.streams();
    let page = client.list_streams().table_name("orders").send().await.expect("a page");
    assert_eq!(page.streams()[0].stream_arn(), Some(first.as_str()));
    let last = page.last_evaluated_stream_arn().expect("a further page");
    let page = client
        .list_streams()
        .table_name("orders")
        .exclusive_start_stream_arn(last)
        .send()
        .await
        .expect("a page");
    assert_eq!(page.streams()[0].stream_arn(), Some(second.as_str()));
    assert!(first < second, "labels grow");
    assert_eq!(page.last_evaluated_stream_arn(), None);
    let table = fake.dynamodb().describe_table().table_name("orders").send().await.expect("a table");
    assert_eq!(table.table().and_then(|table| table.latest_stream_arn()), Some(second.as_str()));
}

#[tokio::test]
async fn lists_lineage_page_by_page() {
    let (fake, arn) = fake_with_stream(2);
    let (roots, rotated, split) = {
        let mut world = fake.world();
        world.quirks.describe_page = 2;
        let roots = world.stream(&arn).open_shards();
        let rotated = world.rotate(&arn, &roots[0]);
        let split = world.split(&arn, &roots[1]);
        (roots, rotated, split)
    };
    let (shards, pages) = list(&fake, &arn).await;
    assert_eq!(pages, 3);
    assert_eq!(ids(&shards), [&roots[0], &roots[1], &rotated, &split[0], &split[1]].map(String::as_str));
    assert_eq!(shards.iter().map(is_open).collect::<Vec<_>>(), [false, false, true, true, true]);
    assert_eq!(shards[2].parent_shard_id(), Some(roots[0].as_str()));
    assert_eq!(shards[4].parent_shard_id(), Some(roots[1].as_str()));

    let client = fake.streams();
    let filter = ShardFilter::builder().r#type(ShardFilterType::ChildShards).shard_id(&roots[1]).build();
    let children = |filter| client.describe_stream().stream_arn(&arn).shard_filter(filter).send();
    let answer = children(filter.clone()).await.expect("the children");
    let description = answer.stream_description().expect("a description");
    assert_eq!(ids(description.shards()), [&split[0], &split[1]].map(String::as_str));
    fake.world().quirks.ignore_shard_filter = true;
    let answer = children(filter).await.expect("some shards");
    assert_eq!(ids(answer.stream_description().expect("a description").shards()), [&roots[0], &roots[1]]);
}

#[tokio::test]
async fn lists_children_before_parents() {
    let (fake, arn) = fake_with_stream(1);
    let (root, child) = {
        let mut world = fake.world();
        world.quirks.describe_page = 1;
        let root = world.stream(&arn).open_shards().remove(0);
        let child = world.rotate(&arn, &root);
        world.stream_mut(&arn).listing_order = ListingOrder::ChildrenFirst;
        (root, child)
    };
    assert_eq!(ids(&list(&fake, &arn).await.0), [child.as_str(), root.as_str()]);
    fake.world().stream_mut(&arn).listing_order = ListingOrder::Shuffled(7);
    let (shards, _) = list(&fake, &arn).await;
    let mut shuffled = ids(&shards);
    shuffled.sort_unstable();
    assert_eq!(shuffled.len(), 2);
    assert!(shuffled.contains(&child.as_str()) && shuffled.contains(&root.as_str()));
}

#[tokio::test]
async fn a_child_can_come_late_and_a_parent_look_open() {
    let (fake, arn) = fake_with_stream(1);
    let (root, child) = {
        let mut world = fake.world();
        let root = world.stream(&arn).open_shards().remove(0);
        let child = world.rotate(&arn, &root);
        world.list_after_calls(&arn, &child, 2);
        world.show_end(&arn, &root, ShownEnd::Open);
        (root, child)
    };
    for listed in [1, 1, 2] {
        let (shards, _) = list(&fake, &arn).await;
        assert_eq!(shards.len(), listed);
        assert_eq!(shards[0].shard_id(), Some(root.as_str()));
        assert!(is_open(&shards[0]));
    }
    fake.world().hide_shard(&arn, &child);
    assert_eq!(list(&fake, &arn).await.0.len(), 1);
}

#[tokio::test]
async fn a_trimmed_shard_is_gone_from_the_listing() {
    let (fake, arn) = fake_with_stream(1);
    let child = {
        let mut world = fake.world();
        let root = world.stream(&arn).open_shards().remove(0);
        let child = world.rotate(&arn, &root);
        world.drop_shard(&arn, &root, GoneAnswer::ResourceNotFound);
        child
    };
    let (shards, _) = list(&fake, &arn).await;
    assert_eq!(ids(&shards), [child.as_str()]);
    assert!(shards[0].parent_shard_id().is_some(), "the child still names it");
}

#[tokio::test]
async fn a_stream_takes_a_moment_to_enable_and_closes_when_disabled() {
    let fake = Fake::start();
    let arn = {
        let mut world = fake.world();
        world.be_localstack();
        world.create_table("orders", KeySchema::hash("id", "S"));
        world.enable_stream("orders", "NEW_IMAGE", 1)
    };
    let client = fake.streams();
    let describe = || client.describe_stream().stream_arn(&arn).send();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let description = describe().await.expect("an answer").stream_description.expect("a description");
        assert_eq!(description.key_schema().len(), 1);
        statuses.push(description.stream_status.expect("a status"));
    }
    assert_eq!(statuses, [StreamStatus::Enabling, StreamStatus::Enabling, StreamStatus::Enabled]);

    fake.world().disable_stream(&arn);
    let description = describe().await.expect("an answer").stream_description.expect("a description");
    assert_eq!(description.stream_status(), Some(&StreamStatus::Disabled));
    assert!(!is_open(&description.shards()[0]));
    let table = fake.dynamodb().describe_table().table_name("orders").send().await.expect("a table");
    assert!(table.table().expect("a table").stream_specification().is_none());

    fake.world().remove_stream(&arn);
    let error = describe().await.expect_err("a stream that is gone").into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
}
