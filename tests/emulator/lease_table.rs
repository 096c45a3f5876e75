//! The lease table: made when it is missing, with the rows that DESIGN documents, under the names that operators and
//! later versions rely on.

use aws_sdk_dynamodb::types::StreamViewType;
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::plan::Plan;

use crate::harness::bridge::Bridge;
use crate::harness::delivery::Delivery;
use crate::harness::lease_rows::{Row, number, rows, sort_key, text};
use crate::harness::place::Place;
use crate::harness::settings::Pipeline;
use crate::harness::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_made_kept_and_released() {
    let place = Place::open("lease-rows");
    let table = place.orders_table(StreamViewType::NewAndOldImages).await;
    let stream = place.stream("cdc", 1).await;
    let settings = place.settings().pipeline(Pipeline::new("orders", &table, &stream));
    let leases = settings.lease_table.clone();
    let ledger = Ledger::new();
    crate::write(&place, &table, Plan::new(4, 10), 100, &ledger).await;

    let mut bridge = Bridge::start(&settings.to_toml());
    let mut delivery = Delivery::watch(&place, &stream, ledger).await;
    delivery.until_complete(&mut bridge).await;
    let last = delivery.records.iter().map(|(_, record)| record.sequence_number.clone()).max();
    let last = last.expect("records came").to_string();

    let session = session_that_moves(&place, &leases, &settings.worker_id).await;
    assert!(text(&session, "incarnation").is_some_and(|incarnation| !incarnation.is_empty()));
    let shard = wait_for("the checkpoint of the last change", async || {
        let shard = shard_row(&place, &leases).await?;
        (text(&shard, "checkpoint") == Some(&last)).then_some(shard)
    })
    .await;
    assert_eq!(text(&shard, "owner"), Some(settings.worker_id.as_str()));
    assert!(number(&shard, "epoch").is_some() && number(&shard, "revision").is_some(), "{shard:?}");
    let pipeline = rows(&place, &leases, "pipeline#orders").await;
    let described = pipeline.iter().find(|row| sort_key(row) == "stream").expect("a stream row");
    assert!(text(described, "table_arn").is_some_and(|arn| arn.ends_with(&table)), "{described:?}");
    assert!(text(described, "sink_arn").is_some_and(|arn| arn.ends_with(&stream)), "{described:?}");
    assert_eq!(text(described, "partition_key"), Some("partition_key"));

    bridge.terminate_cleanly().await;
    assert!(rows(&place, &leases, "workers").await.is_empty(), "a clean stop deletes the session row");
    let released = shard_row(&place, &leases).await.expect("the shard row stays");
    assert_eq!(text(&released, "owner"), None, "a clean stop releases its leases");
    assert_eq!(text(&released, "checkpoint"), Some(last.as_str()));
    let (_, report) = delivery.finish().await;
    assert!(report.is_ok() && report.duplicates == 0, "{report}");
}

/// The pipeline's one shard row.
async fn shard_row(place: &Place, leases: &str) -> Option<Row> {
    let rows = rows(place, leases, "pipeline#orders").await;
    rows.into_iter().find(|row| sort_key(row).starts_with("shard#"))
}

/// The worker's session row, once its counter has been seen to grow.
async fn session_that_moves(place: &Place, leases: &str, worker: &str) -> Row {
    let mut first = None;
    wait_for("a heartbeat", async || {
        let row = rows(place, leases, "workers").await.into_iter().find(|row| sort_key(row) == worker)?;
        let counter = number(&row, "counter")?;
        (counter > *first.get_or_insert(counter)).then_some(row)
    })
    .await
}
