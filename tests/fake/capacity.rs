//! What the fake would bill.

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, TransactWriteItem};
use serde_json::json;

use crate::support::Fake;
use crate::support::items::KeySchema;

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

#[tokio::test]
async fn writes_count_kilobytes_and_reads_four_of_them() {
    let fake = Fake::start();
    fake.world().create_table("leases", KeySchema::hash("pk", "S").and_range("sk", "S"));
    for sk in ["a", "b"] {
        // With names and keys a little more than 3,000 bytes.
        let item = json!({"pk": {"S": "p"}, "sk": {"S": sk}, "text": {"S": "x".repeat(3_000)}});
        fake.world().put("leases", item);
    }
    let client = fake.dynamodb();
    let update = || client.update_item().table_name("leases").key("pk", s("p")).key("sk", s("a"));
    update().send().await.expect("a write");
    let refused = update().condition_expression("attribute_not_exists(pk)").send().await;
    refused.expect_err("the item is there");
    let query = || {
        let call = client.query().table_name("leases").key_condition_expression("pk = :pk");
        call.expression_attribute_values(":pk", s("p"))
    };
    query().consistent_read(true).send().await.expect("two items, 6 KB");
    query().send().await.expect("half of that");
    let nothing = client.get_item().table_name("leases").key("pk", s("p")).key("sk", s("c"));
    nothing.consistent_read(true).send().await.expect("an answer");
    let put = Put::builder().table_name("leases").item("pk", s("p")).item("sk", s("d")).build();
    let check = ConditionCheck::builder().table_name("leases").key("pk", s("p")).key("sk", s("c"));
    let check = check.condition_expression("attribute_not_exists(pk)").build();
    client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().put(put.expect("a whole put")).build())
        .transact_items(TransactWriteItem::builder().condition_check(check.expect("a whole check")).build())
        .send()
        .await
        .expect("both conditions hold");

    let capacity = fake.world().capacity.clone();
    assert_eq!(capacity.write["UpdateItem"], 6.0, "3 KB begun, twice: a refused write is billed too");
    assert_eq!(capacity.write["TransactWriteItems"], 4.0, "two items, double");
    assert_eq!(capacity.read["Query"], 3.0);
    assert_eq!(capacity.read["GetItem"], 1.0, "also for nothing");
    assert_eq!((capacity.write_units(), capacity.read_units()), (10.0, 4.0));
}
