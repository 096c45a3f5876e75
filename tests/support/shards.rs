//! A DynamoDB stream: its tree of shards, their records, and how a listing shows them.
//!
//! Owns lineage, trim horizons and listings. It neither writes records (see `journal`) nor speaks the API.

use std::ops::RangeInclusive;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::sequence::SequenceNumbers;

/// One stream of a table.
#[derive(Clone, Debug)]
pub struct Stream {
    pub arn: String,
    pub label: String,
    pub table: String,
    pub view_type: String,
    pub status: StreamStatus,
    /// Every shard there ever was, in order of creation.
    pub shards: Vec<Shard>,
    pub listing_order: ListingOrder,
    /// DescribeStream calls so far.
    pub describe_calls: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamStatus {
    /// Until DescribeStream has been called this often.
    EnablingUntil(usize),
    Enabled,
    Disabling,
    Disabled,
}

/// The order of DescribeStream's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingOrder {
    ParentsFirst,
    ChildrenFirst,
    Shuffled(u64),
}

/// One shard.
#[derive(Clone, Debug)]
pub struct Shard {
    pub id: String,
    pub parent: Option<String>,
    /// The hashes of partition keys that are written here while it is open.
    pub hashes: RangeInclusive<u64>,
    pub starting: u128,
    /// Where it ended, once it is closed.
    pub ending: Option<u128>,
    pub records: Vec<StreamRecord>,
    /// The last record that retention has taken.
    pub trimmed_through: Option<u128>,
    pub visibility: Visibility,
    pub shown_end: ShownEnd,
    /// Set once the whole shard has been trimmed away: what GetShardIterator answers.
    pub gone: Option<GoneAnswer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Listed,
    /// Not before DescribeStream has been called this often in all.
    AfterCalls(usize),
    /// Readable, but never listed.
    Hidden,
}

/// What a listing shows as the shard's end, against the truth where that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownEnd {
    Truth,
    /// Open, though it has children: seen during a reshard.
    Open,
    /// An EndingSequenceNumber on an open shard: seen in an emulator.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneAnswer {
    ResourceNotFound,
    TrimmedDataAccess,
}

/// One change as the stream holds it.
#[derive(Clone, Debug)]
pub struct StreamRecord {
    pub sequence: u128,
    /// The record as GetRecords answers it.
    pub body: Value,
    pub size_bytes: usize,
}

impl Stream {
    pub fn shard(&self, id: &str) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.id == id)
    }

    pub fn shard_mut(&mut self, id: &str) -> Option<&mut Shard> {
        self.shards.iter_mut().find(|shard| shard.id == id)
    }

    /// The open shard that changes of this partition key value go to.
    pub fn open_shard_for(&mut self, partition_key: &Value) -> Option<&mut Shard> {
        let hash = hash_of(partition_key);
        self.shards.iter_mut().find(|shard| shard.ending.is_none() && shard.hashes.contains(&hash))
    }

    pub fn open_shards(&self) -> Vec<String> {
        self.shards.iter().filter(|shard| shard.ending.is_none()).map(|shard| shard.id.clone()).collect()
    }

    /// Adds `count` shards that share `hashes` evenly. Returns their ids.
    pub(super) fn add_shards(
        &mut self,
        parent: Option<&str>,
        hashes: RangeInclusive<u64>,
        count: u64,
        numbers: &mut SequenceNumbers,
        now_ms: u64,
    ) -> Vec<String> {
        assert!(count > 0, "a shard splits into at least one");
        let width = (hashes.end() - hashes.start()) / count;
        let starts = (0..count).map(|index| hashes.start() + index * width).collect::<Vec<_>>();
        let mut ids = Vec::new();
        for (index, start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).map_or(*hashes.end(), |next| next - 1);
            let starting = numbers.draw();
            let suffix = short_hash(&format!("{}{starting}", self.arn));
            let shard = Shard {
                id: format!("shardId-{now_ms:020}-{suffix}"),
                parent: parent.map(str::to_owned),
                hashes: *start..=end,
                starting,
                ending: None,
                records: Vec::new(),
                trimmed_through: None,
                visibility: Visibility::Listed,
                shown_end: ShownEnd::Truth,
                gone: None,
            };
            ids.push(shard.id.clone());
            self.shards.push(shard);
        }
        ids
    }

    /// The shards in the order in which DescribeStream pages through them, those not shown included, so that a
    /// page can go on after a shard that has meanwhile disappeared.
    pub fn in_listing_order(&self) -> Vec<&Shard> {
        let mut shards: Vec<&Shard> = self.shards.iter().collect();
        match self.listing_order {
            ListingOrder::ParentsFirst => {}
            ListingOrder::ChildrenFirst => shards.reverse(),
            ListingOrder::Shuffled(seed) => {
                shards.sort_by_key(|shard| short_hash(&format!("{seed}{}", shard.id)))
            }
        }
        shards
    }

    /// Whether a listing made now shows `shard`.
    pub fn shows(&self, shard: &Shard) -> bool {
        shard.gone.is_none()
            && match shard.visibility {
                Visibility::Listed => true,
                Visibility::AfterCalls(calls) => self.describe_calls > calls,
                Visibility::Hidden => false,
            }
    }
}

impl Shard {
    /// The first position that can still be read without missing a record.
    pub fn horizon(&self) -> u128 {
        self.trimmed_through.map_or(self.starting, |trimmed| trimmed + 1)
    }

    /// Lets retention take every record up to and including `sequence`.
    pub fn trim_through(&mut self, sequence: u128) {
        let kept = self.records.partition_point(|record| record.sequence <= sequence);
        if kept > 0 {
            self.trimmed_through = Some(self.records[kept - 1].sequence);
            self.records.drain(..kept);
        }
    }

    /// The EndingSequenceNumber that a listing shows.
    pub fn ending_shown(&self) -> Option<u128> {
        match self.shown_end {
            ShownEnd::Truth => self.ending,
            ShownEnd::Open => None,
            ShownEnd::Ended => Some(self.records.last().map_or(self.starting, |record| record.sequence)),
        }
    }
}

/// Where a partition key value falls among the shards.
pub fn hash_of(partition_key: &Value) -> u64 {
    let digest = Sha256::digest(partition_key.to_string().as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// Eight hexadecimal digits out of `text`.
pub fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
