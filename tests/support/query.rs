//! The Query operation: the items of one partition, in the order of their sort keys, page by page. And Scan: all items.
//!
//! Owns the rules of a key condition: equality on the partition key, and at most one condition on the sort key.

use std::ops::Bound;

use serde_json::{Value, json};

use super::answer::{ApiError, ApiResult, Input, missing};
use super::capacity::size_bytes;
use super::condition::{Condition, Operand};
use super::items::{Item, ItemKey, KeySchema};
use super::table_api::active_table;
use super::tokens::Placeholders;
use super::world::World;

pub fn query(world: &mut World, input: &Value) -> ApiResult {
    let known = [
        "TableName",
        "KeyConditionExpression",
        "FilterExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ExclusiveStartKey",
        "Limit",
        "ScanIndexForward",
        "ConsistentRead",
        "ReturnConsumedCapacity",
    ];
    let input = Input::new(input, &known)?;
    let table = active_table(world, &input)?;
    let placeholders = Placeholders::of(&input)?;
    let text = input.text("KeyConditionExpression")?.ok_or_else(|| missing("keyConditionExpression"))?;
    let condition = Condition::parse(text, &placeholders)?;
    check_key_condition(&condition, &table.key_schema)?;
    let filter = input.text("FilterExpression")?;
    let filter = filter.map(|text| Condition::parse(text, &placeholders)).transpose()?;
    placeholders.all_used()?;
    let forward = input.flag("ScanIndexForward")?.unwrap_or(true);
    let limit = input.count("Limit")?.unwrap_or(usize::MAX).min(world.quirks.query_page);

    let start: Option<ItemKey> = match input.map("ExclusiveStartKey")? {
        None => None,
        Some(key) => Some(table.key_schema.item_key(key)?),
    };
    let bounds = match start {
        None => (Bound::Unbounded, Bound::Unbounded),
        Some(start) if forward => (Bound::Excluded(start), Bound::Unbounded),
        Some(start) => (Bound::Unbounded, Bound::Excluded(start)),
    };
    let matching = table.items.range(bounds).map(|(_, item)| item).filter(|item| condition.holds(item));
    let scanned: Vec<&Item> =
        if forward { matching.take(limit).collect() } else { matching.rev().take(limit).collect() };
    let bytes = scanned.iter().map(|item| size_bytes(item)).sum();
    let items: Vec<&Item> = scanned
        .iter()
        .copied()
        .filter(|item| filter.as_ref().is_none_or(|filter| filter.holds(item)))
        .collect();
    let mut answer = json!({"Items": items, "Count": items.len(), "ScannedCount": scanned.len()});
    // As on AWS, a page that is exactly full has a key, though nothing may follow.
    if let Some(last) = scanned.last().filter(|_| scanned.len() == limit) {
        answer["LastEvaluatedKey"] = json!(table.key_schema.key_of(last)?);
    }
    world.capacity.reads("Query", bytes, input.flag("ConsistentRead")?.unwrap_or(false));
    Ok(answer)
}

pub fn scan(world: &mut World, input: &Value) -> ApiResult {
    let known = ["TableName", "ExclusiveStartKey", "Limit", "ConsistentRead", "ReturnConsumedCapacity"];
    let input = Input::new(input, &known)?;
    let table = active_table(world, &input)?;
    let limit = input.count("Limit")?.unwrap_or(usize::MAX).min(world.quirks.query_page);
    let start = match input.map("ExclusiveStartKey")? {
        None => Bound::Unbounded,
        Some(key) => Bound::Excluded(table.key_schema.item_key(key)?),
    };
    let items: Vec<&Item> =
        table.items.range((start, Bound::Unbounded)).map(|(_, item)| item).take(limit).collect();
    let bytes = items.iter().map(|item| size_bytes(item)).sum();
    let mut answer = json!({"Items": items, "Count": items.len(), "ScannedCount": items.len()});
    if let Some(last) = items.last().filter(|_| items.len() == limit) {
        answer["LastEvaluatedKey"] = json!(table.key_schema.key_of(last)?);
    }
    world.capacity.reads("Scan", bytes, input.flag("ConsistentRead")?.unwrap_or(false));
    Ok(answer)
}

fn check_key_condition(condition: &Condition, schema: &KeySchema) -> Result<(), ApiError> {
    let range = schema.range.as_ref().map(|key| key.name.as_str());
    let (mut on_hash, mut on_range) = (0, 0);
    for part in condition.conjuncts() {
        match part {
            Condition::Compare(Operand::Attribute(name), "=", Operand::Value(_))
                if *name == schema.hash.name =>
            {
                on_hash += 1;
            }
            Condition::Compare(
                Operand::Attribute(name),
                "=" | "<" | "<=" | ">" | ">=",
                Operand::Value(_),
            )
            | Condition::BeginsWith(Operand::Attribute(name), Operand::Value(_))
            | Condition::Between(Operand::Attribute(name), Operand::Value(_), Operand::Value(_))
                if Some(name.as_str()) == range =>
            {
                on_range += 1;
            }
            _ => return Err(ApiError::validation("Query key condition not supported")),
        }
    }
    match (on_hash, on_range) {
        (1, 0 | 1) => Ok(()),
        _ => Err(ApiError::validation("Query condition missed key schema element, or has one twice")),
    }
}
