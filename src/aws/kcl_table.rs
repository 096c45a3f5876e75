//! A KCL application's lease table, read whole. Nothing is ever written to it.

use aws_sdk_dynamodb::Client;
use serde_dynamo::Item;

use super::error::{from_sdk, unusable};
use super::item;
use crate::error::ApiError;

const API: &str = "Scan";
/// A page holds up to 1 MB of rows of a few hundred bytes: a table of more pages than this is no lease table.
const MOST_PAGES: usize = 1_000;

/// Every row.
pub async fn scan(client: &Client, table: &str) -> Result<Vec<Item>, ApiError> {
    let (mut rows, mut after) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let request =
            client.scan().table_name(table).consistent_read(true).set_exclusive_start_key(after.take());
        let answer = request.send().await.map_err(|error| from_sdk(API, &error))?;
        for row in answer.items.unwrap_or_default() {
            rows.push(item::from_sdk(row).map_err(|why| unusable(API, why))?);
        }
        after = answer.last_evaluated_key.filter(|key| !key.is_empty());
        if after.is_none() {
            return Ok(rows);
        }
    }
    Err(unusable(API, format!("more than {MOST_PAGES} pages: is it a KCL application's lease table?")))
}
