//! The coordinator of one tenure: each round it looks at the sessions, and when something moved at the leases, takes its
//! part of what is free, starts a task for each lease taken, hands over what is more than its share, and watches over
//! those that run.

mod dropping;
mod giving;
mod line;
mod taking;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::again::Again;
use super::course::Course;
use super::pipeline::Shared;
use super::shard::ShardEnd;
use super::{Worker, stopped, task};
use crate::error::{ApiError, ErrorKind};
use crate::lease::awaited::{Awaited, Lease};
use crate::lease::liveness::Liveness;
use crate::lease::row::{BadRow, Owner, SessionRow, StreamRow};
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
/// How long a worker may take at least to pick up a lease that it is offered; else two heartbeats.
const PICK_UP_TIME: Duration = Duration::from_secs(2);
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
    running: BTreeMap<Lease, Running>,
    liveness: Liveness,
    /// Who lived at the last look, in the order of their ids.
    membership: Vec<(Owner, SessionRow)>,
    awaited: Awaited,
    look_at: MonoTime,
    /// Told when there is a reason to look at the leases at once.
    wake: Arc<Notify>,
    /// What is found free next may be this worker's own doing: others, if it is theirs to take, must be told.
    is_news: bool,
    next_slot: u64,
    failures: Repeats,
}

/// A shard's task under way.
struct Running {
    task: Task,
    /// Of the lease, when it was taken.
    epoch: u64,
    course: watch::Sender<Course>,
    /// Not handed over before this moment: set when a handover begins, for the case that it is called off.
    stays_until: MonoTime,
    touched_ms: Arc<AtomicU64>,
    end: watch::Receiver<Option<ShardEnd>>,
}

impl Running {
    /// Whether it has said how it ended, or failed.
    fn is_over(&self) -> bool {
        self.end.borrow().is_some() || self.task.is_finished()
    }
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
            awaited: Awaited::new(PICK_UP_TIME.max(worker.settings.timing.heartbeat_interval * 2)),
            look_at: MonoTime::default(),
            wake: Arc::default(),
            is_news: false,
            next_slot: 0,
            failures: Repeats::default(),
            shared,
        }
    }

    /// Runs until the worker is told to stop or the session is lost.
    pub async fn run(mut self, shutdown: &mut watch::Receiver<bool>) -> TenureEnd {
        let machine = Arc::clone(&self.shared.machine);
        let mut heart = self.heart.clone();
        self.shared.health.has_begun();
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
                woken = timeout(&*machine, self.pause(), wake.notified()) => if woken.is_some() {
                    self.look_at = MonoTime::default();
                    self.is_news = true;
                },
            }
        }
    }

    /// Until the next round: sooner where somebody's death will show sooner.
    fn pause(&self) -> Duration {
        let now = self.shared.machine.now();
        let until_due = self.liveness.next_due().filter(|due| *due > now).map(|due| due.since(now));
        until_due.map_or(ROUND, |until| until.min(ROUND))
    }

    fn lost(&self) -> TenureEnd {
        self.shared.metrics.lease_losses.inc_by(self.running.len() as u64);
        TenureEnd::SessionLost
    }

    async fn round(&mut self) {
        self.shared.health.moved();
        self.watch_over();
        let machine = Arc::clone(&self.shared.machine);
        match self.look().await {
            Ok(()) => {
                if let Some(times) = self.failures.went_well(machine.now()) {
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
        let (mut over, mut gave) = (Vec::new(), false);
        for (key, running) in &self.running {
            if running.is_over() {
                match *running.end.borrow() {
                    Some(ShardEnd::Released) => gave = true,
                    Some(ShardEnd::Finished | ShardEnd::Lost) => {}
                    None => {
                        tracing::error!(shard = %key.1, "the shard's task failed unexpectedly; it is started anew");
                    }
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
        self.count_leases();
        if gave {
            self.figures.ownership_changed();
        }
    }

    fn count_leases(&self) {
        let mut loads = BTreeMap::new();
        for (index, line) in self.pipelines.iter().enumerate() {
            let owned = self.running.keys().filter(|(of, _)| *of == index).count();
            line.pipeline.metrics.leases_owned.set(i64::try_from(owned).unwrap_or(i64::MAX));
            if owned > 0 {
                loads.insert(line.pipeline.name.to_string(), owned as u64);
            }
        }
        self.figures.owns(loads);
    }

    /// Looks at the sessions, and at the leases when it is time. Somebody's coming, going or giving is reason to look at
    /// the leases at once.
    async fn look(&mut self) -> Result<(), ApiError> {
        let is_time = self.shared.machine.now() >= self.look_at;
        if self.look_once(is_time).await? && !is_time {
            self.look_once(true).await?;
        }
        Ok(())
    }

    /// Leases before sessions: whoever owns a lease read now has a session in what is read after it, or is dead. True when
    /// the leases are to be looked at again.
    async fn look_once(&mut self, with_leases: bool) -> Result<bool, ApiError> {
        let machine = Arc::clone(&self.shared.machine);
        let began = machine.now();
        let rows = if with_leases { Some(self.read_rows().await?) } else { None };
        let sent = machine.now();
        let Sessions { rows: mut sessions, unreadable } = self.read_sessions().await?;
        let dead = self.liveness.observe(sent, machine.now(), &sessions);
        for id in dead.iter().filter(|id| **id != self.me.id) {
            if self.bury(id, &sessions).await? {
                sessions.retain(|(other, _)| other != id);
            }
        }
        let membership: Vec<(Owner, SessionRow)> =
            sessions.into_iter().map(|(id, row)| (owner(id, &row), row)).collect();
        let others_moved = !others(&self.me, &membership).eq(others(&self.me, &self.membership));
        self.membership = membership;
        self.share_sweeps();
        if let Some(rows) = rows {
            self.look_at = began + FULL_LOOK;
            if let Err(error) = self.act(rows, &unreadable).await {
                // What this look led to is not done yet.
                self.look_at = MonoTime::default();
                return Err(error);
            }
        }
        let again = others_moved || !dead.is_empty();
        if again {
            self.look_at = MonoTime::default();
        }
        Ok(again)
    }

    /// All who list streams share the calls that one account has.
    fn share_sweeps(&self) {
        let discovers = self.pipelines.iter().filter(|line| line.discovers()).count() as u64;
        self.figures.discovers.store(discovers, Ordering::Release);
        let others = others(&self.me, &self.membership).filter(|other| other.lists).count();
        self.shared.sweeps.shared_by(others + 1);
    }

    async fn read_rows(&self) -> Result<Vec<Rows>, ApiError> {
        let (shared, store) = (&self.shared, &self.shared.store);
        let reads = self.pipelines.iter().map(|line| async move {
            let (name, mut again) = (&line.pipeline.name, Again::new(shared));
            // The stream row first: it says which of the shards may be read.
            let stream = loop {
                match store.stream_row(name).await {
                    Ok(stream) => break stream,
                    Err(error) => again.after(shared, error).await?,
                }
            };
            loop {
                match store.shards(name).await {
                    Ok(shards) => return Ok((stream, shards)),
                    Err(error) => again.after(shared, error).await?,
                }
            }
        });
        futures_util::future::try_join_all(reads).await
    }

    async fn read_sessions(&self) -> Result<Sessions, ApiError> {
        let mut again = Again::new(&self.shared);
        loop {
            match self.shared.store.sessions().await {
                Ok(sessions) => return Ok(sessions),
                Err(error) => again.after(&self.shared, error).await?,
            }
        }
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
}

fn owner(id: String, row: &SessionRow) -> Owner {
    Owner { id, incarnation: row.incarnation.clone() }
}

/// Another worker, as far as it is a reason to look at the leases.
#[derive(Debug, PartialEq)]
struct Other<'a> {
    owner: &'a Owner,
    serves: &'a [String],
    draining: bool,
    lists: bool,
    ownership_version: u64,
}

fn others<'a>(me: &'a Owner, membership: &'a [(Owner, SessionRow)]) -> impl Iterator<Item = Other<'a>> {
    membership.iter().filter(move |(owner, _)| owner != me).map(|(owner, row)| Other {
        owner,
        serves: &row.pipelines,
        draining: row.draining,
        lists: row.discovers > 0,
        ownership_version: row.ownership_version,
    })
}
