//! The DynamoDB Streams API over the world's streams: ListStreams, DescribeStream, GetShardIterator, GetRecords.
//!
//! Owns the form of iterators. It changes nothing but the count of DescribeStream calls.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::answer::{ApiError, ApiResult, Input};
use super::sequence::SequenceNumbers;
use super::shards::{GoneAnswer, Shard, Stream, StreamStatus};
use super::world::World;

/// What a GetRecords page holds at most, in bytes of JSON.
const PAGE_BYTES: usize = 1 << 20;

/// What LocalStack hands out where a shard has ended.
const NONE_ITERATOR: &str = "|None";

pub fn list_streams(world: &mut World, input: &Value) -> ApiResult {
    let input = Input::new(input, &["TableName", "Limit", "ExclusiveStartStreamArn"])?;
    let table = input.text("TableName")?;
    let limit = limit(&input, 100)?.min(world.quirks.list_streams_page);
    let mut streams: Vec<&Stream> =
        world.streams.iter().filter(|stream| table.is_none_or(|table| stream.table == table)).collect();
    if world.quirks.list_streams_reversed {
        streams.reverse();
    }
    let first = match input.text("ExclusiveStartStreamArn")? {
        None => 0,
        Some(arn) => {
            let position = streams.iter().position(|stream| stream.arn == arn);
            position.ok_or_else(|| stream_not_found(arn))? + 1
        }
    };
    let rest = streams.get(first..).unwrap_or_default();
    let page = &rest[..rest.len().min(limit)];
    let shown = page.iter().map(
        |stream| json!({"StreamArn": stream.arn, "StreamLabel": stream.label, "TableName": stream.table}),
    );
    let mut answer = json!({"Streams": shown.collect::<Value>()});
    if let Some(last) = page.last().filter(|_| page.len() < rest.len()) {
        answer["LastEvaluatedStreamArn"] = json!(last.arn);
    }
    Ok(answer)
}

pub fn describe_stream(world: &mut World, input: &Value) -> ApiResult {
    let input = Input::new(input, &["StreamArn", "Limit", "ExclusiveStartShardId", "ShardFilter"])?;
    let arn = input.required("StreamArn")?;
    let limit = limit(&input, 100)?.min(world.quirks.describe_page);
    let parent = if world.quirks.ignore_shard_filter { None } else { filtered_parent(&input)? };
    let stream =
        world.streams.iter_mut().find(|stream| stream.arn == arn).ok_or_else(|| stream_not_found(arn))?;
    stream.describe_calls += 1;
    let stream: &Stream = stream;
    let key_schema = world.tables.get(&stream.table).map(|table| table.key_schema.to_json());

    let status = status(stream);
    let candidates = if status == "ENABLING" { Vec::new() } else { stream.in_listing_order() };
    let first = match input.text("ExclusiveStartShardId")? {
        None => 0,
        Some(id) => {
            let position = candidates.iter().position(|shard| shard.id == id);
            position.ok_or_else(|| shard_not_found(arn, id))? + 1
        }
    };
    let shown: Vec<&Shard> = candidates
        .into_iter()
        .skip(first)
        .filter(|shard| stream.shows(shard))
        .filter(|shard| parent.is_none_or(|parent| shard.parent.as_deref() == Some(parent)))
        .collect();
    let page = &shown[..shown.len().min(limit)];
    let mut description = json!({
        "StreamArn": stream.arn,
        "StreamLabel": stream.label,
        "StreamStatus": status,
        "StreamViewType": stream.view_type,
        "TableName": stream.table,
        "KeySchema": key_schema,
        "Shards": page.iter().map(|shard| shard_json(shard, &world.numbers)).collect::<Value>(),
    });
    if let Some(last) = page.last().filter(|_| page.len() < shown.len()) {
        description["LastEvaluatedShardId"] = json!(last.id);
    }
    Ok(json!({"StreamDescription": description}))
}

fn status(stream: &Stream) -> &'static str {
    match stream.status {
        StreamStatus::EnablingUntil(calls) if stream.describe_calls <= calls => "ENABLING",
        StreamStatus::EnablingUntil(_) | StreamStatus::Enabled => "ENABLED",
        StreamStatus::Disabling => "DISABLING",
        StreamStatus::Disabled => "DISABLED",
    }
}

/// The shard whose children are asked for.
fn filtered_parent<'a>(input: &Input<'a>) -> Result<Option<&'a str>, ApiError> {
    let Some(filter) = input.get("ShardFilter") else { return Ok(None) };
    let filter = Input::new(filter, &["Type", "ShardId"])?;
    match filter.required("Type")? {
        "CHILD_SHARDS" => filter.required("ShardId").map(Some),
        other => Err(ApiError::validation(format!("ShardFilter.Type: {other} is not CHILD_SHARDS"))),
    }
}

fn shard_json(shard: &Shard, numbers: &SequenceNumbers) -> Value {
    let mut range = json!({"StartingSequenceNumber": numbers.text(shard.starting)});
    if let Some(ending) = shard.ending_shown() {
        range["EndingSequenceNumber"] = json!(numbers.text(ending));
    }
    let mut listed = json!({"ShardId": shard.id, "SequenceNumberRange": range});
    if let Some(parent) = &shard.parent {
        listed["ParentShardId"] = json!(parent);
    }
    listed
}

pub fn get_shard_iterator(world: &mut World, input: &Value) -> ApiResult {
    let input = Input::new(input, &["StreamArn", "ShardId", "ShardIteratorType", "SequenceNumber"])?;
    let shard = find_shard(world, input.required("StreamArn")?, input.required("ShardId")?)?;
    let kind = input.required("ShardIteratorType")?;
    let position = match kind {
        "TRIM_HORIZON" => shard.horizon(),
        "LATEST" => world.numbers.last() + 1,
        "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER" => {
            let text = input.required("SequenceNumber")?;
            let sequence = world
                .numbers
                .parse(text)
                .filter(|number| *number >= shard.starting && *number <= world.numbers.last())
                .ok_or_else(|| {
                    ApiError::validation(format!("Invalid SequenceNumber {text} for this shard"))
                })?;
            if sequence < shard.horizon() {
                return Err(trimmed());
            }
            if kind == "AT_SEQUENCE_NUMBER" { sequence } else { sequence + 1 }
        }
        other => return Err(ApiError::validation(format!("{other} is no ShardIteratorType"))),
    };
    let place = Place { arn: input.required("StreamArn")?, shard: &shard.id, position };
    Ok(json!({"ShardIterator": place.iterator(world.iterator_generation)}))
}

/// GetRecords; with `empty_page` no record, and an iterator at the same place.
pub fn get_records(world: &mut World, input: &Value, empty_page: bool) -> ApiResult {
    let input = Input::new(input, &["ShardIterator", "Limit"])?;
    let iterator = input.required("ShardIterator")?;
    let limit = limit(&input, 1_000)?.min(world.quirks.records_page);
    if world.quirks.end_as_none_iterator && iterator.ends_with(NONE_ITERATOR) {
        return Ok(json!({"Records": [], "NextShardIterator": iterator}));
    }
    let (arn, shard, position, generation) =
        parse_iterator(iterator).ok_or_else(|| ApiError::validation("Invalid ShardIterator"))?;
    if generation < world.iterator_generation {
        let message = "The provided iterator exceeds the maximum age allowed";
        return Err(ApiError::new(400, "ExpiredIteratorException", message));
    }
    let shard = find_shard(world, &arn, &shard)?;
    if position < shard.horizon() {
        return Err(trimmed());
    }
    if empty_page {
        return Ok(json!({"Records": [], "NextShardIterator": iterator}));
    }
    let first = shard.records.partition_point(|record| record.sequence < position);
    let rest = &shard.records[first..];
    let mut bytes = 0;
    let fits = rest.iter().take(limit).take_while(|record| {
        let first_of_page = bytes == 0;
        bytes += record.size_bytes;
        first_of_page || bytes <= PAGE_BYTES
    });
    let page = &rest[..fits.count()];
    let position = page.last().map_or(position, |record| record.sequence + 1);
    let next = Place { arn: &arn, shard: &shard.id, position }.iterator(world.iterator_generation);
    let mut answer = json!({"Records": page.iter().map(|record| record.body.clone()).collect::<Value>()});
    let at_end = shard.ending.is_some() && page.len() == rest.len();
    if !at_end || (world.quirks.end_on_empty_page && !page.is_empty()) {
        answer["NextShardIterator"] = json!(next);
    } else if world.quirks.end_as_none_iterator {
        answer["NextShardIterator"] = json!(format!("{arn}{NONE_ITERATOR}"));
    }
    Ok(answer)
}

/// A place in a shard: what an iterator stands for.
struct Place<'a> {
    arn: &'a str,
    shard: &'a str,
    /// The lowest sequence number not yet read.
    position: u128,
}

impl Place<'_> {
    fn iterator(&self, generation: u64) -> String {
        let place = json!([self.arn, self.shard, self.position.to_string(), generation]).to_string();
        format!("{}|1|{}", self.arn, URL_SAFE_NO_PAD.encode(place))
    }
}

fn parse_iterator(iterator: &str) -> Option<(String, String, u128, u64)> {
    let place = URL_SAFE_NO_PAD.decode(iterator.rsplit('|').next()?).ok()?;
    let (arn, shard, position, generation): (String, String, String, u64) =
        serde_json::from_slice(&place).ok()?;
    Some((arn, shard, position.parse().ok()?, generation))
}

fn find_shard<'a>(world: &'a World, arn: &str, id: &str) -> Result<&'a Shard, ApiError> {
    let stream =
        world.streams.iter().find(|stream| stream.arn == arn).ok_or_else(|| stream_not_found(arn))?;
    let shard = stream.shard(id).ok_or_else(|| shard_not_found(arn, id))?;
    match shard.gone {
        None => Ok(shard),
        Some(GoneAnswer::ResourceNotFound) => Err(shard_not_found(arn, id)),
        Some(GoneAnswer::TrimmedDataAccess) => Err(trimmed()),
    }
}

fn limit(input: &Input<'_>, most: usize) -> Result<usize, ApiError> {
    match input.count("Limit")? {
        Some(limit) if limit > most => Err(ApiError::validation(format!("Limit {limit} is above {most}"))),
        limit => Ok(limit.unwrap_or(most)),
    }
}

fn stream_not_found(arn: &str) -> ApiError {
    ApiError::not_found(format!("Requested resource not found: Stream: {arn} not found"))
}

fn shard_not_found(arn: &str, id: &str) -> ApiError {
    ApiError::not_found(format!("Requested resource not found: Shard: {id} in Stream: {arn} not found"))
}

fn trimmed() -> ApiError {
    let message = "The operation attempted to read past the oldest stream record in a shard.";
    ApiError::new(400, "TrimmedDataAccessException", message)
}
