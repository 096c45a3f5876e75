//! A rewind: an operator's order to carry changes again, or to accept another table or sink under a pipeline's name, made
//! known and carried out in the lease table while workers run or none does. It decides little (that is
//! [`crate::lease::rewind`]'s) and keeps nothing but the order in the stream row: broken off anywhere, it is run again.
//!
//! Meanwhile it keeps a session of its own, `rewind-PIPELINE`. So there is one rewind of a pipeline at a time, and workers,
//! who look at their leases whenever a session comes or goes, see it begin and end.

mod prepare;
mod proposal;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{ApiError, ErrorKind};
use crate::lease::order::{Order, Rewind};
use crate::lease::rewind::{Listings, Next, Step, View, next};
use crate::lease::row::{BadRow, ShardKey, ShardRow, StreamRow};
use crate::lease::session::{Identity, Session, SessionError, SessionTiming};
use crate::lease::store::CALL_TIMEOUT;
use crate::machine::sleep_until;
use crate::retry::Retry;
use crate::start::StartError;
use crate::worker::NotThisPipeline;
use crate::worker::pipeline::{Pipeline, Shared};

pub use prepare::prepare;
pub(crate) use prepare::settings;
pub use proposal::Proposal;

/// Steps in one transaction, where nobody else writes the rows.
const STEPS_AT_A_TIME: usize = 20;
/// The session lasts so long at least: every worker looks at the sessions at least once meanwhile.
const LEAST_TIME: Duration = Duration::from_secs(2);
/// Changes made so much later than the order (besides the time that a dead worker may go on) count as new: clocks differ.
const CLOCKS_APART_MS: u64 = 60_000;

/// Why there is no rewind, or only a part of one.
#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    /// What was asked for cannot be; nothing was changed.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("another rewind of pipeline {pipeline:?} is under way on host {host}: wait for its end")]
    Busy { pipeline: String, host: String },
    #[error(
        "the rewind's session was lost before its end (this process stood still, or could not reach the lease table); \
         run the same command again to go on with it"
    )]
    SessionLost,
    #[error(
        "[lease_table], source: {0}; once that is mended, run the same command again: it goes on where it stopped"
    )]
    Api(#[from] ApiError),
}

impl RewindError {
    /// Whether it is the user's to correct, in the arguments, the configuration or the lease table.
    pub fn is_usage(&self) -> bool {
        match self {
            RewindError::Refused(_) => true,
            RewindError::Start(error) => error.is_usage(),
            _ => false,
        }
    }
}

impl From<NotThisPipeline> for RewindError {
    fn from(error: NotThisPipeline) -> Self {
        RewindError::Start(error.into())
    }
}

/// An order and what it is to be carried out with.
pub struct Rewinding {
    shared: Shared,
    pipeline: Pipeline,
    timing: SessionTiming,
    host: String,
    order: Order,
}

/// Under which a pipeline's rewind keeps its session.
pub fn session_id(pipeline: &str) -> String {
    format!("rewind-{pipeline}")
}

impl Rewinding {
    /// Carries the order out, or to its end where an earlier run of it broke off.
    pub async fn carry_out(&self) -> Result<(), RewindError> {
        let machine = &self.shared.machine;
        let session = self.begin_session().await?;
        let me = session.me.clone();
        let began = machine.now();
        let (alive, mut heart) = watch::channel(());
        let heartbeats = machine.spawn(Box::pin(async move {
            session.keep().await;
            drop(alive);
        }));
        let result = tokio::select! {
            biased;
            // Nothing is ever sent: this ends when the heartbeats do.
            _ = heart.changed() => Err(RewindError::SessionLost),
            result = self.follow() => result,
        };
        if result.is_ok() {
            sleep_until(&**machine, began + LEAST_TIME).await;
        }
        drop(heartbeats);
        if !matches!(result, Err(RewindError::SessionLost))
            && let Err(error) = self.shared.store.end_session(&me).await
        {
            tracing::warn!("end the rewind's session, which otherwise a worker does: {error}");
        }
        result
    }

    async fn begin_session(&self) -> Result<Session, RewindError> {
        let pipeline = self.pipeline.name.to_string();
        // It serves no pipeline, and drains: no lease is meant for it.
        let identity = Identity { id: session_id(&pipeline), host: self.host.clone(), pipelines: vec![] };
        let (store, machine) = (self.shared.store.clone(), Arc::clone(&self.shared.machine));
        let metrics = Arc::clone(&self.shared.metrics);
        let session = Session::begin(store, machine, metrics, self.timing, &identity).await;
        let session =
            session.map_err(|SessionError::IdInUse { host, .. }| RewindError::Busy { pipeline, host })?;
        session.figures.draining.store(true, Ordering::Release);
        session.figures.ownership_changed();
        Ok(session)
    }

    async fn follow(&self) -> Result<(), RewindError> {
        let mut retry = new_retry();
        let (mut is_placed, mut listings) = (false, None);
        loop {
            match self.advance(&mut is_placed, &mut listings).await {
                Ok(true) => return Ok(()),
                Ok(false) => retry.succeeded(),
                Err(RewindError::Api(error)) if may_pass(&error) => self.pause(&mut retry, &error).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// The next part. True when there is none left.
    async fn advance(
        &self,
        is_placed: &mut bool,
        listings: &mut Option<Listings>,
    ) -> Result<bool, RewindError> {
        let view = self.view().await?;
        match &view.stream.rewind {
            Some(stored) => {
                self.must_be_ours(stored)?;
                *is_placed = true;
            }
            None if *is_placed => return Ok(true),
            None => {
                self.place(&view.stream).await?;
                return Ok(false);
            }
        }
        let revision = view.stream.revision;
        match next(&view, &self.pipeline.stored_ends(), listings.as_ref()) {
            Next::List => *listings = Some(self.list(&view).await?),
            Next::Freeze(steps) => self.take(&steps, 1, revision).await?,
            Next::Steps(steps) => self.take(&steps, STEPS_AT_A_TIME, revision).await?,
            Next::Stream(row) => self.store_stream(&view.stream, &row).await?,
            Next::Done => return Ok(true),
        }
        Ok(false)
    }

    /// Stores the order: from here on nobody takes a lease of the pipeline, and whoever lists its shards adds none.
    async fn place(&self, seen: &StreamRow) -> Result<(), RewindError> {
        let now_ms = self.shared.machine.wall_ms();
        let failover_ms = u64::try_from(self.timing.failover_time.as_millis()).unwrap_or(u64::MAX);
        let rewind = Rewind {
            order: self.order.clone(),
            ordered_at_ms: now_ms,
            until_ms: now_ms.saturating_add(failover_ms).saturating_add(CLOCKS_APART_MS),
            is_reset: false,
        };
        let row = StreamRow {
            rewind: Some(rewind),
            discovery_owner: None,
            discovery_epoch: seen.discovery_epoch + 1,
            revision: seen.revision + 1,
            ..seen.clone()
        };
        self.store_stream(seen, &row).await
    }

    async fn store_stream(&self, seen: &StreamRow, next: &StreamRow) -> Result<(), RewindError> {
        Ok(self.shared.store.update_stream_row(&self.pipeline.name, seen, next, CALL_TIMEOUT).await?)
    }

    async fn take(&self, steps: &[Step], at_a_time: usize, revision: u64) -> Result<(), RewindError> {
        for steps in steps.chunks(at_a_time) {
            self.shared.store.rewind(&self.pipeline.name, steps, revision).await?;
        }
        Ok(())
    }

    fn must_be_ours(&self, stored: &Rewind) -> Result<(), RewindError> {
        if stored.order == self.order {
            return Ok(());
        }
        let (name, what) =
            (&self.pipeline.name, if stored.is_import() { "an import" } else { "another rewind" });
        Err(RewindError::Refused(format!(
            "pipeline {name:?}: {what} of it broke off before its end; carry that out first: {}",
            stored.command(name)
        )))
    }

    /// The pipeline's rows; refused where they are another's or do not read.
    async fn view(&self) -> Result<View, RewindError> {
        let (store, name) = (&self.shared.store, &self.pipeline.name);
        let bad_row = |bad: BadRow| NotThisPipeline::BadRow { pipeline: name.to_string(), bad };
        let stream = store.stream_row(name).await?.ok_or_else(|| {
            RewindError::Refused(format!(
                "pipeline {name:?} has never run: the lease table has no row of it; check [lease_table] and the name"
            ))
        })?;
        let stream = stream.map_err(bad_row)?;
        if !self.order.adopt {
            self.pipeline.recognise(&stream)?;
        }
        let rows = store.shards(name).await?.into_iter();
        let rows = rows.map(|(key, row)| Ok((key, row.map_err(bad_row)?)));
        let shards = rows.collect::<Result<BTreeMap<ShardKey, ShardRow>, NotThisPipeline>>()?;
        // After the shards: one that is finished in between is in both, and its stale row cannot be written over.
        let finished = store.finished_shards(name).await?.into_iter().collect();
        Ok(View { stream, shards, finished })
    }

    async fn list(&self, view: &View) -> Result<Listings, RewindError> {
        let labels: BTreeSet<String> = view.keys().into_iter().map(|key| key.label).collect();
        let mut listings = Listings::new();
        for label in labels {
            let stream = self.pipeline.stream_arn(&label).map_err(|error| {
                ApiError::new("DescribeStream", ErrorKind::Invalid, "BadArn", error.to_string())
            })?;
            listings.insert(label, self.pipeline.list(&self.shared, &stream).await?);
        }
        Ok(listings)
    }

    async fn pause(&self, retry: &mut Retry, error: &ApiError) {
        if error.kind != ErrorKind::ConditionFailed {
            tracing::warn!(pipeline = &*self.pipeline.name, "rewind, to be tried again: {error}");
        }
        let machine = &self.shared.machine;
        machine.sleep(retry.next(machine.random())).await;
    }
}

fn new_retry() -> Retry {
    Retry::new(Duration::from_millis(100), Duration::from_secs(5))
}

/// What is looked at anew after a pause: a passing error, or a row that somebody else wrote first.
fn may_pass(error: &ApiError) -> bool {
    error.kind.is_passing() || error.kind == ErrorKind::ConditionFailed
}
