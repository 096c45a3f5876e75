//! Taking: what a look at the leases leads to. Discovery is claimed, leases are taken by plan, and a task is started for
//! each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::{ROUND, Rows, Running, TAKES_AT_A_TIME, Tenure};
use crate::error::{ApiError, ErrorKind};
use crate::lease::plan::{Candidate, Parents};
use crate::lease::row::{BadRow, Owner, ShardKey, ShardRow, StreamRow};
use crate::lease::store::{LeaseStore, ShardEntry};
use crate::machine::MonoTime;
use crate::rewind;
use crate::worker::course::Course;
use crate::worker::discovery::Discovery;
use crate::worker::shard::ShardTask;
use crate::worker::task;

/// The pipelines' rows; no stream row where the pipeline is not to be served just now.
pub(super) type View = Vec<(Option<StreamRow>, Vec<ShardEntry>)>;

/// What came of a take.
enum Take {
    /// The row as the take returned it.
    Taken(Box<ShardRow>),
    /// The row is not as it was read.
    Refused,
    /// A parent is not finished.
    NotYet,
}

async fn try_take(
    store: &LeaseStore,
    pipeline: &str,
    candidate: &Candidate,
    me: &Owner,
) -> Result<Take, ApiError> {
    if let Parents::Ask(parents) = &candidate.parents {
        for parent in parents {
            if !store.is_finished(pipeline, &ShardKey::new(&candidate.key.label, parent)).await? {
                return Ok(Take::NotYet);
            }
        }
    }
    match store.take(pipeline, &candidate.key, &candidate.row, me).await {
        Ok(row) => Ok(Take::Taken(Box::new(row))),
        Err(error) if error.kind == ErrorKind::ConditionFailed => Ok(Take::Refused),
        Err(error) => Err(error),
    }
}

impl Tenure {
    pub(super) async fn act(&mut self, rows: Vec<Rows>, unreadable: &[String]) -> Result<(), ApiError> {
        let living = self.living(&rows, unreadable);
        if !living.contains(&self.me) {
            return Ok(());
        }
        self.drop_lost(&rows);
        let mut view: View = Vec::new();
        for (index, (stream, shards)) in rows.into_iter().enumerate() {
            let stream = self.own_discovery(index, stream, &living).await?;
            if stream.is_some() {
                self.say_bad_rows(index, &shards);
            }
            view.push((stream, shards));
        }
        let mut plan = self.plan(&living, &view);
        let now = self.shared.machine.now();
        if self.awaited.observe(now, &plan.waiting) {
            // Nothing is planned for a worker that has just let an offer lapse.
            plan = self.plan(&living, &view);
        }
        if let Some(due) = self.awaited.next_due() {
            // What is overdue already was planned for, or must not be looked at without a pause.
            self.look_at = self.look_at.min(due.max(now + ROUND));
        }
        if std::mem::take(&mut self.is_news) && plan.waiting.iter().any(|one| one.offered_to.is_none()) {
            self.figures.ownership_changed();
        }
        self.give(plan.gives);
        self.take(plan.takes).await
    }

    /// Everyone who lives, for all that is known: whose session does not read cannot be judged.
    pub(super) fn living(&self, rows: &[Rows], unreadable: &[String]) -> BTreeSet<Owner> {
        let mut living: BTreeSet<Owner> = self.membership.iter().map(|(owner, _)| owner.clone()).collect();
        living.extend(owners(rows).filter(|owner| unreadable.contains(&owner.id)));
        living
    }

    /// Claims a pipeline's discovery from nobody or the dead. Gives the stream row when the pipeline is to be served.
    async fn own_discovery(
        &mut self,
        index: usize,
        stream: Option<Result<StreamRow, BadRow>>,
        living: &BTreeSet<Owner>,
    ) -> Result<Option<StreamRow>, ApiError> {
        let Some(line) = self.pipelines.get_mut(index) else { return Ok(None) };
        let now = self.shared.machine.now();
        let name = Arc::clone(&line.pipeline.name);
        let row = match stream {
            Some(Ok(row)) => row,
            Some(Err(bad)) => {
                line.discovery = None;
                line.say_bad(now, &bad);
                return Ok(None);
            }
            None => {
                let row = line.first_row(&self.me);
                return match self.shared.store.create_stream_row(&name, &row).await {
                    Ok(()) => {
                        self.start_discovery(index, row);
                        Ok(None)
                    }
                    // Another worker was faster, or this one's answer was lost: the next look shows.
                    Err(error) => {
                        self.look_at = MonoTime::default();
                        if error.kind == ErrorKind::ConditionFailed { Ok(None) } else { Err(error) }
                    }
                };
            }
        };
        let recognised = line.pipeline.recognise(&row);
        self.figures.serves(&name, recognised.is_ok());
        if let Err(other) = recognised {
            line.discovery = None;
            line.say_bad(now, &other);
            return Ok(None);
        }
        if row.initialized {
            line.pipeline.has_run();
        }
        let rewinder = rewind::session_id(&name);
        let is_at_work = self.membership.iter().any(|(owner, _)| owner.id == rewinder);
        if line.rests(&self.shared, row.rewind.as_ref(), is_at_work) {
            return Ok(Some(row));
        }
        let drains = |owner: &Owner| self.membership.iter().any(|(one, row)| one == owner && row.draining);
        let is_held = match &row.discovery_owner {
            Some(owner) if *owner == self.me => line.discovers(),
            Some(owner) => living.contains(owner) && !drains(owner),
            None => false,
        };
        if is_held {
            return Ok(Some(row));
        }
        let next = StreamRow {
            discovery_owner: Some(self.me.clone()),
            discovery_epoch: row.discovery_epoch + 1,
            revision: row.revision + 1,
            ..row.clone()
        };
        match self.shared.store.update_stream_row(&name, &row, &next, crate::lease::store::CALL_TIMEOUT).await
        {
            Ok(()) => {
                self.start_discovery(index, next.clone());
                Ok(Some(next))
            }
            Err(error) if error.kind == ErrorKind::ConditionFailed => Ok(Some(row)),
            Err(error) => Err(error),
        }
    }

    fn start_discovery(&mut self, index: usize, row: StreamRow) {
        let Some(line) = self.pipelines.get_mut(index) else { return };
        let discovery = Discovery::new(
            Arc::clone(&self.shared),
            Arc::clone(&line.pipeline),
            self.me.clone(),
            self.deadline.clone(),
            row,
            Arc::clone(&line.sweep_now),
            Arc::clone(&self.wake),
        );
        line.discovery = Some(self.shared.machine.spawn(task(discovery.run())));
    }

    fn say_bad_rows(&mut self, index: usize, shards: &[ShardEntry]) {
        let now = self.shared.machine.now();
        let Some(line) = self.pipelines.get_mut(index) else { return };
        for bad in shards.iter().filter_map(|(_, row)| row.as_ref().err()) {
            line.say_bad(now, bad);
        }
    }

    async fn take(&mut self, wanted: Vec<(usize, Candidate)>) -> Result<(), ApiError> {
        let (store, me, lines) = (&self.shared.store, &self.me, &self.pipelines);
        let takes = wanted.into_iter().filter_map(|(index, candidate)| {
            let name = &lines.get(index)?.pipeline.name;
            Some(async move { (index, candidate.key.clone(), try_take(store, name, &candidate, me).await) })
        });
        // Many takes that all wait for an answer take long: that is no standing still.
        let takes =
            stream::iter(takes).buffer_unordered(TAKES_AT_A_TIME).inspect(|_| self.shared.health.moved());
        let results: Vec<(usize, ShardKey, Result<Take, ApiError>)> = takes.collect().await;
        let mut failed = None;
        for (index, key, result) in results {
            match result {
                Ok(Take::Taken(row)) => self.start_shard(index, key, *row),
                // The row has moved since it was read.
                Ok(Take::Refused) => self.look_at = MonoTime::default(),
                Ok(Take::NotYet) => {}
                Err(error) => failed = Some(error),
            }
        }
        self.count_leases();
        failed.map_or(Ok(()), Err)
    }

    fn start_shard(&mut self, index: usize, key: ShardKey, row: ShardRow) {
        let Some(line) = self.pipelines.get(index) else { return };
        let stream = match line.pipeline.stream_arn(&key.label) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::error!(pipeline = &*line.pipeline.name, "{error}");
                return;
            }
        };
        tracing::info!(
            pipeline = &*line.pipeline.name,
            shard = %key,
            epoch = row.epoch,
            checkpoint = row.checkpoint.as_ref().map_or("none", |checkpoint| checkpoint.as_str()),
            "the lease is taken"
        );
        let epoch = row.epoch;
        let (course, course_receiver) = watch::channel(Course::Run);
        let (end_sender, end) = watch::channel(None);
        let touched_ms = Arc::new(AtomicU64::new(self.shared.machine.now().as_millis()));
        let shard = ShardTask {
            shared: Arc::clone(&self.shared),
            pipeline: Arc::clone(&line.pipeline),
            key: key.clone(),
            stream,
            row,
            deadline: self.deadline.clone(),
            writer: line.writer.clone(),
            slot: self.next_slot,
            course: course_receiver,
            touched_ms: Arc::clone(&touched_ms),
        };
        self.next_slot += 1;
        let wake = Arc::clone(&self.wake);
        let task = self.shared.machine.spawn(task(async move {
            let ended = shard.run().await;
            end_sender.send_replace(Some(ended));
            wake.notify_one();
        }));
        let stays_until = MonoTime::default();
        self.running.insert((index, key), Running { task, epoch, course, stays_until, touched_ms, end });
    }
}

/// Everyone whom these rows name.
fn owners(rows: &[Rows]) -> impl Iterator<Item = Owner> {
    rows.iter().flat_map(|(stream, shards)| {
        let discovery = stream.iter().flatten().filter_map(|row| row.discovery_owner.clone());
        discovery.chain(shards.iter().filter_map(|(_, row)| row.as_ref().ok()?.owner()))
    })
}
