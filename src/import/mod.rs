//! An import: the Kinesis Client Library's place in a table's streams becomes ours, so that an application on it is
//! replaced without a gap. It reads the application's lease table and what DynamoDB lists, and writes the pipeline's first
//! rows; of the application's table it changes nothing.
//!
//! The rows are written only for a pipeline that has none: its stream row is created under a condition, so a worker that
//! began the pipeline in the same moment wins or finds it. Until every row is there that row holds an order as a rewind's
//! does, which keeps workers away; broken off anywhere, the import is run again.

pub mod lease;
pub mod plan;
mod prepare;
mod proposal;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aws::kcl_table;
use crate::config;
use crate::error::{ApiError, ErrorKind};
use crate::lease::order::Rewind;
use crate::lease::rewind::Listings;
use crate::lease::row::StreamRow;
use crate::lease::store::{CALL_TIMEOUT, LeaseStore};
use crate::retry::Retry;
use crate::start::StartError;
use crate::stream::arn::StreamArn;
use crate::worker::NotThisPipeline;
use crate::worker::pipeline::{Pipeline, Shared};
use lease::KclLease;
use plan::{LatestAs, Plan, plan};

pub use prepare::prepare;
pub use proposal::Proposal;

/// How often a write is tried again after a passing error.
const TRIES: u32 = 10;
/// The most leases that an error names.
const MOST_NAMED: usize = 5;
/// Subtracted from the service's clock where `now` is the beginning: changes' times are whole seconds, rounded down.
const NOW_MARGIN_MS: u64 = 2_000;

/// Why there is no import, or only a part of one.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// What was asked for cannot be; nothing was changed.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0}")]
    Api(#[from] ApiError),
    #[error("{error}; once that is mended, run the same command again: it goes on where it stopped")]
    BrokeOff { error: ApiError },
}

impl ImportError {
    /// Whether it is the user's to correct, in the arguments, the configuration or one of the tables.
    pub fn is_usage(&self) -> bool {
        match self {
            ImportError::Refused(_) => true,
            ImportError::Start(error) => error.is_usage(),
            _ => false,
        }
    }
}

impl From<NotThisPipeline> for ImportError {
    fn from(error: NotThisPipeline) -> Self {
        ImportError::Start(error.into())
    }
}

/// What stands for LATEST, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatestOption {
    TrimHorizon,
    Now,
    /// Epoch milliseconds.
    From(u64),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The application's lease table.
    pub table: String,
    pub latest_as: Option<LatestOption>,
    /// How long the leases must stand still.
    pub wait: Duration,
}

/// An import and what it is to be carried out with.
pub struct Importing {
    shared: Shared,
    pipeline: Pipeline,
    wish: Wish,
    kcl: aws_sdk_dynamodb::Client,
    /// To create the lease table with.
    ours: aws_sdk_dynamodb::Client,
    lease_table: config::LeaseTable,
    has_lease_table: bool,
}

impl Importing {
    /// What the import would write; refused where it cannot be done. Changes nothing.
    pub async fn propose(&self) -> Result<Proposal, ImportError> {
        if self.has_lease_table {
            self.stored().await?;
        }
        let before = self.leases().await?.0;
        self.shared.machine.sleep(self.wish.wait).await;
        let (leases, others) = self.leases().await?;
        self.must_stand_still(&before, &leases)?;
        let listings = self.list().await?;
        let Some(label) = listings.keys().next_back() else {
            return Err(ImportError::Refused(format!(
                "table {} has no stream",
                self.pipeline.ends.table_arn
            )));
        };
        let now_ms = listings.values().filter_map(|listing| listing.served_at_ms()).max();
        let now_ms = now_ms.unwrap_or_else(|| self.shared.machine.wall_ms());
        let latest_as = self.wish.latest_as.map(|option| match option {
            LatestOption::TrimHorizon => LatestAs::TrimHorizon,
            LatestOption::Now => LatestAs::From(now_ms.saturating_sub(NOW_MARGIN_MS)),
            LatestOption::From(ms) => LatestAs::From(ms),
        });
        let plan = plan(&leases, &self.arn(label)?, &listings, latest_as, now_ms)
            .map_err(|what| ImportError::Refused(format!("KCL lease table {:?}: {what}", self.wish.table)))?;
        let (pipeline, table) = (self.pipeline.name.to_string(), self.wish.table.clone());
        Ok(Proposal { pipeline, table, leases: leases.len(), others, plan })
    }

    /// Writes the rows.
    pub async fn carry_out(&self, proposal: &Proposal) -> Result<(), ImportError> {
        prepare::lease_table(self).await?;
        let mut retry = Retry::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut let_go = None;
        loop {
            match self.write(&proposal.plan, &mut let_go).await {
                // A row that was written before its answer was lost is seen to be there next time.
                Err(ImportError::Api(error)) if may_pass(&error) && retry.attempts() < TRIES => {
                    let machine = &self.shared.machine;
                    machine.sleep(retry.next(machine.random())).await;
                }
                Err(ImportError::Api(error)) => return Err(ImportError::BrokeOff { error }),
                result => return result,
            }
        }
    }

    /// Writes what is not there yet, the stream row first and again last. `let_go` is that last write's revision, once it
    /// was sent: its answer may be lost.
    async fn write(&self, plan: &Plan, let_go: &mut Option<u64>) -> Result<(), ImportError> {
        let (store, name) = (&self.shared.store, &*self.pipeline.name);
        if let Some(revision) = *let_go
            && self.is_let_go(revision).await?
        {
            return Ok(());
        }
        let held = match self.stored().await? {
            Some(held) => held,
            None => {
                let row = self.first_row(plan);
                store.create_stream_row(name, &row).await?;
                row
            }
        };
        let there: BTreeMap<_, _> = store.shards(name).await?.into_iter().collect();
        let finished: BTreeMap<_, _> = store.finished_shards(name).await?.into_iter().collect();
        for (key, row) in plan.finished.iter().filter(|(key, _)| !finished.contains_key(*key)) {
            store.create_finished(name, key, row, held.revision).await?;
        }
        for (key, row) in plan.shards.iter().filter(|(key, _)| !there.contains_key(*key)) {
            store.create_shard(name, key, row, held.revision).await?;
        }
        let free = StreamRow { rewind: None, revision: held.revision + 1, ..held.clone() };
        *let_go = Some(free.revision);
        Ok(store.update_stream_row(name, &held, &free, CALL_TIMEOUT).await?)
    }

    /// Whether the last write took effect. Workers may have gone on from there.
    async fn is_let_go(&self, revision: u64) -> Result<bool, ImportError> {
        let row = self.shared.store.stream_row(&self.pipeline.name).await?;
        Ok(row.is_some_and(|row| row.is_ok_and(|row| row.rewind.is_none() && row.revision >= revision)))
    }

    /// Its first listing counts as stored: shards found later are carried whole, whatever `start` says.
    fn first_row(&self, plan: &Plan) -> StreamRow {
        let ends = self.pipeline.stored_ends();
        StreamRow {
            table_arn: ends.table_arn,
            sink_arn: ends.sink_arn,
            partition_key: ends.partition_key,
            streams: plan.streams.clone(),
            initialized: true,
            discovery_owner: None,
            discovery_epoch: 1,
            revision: 1,
            gaps: plan.gaps.clone(),
            rewind: Some(Rewind::of_import(self.shared.machine.wall_ms())),
        }
    }

    /// The stream row of an import that broke off. A pipeline that has run is refused.
    async fn stored(&self) -> Result<Option<StreamRow>, ImportError> {
        let (store, name): (&LeaseStore, _) = (&self.shared.store, &self.pipeline.name);
        let Some(row) = store.stream_row(name).await? else {
            let shards = store.shards(name).await?.len() + store.finished_shards(name).await?.len();
            return if shards == 0 { Ok(None) } else { Err(self.has_rows()) };
        };
        let row = row.map_err(|bad| NotThisPipeline::BadRow { pipeline: name.to_string(), bad })?;
        if !row.rewind.as_ref().is_some_and(Rewind::is_import) {
            return Err(self.has_rows());
        }
        self.pipeline.recognise(&row)?;
        Ok(Some(row))
    }

    fn has_rows(&self) -> ImportError {
        ImportError::Refused(format!(
            "pipeline {:?} has rows in the lease table: it has run already, and its own place counts. Import under another \
             pipeline name, or go back with rewind",
            self.pipeline.name
        ))
    }

    async fn leases(&self) -> Result<(BTreeMap<String, KclLease>, usize), ImportError> {
        let table = &self.wish.table;
        let rows = kcl_table::scan(&self.kcl, table).await.map_err(|error| match error.kind {
            ErrorKind::NotFound => ImportError::Refused(format!(
                "KCL lease table {table:?} does not exist: it has the application's name, in the account and Region of the \
                 pipeline's source"
            )),
            ErrorKind::Denied => ImportError::Refused(format!(
                "KCL lease table {table:?}: access denied: allow dynamodb:Scan on it to the identity of the pipeline's \
                 source ({})",
                error.message
            )),
            _ => error.into(),
        })?;
        let refused = |what: String| ImportError::Refused(format!("KCL lease table {table:?}: {what}"));
        let (leases, others) = lease::leases(&rows).map_err(|bad| refused(bad.to_string()))?;
        if leases.is_empty() {
            return Err(refused(format!("none of its {others} rows is a KCL lease (leaseKey, checkpoint)")));
        }
        Ok((leases, others))
    }

    /// A lease that moves has a worker: what it processes from now on would be carried twice.
    fn must_stand_still(
        &self,
        before: &BTreeMap<String, KclLease>,
        now: &BTreeMap<String, KclLease>,
    ) -> Result<(), ImportError> {
        let keys = before.keys().chain(now.keys().filter(|key| !before.contains_key(*key)));
        let moved: Vec<&str> =
            keys.filter(|key| before.get(*key) != now.get(*key)).map(String::as_str).collect();
        if moved.is_empty() {
            return Ok(());
        }
        Err(ImportError::Refused(format!(
            "the KCL application still runs: {} of its leases moved within {} ({}{}). Stop all of its workers, for good, \
             then run this again",
            moved.len(),
            humantime::format_duration(self.wish.wait),
            moved.iter().take(MOST_NAMED).copied().collect::<Vec<_>>().join(", "),
            if moved.len() > MOST_NAMED { ", …" } else { "" }
        )))
    }

    async fn list(&self) -> Result<Listings, ImportError> {
        let mut listings = Listings::new();
        for label in self.pipeline.labels(&self.shared).await? {
            let listing = self.pipeline.list(&self.shared, &self.arn(&label)?).await?;
            listings.insert(label, listing);
        }
        Ok(listings)
    }

    fn arn(&self, label: &str) -> Result<StreamArn, ImportError> {
        let arn = self.pipeline.stream_arn(label);
        arn.map_err(|error| ImportError::Refused(error.to_string()))
    }
}

/// What is looked at anew after a pause: a passing error, or a row that is there already.
fn may_pass(error: &ApiError) -> bool {
    error.kind.is_passing() || error.kind == ErrorKind::ConditionFailed
}
