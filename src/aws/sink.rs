//! The sink port over Kinesis Data Streams: one SDK call a method. Each entry of a PutRecords answer is judged by its own
//! ErrorCode; FailedRecordCount is not looked at.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use aws_smithy_types::Blob;
use bytes::Bytes;

use super::client::time_limits;
use super::error::{from_sdk, unusable};
use super::error_codes::kind_of_code;
use super::only_aws::OnlyAws;
use crate::config::StreamName;
use crate::delivery::sink::{EntryError, KinesisSink, Placement, PutEntry, SinkDescription};
use crate::error::{ApiError, ErrorKind};
use crate::stream::SequenceNumber;

const PUT_RECORDS: &str = "PutRecords";

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

    /// Whether a put would be allowed, by PutRecords' own DryRun, which writes nothing. False when that was not asked: an
    /// endpoint that is not AWS' may not know DryRun and write.
    pub async fn dry_run(&self) -> Result<bool, ApiError> {
        let record = PutEntry { partition_key: Arc::from("check"), data: Bytes::from_static(b"{}") };
        let guard = OnlyAws::default();
        let answer = self
            .client
            .put_records()
            .set_stream_name(self.name())
            .set_stream_arn(self.arn())
            .set_records(Some(vec![request_entry(&record)?]))
            .dry_run(true)
            .customize()
            .interceptor(guard.clone())
            .send()
            .await;
        match answer.map_err(|error| from_sdk(PUT_RECORDS, &error)) {
            _ if guard.has_stopped() => Ok(false),
            Err(error) if error.code == "DryRunOperationException" => Ok(true),
            Err(error) => Err(error),
            Ok(_) => Err(unusable(PUT_RECORDS, "a dry run was answered as if it had been real")),
        }
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
        let records: Vec<_> = entries.iter().map(request_entry).collect::<Result<_, _>>()?;
        let answer = self
            .client
            .put_records()
            .set_stream_name(self.name())
            .set_stream_arn(self.arn())
            .set_records(Some(records))
            .customize()
            .config_override(aws_sdk_kinesis::config::Builder::new().timeout_config(time_limits(limit)))
            .send()
            .await
            .map_err(|error| from_sdk(PUT_RECORDS, &error))?;
        if answer.records().len() != entries.len() {
            let told = format!("{} results for {} records", answer.records().len(), entries.len());
            return Err(unusable(PUT_RECORDS, told));
        }
        Ok(answer.records().iter().map(placement).collect())
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
        .partition_key(entry.partition_key.as_ref())
        .data(Blob::new(entry.data.as_ref()))
        .build()
        .map_err(|error| ApiError::new(PUT_RECORDS, ErrorKind::Invalid, "RequestNotBuilt", error.to_string()))
}

/// What became of one entry.
fn placement(entry: &PutRecordsResultEntry) -> Result<Placement, EntryError> {
    if let Some(code) = entry.error_code() {
        return Err(EntryError {
            kind: kind_of_code(code).unwrap_or(ErrorKind::Transient),
            code: code.to_owned(),
            message: entry.error_message().unwrap_or_default().to_owned(),
        });
    }
    let place = entry.shard_id().zip(entry.sequence_number()).and_then(|(shard, number)| {
        Some(Placement { shard_id: Arc::from(shard), sequence_number: SequenceNumber::parse(number).ok()? })
    });
    place.ok_or_else(|| EntryError {
        kind: ErrorKind::Transient,
        code: "UnusableAnswer".to_owned(),
        message: "neither an ErrorCode nor a ShardId with a SequenceNumber".to_owned(),
    })
}

fn max_record_bytes(kib: Option<i32>) -> usize {
    kib.and_then(|kib| usize::try_from(kib).ok())
        .filter(|kib| *kib > 0)
        .map_or(DEFAULT_MAX_RECORD_BYTES, |kib| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_judged_by_their_own_code() {
        let accepted =
            PutRecordsResultEntry::builder().shard_id("shardId-000000000000").sequence_number("495").build();
        let accepted = placement(&accepted).expect("accepted");
        assert_eq!((&*accepted.shard_id, accepted.sequence_number.as_str()), ("shardId-000000000000", "495"));

        for (code, kind) in [
            ("ProvisionedThroughputExceededException", ErrorKind::Throttled),
            ("InternalFailure", ErrorKind::Transient),
            ("SomethingNew", ErrorKind::Transient),
        ] {
            // A code outweighs a place, should an answer hold both.
            let failed = PutRecordsResultEntry::builder()
                .error_code(code)
                .error_message("why")
                .shard_id("shardId-000000000000")
                .sequence_number("495")
                .build();
            let failed = placement(&failed).expect_err("failed");
            assert_eq!((failed.kind, failed.code.as_str(), failed.message.as_str()), (kind, code, "why"));
        }

        let neither = placement(&PutRecordsResultEntry::builder().build()).expect_err("neither");
        assert_eq!(neither.kind, ErrorKind::Transient);
    }

    #[test]
    fn record_limits() {
        assert_eq!(max_record_bytes(Some(10_240)), 10 * 1024 * 1024);
        for untold in [None, Some(0), Some(-1)] {
            assert_eq!(max_record_bytes(untold), 1024 * 1024, "{untold:?}");
        }
    }
}
