//! A restart goes on where the bridge stopped.

use aws_sdk_dynamodb::types::StreamViewType;
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::plan::Plan;

use crate::harness::bridge::Bridge;
use crate::harness::delivery::Delivery;
use crate::harness::place::Place;
use crate::harness::settings::Pipeline;

/// After a clean stop nothing is delivered twice, and nothing written in between is missing.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_clean_stop_nothing_comes_twice() {
    let place = Place::open("restart");
    let table = place.orders_table(StreamViewType::NewAndOldImages).await;
    let stream = place.stream("cdc", 2).await;
    let toml = place.settings().pipeline(Pipeline::new("orders", &table, &stream)).to_toml();
    let ledger = Ledger::new();
    let mut delivery = Delivery::watch(&place, &stream, ledger.clone()).await;
    let mut plan = Plan::new(2, 30);
    for _ in 0..3 {
        plan = crate::write(&place, &table, plan, 150, &ledger).await;
        let mut bridge = Bridge::start(&toml);
        delivery.until_complete(&mut bridge).await;
        bridge.terminate_cleanly().await;
    }
    let (_, report) = delivery.finish().await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.duplicates, 0, "{report}");
}

/// SIGINT is as good as SIGTERM.
#[tokio::test(flavor = "multi_thread")]
async fn sigint_drains_too() {
    let place = Place::open("sigint");
    let table = place.orders_table(StreamViewType::NewAndOldImages).await;
    let stream = place.stream("cdc", 1).await;
    let toml = place.settings().pipeline(Pipeline::new("orders", &table, &stream)).to_toml();
    let ledger = Ledger::new();
    let mut delivery = Delivery::watch(&place, &stream, ledger.clone()).await;
    let mut plan = Plan::new(3, 10);
    for _ in 0..2 {
        plan = crate::write(&place, &table, plan, 60, &ledger).await;
        let mut bridge = Bridge::start(&toml);
        delivery.until_complete(&mut bridge).await;
        bridge.send_sigint();
        let status = bridge.wait().await;
        assert_eq!(status.code(), Some(0), "{status}");
    }
    let (_, report) = delivery.finish().await;
    assert!(report.is_ok() && report.duplicates == 0, "{report}");
}
