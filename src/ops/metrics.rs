//! The figures that the worker counts, named as DESIGN's contract has them (prefix `ddb_kinesis_bridge_`). Each worker
//! owns its registry, so that several run in one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::board::Worst;
use super::words::Words;
use crate::error::ApiError;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PipelineLabel {
    pipeline: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RetryLabels {
    pipeline: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    api: String,
    code: String,
}

/// All figures of one worker.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    progress: Progress,
    api_errors: ApiErrors,
    /// Leases lost to another worker, or with the session.
    pub lease_losses: Counter,
    /// Bytes of changes in memory.
    pub buffered_bytes: Gauge,
}

type ByPipeline = Family<PipelineLabel, Counter>;
type GaugeByPipeline = Family<PipelineLabel, Gauge>;
type SecondsByPipeline = Family<PipelineLabel, Gauge<f64, AtomicU64>>;
type HistogramByPipeline = Family<PipelineLabel, Histogram, fn() -> Histogram>;

#[derive(Debug)]
struct Families {
    changes_read: ByPipeline,
    changes_delivered: ByPipeline,
    changes_filtered: ByPipeline,
    records_put: ByPipeline,
    checkpoints: ByPipeline,
    gaps: ByPipeline,
    truncated: ByPipeline,
    order_inversions: ByPipeline,
    get_records_calls: ByPipeline,
    leases_owned: GaugeByPipeline,
    halted_shards: GaugeByPipeline,
    paced_target_shards: GaugeByPipeline,
    held_bytes: GaugeByPipeline,
    put_retries: PutRetries,
    put_duration: HistogramByPipeline,
    delivery_lag: HistogramByPipeline,
}

/// One pipeline's figures, resolved once so that counting costs an addition.
#[derive(Debug, Clone)]
pub struct PipelineMetrics {
    pipeline: String,
    pub changes_read: Counter,
    pub changes_delivered: Counter,
    pub changes_filtered: Counter,
    pub records_put: Counter,
    pub checkpoints: Counter,
    pub gaps: Counter,
    pub truncated: Counter,
    pub order_inversions: Counter,
    pub get_records_calls: Counter,
    pub leases_owned: Gauge,
    pub halted_shards: Gauge,
    /// Kinesis shards that take less than there is for them.
    pub paced_target_shards: Gauge,
    /// Bytes of changes that wait for such shards.
    pub held_bytes: Gauge,
    /// Seconds a PutRecords or PutRecord call took.
    pub put_duration: Histogram,
    /// Seconds from a change to its acknowledgement.
    pub delivery_lag: Histogram,
    put_retries: PutRetries,
    api_errors: ApiErrors,
}

/// How far a pipeline's shards held here are: the worst of them, as of the last look. Where nothing is known there is no
/// series; a 0 would say that all is well, or that all is lost.
#[derive(Debug)]
struct Progress {
    shard_lag: SecondsByPipeline,
    oldest_unacknowledged: SecondsByPipeline,
    until_trim: SecondsByPipeline,
}

impl Progress {
    fn register(r: &mut Registry) -> Self {
        Progress {
            shard_lag: add(
                r,
                "shard_lag_seconds",
                "Age of the oldest change that is not delivered, at most; while all is, time since the last read",
                Family::default(),
            ),
            oldest_unacknowledged: add(
                r,
                "oldest_unacknowledged_seconds",
                "How long the oldest change that was read has waited for its acknowledgement",
                Family::default(),
            ),
            until_trim: add(
                r,
                "seconds_until_trim",
                "Until the stream drops the oldest change that is not delivered",
                Family::default(),
            ),
        }
    }

    fn show(&self, pipeline: &str, worst: Option<Worst>) {
        let label = PipelineLabel { pipeline: pipeline.to_owned() };
        for (family, value) in [
            (&self.shard_lag, worst.and_then(|worst| worst.lag)),
            (&self.oldest_unacknowledged, worst.map(|worst| worst.waiting)),
            (&self.until_trim, worst.and_then(Worst::until_trim)),
        ] {
            match value {
                Some(value) => {
                    family.get_or_create(&label).set(value.as_secs_f64());
                }
                None => {
                    family.remove(&label);
                }
            }
        }
    }
}

/// Failed calls. The codes are the services' words: bounded.
#[derive(Debug, Clone, Default)]
struct ApiErrors {
    family: Family<ErrorLabels, Counter>,
    codes: Arc<Words>,
}

impl ApiErrors {
    fn count(&self, error: &ApiError) {
        let labels = ErrorLabels { api: error.api.to_owned(), code: self.codes.admit(&error.code) };
        self.family.get_or_create(&labels).inc();
    }
}

/// Records sent again. The reasons are Kinesis' words: bounded.
#[derive(Debug, Clone, Default)]
struct PutRetries {
    family: Family<RetryLabels, Counter>,
    reasons: Arc<Words>,
}

fn add<M: prometheus_client::registry::Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn put_buckets() -> Histogram {
    Histogram::new([0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0])
}

fn lag_buckets() -> Histogram {
    Histogram::new([0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0, 86_400.0])
}

impl Families {
    fn register(r: &mut Registry) -> Self {
        let put_retries = PutRetries::default();
        add(r, "put_retries", "Records sent again, by reason", put_retries.family.clone());
        Families {
            changes_read: add(r, "changes_read", "Changes read from the stream", Family::default()),
            changes_delivered: add(
                r,
                "changes_delivered",
                "Changes that Kinesis acknowledged",
                Family::default(),
            ),
            changes_filtered: add(
                r,
                "changes_filtered",
                "Changes that a filter or the start position left out",
                Family::default(),
            ),
            records_put: add(r, "records_put", "Kinesis records acknowledged", Family::default()),
            checkpoints: add(r, "checkpoints", "Checkpoints stored in the lease table", Family::default()),
            gaps: add(
                r,
                "gaps",
                "Possible gaps: the stream's retention passed, or it was disabled",
                Family::default(),
            ),
            truncated: add(
                r,
                "truncated",
                "Changes delivered without an image that was too large",
                Family::default(),
            ),
            order_inversions: add(
                r,
                "order_inversions",
                "Acknowledgements that break the assumed order of Kinesis",
                Family::default(),
            ),
            get_records_calls: add(
                r,
                "get_records_calls",
                "GetRecords calls, each billed by DynamoDB",
                Family::default(),
            ),
            leases_owned: add(r, "leases_owned", "Shards that this worker owns", Family::default()),
            halted_shards: add(
                r,
                "halted_shards",
                "Shards that stopped and need an operator",
                Family::default(),
            ),
            paced_target_shards: add(
                r,
                "paced_target_shards",
                "Kinesis shards at their limit, whose changes wait for them",
                Family::default(),
            ),
            held_bytes: add(
                r,
                "held_bytes",
                "Bytes of changes that wait for Kinesis shards at their limit",
                Family::default(),
            ),
            put_retries,
            put_duration: add(
                r,
                "put_duration_seconds",
                "Duration of PutRecords or PutRecord calls",
                Family::new_with_constructor(put_buckets as fn() -> Histogram),
            ),
            delivery_lag: add(
                r,
                "delivery_lag_seconds",
                "From a change to its acknowledgement by Kinesis",
                Family::new_with_constructor(lag_buckets as fn() -> Histogram),
            ),
        }
    }
}

impl Metrics {
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("ddb_kinesis_bridge");
        let families = Families::register(&mut registry);
        let progress = Progress::register(&mut registry);
        let api_errors = ApiErrors::default();
        let family = api_errors.family.clone();
        registry.register("api_errors", "Failed AWS calls, by operation and error code", family);
        let lease_losses = Counter::default();
        registry.register(
            "lease_losses",
            "Leases lost to another worker, or with the session",
            lease_losses.clone(),
        );
        let buffered_bytes = Gauge::default();
        registry.register("buffered_bytes", "Bytes of changes in memory", buffered_bytes.clone());
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running program", build);
        Arc::new(Metrics { registry, families, progress, api_errors, lease_losses, buffered_bytes })
    }

    /// One pipeline's figures.
    pub fn pipeline(&self, pipeline: &str) -> PipelineMetrics {
        let label = PipelineLabel { pipeline: pipeline.to_owned() };
        let f = &self.families;
        PipelineMetrics {
            pipeline: pipeline.to_owned(),
            changes_read: f.changes_read.get_or_create(&label).clone(),
            changes_delivered: f.changes_delivered.get_or_create(&label).clone(),
            changes_filtered: f.changes_filtered.get_or_create(&label).clone(),
            records_put: f.records_put.get_or_create(&label).clone(),
            checkpoints: f.checkpoints.get_or_create(&label).clone(),
            gaps: f.gaps.get_or_create(&label).clone(),
            truncated: f.truncated.get_or_create(&label).clone(),
            order_inversions: f.order_inversions.get_or_create(&label).clone(),
            get_records_calls: f.get_records_calls.get_or_create(&label).clone(),
            leases_owned: f.leases_owned.get_or_create(&label).clone(),
            halted_shards: f.halted_shards.get_or_create(&label).clone(),
            paced_target_shards: f.paced_target_shards.get_or_create(&label).clone(),
            held_bytes: f.held_bytes.get_or_create(&label).clone(),
            put_duration: f.put_duration.get_or_create(&label).clone(),
            delivery_lag: f.delivery_lag.get_or_create(&label).clone(),
            put_retries: f.put_retries.clone(),
            api_errors: self.api_errors.clone(),
        }
    }

    /// Counts a failed call.
    pub fn api_error(&self, error: &ApiError) {
        self.api_errors.count(error);
    }

    /// Sets what is looked at rather than counted, for these pipelines.
    pub fn look<'a>(
        &self,
        pipelines: impl IntoIterator<Item = &'a str>,
        worst: &BTreeMap<Arc<str>, Worst>,
        buffered_bytes: usize,
    ) {
        for pipeline in pipelines {
            self.progress.show(pipeline, worst.get(pipeline).copied());
        }
        self.buffered_bytes.set(i64::try_from(buffered_bytes).unwrap_or(i64::MAX));
    }

    /// The figures in the Prometheus text format.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

impl PipelineMetrics {
    /// Counts records that are sent again.
    pub fn put_retry(&self, reason: &str, records: u64) {
        let reason = self.put_retries.reasons.admit(reason);
        let labels = RetryLabels { pipeline: self.pipeline.clone(), reason };
        self.put_retries.family.get_or_create(&labels).inc_by(records);
    }

    /// Counts a failed call.
    pub fn api_error(&self, error: &ApiError) {
        self.api_errors.count(error);
    }
}
