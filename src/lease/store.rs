//! The lease store: which conditional writes make up a heartbeat, a take, a checkpoint, a finish (P3, P4, P6). It keeps
//! no state and retries nothing: a caller that tries again does so with a new revision.

mod rewind;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use serde_dynamo::{AttributeValue, Item};

pub use sessions::Sessions;

use super::row::{
    BadRow, FINISHED_PREFIX, FinishedRow, Owner, SHARD_PREFIX, STREAM, ShardKey, ShardRow, StreamRow,
    attribute, decode, encode, pipeline_pk, sort_key,
};
use super::table::{Clause, Effect, LeaseTable, RowKey, RowWrite};
use crate::error::ApiError;
use crate::machine::{Machine, timeout};

/// The longest a lease-table call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A shard row with its key, as read.
pub type ShardEntry = (ShardKey, Result<ShardRow, BadRow>);

/// The lease table, in the terms of leases. Cheap to clone.
#[derive(Clone)]
pub struct LeaseStore {
    table: Arc<dyn LeaseTable>,
    machine: Arc<dyn Machine>,
}

impl LeaseStore {
    pub fn new(table: Arc<dyn LeaseTable>, machine: Arc<dyn Machine>) -> Self {
        LeaseStore { table, machine }
    }

    /// Has the table made anew where it is gone and the configuration allows it.
    pub async fn restore(&self) -> Result<(), ApiError> {
        self.call("CreateTable", CALL_TIMEOUT, self.table.restore()).await
    }

    async fn call<T>(
        &self,
        api: &'static str,
        limit: Duration,
        call: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        timeout(&*self.machine, limit, call).await.unwrap_or_else(|| Err(ApiError::timeout(api, limit)))
    }

    async fn write(&self, write: RowWrite, limit: Duration) -> Result<Item, ApiError> {
        self.call("UpdateItem", limit, self.table.write(&write)).await
    }

    async fn query(&self, pk: &str, prefix: &str) -> Result<Vec<Item>, ApiError> {
        let mut rows = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let call = self.table.query(pk, prefix, after.as_deref());
            let page = self.call("Query", CALL_TIMEOUT, call).await?;
            rows.extend(page.rows);
            after = page.last_evaluated;
            if after.is_none() {
                return Ok(rows);
            }
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        key: &RowKey,
    ) -> Result<Option<Result<T, BadRow>>, ApiError> {
        let item = self.call("GetItem", CALL_TIMEOUT, self.table.get(key)).await?;
        Ok(item.map(|item| decode(&item)))
    }

    // --- the stream row ---

    pub async fn stream_row(&self, pipeline: &str) -> Result<Option<Result<StreamRow, BadRow>>, ApiError> {
        self.get(&stream_key(pipeline)).await
    }

    /// Stores a pipeline's first stream row, unless there is one.
    pub async fn create_stream_row(&self, pipeline: &str, row: &StreamRow) -> Result<(), ApiError> {
        let key = stream_key(pipeline);
        let effect = Effect::Put(keyed(&key, encode(row)));
        self.write(RowWrite { key, effect, conditions: vec![Clause::RowAbsent] }, CALL_TIMEOUT)
            .await
            .map(drop)
    }

    /// Changes the stream row from what was `seen` to `next`, which must carry a greater revision.
    pub async fn update_stream_row(
        &self,
        pipeline: &str,
        seen: &StreamRow,
        next: &StreamRow,
        limit: Duration,
    ) -> Result<(), ApiError> {
        let key = stream_key(pipeline);
        let conditions = vec![
            Clause::Equals("discovery_epoch", attribute(&seen.discovery_epoch)),
            Clause::Equals("revision", attribute(&seen.revision)),
        ];
        let effect = Effect::Put(keyed(&key, encode(next)));
        self.write(RowWrite { key, effect, conditions }, limit).await.map(drop)
    }

    // --- shards ---

    /// All unfinished shards of a pipeline.
    pub async fn shards(&self, pipeline: &str) -> Result<Vec<ShardEntry>, ApiError> {
        let rows = self.query(&pipeline_pk(pipeline), SHARD_PREFIX).await?;
        let read = |item: &Item| Some((ShardKey::from_sk(sort_key(item))?, decode(item)));
        Ok(rows.iter().filter_map(read).collect())
    }

    pub async fn shard(
        &self,
        pipeline: &str,
        key: &ShardKey,
    ) -> Result<Option<Result<ShardRow, BadRow>>, ApiError> {
        self.get(&key.row_key(pipeline)).await
    }

    /// All finished shards of a pipeline. For the discovery owner, once; others ask for single ones.
    pub async fn finished_shards(&self, pipeline: &str) -> Result<Vec<(ShardKey, FinishedRow)>, ApiError> {
        let rows = self.query(&pipeline_pk(pipeline), FINISHED_PREFIX).await?;
        let read = |item: &Item| Some((ShardKey::from_sk(sort_key(item))?, decode(item).ok()?));
        Ok(rows.iter().filter_map(read).collect())
    }

    pub async fn is_finished(&self, pipeline: &str, key: &ShardKey) -> Result<bool, ApiError> {
        let item = self.call("GetItem", CALL_TIMEOUT, self.table.get(&key.finished_key(pipeline))).await?;
        Ok(item.is_some())
    }

    /// Stores a new shard's row, unless the shard is known already: a finished shard must never be read again. The
    /// stream row must still be as the discoverer knows it: a late write, its own or an earlier discoverer's, could enter
    /// a new shard as of the first listing.
    pub async fn create_shard(
        &self,
        pipeline: &str,
        key: &ShardKey,
        row: &ShardRow,
        stream_revision: u64,
    ) -> Result<(), ApiError> {
        let writes = [
            stream_unmoved(pipeline, stream_revision),
            check(key.finished_key(pipeline), Clause::RowAbsent),
            put(key.row_key(pipeline), encode(row), Clause::RowAbsent),
        ];
        self.transact(&writes, CALL_TIMEOUT).await
    }

    /// Stores that a shard never read is finished (skipped by `latest`, or gone before it was first seen).
    pub async fn create_finished(
        &self,
        pipeline: &str,
        key: &ShardKey,
        row: &FinishedRow,
        stream_revision: u64,
    ) -> Result<(), ApiError> {
        let writes = [
            stream_unmoved(pipeline, stream_revision),
            check(key.row_key(pipeline), Clause::RowAbsent),
            put(key.finished_key(pipeline), encode(row), Clause::RowAbsent),
        ];
        self.transact(&writes, CALL_TIMEOUT).await
    }

    /// Removes a finished row that is no longer needed.
    pub async fn forget_finished(&self, pipeline: &str, key: &ShardKey) -> Result<(), ApiError> {
        let key = key.finished_key(pipeline);
        self.write(RowWrite { key, effect: Effect::Delete, conditions: vec![] }, CALL_TIMEOUT).await.map(drop)
    }

    /// Takes a lease from the owner that `seen` names: nobody, the dead, one who was offered it and has not taken it, or
    /// myself (offered to me, or taken before and the answer lost). The returned row, not the seen one, says where to go on: the owner may have moved its checkpoint in between.
    pub async fn take(
        &self,
        pipeline: &str,
        key: &ShardKey,
        seen: &ShardRow,
        me: &Owner,
    ) -> Result<ShardRow, ApiError> {
        let set = vec![
            ("owner", attribute(&me.id)),
            ("incarnation", attribute(&me.incarnation)),
            ("epoch", attribute(&(seen.epoch + 1))),
            ("revision", attribute(&(seen.revision + 1))),
            ("parents_finished", attribute(&true)),
            ("state", attribute(&super::row::ShardState::Active)),
        ];
        let mut conditions = vec![
            Clause::RowPresent,
            Clause::Equals("epoch", attribute(&seen.epoch)),
            // The victim may write once more between our reading and our taking: then its revision is the higher.
            Clause::Equals("revision", attribute(&seen.revision)),
        ];
        conditions.extend(owned_by(seen.owner().as_ref()));
        let effect = Effect::Update { set, remove: vec!["halted_because", "offered"] };
        let write = RowWrite { key: key.row_key(pipeline), effect, conditions };
        let item = self.write(write, CALL_TIMEOUT).await?;
        decode(&item).map_err(|bad: BadRow| {
            ApiError::new("UpdateItem", crate::error::ErrorKind::Invalid, "BadRow", bad.to_string())
        })
    }

    /// Stores an owned row's progress: checkpoint, state, gaps. `row.revision` is the new one.
    pub async fn save(
        &self,
        pipeline: &str,
        key: &ShardKey,
        row: &ShardRow,
        limit: Duration,
    ) -> Result<(), ApiError> {
        let (set, remove) = progress(row);
        self.write_owned(pipeline, key, row, set, remove, limit).await
    }

    /// Gives an owned lease up, with its last progress: offers it to `to`, or leaves it to whoever takes it.
    /// `row.revision` is the new one.
    pub async fn release(
        &self,
        pipeline: &str,
        key: &ShardKey,
        row: &ShardRow,
        to: Option<&Owner>,
        limit: Duration,
    ) -> Result<(), ApiError> {
        let (mut set, mut remove) = progress(row);
        match to {
            Some(to) => set.extend([
                ("owner", attribute(&to.id)),
                ("incarnation", attribute(&to.incarnation)),
                ("offered", attribute(&true)),
                ("epoch", attribute(&(row.epoch + 1))),
            ]),
            None => remove.extend(["owner", "incarnation"]),
        }
        self.write_owned(pipeline, key, row, set, remove, limit).await
    }

    async fn write_owned(
        &self,
        pipeline: &str,
        key: &ShardKey,
        row: &ShardRow,
        set: Vec<(&'static str, AttributeValue)>,
        remove: Vec<&'static str>,
        limit: Duration,
    ) -> Result<(), ApiError> {
        let effect = Effect::Update { set, remove };
        let write = RowWrite { key: key.row_key(pipeline), effect, conditions: fenced(row) };
        self.write(write, limit).await.map(drop)
    }

    /// Ends an owned shard: its row becomes a finished row and its children's rows are made, all or none (P3). A child
    /// known already is left out by the caller.
    pub async fn finish(
        &self,
        pipeline: &str,
        key: &ShardKey,
        row: &ShardRow,
        finished: &FinishedRow,
        children: &[(ShardKey, ShardRow)],
        limit: Duration,
    ) -> Result<(), ApiError> {
        let mut writes = vec![
            RowWrite { key: key.row_key(pipeline), effect: Effect::Delete, conditions: fenced(row) },
            put(key.finished_key(pipeline), encode(finished), Clause::RowAbsent),
        ];
        for (child, row) in children {
            writes.push(check(child.finished_key(pipeline), Clause::RowAbsent));
            writes.push(put(child.row_key(pipeline), encode(row), Clause::RowAbsent));
        }
        self.transact(&writes, limit).await
    }

    async fn transact(&self, writes: &[RowWrite], limit: Duration) -> Result<(), ApiError> {
        self.call("TransactWriteItems", limit, self.table.transact(writes)).await
    }
}

fn stream_key(pipeline: &str) -> RowKey {
    RowKey { pk: pipeline_pk(pipeline), sk: STREAM.into() }
}

fn keyed(key: &RowKey, mut item: Item) -> Item {
    item.insert("pk".into(), AttributeValue::S(key.pk.clone()));
    item.insert("sk".into(), AttributeValue::S(key.sk.clone()));
    item
}

fn put(key: RowKey, item: Item, condition: Clause) -> RowWrite {
    let effect = Effect::Put(keyed(&key, item));
    RowWrite { key, effect, conditions: vec![condition] }
}

fn check(key: RowKey, condition: Clause) -> RowWrite {
    RowWrite { key, effect: Effect::Check, conditions: vec![condition] }
}

/// The stream row is still as the discoverer knows it, and so is who discovers.
fn stream_unmoved(pipeline: &str, revision: u64) -> RowWrite {
    check(stream_key(pipeline), Clause::Equals("revision", attribute(&revision)))
}

/// What an owner's write says of the progress made: the attributes set and those removed.
fn progress(row: &ShardRow) -> (Vec<(&'static str, AttributeValue)>, Vec<&'static str>) {
    let mut set = vec![("revision", attribute(&row.revision)), ("state", attribute(&row.state))];
    let mut remove = Vec::new();
    let mut put = |name, value: Option<AttributeValue>| match value {
        Some(value) => set.push((name, value)),
        None => remove.push(name),
    };
    put("checkpoint", row.checkpoint.as_ref().map(attribute));
    put("last_change_at_ms", row.last_change_at_ms.as_ref().map(attribute));
    put("halted_because", row.halted_because.as_ref().map(attribute));
    put("latest_first", row.latest_first.as_ref().map(attribute));
    put("gaps", (!row.gaps.is_empty()).then(|| attribute(&row.gaps)));
    (set, remove)
}

fn owned_by(owner: Option<&Owner>) -> Vec<Clause> {
    match owner {
        Some(owner) => vec![
            Clause::Equals("owner", attribute(&owner.id)),
            Clause::Equals("incarnation", attribute(&owner.incarnation)),
        ],
        None => vec![Clause::Missing("owner")],
    }
}

/// The conditions of an owner's write (P4): it owns the row, in this epoch, and no later write of its own came first.
fn fenced(row: &ShardRow) -> Vec<Clause> {
    let mut conditions = owned_by(row.owner().as_ref());
    conditions.push(Clause::Equals("epoch", attribute(&row.epoch)));
    conditions.push(Clause::Below("revision", row.revision));
    conditions
}

#[cfg(test)]
mod tests;
