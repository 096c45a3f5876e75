//! DynamoDB tables: creation, conditional writes of single items, queries.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ReturnValue,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TableStatus,
};
use serde_json::json;

use crate::support::Fake;
use crate::support::items::KeySchema;

fn fake_with_leases() -> Fake {
    let fake = Fake::start();
    fake.world().create_table("leases", KeySchema::hash("pk", "S").and_range("sk", "S"));
    fake
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn update(client: &Client, sk: &str) -> UpdateItemFluentBuilder {
    client.update_item().table_name("leases").key("pk", s("p")).key("sk", s(sk))
}

async fn put(client: &Client, sk: &str, revision: u64) {
    let call = client.put_item().table_name("leases").item("pk", s("p")).item("sk", s(sk));
    call.item("revision", n(revision)).send().await.expect("a write");
}

async fn get(client: &Client, sk: &str) -> Option<HashMap<String, AttributeValue>> {
    let call =
        client.get_item().table_name("leases").key("pk", s("p")).key("sk", s(sk)).consistent_read(true);
    call.send().await.expect("an answer").item
}

#[tokio::test]
async fn creates_a_table_that_becomes_active() {
    let fake = Fake::start();
    let client = fake.dynamodb();
    let create = || {
        let key = |name: &str, kind: KeyType| {
            KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("a whole element")
        };
        let definition = |name: &str| {
            let builder =
                AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            builder.build().expect("a whole definition")
        };
        client
            .create_table()
            .table_name("leases")
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .attribute_definitions(definition("pk"))
            .attribute_definitions(definition("sk"))
            .send()
    };
    let created = create().await.expect("a table").table_description.expect("a description");
    assert_eq!(created.table_status(), Some(&TableStatus::Creating));
    let early = client.get_item().table_name("leases").key("pk", s("p")).key("sk", s("s")).send().await;
    assert!(early.expect_err("not yet active").into_service_error().is_resource_not_found_exception());
    for status in [TableStatus::Creating, TableStatus::Active] {
        let answer = client.describe_table().table_name("leases").send().await.expect("a table");
        let table = answer.table().expect("a description");
        assert_eq!(table.table_status(), Some(&status));
        assert_eq!(table.key_schema().len(), 2);
    }
    let again = create().await.expect_err("it exists").into_service_error();
    assert!(again.is_resource_in_use_exception(), "{again:?}");
    let other = client.describe_table().table_name("other").send().await.expect_err("no such table");
    assert!(other.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn a_conditional_put_is_made_once() {
    let fake = fake_with_leases();
    let client = fake.dynamodb();
    let create = |owner: &str| {
        let call = client
            .put_item()
            .table_name("leases")
            .item("pk", s("p"))
            .item("sk", s("s"))
            .item("owner", s(owner));
        call.condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
    };
    create("first").await.expect("a first write");
    let error = create("second").await.expect_err("it exists").into_service_error();
    match error {
        aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failed) => {
            assert_eq!(failed.item().and_then(|item| item.get("owner")), Some(&s("first")));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(get(&client, "s").await.and_then(|item| item.get("owner").cloned()), Some(s("first")));
}

#[tokio::test]
async fn an_update_is_fenced_by_its_condition() {
    let fake = fake_with_leases();
    let client = fake.dynamodb();
    put(&client, "s", 9).await;
    let write = |revision: u64| {
        update(&client, "s")
            .update_expression("SET revision = :new, #o = :o REMOVE gone")
            .condition_expression("(attribute_exists(pk) AND revision < :new) OR #o = :nobody")
            .expression_attribute_names("#o", "owner")
            .expression_attribute_values(":new", n(revision))
            .expression_attribute_values(":o", s("me"))
            .expression_attribute_values(":nobody", s("nobody"))
            .return_values(ReturnValue::AllNew)
            .send()
    };
    let written = write(10).await.expect("a newer revision").attributes.expect("the new item");
    assert_eq!(written.get("revision"), Some(&n(10)));
    assert_eq!(written.get("owner"), Some(&s("me")));
    for stale in [9, 10] {
        let error = write(stale).await.expect_err("a stale revision").into_service_error();
        assert!(error.is_conditional_check_failed_exception(), "{error:?}");
    }
    // 100 is above 10 as a number, though not as a text.
    write(100).await.expect("a newer revision");
}

#[tokio::test]
async fn updates_make_count_and_delete() {
    let fake = fake_with_leases();
    let client = fake.dynamodb();
    for expected in [1, 2] {
        let call = update(&client, "s").update_expression("SET beat = if_not_exists(beat, :zero) + :one");
        let call = call.expression_attribute_values(":zero", n(0)).expression_attribute_values(":one", n(1));
        let item = call.return_values(ReturnValue::AllNew).send().await.expect("a write").attributes;
        assert_eq!(item.expect("the new item").get("beat"), Some(&n(expected)));
    }
    let delete = |beat: u64| {
        let call = client.delete_item().table_name("leases").key("pk", s("p")).key("sk", s("s"));
        let call = call.condition_expression("beat = :seen").expression_attribute_values(":seen", n(beat));
        call.return_values(ReturnValue::AllOld).send()
    };
    let error = delete(1).await.expect_err("it has moved").into_service_error();
    assert!(error.is_conditional_check_failed_exception(), "{error:?}");
    let old = delete(2).await.expect("a delete").attributes.expect("the old item");
    assert_eq!(old.get("beat"), Some(&n(2)));
    assert_eq!(get(&client, "s").await, None);
    // A missing attribute differs from every value, and equals none.
    let missing = |sign: &str| {
        let call = update(&client, "new")
            .update_expression("SET a = :v")
            .condition_expression(format!("b {sign} :v"));
        call.expression_attribute_values(":v", n(1)).send()
    };
    assert!(missing("=").await.is_err());
    assert!(missing("<").await.is_err());
    assert!(missing("<>").await.is_ok());
}

#[tokio::test]
async fn wrong_expressions_are_validation_errors() {
    let fake = fake_with_leases();
    let client = fake.dynamodb();
    let cases = [
        ("SET owner = :v", "attribute_exists(pk)", "reserved keyword: owner"),
        ("SET a = :v", "attribute_exists(pk) AND", "Syntax error"),
        ("SET a = :w", "attribute_exists(pk)", ":w"),
        ("SET a = :v, a = :v", "attribute_exists(pk)", "overlap"),
        ("REMOVE a", "attribute_exists(pk)", "unused"),
        ("SET pk = :v", "attribute_not_exists(pk)", "part of the key"),
        ("SET a = :v", "contains(a, :v)", "Syntax error"),
        ("SET a = :v SET b = :v", "attribute_exists(pk)", "only be used once"),
        ("SET a.b = :v", "attribute_exists(pk)", "does not understand"),
    ];
    for (expression, condition, expected) in cases {
        let call = update(&client, "s").update_expression(expression).condition_expression(condition);
        let error = call.expression_attribute_values(":v", n(1)).send().await.expect_err(expression);
        let error = error.into_service_error();
        assert_eq!(error.meta().code(), Some("ValidationException"), "{expression} / {condition}: {error:?}");
        let message = error.meta().message().unwrap_or_default();
        assert!(message.contains(expected), "{expression} / {condition}: {message}");
    }
}

#[tokio::test]
async fn queries_page_through_one_partition_in_order() {
    let fake = fake_with_leases();
    let client = fake.dynamodb();
    for sk in ["shard#2", "stream", "shard#10", "finished#1", "shard#3"] {
        put(&client, sk, 1).await;
    }
    fake.world().put("leases", json!({"pk": {"S": "other"}, "sk": {"S": "shard#1"}}));
    fake.world().quirks.query_page = 2;
    let query = |condition: &str| {
        let call =
            client.query().table_name("leases").consistent_read(true).key_condition_expression(condition);
        call.expression_attribute_values(":pk", s("p"))
    };
    let mut pages = query("pk = :pk AND begins_with(sk, :prefix)")
        .expression_attribute_values(":prefix", s("shard#"))
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("a page");
        assert!(page.count() <= 2);
        found.extend(page.items().iter().filter_map(|item| item.get("sk").cloned()));
    }
    assert_eq!(found, [s("shard#10"), s("shard#2"), s("shard#3")]);

    let last = query("pk = :pk").scan_index_forward(false).limit(1).send().await.expect("a page");
    assert_eq!(last.items()[0].get("sk"), Some(&s("stream")));
    assert!(last.last_evaluated_key().is_some());
    for wrong in ["sk = :pk", "pk = :pk AND revision = :pk", "pk = :pk OR pk = :pk", "pk <> :pk"] {
        let error = query(wrong).send().await.expect_err(wrong).into_service_error();
        assert_eq!(error.meta().code(), Some("ValidationException"), "{wrong}: {error:?}");
    }
}
