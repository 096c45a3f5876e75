//! The table's stream is turned off and on again: a new stream, with an ARN of its own, and the bridge goes on with it.

use aws_sdk_dynamodb::types::StreamViewType;
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::plan::Plan;
use ddb_kinesis_bridge::demo::tables;

use crate::harness::bridge::Bridge;
use crate::harness::delivery::Delivery;
use crate::harness::lease_rows::{rows, sort_key};
use crate::harness::place::Place;
use crate::harness::settings::Pipeline;
use crate::harness::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn the_new_stream_is_carried_too() {
    let place = Place::open("stream-again");
    let view = StreamViewType::NewAndOldImages;
    let table = place.orders_table(view.clone()).await;
    let stream = place.stream("cdc", 1).await;
    let settings = place.settings().pipeline(Pipeline::new("orders", &table, &stream));
    let ledger = Ledger::new();
    let mut bridge = Bridge::start(&settings.to_toml());
    let mut delivery = Delivery::watch(&place, &stream, ledger.clone()).await;
    let plan = crate::write(&place, &table, Plan::new(5, 10), 60, &ledger).await;
    delivery.until_complete(&mut bridge).await;

    if let Err(error) = turn_off_and_on(&place, &table, &view).await {
        return place.skip(&error);
    }
    crate::write(&place, &table, plan, 60, &ledger).await;
    delivery.until_complete(&mut bridge).await;

    // The embedded emulator goes on serving the old stream's shard, which never ends there, as if it were the new one's.
    if !place.is_embedded() {
        let of_new_stream = format!("shard#{}#", label(&place, &table).await);
        wait_for("a lease for the new stream", async || {
            let rows = rows(&place, &settings.lease_table, "pipeline#orders").await;
            rows.iter().any(|row| sort_key(row).starts_with(&of_new_stream)).then_some(())
        })
        .await;
    }
    bridge.terminate_cleanly().await;
    // Duplicates are allowed: an emulator may show the old stream's records again in the new one.
    let (_, report) = delivery.finish().await;
    assert!(report.is_ok(), "{report}");
}

async fn turn_off_and_on(place: &Place, table: &str, view: &StreamViewType) -> Result<(), String> {
    tables::disable_stream(&place.clients, table).await.map_err(|error| error.to_string())?;
    tables::enable_stream(&place.clients, table, view).await.map_err(|error| error.to_string())
}

/// The label of the table's present stream.
async fn label(place: &Place, table: &str) -> String {
    let answer = place.clients.dynamodb.describe_table().table_name(table).send().await;
    let answer = answer.expect("the table is described");
    let label = answer.table().and_then(|table| table.latest_stream_label());
    label.expect("the stream is on").to_owned()
}
