//! A table and its streams: a tree of shards that rotate and split, each with the changes of a range of items, kept for
//! 24 hours. The model only; the API over it is in [`super::source`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{EPOCH_MS, State};
use crate::history::{Event, Item, Seq, Shard as ShardName};

/// How long a change is kept.
pub const RETENTION_MS: u64 = 24 * 3_600 * 1_000;
/// The first sequence number: soon the numbers get a digit more, so that only a comparison as integers orders them.
const FIRST_SEQ: Seq = 10_u128.pow(22) - 60;

/// A table.
#[derive(Debug)]
pub struct Table {
    pub name: Arc<str>,
    /// Oldest first.
    pub streams: Vec<Stream>,
    next_seq: Seq,
    /// Which shard each change stands in.
    pub shard_of: BTreeMap<Seq, ShardName>,
    /// Shards opened so far: part of their ids.
    opened: u64,
}

/// One of its streams.
#[derive(Debug)]
pub struct Stream {
    pub label: String,
    pub disabled_ms: Option<u64>,
    /// ListStreams lacks it before this moment.
    pub listed_ms: u64,
    pub shards: BTreeMap<String, Shard>,
}

/// A shard of a stream.
#[derive(Debug)]
pub struct Shard {
    pub name: ShardName,
    pub parent: Option<String>,
    /// The items whose hashes are in this range (the end not included).
    range: (u32, u32),
    pub records: Vec<Record>,
    /// How many of them retention has passed.
    pub trimmed: usize,
    pub starting: Seq,
    pub closed_ms: Option<u64>,
    /// Listings before this moment lack it.
    pub listed_ms: u64,
    /// And before this one, some do.
    pub settled_ms: u64,
    pub vanished: bool,
}

/// A change.
#[derive(Debug, Clone)]
pub struct Record {
    pub seq: Seq,
    pub at_ms: u64,
    pub partition: String,
    pub sort: String,
    pub payload: usize,
}

impl Shard {
    pub fn ending(&self) -> Option<Seq> {
        self.closed_ms.map(|_| self.records.last().map_or(self.starting, |record| record.seq))
    }
}

impl Table {
    pub fn new(name: &str) -> Self {
        Table {
            name: name.into(),
            streams: vec![],
            next_seq: FIRST_SEQ,
            shard_of: BTreeMap::new(),
            opened: 0,
        }
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:dynamodb:eu-west-1:111122223333:table/{}", self.name)
    }

    /// The stream that takes changes.
    pub fn enabled(&mut self) -> Option<&mut Stream> {
        self.streams.last_mut().filter(|stream| stream.disabled_ms.is_none())
    }

    pub fn stream(&self, label: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.label == label)
    }

    /// The ids of the shards that take changes.
    pub fn open_shards(&mut self) -> Vec<String> {
        let Some(stream) = self.enabled() else { return vec![] };
        stream
            .shards
            .iter()
            .filter(|(_, shard)| shard.closed_ms.is_none())
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn name_of(&self, label: &str, shard: &str) -> ShardName {
        format!("{}:{label}#{shard}", self.name).into()
    }

    fn take_seq(&mut self) -> Seq {
        self.next_seq += 1;
        self.next_seq
    }
}

/// An item's place among the shards' ranges (FNV-1a; the turns bring its last bytes to the upper bits).
fn hash(item: &str) -> u32 {
    let hash =
        item.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.rotate_left(16).wrapping_mul(0x9e37_79b1).rotate_left(16).wrapping_mul(0x9e37_79b1)
}

impl State {
    /// Enables the table's stream, with some shards.
    pub fn enable(&mut self, table: usize, shards: u32) {
        // Labels sort by time.
        let label = format!("2025-06-15T{:012}", self.now_ms);
        let is_first = self.tables[table].streams.is_empty();
        let late_ms = if !is_first && self.dice.chance(300) { self.dice.between(500, 20_000) } else { 0 };
        self.tables[table].streams.push(Stream {
            label: label.clone(),
            disabled_ms: None,
            listed_ms: self.now_ms + late_ms,
            shards: BTreeMap::new(),
        });
        let width = u32::MAX / shards;
        for n in 0..shards {
            let end = if n + 1 == shards { u32::MAX } else { (n + 1) * width };
            self.open(table, None, (n * width, end));
        }
    }

    /// Disables it: its open shards close.
    pub fn disable(&mut self, table: usize) {
        for id in self.tables[table].open_shards() {
            self.close(table, &id);
        }
        let now_ms = self.now_ms;
        if let Some(stream) = self.tables[table].enabled() {
            stream.disabled_ms = Some(now_ms);
        }
    }

    fn open(&mut self, table: usize, parent: Option<String>, range: (u32, u32)) {
        let now_ms = self.now_ms;
        let late_ms = if self.dice.chance(200) { self.dice.between(500, 20_000) } else { 0 };
        let table = &mut self.tables[table];
        table.opened += 1;
        let id = format!("shardId-{:020}-{:08x}", EPOCH_MS + now_ms, table.opened);
        let starting = table.take_seq();
        let Some(label) = table.enabled().map(|stream| stream.label.clone()) else { return };
        let name = table.name_of(&label, &id);
        let parent_name = parent.as_ref().map(|parent| table.name_of(&label, parent));
        let shard = Shard {
            name: name.clone(),
            parent,
            range,
            records: vec![],
            trimmed: 0,
            starting,
            closed_ms: None,
            listed_ms: now_ms + late_ms,
            settled_ms: now_ms + 2 * late_ms,
            vanished: false,
        };
        if let Some(stream) = table.enabled() {
            stream.shards.insert(id, shard);
        }
        self.happened(Event::Opened { shard: name, parent: parent_name });
    }

    fn close(&mut self, table: usize, id: &str) -> Option<(u32, u32)> {
        let now_ms = self.now_ms;
        let shard = self.tables[table].enabled()?.shards.get_mut(id)?;
        shard.closed_ms = Some(now_ms);
        let (name, range) = (shard.name.clone(), shard.range);
        self.happened(Event::Closed { shard: name });
        Some(range)
    }

    /// A shard ends and has one child (rotation) or several.
    pub fn reshard(&mut self, table: usize, id: &str, children: u32) {
        let Some((from, to)) = self.close(table, id) else { return };
        let width = (to - from) / children;
        for n in 0..children {
            let end = if n + 1 == children { to } else { from + (n + 1) * width };
            self.open(table, Some(id.to_owned()), (from + n * width, end));
        }
    }

    /// Writes a change of an item; while the stream is disabled, nobody will hear of it.
    pub fn write(&mut self, table: usize, partition: u64, sort: u64, payload: usize) {
        let now_ms = self.now_ms;
        let (partition, sort) = (format!("p{partition}"), format!("s{sort}"));
        let table = &mut self.tables[table];
        let item: Item = format!("{}/{partition}/{sort}", table.name).into();
        // Whole items, not partition keys, belong to a shard: siblings can share a Kinesis partition key.
        let hash = hash(&item).min(u32::MAX - 1);
        let seq = table.take_seq();
        let Some(stream) = table.enabled() else { return };
        let open =
            |shard: &&mut Shard| shard.closed_ms.is_none() && (shard.range.0..shard.range.1).contains(&hash);
        let Some(shard) = stream.shards.values_mut().find(open) else { return };
        shard.records.push(Record { seq, at_ms: now_ms, partition, sort, payload });
        let name = shard.name.clone();
        table.shard_of.insert(seq, name.clone());
        self.happened(Event::Written { shard: name, seq, item });
    }

    /// Lets retention pass.
    pub fn trim(&mut self) {
        let now_ms = self.now_ms;
        if now_ms < RETENTION_MS {
            return;
        }
        let old = |at_ms: u64| at_ms + RETENTION_MS <= now_ms;
        let mut events = Vec::new();
        for shard in
            self.tables.iter_mut().flat_map(|table| &mut table.streams).flat_map(|s| s.shards.values_mut())
        {
            let before = shard.trimmed;
            while shard.records.get(shard.trimmed).is_some_and(|record| old(record.at_ms)) {
                shard.trimmed += 1;
            }
            if shard.trimmed > before
                && let Some(last) = shard.records.get(shard.trimmed - 1)
            {
                events.push(Event::Trimmed { shard: shard.name.clone(), through: last.seq });
            }
            if !shard.vanished && shard.closed_ms.is_some_and(old) {
                shard.vanished = true;
                events.push(Event::Vanished { shard: shard.name.clone() });
            }
        }
        events.into_iter().for_each(|event| self.happened(event));
    }
}
