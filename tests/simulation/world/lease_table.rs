//! The lease-table port over an exact little DynamoDB table: conditions, single writes, transactions, paged queries,
//! all strongly consistent.

use std::collections::BTreeMap;

use async_trait::async_trait;
use ddb_kinesis_bridge::error::{ApiError, ErrorKind};
use ddb_kinesis_bridge::lease::table::{Clause, Effect, LeaseTable, RowKey, RowWrite, RowsPage};
use serde_dynamo::{AttributeValue, Item};

use super::{Link, State};
use crate::faults::error;
use crate::history::Who;

/// How many rows of a shard fit into 1 MiB, about: a page of a query.
const ROWS_IN_A_PAGE: usize = 2_500;

/// The table's rows.
#[derive(Debug, Default)]
pub struct Rows(BTreeMap<RowKey, Item>);

impl Rows {
    pub fn get(&self, key: &RowKey) -> Option<&Item> {
        self.0.get(key)
    }

    pub fn all(&self) -> impl Iterator<Item = (&RowKey, &Item)> {
        self.0.iter()
    }

    fn holds(&self, key: &RowKey, clause: &Clause) -> bool {
        let row = self.0.get(key);
        let attribute = |name: &str| row.and_then(|row| row.get(name));
        match clause {
            Clause::RowAbsent => row.is_none(),
            Clause::RowPresent => row.is_some(),
            Clause::Equals(name, value) => attribute(name) == Some(value),
            Clause::Missing(name) => attribute(name).is_none(),
            Clause::Below(name, limit) => match attribute(name) {
                Some(AttributeValue::N(number)) => number.parse::<u64>().is_ok_and(|number| number < *limit),
                _ => false,
            },
        }
    }

    fn allows(&self, write: &RowWrite) -> bool {
        write.conditions.iter().all(|clause| self.holds(&write.key, clause))
    }

    fn apply(&mut self, write: &RowWrite) -> Item {
        match &write.effect {
            Effect::Put(item) => {
                self.0.insert(write.key.clone(), item.clone());
            }
            Effect::Delete => {
                self.0.remove(&write.key);
            }
            Effect::Check => {}
            Effect::Update { set, remove } => {
                // As DynamoDB has it, an update of a row that is not there makes it.
                let row = self.0.entry(write.key.clone()).or_default();
                row.insert("pk".into(), AttributeValue::S(write.key.pk.clone()));
                row.insert("sk".into(), AttributeValue::S(write.key.sk.clone()));
                for (name, value) in set {
                    row.insert((*name).into(), value.clone());
                }
                for name in remove {
                    row.remove(*name);
                }
            }
        }
        self.0.get(&write.key).cloned().unwrap_or_default()
    }

    fn page(&self, pk: &str, prefix: &str, after: Option<&str>, most: usize) -> RowsPage {
        let from = RowKey { pk: pk.to_owned(), sk: after.unwrap_or(prefix).to_owned() };
        let mut rest = self
            .0
            .range(from..)
            .take_while(|(key, _)| key.pk == pk && key.sk.starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| key.sk.as_str() > after));
        let page: Vec<_> = rest.by_ref().take(most).collect();
        let more = rest.next().is_some();
        let last_evaluated = page.last().filter(|_| more).map(|(key, _)| key.sk.clone());
        RowsPage { rows: page.into_iter().map(|(_, row)| row.clone()).collect(), last_evaluated }
    }
}

fn write_all(state: &mut State, who: &Who, writes: &[RowWrite], api: &'static str) -> Result<Item, ApiError> {
    if !writes.iter().all(|write| state.leases.allows(write)) {
        return Err(error(api, ErrorKind::ConditionFailed));
    }
    let mut last = Item::default();
    for write in writes {
        last = state.leases.apply(write);
        if write.effect != Effect::Check {
            state.tell_row(who, &write.key);
        }
    }
    Ok(last)
}

/// One process's way to the lease table.
#[derive(Debug)]
pub struct SimLeaseTable {
    pub link: Link,
}

#[async_trait]
impl LeaseTable for SimLeaseTable {
    async fn restore(&self) -> Result<(), ApiError> {
        Ok(())
    }

    async fn query(&self, pk: &str, prefix: &str, after: Option<&str>) -> Result<RowsPage, ApiError> {
        let (pk, prefix, after) = (pk.to_owned(), prefix.to_owned(), after.map(str::to_owned));
        self.link
            .call("Query", format!("{pk} {prefix} after {after:?}"), move |state, _| {
                let drawn = usize::try_from(state.dice.between(1, 3)).unwrap_or(1);
                let most = if state.has_full_pages { ROWS_IN_A_PAGE } else { drawn };
                let page = state.leases.page(&pk, &prefix, after.as_deref(), most);
                let more = if page.last_evaluated.is_some() { " and more" } else { "" };
                let outcome = format!("{} rows{more}", page.rows.len());
                Ok((page, outcome))
            })
            .await
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Item>, ApiError> {
        let key = key.clone();
        self.link
            .call("GetItem", format!("{} {}", key.pk, key.sk), move |state, _| {
                let row = state.leases.get(&key).cloned();
                let outcome = if row.is_some() { "found" } else { "none" };
                Ok((row, outcome.into()))
            })
            .await
    }

    async fn write(&self, write: &RowWrite) -> Result<Item, ApiError> {
        let write = write.clone();
        let what = format!("{} {}", write.key.pk, write.key.sk);
        self.link
            .call("UpdateItem", what, move |state, who| {
                Ok((write_all(state, who, &[write], "UpdateItem")?, "written".into()))
            })
            .await
    }

    async fn transact(&self, writes: &[RowWrite]) -> Result<(), ApiError> {
        let writes = writes.to_vec();
        let what =
            writes.first().map_or_else(String::new, |write| format!("{} {}", write.key.pk, write.key.sk));
        self.link
            .call("TransactWriteItems", what, move |state, who| {
                write_all(state, who, &writes, "TransactWriteItems")?;
                Ok(((), "written".into()))
            })
            .await
    }
}
