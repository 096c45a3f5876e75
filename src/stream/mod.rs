pub mod arn;
pub mod page;
pub mod sequence;
pub mod source;
pub use sequence::SequenceNumber;
