//! Records that go otherwise than by default: aggregated, by PutRecord with an order of their own, and both.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::StreamViewType;
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::plan::Plan;

use crate::harness::bridge::Bridge;
use crate::harness::delivery::Delivery;
use crate::harness::place::Place;
use crate::harness::settings::Pipeline;

/// Carries 600 changes of eight items with these lines in the sink's section, some of them while the bridge runs. Gives how
/// many Kinesis records they came in.
async fn carried(test: &str, sink: &str) -> usize {
    let place = Place::open(test);
    let table = place.orders_table(StreamViewType::NewAndOldImages).await;
    let stream = place.stream("cdc", 2).await;
    let pipeline = Pipeline::new("orders", &table, &stream).sink(sink);
    let toml = place.settings().pipeline(pipeline).to_toml();
    let ledger = Ledger::new();
    let mut delivery = Delivery::watch(&place, &stream, ledger.clone()).await;
    let plan = crate::write(&place, &table, Plan::new(11, 8), 400, &ledger).await;
    let mut bridge = Bridge::start(&toml);
    crate::write(&place, &table, plan, 200, &ledger).await;
    delivery.until_complete(&mut bridge).await;
    bridge.terminate_cleanly().await;
    let (records, report) = delivery.finish().await;
    assert!(report.is_ok() && report.duplicates == 0, "{report}");
    let places = records.iter().map(|(landed, _)| (&landed.shard_id, &landed.sequence_number));
    places.collect::<BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_of_a_key_is_one_record() {
    let records = carried("aggregates", "aggregation = \"kpl\"").await;
    assert!(records < 300, "{records} records");
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_order_puts_record_by_record() {
    assert_eq!(carried("strict", "ordering = \"strict\"").await, 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_order_of_aggregates() {
    let records = carried("strict-aggregates", "ordering = \"strict\"\naggregation = \"kpl\"").await;
    assert!(records < 300, "{records} records");
}
