//! From changes to acknowledgements: lanes, batches, PutRecords, watermark.

pub mod inlet;
pub mod lanes;
pub mod memory;
pub mod put;
pub mod sink;
pub mod watermark;
pub mod writer;
