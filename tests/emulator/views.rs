//! Every view type, in both formats: inserts, updates and deletes arrive, all of them, each item's in order, with the
//! images that the view type holds and no others.

use aws_sdk_dynamodb::types::StreamViewType;
use ddb_kinesis_bridge::demo::consumer::Landed;
use ddb_kinesis_bridge::demo::history::ChangeKind;
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::payload::Delivered;
use ddb_kinesis_bridge::demo::plan::Plan;
use serde_json::Value;

use crate::harness::bridge::Bridge;
use crate::harness::delivery::Delivery;
use crate::harness::place::Place;
use crate::harness::settings::Pipeline;

const CHANGES: u64 = 250;

#[tokio::test(flavor = "multi_thread")]
async fn keys_only() {
    carries("keys-only", StreamViewType::KeysOnly, false, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_image() {
    carries("new-image", StreamViewType::NewImage, false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_image() {
    carries("old-image", StreamViewType::OldImage, true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_and_old_images() {
    carries("new-and-old-images", StreamViewType::NewAndOldImages, true, true).await;
}

/// One table, two pipelines from it, one in each format.
async fn carries(test: &str, view: StreamViewType, old: bool, new: bool) {
    let place = Place::open(test);
    let table = place.orders_table(view.clone()).await;
    let (typed, plain) = (place.stream("typed", 2).await, place.stream("plain", 3).await);
    let settings = place
        .settings()
        .pipeline(Pipeline::new("typed", &table, &typed).format("dynamodb_json"))
        .pipeline(Pipeline::new("plain", &table, &plain).format("json"));
    let ledger = Ledger::new();
    // Some before the bridge's first start, some while it runs.
    let plan = crate::write(&place, &table, Plan::new(1, 40), CHANGES / 2, &ledger).await;
    let mut bridge = Bridge::start(&settings.to_toml());
    crate::write(&place, &table, plan, CHANGES / 2, &ledger).await;

    let copy = ledger.copied();
    for (stream, ledger, format) in [(&typed, ledger, "dynamodb_json"), (&plain, copy, "json")] {
        let mut delivery = Delivery::watch(&place, stream, ledger).await;
        delivery.until_complete(&mut bridge).await;
        let (records, report) = delivery.finish().await;
        assert!(report.is_ok() && report.duplicates == 0, "{format}: {report}");
        for (landed, record) in &records {
            let payload: Value = serde_json::from_slice(&landed.data).expect("it was read before");
            assert_eq!(record.old.is_some(), old && record.kind != ChangeKind::Insert, "{payload}");
            assert_eq!(record.new.is_some(), new && record.kind != ChangeKind::Remove, "{payload}");
            assert_envelope(format, &payload, &table, view.as_str());
            assert_eq!(Some(landed.partition_key.as_str()), record.item.get("customer"), "{payload}");
        }
        assert_kinds(&records);
    }
    bridge.terminate_cleanly().await;
}

fn assert_envelope(format: &str, payload: &Value, table: &str, view: &str) {
    let at = |pointer: &str| payload.pointer(pointer).unwrap_or(&Value::Null);
    if format == "json" {
        assert_eq!(at("/table"), table);
        assert_eq!(at("/ttl"), false);
        assert!(at("/at").is_u64() && at("/event_id").is_string(), "{payload}");
    } else {
        assert_eq!(at("/tableName"), table);
        assert_eq!(at("/dynamodb/StreamViewType"), view);
        assert_eq!(at("/recordFormat"), "application/json");
        assert_eq!(at("/eventSource"), "aws:dynamodb");
        assert_eq!(at("/userIdentity"), &Value::Null);
        assert!(
            at("/eventID").is_string() && at("/dynamodb/ApproximateCreationDateTime").is_u64(),
            "{payload}"
        );
    }
}

/// The run would show little if one of the three kinds had not occurred.
fn assert_kinds(records: &[(Landed, Delivered)]) {
    for kind in [ChangeKind::Insert, ChangeKind::Modify, ChangeKind::Remove] {
        assert!(records.iter().any(|(_, record)| record.kind == kind), "no {kind} among the changes");
    }
}
