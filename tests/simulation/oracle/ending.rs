//! The oracle's last words: what must hold once the faults are over and everybody has had time, and after all stopped.

use std::collections::BTreeSet;

use super::{Oracle, Rule, Shard, ShardState, Verdict, broken, covers};
use crate::history::{Gap, Lease};

/// Between two full looks at the leases, on the slowest clock, and some failed ones.
const FULL_LOOK_MS: u64 = 60_000;

impl Oracle {
    /// Changes that nobody will deliver any more and no gap accounts for.
    pub fn lost(&self) -> Verdict {
        for (name, shard) in &self.shards {
            let unseen = shard.owners.is_empty() && !shard.finished;
            let skipped_with_others = unseen && (self.children_gap(name) || self.parents_gap(name));
            // A shard that was never seen went with the stream.
            let between = |gap: &(String, String)| {
                (gap.0 < shard.label || unseen && gap.0 == shard.label) && shard.label < gap.1
            };
            let skipped = self.stream_gaps.get(&shard.table).is_some_and(|gaps| gaps.iter().any(between));
            for change in shard.changes.iter().filter(|change| !self.is_left_out(change.seq)) {
                let is_delivered = self.delivered.contains(&(shard.table.as_str().into(), change.seq));
                let has_gap =
                    skipped || skipped_with_others || shard.gaps.iter().any(|gap| covers(gap, change.seq));
                let is_accounted_for = change.trimmed_ms.is_some() && has_gap;
                if !is_delivered && !is_accounted_for && !self.is_before_start(shard, change) {
                    let what = format!(
                        "{} of {} in {name} never arrived, and no gap is noted",
                        change.seq, change.item
                    );
                    return broken(Rule::Loss, what);
                }
            }
        }
        Ok(())
    }

    /// Whether an ancestor's gap reaches to its end and beyond.
    fn parents_gap(&self, shard: &Shard) -> bool {
        let Some(parent) = self.shards.get(shard).and_then(|shard| shard.parent.as_ref()) else {
            return false;
        };
        let reaches_on = |gap: &Gap| gap.to.is_none();
        self.shards.get(parent).is_some_and(|state| state.gaps.iter().any(reaches_on))
            || self.parents_gap(parent)
    }

    /// Whether a descendant's gap reaches back to its beginning and beyond: a whole generation was never seen.
    fn children_gap(&self, shard: &Shard) -> bool {
        let children = self.shards.iter().filter(|(_, child)| child.parent.as_ref() == Some(shard));
        let reaches_back = |gap: &Gap| gap.from.is_none();
        let mut children = children.peekable();
        children.peek().is_some()
            && children.all(|(name, child)| child.gaps.iter().any(reaches_back) || self.children_gap(name))
    }

    /// What is still to happen before everything is delivered and every open shard has a living owner.
    pub fn unsettled(&mut self) -> Option<String> {
        let living: BTreeSet<String> = self.living().into_keys().map(str::to_owned).collect();
        let names: Vec<Shard> = self.shards.keys().cloned().collect();
        for name in names {
            if let Some((open, _)) = self.missing(&name) {
                return Some(format!("{open} of {name} is not delivered"));
            }
            let state = self.shards.get(&name)?;
            let has_owner = |lease: &Lease| {
                !lease.offered && lease.owner.as_ref().is_some_and(|owner| living.contains(owner))
            };
            match &state.lease {
                Some(lease) if !has_owner(lease) => {
                    return Some(format!("{name} has no living owner: {lease:?}"));
                }
                Some(_) if state.closed => return Some(format!("{name} is closed but not finished")),
                None if !state.finished && !state.vanished => return Some(format!("{name} has no row")),
                _ => {}
            }
        }
        self.uneven()
    }

    /// How many changes Kinesis has.
    pub fn delivered(&self) -> usize {
        self.delivered.len()
    }

    /// After everybody stopped in an orderly way, told so at that moment: no lease has an owner, save one just taken whose
    /// owner may not know of it yet: it learns that from its next full look, and else the lease goes with its session. An
    /// offer to one who stopped goes with its session too.
    pub fn all_released(&self, told_ms: u64) -> Verdict {
        let is_known =
            |shard: &ShardState| shard.leased_ms > shard.taken_ms || shard.taken_ms + FULL_LOOK_MS < told_ms;
        for (name, shard) in self.shards.iter().filter(|(_, shard)| is_known(shard)) {
            let taken = shard.lease.as_ref().filter(|lease| !lease.offered);
            if let Some(owner) = taken.and_then(|lease| lease.owner.as_ref()) {
                let what = format!("{name} still names {owner}, who stopped in an orderly way");
                return broken(Rule::Fencing, what);
            }
        }
        Ok(())
    }
}
