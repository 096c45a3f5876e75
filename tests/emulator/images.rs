//! Images: every AttributeValue type arrives as it was written, and byte for byte as the stream gave it.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, StreamViewType};
use base64::{Engine, engine::general_purpose::STANDARD};
use ddb_kinesis_bridge::demo::history::{Change, ChangeKind, ItemKey};
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::orders;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::harness::bridge::Bridge;
use crate::harness::delivery::Delivery;
use crate::harness::place::Place;
use crate::harness::settings::Pipeline;
use crate::harness::tap::Tap;

type Item = HashMap<String, AttributeValue>;

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    dynamodb: Images<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images<'a> {
    #[serde(borrow)]
    keys: &'a RawValue,
    #[serde(borrow)]
    new_image: Option<&'a RawValue>,
    #[serde(borrow)]
    old_image: Option<&'a RawValue>,
}

/// The bridge reads the stream through a tap that keeps the raw answers; every image that lands must stand in them.
#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_byte_for_byte() {
    let place = Place::open("images");
    let table = place.orders_table(StreamViewType::NewAndOldImages).await;
    let stream = place.stream("cdc", 1).await;
    let tap = Tap::start(&place.endpoints.dynamodb).await;
    let mut settings = place.settings().pipeline(Pipeline::new("images", &table, &stream));
    settings.source_endpoint = tap.url().to_owned();

    let ledger = Ledger::new();
    let key = ItemKey::new([("customer", "Ærø"), ("order", "日本")]);
    let versions = [full(&key, 1), full(&key, 2)];
    for (item, kind) in versions.iter().zip([ChangeKind::Insert, ChangeKind::Modify]) {
        let version = if kind == ChangeKind::Insert { 1 } else { 2 };
        ledger.sending(&Change { item: key.clone(), kind, version }, std::time::Instant::now());
        let put = place.clients.dynamodb.put_item().table_name(&table).set_item(Some(item.clone()));
        put.send().await.expect("the item is put");
    }

    let mut bridge = Bridge::start(&settings.to_toml());
    let mut delivery = Delivery::watch(&place, &stream, ledger).await;
    delivery.until_complete(&mut bridge).await;
    bridge.terminate_cleanly().await;
    let (records, report) = delivery.finish().await;
    assert!(report.is_ok() && report.duplicates == 0, "{report}");

    let [insert, modify] = records.as_slice() else { panic!("two records, not {}", records.len()) };
    assert_eq!(typed_image(insert.1.new.as_ref()), normal(&versions[0]));
    assert_eq!(typed_image(modify.1.old.as_ref()), normal(&versions[0]));
    assert_eq!(typed_image(modify.1.new.as_ref()), normal(&versions[1]));
    for (landed, _) in [insert, modify] {
        let text = std::str::from_utf8(&landed.data).expect("a payload is UTF-8");
        let images = serde_json::from_str::<Payload>(text).expect("a payload in the default format").dynamodb;
        for raw in [Some(images.keys), images.new_image, images.old_image].into_iter().flatten() {
            assert!(tap.received(raw.get().as_bytes()), "the stream never said {}", raw.get());
        }
    }
}

/// An item with every type, empty and nested values, and what JSON has to escape.
fn full(key: &ItemKey, version: u64) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |digits: &str| AttributeValue::N(digits.to_owned());
    let bytes = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let deep = (0..12).fold(text("bottom"), |inner, level| match level % 2 {
        0 => AttributeValue::L(vec![inner, AttributeValue::Null(true)]),
        _ => AttributeValue::M(HashMap::from([("ключ \"k\"".to_owned(), inner)])),
    });
    let mut item = orders::key_attributes(key);
    item.extend([
        ("version".to_owned(), number(&version.to_string())),
        (
            "escapes".to_owned(),
            text("quote \" backslash \\ slash / tab \t newline \n nul \u{0} \u{1f} \u{7f} \u{2028}"),
        ),
        ("unicode".to_owned(), text("é e\u{301} 日本語 🦀 \u{10ffff} \u{feff}")),
        ("empty text".to_owned(), text("")),
        ("empty bytes".to_owned(), bytes(&[])),
        ("all bytes".to_owned(), bytes(&(0..=255).collect::<Vec<u8>>())),
        ("integer".to_owned(), number("12345678901234567890123456789012345678")),
        ("fraction".to_owned(), number("-0.12345678901234567890123456789012345678")),
        ("zero".to_owned(), number("0")),
        ("yes".to_owned(), AttributeValue::Bool(true)),
        ("no".to_owned(), AttributeValue::Bool(false)),
        ("null".to_owned(), AttributeValue::Null(true)),
        ("empty list".to_owned(), AttributeValue::L(vec![])),
        ("empty map".to_owned(), AttributeValue::M(HashMap::new())),
        ("texts".to_owned(), AttributeValue::Ss(texts(&["b", "a", "ü"]))),
        ("numbers".to_owned(), AttributeValue::Ns(texts(&["10", "9", "-1.5"]))),
        ("blobs".to_owned(), AttributeValue::Bs(vec![Blob::new([2]), Blob::new([1, 0])])),
        ("deep".to_owned(), deep),
        // Members that look like type descriptors or like the record's own.
        (
            "S".to_owned(),
            AttributeValue::M(HashMap::from([
                ("S".to_owned(), text("}")),
                ("NewImage".to_owned(), text("{")),
            ])),
        ),
    ]);
    item
}

/// An image in DynamoDB's JSON as the SDK's types.
fn typed_image(image: Option<&Value>) -> Item {
    let image = image.and_then(Value::as_object).expect("the record has this image");
    image.iter().map(|(name, value)| (name.clone(), typed(value))).collect()
}

fn typed(value: &Value) -> AttributeValue {
    let object = value.as_object().filter(|object| object.len() == 1).expect("one type, one value");
    let (descriptor, value) = object.iter().next().expect("one member");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let blob = |value: &Value| Blob::new(STANDARD.decode(text(value)).expect("base64"));
    let list = |value: &Value| value.as_array().expect("an array").clone();
    let mut sorted: Vec<String> =
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    sorted.sort();
    match descriptor.as_str() {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "B" => AttributeValue::B(blob(value)),
        "BOOL" => AttributeValue::Bool(value.as_bool().expect("a flag")),
        "NULL" => AttributeValue::Null(value.as_bool().expect("a flag")),
        "L" => AttributeValue::L(list(value).iter().map(typed).collect()),
        "M" => AttributeValue::M(typed_image(Some(value))),
        "SS" => AttributeValue::Ss(sorted),
        "NS" => AttributeValue::Ns(sorted),
        "BS" => normal_value(&AttributeValue::Bs(list(value).iter().map(blob).collect())),
        other => panic!("no type {other}"),
    }
}

/// The item with its sets in one order: a set has none of its own.
fn normal(item: &Item) -> Item {
    item.iter().map(|(name, value)| (name.clone(), normal_value(value))).collect()
}

fn normal_value(value: &AttributeValue) -> AttributeValue {
    let mut value = value.clone();
    match &mut value {
        AttributeValue::Ss(set) | AttributeValue::Ns(set) => set.sort(),
        AttributeValue::Bs(set) => set.sort_by(|a, b| a.as_ref().cmp(b.as_ref())),
        _ => {}
    }
    value
}
