//! Items whose record would be larger than Kinesis takes: with `drop_images` the change still arrives, and says what
//! it lacks; the changes after it go on.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, StreamViewType};
use ddb_kinesis_bridge::demo::history::{Change, ChangeKind, ItemKey};
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::orders;
use serde_json::{Value, json};

use crate::harness::bridge::Bridge;
use crate::harness::delivery::Delivery;
use crate::harness::place::Place;
use crate::harness::settings::Pipeline;

#[tokio::test(flavor = "multi_thread")]
async fn images_are_dropped_until_the_record_fits() {
    let place = Place::open("oversize");
    let table = place.orders_table(StreamViewType::NewAndOldImages).await;
    let stream = place.stream("cdc", 1).await;
    let ledger = Ledger::new();
    // 400,000 bytes are 533,336 of base64: one image fits into 1 MiB, two do not.
    let bytes = |fill: u8| AttributeValue::B(Blob::new(vec![fill; 400_000]));
    // One byte each in the table's size, six in JSON: not even one image fits.
    let escapes = AttributeValue::S("\u{1}".repeat(400_000));
    let small = AttributeValue::S("small".to_owned());
    let key = ItemKey::new([("customer", "c"), ("order", "large")]);
    let steps = [(bytes(1), None), (bytes(2), Some(json!(["OldImage"]))), (small.clone(), None)];
    // The large image may be the new or the old one.
    let more = [(escapes, Some(json!(["OldImage", "NewImage"]))), (small, Some(json!(["OldImage"])))];
    let steps: Vec<_> = steps.into_iter().chain(more).collect();
    for (index, (body, _)) in steps.iter().enumerate() {
        let version = index as u64 + 1;
        let kind = if version == 1 { ChangeKind::Insert } else { ChangeKind::Modify };
        ledger.sending(&Change { item: key.clone(), kind, version }, std::time::Instant::now());
        let mut item = orders::key_attributes(&key);
        item.insert("version".to_owned(), orders::number(version));
        item.insert("body".to_owned(), body.clone());
        let put = place.clients.dynamodb.put_item().table_name(&table).set_item(Some(item));
        put.send().await.expect("the item is put");
    }

    let mut bridge =
        Bridge::start(&place.settings().pipeline(Pipeline::new("large", &table, &stream)).to_toml());
    let mut delivery = Delivery::watch(&place, &stream, ledger).await;
    delivery.until_complete(&mut bridge).await;
    bridge.terminate_cleanly().await;
    let (records, report) = delivery.finish().await;
    assert!(report.is_ok() && report.duplicates == 0, "{report}");

    for (index, ((landed, record), (_, truncated))) in records.iter().zip(&steps).enumerate() {
        let payload: Value = serde_json::from_slice(&landed.data).expect("it was read before");
        let named = payload.get("truncated");
        assert_eq!(named, truncated.as_ref(), "change {}", index + 1);
        let lacks = |image: &str| {
            named.is_some_and(|names| names.as_array().is_some_and(|n| n.contains(&json!(image))))
        };
        assert_eq!(record.new.is_none(), lacks("NewImage"), "change {}", index + 1);
        assert_eq!(
            record.old.is_none(),
            lacks("OldImage") || record.kind == ChangeKind::Insert,
            "change {}",
            index + 1
        );
        assert!(landed.data.len() + landed.partition_key.len() <= 1024 * 1024);
    }
}
