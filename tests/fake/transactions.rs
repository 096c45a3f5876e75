//! TransactWriteItems: all or nothing, and what a cancelled one says.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use serde_json::json;

use crate::support::Fake;
use crate::support::fault::Fault;
use crate::support::items::KeySchema;

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// A table with a parent shard's row of epoch 3, and a stale row.
fn fake_with_leases() -> Fake {
    let fake = Fake::start();
    {
        let mut world = fake.world();
        world.create_table("leases", KeySchema::hash("pk", "S").and_range("sk", "S"));
        world.put("leases", json!({"pk": {"S": "p"}, "sk": {"S": "parent"}, "epoch": {"N": "3"}}));
        world.put("leases", json!({"pk": {"S": "p"}, "sk": {"S": "stale"}}));
    }
    fake
}

fn finish_parent(epoch: &str) -> TransactWriteItem {
    let update = Update::builder()
        .table_name("leases")
        .key("pk", s("p"))
        .key("sk", s("parent"))
        .update_expression("SET finished = :yes")
        .condition_expression("epoch = :epoch")
        .expression_attribute_values(":yes", AttributeValue::Bool(true))
        .expression_attribute_values(":epoch", AttributeValue::N(epoch.to_owned()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build();
    TransactWriteItem::builder().update(update.expect("a whole update")).build()
}

fn create_child(sk: &str) -> TransactWriteItem {
    let put = Put::builder()
        .table_name("leases")
        .item("pk", s("p"))
        .item("sk", s(sk))
        .condition_expression("attribute_not_exists(pk)")
        .build();
    TransactWriteItem::builder().put(put.expect("a whole put")).build()
}

fn delete_stale() -> TransactWriteItem {
    let delete = Delete::builder().table_name("leases").key("pk", s("p")).key("sk", s("stale")).build();
    TransactWriteItem::builder().delete(delete.expect("a whole delete")).build()
}

fn check_parent(sk: &str) -> TransactWriteItem {
    let check = ConditionCheck::builder().table_name("leases").key("pk", s("p")).key("sk", s(sk));
    let check = check.condition_expression("attribute_exists(pk)").build();
    TransactWriteItem::builder().condition_check(check.expect("a whole check")).build()
}

async fn transact(fake: &Fake, actions: Vec<TransactWriteItem>) -> Result<(), TransactWriteItemsError> {
    let call = fake.dynamodb().transact_write_items().set_transact_items(Some(actions));
    call.send().await.map(drop).map_err(|error| error.into_service_error())
}

fn sort_keys(fake: &Fake) -> Vec<String> {
    fake.world().table("leases").items.keys().filter_map(|key| key.range.clone()).collect()
}

#[tokio::test]
async fn writes_all_when_every_condition_holds() {
    let fake = fake_with_leases();
    transact(&fake, vec![finish_parent("3"), create_child("child"), delete_stale()])
        .await
        .expect("a transaction");
    assert_eq!(sort_keys(&fake), ["child", "parent"]);
    transact(&fake, vec![check_parent("child"), create_child("other")]).await.expect("a checked transaction");
    assert_eq!(sort_keys(&fake), ["child", "other", "parent"]);
}

#[tokio::test]
async fn writes_nothing_when_one_condition_fails() {
    let fake = fake_with_leases();
    let actions = vec![create_child("child"), finish_parent("2"), delete_stale(), check_parent("nothing")];
    let error = transact(&fake, actions).await.expect_err("a stale epoch");
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { panic!("{error:?}") };
    let codes: Vec<_> = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed", "None", "ConditionalCheckFailed"]);
    let stored = cancelled.cancellation_reasons()[1].item().and_then(|item| item.get("epoch"));
    assert_eq!(stored, Some(&AttributeValue::N("3".to_owned())));
    assert_eq!(sort_keys(&fake), ["parent", "stale"]);
}

#[tokio::test]
async fn refuses_two_actions_on_one_item() {
    let fake = fake_with_leases();
    let error = transact(&fake, vec![create_child("child"), create_child("child")])
        .await
        .expect_err("one item twice");
    assert_eq!(error.meta().code(), Some("ValidationException"), "{error:?}");
    assert_eq!(sort_keys(&fake), ["parent", "stale"]);
}

#[tokio::test]
async fn a_transaction_sent_again_with_its_token_is_made_once() {
    let fake = fake_with_leases();
    fake.world().faults.once("TransactWriteItems", Fault::internal_after_effect());
    let client = fake.dynamodb();
    let send = |actions| {
        client.transact_write_items().client_request_token("token").set_transact_items(Some(actions)).send()
    };
    send(vec![create_child("child")]).await.expect_err("a lost answer");
    assert_eq!(sort_keys(&fake), ["child", "parent", "stale"]);
    send(vec![create_child("child")]).await.expect("the same transaction");
    let other =
        send(vec![create_child("other")]).await.expect_err("another transaction").into_service_error();
    assert!(other.is_idempotent_parameter_mismatch_exception(), "{other:?}");
}
