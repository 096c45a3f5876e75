//! The start: from a configuration to a running worker over AWS. Everything is asked before anything is written, so that
//! a mistake in one pipeline leaves no trace of another.

use std::sync::Arc;

use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::sync::watch;

use crate::aws::check::connections;
use crate::aws::probe::{
    self, LEASE_TABLE_SECTION, LeaseTableState, Patience, Problem, sink_section, source_section,
};
use crate::aws::{Aws, DynamoLeaseTable};
use crate::config::{self, Config};
use crate::delivery::memory::Budget;
use crate::error::ApiError;
use crate::lease::session::{Identity, SessionError, SessionTiming};
use crate::lease::store::LeaseStore;
use crate::machine::{Machine, RealMachine};
use crate::ops::emf::Emf;
use crate::ops::emf_log::EmfLog;
use crate::ops::metrics::Metrics;
use crate::ops::page::Page;
use crate::ops::shown::Shown;
use crate::ops::{http, systemd};
use crate::status::Reading;
use crate::status::kept::Kept;
use crate::worker::pipeline::{Ends, PAGE_BYTES, Pipeline, Shared};
use crate::worker::{NotThisPipeline, Worker, WorkerSettings};

/// Why the bridge did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error("[lease_table]: {0}")]
    LeaseTable(#[from] ApiError),
    /// The configuration contradicts what the lease table holds.
    #[error(transparent)]
    NotThisPipeline(#[from] NotThisPipeline),
    /// The configuration contradicts what AWS says of a stream or table; at least one.
    #[error("{}", shown(.0))]
    Contradicted(Vec<Problem>),
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl StartError {
    /// Whether it is the user's to correct, in the configuration.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NotThisPipeline(_) | Self::Contradicted(_))
    }
}

fn shown(problems: &[Problem]) -> String {
    match problems {
        [only] => only.to_string(),
        all => {
            let lines: Vec<String> = all.iter().map(|problem| format!("\n  {problem}")).collect();
            format!("the configuration has {} errors{}", all.len(), lines.concat())
        }
    }
}

/// Nothing, unless there are problems.
fn contradicted(problems: Vec<Problem>) -> Result<(), StartError> {
    if problems.is_empty() { Ok(()) } else { Err(StartError::Contradicted(problems)) }
}

/// A bridge that is ready to run.
pub struct Bridge {
    worker: Worker,
    listen: Option<std::net::SocketAddr>,
    emf: Option<Emf>,
    page: Page,
}

impl Bridge {
    /// Asks AWS for all that the configuration names, and makes sure of the lease table last. `credentials` stand in for
    /// the SDK's own search for them.
    pub async fn prepare(
        config: Config,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Result<Self, StartError> {
        let machine: Arc<dyn Machine> = Arc::new(RealMachine::new());
        let metrics = Metrics::new();
        let counting = {
            let metrics = Arc::clone(&metrics);
            Arc::new(move |error: &ApiError| metrics.api_error(error))
        };
        let aws = Aws::load(connections(&config), credentials).await.keeping_sessions(&machine, counting);
        let patience = Patience::at_start(&*machine);
        let memory_limit = usize::try_from(config.worker.memory_limit_bytes).unwrap_or(usize::MAX);
        let budget = Budget::new(memory_limit);

        let mut pipelines = Vec::new();
        for settings in &config.pipelines {
            let part = budget.part(memory_limit / config.pipelines.len());
            warn_of_little_memory(&settings.name, part.limit());
            pipelines.push(Arc::new(pipeline(&aws, settings.clone(), &patience, &metrics, part).await?));
        }
        let tables = pipelines
            .iter()
            .map(|pipeline: &Arc<Pipeline>| (&pipeline.settings, pipeline.ends.table_arn.as_str()));
        contradicted(probe::third_readers(tables))?;
        let store = lease_store(&aws, &config, &machine, &patience, &pipelines).await?;

        let shared = Shared::new(machine, store, budget, config.lease_table.checkpoint_interval, metrics);
        let settings = WorkerSettings {
            identity: Identity {
                id: config.worker.id.clone(),
                host: host(),
                pipelines: config.pipelines.iter().map(|pipeline| pipeline.name.clone()).collect(),
            },
            timing: session_timing(&config),
            shutdown_timeout: config.worker.shutdown_timeout,
        };
        let worker = Worker { shared: Arc::new(shared), pipelines, settings };
        let emf = config.metrics.emf.then(|| Emf::new(&config.metrics.namespace, &config.worker.id));
        let page = page(&config, &worker);
        Ok(Bridge { worker, listen: config.http.listen, emf, page })
    }

    /// Runs until `stop` turns true, and drains then.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<(), StartError> {
        let (shown, machine) = (self.shown(), Arc::clone(&self.worker.shared.machine));
        // Dropped with this function's end, and the tasks with them.
        let _listener = self.listen.map(|address| {
            let (shown, page) = (shown.clone(), self.page.clone());
            machine.spawn(Box::pin(http::serve(address, shown, page, Arc::clone(&machine))))
        });
        let _manager =
            machine.spawn(Box::pin(systemd::tell(shown.clone(), stop.clone(), Arc::clone(&machine))));
        let Some(emf) = self.emf else { return Ok(self.worker.run(stop).await?) };
        let mut log = EmfLog::new(emf, shown, machine);
        let result = {
            let work = std::pin::pin!(self.worker.run(stop));
            tokio::select! {
                biased;
                result = work => result,
                never = log.keep() => match never {},
            }
        };
        // What came since the last minute.
        log.write().await;
        Ok(result?)
    }

    fn shown(&self) -> Shown {
        let shared = &self.worker.shared;
        Shown {
            metrics: Arc::clone(&shared.metrics),
            health: Arc::clone(&shared.health),
            budget: shared.budget.clone(),
            pipelines: self.worker.pipelines.iter().map(|pipeline| Arc::clone(&pipeline.name)).collect(),
        }
    }
}

/// What the status page reads: the lease table, through the worker's own connection, when somebody looks.
fn page(config: &Config, worker: &Worker) -> Page {
    let (shared, table) = (&worker.shared, &config.lease_table);
    let machine = Arc::clone(&shared.machine);
    let reading =
        Reading::new(shared.store.clone(), &table.name, Arc::clone(&machine), table.heartbeat_interval);
    let names = config.pipelines.iter().map(|pipeline| pipeline.name.clone()).collect();
    Page {
        worker: config.worker.id.as_str().into(),
        health: Arc::clone(&shared.health),
        status: Arc::new(Kept::new(reading, names, machine)),
    }
}

/// With less than a few pages' room, one shard that waits for Kinesis takes what the pipeline's others would read with.
fn warn_of_little_memory(pipeline: &str, bytes: usize) {
    const ENOUGH_BYTES: usize = 4 * PAGE_BYTES;
    if bytes < ENOUGH_BYTES {
        tracing::warn!(
            pipeline,
            bytes,
            "worker.memory_limit leaves this pipeline little: a shard that waits can hold up its others; set it to \
             {} MiB or more for each pipeline",
            ENOUGH_BYTES >> 20
        );
    }
}

/// Asks for a pipeline's two ends.
pub(crate) async fn pipeline(
    aws: &Aws,
    settings: config::Pipeline,
    patience: &Patience<'_>,
    metrics: &Metrics,
    budget: Budget,
) -> Result<Pipeline, StartError> {
    let section = source_section(&settings.name);
    let connection = &settings.source.connection;
    let source = aws.source(&section, connection).map_err(Problem::from)?;
    let facts = probe::source::probe(&source, &section, &settings.source.of, patience).await?;
    contradicted(probe::contradictions(&settings, &facts))?;
    let section = sink_section(&settings.name);
    let sink = &settings.sink;
    let kinesis = aws.sink(&section, &sink.connection, &sink.stream).map_err(Problem::from)?;
    let target = probe::sink::probe(&kinesis, &section, &sink.stream, patience).await?;
    contradicted(probe::sink::fits(sink, &section, &target).err().into_iter().collect())?;
    let ends = Ends {
        table_arn: facts.stream.table_arn,
        key_schema: facts.key_schema,
        sink_arn: target.arn,
        max_record_bytes: target.max_record_bytes,
    };
    Ok(Pipeline::new(settings, ends, Arc::new(source), Arc::new(kinesis), metrics, budget))
}

/// Makes sure of the lease table, once every pipeline is known to be the one that it says it is.
async fn lease_store(
    aws: &Aws,
    config: &Config,
    machine: &Arc<dyn Machine>,
    patience: &Patience<'_>,
    pipelines: &[Arc<Pipeline>],
) -> Result<LeaseStore, StartError> {
    let LeaseTable { client, state, store } = lease_table(aws, config, machine, patience).await?;
    if state == LeaseTableState::Ready {
        for pipeline in pipelines {
            let row = patience.ask(LEASE_TABLE_SECTION, || store.stream_row(&pipeline.name)).await?;
            match row {
                Some(Ok(row)) => pipeline.recognise(&row)?,
                Some(Err(bad)) => {
                    return Err(NotThisPipeline::BadRow { pipeline: pipeline.name.to_string(), bad }.into());
                }
                None => {}
            }
        }
    }
    probe::lease_table::prepare(&client, &config.lease_table, patience).await?;
    Ok(store)
}

/// The lease table as it was found.
pub(crate) struct LeaseTable {
    client: aws_sdk_dynamodb::Client,
    pub(crate) state: LeaseTableState,
    pub(crate) store: LeaseStore,
}

/// Looks at the lease table; writes nothing.
pub(crate) async fn lease_table(
    aws: &Aws,
    config: &Config,
    machine: &Arc<dyn Machine>,
    patience: &Patience<'_>,
) -> Result<LeaseTable, StartError> {
    let table = &config.lease_table;
    let client = aws.dynamodb(LEASE_TABLE_SECTION, &table.connection).map_err(Problem::from)?;
    let state = probe::lease_table::probe(&client, table, patience).await?;
    let adapter = DynamoLeaseTable::new(client.clone(), table.name.clone()).restored(table.create);
    Ok(LeaseTable { client, state, store: LeaseStore::new(Arc::new(adapter), Arc::clone(machine)) })
}

/// How this configuration's sessions are kept.
pub(crate) fn session_timing(config: &Config) -> SessionTiming {
    SessionTiming {
        heartbeat_interval: config.lease_table.heartbeat_interval,
        failover_time: config.lease_table.failover_time,
    }
}

pub(crate) fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
