//! The tables and streams of a run: made, waited for, their stream turned off and on. For emulators only: nothing
//! here asks before it creates.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
    StreamViewType, TableStatus,
};
use aws_sdk_kinesis::types::StreamStatus;

use super::clients::Clients;
use super::error::DemoError;

/// How long a table or stream may take to become usable.
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A table to create: its name and keys. Every key is a name and a scalar type.
#[derive(Debug, Clone)]
pub struct TableSpec {
    pub name: String,
    pub partition_key: (String, ScalarAttributeType),
    pub sort_key: Option<(String, ScalarAttributeType)>,
    pub view: StreamViewType,
}

impl TableSpec {
    /// The demo's table: an order is known by its customer and its number.
    pub fn orders(name: impl Into<String>, view: StreamViewType) -> Self {
        TableSpec {
            name: name.into(),
            partition_key: ("customer".to_owned(), ScalarAttributeType::S),
            sort_key: Some(("order".to_owned(), ScalarAttributeType::S)),
            view,
        }
    }
}

/// Creates a table with its stream enabled, and waits until it takes writes.
///
/// # Errors
/// When the call fails (also when the table exists), or the table does not become active within a minute.
pub async fn create_table(clients: &Clients, spec: &TableSpec) -> Result<(), DemoError> {
    let doing = || format!("create the table {}", spec.name);
    let mut call = clients
        .dynamodb
        .create_table()
        .table_name(&spec.name)
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(stream_on(&spec.view)?);
    let keys =
        [Some((&spec.partition_key, KeyType::Hash)), spec.sort_key.as_ref().map(|k| (k, KeyType::Range))];
    for ((name, scalar), role) in keys.into_iter().flatten() {
        let element = KeySchemaElement::builder().attribute_name(name).key_type(role).build();
        let attribute =
            AttributeDefinition::builder().attribute_name(name).attribute_type(scalar.clone()).build();
        call = call
            .key_schema(element.map_err(|error| DemoError::new(doing(), error))?)
            .attribute_definitions(attribute.map_err(|error| DemoError::new(doing(), error))?);
    }
    call.send().await.map_err(|error| DemoError::sdk(doing(), &error))?;
    wait_for_table(clients, &spec.name).await
}

/// Turns a table's stream off.
///
/// # Errors
/// When the call fails, or the table does not become active again within a minute.
pub async fn disable_stream(clients: &Clients, table: &str) -> Result<(), DemoError> {
    let doing = format!("turn off the stream of {table}");
    let off = StreamSpecification::builder().stream_enabled(false).build();
    let off = off.map_err(|error| DemoError::new(&*doing, error))?;
    let call = clients.dynamodb.update_table().table_name(table).stream_specification(off);
    call.send().await.map_err(|error| DemoError::sdk(doing, &error))?;
    wait_for_table(clients, table).await
}

/// Turns a table's stream on: a new stream with an ARN of its own.
///
/// # Errors
/// When the call fails, or the table does not become active again within a minute.
pub async fn enable_stream(clients: &Clients, table: &str, view: &StreamViewType) -> Result<(), DemoError> {
    let doing = format!("turn on the stream of {table}");
    let call = clients.dynamodb.update_table().table_name(table).stream_specification(stream_on(view)?);
    call.send().await.map_err(|error| DemoError::sdk(doing, &error))?;
    wait_for_table(clients, table).await
}

/// Creates a Kinesis stream and waits until it takes records.
///
/// # Errors
/// When the call fails (also when the stream exists), or the stream does not become active within a minute.
pub async fn create_stream(clients: &Clients, name: &str, shards: i32) -> Result<(), DemoError> {
    let doing = || format!("create the Kinesis stream {name}");
    let call = clients.kinesis.create_stream().stream_name(name).shard_count(shards);
    call.send().await.map_err(|error| DemoError::sdk(doing(), &error))?;
    let ready = async {
        loop {
            let call = clients.kinesis.describe_stream_summary().stream_name(name);
            let answer = call.send().await.map_err(|error| DemoError::sdk(doing(), &error))?;
            let status = answer.stream_description_summary().map(|summary| summary.stream_status().clone());
            if status == Some(StreamStatus::Active) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, ready)
        .await
        .unwrap_or_else(|_| Err(DemoError::new(doing(), "it did not become ACTIVE within a minute")))
}

fn stream_on(view: &StreamViewType) -> Result<StreamSpecification, DemoError> {
    StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(view.clone())
        .build()
        .map_err(|error| DemoError::new("describe the table's stream", error))
}

async fn wait_for_table(clients: &Clients, name: &str) -> Result<(), DemoError> {
    let doing = || format!("wait for the table {name}");
    let ready = async {
        loop {
            let call = clients.dynamodb.describe_table().table_name(name);
            let answer = call.send().await.map_err(|error| DemoError::sdk(doing(), &error))?;
            let status = answer.table().and_then(|table| table.table_status().cloned());
            if status == Some(TableStatus::Active) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, ready)
        .await
        .unwrap_or_else(|_| Err(DemoError::new(doing(), "it did not become ACTIVE within a minute")))
}
