//! The source port over DynamoDB Streams: one SDK call a method. Answers are mapped to the port's types; a value that
//! this version does not know never stops a pipeline, a part without which the answer is useless makes it an error.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_dynamodbstreams::types::{
    Shard, ShardFilter, ShardFilterType, ShardIteratorType, StreamDescription,
    StreamStatus as SdkStreamStatus,
};
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use bytes::Bytes;

use super::error::{from_sdk, unusable};
use super::raw_body::{BodySlot, Types};
use super::served_at::ServedAt;
use crate::error::ApiError;
use crate::record::key::KeySchema;
use crate::stream::SequenceNumber;
use crate::stream::arn::StreamArn;
use crate::stream::source::{
    IteratorPosition, ListShards, ListedShard, ShardId, ShardIterator, StreamPage, StreamSource,
    StreamStatus, StreamsPage,
};

/// DynamoDB Streams, as one connection reaches it.
#[derive(Debug)]
pub struct DynamoStreams {
    client: Client,
    tables: aws_sdk_dynamodb::Client,
    /// The last key schema that had to be asked of a table; it never changes while a stream lives.
    asked_schema: Mutex<Option<(StreamArn, KeySchema)>>,
}

impl DynamoStreams {
    /// `tables` is only used where a stream's description lacks its table's key schema, as an emulator's does. AWS'
    /// never do, so no permission is needed for it.
    pub fn new(client: Client, tables: aws_sdk_dynamodb::Client) -> Self {
        DynamoStreams { client, tables, asked_schema: Mutex::new(None) }
    }

    pub(super) fn tables(&self) -> &aws_sdk_dynamodb::Client {
        &self.tables
    }

    /// A stream's description and key schema, from one call wherever the answer is whole.
    pub(super) async fn describe(
        &self,
        stream: &StreamArn,
        list: &ListShards,
    ) -> Result<(StreamDescription, KeySchema, ServedAt), ApiError> {
        let mut request = self.client.describe_stream().stream_arn(&stream.arn);
        request = match list {
            ListShards::All { after } => {
                request.set_exclusive_start_shard_id(after.as_ref().map(|shard| shard.as_str().to_owned()))
            }
            ListShards::ChildrenOf(parent) => request.shard_filter(
                ShardFilter::builder().r#type(ShardFilterType::ChildShards).shard_id(parent.as_str()).build(),
            ),
        };
        let served_at = ServedAt::default();
        let answer = request.customize().interceptor(served_at.clone()).send().await;
        let description = answer
            .map_err(|error| from_sdk(DESCRIBE_STREAM, &error))?
            .stream_description
            .ok_or_else(|| unusable(DESCRIBE_STREAM, "no StreamDescription"))?;
        let elements = description.key_schema().iter();
        let schema =
            key_schema(elements.map(|element| (element.attribute_name(), element.key_type().as_str())));
        let schema = match schema {
            Some(schema) => schema,
            None => self.table_schema(stream).await?,
        };
        Ok((description, schema, served_at))
    }

    async fn table_schema(&self, stream: &StreamArn) -> Result<KeySchema, ApiError> {
        const API: &str = "DescribeTable";
        if let Some((of, schema)) = &*self.asked_schema.lock().unwrap_or_else(PoisonError::into_inner)
            && of == stream
        {
            return Ok(schema.clone());
        }
        let answer = self.tables.describe_table().table_name(&stream.table_name).send().await;
        let table =
            answer.map_err(|error| from_sdk(API, &error))?.table.ok_or_else(|| unusable(API, "no Table"))?;
        let elements = table.key_schema().iter();
        let schema =
            key_schema(elements.map(|element| (element.attribute_name(), element.key_type().as_str())))
                .ok_or_else(|| unusable(API, "a KeySchema without a partition key (HASH)"))?;
        let asked = Some((stream.clone(), schema.clone()));
        *self.asked_schema.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        Ok(schema)
    }
}

const DESCRIBE_STREAM: &str = "DescribeStream";

#[async_trait]
impl StreamSource for DynamoStreams {
    async fn list_streams(&self, table: &str, after: Option<&str>) -> Result<StreamsPage, ApiError> {
        const API: &str = "ListStreams";
        let request = self
            .client
            .list_streams()
            .table_name(table)
            .set_exclusive_start_stream_arn(after.map(str::to_owned));
        let answer = request.send().await.map_err(|error| from_sdk(API, &error))?;
        let streams = answer
            .streams()
            .iter()
            .map(|stream| {
                let arn = stream.stream_arn().ok_or_else(|| unusable(API, "a stream without its ARN"))?;
                StreamArn::parse(arn).map_err(|error| unusable(API, error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        Ok(StreamsPage { streams, last_evaluated: answer.last_evaluated_stream_arn })
    }

    async fn describe_stream(&self, stream: &StreamArn, list: &ListShards) -> Result<StreamPage, ApiError> {
        let (description, key_schema, served_at) = self.describe(stream, list).await?;
        Ok(StreamPage {
            status: status(description.stream_status()),
            key_schema,
            shards: description.shards().iter().map(listed).collect::<Result<_, _>>()?,
            last_evaluated: description.last_evaluated_shard_id.map(ShardId::new),
            served_at_ms: served_at.millis(),
        })
    }

    async fn get_shard_iterator(
        &self,
        stream: &StreamArn,
        shard: &ShardId,
        position: &IteratorPosition,
    ) -> Result<ShardIterator, ApiError> {
        const API: &str = "GetShardIterator";
        let request = self.client.get_shard_iterator().stream_arn(&stream.arn).shard_id(shard.as_str());
        let request = match position {
            IteratorPosition::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            IteratorPosition::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
            IteratorPosition::After(last) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(last.as_str()),
        };
        let served_at = ServedAt::default();
        let answer = request.customize().interceptor(served_at.clone()).send().await;
        let token = answer
            .map_err(|error| from_sdk(API, &error))?
            .shard_iterator
            .ok_or_else(|| unusable(API, "no ShardIterator"))?;
        Ok(ShardIterator { token, served_at_ms: served_at.millis() })
    }

    async fn get_records(&self, iterator: &str) -> Result<Bytes, ApiError> {
        const API: &str = "GetRecords";
        let slot = BodySlot::new(GET_RECORDS_TYPES);
        let request = self.client.get_records().shard_iterator(iterator);
        request.customize().interceptor(slot.clone()).send().await.map_err(|error| from_sdk(API, &error))?;
        slot.take().await.ok_or_else(|| unusable(API, "no body"))
    }
}

const GET_RECORDS_TYPES: Types = Types {
    output: || Ok(Output::erase(GetRecordsOutput::builder().build())),
    error: |meta| Error::erase(GetRecordsError::generic(meta)),
};

/// A status that is missing or not known counts as enabled: the stream is read on, and its shards tell their own end.
pub(super) fn status(status: Option<&SdkStreamStatus>) -> StreamStatus {
    match status {
        Some(SdkStreamStatus::Enabling) => StreamStatus::Enabling,
        Some(SdkStreamStatus::Disabling) => StreamStatus::Disabling,
        Some(SdkStreamStatus::Disabled) => StreamStatus::Disabled,
        _ => StreamStatus::Enabled,
    }
}

/// The key attributes of (name, `HASH` or `RANGE`) pairs; `None` without a partition key.
fn key_schema<'a>(elements: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Option<KeySchema> {
    let named = |part: &str| {
        let mut found = elements.clone().filter(|(_, key_type)| *key_type == part);
        found.next().map(|(name, _)| name.to_owned())
    };
    Some(KeySchema { partition_key: named("HASH")?, sort_key: named("RANGE") })
}

fn listed(shard: &Shard) -> Result<ListedShard, ApiError> {
    let id = shard.shard_id().ok_or_else(|| unusable(DESCRIBE_STREAM, "a shard without its id"))?;
    let range = shard.sequence_number_range();
    // The range only informs (see the port); one that cannot be read counts as not told.
    let number = |text: Option<&str>| text.and_then(|text| SequenceNumber::parse(text).ok());
    Ok(ListedShard {
        id: ShardId::new(id),
        parent: shard.parent_shard_id().map(ShardId::new),
        starting: number(range.and_then(|range| range.starting_sequence_number())),
        ending: number(range.and_then(|range| range.ending_sequence_number())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_statuses_read_on() {
        for (sdk, ours) in [
            (Some(SdkStreamStatus::Enabling), StreamStatus::Enabling),
            (Some(SdkStreamStatus::Enabled), StreamStatus::Enabled),
            (Some(SdkStreamStatus::Disabling), StreamStatus::Disabling),
            (Some(SdkStreamStatus::Disabled), StreamStatus::Disabled),
            (Some(SdkStreamStatus::from("FROZEN")), StreamStatus::Enabled),
            (None, StreamStatus::Enabled),
        ] {
            assert_eq!(status(sdk.as_ref()), ours, "{sdk:?}");
        }
    }

    #[test]
    fn key_schemas() {
        let schema = key_schema([("at", "RANGE"), ("id", "HASH")].into_iter()).expect("a schema");
        assert_eq!((schema.partition_key.as_str(), schema.sort_key.as_deref()), ("id", Some("at")));
        let schema = key_schema([("id", "HASH")].into_iter()).expect("a schema");
        assert_eq!((schema.partition_key.as_str(), schema.sort_key), ("id", None));
        assert_eq!(key_schema([("at", "RANGE"), ("id", "NEW")].into_iter()), None);
    }

    #[test]
    fn shards_with_odd_ranges() {
        let shard = Shard::builder()
            .shard_id("shardId-1")
            .sequence_number_range(
                aws_sdk_dynamodbstreams::types::SequenceNumberRange::builder()
                    .starting_sequence_number("100")
                    .ending_sequence_number("none")
                    .build(),
            )
            .build();
        let shard = listed(&shard).expect("an id");
        assert_eq!(shard.starting, SequenceNumber::parse("100").ok());
        assert_eq!(shard.ending, None);
        assert!(listed(&Shard::builder().build()).is_err());
    }
}
