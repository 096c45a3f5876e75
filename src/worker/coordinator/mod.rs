//! The coordinator of one tenure: each round it looks at the sessions, and when something moved at the leases, takes what
//! is free, starts a task for each lease taken, and watches over those that run.

mod dropping;
mod line;
mod taking;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::pipeline::Shared;
use super::shard::ShardEnd;
use super::{Worker, stopped, task};
use crate::error::{ApiError, ErrorKind};
use crate::lease::liveness::Liveness;
use crate::lease::row::{BadRow, Owner, SessionRow, ShardKey, StreamRow};
use crate::lease::session::{Figures, Session};
use crate::lease::store::{Sessions, ShardEntry};
use crate::machine::{MonoTime, Task, timeout};
use crate::ops::repeats::Repeats;
use line::Line;

/// Between looks at the sessions.
const ROUND: Duration = Duration::from_millis(500);
/// Between looks at the shard rows when nothing seems to have moved.
const FULL_LOOK: Duration = Duration::from_secs(30);
/// A reading that has not moved for so long is started anew.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// Takes under way at a time.
const TAKES_AT_A_TIME: usize = 16;

/// How a tenure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenureEnd {
    /// The worker was told to stop, and drained.
    Stopped,
    SessionLost,
}

/// One tenure of a worker.
pub struct Tenure {
    shared: Arc<Shared>,
    me: Owner,
    figures: Arc<Figures>,
    deadline: watch::Receiver<MonoTime>,
    /// Closed when the heartbeats end.
    heart: watch::Receiver<()>,
    _heart_task: Task,
    shutdown_timeout: Duration,
    pipelines: Vec<Line>,
    running: BTreeMap<(usize, ShardKey), Running>,
    liveness: Liveness,
    /// Who lived at the last look, and their ownership versions.
    membership: Vec<(Owner, u64)>,
    look_at: MonoTime,
    /// Told when there is a reason to look at the leases at once.
    wake: Arc<Notify>,
    next_slot: u64,
    failures: Repeats,
}

/// A shard's task under way.
struct Running {
    task: Task,
    /// Of the lease, when it was taken.
    epoch: u64,
    stop: watch::Sender<Option<MonoTime>>,
    touched_ms: Arc<AtomicU64>,
    end: watch::Receiver<Option<ShardEnd>>,
}

/// A pipeline's rows, as read.
type Rows = (Option<Result<StreamRow, BadRow>>, Vec<ShardEntry>);

impl Tenure {
    /// Starts the heartbeats and each pipeline's writer.
    pub fn begin(worker: &Worker, session: Session) -> Self {
        let shared = Arc::clone(&worker.shared);
        let (me, figures, deadline) =
            (session.me.clone(), Arc::clone(&session.figures), session.deadline.clone());
        shared.health.session(deadline.clone());
        let (alive, heart) = watch::channel(());
        let heart_task = shared.machine.spawn(task(async move {
            session.keep().await;
            drop(alive);
        }));
        let pipelines =
            worker.pipelines.iter().map(|pipeline| Line::begin(&shared, pipeline, &deadline)).collect();
        Tenure {
            me,
            figures,
            deadline,
            heart,
            _heart_task: heart_task,
            shutdown_timeout: worker.settings.shutdown_timeout,
            pipelines,
            running: BTreeMap::new(),
            liveness: Liveness::new(worker.settings.timing.failover_time),
            membership: Vec::new(),
            look_at: MonoTime::default(),
            wake: Arc::default(),
            next_slot: 0,
            failures: Repeats::default(),
            shared,
        }
    }

    /// Runs until the worker is told to stop or the session is lost.
    pub async fn run(mut self, shutdown: &mut watch::Receiver<bool>) -> TenureEnd {
        let machine = Arc::clone(&self.shared.machine);
        let mut heart = self.heart.clone();
        loop {
            tokio::select! {
                biased;
                () = stopped(shutdown) => return self.drain().await,
                // Nothing is ever sent: this ends when the heartbeats do.
                _ = heart.changed() => return self.lost(),
                () = self.round() => {}
            }
            let wake = Arc::clone(&self.wake);
            tokio::select! {
                biased;
                () = stopped(shutdown) => return self.drain().await,
                _ = heart.changed() => return self.lost(),
                woken = timeout(&*machine, ROUND, wake.notified()) => if woken.is_some() {
                    self.look_at = MonoTime::default();
                },
            }
        }
    }

    fn lost(&self) -> TenureEnd {
        self.shared.metrics.lease_losses.inc_by(self.running.len() as u64);
        TenureEnd::SessionLost
    }

    async fn round(&mut self) {
        self.shared.health.moved();
        self.shared.metrics.buffered_bytes.set(i64::try_from(self.shared.budget.used()).unwrap_or(i64::MAX));
        self.watch_over();
        let machine = Arc::clone(&self.shared.machine);
        match self.look().await {
            Ok(()) => {
                if let Some(times) = self.failures.over() {
                    tracing::info!(times, "the lease table is read again");
                }
            }
            Err(error) => {
                self.shared.metrics.api_error(&error);
                if let Some(times) = self.failures.happened(machine.now()) {
                    tracing::warn!(times, "look at the lease table: {error}");
                }
            }
        }
    }

    /// Clears away tasks that ended, and ends those that are stuck.
    fn watch_over(&mut self) {
        let now_ms = self.shared.machine.now().as_millis();
        let stuck_ms = u64::try_from(STUCK_AFTER.as_millis()).unwrap_or(u64::MAX);
        let mut over = Vec::new();
        for (key, running) in &self.running {
            if running.task.is_finished() {
                if running.end.borrow().is_none() {
                    tracing::error!(shard = %key.1, "the shard's task failed unexpectedly; it is started anew");
                }
                over.push(key.clone());
            } else if now_ms.saturating_sub(running.touched_ms.load(Ordering::Acquire)) > stuck_ms {
                tracing::error!(shard = %key.1, "reading the shard has not moved for a minute; it is started anew");
                over.push(key.clone());
            }
        }
        if over.is_empty() {
            return;
        }
        for key in over {
            self.running.remove(&key);
            if let Some(line) = self.pipelines.get(key.0) {
                line.sweep_now.notify_one();
            }
        }
        self.look_at = MonoTime::default();
        self.ownership_changed();
    }

    fn ownership_changed(&self) {
        self.figures.load.store(self.running.len() as u64, Ordering::Release);
        self.figures.ownership_changed();
        for (index, line) in self.pipelines.iter().enumerate() {
            let owned = self.running.keys().filter(|(of, _)| *of == index).count();
            line.pipeline.metrics.leases_owned.set(i64::try_from(owned).unwrap_or(i64::MAX));
        }
    }

    /// Leases before sessions: whoever owns a lease read now has a session in what is read after it, or is dead.
    async fn look(&mut self) -> Result<(), ApiError> {
        let machine = Arc::clone(&self.shared.machine);
        let began = machine.now();
        let rows = if began >= self.look_at { Some(self.read_rows().await?) } else { None };
        let sent = machine.now();
        let Sessions { rows: mut sessions, unreadable } = self.shared.store.sessions().await?;
        let dead = self.liveness.observe(sent, machine.now(), &sessions);
        for id in dead.iter().filter(|id| **id != self.me.id) {
            if self.bury(id, &sessions).await? {
                sessions.retain(|(other, _)| other != id);
            }
        }
        let membership: Vec<(Owner, u64)> =
            sessions.iter().map(|(id, row)| (owner(id, row), row.ownership_version)).collect();
        let others_moved = others(&self.me, &membership) != others(&self.me, &self.membership);
        self.membership = membership;
        if let Some(rows) = rows {
            self.look_at = began + FULL_LOOK;
            self.act(rows, &unreadable).await?;
        }
        if others_moved || !dead.is_empty() {
            self.look_at = MonoTime::default();
        }
        Ok(())
    }

    async fn read_rows(&self) -> Result<Vec<Rows>, ApiError> {
        let mut all = Vec::new();
        for line in &self.pipelines {
            let stream = self.shared.store.stream_row(&line.pipeline.name).await?;
            all.push((stream, self.shared.store.shards(&line.pipeline.name).await?));
        }
        Ok(all)
    }

    /// Declares a session dead that stood still. False when it is not so: it moved after all, or another worker was
    /// faster (then the next look lacks it).
    async fn bury(&self, id: &str, sessions: &[(String, SessionRow)]) -> Result<bool, ApiError> {
        let Some((_, seen)) = sessions.iter().find(|(other, _)| other == id) else { return Ok(false) };
        match self.shared.store.declare_dead(id, seen).await {
            Ok(()) => {
                tracing::info!(
                    worker = id,
                    "the worker's session stood still: it is dead and its leases are free"
                );
                Ok(true)
            }
            Err(error) if error.kind == ErrorKind::ConditionFailed => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stops reading, lets what is under way be delivered, stores checkpoints, gives the leases up, ends the session.
    async fn drain(mut self) -> TenureEnd {
        let machine = Arc::clone(&self.shared.machine);
        let began = machine.now();
        let until = began + self.shutdown_timeout;
        // The last fifth is for checkpoints and releases.
        let deliver_until = began + self.shutdown_timeout * 4 / 5;
        tracing::info!(shards = self.running.len(), "draining");
        self.figures.draining.store(true, Ordering::Release);
        for line in &mut self.pipelines {
            line.discovery = None;
        }
        for running in self.running.values() {
            running.stop.send_replace(Some(deliver_until));
        }
        while !self.running.values().all(|running| running.task.is_finished()) && machine.now() < until {
            let left = until.since(machine.now());
            timeout(&*machine, left.min(Duration::from_millis(100)), self.wake.notified()).await;
        }
        let left = self.running.values().filter(|running| !running.task.is_finished()).count();
        if left > 0 {
            tracing::warn!(shards = left, "the time to shut down is over; these leases go with the session");
        }
        self.running.clear();
        let end = self.shared.store.end_session(&self.me);
        let limit = until.since(machine.now()).max(Duration::from_secs(1));
        match timeout(&*machine, limit, end).await {
            Some(Ok(())) => tracing::info!("the session is over"),
            Some(Err(error)) => tracing::warn!("end the session: {error}"),
            None => tracing::warn!("end the session: no answer in time"),
        }
        TenureEnd::Stopped
    }
}
fn owner(id: &str, row: &SessionRow) -> Owner {
    Owner { id: id.to_owned(), incarnation: row.incarnation.clone() }
}

fn others<'a>(me: &Owner, membership: &'a [(Owner, u64)]) -> Vec<&'a (Owner, u64)> {
    membership.iter().filter(|(owner, _)| owner != me).collect()
}
