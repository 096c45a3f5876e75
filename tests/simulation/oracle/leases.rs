//! What the lease table may go through: owners one after the other, checkpoints behind Kinesis and never back, gaps only
//! where retention passed.

use super::{CLOCKS_APART_MS, Oracle, RETENTION_MS, Rule, Verdict, broken};
use crate::history::{Gap, Lease, Seq, Session, Shard, Who};

impl Oracle {
    pub(super) fn lease(&mut self, who: &Who, shard: &Shard, row: Option<&Lease>, at_ms: u64) -> Verdict {
        let before = std::mem::replace(&mut self.shard(shard).lease, row.cloned());
        let state = self.shard(shard);
        state.leased_ms = at_ms;
        // What was only offered is taken when its owner writes it.
        let owner_of = |row: Option<&Lease>| row.filter(|row| !row.offered).and_then(|row| row.owner.clone());
        if owner_of(row) != owner_of(before.as_ref()) {
            state.taken_ms = at_ms;
        }
        let Some(row) = row else { return Ok(()) };
        if let Some(owner) = &row.owner {
            self.given(shard, owner, before.as_ref().and_then(|before| before.owner.as_deref()))?;
        }
        if let Some(before) = before {
            let moved_back = row.epoch < before.epoch
                || row.revision <= before.revision
                || row.checkpoint < before.checkpoint
                || row.gaps.len() < before.gaps.len();
            if moved_back {
                return broken(Rule::Backwards, format!("{shard}: {who} wrote {row:?} over {before:?}"));
            }
            let robbed =
                before.owner.as_ref().filter(|owner| row.owner.as_ref().is_some_and(|new| new != *owner));
            let is_own = |owner: &String| self.process_of.get(owner) == Some(who);
            let lives = |owner: &String| self.sessions.values().any(|living| living.owner == *owner);
            if let Some(owner) = robbed.filter(|owner| lives(owner) && !is_own(owner) && !before.offered) {
                return broken(Rule::Fencing, format!("{shard}: {who} took the lease of {owner}, who lives"));
            }
            let owner = before.owner.as_ref().and_then(|owner| self.process_of.get(owner));
            if row.checkpoint != before.checkpoint && owner != Some(who) {
                return broken(Rule::Fencing, format!("{shard}: {who} moved the checkpoint of {before:?}"));
            }
        } else if self.shard(shard).finished {
            return broken(Rule::Backwards, format!("{shard} is finished, but {who} made a row for it"));
        }
        if let Some(owner) = &row.owner {
            let state = self.shard(shard);
            let first = state.owners.entry(row.epoch).or_insert_with(|| owner.clone()).clone();
            if first != *owner {
                return broken(
                    Rule::Fencing,
                    format!("{shard}: {first} and {owner} both wrote in epoch {}", row.epoch),
                );
            }
        }
        self.gaps(shard, &row.gaps, at_ms)?;
        self.checkpoint(shard, row.checkpoint)
    }

    fn checkpoint(&mut self, shard: &Shard, checkpoint: Option<Seq>) -> Verdict {
        let Some(checkpoint) = checkpoint else { return Ok(()) };
        match self.missing(shard) {
            Some((open, item)) if open <= checkpoint => broken(
                Rule::Loss,
                format!("{shard}: checkpoint {checkpoint} is stored, but Kinesis has not {open} of {item}"),
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn finished(
        &mut self,
        shard: &Shard,
        checkpoint: Option<Seq>,
        gaps: &[Gap],
        at_ms: u64,
    ) -> Verdict {
        self.gaps(shard, gaps, at_ms)?;
        self.checkpoint(shard, checkpoint)?;
        let skipped = self.shards.get(shard).is_some_and(|state| self.latest.contains(&state.table));
        if let Some((open, item)) = self.missing(shard)
            && !skipped
        {
            return broken(Rule::Loss, format!("{shard} is finished, but Kinesis has not {open} of {item}"));
        }
        let state = self.shard(shard);
        state.finished = true;
        if !state.closed {
            return broken(Rule::Loss, format!("{shard} is finished while it is open"));
        }
        Ok(())
    }

    fn gaps(&mut self, shard: &Shard, gaps: &[Gap], at_ms: u64) -> Verdict {
        let state = self.shard(shard);
        for gap in gaps {
            let passed = state.opened_ms + RETENTION_MS <= at_ms + CLOCKS_APART_MS
                || state.vanished
                || state.trimmed_through.is_some_and(|through| gap.from.is_none_or(|from| from <= through));
            if !passed {
                return broken(
                    Rule::FalseGap,
                    format!("{shard}: {gap:?} is noted, but retention has not passed"),
                );
            }
        }
        state.gaps = gaps.to_vec();
        Ok(())
    }

    pub(super) fn session(&mut self, who: &Who, id: &str, row: Option<&Session>) {
        // Somebody comes or goes after all: the late first heartbeat of one who is dead, say.
        let before = self.sessions.get(id).map(|session| &session.owner);
        self.at_rest &= before == row.map(|row| &row.owner);
        match row {
            Some(row) => {
                self.sessions.insert(id.to_owned(), row.clone());
                self.session_of.insert(who.clone(), row.owner.clone());
                self.process_of.entry(row.owner.clone()).or_insert_with(|| who.clone());
            }
            None => {
                self.sessions.remove(id);
            }
        }
    }
}
