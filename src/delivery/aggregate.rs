//! Aggregates: several changes of one lane in one Kinesis record, in the format of the Kinesis Producer Library, which the
//! KCL, Firehose and many consumers take apart by themselves. One partition key each and no explicit hash key, so that
//! resharding and partial failures cannot reorder. A change that travels alone is a plain record.
//!
//! Source: <https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md>

use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const DIGEST_BYTES: usize = 16;

// Tags of protobuf fields: number and wire type.
/// `AggregatedRecord.partition_key_table`, 1: each a string.
const KEY_TABLE: u8 = 1 << 3 | 2;
/// `AggregatedRecord.records`, 3: each a message.
const RECORDS: u8 = 3 << 3 | 2;
/// `Record.partition_key_index`, 1: a varint.
const KEY_INDEX: u8 = 1 << 3;
/// `Record.data`, 3.
const DATA: u8 = 3 << 3 | 2;
/// The table holds one key.
const FIRST_KEY: u8 = 0;

/// How much one Kinesis record may carry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Packing {
    /// Data and partition key of an aggregate; zero: one change a record.
    limit_bytes: usize,
}

impl Packing {
    /// One change a record.
    pub const NONE: Packing = Packing { limit_bytes: 0 };

    pub const fn up_to(limit_bytes: usize) -> Self {
        Packing { limit_bytes }
    }
}

/// The first changes of a lane that one record carries: how many, and the bytes that they take in an aggregate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parcel {
    changes: u32,
    packed_bytes: u32,
}

impl Parcel {
    /// Of a change alone.
    pub(super) fn of(data_bytes: usize) -> Self {
        Parcel { changes: 1, packed_bytes: narrow(packed_bytes(data_bytes)) }
    }

    /// With one more change; `None` where that does not fit.
    pub(super) fn and(self, data_bytes: usize, key_bytes: usize, packing: Packing) -> Option<Self> {
        let packed_bytes = self.packed_bytes.saturating_add(narrow(packed_bytes(data_bytes)));
        let parcel = Parcel { changes: self.changes + 1, packed_bytes };
        (parcel.aggregate_bytes(key_bytes) + key_bytes <= packing.limit_bytes).then_some(parcel)
    }

    pub(super) fn changes(self) -> usize {
        self.changes as usize
    }

    /// The size of its aggregate's data.
    pub(super) fn aggregate_bytes(self, key_bytes: usize) -> usize {
        MAGIC.len() + field_bytes(key_bytes) + self.packed_bytes as usize + DIGEST_BYTES
    }
}

fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What one change takes in an aggregate.
fn packed_bytes(data_bytes: usize) -> usize {
    field_bytes(record_bytes(data_bytes))
}

/// A `Record` message.
fn record_bytes(data_bytes: usize) -> usize {
    [KEY_INDEX, FIRST_KEY].len() + field_bytes(data_bytes)
}

/// A field of so many bytes, with its tag and length.
fn field_bytes(bytes: usize) -> usize {
    1 + varint_bytes(bytes) + bytes
}

fn varint_bytes(value: usize) -> usize {
    let bits = (usize::BITS - value.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

/// The data of an aggregated record; `size_bytes` is what its parcel says.
pub(super) fn encode<'a>(
    partition_key: &str,
    changes: impl Iterator<Item = &'a [u8]>,
    size_bytes: usize,
) -> Vec<u8> {
    let mut record = Vec::with_capacity(size_bytes);
    record.extend_from_slice(&MAGIC);
    put_field(&mut record, KEY_TABLE, partition_key.as_bytes());
    for data in changes {
        record.push(RECORDS);
        put_varint(&mut record, record_bytes(data.len()));
        record.extend_from_slice(&[KEY_INDEX, FIRST_KEY]);
        put_field(&mut record, DATA, data);
    }
    let digest = Md5::digest(&record[MAGIC.len()..]);
    record.extend_from_slice(&digest);
    debug_assert_eq!(record.len(), size_bytes, "a parcel knows its size");
    record
}

fn put_field(record: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    record.push(tag);
    put_varint(record, bytes.len());
    record.extend_from_slice(bytes);
}

fn put_varint(record: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        record.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    record.push(value as u8);
}

/// A second reading of the format, which the integration tests use too.
#[cfg(test)]
#[path = "../../tests/support/aggregate.rs"]
pub(super) mod apart;
#[cfg(test)]
mod tests;
