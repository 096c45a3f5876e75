//! The lease-table port's promises, each against DynamoDB's meaning.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeyType;
use ddb_kinesis_bridge::aws::DynamoLeaseTable;
use ddb_kinesis_bridge::error::ErrorKind;
use ddb_kinesis_bridge::lease::table::{Clause, Effect, LeaseTable, RowKey, RowWrite};
use serde_dynamo::{AttributeValue, Item};

use crate::emulators;

async fn table() -> DynamoLeaseTable {
    let client = emulators::tables(&emulators::dynamodb().await);
    let keys = [("pk", KeyType::Hash), ("sk", KeyType::Range)];
    emulators::create_table(&client, "leases", &keys, None).await;
    DynamoLeaseTable::new(client, "leases")
}

fn key(sk: &str) -> RowKey {
    RowKey { pk: "pipeline#p".to_owned(), sk: sk.to_owned() }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn row(sk: &str, attributes: &[(&str, AttributeValue)]) -> Item {
    let key = key(sk);
    let mut row = HashMap::from([("pk".to_owned(), text(&key.pk)), ("sk".to_owned(), text(&key.sk))]);
    row.extend(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Item::from(row)
}

fn put(sk: &str, attributes: &[(&str, AttributeValue)], conditions: Vec<Clause>) -> RowWrite {
    RowWrite { key: key(sk), effect: Effect::Put(row(sk, attributes)), conditions }
}

fn set(sk: &str, attributes: &[(&'static str, AttributeValue)], conditions: Vec<Clause>) -> RowWrite {
    let effect = Effect::Update { set: attributes.to_vec(), remove: Vec::new() };
    RowWrite { key: key(sk), effect, conditions }
}

/// A row `shard#1` of owner `me` and revision 5.
async fn with_row() -> DynamoLeaseTable {
    let table = table().await;
    let owned = [("owner", text("me")), ("revision", number(5))];
    let written = table.write(&put("shard#1", &owned, vec![Clause::RowAbsent])).await.expect("a new row");
    assert_eq!(written, row("shard#1", &owned));
    table
}

#[tokio::test]
async fn each_clause_holds_and_fails() {
    let table = with_row().await;
    let holding = [
        Clause::RowPresent,
        Clause::Equals("owner", text("me")),
        Clause::Equals("revision", number(5)),
        Clause::Missing("draining"),
        Clause::Below("revision", 6),
    ];
    let failing = [
        Clause::RowAbsent,
        Clause::Equals("owner", text("you")),
        Clause::Equals("draining", text("me")),
        Clause::Missing("owner"),
        Clause::Below("revision", 5),
        Clause::Below("owner", 6),
        Clause::Below("draining", 6),
    ];
    for clause in &holding {
        let write = set("shard#1", &[("touched", text("yes"))], vec![clause.clone()]);
        table.write(&write).await.unwrap_or_else(|error| panic!("{clause:?}: {error}"));
    }
    for clause in &failing {
        // One clause that does not hold is enough.
        let mut conditions = holding.to_vec();
        conditions.push(clause.clone());
        let write = set("shard#1", &[("owner", text("thief"))], conditions);
        let error = table.write(&write).await.expect_err("a clause does not hold");
        assert_eq!(error.kind, ErrorKind::ConditionFailed, "{clause:?}: {error}");
        assert_eq!(error.api, "UpdateItem");
    }
    for (write, api) in [
        (put("shard#1", &[], vec![Clause::RowAbsent]), "PutItem"),
        (
            RowWrite { key: key("none"), effect: Effect::Delete, conditions: vec![Clause::RowPresent] },
            "DeleteItem",
        ),
    ] {
        let error = table.write(&write).await.expect_err("the row is not as expected");
        assert_eq!((error.kind, error.api), (ErrorKind::ConditionFailed, api), "{error}");
    }
    let kept = table.get(&key("shard#1")).await.expect("an answer").expect("a row");
    assert_eq!(kept.get("owner"), Some(&text("me")), "nothing was written");
}

#[tokio::test]
async fn an_update_answers_with_the_whole_row() {
    let table = with_row().await;
    let effect = Effect::Update { set: vec![("revision", number(6))], remove: vec!["owner"] };
    let write = RowWrite { key: key("shard#1"), effect, conditions: vec![Clause::Below("revision", 6)] };
    let after = table.write(&write).await.expect("revision 5 is below 6");
    assert_eq!(after, row("shard#1", &[("revision", number(6))]));
    assert_eq!(table.get(&key("shard#1")).await.expect("an answer"), Some(after));
}

#[tokio::test]
async fn a_deleted_row_is_gone() {
    let table = with_row().await;
    let delete =
        RowWrite { key: key("shard#1"), effect: Effect::Delete, conditions: vec![Clause::RowPresent] };
    assert_eq!(table.write(&delete).await.expect("it was there"), Item::default());
    assert_eq!(table.get(&key("shard#1")).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_check_alone_is_refused() {
    let table = with_row().await;
    let check = RowWrite { key: key("shard#1"), effect: Effect::Check, conditions: vec![Clause::RowPresent] };
    assert_eq!(table.write(&check).await.expect_err("only in a transaction").kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn a_transaction_is_all_or_none() {
    let table = with_row().await;
    let check = RowWrite {
        key: key("shard#1"),
        effect: Effect::Check,
        conditions: vec![Clause::Equals("owner", text("me"))],
    };
    let finish = |conditions| {
        vec![
            check.clone(),
            put("finished#1", &[], vec![Clause::RowAbsent]),
            set("shard#2", &[("revision", number(1))], conditions),
        ]
    };

    let error = table.transact(&finish(vec![Clause::RowPresent])).await.expect_err("there is no shard#2");
    assert_eq!((error.kind, error.api), (ErrorKind::ConditionFailed, "TransactWriteItems"), "{error}");
    assert_eq!(table.get(&key("finished#1")).await.expect("an answer"), None, "nothing was written");

    table.transact(&finish(vec![Clause::RowAbsent])).await.expect("all clauses hold");
    assert!(table.get(&key("finished#1")).await.expect("an answer").is_some());
    assert!(table.get(&key("shard#2")).await.expect("an answer").is_some());

    let delete = RowWrite { key: key("shard#2"), effect: Effect::Delete, conditions: vec![] };
    table.transact(&[delete]).await.expect("no clause");
    assert_eq!(table.get(&key("shard#2")).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_query_pages_in_order() {
    let table = table().await;
    // DynamoDB ends a page at 1 MB: 300 KB rows make several.
    let padding = text(&"x".repeat(300_000));
    for number in 0..10 {
        let write = put(&format!("shard#{number}"), &[("padding", padding.clone())], vec![]);
        table.write(&write).await.expect("a row");
    }
    for other in ["finished#0", "stream", "shard"] {
        table.write(&put(other, &[], vec![])).await.expect("a row");
    }

    let (mut keys, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = table.query("pipeline#p", "shard#", after.as_deref()).await.expect("a page");
        pages += 1;
        keys.extend(page.rows.iter().map(|row| row.get("sk").cloned()));
        match page.last_evaluated {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    let expected: Vec<_> = (0..10).map(|number| Some(text(&format!("shard#{number}")))).collect();
    assert_eq!(keys, expected);
    assert!(pages > 1, "{pages} page");

    let rest = table.query("pipeline#p", "", Some("shard#9")).await.expect("a page");
    assert_eq!(rest.rows, [row("stream", &[])], "no prefix, after a row");
    let none = table.query("pipeline#other", "", None).await.expect("a page");
    assert!(none.rows.is_empty() && none.last_evaluated.is_none());
}
