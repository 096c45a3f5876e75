//! Shares: a worker is given only what it serves; once all is well leases are shared out evenly, and then stay where they
//! are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, Rule, Verdict, broken};
use crate::history::{Session, Shard, Who};

impl Oracle {
    /// Who runs, by sessions that nobody has ended.
    pub(super) fn living(&self) -> BTreeMap<&str, &Session> {
        let of = |who: &Who| self.session_of.get(who);
        let running: BTreeSet<&str> = self.running.iter().filter_map(of).map(String::as_str).collect();
        let sessions = self.sessions.values().map(|session| (session.owner.as_str(), session));
        sessions.filter(|(owner, _)| running.contains(owner)).collect()
    }

    /// Two workers of which one has at least two leases more than the other, and one that the other could have.
    pub fn uneven(&self) -> Option<String> {
        let living = self.living();
        let staying = |owner: &&str| living.get(owner).is_some_and(|session| !session.draining);
        let mut held: BTreeMap<&str, Vec<&str>> =
            living.keys().copied().filter(staying).map(|owner| (owner, vec![])).collect();
        for shard in self.shards.values() {
            let owner = shard.lease.as_ref().and_then(|lease| lease.owner.as_deref());
            if let Some(held) = owner.and_then(|owner| held.get_mut(owner)) {
                held.push(&shard.table);
            }
        }
        for (more, tables) in &held {
            for (fewer, _) in held.iter().filter(|(_, fewer)| tables.len() >= fewer.len() + 2) {
                let serves = |table: &&str| living[fewer].serves.iter().any(|served| served == table);
                if tables.iter().any(serves) {
                    return Some(format!(
                        "{more} has {} leases, {fewer} {}",
                        tables.len(),
                        held[fewer].len()
                    ));
                }
            }
        }
        None
    }

    /// Whether a process is about to end its session, or to begin one.
    pub fn is_anybody_on_the_move(&self) -> bool {
        let living = self.living();
        living.len() < self.running.len() || living.values().any(|session| session.draining)
    }

    /// Whether a session is left of one who does not run: until it is buried, leases are offered to it like to anybody.
    pub fn is_any_unburied(&self) -> bool {
        self.sessions.len() > self.living().len()
    }

    /// A lease gets this owner.
    pub(super) fn given(&self, shard: &Shard, owner: &str, before: Option<&str>) -> Verdict {
        let table = shard.split_once(':').unwrap_or_default().0;
        let serves = |session: &Session| session.serves.iter().any(|served| served == table);
        if self.sessions.values().any(|session| session.owner == owner && !serves(session)) {
            return broken(Rule::Share, format!("{shard} is given to {owner}, who does not serve it"));
        }
        // Who does not serve all pipelines knows of the others' loads only what their last heartbeats said.
        let mut all = self.sessions.values().map(|session| &session.serves);
        let first = all.next();
        let is_mixed = all.any(|serves| Some(serves) != first);
        match before.filter(|before| *before != owner) {
            Some(before) if self.at_rest && !is_mixed => {
                broken(Rule::Share, format!("{shard} goes from {before} to {owner} while nothing is uneven"))
            }
            _ => Ok(()),
        }
    }
}
