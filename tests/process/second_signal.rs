//! A second signal ends a drain that cannot come to its end, and a drain that cannot is bounded by itself.

use aws_sdk_dynamodb::types::StreamViewType;
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::plan::Plan;
use ddb_kinesis_bridge::demo::traffic::{Load, Traffic};

use crate::harness::bridge::Bridge;
use crate::harness::delivery::Delivery;
use crate::harness::lease_rows::{Row, number, rows};
use crate::harness::place::Place;
use crate::harness::settings::{Pipeline, Settings};
use crate::harness::tap::Tap;
use crate::harness::wait_for;

/// A bridge whose Kinesis has fallen silent while there is work, so that its drain cannot end.
struct Stuck {
    bridge: Bridge,
    place: Place,
    leases: String,
    _tap: Tap,
}

impl Stuck {
    async fn with(test: &str, shutdown_timeout: &str) -> Self {
        let place = Place::embedded(test);
        let table = place.orders_table(StreamViewType::NewAndOldImages).await;
        let stream = place.stream("cdc", 1).await;
        let tap = Tap::start(&place.endpoints.kinesis).await;
        let settings: Settings = Settings {
            shutdown_timeout: shutdown_timeout.to_owned(),
            sink_endpoint: tap.url().to_owned(),
            ..place.settings().pipeline(Pipeline::new("orders", &table, &stream))
        };
        let mut bridge = Bridge::start(&settings.to_toml());
        let ledger = Ledger::new();
        let write = |plan, changes| {
            let load = Load { table: table.clone(), changes: Some(changes), rate: None, writers: 4 };
            Traffic::start(&place.clients.dynamodb, &load, plan, &ledger)
        };
        let plan = write(Plan::new(6, 20), 50).finished().await.expect("every change is made");
        let mut delivery = Delivery::watch(&place, &stream, ledger.clone()).await;
        delivery.until_complete(&mut bridge).await;
        tap.freeze();
        write(plan, 50).finished().await.expect("every change is made");
        tap.held_up().await;
        Stuck { bridge, leases: settings.lease_table, place, _tap: tap }
    }

    async fn session(&self) -> Option<Row> {
        rows(&self.place, &self.leases, "workers").await.into_iter().next()
    }

    /// Waits until the worker has shown that it lives, some heartbeats long.
    async fn lives_on(&mut self) {
        let from = self.session().await.and_then(|row| number(&row, "counter")).expect("it is alive");
        wait_for("heartbeats while draining", async || {
            let counter = number(&self.session().await?, "counter")?;
            (counter >= from + 3).then_some(())
        })
        .await;
        self.bridge.assert_running();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    // An hour: if the process ends, it is not because the drain ran out of time.
    let mut stuck = Stuck::with("second-signal", "1h").await;
    stuck.bridge.send_sigterm();
    stuck.lives_on().await;
    stuck.bridge.send_sigterm();
    let status = stuck.bridge.wait().await;
    assert_eq!(status.code(), Some(1), "what was not drained is a failure: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_cannot_end_is_given_up_after_its_time() {
    let mut stuck = Stuck::with("shutdown-timeout", "2s").await;
    stuck.bridge.send_sigterm();
    let status = stuck.bridge.wait().await;
    assert_eq!(status.code(), Some(0), "it ends by itself, with all that was acknowledged stored: {status}");
}
