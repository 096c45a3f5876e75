//! From changes to acknowledgements: lanes, batches, PutRecords, watermark.

pub mod aggregate;
pub mod appetite;
pub mod batch;
pub mod inlet;
pub mod lanes;
pub mod memory;
mod pace;
pub mod put;
pub mod sink;
mod slab;
mod survey;
mod targets;
pub mod watermark;
pub mod writer;
