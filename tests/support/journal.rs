//! Writes to tables, and the stream records that they leave.
//!
//! Owns the history of changes, which the judge takes as the truth. A write that changes nothing leaves no record,
//! as on AWS; one made while no stream is enabled is in no history.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::items::{Item, check_item, item};
use super::judge::Change;
use super::payload;
use super::shards::{StreamRecord, short_hash};
use super::world::{REGION, World};

/// One change that went into a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub table: String,
    pub stream_arn: String,
    pub shard_id: String,
    pub change: Change,
    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub event: &'static str,
    /// When it was written.
    pub at: Instant,
}

impl World {
    /// Puts an item (DynamoDB JSON). Returns the change's sequence number, `None` if nothing changed or no stream
    /// is enabled.
    pub fn put(&mut self, table: &str, new: Value) -> Option<String> {
        let new = item(new);
        if let Err(error) = check_item(&new) {
            panic!("an item for {table}: {}", error.message);
        }
        let key = self.key_of(table, &new);
        self.write(table, &key, Some(new), None)
    }

    /// Sets attributes of the item with this key, making it if need be.
    pub fn update(&mut self, table: &str, key: Value, attributes: Value) -> Option<String> {
        let key = item(key);
        let mut new = self.stored(table, &key).unwrap_or_else(|| key.clone());
        new.extend(item(attributes));
        self.write(table, &key, Some(new), None)
    }

    pub fn delete(&mut self, table: &str, key: Value) -> Option<String> {
        self.write(table, &item(key), None, None)
    }

    /// Deletes the item as time to live does.
    pub fn ttl_delete(&mut self, table: &str, key: Value) -> Option<String> {
        let identity = json!({"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"});
        self.write(table, &item(key), None, Some(identity))
    }

    /// The history of a table: every change that went into one of its streams, in order.
    pub fn changes(&self, table: &str) -> Vec<Change> {
        self.written(table).map(|written| written.change.clone()).collect()
    }

    /// The same, with stream, shard and event.
    pub fn written(&self, table: &str) -> impl Iterator<Item = &Written> {
        self.written.iter().filter(move |written| written.table == table)
    }

    /// The key attributes of `new`; panics if they are not those of the table.
    fn key_of(&self, table: &str, new: &Item) -> Item {
        let key = self.table(table).key_schema.key_of(new);
        key.unwrap_or_else(|error| panic!("an item for {table}: {}", error.message))
    }

    fn stored(&self, table: &str, key: &Item) -> Option<Item> {
        let table = self.table(table);
        let key = table.key_schema.item_key(key).ok()?;
        table.items.get(&key).cloned()
    }

    /// Writes `new`, or deletes, the item with this key, and appends the change to the table's stream. The key
    /// must be one of the table's.
    pub(super) fn write(
        &mut self,
        table: &str,
        key: &Item,
        new: Option<Item>,
        identity: Option<Value>,
    ) -> Option<String> {
        let stored = self.tables.get_mut(table)?;
        let item_key = stored.key_schema.item_key(key).ok()?;
        let old = match &new {
            Some(new) => stored.items.insert(item_key, new.clone()),
            None => stored.items.remove(&item_key),
        };
        if old == new {
            return None;
        }
        let partition_key = key.get(&stored.key_schema.hash.name)?.clone();
        self.append(table, &partition_key, key, (old, new), identity)
    }

    fn append(
        &mut self,
        table: &str,
        partition_key: &Value,
        key: &Item,
        (old, new): (Option<Item>, Option<Item>),
        identity: Option<Value>,
    ) -> Option<String> {
        let arn = self.open_stream_of(table)?.arn.clone();
        let seconds = self.now_ms() / 1_000;
        let sequence = self.numbers.draw();
        let text = self.numbers.text(sequence);
        let stream = self.streams.iter_mut().find(|stream| stream.arn == arn)?;
        let event = match (&old, &new) {
            (None, _) => "INSERT",
            (Some(_), Some(_)) => "MODIFY",
            (Some(_), None) => "REMOVE",
        };
        let view_type = stream.view_type.clone();
        let mut change = Map::new();
        change.insert("ApproximateCreationDateTime".to_owned(), json!(seconds));
        change.insert("Keys".to_owned(), json!(key));
        if let Some(new) = new.filter(|_| view_type.starts_with("NEW")) {
            change.insert("NewImage".to_owned(), Value::Object(new));
        }
        if let Some(old) = old.filter(|_| view_type.contains("OLD")) {
            change.insert("OldImage".to_owned(), Value::Object(old));
        }
        let size_bytes = Value::Object(change.clone()).to_string().len();
        change.insert("SizeBytes".to_owned(), json!(size_bytes));
        change.insert("SequenceNumber".to_owned(), json!(text));
        change.insert("StreamViewType".to_owned(), json!(view_type));
        let mut body = json!({
            "awsRegion": REGION,
            "eventID": short_hash(&text).repeat(4),
            "eventName": event,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "dynamodb": change,
        });
        if let Some(identity) = identity {
            body["userIdentity"] = identity;
        }
        let shard = stream.open_shard_for(partition_key)?;
        let size_bytes = body.to_string().len();
        shard.records.push(StreamRecord { sequence, body, size_bytes });
        self.written.push(Written {
            table: table.to_owned(),
            stream_arn: arn,
            shard_id: shard.id.clone(),
            change: Change { item_key: payload::item_key(key), sequence_number: text.clone() },
            event,
            at: Instant::now(),
        });
        Some(text)
    }
}
