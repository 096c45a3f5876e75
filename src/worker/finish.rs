//! A lease's end: a finished shard becomes a finished row and its children's rows in one transaction (P3); a lease given
//! up keeps its progress and loses its owner.

use std::time::Duration;

use super::course::Course;
use super::held::Held;
use super::pipeline::{Pipeline, READ_TIMEOUT};
use super::shard::{ShardEnd, ShardTask};
use crate::error::{ApiError, ErrorKind};
use crate::lease::row::{FinishedRow, Gap, ShardKey, ShardRow};
use crate::machine::timeout;
use crate::ops::repeats::Repeats;
use crate::retry::Retry;
use crate::stream::retention::Unread;
use crate::stream::source::{ListShards, ListedShard};

/// The row of a shard discovered just now, by the service's clock.
pub fn new_shard_row(shard: &ListedShard, parents_finished: bool, now_ms: u64) -> ShardRow {
    ShardRow::fresh(shard.parent.clone().into_iter().collect(), parents_finished, now_ms)
}

/// The row of a shard discovered after the first listing. One that was opened longer ago than changes are kept may have
/// lost its first ones before anybody knew of it: that is noted (P7).
pub fn late_shard_row(shard: &ListedShard, parents_finished: bool, now_ms: u64) -> ShardRow {
    let mut row = new_shard_row(shard, parents_finished, now_ms);
    if Unread::new(&shard.id, None, now_ms).was_found_late() {
        row.gaps.push(Gap {
            reason:
                "the shard was discovered later than the stream's retention of 24 hours after it was opened"
                    .to_owned(),
            from: None,
            to: None,
            noticed_at_ms: now_ms,
        });
    }
    row
}

/// Says and counts the gaps that a row was made with.
pub fn say_gaps(pipeline: &Pipeline, key: &ShardKey, gaps: &[Gap]) {
    for gap in gaps {
        pipeline.metrics.gaps.inc();
        tracing::error!(pipeline = &*pipeline.name, shard = %key, "changes may be missing: {}", gap.reason);
    }
}

/// Finishes the shard: every change of it is done. Tried until it succeeds, the lease is lost, or the worker must stop.
pub async fn finish(task: &ShardTask, held: &mut Held) -> ShardEnd {
    let machine = &*task.shared.machine;
    let mut children = children(task, held).await;
    let mut retry = Retry::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut failures = Repeats::default();
    loop {
        if task.course.borrow().is_over(machine.now()) {
            return release(task, held).await;
        }
        let Some(limit) = held.time_left(machine) else {
            machine.sleep(Duration::from_millis(200)).await;
            continue;
        };
        let row = held.next_revision();
        let finished = FinishedRow {
            checkpoint: row.checkpoint.clone(),
            finished_at_ms: machine.wall_ms(),
            parents: row.parents.clone(),
            gaps: row.gaps.clone(),
            epoch: row.epoch,
        };
        let store = &held.store;
        match store.finish(&held.pipeline, &held.key, &row, &finished, &children, limit).await {
            Ok(()) => return finished_now(task, &children),
            Err(error) if error.kind == ErrorKind::ConditionFailed => {
                match after_conflict(held, &mut children).await {
                    Ok(Conflict::Finished) => return finished_now(task, &children),
                    Ok(Conflict::Lost) => return ShardEnd::Lost,
                    Ok(Conflict::KnownChildren) => continue,
                    Err(error) => note(task, &mut failures, &error),
                }
            }
            Err(error) => note(task, &mut failures, &error),
        }
        machine.sleep(retry.next(machine.random())).await;
    }
}

fn finished_now(task: &ShardTask, children: &[(ShardKey, ShardRow)]) -> ShardEnd {
    children.iter().for_each(|(key, row)| say_gaps(&task.pipeline, key, &row.gaps));
    let children = children.len();
    task.pipeline.metrics.checkpoints.inc();
    tracing::info!(pipeline = &*task.pipeline.name, shard = %task.key, children, "the shard is finished");
    ShardEnd::Finished
}

fn note(task: &ShardTask, failures: &mut Repeats, error: &ApiError) {
    task.pipeline.failed(error);
    if let Some(times) = failures.happened(task.shared.machine.now()) {
        tracing::warn!(pipeline = &*task.pipeline.name, shard = %task.key, times, "finish the shard: {error}");
    }
}

enum Conflict {
    /// An earlier attempt took place and its answer was lost.
    Finished,
    Lost,
    /// Children that have rows already are left out now.
    KnownChildren,
}

async fn after_conflict(held: &Held, children: &mut Vec<(ShardKey, ShardRow)>) -> Result<Conflict, ApiError> {
    let (store, pipeline) = (&held.store, &held.pipeline);
    match store.shard(pipeline, &held.key).await? {
        Some(Ok(row)) if row.owner() == held.row.owner() && row.epoch == held.row.epoch => {}
        Some(_) => return Ok(Conflict::Lost),
        None if store.is_finished(pipeline, &held.key).await? => return Ok(Conflict::Finished),
        None => return Ok(Conflict::Lost),
    }
    let mut unknown = Vec::new();
    for (key, row) in children.drain(..) {
        if store.shard(pipeline, &key).await?.is_none() && !store.is_finished(pipeline, &key).await? {
            unknown.push((key, row));
        }
    }
    *children = unknown;
    Ok(Conflict::KnownChildren)
}

/// The rows of the children known by now, this worker's own to take. That they cannot be listed never delays the shard's
/// end: discovery adds them.
async fn children(task: &ShardTask, held: &Held) -> Vec<(ShardKey, ShardRow)> {
    let machine = &*task.shared.machine;
    task.shared.questions.turn(machine).await;
    let query = ListShards::ChildrenOf(task.key.shard.clone());
    let call = task.pipeline.source.describe_stream(&task.stream, &query);
    let page = match timeout(machine, READ_TIMEOUT / 2, call).await {
        Some(Ok(page)) => page,
        Some(Err(error)) => {
            task.pipeline.failed(&error);
            return Vec::new();
        }
        None => return Vec::new(),
    };
    let now_ms = page.served_at_ms.unwrap_or_else(|| machine.wall_ms());
    let is_stopping = matches!(*task.course.borrow(), Course::Stop { .. });
    let heir = held.row.owner().filter(|_| !is_stopping);
    let child_row = |shard| {
        let mut row = late_shard_row(shard, true, now_ms);
        if let Some(heir) = &heir {
            row.offer_to(heir);
        }
        row
    };
    page.shards
        .iter()
        // Emulators ignore the filter.
        .filter(|shard| shard.parent.as_ref() == Some(&task.key.shard))
        // Two writes a child, and DynamoDB takes 100 in a transaction.
        .take(40)
        .map(|shard| (ShardKey::new(&task.key.label, &shard.id), child_row(shard)))
        .collect()
}

/// Gives the lease up with the progress made: to its heir, if there is one. Tried until the worker must stop; after that
/// the lease goes with the session.
pub async fn release(task: &ShardTask, held: &mut Held) -> ShardEnd {
    let machine = &*task.shared.machine;
    let heir = task.course.borrow().heir().cloned();
    let mut retry = Retry::new(Duration::from_millis(100), Duration::from_secs(1));
    loop {
        if let Some(limit) = held.time_left(machine) {
            let row = held.next_revision();
            match held.store.release(&held.pipeline, &held.key, &row, heir.as_ref(), limit).await {
                Ok(()) => {
                    task.pipeline.metrics.checkpoints.inc();
                    if let Some(heir) = &heir {
                        tracing::info!(pipeline = &*task.pipeline.name, shard = %task.key, to = heir.id, "the lease is handed over");
                    }
                    return ShardEnd::Released;
                }
                Err(error) if error.kind == ErrorKind::ConditionFailed => {
                    return after_lost_release(task, held).await;
                }
                Err(error) => task.pipeline.failed(&error),
            }
        }
        machine.sleep(retry.next(machine.random())).await;
    }
}

/// A release refused: its own earlier attempt may have taken place, and whoever was offered the lease may have taken it.
async fn after_lost_release(task: &ShardTask, held: &Held) -> ShardEnd {
    match task.shared.store.shard(&held.pipeline, &held.key).await {
        Ok(Some(Ok(row))) if row.owner() != held.row.owner() => ShardEnd::Released,
        _ => ShardEnd::Lost,
    }
}
