//! Dropping: a shard whose lease a look shows to be another's, or nobody's, stops at once. Its own next write would tell
//! it too, but a shard without changes writes nothing, and one with changes would send them first.

use super::{Rows, Tenure};
use crate::lease::row::{Owner, ShardKey, ShardRow};

impl Tenure {
    /// Drops the running shards whose leases these rows, read after they were taken, show to be lost. A row that is gone
    /// says nothing: its shard may have been finished this moment.
    pub(super) fn drop_lost(&mut self, rows: &[Rows]) {
        let (now, before) = (self.shared.machine.now(), self.running.len());
        for (index, (_, shards)) in rows.iter().enumerate() {
            let Some(line) = self.pipelines.get(index) else { continue };
            for (key, row) in shards.iter().filter_map(|(key, row)| Some((key, row.as_ref().ok()?))) {
                let running = (index, ShardKey::clone(key));
                let is_lost = self.running.get(&running).is_some_and(|running| {
                    let is_handed_over =
                        row.owner().is_some_and(|owner| running.course.borrow().heir() == Some(&owner));
                    let is_leaving =
                        is_handed_over || running.course.borrow().is_leaving(now) || running.is_over();
                    !is_leaving && is_taken_away(row, &self.me, running.epoch)
                });
                if is_lost {
                    tracing::warn!(
                        pipeline = &*line.pipeline.name,
                        shard = %key,
                        "the lease was taken away; the shard stops here"
                    );
                    self.shared.metrics.lease_losses.inc();
                    self.running.remove(&running);
                }
            }
        }
        if self.running.len() < before {
            self.count_leases();
            self.figures.ownership_changed();
        }
    }
}

fn is_taken_away(row: &ShardRow, me: &Owner, epoch: u64) -> bool {
    row.epoch > epoch || row.owner().is_some_and(|owner| owner != *me)
}
