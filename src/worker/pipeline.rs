//! A pipeline as its tasks share it: one table's stream, one Kinesis stream, the way between them; and what all
//! pipelines of a worker share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::pacer::Pacer;
use super::record_limit::{Answer, RecordLimit};
use crate::config::{self, SourceOf, Start};
use crate::delivery::memory::Budget;
use crate::delivery::sink::KinesisSink;
use crate::delivery::writer::Shrink;
use crate::error::ApiError;
use crate::lease::order::Replay;
use crate::lease::row::ShardKey;
use crate::lease::store::LeaseStore;
use crate::machine::{Machine, MonoTime, timeout};
use crate::ops::health::Health;
use crate::ops::metrics::{Metrics, PipelineMetrics};
use crate::record::envelope::{Encoder, EncoderOptions};
use crate::record::key::KeySchema;
use crate::record::shrink::shrink;
use crate::stream::arn::{StreamArn, StreamArnError};
use crate::stream::lineage::{GONE_AFTER, Listing};
use crate::stream::page::StreamRecord;
use crate::stream::source::{ListShards, StreamSource};

/// GetRecords calls under way at a time in one process.
const GET_RECORDS_AT_A_TIME: usize = 64;
/// What a GetRecords call may need, reserved before it is made: a page of 1 MB, what the connection holds of it, its
/// parts and its records.
pub const PAGE_BYTES: usize = 4 << 20;
/// The longest any read of the source may take.
pub const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What a worker's pipelines share.
pub struct Shared {
    pub machine: Arc<dyn Machine>,
    pub store: LeaseStore,
    /// Changes in memory, of all pipelines.
    pub budget: Budget,
    pub get_records: Semaphore,
    /// Full listings: one DescribeStream call a second.
    pub sweeps: Pacer,
    /// Questions for a single shard's children.
    pub questions: Pacer,
    pub checkpoint_interval: Duration,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
}

impl Shared {
    pub fn new(
        machine: Arc<dyn Machine>,
        store: LeaseStore,
        budget: Budget,
        checkpoint_interval: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        let health = Arc::new(Health::new(Arc::clone(&machine)));
        Shared {
            machine,
            store,
            budget,
            get_records: Semaphore::new(GET_RECORDS_AT_A_TIME),
            sweeps: Pacer::new(Duration::from_secs(1)),
            questions: Pacer::new(Duration::from_millis(250)),
            checkpoint_interval,
            metrics,
            health,
        }
    }
}

/// What was learnt of a pipeline's two ends before it starts.
#[derive(Debug, Clone)]
pub struct Ends {
    pub table_arn: String,
    pub key_schema: KeySchema,
    pub sink_arn: String,
    /// The most bytes (data and partition key) that the sink takes in one record, as it tells at the start.
    pub max_record_bytes: usize,
}

/// One pipeline.
pub struct Pipeline {
    pub name: Arc<str>,
    pub settings: config::Pipeline,
    pub ends: Ends,
    pub source: Arc<dyn StreamSource>,
    pub sink: Arc<dyn KinesisSink>,
    pub metrics: PipelineMetrics,
    record_limit: Arc<RecordLimit>,
    /// This pipeline's part of the memory: one that cannot deliver leaves the others theirs.
    budget: Budget,
    /// This process has seen the pipeline run.
    has_run: AtomicBool,
    /// LATEST iterators taken by the first listing, for the shards' tasks to start with.
    latest: Mutex<BTreeMap<ShardKey, String>>,
    /// The ARNs of streams that are gone themselves, and since when that is known.
    gone: Mutex<BTreeMap<String, MonoTime>>,
}

impl Pipeline {
    pub fn new(
        settings: config::Pipeline,
        ends: Ends,
        source: Arc<dyn StreamSource>,
        sink: Arc<dyn KinesisSink>,
        metrics: &Metrics,
        budget: Budget,
    ) -> Self {
        let name: Arc<str> = settings.name.as_str().into();
        let metrics = metrics.pipeline(&name);
        let record_limit = Arc::new(RecordLimit::new(ends.max_record_bytes));
        Pipeline {
            name,
            settings,
            ends,
            source,
            sink,
            metrics,
            record_limit,
            budget,
            has_run: AtomicBool::new(false),
            latest: Mutex::default(),
            gone: Mutex::default(),
        }
    }

    /// A shard's part of the pipeline's memory: one with a key that cannot be delivered leaves room for the others. Half,
    /// not less: a stream of one shard must be able to wait for a target shard that is behind.
    pub fn shard_budget(&self) -> Budget {
        self.budget.part((self.budget.limit() / 2).max(2 * PAGE_BYTES))
    }

    /// The pipeline's stream row says that its first listing was stored.
    pub fn has_run(&self) {
        self.has_run.store(true, Ordering::Release);
    }

    /// Where a first start begins. One that ran already and whose rows are gone (somebody deleted the lease table) begins
    /// at the oldest change: at the latest, what came meanwhile would be lost (P1).
    pub fn start(&self) -> Start {
        if self.has_run.load(Ordering::Acquire) { Start::TrimHorizon } else { self.settings.source.start }
    }

    /// The ARN of this pipeline's stream with a label.
    pub fn stream_arn(&self, label: &str) -> Result<StreamArn, StreamArnError> {
        StreamArn::parse(&format!("{}/stream/{label}", self.ends.table_arn))
    }

    /// The encoder for the changes of one stream, some of them perhaps carried again.
    pub fn encoder(&self, stream: StreamArn, replay: Option<&Replay>) -> Encoder {
        let encoder = Encoder::new(EncoderOptions {
            format: self.settings.record.format,
            key_mode: self.settings.record.partition_key,
            key_schema: self.ends.key_schema.clone(),
            stream,
            limit_bytes: self.record_limit.bytes(),
            oversize: self.settings.sink.oversize,
            selection: self.settings.record.selection.clone(),
        });
        match replay.and_then(|replay| Some((replay.mark.as_ref()?, replay.until_ms))) {
            Some((mark, until_ms)) => encoder.marking(mark.as_str(), until_ms),
            None => encoder,
        }
    }

    /// What becomes of a record that Kinesis refuses.
    pub fn shrink(&self) -> Shrink {
        let (format, oversize) = (self.settings.record.format, self.settings.sink.oversize);
        let record_limit = Arc::clone(&self.record_limit);
        Arc::new(move |data| {
            record_limit.doubt();
            match oversize {
                config::Oversize::DropImages => shrink(format, data),
                config::Oversize::Halt => None,
            }
        })
    }

    /// The most bytes that the sink takes in one record, asked for anew where it is time or these changes give reason.
    pub async fn record_limit(&self, machine: &dyn Machine, records: &[StreamRecord<'_>]) -> usize {
        match self.record_limit.renew(&*self.sink, machine, records).await {
            None | Some(Answer::Same) => {}
            Some(Answer::Changed(before)) => tracing::info!(
                pipeline = &*self.name,
                before,
                bytes = self.record_limit.bytes(),
                "the target stream's largest record has changed (MaxRecordSizeInKiB)"
            ),
            Some(Answer::Failed(error, None)) => self.failed(&error),
            Some(Answer::Failed(error, Some(times))) => {
                self.failed(&error);
                tracing::warn!(
                    pipeline = &*self.name,
                    times,
                    bytes = self.record_limit.bytes(),
                    "how large the target stream's records may be is not known anew, the last answer counts: {error}"
                );
            }
        }
        self.record_limit.bytes()
    }

    pub fn keep_latest(&self, key: ShardKey, iterator: String) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).insert(key, iterator);
    }

    pub fn take_latest(&self, key: &ShardKey) -> Option<String> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }

    /// Counts a failed call.
    pub fn failed(&self, error: &ApiError) {
        self.metrics.api_error(error);
    }

    /// The labels of the streams that there are to read: those that DynamoDB lists, or the one configured.
    pub async fn labels(&self, shared: &Shared) -> Result<BTreeSet<String>, ApiError> {
        const API: &str = "ListStreams";
        let table = match &self.settings.source.of {
            SourceOf::StreamArn(arn) => return Ok(BTreeSet::from([arn_label(arn)])),
            SourceOf::Table(_) => self.settings.source.of.table_name(),
        };
        let mut labels = BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let call = self.source.list_streams(table, after.as_deref());
            let page = timeout(&*shared.machine, READ_TIMEOUT, call).await;
            let page = page.unwrap_or_else(|| Err(ApiError::timeout(API, READ_TIMEOUT)))?;
            // One emulator lists the streams of every table.
            let own = page.streams.into_iter().filter(|stream| stream.table_name == table);
            labels.extend(own.map(|stream| stream.label));
            after = page.last_evaluated;
            if after.is_none() {
                return Ok(labels);
            }
        }
    }

    /// Whether the stream itself was known to be gone a minute before that moment, and was not seen since. Then none of its
    /// shards waits for a minute of its own, which a wrong clock of the host would make it do.
    pub fn is_long_gone(&self, stream: &StreamArn, asked_at: MonoTime) -> bool {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.get(&stream.arn).is_some_and(|since| asked_at.since(*since) >= GONE_AFTER)
    }

    /// Reads every page of a stream's listing, one a turn of the sweeps.
    pub async fn list(&self, shared: &Shared, stream: &StreamArn) -> Result<Listing, ApiError> {
        const API: &str = "DescribeStream";
        let (mut shards, mut served_at_ms) = (BTreeMap::new(), None);
        let mut after = None;
        loop {
            shared.sweeps.turn(&*shared.machine).await;
            let query = ListShards::All { after };
            let call = self.source.describe_stream(stream, &query);
            let page = match timeout(&*shared.machine, READ_TIMEOUT, call).await {
                Some(Err(error)) if error.kind == crate::error::ErrorKind::NotFound => {
                    let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
                    gone.entry(stream.arn.clone()).or_insert_with(|| shared.machine.now());
                    return Ok(Listing::Gone);
                }
                Some(page) => page?,
                None => return Err(ApiError::timeout(API, READ_TIMEOUT)),
            };
            served_at_ms = served_at_ms.or(page.served_at_ms);
            shards.extend(page.shards.into_iter().map(|shard| (shard.id.clone(), shard)));
            after = page.last_evaluated;
            if after.is_none() {
                self.gone.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream.arn);
                return Ok(Listing::Shards { status: page.status, shards, served_at_ms });
            }
        }
    }
}

fn arn_label(arn: &str) -> String {
    arn.rsplit_once("/stream/").map_or_else(String::new, |(_, label)| label.to_owned())
}
