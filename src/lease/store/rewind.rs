//! The writes of a rewind. Each is a transaction that holds only while the stream row is as the rewind knows it, so that
//! nothing of a rewind that broke off can arrive after another has ended (P4).

use super::{CALL_TIMEOUT, LeaseStore, put, stream_unmoved};
use crate::error::ApiError;
use crate::lease::rewind::Step;
use crate::lease::row::{ShardRow, attribute, encode};
use crate::lease::table::{Clause, Effect, RowKey, RowWrite};

impl LeaseStore {
    /// Takes these steps, all or none. Two writes a step at most, and DynamoDB takes 100 in a transaction.
    pub async fn rewind(&self, pipeline: &str, steps: &[Step], stream_revision: u64) -> Result<(), ApiError> {
        let mut writes = vec![stream_unmoved(pipeline, stream_revision)];
        for step in steps {
            match step {
                Step::Replace { key, seen, next } => {
                    let write = put(key.row_key(pipeline), encode(next), Clause::RowPresent);
                    writes.push(RowWrite { conditions: unmoved(seen), ..write });
                }
                Step::Revive { key, next } => {
                    writes.push(delete(key.finished_key(pipeline), vec![Clause::RowPresent]));
                    writes.push(put(key.row_key(pipeline), encode(next), Clause::RowAbsent));
                }
                Step::Remove { key, seen } => {
                    writes.push(delete(key.row_key(pipeline), unmoved(seen)));
                }
                Step::RemoveFinished { key } => writes.push(delete(key.finished_key(pipeline), vec![])),
            }
        }
        self.transact(&writes, CALL_TIMEOUT).await
    }
}

/// Nobody has written the row since it was seen.
fn unmoved(seen: &ShardRow) -> Vec<Clause> {
    vec![
        Clause::Equals("epoch", attribute(&seen.epoch)),
        Clause::Equals("revision", attribute(&seen.revision)),
    ]
}

fn delete(key: RowKey, conditions: Vec<Clause>) -> RowWrite {
    RowWrite { key, effect: Effect::Delete, conditions }
}
