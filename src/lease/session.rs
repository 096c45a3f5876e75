//! The session: this worker's life as others see it. It keeps one row moving with heartbeats and says until when the
//! worker may act on its leases (P4): counted on the monotonic clock from before each heartbeat was sent, less a margin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::row::{Owner, SessionRow};
use super::store::{CALL_TIMEOUT, LeaseStore};
use crate::error::{ApiError, ErrorKind};
use crate::machine::{Machine, MonoTime, timeout};
use crate::ops::metrics::Metrics;
use crate::ops::repeats::Repeats;
use crate::retry::Retry;

/// How sessions are kept.
#[derive(Debug, Clone, Copy)]
pub struct SessionTiming {
    pub heartbeat_interval: Duration,
    /// How long a counter must stand still before its worker counts as dead.
    pub failover_time: Duration,
}

impl SessionTiming {
    /// How long after a heartbeat was sent its worker may act: the failover time less a fifth (2 s of 10).
    pub fn may_act_for(&self) -> Duration {
        self.failover_time - self.failover_time / 5
    }
}

/// What a worker tells in its row besides its being alive.
#[derive(Debug, Clone)]
pub struct Identity {
    pub id: String,
    pub host: String,
    pub pipelines: Vec<String>,
}

/// Why no session could be begun.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(
        "worker id {id:?} is in use: its session row in the lease table is moving (host {host}). Give each worker an id \
         of its own in [worker] id, or leave the id out"
    )]
    IdInUse { id: String, host: String },
}

/// The figures that the next heartbeat carries; shared with the worker's tasks.
#[derive(Debug, Default)]
pub struct Figures {
    loads: Mutex<BTreeMap<String, u64>>,
    pub draining: AtomicBool,
    pub discovers: AtomicU64,
    /// Pipelines that the configuration names and that are not served: the lease table says that they are others.
    unserved: Mutex<BTreeSet<String>>,
    ownership_version: AtomicU64,
    beat_now: Notify,
}

impl Figures {
    /// There is something for others to take: they learn it with a heartbeat sent soon.
    pub fn ownership_changed(&self) {
        self.ownership_version.fetch_add(1, Ordering::AcqRel);
        self.beat_now.notify_one();
    }

    /// How many leases are owned, by pipeline. Told soon: those who cannot see all of them count on it.
    pub fn owns(&self, loads: BTreeMap<String, u64>) {
        let mut told = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != loads {
            *told = loads;
            self.beat_now.notify_one();
        }
    }

    /// Whether a pipeline is served: nothing is given to a worker of a pipeline that it does not serve.
    pub fn serves(&self, pipeline: &str, is_served: bool) {
        let mut unserved = self.unserved.lock().unwrap_or_else(PoisonError::into_inner);
        if is_served {
            unserved.remove(pipeline);
        } else {
            unserved.insert(pipeline.to_owned());
        }
    }

    /// As the next heartbeat tells it.
    fn fill(&self, row: &mut SessionRow, pipelines: &[String]) {
        let unserved = self.unserved.lock().unwrap_or_else(PoisonError::into_inner);
        row.pipelines = pipelines.iter().filter(|name| !unserved.contains(*name)).cloned().collect();
        row.loads.clone_from(&self.loads.lock().unwrap_or_else(PoisonError::into_inner));
        row.load = row.loads.values().sum();
        row.draining = self.draining.load(Ordering::Acquire);
        row.discovers = self.discovers.load(Ordering::Acquire);
        row.ownership_version = self.ownership_version.load(Ordering::Acquire);
    }
}

/// A session that has begun. [`Session::keep`] is its task.
pub struct Session {
    pub me: Owner,
    pub figures: Arc<Figures>,
    /// Until when this worker may act on its leases.
    pub deadline: watch::Receiver<MonoTime>,
    row: SessionRow,
    /// As the configuration names them.
    pipelines: Vec<String>,
    store: LeaseStore,
    machine: Arc<dyn Machine>,
    metrics: Arc<Metrics>,
    timing: SessionTiming,
    deadline_sender: watch::Sender<MonoTime>,
}

impl Session {
    /// Begins a session. A row left under this id is watched for `failover_time`: a moving one is refused, one that
    /// stands still is seized. Passing errors are retried for as long as they last.
    pub async fn begin(
        store: LeaseStore,
        machine: Arc<dyn Machine>,
        metrics: Arc<Metrics>,
        timing: SessionTiming,
        identity: &Identity,
    ) -> Result<Self, SessionError> {
        let mut retry = Retry::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut failures = Repeats::default();
        let mut row = new_row(&*machine, identity);
        let mut standing = None;
        let mut unanswered = Vec::new();
        loop {
            row.counter += 1;
            let sent = machine.now();
            let step =
                Self::try_begin(&store, &*machine, timing, identity, &row, &unanswered, &mut standing).await;
            match step {
                Ok(Step::Begun(incarnation)) => {
                    row.incarnation = incarnation;
                    let (deadline_sender, deadline) = watch::channel(sent + timing.may_act_for());
                    let me = Owner { id: identity.id.clone(), incarnation: row.incarnation.clone() };
                    let figures = Arc::default();
                    return Ok(Session {
                        me,
                        figures,
                        deadline,
                        row,
                        pipelines: identity.pipelines.clone(),
                        store,
                        machine,
                        metrics,
                        timing,
                        deadline_sender,
                    });
                }
                Ok(Step::Watch) => {
                    machine.sleep(Duration::from_millis(500).min(timing.failover_time / 4)).await
                }
                Ok(Step::Moving(host)) => {
                    return Err(SessionError::IdInUse { id: identity.id.clone(), host });
                }
                Err(error) => {
                    metrics.api_error(&error);
                    if let Some(times) = failures.happened(machine.now()) {
                        tracing::warn!(times, "begin a session: {error}");
                    }
                    if error.kind == ErrorKind::NotFound
                        && let Err(error) = store.restore().await
                    {
                        tracing::warn!("the lease table is gone and cannot be created: {error}");
                    }
                    // A write whose answer is lost may take effect much later, after the session was declared dead. Each
                    // attempt is another incarnation, so that it cannot bring the dead one back (P4).
                    unanswered.push(std::mem::replace(&mut row.incarnation, new_incarnation(&*machine)));
                    machine.sleep(retry.next(machine.random())).await;
                }
            }
        }
    }

    /// `unanswered`: the incarnations of this start's earlier attempts.
    async fn try_begin(
        store: &LeaseStore,
        machine: &dyn Machine,
        timing: SessionTiming,
        identity: &Identity,
        row: &SessionRow,
        unanswered: &[String],
        standing: &mut Option<Standing>,
    ) -> Result<Step, ApiError> {
        let sent = machine.now();
        let sessions = store.sessions().await?;
        let found = sessions.rows.into_iter().find(|(id, _)| *id == identity.id).map(|(_, row)| row);
        let over = match found {
            None => None,
            // An earlier attempt of this very start, whose answer was lost.
            Some(own) if unanswered.contains(&own.incarnation) => {
                let row = SessionRow { incarnation: own.incarnation, ..row.clone() };
                let beat = store.heartbeat(&identity.id, &row, CALL_TIMEOUT).await;
                return beat.map(|()| Step::Begun(row.incarnation));
            }
            Some(other) => {
                let watched = standing.take().filter(|seen| seen.row.incarnation == other.incarnation);
                match watched {
                    Some(seen) if seen.row.counter == other.counter => {
                        let dead = sent >= seen.since + timing.failover_time;
                        *standing = Some(seen);
                        if !dead {
                            return Ok(Step::Watch);
                        }
                        Some(other)
                    }
                    // Once may be a last heartbeat that was still on its way when its worker was killed.
                    Some(seen) if seen.moved => return Ok(Step::Moving(other.host)),
                    watched => {
                        if watched.is_none() {
                            tracing::info!(
                                worker = identity.id,
                                seconds = timing.failover_time.as_secs_f64(),
                                "a session under this worker's id exists: watching whether it moves"
                            );
                        }
                        *standing =
                            Some(Standing { row: other, since: machine.now(), moved: watched.is_some() });
                        return Ok(Step::Watch);
                    }
                }
            }
        };
        match store.begin_session(&identity.id, row, over.as_ref()).await {
            Ok(()) => Ok(Step::Begun(row.incarnation.clone())),
            Err(error) if error.kind == ErrorKind::ConditionFailed => {
                match store.session(&identity.id).await? {
                    // No listing shows it, and it stays in the way until somebody mends it: that must be said.
                    Some(Err(bad)) => {
                        Err(ApiError::new("GetItem", ErrorKind::Invalid, "BadRow", bad.to_string()))
                    }
                    // Somebody moved in between: look again.
                    _ => Ok(Step::Watch),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Sends heartbeats until the session is lost: declared dead by others, its id seized, or its row deleted.
    pub async fn keep(mut self) {
        let mut retry = Retry::new(Duration::from_millis(50), self.timing.heartbeat_interval / 2);
        let mut failures = Repeats::default();
        let mut pause = self.timing.heartbeat_interval;
        loop {
            self.pause(pause).await;
            self.row.counter += 1;
            self.figures.fill(&mut self.row, &self.pipelines);
            let sent = self.machine.now();
            let limit = self.timing.heartbeat_interval.max(Duration::from_millis(500)).min(CALL_TIMEOUT);
            match self.store.heartbeat(&self.me.id, &self.row, limit).await {
                Ok(()) => {
                    retry.succeeded();
                    if let Some(times) = failures.went_well(sent) {
                        tracing::info!(times, "heartbeats succeed again");
                    }
                    self.deadline_sender.send_replace(sent + self.timing.may_act_for());
                    pause = self.timing.heartbeat_interval;
                }
                Err(error) if error.kind == ErrorKind::ConditionFailed => {
                    tracing::warn!(worker = self.me.id, "the session was ended by another worker or by hand");
                    return;
                }
                Err(error) if error.kind == ErrorKind::NotFound && sent >= *self.deadline.borrow() => {
                    tracing::error!(
                        worker = self.me.id,
                        "the lease table is gone: with `create = true` it is made anew and every pipeline starts over \
                         from the oldest change; restore it from a backup to go on where it was: {error}"
                    );
                    return;
                }
                Err(error) => {
                    self.metrics.api_error(&error);
                    if let Some(times) = failures.happened(self.machine.now()) {
                        tracing::warn!(times, "heartbeat: {error}");
                    }
                    pause = retry.next(self.machine.random());
                }
            }
        }
    }

    /// Waits for the next heartbeat's time, or for a reason to send it early, but never less than a tenth of the time:
    /// many leases taken in a row cost few heartbeats.
    async fn pause(&self, pause: Duration) {
        let least = pause / 10;
        self.machine.sleep(least).await;
        timeout(&*self.machine, pause - least, self.figures.beat_now.notified()).await;
    }
}

/// The row found under this worker's id, and since when it stands still.
struct Standing {
    row: SessionRow,
    since: MonoTime,
    /// Whether its counter has moved once already.
    moved: bool,
}

enum Step {
    /// Under this incarnation.
    Begun(String),
    /// Look again soon.
    Watch,
    /// The row moves: another worker, on this host, uses the id.
    Moving(String),
}

fn new_incarnation(machine: &dyn Machine) -> String {
    format!("{:016x}{:016x}", machine.random(), machine.random())
}

fn new_row(machine: &dyn Machine, identity: &Identity) -> SessionRow {
    SessionRow {
        incarnation: new_incarnation(machine),
        counter: 0,
        host: identity.host.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at_ms: machine.wall_ms(),
        load: 0,
        loads: BTreeMap::new(),
        pipelines: identity.pipelines.clone(),
        draining: false,
        discovers: 0,
        ownership_version: 0,
    }
}

#[cfg(test)]
mod tests;
