//! Partition keys: every key type, non-ASCII and long keys, and whole item keys. The Kinesis partition key is worked
//! out here again, by the words of the documentation.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType, StreamViewType};
use ddb_kinesis_bridge::demo::history::{Change, ChangeKind, ItemKey};
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::tables::TableSpec;
use sha2::{Digest, Sha256};

use crate::harness::bridge::Bridge;
use crate::harness::delivery::Delivery;
use crate::harness::place::Place;
use crate::harness::settings::Pipeline;

/// A key value: as DynamoDB takes it, and as text.
type Key = (AttributeValue, String);

#[tokio::test(flavor = "multi_thread")]
async fn strings() {
    // Kinesis counts characters, the embedded emulator bytes: so the longest that both take is of ASCII.
    let (longest, too_long) = (text(&"k".repeat(256)), text(&"k".repeat(257)));
    let keys = vec![
        text("plain"),
        text("smörgåsbord 日本 🦀"),
        text("a\"b\\c\n\t\u{1}"),
        longest,
        too_long,
        text(&"é".repeat(257)),
    ];
    keys_arrive("string-keys", ScalarAttributeType::S, keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers() {
    let keys = ["0", "42", "-7.25", "12345678901234567890123456789012345678"].map(number).to_vec();
    keys_arrive("number-keys", ScalarAttributeType::N, keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binaries() {
    let long: Vec<u8> = (0..=255).cycle().take(600).collect();
    let keys = vec![binary(&[0, 255, 1]), binary("text".as_bytes()), binary(&long)];
    keys_arrive("binary-keys", ScalarAttributeType::B, keys).await;
}

/// Each key with two sort keys, an insert and a delete of each.
async fn keys_arrive(test: &str, scalar: ScalarAttributeType, keys: Vec<Key>) {
    let place = Place::open(test);
    let table = place.name("table");
    let sort = [text("å"), text("b")];
    place.table(&spec(&table, scalar, ScalarAttributeType::S)).await;
    let stream = place.stream("cdc", 3).await;
    let ledger = Ledger::new();
    for key in &keys {
        for sort in &sort {
            put_and_delete(&place, &table, key, sort, &ledger).await;
        }
    }
    let toml = place.settings().pipeline(Pipeline::new("keys", &table, &stream)).to_toml();
    let mut bridge = Bridge::start(&toml);
    let mut delivery = Delivery::watch(&place, &stream, ledger).await;
    delivery.until_complete(&mut bridge).await;
    bridge.terminate_cleanly().await;
    let (records, report) = delivery.finish().await;
    assert!(report.is_ok() && report.duplicates == 0, "{report}");
    assert_eq!(records.len(), keys.len() * 4);
    for (landed, record) in records {
        let key = record.item.get("pk").expect("every key has its partition key");
        let fits = key.chars().count() <= 256;
        let expected = if fits { key.to_owned() } else { sha256(key.as_bytes()) };
        assert_eq!(landed.partition_key, expected, "the item {}", record.item);
    }
}

/// With `item_key`, items have partition keys of their own, also those whose two keys, put together, read alike.
#[tokio::test(flavor = "multi_thread")]
async fn whole_item_keys_are_never_shared() {
    let place = Place::open("item-keys");
    let table = place.name("table");
    place.table(&spec(&table, ScalarAttributeType::S, ScalarAttributeType::S)).await;
    let stream = place.stream("cdc", 3).await;
    let ledger = Ledger::new();
    for (pk, sk) in [("a", "bc"), ("ab", "c"), ("1:a", "b"), ("1", ":ab"), ("a", "b"), ("é", "ü")] {
        put_and_delete(&place, &table, &text(pk), &text(sk), &ledger).await;
    }
    let pipeline = Pipeline::new("keys", &table, &stream).partition_key("item_key");
    let mut bridge = Bridge::start(&place.settings().pipeline(pipeline).to_toml());
    let mut delivery = Delivery::watch(&place, &stream, ledger).await;
    delivery.until_complete(&mut bridge).await;
    bridge.terminate_cleanly().await;
    let (records, report) = delivery.finish().await;
    assert!(report.is_ok() && report.duplicates == 0, "{report}");
    let mut keys: BTreeMap<ItemKey, BTreeSet<String>> = BTreeMap::new();
    for (landed, record) in records {
        keys.entry(record.item).or_default().insert(landed.partition_key);
    }
    let different: BTreeSet<&String> = keys.values().flatten().collect();
    assert!(keys.values().all(|keys| keys.len() == 1), "an item's partition key never changes: {keys:?}");
    assert_eq!(different.len(), keys.len(), "no two items share one: {keys:?}");
}

fn spec(table: &str, partition_key: ScalarAttributeType, sort_key: ScalarAttributeType) -> TableSpec {
    TableSpec {
        name: table.to_owned(),
        partition_key: ("pk".to_owned(), partition_key),
        sort_key: Some(("sk".to_owned(), sort_key)),
        view: StreamViewType::NewAndOldImages,
    }
}

async fn put_and_delete(place: &Place, table: &str, pk: &Key, sk: &Key, ledger: &Ledger) {
    let item = ItemKey::new([("pk", &pk.1), ("sk", &sk.1)]);
    let change = |kind, version| Change { item: item.clone(), kind, version };
    let client = &place.clients.dynamodb;
    ledger.sending(&change(ChangeKind::Insert, 1), std::time::Instant::now());
    let put = client.put_item().table_name(table).item("pk", pk.0.clone()).item("sk", sk.0.clone());
    put.item("version", AttributeValue::N("1".to_owned())).send().await.expect("the item is put");
    ledger.sending(&change(ChangeKind::Remove, 2), std::time::Instant::now());
    let delete = client.delete_item().table_name(table).key("pk", pk.0.clone()).key("sk", sk.0.clone());
    delete.send().await.expect("the item is deleted");
}

fn text(value: &str) -> Key {
    (AttributeValue::S(value.to_owned()), value.to_owned())
}

fn number(digits: &str) -> Key {
    (AttributeValue::N(digits.to_owned()), digits.to_owned())
}

fn binary(bytes: &[u8]) -> Key {
    use base64::{Engine, engine::general_purpose::STANDARD};
    (AttributeValue::B(Blob::new(bytes)), STANDARD.encode(bytes))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
