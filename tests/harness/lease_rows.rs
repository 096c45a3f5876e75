//! The lease table's rows as anyone sees them: attributes by name, without the bridge's own types.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::place::Place;

pub type Row = HashMap<String, AttributeValue>;

/// The rows of a partition; none where the table does not exist yet.
pub async fn rows(place: &Place, table: &str, pk: &str) -> Vec<Row> {
    let call = place
        .clients
        .dynamodb
        .query()
        .table_name(table)
        .consistent_read(true)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()));
    match call.send().await {
        Ok(answer) => answer.items().to_vec(),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => vec![],
        Err(error) => panic!("the lease table cannot be read: {error:?}"),
    }
}

/// A row's text attribute.
pub fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

/// A row's number attribute.
pub fn number(row: &Row, name: &str) -> Option<u64> {
    row.get(name)?.as_n().ok()?.parse().ok()
}

/// A row's sort key.
pub fn sort_key(row: &Row) -> &str {
    text(row, "sk").unwrap_or_default()
}
