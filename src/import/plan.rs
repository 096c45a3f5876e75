//! What an import writes: which rows stand for which leases. Pure.
//!
//! What the application has not processed is carried, and nothing is left out for which there is no word of it. An ancestor
//! of a leased shard that has no lease itself lies behind the application: it dropped the lease, or began after it (a missing
//! parent's lease blocks nothing in the KCL). A listed shard that is nobody's ancestor and has no lease is new, and is left to
//! discovery, which has it carried whole.

use std::collections::{BTreeMap, BTreeSet};

use super::lease::{Checkpoint, KclLease, adapter_name};
use crate::lease::rewind::Listings;
use crate::lease::row::{FinishedRow, Gap, ShardKey, ShardRow, StreamEntry};
use crate::stream::SequenceNumber;
use crate::stream::arn::StreamArn;
use crate::stream::lineage::Listing;
use crate::stream::source::ShardId;

/// The most keys that an error names.
const MOST_NAMED: usize = 5;

/// What stands for a checkpoint of which the row does not tell where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatestAs {
    /// The oldest change that the shard still holds: nothing is lost.
    TrimHorizon,
    /// Changes made before this moment are left out, epoch milliseconds.
    From(u64),
}

/// The rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    pub streams: Vec<StreamEntry>,
    pub gaps: Vec<Gap>,
    pub shards: BTreeMap<ShardKey, ShardRow>,
    pub finished: BTreeMap<ShardKey, FinishedRow>,
    /// Listed, and not known to the application: discovery adds them.
    pub new: Vec<ShardKey>,
    /// Leases of other streams.
    pub foreign: usize,
    /// Leases of streams of this table that are gone.
    pub gone: usize,
}

/// The plan for a pipeline. `table` is any stream of its table; `listings` has those that are left.
pub fn plan(
    leases: &BTreeMap<String, KclLease>,
    table: &StreamArn,
    listings: &Listings,
    latest_as: Option<LatestAs>,
    now_ms: u64,
) -> Result<Plan, String> {
    let mut plan = Plan::default();
    let by_label = sorted(leases, table, listings, &mut plan, now_ms)?;
    let (Some(first), Some(last)) = (by_label.keys().next(), by_label.keys().next_back()) else {
        return Err(format!(
            "none of its {} leases is of a stream of table {} that is left: is it this pipeline's table, in this Region and \
             account?",
            leases.len(),
            table.table_name
        ));
    };
    let mut unknown = Vec::new();
    let nobody = BTreeMap::new();
    for (label, listing) in listings.iter().filter(|(label, _)| *label <= last) {
        let is_before = label < first;
        if let Some(before) = plan.streams.last().filter(|before| !before.drained) {
            let (from, to) = (Some(before.label.clone()), Some(label.clone()));
            let reason = "the table's stream was disabled and enabled again".to_owned();
            plan.gaps.push(Gap { reason, from, to, noticed_at_ms: now_ms });
        }
        plan.streams.push(StreamEntry { label: label.clone(), drained: is_before });
        let leased = by_label.get(label).unwrap_or(&nobody);
        let stream = Stream { label, listing, leased };
        if is_before {
            // The application never read this stream.
            plan.finished.extend(
                listing.shards().map(|shard| (stream.key(&shard.id), stream.finished(&shard.id, now_ms))),
            );
        } else {
            stream.enter(&mut plan, &mut unknown, latest_as, now_ms);
        }
    }
    if unknown.is_empty() { Ok(plan) } else { Err(unknown_refused(&unknown)) }
}

fn unknown_refused(unknown: &[String]) -> String {
    let named: Vec<&str> = unknown.iter().take(MOST_NAMED).map(String::as_str).collect();
    format!(
        "{} of its leases stand at LATEST or AT_TIMESTAMP, which does not tell where they are ({}{}): give --latest-as \
         trim_horizon (all that those shards still hold, nothing is lost), the time at which the application first started \
         (2024-05-06T07:08:09Z: changes made before it are left out), or now (changes made until now are left out)",
        unknown.len(),
        named.join(", "),
        if unknown.len() > MOST_NAMED { ", …" } else { "" }
    )
}

type ByShard<'a> = BTreeMap<ShardId, &'a KclLease>;

/// The leases of each of the table's streams.
fn sorted<'a>(
    leases: &'a BTreeMap<String, KclLease>,
    table: &StreamArn,
    listings: &Listings,
    plan: &mut Plan,
    now_ms: u64,
) -> Result<BTreeMap<String, ByShard<'a>>, String> {
    let mut by_label: BTreeMap<String, ByShard<'a>> = BTreeMap::new();
    let names: BTreeMap<String, &String> = listings
        .keys()
        .map(|label| (adapter_name(&StreamArn { label: label.clone(), ..table.clone() }), label))
        .collect();
    let any_of_table = adapter_name(&StreamArn { label: String::new(), ..table.clone() });
    let mut gone = BTreeSet::new();
    for lease in leases.values() {
        let label = match &lease.stream {
            None => Some(home(lease, listings).ok_or("the table has no stream that is left")?),
            Some(name) => names.get(name).copied(),
        };
        match (label, &lease.stream) {
            (Some(label), _) => {
                by_label.entry(label.clone()).or_default().insert(lease.shard.clone(), lease);
            }
            (None, Some(name)) if name.starts_with(&any_of_table) => {
                plan.gone += 1;
                if lease.checkpoint != Checkpoint::ShardEnd {
                    gone.insert(name.strip_prefix(&any_of_table).unwrap_or(name).to_owned());
                }
            }
            (None, _) => plan.foreign += 1,
        }
    }
    for label in gone {
        let reason =
            "the KCL application had not processed this stream to its end, and it is gone".to_owned();
        plan.gaps.push(Gap { reason, from: Some(label), to: None, noticed_at_ms: now_ms });
    }
    Ok(by_label)
}

/// The stream of a shard whose key does not tell it: the one that lists it, or one of its family, else the newest.
fn home<'a>(lease: &KclLease, listings: &'a Listings) -> Option<&'a String> {
    let lists = |listing: &Listing| listing.get(&lease.shard).is_some();
    let lists_family = |listing: &Listing| {
        lease.parents.iter().any(|parent| listing.get(parent).is_some())
            || listing.children_of(&lease.shard).next().is_some()
    };
    let find = |matches: &dyn Fn(&Listing) -> bool| {
        listings.iter().find(|(_, listing)| matches(listing)).map(|(label, _)| label)
    };
    find(&lists).or_else(|| find(&lists_family)).or_else(|| listings.keys().next_back())
}

/// One stream's listing and leases.
struct Stream<'a> {
    label: &'a str,
    listing: &'a Listing,
    leased: &'a ByShard<'a>,
}

impl Stream<'_> {
    fn key(&self, shard: &ShardId) -> ShardKey {
        ShardKey::new(self.label, shard)
    }

    fn parents(&self, shard: &ShardId) -> Vec<ShardId> {
        let listed = self.listing.get(shard).and_then(|listed| listed.parent.clone());
        let leased = self.leased.get(shard).map(|lease| lease.parents.as_slice()).unwrap_or_default();
        let parents: BTreeSet<ShardId> = listed.into_iter().chain(leased.iter().cloned()).collect();
        parents.into_iter().collect()
    }

    /// The leased shards and all their ancestors.
    fn covered(&self) -> BTreeSet<ShardId> {
        let mut covered = BTreeSet::new();
        let mut left: Vec<ShardId> = self.leased.keys().cloned().collect();
        while let Some(shard) = left.pop() {
            if covered.insert(shard.clone()) {
                left.extend(self.parents(&shard));
            }
        }
        covered
    }

    /// Whether the application is done with a shard: it says so, or it has no lease and nothing above it is left to do.
    fn is_done(&self, shard: &ShardId) -> bool {
        if let Some(lease) = self.leased.get(shard) {
            return lease.checkpoint == Checkpoint::ShardEnd;
        }
        let (mut seen, mut left) = (BTreeSet::new(), self.parents(shard));
        while let Some(above) = left.pop() {
            let is_unfinished =
                self.leased.get(&above).is_some_and(|lease| lease.checkpoint != Checkpoint::ShardEnd);
            if is_unfinished {
                return false;
            }
            if seen.insert(above.clone()) {
                left.extend(self.parents(&above));
            }
        }
        true
    }

    fn enter(&self, plan: &mut Plan, unknown: &mut Vec<String>, latest_as: Option<LatestAs>, now_ms: u64) {
        let covered = self.covered();
        for shard in &covered {
            if self.is_done(shard) {
                plan.finished.insert(self.key(shard), self.finished(shard, now_ms));
                continue;
            }
            let mut row = self.row(shard, now_ms);
            match self.leased.get(shard).map(|lease| (&lease.checkpoint, &lease.key)) {
                Some((Checkpoint::After(number), _)) => row.checkpoint = Some(number.clone()),
                // Behind a parent that is not finished there is only one place to begin.
                Some((Checkpoint::Unknown, key)) if row.parents_finished => match latest_as {
                    None => unknown.push(key.clone()),
                    Some(LatestAs::TrimHorizon) => {}
                    Some(LatestAs::From(moment_ms)) => row.latest_from_ms = Some(moment_ms),
                },
                _ => {}
            }
            plan.shards.insert(self.key(shard), row);
        }
        let new = self.listing.shards().filter(|shard| !covered.contains(&shard.id));
        plan.new.extend(new.map(|shard| self.key(&shard.id)));
    }

    fn row(&self, shard: &ShardId, now_ms: u64) -> ShardRow {
        let parents = self.parents(shard);
        let parents_finished = parents.iter().all(|parent| self.is_done(parent));
        ShardRow::fresh(parents, parents_finished, now_ms)
    }

    fn finished(&self, shard: &ShardId, now_ms: u64) -> FinishedRow {
        let ending: Option<SequenceNumber> = self.listing.get(shard).and_then(|listed| listed.ending.clone());
        FinishedRow {
            checkpoint: ending,
            finished_at_ms: now_ms,
            parents: self.parents(shard),
            gaps: vec![],
            epoch: 0,
        }
    }
}

#[cfg(test)]
mod tests;
