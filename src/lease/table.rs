//! The lease-table port: the few DynamoDB calls that leases need, each one request, with DynamoDB's own meaning. What
//! the rows hold is in [`super::row`]; which writes make up a take, a checkpoint or a finish is in [`super::store`].

use async_trait::async_trait;
use serde_dynamo::{AttributeValue, Item};

use crate::error::ApiError;

/// A row's primary key: both are strings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    pub pk: String,
    pub sk: String,
}

/// What a row must look like for a write to take place. All clauses must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Clause {
    /// No row has this key.
    RowAbsent,
    /// A row has this key.
    RowPresent,
    /// The attribute holds this value.
    Equals(&'static str, AttributeValue),
    /// The row has no such attribute.
    Missing(&'static str),
    /// The attribute is a number below this one.
    Below(&'static str, u64),
}

/// What a write does to its row.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Replaces the whole row (the item holds `pk` and `sk` too).
    Put(Item),
    /// Sets and removes single attributes and leaves the others as they are. `set` is not empty.
    Update { set: Vec<(&'static str, AttributeValue)>, remove: Vec<&'static str> },
    /// Removes the row.
    Delete,
    /// Changes nothing; only the conditions are checked. Only within a transaction.
    Check,
}

/// One conditional write of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct RowWrite {
    pub key: RowKey,
    pub effect: Effect,
    pub conditions: Vec<Clause>,
}

/// A page of a query.
#[derive(Debug, Clone, Default)]
pub struct RowsPage {
    pub rows: Vec<Item>,
    /// The sort key after which the next page starts; `None` on the last.
    pub last_evaluated: Option<String>,
}

/// The port to the lease table.
#[async_trait]
pub trait LeaseTable: Send + Sync + 'static {
    /// One page of the rows of a partition whose sort key begins with `prefix`, in sort-key order, strongly consistent.
    async fn query(&self, pk: &str, prefix: &str, after: Option<&str>) -> Result<RowsPage, ApiError>;

    /// One row, strongly consistent.
    async fn get(&self, key: &RowKey) -> Result<Option<Item>, ApiError>;

    /// One conditional write. Returns the row as it is afterwards (empty after a delete). A condition that does not
    /// hold is an error of kind `ConditionFailed`, and nothing is written.
    async fn write(&self, write: &RowWrite) -> Result<Item, ApiError>;

    /// Several conditional writes of different rows, all or none.
    async fn transact(&self, writes: &[RowWrite]) -> Result<(), ApiError>;

    /// Asks for the table itself anew, after it was found to be gone; does nothing where that is not wanted. It takes a
    /// while to be there.
    async fn restore(&self) -> Result<(), ApiError>;
}
