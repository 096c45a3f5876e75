//! The sink port over Kinesis Data Streams: one SDK call a method. PutRecords' bodies are written and read by
//! [`super::put_records`]; all else of that call, and all other calls, are the SDK's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::put_record::builders::PutRecordFluentBuilder;
use aws_sdk_kinesis::operation::put_records::{PutRecordsError, PutRecordsOutput};
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_types::Blob;
use aws_smithy_types::body::SdkBody;

use super::client::time_limits;
use super::error::{from_sdk, unusable};
use super::only_aws::OnlyAws;
use super::put_records::{self, PUT_RECORDS};
use super::raw_body::{BodySlot, Types};
use crate::config::{Ordering, StreamName};
use crate::delivery::sink::{EntryError, KinesisSink, Placement, PutEntry, SinkDescription, TargetShard};
use crate::error::{ApiError, ErrorKind};
use crate::stream::SequenceNumber;

pub(super) const PUT_RECORD: &str = "PutRecord";

/// The most bytes of a record where the stream does not tell: 1 MiB.
const DEFAULT_MAX_RECORD_BYTES: usize = 1024 * 1024;

/// One Kinesis stream.
#[derive(Debug, Clone)]
pub struct KinesisStream {
    client: Client,
    stream: StreamName,
}

impl KinesisStream {
    pub fn new(client: Client, stream: StreamName) -> Self {
        KinesisStream { client, stream }
    }

    /// The stream's name, where the configuration gives no ARN. A call holds one or the other.
    fn name(&self) -> Option<String> {
        self.stream.arn().is_none().then(|| self.stream.name().to_owned())
    }

    fn arn(&self) -> Option<String> {
        self.stream.arn().map(str::to_owned)
    }

    /// Whether a put would be allowed, by DryRun, which writes nothing: PutRecord's where order is strict, else PutRecords'.
    /// False when that was not asked: an endpoint that is not AWS' may not know DryRun and write.
    pub async fn dry_run(&self, ordering: Ordering) -> Result<bool, ApiError> {
        let record = PutEntry::new("check", b"{}");
        let guard = OnlyAws::default();
        let (api, answer) = match ordering {
            Ordering::Acknowledged => (PUT_RECORDS, self.dry_run_of_put_records(&record, &guard).await),
            Ordering::Strict => (PUT_RECORD, self.dry_run_of_put_record(&record, &guard).await),
        };
        match answer {
            _ if guard.has_stopped() => Ok(false),
            Err(error) if error.code == "DryRunOperationException" => Ok(true),
            Err(error) => Err(error),
            Ok(()) => Err(unusable(api, "a dry run was answered as if it had been real")),
        }
    }

    async fn dry_run_of_put_records(&self, record: &PutEntry, guard: &OnlyAws) -> Result<(), ApiError> {
        let request = self.client.put_records().set_stream_name(self.name()).set_stream_arn(self.arn());
        let request = request.set_records(Some(vec![request_entry(record)?])).dry_run(true);
        let answer = request.customize().interceptor(guard.clone()).send().await;
        answer.map(drop).map_err(|error| from_sdk(PUT_RECORDS, &error))
    }

    async fn dry_run_of_put_record(&self, record: &PutEntry, guard: &OnlyAws) -> Result<(), ApiError> {
        let request = self.record(record, None).dry_run(true);
        let answer = request.customize().interceptor(guard.clone()).send().await;
        answer.map(drop).map_err(|error| from_sdk(PUT_RECORD, &error))
    }

    fn record(&self, entry: &PutEntry, after: Option<&SequenceNumber>) -> PutRecordFluentBuilder {
        self.client
            .put_record()
            .set_stream_name(self.name())
            .set_stream_arn(self.arn())
            .partition_key(entry.partition_key())
            .data(Blob::new(entry.data()))
            .set_sequence_number_for_ordering(after.map(|number| number.as_str().to_owned()))
    }
}

#[async_trait]
impl KinesisSink for KinesisStream {
    async fn put_records(
        &self,
        entries: &[PutEntry],
        limit: Duration,
    ) -> Result<Vec<Result<Placement, EntryError>>, ApiError> {
        if limit.is_zero() {
            return Err(ApiError::timeout(PUT_RECORDS, limit));
        }
        let body = put_records::request(&self.stream, entries);
        let length = body.len();
        let slot = BodySlot::new(PUT_RECORDS_TYPES);
        // The SDK's own body has no records; the stream stays in the input, where the endpoint's rules look for it.
        let request = self
            .client
            .put_records()
            .set_stream_name(self.name())
            .set_stream_arn(self.arn())
            .set_records(Some(Vec::new()))
            .customize()
            .interceptor(slot.clone())
            .mutate_request(move |request| {
                *request.body_mut() = SdkBody::from(body.clone());
                request.headers_mut().insert("content-length", length.to_string());
            });
        // Timed from outside: the SDK would put a configuration together for each call.
        #[expect(
            clippy::disallowed_methods,
            reason = "an edge, on the clock that the SDK has its own limits by"
        )]
        let answer = tokio::time::timeout(limit, request.send()).await;
        let answer = answer.map_err(|_| ApiError::timeout(PUT_RECORDS, limit))?;
        answer.map_err(|error| from_sdk(PUT_RECORDS, &error))?;
        let answer = slot.take().await.ok_or_else(|| unusable(PUT_RECORDS, "no body"))?;
        put_records::results(&answer, entries.len())
    }

    async fn put_record(
        &self,
        entry: &PutEntry,
        after: Option<&SequenceNumber>,
        limit: Duration,
    ) -> Result<Placement, ApiError> {
        if limit.is_zero() {
            return Err(ApiError::timeout(PUT_RECORD, limit));
        }
        let answer = self
            .record(entry, after)
            .customize()
            .config_override(aws_sdk_kinesis::config::Builder::new().timeout_config(time_limits(limit)))
            .send()
            .await
            .map_err(|error| from_sdk(PUT_RECORD, &error))?;
        let sequence_number = SequenceNumber::parse(answer.sequence_number())
            .map_err(|_| unusable(PUT_RECORD, "no SequenceNumber"))?;
        Ok(Placement { shard_id: Arc::from(answer.shard_id()), sequence_number })
    }

    async fn list_shards(&self, limit: Duration) -> Result<Vec<TargetShard>, ApiError> {
        super::target_shards::list(&self.client, self.name(), self.arn(), limit).await
    }

    async fn describe(&self) -> Result<SinkDescription, ApiError> {
        const API: &str = "DescribeStreamSummary";
        let request =
            self.client.describe_stream_summary().set_stream_name(self.name()).set_stream_arn(self.arn());
        let summary = request
            .send()
            .await
            .map_err(|error| from_sdk(API, &error))?
            .stream_description_summary
            .ok_or_else(|| unusable(API, "no StreamDescriptionSummary"))?;
        Ok(SinkDescription {
            arn: summary.stream_arn().to_owned(),
            status: summary.stream_status().as_str().to_owned(),
            max_record_bytes: max_record_bytes(summary.max_record_size_in_kib()),
        })
    }
}

fn request_entry(entry: &PutEntry) -> Result<PutRecordsRequestEntry, ApiError> {
    PutRecordsRequestEntry::builder()
        .partition_key(entry.partition_key())
        .data(Blob::new(entry.data()))
        .build()
        .map_err(|error| ApiError::new(PUT_RECORDS, ErrorKind::Invalid, "RequestNotBuilt", error.to_string()))
}

const PUT_RECORDS_TYPES: Types = Types {
    output: || Ok(Output::erase(PutRecordsOutput::builder().set_records(Some(Vec::new())).build()?)),
    error: |meta| Error::erase(PutRecordsError::generic(meta)),
};

fn max_record_bytes(kib: Option<i32>) -> usize {
    kib.and_then(|kib| usize::try_from(kib).ok())
        .filter(|kib| *kib > 0)
        .map_or(DEFAULT_MAX_RECORD_BYTES, |kib| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_limits() {
        assert_eq!(max_record_bytes(Some(10_240)), 10 * 1024 * 1024);
        for untold in [None, Some(0), Some(-1)] {
            assert_eq!(max_record_bytes(untold), 1024 * 1024, "{untold:?}");
        }
    }
}
