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
    let mut plan = Plan::default();
    let mut members: Vec<Member> = observer.peers.iter().map(Peer::member).collect();
    let mut loose: Vec<Loose> = Vec::new();
    let mut movable: BTreeMap<usize, Vec<Lease>> = BTreeMap::new();
    for (index, pipeline) in pipelines.iter().enumerate() {
        sort_out(observer, index, pipeline, &mut plan, &mut members, &mut loose, &mut movable);
    }
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    loose.iter().for_each(|one| *counts.entry(one.lease.0).or_default() += 1);
    let balanced = balance(&members, &counts);
    let mut owners: BTreeMap<usize, std::vec::IntoIter<usize>> =
        balanced.loose.into_iter().map(|(pipeline, owners)| (pipeline, owners.into_iter())).collect();
    for one in loose {
        let owner = owners.get_mut(&one.lease.0).and_then(Iterator::next).map(|at| &observer.peers[at].owner);
        settle(observer, one, owner, &mut plan);
    }
    for a_move in balanced.moves.iter().filter(|a_move| observer.peers[a_move.from].owner == *observer.me) {
        let mine = movable.entry(a_move.pipeline).or_default();
        // The last ones, which are the youngest shards.
        let given = mine.split_off(mine.len().saturating_sub(a_move.leases));
        let to = &observer.peers[a_move.to].owner;
        plan.gives.extend(given.into_iter().map(|lease| (lease, to.clone())));
    }
    plan
}

/// Says of each lease of a pipeline who has it, or that it is loose.
fn sort_out(
    observer: &Observer<'_>,
    index: usize,
    pipeline: &Leases<'_>,
    plan: &mut Plan,
    members: &mut [Member],
    loose: &mut Vec<Loose>,
    movable: &mut BTreeMap<usize, Vec<Lease>>,
) {
    let Some(stream) = pipeline.stream.filter(|stream| stream.initialized) else { return };
    let mut hold = |owner: &Owner| match observer
        .peers
        .iter()
        .position(|peer| peer.owner == *owner && peer.serves.contains(&index))
    {
        Some(at) => {
            *members[at].held.entry(index).or_default() += 1;
            true
        }
        None => false,
    };
    // Rows that do not read count as unfinished: their children wait.
    let unfinished = pipeline.shards.iter().map(|(key, _)| key).collect();
    for (key, row) in pipeline.shards.iter().filter(|(key, _)| stream.is_open(&key.label)) {
        let Ok(row) = row else { continue };
        let lease = (index, key.clone());
        let candidate =
            || Candidate { key: key.clone(), row: row.clone(), parents: parents(key, row, &unfinished) };
        let owner = row.owner().filter(|owner| observer.living.contains(owner));
        if stream.rewind.is_some() || row.state == ShardState::Frozen {
            // Nobody touches it; it counts, lest other leases move to make up for it.
            if !owner.is_some_and(|owner| hold(&owner)) {
                loose.push(Loose { lease, candidate: None });
            }
            continue;
        }
        let is_overdue = (observer.is_overdue)(&lease, row.revision);
        match owner {
            Some(owner) if owner == *observer.me => match (observer.doing)(&lease) {
                Doing::HandingOver(to) if hold(&to) => {}
                Doing::Running { movable: can_move } if hold(&owner) => {
                    if can_move {
                        movable.entry(index).or_default().push(lease);
                    }
                }
                Doing::Nothing if hold(&owner) => plan.takes.push((index, candidate())),
                // This worker drains, or the one that was to have the lease is gone.
                _ => loose.push(Loose { lease, candidate: None }),
            },
            Some(owner) if row.offered && is_overdue => {
                // Still said to wait: only so is it known who let it lapse.
                let offered_to = Some(owner);
                plan.waiting.push(Waiting { lease: lease.clone(), revision: row.revision, offered_to });
                loose.push(Loose { lease, candidate: Some(candidate()) });
            }
            Some(owner) => {
                if row.offered {
                    let offered_to = Some(owner.clone());
                    plan.waiting.push(Waiting { lease: lease.clone(), revision: row.revision, offered_to });
                }
                if !hold(&owner) {
                    loose.push(Loose { lease, candidate: None });
                }
            }
            None => {
                let candidate = candidate();
                if candidate.parents != Parents::Unfinished {
                    loose.push(Loose { lease, candidate: Some(candidate) });
                }
            }
        }
    }
}

/// What becomes of a loose lease that should go to `owner`.
fn settle(observer: &Observer<'_>, loose: Loose, owner: Option<&Owner>, plan: &mut Plan) {
    let Loose { lease, candidate } = loose;
    if let Some(owner) = owner {
        plan.assigned.insert(lease.clone(), owner.clone());
    }
    let Some(candidate) = candidate else { return };
    let revision = candidate.row.revision;
    let i_serve = |peer: &Peer| peer.owner == *observer.me && peer.serves.contains(&lease.0);
    let is_mine = owner == Some(observer.me) || (observer.is_overdue)(&lease, revision);
    if is_mine && observer.peers.iter().any(i_serve) {
        plan.takes.push((lease.0, candidate));
    } else {
        plan.waiting.push(Waiting { lease, revision, offered_to: None });
    }
}

impl Peer {
    fn member(&self) -> Member {
        Member { serves: self.serves.clone(), elsewhere: self.elsewhere, ..Member::default() }
    }
}

#[cfg(test)]
mod tests;
