//! What becomes of one change: its Kinesis partition key and its payload.

pub mod contradiction;
mod decimal;
pub mod dynamodb_json;
pub mod envelope;
pub mod json;
pub mod key;
pub mod pattern;
pub mod plain;
pub mod selection;
mod shape;
pub mod shrink;
pub mod truncated;
mod unchanged;
mod walk;

#[cfg(test)]
mod testing;
