//! The source side: a DynamoDB stream's shards, their lineage, and their changes as they are read.

pub mod arn;
pub(crate) mod cursor;
pub mod json;
pub mod json_str;
pub mod lineage;
pub mod page;
pub mod reader;
pub mod retention;
mod scan;
pub mod sequence;
pub mod source;

pub use sequence::SequenceNumber;
