//! A DynamoDB table: its key schema, its items and its state.
//!
//! Owns the items. Writes go through [`World::write`](super::world::World), which also feeds the table's stream.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::items::{Item, ItemKey, KeySchema};
use super::shards::{Stream, StreamStatus};

#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub arn: String,
    pub key_schema: KeySchema,
    pub items: BTreeMap<ItemKey, Item>,
    /// DescribeTable calls until a table made over HTTP is ACTIVE.
    pub creating_calls_left: u32,
    /// When it was made, in whole seconds of the epoch.
    pub created: u64,
}

impl Table {
    pub fn status(&self) -> &'static str {
        if self.creating_calls_left > 0 { "CREATING" } else { "ACTIVE" }
    }

    /// As DescribeTable shows it; `latest` is its newest stream, if there ever was one.
    pub fn description(&self, latest: Option<&Stream>) -> Value {
        let definitions: Value = self
            .key_schema
            .attributes()
            .map(|key| json!({"AttributeName": key.name, "AttributeType": key.kind}))
            .collect();
        let mut description = json!({
            "TableName": self.name,
            "TableArn": self.arn,
            "TableStatus": self.status(),
            "KeySchema": self.key_schema.to_json(),
            "AttributeDefinitions": definitions,
            "CreationDateTime": self.created,
            "ItemCount": self.items.len(),
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        });
        if let Some(stream) = latest {
            description["LatestStreamArn"] = json!(stream.arn);
            description["LatestStreamLabel"] = json!(stream.label);
            if matches!(stream.status, StreamStatus::Enabled | StreamStatus::EnablingUntil(_)) {
                description["StreamSpecification"] =
                    json!({"StreamEnabled": true, "StreamViewType": stream.view_type});
            }
        }
        description
    }
}
