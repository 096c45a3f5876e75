//! The worker: one process's part of a fleet. It keeps a session, takes leases, runs a task for each shard that it owns
//! and a writer for each pipeline, and gives everything back when it is told to stop.
//!
//! A worker lives in tenures. A tenure begins with a session and ends when the worker stops or the session is lost;
//! then everything of it is dropped at once and the next tenure starts from what the lease table says (P4).

mod again;
mod coordinator;
mod course;
mod discovery;
mod finish;
mod held;
mod pacer;
pub mod pipeline;
mod reading;
mod record_limit;
mod shard;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::lease::rewind::StoredEnds;
use crate::lease::row::{BadRow, StreamRow};
use crate::lease::session::{Identity, Session, SessionError, SessionTiming};
use crate::machine::{BoxFuture, timeout};
use coordinator::{Tenure, TenureEnd};
use pipeline::{Pipeline, Shared};

/// What a worker is told about itself.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    pub identity: Identity,
    pub timing: SessionTiming,
    /// From the order to stop to the end.
    pub shutdown_timeout: Duration,
}

/// A worker, ready to run.
pub struct Worker {
    pub shared: Arc<Shared>,
    pub pipelines: Vec<Arc<Pipeline>>,
    pub settings: WorkerSettings,
}

/// A pipeline that must not be started: another fleet runs one of this name between other ends.
#[derive(Debug, thiserror::Error)]
pub enum NotThisPipeline {
    #[error(
        "pipeline {pipeline:?}: its {what} is {ours}, but the lease table says {theirs}. Two fleets must not share a \
         pipeline's name: give this pipeline another name, or use another lease table; if this very pipeline is to \
         change, `ddb-kinesis-bridge rewind --pipeline {pipeline} --adopt` makes the lease table follow"
    )]
    OtherEnds { pipeline: String, what: &'static str, ours: String, theirs: String },
    #[error("pipeline {pipeline:?}: {bad}")]
    BadRow { pipeline: String, bad: BadRow },
}

impl Pipeline {
    /// Whether the lease table's row of this name is this pipeline's.
    pub fn recognise(&self, row: &StreamRow) -> Result<(), NotThisPipeline> {
        match self.stored_ends().differences(row).first() {
            None => Ok(()),
            Some((what, ours, theirs)) => Err(NotThisPipeline::OtherEnds {
                pipeline: self.name.to_string(),
                what,
                ours: (*ours).to_owned(),
                theirs: (*theirs).to_owned(),
            }),
        }
    }

    /// The pipeline's ends as the stream row spells them.
    pub fn stored_ends(&self) -> StoredEnds {
        use crate::config::PartitionKeyMode;
        let partition_key = match self.settings.record.partition_key {
            PartitionKeyMode::PartitionKey => "partition_key",
            PartitionKeyMode::ItemKey => "item_key",
        };
        StoredEnds {
            table_arn: self.ends.table_arn.clone(),
            sink_arn: self.ends.sink_arn.clone(),
            partition_key: partition_key.to_owned(),
        }
    }
}

impl Worker {
    /// Runs until `shutdown` turns true, and drains then. Fails only when its id is another worker's.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) -> Result<(), SessionError> {
        loop {
            let session = tokio::select! {
                biased;
                () = stopped(&mut shutdown) => return Ok(()),
                session = self.begin_session() => session?,
            };
            tracing::info!(
                worker = session.me.id,
                incarnation = session.me.incarnation,
                "the session begins"
            );
            let tenure = Tenure::begin(&self, session);
            match tenure.run(&mut shutdown).await {
                TenureEnd::Stopped => return Ok(()),
                TenureEnd::SessionLost => {
                    tracing::warn!("the session is lost: all shards are dropped and a new session begins");
                }
            }
        }
    }
}

impl Worker {
    /// Begins a session, however long that takes, and shows meanwhile that the loop moves.
    async fn begin_session(&self) -> Result<Session, SessionError> {
        let machine = &self.shared.machine;
        let begin = Session::begin(
            self.shared.store.clone(),
            Arc::clone(machine),
            Arc::clone(&self.shared.metrics),
            self.settings.timing,
            &self.settings.identity,
        );
        let mut begin = std::pin::pin!(begin);
        loop {
            self.shared.health.moved();
            if let Some(session) = timeout(&**machine, Duration::from_secs(10), &mut begin).await {
                return session;
            }
        }
    }
}

/// Completes once the flag is true, or nobody can set it any more.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: nobody is left to run for.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Boxes a task's future for [`crate::machine::Machine::spawn`].
fn task(future: impl Future<Output = ()> + Send + 'static) -> BoxFuture<()> {
    Box::pin(future)
}
