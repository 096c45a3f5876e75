//! The AWS side: adapters that implement the ports ([`StreamSource`](crate::stream::source::StreamSource),
//! [`KinesisSink`](crate::delivery::sink::KinesisSink), [`LeaseTable`](crate::lease::table::LeaseTable)) over the AWS
//! SDK, the clients they need, and the questions asked before a start. One request in, one answer or one classified
//! [`ApiError`](crate::error::ApiError) out: no retries, no pacing, no decisions, which belong to the callers. Two
//! exceptions: [`probe`] waits for an endpoint that does not answer, since nothing else runs yet at that time, and `session`
//! renews credentials, on which every call rests.

mod buffers;
pub mod check;
pub mod client;
pub mod error;
mod error_codes;
mod expression;
mod http;
mod item;
pub mod kcl_table;
pub mod lease_table;
mod only_aws;
pub mod probe;
mod put_records;
mod raw_body;
mod role;
mod served_at;
mod session;
pub mod sink;
pub mod source;
mod spoken;
mod target_shards;

pub use check::{Report, check};
pub use client::{Aws, NoRegion};
pub use lease_table::DynamoLeaseTable;
pub use sink::KinesisStream;
pub use source::DynamoStreams;
