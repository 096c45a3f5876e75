//! The lease table as it lies in the fake: raw items, read without a line of the bridge's own code.

use serde_json::{Map, Value, json};

use crate::support::items::Item;
use crate::support::world::World;

/// The lease table's default name.
pub const LEASES: &str = "ddb-kinesis-bridge";

/// An item with its attribute types taken off; numbers stay text.
pub fn plain(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), plain_value(value))).collect::<Map<_, _>>().into()
}

fn plain_value(value: &Value) -> Value {
    let Some((kind, content)) = value.as_object().and_then(|typed| typed.iter().next()) else {
        panic!("{value} is no attribute value");
    };
    match (kind.as_str(), content) {
        ("M", Value::Object(members)) => plain(members),
        ("L", Value::Array(values)) => values.iter().map(plain_value).collect(),
        ("NULL", _) => Value::Null,
        (_, content) => content.clone(),
    }
}

/// The rows of a partition whose sort key begins with `prefix`, in key order. None while there is no table.
fn rows(world: &World, pk: &str, prefix: &str) -> Vec<Value> {
    let table = world.tables.get(LEASES);
    let items = table.into_iter().flat_map(|table| &table.items);
    items
        .filter(|(key, _)| {
            key.hash == pk && key.range.as_deref().is_some_and(|range| range.starts_with(prefix))
        })
        .map(|(_, item)| plain(item))
        .collect()
}

/// The unfinished shards of the pipeline `orders`.
pub fn shard_rows(world: &World) -> Vec<Value> {
    shard_rows_of(world, "orders")
}

/// The unfinished shards of a pipeline.
pub fn shard_rows_of(world: &World, pipeline: &str) -> Vec<Value> {
    rows(world, &format!("pipeline#{pipeline}"), "shard#")
}

pub fn finished_rows(world: &World) -> Vec<Value> {
    rows(world, "pipeline#orders", "finished#")
}

pub fn session_rows(world: &World) -> Vec<Value> {
    rows(world, "workers", "")
}

/// The pipeline's stream row; null while there is none.
pub fn stream_row(world: &World) -> Value {
    rows(world, "pipeline#orders", "stream").into_iter().next().unwrap_or_default()
}

/// The row of an unfinished shard; null while there is none.
pub fn shard_row(world: &World, shard: &str) -> Value {
    of_shard(shard_rows(world), shard)
}

/// The row of a finished shard; null while there is none.
pub fn finished_row(world: &World, shard: &str) -> Value {
    of_shard(finished_rows(world), shard)
}

fn of_shard(rows: Vec<Value>, shard: &str) -> Value {
    let mine = |row: &Value| row["sk"].as_str().is_some_and(|sk| sk.ends_with(shard));
    rows.into_iter().find(mine).unwrap_or_default()
}

/// Whether a row is there.
pub fn is_there(row: &Value) -> bool {
    !row.is_null()
}

/// The key of an unfinished shard's row, for a test that edits it.
pub fn shard_key(world: &World, shard: &str) -> Value {
    let sk = shard_row(world, shard)["sk"].as_str().expect("the shard has a row").to_owned();
    json!({"pk": {"S": "pipeline#orders"}, "sk": {"S": sk}})
}

/// Panics unless every child of the stream was first asked for records after its parent was stored as finished (P3).
#[track_caller]
pub fn assert_lineage(world: &World, stream: &str) {
    let children = world.stream(stream).shards.iter().filter(|shard| shard.parent.is_some());
    for child in children {
        let parent = child.parent.as_deref().unwrap_or_default();
        let Some(read) = first_iterator(world, &child.id) else { continue };
        let finished = finished_at(world, parent);
        assert!(
            finished.is_some_and(|finished| finished < read),
            "{} was read from request #{read} on, its parent {parent} was stored as finished at {finished:?}",
            child.id
        );
    }
}

/// The arrival number of the first request for an iterator on a shard.
pub fn first_iterator(world: &World, shard: &str) -> Option<usize> {
    let mut asked = world.log.of("GetShardIterator").filter(|request| request.input["ShardId"] == shard);
    asked.next().map(|request| request.arrival)
}

/// The arrival number of the transaction that stored a shard as finished.
pub fn finished_at(world: &World, shard: &str) -> Option<usize> {
    use crate::support::log::Outcome;
    let refused = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Error { status: 400, .. }));
    let stores = |write: &Value| {
        let sk = write["Put"]["Item"]["sk"]["S"].as_str().unwrap_or_default();
        sk.starts_with("finished#") && sk.ends_with(shard)
    };
    let mut finishes = world.log.of("TransactWriteItems").filter(|request| {
        request.effective
            && !refused(&request.outcome)
            && request.input["TransactItems"].as_array().is_some_and(|writes| writes.iter().any(stores))
    });
    finishes.next().map(|request| request.arrival)
}
