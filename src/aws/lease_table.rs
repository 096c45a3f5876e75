//! The lease-table port over DynamoDB: one SDK call a method. Reads are strongly consistent.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue as SdkValue, ConditionCheck, Delete, Put, ReturnValue, TransactWriteItem, Update,
};
use serde_dynamo::{AttributeValue, Item};

use super::error::{canceled, from_sdk, unusable};
use super::expression::{self, PARTITION_KEY, Placeholders, SORT_KEY};
use super::item;
use super::probe::lease_table::create;
use crate::error::{ApiError, ErrorKind};
use crate::lease::table::{Effect, LeaseTable, RowKey, RowWrite, RowsPage};

/// A DynamoDB table that holds lease rows.
#[derive(Debug, Clone)]
pub struct DynamoLeaseTable {
    client: Client,
    table: String,
    is_restored: bool,
}

impl DynamoLeaseTable {
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        DynamoLeaseTable { client, table: table.into(), is_restored: false }
    }

    /// The table is created anew when it is found to be gone.
    pub fn restored(mut self, is_restored: bool) -> Self {
        self.is_restored = is_restored;
        self
    }

    async fn put(&self, new: &Item, write: &RowWrite) -> Result<Item, ApiError> {
        let mut placeholders = Placeholders::default();
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::to_sdk(new)))
            .set_condition_expression(expression::condition(&write.conditions, &mut placeholders))
            .set_expression_attribute_names(placeholders.take_names())
            .set_expression_attribute_values(placeholders.take_values());
        request.send().await.map_err(|error| from_sdk("PutItem", &error))?;
        // PutItem can return only what was there before.
        Ok(new.clone())
    }

    async fn update(
        &self,
        set: &[(&'static str, AttributeValue)],
        remove: &[&'static str],
        write: &RowWrite,
    ) -> Result<Item, ApiError> {
        const API: &str = "UpdateItem";
        let mut placeholders = Placeholders::default();
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(expression::key(&write.key)))
            .set_condition_expression(expression::condition(&write.conditions, &mut placeholders))
            .set_update_expression(expression::update(set, remove, &mut placeholders))
            .set_expression_attribute_names(placeholders.take_names())
            .set_expression_attribute_values(placeholders.take_values())
            .return_values(ReturnValue::AllNew);
        let answer = request.send().await.map_err(|error| from_sdk(API, &error))?;
        let row = answer.attributes.ok_or_else(|| unusable(API, "no Attributes"))?;
        item::from_sdk(row).map_err(|why| unusable(API, why))
    }

    async fn delete(&self, write: &RowWrite) -> Result<Item, ApiError> {
        let mut placeholders = Placeholders::default();
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(expression::key(&write.key)))
            .set_condition_expression(expression::condition(&write.conditions, &mut placeholders))
            .set_expression_attribute_names(placeholders.take_names())
            .set_expression_attribute_values(placeholders.take_values());
        request.send().await.map_err(|error| from_sdk("DeleteItem", &error))?;
        Ok(Item::default())
    }

    /// A write as a member of a transaction.
    fn member(&self, write: &RowWrite) -> Result<TransactWriteItem, ApiError> {
        let mut placeholders = Placeholders::default();
        let condition = expression::condition(&write.conditions, &mut placeholders);
        let key = Some(expression::key(&write.key));
        let member = TransactWriteItem::builder();
        let built = match &write.effect {
            Effect::Put(new) => Put::builder()
                .table_name(&self.table)
                .set_item(Some(item::to_sdk(new)))
                .set_condition_expression(condition)
                .set_expression_attribute_names(placeholders.take_names())
                .set_expression_attribute_values(placeholders.take_values())
                .build()
                .map(|put| member.put(put)),
            Effect::Update { set, remove } => Update::builder()
                .table_name(&self.table)
                .set_key(key)
                .set_condition_expression(condition)
                .set_update_expression(expression::update(set, remove, &mut placeholders))
                .set_expression_attribute_names(placeholders.take_names())
                .set_expression_attribute_values(placeholders.take_values())
                .build()
                .map(|update| member.update(update)),
            Effect::Delete => Delete::builder()
                .table_name(&self.table)
                .set_key(key)
                .set_condition_expression(condition)
                .set_expression_attribute_names(placeholders.take_names())
                .set_expression_attribute_values(placeholders.take_values())
                .build()
                .map(|delete| member.delete(delete)),
            Effect::Check => ConditionCheck::builder()
                .table_name(&self.table)
                .set_key(key)
                .set_condition_expression(condition)
                .set_expression_attribute_names(placeholders.take_names())
                .set_expression_attribute_values(placeholders.take_values())
                .build()
                .map(|check| member.condition_check(check)),
        };
        built.map(|member| member.build()).map_err(|error| not_built(TRANSACT, error.to_string()))
    }
}

const TRANSACT: &str = "TransactWriteItems";

#[async_trait]
impl LeaseTable for DynamoLeaseTable {
    async fn restore(&self) -> Result<(), ApiError> {
        if self.is_restored { create(&self.client, &self.table).await } else { Ok(()) }
    }

    async fn query(&self, pk: &str, prefix: &str, after: Option<&str>) -> Result<RowsPage, ApiError> {
        const API: &str = "Query";
        let mut placeholders = Placeholders::default();
        let mut condition = format!(
            "{} = {}",
            placeholders.name(PARTITION_KEY),
            placeholders.value(SdkValue::S(pk.to_owned()))
        );
        // DynamoDB refuses an empty string as a key's value, also as a prefix.
        if !prefix.is_empty() {
            let (name, value) =
                (placeholders.name(SORT_KEY), placeholders.value(SdkValue::S(prefix.to_owned())));
            condition.push_str(&format!(" AND begins_with({name}, {value})"));
        }
        let start = after.map(|sk| expression::key(&RowKey { pk: pk.to_owned(), sk: sk.to_owned() }));
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression(condition)
            .set_expression_attribute_names(placeholders.take_names())
            .set_expression_attribute_values(placeholders.take_values())
            .set_exclusive_start_key(start);
        let answer = request.send().await.map_err(|error| from_sdk(API, &error))?;
        let last_evaluated = match answer.last_evaluated_key {
            Some(key) if !key.is_empty() => match key.get(SORT_KEY) {
                Some(SdkValue::S(sk)) => Some(sk.clone()),
                _ => return Err(unusable(API, "a LastEvaluatedKey without the sort key `sk`")),
            },
            _ => None,
        };
        let rows = answer.items.unwrap_or_default();
        let rows = rows.into_iter().map(item::from_sdk).collect::<Result<_, _>>();
        Ok(RowsPage { rows: rows.map_err(|why| unusable(API, why))?, last_evaluated })
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Item>, ApiError> {
        const API: &str = "GetItem";
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .consistent_read(true)
            .set_key(Some(expression::key(key)));
        let answer = request.send().await.map_err(|error| from_sdk(API, &error))?;
        answer.item.map(item::from_sdk).transpose().map_err(|why| unusable(API, why))
    }

    async fn write(&self, write: &RowWrite) -> Result<Item, ApiError> {
        match &write.effect {
            Effect::Put(new) => self.put(new, write).await,
            Effect::Update { set, remove } => self.update(set, remove, write).await,
            Effect::Delete => self.delete(write).await,
            Effect::Check => Err(not_built("ConditionCheck", "a check has its place only in a transaction")),
        }
    }

    async fn transact(&self, writes: &[RowWrite]) -> Result<(), ApiError> {
        let members: Vec<_> = writes.iter().map(|write| self.member(write)).collect::<Result<_, _>>()?;
        let request = self.client.transact_write_items().set_transact_items(Some(members));
        request.send().await.map_err(|error| refused(&error))?;
        Ok(())
    }
}

/// A failed transaction: a canceled one is judged by its reasons, which the error's code does not hold.
fn refused(error: &SdkError<TransactWriteItemsError>) -> ApiError {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled_by)) => {
            let reasons: Vec<&str> =
                canceled_by.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
            canceled(TRANSACT, &reasons, canceled_by.message())
        }
        _ => from_sdk(TRANSACT, error),
    }
}

fn not_built(api: &'static str, why: impl Into<String>) -> ApiError {
    ApiError::new(api, ErrorKind::Invalid, "RequestNotBuilt", why)
}
