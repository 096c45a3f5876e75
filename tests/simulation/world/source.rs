//! The source port over the model: paged listings, iterators that expire, pages as real JSON bodies.

use std::fmt::Write as _;

use async_trait::async_trait;
use bytes::Bytes;
use ddb_kinesis_bridge::error::{ApiError, ErrorKind};
use ddb_kinesis_bridge::record::key::KeySchema;
use ddb_kinesis_bridge::stream::SequenceNumber;
use ddb_kinesis_bridge::stream::arn::StreamArn;
use ddb_kinesis_bridge::stream::source::{
    IteratorPosition, ListShards, ListedShard, ShardId, ShardIterator, StreamPage, StreamSource,
    StreamStatus, StreamsPage,
};

use super::stream::{RETENTION_MS, Record, Shard, Stream, Table};
use super::{EPOCH_MS, Link, State};
use crate::faults::{Service, error};
use crate::history::{Event, Seq, Who};

/// An iterator is good for so long.
const ITERATOR_MS: u64 = 15 * 60 * 1_000;

/// One process's way to the streams of one table.
#[derive(Debug)]
pub struct SimSource {
    pub link: Link,
    pub table: usize,
}

/// The table's key attributes.
pub fn key_schema() -> KeySchema {
    KeySchema { partition_key: "pk".into(), sort_key: Some("sk".into()) }
}

fn number(seq: Seq) -> SequenceNumber {
    SequenceNumber::parse(&seq.to_string()).expect("a number is digits")
}

impl Table {
    fn readable(&self, label: &str, now_ms: u64) -> Option<&Stream> {
        self.stream(label).filter(|stream| stream.disabled_ms.is_none_or(|at| now_ms < at + RETENTION_MS))
    }
}

fn listed(id: &str, shard: &Shard) -> ListedShard {
    ListedShard {
        id: ShardId::new(id),
        parent: shard.parent.as_deref().map(ShardId::new),
        starting: Some(number(shard.starting)),
        ending: shard.ending().map(number),
    }
}

/// Whether a listing has a child whose parent it lacks although that can still be read.
fn has_orphan(stream: &Stream, now_ms: u64) -> bool {
    let is_late = |parent: &String| {
        stream.shards.get(parent).is_some_and(|parent| !parent.vanished && parent.listed_ms > now_ms)
    };
    let mut listed = stream.shards.values().filter(|shard| shard.listed_ms <= now_ms);
    listed.any(|shard| shard.parent.as_ref().is_some_and(is_late))
}

fn describe(
    state: &mut State,
    table: usize,
    label: &str,
    list: &ListShards,
) -> Result<(StreamPage, String), ApiError> {
    const API: &str = "DescribeStream";
    state.trim();
    let (now_ms, drawn) = (state.now_ms, state.dice.pick(&[1, 2, 5, 20, 100]).unwrap_or(100));
    let most = if state.has_full_pages { 100 } else { drawn };
    // A listing comes from one of several copies, of which some lag behind.
    let lags = state.dice.chance(500);
    let stream =
        state.tables[table].readable(label, now_ms).ok_or_else(|| error(API, ErrorKind::NotFound))?;
    let visible =
        |shard: &Shard| !shard.vanished && now_ms >= if lags { shard.settled_ms } else { shard.listed_ms };
    let mut all =
        stream.shards.iter().filter(|(_, shard)| visible(shard)).map(|(id, shard)| listed(id, shard));
    let status = if stream.disabled_ms.is_some() { StreamStatus::Disabled } else { StreamStatus::Enabled };
    let (shards, more) = match list {
        ListShards::ChildrenOf(parent) => {
            (all.filter(|shard| shard.parent.as_ref() == Some(parent)).collect(), false)
        }
        ListShards::All { after } => {
            let mut rest = all.by_ref().filter(|shard| after.as_ref().is_none_or(|after| shard.id > *after));
            let page: Vec<ListedShard> = rest.by_ref().take(most).collect();
            let more = rest.next().is_some();
            (page, more)
        }
    };
    let last_evaluated = shards.last().filter(|_| more).map(|shard| shard.id.clone());
    let orphan = if has_orphan(stream, now_ms) { ", a child before its parent" } else { "" };
    let outcome = format!("{} shards{orphan}", shards.len());
    let served_at_ms = Some(EPOCH_MS + now_ms);
    Ok((StreamPage { status, key_schema: key_schema(), shards, last_evaluated, served_at_ms }, outcome))
}

fn iterator(
    state: &mut State,
    table: usize,
    label: &str,
    id: &str,
    position: &IteratorPosition,
) -> Result<(ShardIterator, String), ApiError> {
    const API: &str = "GetShardIterator";
    state.trim();
    let now_ms = state.now_ms;
    let not_found = || error(API, ErrorKind::NotFound);
    let stream = state.tables[table].readable(label, now_ms).ok_or_else(not_found)?;
    let shard = stream.shards.get(id).filter(|shard| !shard.vanished).ok_or_else(not_found)?;
    let index = match position {
        IteratorPosition::TrimHorizon => shard.trimmed,
        IteratorPosition::Latest => shard.records.len(),
        IteratorPosition::After(seq) => {
            let at = shard.records.iter().position(|record| number(record.seq) == *seq);
            match at {
                Some(at) if at >= shard.trimmed => at + 1,
                Some(_) => return Err(error(API, ErrorKind::Trimmed)),
                None => return Err(error(API, ErrorKind::Invalid)),
            }
        }
    };
    let token = format!("{table}|{label}|{id}|{index}|{now_ms}");
    Ok((ShardIterator { token, served_at_ms: Some(EPOCH_MS + now_ms) }, format!("at record {index}")))
}

fn records(state: &mut State, who: &Who, token: &str) -> Result<(Bytes, String), ApiError> {
    const API: &str = "GetRecords";
    state.trim();
    let invalid = || error(API, ErrorKind::Invalid);
    let parts: Vec<&str> = token.split('|').collect();
    let [table, label, id, index, since] = parts[..] else { return Err(invalid()) };
    let (table, index): (usize, usize) =
        (table.parse().map_err(|_| invalid())?, index.parse().map_err(|_| invalid())?);
    let since: u64 = since.parse().map_err(|_| invalid())?;
    let now_ms = state.now_ms;
    let expires_early = state.faults.rates(Service::Source).expire;
    if since + ITERATOR_MS <= now_ms || state.dice.chance(expires_early) {
        return Err(error(API, ErrorKind::ExpiredIterator));
    }
    let most = match state.dice.below(10) {
        0 => 0,
        1..=6 => usize::try_from(state.dice.between(1, 40)).unwrap_or(1),
        _ => 1_000,
    };
    let ends_at_once = state.dice.chance(500);
    let not_found = || error(API, ErrorKind::NotFound);
    let stream = state.tables[table].readable(label, now_ms).ok_or_else(not_found)?;
    let shard = stream.shards.get(id).filter(|shard| !shard.vanished).ok_or_else(not_found)?;
    if index < shard.trimmed {
        return Err(error(API, ErrorKind::Trimmed));
    }
    let page = &shard.records[index..shard.records.len().min(index + most)];
    let next = index + page.len();
    let at_end = shard.closed_ms.is_some() && next == shard.records.len();
    // The end may come with the last records, or with an empty page behind them.
    let ends = at_end && (page.is_empty() || ends_at_once);
    let next_iterator = (!ends).then(|| format!("{table}|{label}|{id}|{next}|{now_ms}"));
    let body = body(page, next_iterator.as_deref());
    let (first, count, name) = (page.first().map(|record| record.seq), page.len(), shard.name.clone());
    state.tell(who, Event::Read { shard: name, first, count });
    Ok((body, format!("{count} records{}", if ends { ", the end" } else { "" })))
}

/// A GetRecords answer as the service writes it.
fn body(page: &[Record], next_iterator: Option<&str>) -> Bytes {
    let mut out = String::from(r#"{"Records":["#);
    for (index, record) in page.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let Record { seq, at_ms, partition, sort, payload } = record;
        let seconds = (EPOCH_MS + at_ms) / 1_000;
        // Writing into a String cannot fail.
        let _ = write!(
            out,
            r#"{comma}{{"eventID":"e{seq}","eventName":"MODIFY","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"eu-west-1","dynamodb":{{"ApproximateCreationDateTime":{seconds},"Keys":{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{sort}"}}}},"NewImage":{{"pk":{{"S":"{partition}"}},"sk":{{"S":"{sort}"}},"v":{{"S":"{}"}}}},"SequenceNumber":"{seq}","SizeBytes":{payload},"StreamViewType":"NEW_IMAGE"}}}}"#,
            "x".repeat(*payload)
        );
    }
    out.push(']');
    if let Some(next) = next_iterator {
        let _ = write!(out, r#","NextShardIterator":"{next}""#);
    }
    out.push('}');
    out.into()
}

#[async_trait]
impl StreamSource for SimSource {
    async fn list_streams(&self, _table: &str, after: Option<&str>) -> Result<StreamsPage, ApiError> {
        let (table, after) = (self.table, after.map(str::to_owned));
        self.link
            .call("ListStreams", format!("after {after:?}"), move |state, _| {
                let (now_ms, table) = (state.now_ms, &state.tables[table]);
                let readable = |stream: &&Stream| {
                    stream.listed_ms <= now_ms && table.readable(&stream.label, now_ms).is_some()
                };
                let mut rest = table
                    .streams
                    .iter()
                    .filter(readable)
                    .map(|stream| stream.label.clone())
                    .skip_while(|label| after.as_ref().is_some_and(|after| label <= after));
                let first = rest.next();
                let last_evaluated = first.clone().filter(|_| rest.next().is_some());
                let arn = |label: String| StreamArn::parse(&format!("{}/stream/{label}", table.arn()));
                let streams = first.map(arn).transpose().expect("a stream's ARN").into_iter().collect();
                Ok((StreamsPage { streams, last_evaluated }, "ok".into()))
            })
            .await
    }

    async fn describe_stream(&self, stream: &StreamArn, list: &ListShards) -> Result<StreamPage, ApiError> {
        let (table, label, list) = (self.table, stream.label.clone(), list.clone());
        self.link
            .call("DescribeStream", format!("{list:?}"), move |state, _| {
                describe(state, table, &label, &list)
            })
            .await
    }

    async fn get_shard_iterator(
        &self,
        stream: &StreamArn,
        shard: &ShardId,
        position: &IteratorPosition,
    ) -> Result<ShardIterator, ApiError> {
        let (table, label) = (self.table, stream.label.clone());
        let (shard, position) = (shard.to_string(), position.clone());
        self.link
            .call("GetShardIterator", format!("{shard} {position:?}"), move |state, _| {
                iterator(state, table, &label, &shard, &position)
            })
            .await
    }

    async fn get_records(&self, iterator: &str) -> Result<Bytes, ApiError> {
        let token = iterator.to_owned();
        self.link.call("GetRecords", iterator.to_owned(), move |state, who| records(state, who, &token)).await
    }
}
