//! The plan: which leases this worker should take, and which it should hand over, given what the lease table shows. Pure.
//! Leases are taken from nobody, from the dead, and from oneself after a take whose answer was lost; from the living only
//! what they were offered and did not take. The living hand over what is more than their share.

use std::collections::{BTreeMap, BTreeSet};

use super::awaited::{Lease, Waiting};
use super::balance::{Member, balance};
use super::row::{Owner, ShardKey, ShardRow, ShardState, StreamRow};
use super::store::ShardEntry;
use crate::stream::source::ShardId;

/// What is known of a shard's parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parents {
    /// Finished: the shard may be read (P3).
    Finished,
    /// One has an unfinished row: the shard waits.
    Unfinished,
    /// These have no unfinished row; whether they are finished must be asked of the lease table.
    Ask(Vec<ShardId>),
}

/// Judges a shard's parents by the unfinished shards.
fn parents(key: &ShardKey, row: &ShardRow, unfinished: &BTreeSet<&ShardKey>) -> Parents {
    let is_unfinished = |parent: &ShardId| unfinished.contains(&ShardKey::new(&key.label, parent));
    if row.parents_finished || row.parents.is_empty() {
        Parents::Finished
    } else if row.parents.iter().any(is_unfinished) {
        Parents::Unfinished
    } else {
        Parents::Ask(row.parents.clone())
    }
}

/// A lease that this worker may take once its parents are known to be finished.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub key: ShardKey,
    pub row: ShardRow,
    pub parents: Parents,
}

/// A pipeline that this worker serves, as a look at the lease table shows it.
#[derive(Debug, Clone)]
pub struct Leases<'a> {
    /// `None` while the pipeline is not served.
    pub stream: Option<&'a StreamRow>,
    pub shards: &'a [ShardEntry],
}

/// A worker as a look at the sessions shows it.
#[derive(Debug, Clone)]
pub struct Peer {
    pub owner: Owner,
    /// The observer's pipelines that it serves, by index. Empty while it drains: it is given nothing.
    pub serves: BTreeSet<usize>,
    /// What it owns of others.
    pub elsewhere: usize,
}

/// What a worker does with a lease of its own just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// Its row names this worker, but no task runs.
    Nothing,
    /// A task runs; whether the lease may be handed over.
    Running { movable: bool },
    /// Being handed over to that worker.
    HandingOver(Owner),
}

/// What an observer knows besides the rows.
pub struct Observer<'a> {
    pub me: &'a Owner,
    /// Owners whose sessions exist, read *after* the shard rows: an owner without a session then is dead for certain.
    pub living: &'a BTreeSet<Owner>,
    /// In an order that is the same for all observers.
    pub peers: &'a [Peer],
    pub doing: &'a dyn Fn(&Lease) -> Doing,
    /// Whether this lease, at this revision, was left by those who should take it.
    pub is_overdue: &'a dyn Fn(&Lease, u64) -> bool,
}

/// What this worker should do.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Leases to take, in key order, by pipeline.
    pub takes: Vec<(usize, Candidate)>,
    /// Leases to hand over, and to whom.
    pub gives: Vec<(Lease, Owner)>,
    /// Leases that others are to take.
    pub waiting: Vec<Waiting>,
    /// Where every lease should go that has no owner to stay with.
    pub assigned: BTreeMap<Lease, Owner>,
}

/// A lease without an owner to stay with.
struct Loose {
    lease: Lease,
    /// `None` while it cannot be had: its owner, who drains, still has it, or a rewind is under way.
    candidate: Option<Candidate>,
}

/// Plans for one observer.
pub fn plan(observer: &Observer<'_>, pipelines: &[Leases<'_>]) -> Plan {
    let mut sorting = Sorting {
        observer,
        members: observer.peers.iter().map(Peer::member).collect(),
        loose: Vec::new(),
        movable: BTreeMap::new(),
        plan: Plan::default(),
    };
    for (index, pipeline) in pipelines.iter().enumerate() {
        sorting.sort(index, pipeline);
    }
    sorting.finish()
}

/// The leases, sorted by who has them.
struct Sorting<'a> {
    observer: &'a Observer<'a>,
    /// The peers, with what each has.
    members: Vec<Member>,
    loose: Vec<Loose>,
    /// What the observer itself could hand over, by pipeline.
    movable: BTreeMap<usize, Vec<Lease>>,
    plan: Plan,
}

impl Sorting<'_> {
    fn sort(&mut self, index: usize, pipeline: &Leases<'_>) {
        let Some(stream) = pipeline.stream.filter(|stream| stream.initialized) else { return };
        // Rows that do not read count as unfinished: their children wait.
        let unfinished = pipeline.shards.iter().map(|(key, _)| key).collect();
        for (key, row) in pipeline.shards.iter().filter(|(key, _)| stream.is_open(&key.label)) {
            let Ok(row) = row else { continue };
            // Most leases stay where they are: their rows are not copied.
            let candidate =
                || Candidate { key: key.clone(), row: row.clone(), parents: parents(key, row, &unfinished) };
            let lease = (index, key.clone());
            let owner = row.owner().filter(|owner| self.observer.living.contains(owner));
            let is_at_rest = stream.rewind.is_some() || row.state == ShardState::Frozen;
            match owner {
                // Nobody touches it; it counts, lest other leases move to make up for it.
                owner if is_at_rest => self.keep(lease, owner),
                Some(owner) if owner == *self.observer.me => self.sort_own(lease, candidate),
                Some(owner) if row.offered => self.sort_offered(lease, row.revision, candidate, owner),
                Some(owner) => self.keep(lease, Some(owner)),
                None => {
                    let candidate = candidate();
                    if candidate.parents != Parents::Unfinished {
                        self.loose.push(Loose { lease, candidate: Some(candidate) });
                    }
                }
            }
        }
    }

    /// Counts a lease for its owner, if that is one who may own it.
    fn hold(&mut self, index: usize, owner: &Owner) -> bool {
        let is_it = |peer: &Peer| peer.owner == *owner && peer.serves.contains(&index);
        let Some(at) = self.observer.peers.iter().position(is_it) else { return false };
        *self.members[at].held.entry(index).or_default() += 1;
        true
    }

    /// It cannot be had. Where its owner is one who leaves, it counts as what others will get.
    fn keep(&mut self, lease: Lease, owner: Option<Owner>) {
        if !owner.is_some_and(|owner| self.hold(lease.0, &owner)) {
            self.loose.push(Loose { lease, candidate: None });
        }
    }

    fn sort_own(&mut self, lease: Lease, candidate: impl FnOnce() -> Candidate) {
        let (index, me) = (lease.0, self.observer.me);
        match (self.observer.doing)(&lease) {
            Doing::HandingOver(to) => self.keep(lease, Some(to)),
            Doing::Running { movable } if self.hold(index, me) => {
                if movable {
                    self.movable.entry(index).or_default().push(lease);
                }
            }
            Doing::Nothing if self.hold(index, me) => self.plan.takes.push((index, candidate())),
            // This worker drains.
            _ => self.loose.push(Loose { lease, candidate: None }),
        }
    }

    fn sort_offered(
        &mut self,
        lease: Lease,
        revision: u64,
        candidate: impl FnOnce() -> Candidate,
        owner: Owner,
    ) {
        let offered_to = Some(owner.clone());
        // Said to wait also when it has waited for too long: only so is it known who let it lapse.
        self.plan.waiting.push(Waiting { lease: lease.clone(), revision, offered_to });
        if (self.observer.is_overdue)(&lease, revision) {
            self.loose.push(Loose { lease, candidate: Some(candidate()) });
        } else {
            self.keep(lease, Some(owner));
        }
    }

    fn finish(mut self) -> Plan {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        self.loose.iter().for_each(|one| *counts.entry(one.lease.0).or_default() += 1);
        let balanced = balance(&self.members, &counts);
        let peers = self.observer.peers;
        let mut owners: BTreeMap<usize, std::vec::IntoIter<usize>> =
            balanced.loose.into_iter().map(|(pipeline, owners)| (pipeline, owners.into_iter())).collect();
        for one in std::mem::take(&mut self.loose) {
            let owner = owners.get_mut(&one.lease.0).and_then(Iterator::next).map(|at| &peers[at].owner);
            self.settle(one, owner);
        }
        for a_move in balanced.moves.iter().filter(|a_move| peers[a_move.from].owner == *self.observer.me) {
            let mine = self.movable.entry(a_move.pipeline).or_default();
            // The last ones, which are the youngest shards.
            let given = mine.split_off(mine.len().saturating_sub(a_move.leases));
            let to = &peers[a_move.to].owner;
            self.plan.gives.extend(given.into_iter().map(|lease| (lease, to.clone())));
        }
        self.plan
    }

    /// What becomes of a loose lease that should go to `owner`.
    fn settle(&mut self, loose: Loose, owner: Option<&Owner>) {
        let Loose { lease, candidate } = loose;
        if let Some(owner) = owner {
            self.plan.assigned.insert(lease.clone(), owner.clone());
        }
        let Some(candidate) = candidate else { return };
        let (me, revision) = (self.observer.me, candidate.row.revision);
        let i_serve = |peer: &Peer| peer.owner == *me && peer.serves.contains(&lease.0);
        let is_mine = owner == Some(me) || (self.observer.is_overdue)(&lease, revision);
        if is_mine && self.observer.peers.iter().any(i_serve) {
            self.plan.takes.push((lease.0, candidate));
        } else {
            self.plan.waiting.push(Waiting { lease, revision, offered_to: None });
        }
    }
}

impl Peer {
    fn member(&self) -> Member {
        Member { serves: self.serves.clone(), elsewhere: self.elsewhere, ..Member::default() }
    }
}

#[cfg(test)]
mod tests;
