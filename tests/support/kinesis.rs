//! A Kinesis data stream: its shards and the ordered log of what was put into them.
//!
//! Owns what arrived, in order of arrival, which the judge takes as delivered. The API is in `kinesis_api`.

use std::ops::RangeInclusive;
use std::time::Instant;

use md5::{Digest, Md5};

use super::world::{ACCOUNT, REGION};

#[derive(Clone, Debug)]
pub struct KinesisStream {
    pub name: String,
    pub arn: String,
    /// `CREATING`, `ACTIVE`, `UPDATING` or `DELETING`.
    pub status: String,
    /// `PROVISIONED` or `ON_DEMAND`.
    pub mode: String,
    pub max_record_size_kib: usize,
    pub shards: Vec<KinesisShard>,
    /// Everything that was stored, in order of arrival over all shards.
    pub stored: Vec<Stored>,
    /// How many changes they carry: an aggregate, all that is in it.
    pub carried: usize,
    /// Entries of PutRecords so far, stored or failed.
    pub entries_seen: u64,
    /// The last sequence number given; lower it to make the service's order go back.
    pub last_number: u128,
}

#[derive(Clone, Debug)]
pub struct KinesisShard {
    pub id: String,
    pub parent: Option<String>,
    pub hashes: RangeInclusive<u128>,
    pub starting: u128,
    pub ending: Option<u128>,
    /// Has taken its limit: it rejects each record until it is changed.
    pub is_full: bool,
}

/// One record as Kinesis holds it. Its index in [`KinesisStream::stored`] is its arrival number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub shard_id: String,
    pub partition_key: String,
    pub data: Vec<u8>,
    pub sequence_number: String,
    /// The arrival number of the request that brought it, see [`super::log::Request`].
    pub request: usize,
    /// When it was stored.
    pub at: Instant,
}

impl KinesisStream {
    pub fn new(name: &str, shards: u32) -> KinesisStream {
        let mut stream = KinesisStream {
            name: name.to_owned(),
            arn: format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"),
            status: "ACTIVE".to_owned(),
            mode: "PROVISIONED".to_owned(),
            max_record_size_kib: 1_024,
            shards: Vec::new(),
            stored: Vec::new(),
            carried: 0,
            entries_seen: 0,
            last_number: 0,
        };
        stream.add_shards(None, 0..=u128::MAX, shards);
        stream
    }

    /// Splits an open shard in two. Returns the children's ids.
    pub fn split(&mut self, shard: &str) -> Vec<String> {
        let ending = self.draw();
        let parent = self.shards.iter_mut().find(|found| found.id == shard && found.ending.is_none());
        let parent = parent.unwrap_or_else(|| panic!("there is no open Kinesis shard {shard}"));
        parent.ending = Some(ending);
        let hashes = parent.hashes.clone();
        self.add_shards(Some(shard), hashes, 2)
    }

    fn add_shards(&mut self, parent: Option<&str>, hashes: RangeInclusive<u128>, count: u32) -> Vec<String> {
        assert!(count > 0, "a stream has at least one shard");
        let width = (hashes.end() - hashes.start()) / u128::from(count);
        let mut ids = Vec::new();
        for index in 0..count {
            let start = hashes.start() + width * u128::from(index);
            let end = if index + 1 == count { *hashes.end() } else { start + width - 1 };
            let id = format!("shardId-{:012}", self.shards.len());
            let starting = self.draw();
            ids.push(id.clone());
            let parent = parent.map(str::to_owned);
            self.shards.push(KinesisShard {
                id,
                parent,
                hashes: start..=end,
                starting,
                ending: None,
                is_full: false,
            });
        }
        ids
    }

    pub(super) fn draw(&mut self) -> u128 {
        self.last_number += 1;
        self.last_number
    }

    pub fn text(number: u128) -> String {
        format!("49590338271490256608559692538361{number:024}")
    }

    pub fn open_shards(&self) -> impl Iterator<Item = &KinesisShard> {
        self.shards.iter().filter(|shard| shard.ending.is_none())
    }

    /// The open shard for a partition key, or for the hash key given in its stead.
    pub fn shard_for(&self, partition_key: &str, explicit_hash_key: Option<u128>) -> Option<&KinesisShard> {
        let of_key = || u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into());
        let hash = explicit_hash_key.unwrap_or_else(of_key);
        self.open_shards().find(|shard| shard.hashes.contains(&hash))
    }

    /// What a shard holds, in its order.
    pub fn log_of<'a>(&'a self, shard: &'a str) -> impl Iterator<Item = &'a Stored> {
        self.stored.iter().filter(move |stored| stored.shard_id == shard)
    }
}
