//! The sink port over a Kinesis stream: shards by the MD5 of the partition key, entries that fail by themselves.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ddb_kinesis_bridge::delivery::sink::{EntryError, KinesisSink, Placement, PutEntry, SinkDescription};
use ddb_kinesis_bridge::error::{ApiError, ErrorKind};
use ddb_kinesis_bridge::stream::SequenceNumber;
use md5::{Digest, Md5};

use super::{Link, State};
use crate::faults::{Service, error};
use crate::history::{Event, Item, Seq, Shard, Who};

/// A Kinesis stream; its records stand in the history.
#[derive(Debug)]
pub struct Sink {
    pub name: Arc<str>,
    pub shards: u64,
    /// The last sequence number given.
    last: Seq,
}

impl Sink {
    pub fn new(name: &str, shards: u64) -> Self {
        Sink { name: name.into(), shards, last: 49_000_000_000_000_000_000_000_000 }
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:kinesis:eu-west-1:111122223333:stream/{}", self.name)
    }

    fn shard_of(&self, partition_key: &str) -> u64 {
        let hash = Md5::digest(partition_key.as_bytes());
        // The shards' hash key ranges are all of one size.
        let high = hash.iter().take(4).fold(0, |high, byte| high << 8 | u64::from(*byte));
        (high * self.shards) >> 32
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

/// What the service does with a request.
fn put(
    state: &mut State,
    who: &Who,
    (sink, table): (usize, usize),
    entries: &[PutEntry],
) -> Result<Vec<Result<Placement, EntryError>>, ApiError> {
    let bytes: usize = entries.iter().map(PutEntry::size_bytes).sum();
    if entries.is_empty() || entries.len() > 500 || bytes > 10 << 20 {
        return Err(error("PutRecords", ErrorKind::Invalid));
    }
    let rate = state.faults.rates(Service::Sink).entry;
    let mut results = Vec::with_capacity(entries.len());
    for entry in entries {
        if state.dice.chance(rate) {
            let throttled = state.dice.chance(500);
            let (kind, code) = if throttled {
                (ErrorKind::Throttled, "ProvisionedThroughputExceededException")
            } else {
                (ErrorKind::Transient, "InternalFailure")
            };
            results.push(Err(EntryError { kind, code: code.into(), message: "simulated".into() }));
            continue;
        }
        let Some(Change { seq, item, shard }) = change(state, table, &entry.data) else {
            return Err(error("PutRecords", ErrorKind::Invalid));
        };
        let to = &mut state.sinks[sink];
        to.last += 1;
        let shard_id = format!("shardId-{:012}", to.shard_of(&entry.partition_key));
        let sequence_number = SequenceNumber::parse(&to.last.to_string()).expect("a number is digits");
        let place = format!("{}/{shard_id}/{}", to.name, to.last);
        state.tell(who, Event::Stored { shard, seq, item, place });
        results.push(Ok(Placement { shard_id: shard_id.into(), sequence_number }));
    }
    Ok(results)
}

#[async_trait]
impl KinesisSink for SimSink {
    async fn put_records(
        &self,
        entries: &[PutEntry],
        _limit: Duration,
    ) -> Result<Vec<Result<Placement, EntryError>>, ApiError> {
        let (entries, at) = (entries.to_vec(), (self.sink, self.table));
        {
            let mut state = self.link.world.lock();
            let of = |entry: &PutEntry| {
                let change = change(&state, self.table, &entry.data)?;
                Some((change.shard, Arc::clone(&entry.partition_key), change.seq))
            };
            let records = entries.iter().filter_map(of).collect();
            let sink = state.sinks[self.sink].name.clone();
            state.tell(&self.link.who, Event::Put { sink, records });
        }
        self.link
            .call("PutRecords", format!("{} records", entries.len()), move |state, who| {
                let results = put(state, who, at, &entries)?;
                let outcome = format!("{} failed", results.iter().filter(|result| result.is_err()).count());
                Ok((results, outcome))
            })
            .await
    }

    async fn describe(&self) -> Result<SinkDescription, ApiError> {
        let arn = self.link.world.lock().sinks[self.sink].arn();
        Ok(SinkDescription { arn, status: "ACTIVE".into(), max_record_bytes: 1 << 20 })
    }
}
