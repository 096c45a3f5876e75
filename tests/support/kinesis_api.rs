//! The Kinesis API over the world's Kinesis streams: DescribeStreamSummary, ListShards, PutRecords, PutRecord.
//!
//! Owns the limits of a call and the entries' answers. An invalid entry fails the whole call without saying which
//! entry it was.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::aggregate::unpacked;
use super::answer::{ApiError, ApiResult, Input};
use super::fault::{FailEntries, Which};
use super::kinesis::{KinesisStream, Stored};
use super::world::World;

const RECORDS_A_CALL: usize = 500;
const BYTES_A_CALL: usize = 10 << 20;
const PARTITION_KEY_CHARACTERS: usize = 256;

pub fn describe_stream_summary(world: &mut World, input: &Value) -> ApiResult {
    let input = Input::new(input, &["StreamName", "StreamARN"])?;
    let stream = find(world, &input)?;
    Ok(json!({"StreamDescriptionSummary": {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": stream.status,
        "StreamModeDetails": {"StreamMode": stream.mode},
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": 1_750_000_000,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
        "OpenShardCount": stream.open_shards().count(),
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": stream.max_record_size_kib,
    }}))
}

pub fn list_shards(world: &mut World, input: &Value) -> ApiResult {
    // The filter is not heeded, as emulators do.
    let input = Input::new(input, &["StreamName", "StreamARN", "NextToken", "MaxResults", "ShardFilter"])?;
    let limit = input.count("MaxResults")?.unwrap_or(world.quirks.list_shards_page);
    let is_named = input.text("StreamName")?.or(input.text("StreamARN")?).is_some();
    if is_named && input.text("NextToken")?.is_some() {
        let message = "NextToken and a stream must not both be given";
        return Err(ApiError::new(400, "InvalidArgumentException", message));
    }
    let (stream, first) = match input.text("NextToken")? {
        None => (find(world, &input)?, 0),
        Some(token) => {
            let place = token
                .split_once('|')
                .and_then(|(first, name)| Some((world.kinesis.get_mut(name)?, first.parse::<usize>().ok()?)));
            place.ok_or_else(|| ApiError::new(400, "ExpiredNextTokenException", "no such NextToken"))?
        }
    };
    let shown = stream.shards.iter().skip(first).take(limit).map(|shard| {
        let mut range = json!({"StartingSequenceNumber": KinesisStream::text(shard.starting)});
        if let Some(ending) = shard.ending {
            range["EndingSequenceNumber"] = json!(KinesisStream::text(ending));
        }
        let hashes = json!({
            "StartingHashKey": shard.hashes.start().to_string(),
            "EndingHashKey": shard.hashes.end().to_string(),
        });
        let mut listed = json!({"ShardId": shard.id, "HashKeyRange": hashes, "SequenceNumberRange": range});
        if let Some(parent) = &shard.parent {
            listed["ParentShardId"] = json!(parent);
        }
        listed
    });
    let mut answer = json!({"Shards": shown.collect::<Value>()});
    let next = first.saturating_add(limit);
    if next < stream.shards.len() {
        answer["NextToken"] = json!(format!("{next}|{}", stream.name));
    }
    Ok(answer)
}

pub fn put_records(
    world: &mut World,
    input: &Value,
    request: usize,
    fail: Option<&FailEntries>,
) -> ApiResult {
    let input = Input::new(input, &["Records", "StreamName", "StreamARN", "DryRun"])?;
    let stream = find_active(world, &input)?;
    let records = input.list("Records")?;
    if records.is_empty() || records.len() > RECORDS_A_CALL {
        return Err(ApiError::validation(format!(
            "1 validation error detected: Value at 'records' failed to satisfy constraint: Member must have length \
             between 1 and {RECORDS_A_CALL}"
        )));
    }
    let entries = records
        .iter()
        .map(|record| {
            let members = Input::new(record, &["Data", "PartitionKey", "ExplicitHashKey"])?;
            Entry::read(&members, stream)
        })
        .collect::<Result<Vec<Entry>, ApiError>>()?;
    if entries.iter().map(Entry::size_bytes).sum::<usize>() > BYTES_A_CALL {
        let message = "Records size exceeds 10 MB limit";
        return Err(ApiError::new(400, "InvalidArgumentException", message));
    }
    refuse_dry_run(&input)?;

    let mut failed = 0;
    let mut answers = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        stream.entries_seen += 1;
        match fail.filter(|fail| fail.which.hits(index, stream.entries_seen, &entry.partition_key)) {
            Some(fail) => {
                failed += 1;
                // A service may quote what it was sent: nobody may repeat that.
                let message = format!("scripted failure of {:?}", entry.partition_key);
                answers.push(json!({"ErrorCode": fail.code, "ErrorMessage": message}));
            }
            None if entry.finds_full(stream) => {
                failed += 1;
                let code = "ProvisionedThroughputExceededException";
                answers.push(json!({"ErrorCode": code, "ErrorMessage": "Rate exceeded for shard"}));
            }
            None => answers.push(entry.store(stream, request)?),
        }
    }
    let shown = fail.and_then(|fail| fail.failed_record_count).unwrap_or(failed);
    Ok(json!({"FailedRecordCount": shown, "Records": answers, "EncryptionType": "NONE"}))
}

pub fn put_record(world: &mut World, input: &Value, request: usize) -> ApiResult {
    let known = [
        "Data",
        "PartitionKey",
        "ExplicitHashKey",
        "SequenceNumberForOrdering",
        "StreamName",
        "StreamARN",
        "DryRun",
    ];
    let input = Input::new(input, &known)?;
    let stream = find_active(world, &input)?;
    let entry = Entry::read(&input, stream)?;
    if let Some(number) = input.text("SequenceNumberForOrdering")?
        && !number.bytes().all(|byte| byte.is_ascii_digit())
    {
        let message = "SequenceNumberForOrdering is not a sequence number";
        return Err(ApiError::new(400, "InvalidArgumentException", message));
    }
    refuse_dry_run(&input)?;
    if entry.finds_full(stream) {
        let message = "Rate exceeded for shard";
        return Err(ApiError::new(400, "ProvisionedThroughputExceededException", message));
    }
    let mut answer = entry.store(stream, request)?;
    answer["EncryptionType"] = json!("NONE");
    Ok(answer)
}

/// One record to put.
struct Entry {
    data: Vec<u8>,
    partition_key: String,
    explicit_hash_key: Option<u128>,
}

impl Entry {
    fn read(members: &Input<'_>, stream: &KinesisStream) -> Result<Entry, ApiError> {
        let refused = |why: &str| ApiError::validation(format!("1 validation error detected: {why}"));
        let data = STANDARD
            .decode(members.required("Data")?)
            .map_err(|_| ApiError::new(400, "SerializationException", "Data is not base64"))?;
        let partition_key = members.required("PartitionKey")?.to_owned();
        if partition_key.is_empty() || partition_key.chars().count() > PARTITION_KEY_CHARACTERS {
            return Err(refused("a partition key must have between 1 and 256 characters"));
        }
        let explicit_hash_key = members.text("ExplicitHashKey")?.map(str::parse).transpose();
        let explicit_hash_key =
            explicit_hash_key.map_err(|_| refused("an ExplicitHashKey must be a 128-bit integer"))?;
        let entry = Entry { data, partition_key, explicit_hash_key };
        let most = stream.max_record_size_kib * 1_024;
        if entry.size_bytes() > most {
            return Err(refused(&format!("a record must have length less than or equal to {most}")));
        }
        Ok(entry)
    }

    /// What counts against the limits.
    fn size_bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }

    fn finds_full(&self, stream: &KinesisStream) -> bool {
        let shard = stream.shard_for(&self.partition_key, self.explicit_hash_key);
        shard.is_some_and(|shard| shard.is_full)
    }

    fn store(self, stream: &mut KinesisStream, request: usize) -> ApiResult {
        let shard = stream.shard_for(&self.partition_key, self.explicit_hash_key);
        let shard_id = shard.map(|shard| shard.id.clone()).ok_or_else(ApiError::internal)?;
        let sequence_number = KinesisStream::text(stream.draw());
        let answer = json!({"ShardId": shard_id, "SequenceNumber": sequence_number});
        let Entry { data, partition_key, .. } = self;
        let at = Instant::now();
        // One that cannot be taken apart is found by whoever reads it.
        stream.carried += unpacked(&partition_key, &data).map_or(1, |changes| changes.len());
        stream.stored.push(Stored { shard_id, partition_key, data, sequence_number, request, at });
        Ok(answer)
    }
}

impl Which {
    /// Whether the entry at `index` of its call, the `seen`th of the stream, is one of these.
    fn hits(&self, index: usize, seen: u64, partition_key: &str) -> bool {
        match self {
            Which::All => true,
            Which::Indices(indices) => indices.contains(&index),
            Which::EveryNth(n) => *n > 0 && seen.is_multiple_of(*n),
            Which::PartitionKey(key) => key == partition_key,
        }
    }
}

/// A dry run that would succeed is answered with an error of its own.
fn refuse_dry_run(input: &Input<'_>) -> Result<(), ApiError> {
    match input.flag("DryRun")? {
        Some(true) => {
            let message = "The request would have succeeded, but the DryRun parameter was set.";
            Err(ApiError::new(400, "DryRunOperationException", message))
        }
        _ => Ok(()),
    }
}

fn find<'a>(world: &'a mut World, input: &Input<'_>) -> Result<&'a mut KinesisStream, ApiError> {
    let (name, arn) = (input.text("StreamName")?, input.text("StreamARN")?);
    let asked = name.or(arn).ok_or_else(|| {
        ApiError::new(400, "InvalidArgumentException", "Either StreamName or StreamARN must be given")
    })?;
    let found = world.kinesis.values_mut().find(|stream| {
        name.is_none_or(|name| stream.name == name) && arn.is_none_or(|arn| stream.arn == arn)
    });
    found.ok_or_else(|| ApiError::not_found(format!("Stream {asked} under account not found.")))
}

fn find_active<'a>(world: &'a mut World, input: &Input<'_>) -> Result<&'a mut KinesisStream, ApiError> {
    let stream = find(world, input)?;
    match stream.status.as_str() {
        "ACTIVE" | "UPDATING" => Ok(stream),
        status => Err(ApiError::not_found(format!("Stream {} is {status}, not ACTIVE.", stream.name))),
    }
}
