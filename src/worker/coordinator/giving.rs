//! Giving: the plan as this worker sees it, the handing over of what is more than its share, and the drain, which hands
//! over everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::taking::View;
use super::{Tenure, TenureEnd};
use crate::error::{ApiError, ErrorKind};
use crate::lease::awaited::Lease;
use crate::lease::plan::{Doing, Leases, Observer, Peer, Plan, plan};
use crate::lease::row::{Owner, SessionRow};
use crate::machine::{MonoTime, timeout};
use crate::retry::Retry;
use crate::worker::course::Course;

/// What is under way must be delivered in this time, or the handover is called off.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(10);
/// After a handover was called off, the shard stays for so long.
const STAYS_FOR: Duration = Duration::from_secs(60);
/// The longest that a drain waits to learn whom the leases should go to.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// How long a worker that has drained tries to delete its session row.
const END_SESSION_WITHIN: Duration = Duration::from_secs(5);

impl Tenure {
    pub(super) fn plan(&self, living: &BTreeSet<Owner>, view: &View) -> Plan {
        let now = self.shared.machine.now();
        let peers: Vec<Peer> = self.membership.iter().map(|(owner, row)| self.peer(owner, row)).collect();
        let observer = Observer {
            me: &self.me,
            living,
            peers: &peers,
            doing: &|lease| self.doing(lease, now),
            is_overdue: &|lease, revision| self.awaited.is_overdue(now, lease, revision),
        };
        let pipelines: Vec<Leases<'_>> =
            view.iter().map(|(stream, shards)| Leases { stream: stream.as_ref(), shards }).collect();
        plan(&observer, &pipelines)
    }

    fn peer(&self, owner: &Owner, row: &SessionRow) -> Peer {
        let is_draining = row.draining || *owner == self.me && self.figures.draining.load(Ordering::Acquire);
        let is_given_nothing = is_draining || self.awaited.is_avoided(owner);
        let serves: BTreeSet<usize> = self
            .pipelines
            .iter()
            .enumerate()
            .filter(|(_, line)| {
                !is_given_nothing && row.pipelines.iter().any(|name| **name == *line.pipeline.name)
            })
            .map(|(index, _)| index)
            .collect();
        let is_mine = |name: &str| self.pipelines.iter().any(|line| *name == *line.pipeline.name);
        let others = row.loads.iter().filter(|(name, _)| !is_mine(name)).map(|(_, load)| load);
        let elsewhere = usize::try_from(others.sum::<u64>()).unwrap_or(usize::MAX);
        Peer { owner: owner.clone(), serves, elsewhere }
    }

    fn doing(&self, lease: &Lease, now: MonoTime) -> Doing {
        let Some(running) = self.running.get(lease) else { return Doing::Nothing };
        match &*running.course.borrow() {
            Course::HandOver { to, until } if now < *until => Doing::HandingOver(to.clone()),
            _ => Doing::Running { movable: now >= running.stays_until },
        }
    }

    /// Has shards' tasks hand their leases over.
    pub(super) fn give(&mut self, gives: Vec<(Lease, Owner)>) {
        let until = self.shared.machine.now() + HAND_OVER_WITHIN;
        for (lease, to) in gives {
            if let Some(running) = self.running.get_mut(&lease) {
                running.stays_until = until + STAYS_FOR;
                running.course.send_replace(Course::HandOver { to, until });
            }
        }
    }

    /// Stops reading, lets what is under way be delivered, stores checkpoints, hands the leases over, ends the session.
    pub(super) async fn drain(mut self) -> TenureEnd {
        let machine = Arc::clone(&self.shared.machine);
        let began = machine.now();
        let until = began + self.shutdown_timeout;
        // The last fifth is for checkpoints and releases.
        let deliver_until = began + self.shutdown_timeout * 4 / 5;
        tracing::info!(shards = self.running.len(), "draining");
        self.figures.draining.store(true, Ordering::Release);
        self.figures.ownership_changed();
        for line in &mut self.pipelines {
            line.discovery = None;
        }
        let heirs = timeout(&*machine, LAST_LOOK.min(self.shutdown_timeout / 5), self.heirs()).await;
        let heirs = match heirs {
            Some(Ok(plan)) => plan.assigned,
            // Without heirs the leases are free, for whoever looks.
            Some(Err(_)) | None => Default::default(),
        };
        for (lease, running) in &self.running {
            let to = heirs.get(lease).or(running.course.borrow().heir()).cloned();
            running.course.send_replace(Course::Stop { to, until: deliver_until });
        }
        self.wait_for_shards(until).await;
        self.running.clear();
        self.end_session(until).await;
        TenureEnd::Stopped
    }

    /// Tried more than once: until the others see the row gone, or dead, they need not look for what it leaves to them.
    async fn end_session(&self, until: MonoTime) {
        let machine = &*self.shared.machine;
        let end_until =
            machine.now() + until.since(machine.now()).clamp(Duration::from_secs(1), END_SESSION_WITHIN);
        let mut retry = Retry::new(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            let left = end_until.since(machine.now());
            match timeout(machine, left, self.shared.store.end_session(&self.me)).await {
                Some(Ok(())) => return tracing::info!("the session is over"),
                // By an earlier try, whose answer was lost, or by others.
                Some(Err(error)) if error.kind == ErrorKind::ConditionFailed => {
                    return tracing::info!("the session was over already");
                }
                Some(Err(error)) => {
                    let pause = retry.next(machine.random());
                    if machine.now() + pause >= end_until {
                        return tracing::warn!("end the session: {error}");
                    }
                    machine.sleep(pause).await;
                }
                None => return tracing::warn!("end the session: no answer in time"),
            }
        }
    }

    /// Waits for the shards' tasks to end, and tells the others of each lease that they can take.
    async fn wait_for_shards(&self, until: MonoTime) {
        let machine = &*self.shared.machine;
        let at_work = || self.running.values().filter(|running| !running.is_over()).count();
        let mut before = self.running.len();
        while before > 0 && machine.now() < until {
            self.shared.health.moved();
            let left = until.since(machine.now());
            timeout(machine, left.min(Duration::from_millis(100)), self.wake.notified()).await;
            let now = at_work();
            if now < before {
                self.figures.ownership_changed();
            }
            before = now;
        }
        if before > 0 {
            tracing::warn!(
                shards = before,
                "the time to shut down is over; these leases go with the session"
            );
        }
    }

    /// Whom this worker's leases should go to, by a last look at who is there.
    async fn heirs(&mut self) -> Result<Plan, ApiError> {
        let rows = self.read_rows().await?;
        let sessions = self.read_sessions().await?;
        self.membership = sessions.rows.into_iter().map(|(id, row)| (super::owner(id, &row), row)).collect();
        let living = self.living(&rows, &sessions.unreadable);
        let view: View =
            rows.into_iter().map(|(stream, shards)| (stream.and_then(Result::ok), shards)).collect();
        Ok(self.plan(&living, &view))
    }
}
