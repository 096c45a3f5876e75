//! The sink port over a Kinesis stream: shards by the MD5 of the partition key, each with its limit, that reshard;
//! entries that fail by themselves; and, where a plan wants it, an order other than that of the acknowledgements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ddb_kinesis_bridge::delivery::sink::{
    EntryError, KinesisSink, Placement, PutEntry, SinkDescription, TargetShard,
};
use ddb_kinesis_bridge::error::{ApiError, ErrorKind};
use ddb_kinesis_bridge::stream::SequenceNumber;
use md5::{Digest, Md5};

use super::{Link, State};
use crate::aggregate::unpacked;
use crate::dice::Dice;
use crate::faults::{Service, error};
use crate::history::{Event, Item, Place, Seq, Shard, Who};

/// Between two sequence numbers, so that an inverted record finds room before another.
const STRIDE: u64 = 1_000_000;

/// A Kinesis stream; its records stand in the history.
#[derive(Debug)]
pub struct Sink {
    pub name: Arc<str>,
    shards: u64,
    /// How often it was resharded: part of the shards' ids.
    generation: u64,
    /// Records that a shard takes in a second.
    limit: u64,
    /// The second that is running, and what each shard took in it.
    taken: (u64, BTreeMap<Arc<str>, u64>),
    /// The last sequence number given.
    last: Seq,
    /// The last number given before it was resharded.
    last_before_reshard: Seq,
    /// How often a record is put before an earlier one of its lane, in thousandths.
    pub inversions: u64,
    /// Where the last record of each lane stands.
    lanes: BTreeMap<(Shard, Arc<str>), Place>,
}

impl Sink {
    pub fn new(name: &str, shards: u64, limit: u64) -> Self {
        Sink {
            name: name.into(),
            shards,
            generation: 0,
            limit,
            taken: (0, BTreeMap::new()),
            last: 49_000_000_000_000_000_000_000_000,
            last_before_reshard: 0,
            inversions: 0,
            lanes: BTreeMap::new(),
        }
    }

    /// Its shards end, and so many others take their place.
    pub fn reshard(&mut self, shards: u64) {
        self.shards = shards;
        self.generation += 1;
        self.last_before_reshard = self.last;
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:kinesis:eu-west-1:111122223333:stream/{}", self.name)
    }

    fn shard_of(&self, partition_key: &str) -> Arc<str> {
        let hash = Md5::digest(partition_key.as_bytes());
        // The shards' hash key ranges are all of one size.
        let high = hash.iter().take(4).fold(0, |high, byte| high << 8 | u64::from(*byte));
        let index = (high * self.shards) >> 32;
        self.id(index)
    }

    fn id(&self, index: u64) -> Arc<str> {
        format!("shardId-{:012}", self.generation * 100 + index).into()
    }

    /// Its shards with their hash key ranges.
    fn listed(&self) -> Vec<TargetShard> {
        let first = |index: u64| u128::from((index << 32).div_ceil(self.shards)) << 96;
        let last = |index: u64| if index + 1 == self.shards { u128::MAX } else { first(index + 1) - 1 };
        (0..self.shards)
            .map(|index| TargetShard { id: self.id(index), first_hash: first(index), last_hash: last(index) })
            .collect()
    }

    /// Whether the shard takes one more record in this second.
    fn has_room(&mut self, shard: &Arc<str>, now_ms: u64) -> bool {
        if self.taken.0 != now_ms / 1_000 {
            self.taken = (now_ms / 1_000, BTreeMap::new());
        }
        let taken = self.taken.1.entry(Arc::clone(shard)).or_default();
        *taken += 1;
        *taken <= self.limit
    }

    /// Gives a record of the lane its place, and whether that stands before the lane's last one; never where it was to be
    /// behind that.
    fn place(
        &mut self,
        lane: (Shard, Arc<str>),
        shard: Arc<str>,
        is_ordered: bool,
        dice: &mut Dice,
    ) -> (Place, bool) {
        let before = self.lanes.get(&lane).filter(|before| before.shard == shard);
        let (number, inverted) = match before.filter(|_| dice.chance(self.inversions) && !is_ordered) {
            Some(before) => (before.number - Seq::from(dice.between(1, STRIDE / 1_000)), true),
            None => {
                self.last += Seq::from(STRIDE);
                (self.last, false)
            }
        };
        let place = Place { shard, number };
        self.lanes.insert(lane, place.clone());
        (place, inverted)
    }
}

/// One process's way to one Kinesis stream.
#[derive(Debug)]
pub struct SimSink {
    pub link: Link,
    pub sink: usize,
    /// The table whose changes go there.
    pub table: usize,
}

/// The change that a payload carries.
#[derive(Debug)]
struct Change {
    seq: Seq,
    item: Item,
    shard: Shard,
}

fn change(state: &State, table: usize, data: &[u8]) -> Option<Change> {
    let payload: serde_json::Value = serde_json::from_slice(data).ok()?;
    let change = payload.get("dynamodb")?;
    let seq = change.get("SequenceNumber")?.as_str()?.parse().ok()?;
    let key = |name: &str| change.get("Keys")?.get(name)?.get("S")?.as_str();
    let table = &state.tables[table];
    let item = format!("{}/{}/{}", table.name, key("pk")?, key("sk")?).into();
    Some(Change { seq, item, shard: table.shard_of.get(&seq)?.clone() })
}

/// The changes that a record carries: one, or those of an aggregate, all of one lane.
fn carried(state: &State, table: usize, entry: &PutEntry) -> Result<Vec<Change>, String> {
    let payloads = unpacked(entry.partition_key(), entry.data())?;
    let changes = payloads.into_iter().map(|data| change(state, table, data).ok_or("a payload that is none"));
    let changes: Vec<Change> = changes.collect::<Result<_, _>>()?;
    let is_one_lane =
        changes.windows(2).all(|pair| pair[0].shard == pair[1].shard && pair[0].seq < pair[1].seq);
    if is_one_lane && !changes.is_empty() {
        Ok(changes)
    } else {
        Err("changes of several lanes, or none".into())
    }
}

/// Why a record is refused by a shard that took its limit.
const FULL: &str = "the shard is full";

/// Where a record goes: the Kinesis stream, and the table that its changes are of.
type At = (usize, usize);

/// What the service does with one record. An unreadable one fails its call as a whole.
fn put_one(
    state: &mut State,
    who: &Who,
    (sink, table): At,
    entry: &PutEntry,
    is_ordered: bool,
) -> Result<Result<Placement, EntryError>, ApiError> {
    let kinesis_shard = state.sinks[sink].shard_of(entry.partition_key());
    let is_full = !state.sinks[sink].has_room(&kinesis_shard, state.now_ms);
    let rate = state.faults.rates(Service::Sink).entry;
    if is_full || state.dice.chance(rate) {
        let (kind, code) = if is_full || state.dice.chance(500) {
            (ErrorKind::Throttled, "ProvisionedThroughputExceededException")
        } else {
            (ErrorKind::Transient, "InternalFailure")
        };
        let message = if is_full { FULL } else { "simulated" };
        return Ok(Err(EntryError { kind, code: code.into(), message: message.into() }));
    }
    let Ok(changes) = carried(state, table, entry) else {
        return Err(error("PutRecords", ErrorKind::Invalid));
    };
    let State { sinks, dice, .. } = state;
    let lane = (Arc::clone(&changes[0].shard), Arc::from(entry.partition_key()));
    let (place, inverted) = sinks[sink].place(lane, kinesis_shard, is_ordered, dice);
    for Change { shard, seq, item } in changes {
        state.tell(who, Event::Stored { shard, seq, item, place: place.clone(), inverted });
    }
    let sequence_number = SequenceNumber::parse(&place.number.to_string()).expect("a number is digits");
    Ok(Ok(Placement { shard_id: Arc::clone(&place.shard), sequence_number }))
}

/// Some aggregates are refused as they are, and with them their whole call; each of their changes alone is not.
fn is_refused(state: &State, (_, table): At, entry: &PutEntry) -> bool {
    carried(state, table, entry).is_ok_and(|changes| changes.len() > 2 && changes[0].seq % 7 == 0)
}

/// What the service does with a PutRecords request.
fn put(
    state: &mut State,
    who: &Who,
    at: At,
    entries: &[PutEntry],
) -> Result<Vec<Result<Placement, EntryError>>, ApiError> {
    let bytes: usize = entries.iter().map(PutEntry::size_bytes).sum();
    let has_refused = entries.iter().any(|entry| is_refused(state, at, entry));
    if entries.is_empty() || entries.len() > 500 || bytes > 10 << 20 || has_refused {
        return Err(error("PutRecords", ErrorKind::Invalid));
    }
    entries.iter().map(|entry| put_one(state, who, at, entry, false)).collect()
}

/// What the service does with a PutRecord request. It may not know a number any more that it gave before a reshard.
fn put_ordered(
    state: &mut State,
    who: &Who,
    at: At,
    entry: &PutEntry,
    after: Option<Seq>,
) -> Result<(Placement, String), ApiError> {
    let is_old = after.is_some_and(|number| number <= state.sinks[at.0].last_before_reshard);
    if is_old && state.dice.chance(500) {
        return Err(ApiError::new("PutRecord", ErrorKind::Invalid, NUMBER_REFUSED, "simulated"));
    }
    if is_refused(state, at, entry) {
        return Err(error("PutRecord", ErrorKind::Invalid));
    }
    match put_one(state, who, at, entry, after.is_some())? {
        Ok(placement) => Ok((placement, "0 failed, 0 at the limit".to_owned())),
        Err(EntryError { kind, code, message }) => Err(ApiError::new("PutRecord", kind, code, message)),
    }
}

/// The code of a PutRecord whose number is not known any more.
pub const NUMBER_REFUSED: &str = "InvalidArgumentException";

fn outcome(results: &[Result<Placement, EntryError>]) -> String {
    let failed = results.iter().filter_map(|result| result.as_ref().err());
    let full = failed.clone().filter(|error| error.message == FULL).count();
    format!("{} failed, {full} at the limit", failed.count())
}

impl SimSink {
    /// Each record's stream shard, partition key and first change.
    fn lanes(&self, entries: &[PutEntry]) -> Vec<(Shard, Arc<str>, Seq)> {
        let mut state = self.link.world.lock();
        let mut lanes = vec![];
        for entry in entries {
            match carried(&state, self.table, entry) {
                Ok(changes) => {
                    let Change { shard, seq, .. } = &changes[0];
                    lanes.push((shard.clone(), Arc::from(entry.partition_key()), *seq));
                }
                Err(why) => state.tell(&self.link.who, Event::Unreadable(format!("a record: {why}"))),
            }
        }
        lanes
    }

    fn tell(&self, event: impl FnOnce(&State) -> Event) {
        let mut state = self.link.world.lock();
        let event = event(&state);
        state.tell(&self.link.who, event);
    }
}

/// What the worker learns: the lanes' records that have a place.
fn acknowledged(lanes: Vec<(Shard, Arc<str>, Seq)>, results: &[Result<Placement, EntryError>]) -> Event {
    let place = |placement: &Placement| {
        let number = placement.sequence_number.as_str().parse().unwrap_or(Seq::MAX);
        Place { shard: Arc::clone(&placement.shard_id), number }
    };
    let placed = lanes.into_iter().zip(results);
    let records =
        placed.filter_map(|((shard, key, _), result)| Some((shard, key, place(result.as_ref().ok()?))));
    Event::Acknowledged { records: records.collect() }
}

#[async_trait]
impl KinesisSink for SimSink {
    async fn put_records(
        &self,
        entries: &[PutEntry],
        _limit: Duration,
    ) -> Result<Vec<Result<Placement, EntryError>>, ApiError> {
        let (entries, at, lanes) = (entries.to_vec(), (self.sink, self.table), self.lanes(entries));
        self.tell(|state| Event::Put { sink: state.sinks[self.sink].name.clone(), records: lanes.clone() });
        let call = self.link.call("PutRecords", format!("{} records", entries.len()), move |state, who| {
            let results = put(state, who, at, &entries)?;
            let outcome = outcome(&results);
            Ok((results, outcome))
        });
        let results = call.await?;
        self.tell(|_| acknowledged(lanes, &results));
        Ok(results)
    }

    async fn put_record(
        &self,
        entry: &PutEntry,
        after: Option<&SequenceNumber>,
        _limit: Duration,
    ) -> Result<Placement, ApiError> {
        let (entry, at, lanes) =
            (entry.clone(), (self.sink, self.table), self.lanes(std::slice::from_ref(entry)));
        let after = after.map(|number| number.as_str().parse().unwrap_or(Seq::MAX));
        self.tell(|state| Event::Put { sink: state.sinks[self.sink].name.clone(), records: lanes.clone() });
        if let Some((shard, key, _)) = lanes.first().cloned() {
            self.tell(|_| Event::Ordered { shard, key, after });
        }
        let effect = move |state: &mut State, who: &Who| put_ordered(state, who, at, &entry, after);
        let placement = self.link.call("PutRecord", "1 record".to_owned(), effect).await?;
        self.tell(|_| acknowledged(lanes, &[Ok(placement.clone())]));
        Ok(placement)
    }

    async fn list_shards(&self, _limit: Duration) -> Result<Vec<TargetShard>, ApiError> {
        let sink = self.sink;
        let call = self.link.call("ListShards", String::new(), move |state, _| {
            let listed = state.sinks[sink].listed();
            let outcome = format!("{} shards", listed.len());
            Ok((listed, outcome))
        });
        call.await
    }

    async fn describe(&self) -> Result<SinkDescription, ApiError> {
        let arn = self.link.world.lock().sinks[self.sink].arn();
        Ok(SinkDescription { arn, status: "ACTIVE".into(), max_record_bytes: 1 << 20 })
    }
}
