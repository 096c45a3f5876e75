//! What becomes of one change: its Kinesis partition key and its payload.

pub mod dynamodb_json;
pub mod envelope;
pub mod json;
pub mod key;
pub mod plain;
pub mod shrink;
pub mod truncated;

#[cfg(test)]
mod testing;
