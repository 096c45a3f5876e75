//! Leases: who works on which shard, kept in one DynamoDB table.

pub mod awaited;
pub mod balance;
pub mod liveness;
pub mod order;
pub mod plan;
pub mod rewind;
pub mod row;
pub mod session;
pub mod store;
pub mod table;

#[cfg(test)]
mod testing;
