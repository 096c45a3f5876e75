//! The way back: which writes carry an order out, given what the lease table shows. Pure, and without a memory of its
//! own: what is to be done next follows from the rows alone, so a rewind that broke off anywhere goes on from there.
//!
//! First every shard concerned is frozen, so that its owner's writes fail (P4). Then each is put where it is to go on
//! from, parents before children (P3), finished ones that can still be read among them. Then the rows are given free.

use std::collections::{BTreeMap, BTreeSet};

use super::order::{Order, Replay, Rewind, Target};
use super::row::{FinishedRow, ShardKey, ShardRow, ShardState, StreamEntry, StreamRow};
use crate::stream::SequenceNumber;
use crate::stream::lineage::Listing;
use crate::stream::source::ShardId;

/// A pipeline's rows.
#[derive(Debug, Clone)]
pub struct View {
    pub stream: StreamRow,
    pub shards: BTreeMap<ShardKey, ShardRow>,
    pub finished: BTreeMap<ShardKey, FinishedRow>,
}

/// Complete listings of the pipeline's streams, by label.
pub type Listings = BTreeMap<String, Listing>;

/// A pipeline's ends as its configuration has them, spelt as the stream row spells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEnds {
    pub table_arn: String,
    pub sink_arn: String,
    pub partition_key: String,
}

impl View {
    /// Every shard, finished or not.
    pub fn keys(&self) -> BTreeSet<ShardKey> {
        self.shards.keys().chain(self.finished.keys()).cloned().collect()
    }

    /// How far a shard is.
    pub fn checkpoint(&self, key: &ShardKey) -> Option<&SequenceNumber> {
        match self.shards.get(key) {
            Some(row) => row.checkpoint.as_ref(),
            None => self.finished.get(key)?.checkpoint.as_ref(),
        }
    }
}

impl StoredEnds {
    /// In what the stream row differs: its name, as here, as there.
    pub fn differences<'a>(&'a self, row: &'a StreamRow) -> Vec<(&'static str, &'a str, &'a str)> {
        let pairs = [
            ("table", &self.table_arn, &row.table_arn),
            ("Kinesis stream", &self.sink_arn, &row.sink_arn),
            ("partition key mode", &self.partition_key, &row.partition_key),
        ];
        let other = pairs.into_iter().filter(|(_, ours, theirs)| ours != theirs);
        other.map(|(what, ours, theirs)| (what, ours.as_str(), theirs.as_str())).collect()
    }
}

/// One row's change.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Replace {
        key: ShardKey,
        seen: Box<ShardRow>,
        next: Box<ShardRow>,
    },
    /// A finished shard is to be read again.
    Revive {
        key: ShardKey,
        next: Box<ShardRow>,
    },
    /// A shard of a table that is no longer the pipeline's.
    Remove {
        key: ShardKey,
        seen: Box<ShardRow>,
    },
    RemoveFinished {
        key: ShardKey,
    },
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// These, each by itself: owners still write these rows.
    Freeze(Vec<Step>),
    /// The listings are needed, as they are now that nothing is read.
    List,
    /// These, in any order: nobody else writes these rows.
    Steps(Vec<Step>),
    /// The stream row becomes this.
    Stream(Box<StreamRow>),
    Done,
}

/// A shard that goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub key: ShardKey,
    pub was_finished: bool,
    pub from: Option<SequenceNumber>,
    /// `None`: the shard's beginning.
    pub to: Option<SequenceNumber>,
}

/// The next part of the rewind that the stream row holds.
pub fn next(view: &View, ours: &StoredEnds, listings: Option<&Listings>) -> Next {
    let Some(rewind) = &view.stream.rewind else { return Next::Done };
    let concerned = concerned(view, rewind.order.shard.as_ref());
    if rewind.is_reset {
        let thaws = first_generation(view, &concerned, |key| thaw(view, key));
        return steps_or(thaws, || end(&view.stream, rewind, ours));
    }
    let freezes: Vec<Step> = concerned.iter().filter_map(|key| freeze(view, key)).collect();
    if !freezes.is_empty() {
        return Next::Freeze(freezes);
    }
    if rewind.order.adopt && ours.table_arn != view.stream.table_arn {
        return steps_or(removals(view), || anew(&view.stream, ours));
    }
    let resets = match (&rewind.order.to, listings) {
        (None, _) => Vec::new(),
        (Some(_), None) => return Next::List,
        (Some(to), Some(listings)) => {
            first_generation(view, &concerned, |key| reset(view, rewind, to, listings, key))
        }
    };
    steps_or(resets, || all_reset(view, rewind))
}

/// Which shards an order moves, parents before children.
pub fn moves(view: &View, order: &Order, listings: &Listings) -> Vec<Move> {
    let Some(to) = &order.to else { return Vec::new() };
    let concerned = concerned(view, order.shard.as_ref());
    let moved = |key: ShardKey| {
        let was_finished = !view.shards.contains_key(&key);
        let goal = goal(view, to, listings, &key)?;
        let from = view.checkpoint(&key).cloned();
        Some(Move { key, was_finished, from, to: goal })
    };
    generations(view, &concerned).into_iter().flatten().filter_map(moved).collect()
}

fn steps_or(steps: Vec<Step>, stream: impl FnOnce() -> StreamRow) -> Next {
    if steps.is_empty() { Next::Stream(Box::new(stream())) } else { Next::Steps(steps) }
}

/// The named shard, its descendants and the later streams' shards; all without a name. What comes behind a shard that is
/// read again must be read again too: a consumer would else meet an item's earlier changes without its later ones.
fn concerned(view: &View, named: Option<&ShardId>) -> BTreeSet<ShardKey> {
    let all = view.keys();
    let Some(named) = named else { return all };
    let mut concerned: BTreeSet<ShardKey> = all.iter().filter(|key| key.shard == *named).cloned().collect();
    let Some(label) = concerned.first().map(|key| key.label.clone()) else { return concerned };
    concerned.extend(all.iter().filter(|key| key.label > label).cloned());
    loop {
        let behind = |key: &&ShardKey| parents(view, key).any(|parent| concerned.contains(&parent));
        let more: Vec<ShardKey> =
            all.iter().filter(|key| !concerned.contains(key)).filter(behind).cloned().collect();
        if more.is_empty() {
            return concerned;
        }
        concerned.extend(more);
    }
}

fn parents<'a>(view: &'a View, key: &'a ShardKey) -> impl Iterator<Item = ShardKey> + 'a {
    let of_row = view.shards.get(key).map(|row| &row.parents);
    let parents = of_row.or_else(|| view.finished.get(key).map(|row| &row.parents));
    parents.into_iter().flatten().map(|parent| ShardKey::new(&key.label, parent))
}

fn is_behind_unfinished(view: &View, key: &ShardKey) -> bool {
    parents(view, key).any(|parent| view.shards.contains_key(&parent))
}

/// The shards in groups: earlier streams before later ones, and within a stream no shard before its parents.
fn generations(view: &View, shards: &BTreeSet<ShardKey>) -> Vec<Vec<ShardKey>> {
    let mut depths: BTreeMap<&ShardKey, usize> = shards.iter().map(|key| (key, 0)).collect();
    // A lineage is never longer than there are shards, whatever rows edited by hand say of it.
    for _ in 0..shards.len() {
        let mut is_settled = true;
        for key in shards {
            let above = parents(view, key).filter_map(|parent| depths.get(&parent)).max();
            let depth = above.map_or(0, |depth| depth + 1);
            is_settled &= depths.insert(key, depth) == Some(depth);
        }
        if is_settled {
            break;
        }
    }
    let mut groups: BTreeMap<(&str, usize), Vec<ShardKey>> = BTreeMap::new();
    for (key, depth) in depths {
        groups.entry((&key.label, depth)).or_default().push(key.clone());
    }
    groups.into_values().collect()
}

/// The steps of the first generation that still needs any.
fn first_generation(
    view: &View,
    shards: &BTreeSet<ShardKey>,
    step: impl Fn(&ShardKey) -> Option<Step>,
) -> Vec<Step> {
    let steps = |generation: Vec<ShardKey>| generation.iter().filter_map(&step).collect::<Vec<_>>();
    let mut generations = generations(view, shards).into_iter().map(steps);
    generations.find(|steps| !steps.is_empty()).unwrap_or_default()
}

fn replace(key: &ShardKey, seen: &ShardRow, next: ShardRow) -> Step {
    let next = Box::new(ShardRow { revision: seen.revision + 1, ..next });
    Step::Replace { key: key.clone(), seen: Box::new(seen.clone()), next }
}

/// Makes a row nobody's, in an epoch in which nobody owned it; `None` once it is frozen.
fn freeze(view: &View, key: &ShardKey) -> Option<Step> {
    let row = view.shards.get(key).filter(|row| row.state != ShardState::Frozen)?;
    let frozen = ShardRow {
        owner: None,
        incarnation: None,
        offered: false,
        epoch: row.epoch + 1,
        state: ShardState::Frozen,
        halted_because: None,
        ..row.clone()
    };
    Some(replace(key, row, frozen))
}

/// Gives a frozen row free.
fn thaw(view: &View, key: &ShardKey) -> Option<Step> {
    let row = view.shards.get(key).filter(|row| row.state == ShardState::Frozen)?;
    Some(replace(key, row, ShardRow { state: ShardState::Active, ..row.clone() }))
}

fn removals(view: &View) -> Vec<Step> {
    let rows =
        view.shards.iter().map(|(key, row)| Step::Remove { key: key.clone(), seen: Box::new(row.clone()) });
    let finished = view.finished.keys().map(|key| Step::RemoveFinished { key: key.clone() });
    rows.chain(finished).collect()
}

/// Where a shard goes on from: `Some(None)` from its beginning; `None` where it stays as it is.
fn goal(view: &View, to: &Target, listings: &Listings, key: &ShardKey) -> Option<Option<SequenceNumber>> {
    let listing = listings.get(&key.label);
    let listed = listing.and_then(|listing| listing.get(&key.shard));
    let Some((listing, listed)) = listing.zip(listed) else {
        // A finished shard that is not listed cannot be read. One that is unfinished may be too young for a listing.
        view.shards.get(key)?;
        let is_moved = *to == Target::TrimHorizon || is_behind_unfinished(view, key);
        return is_moved.then_some(None);
    };
    let Target::After(number) = to else { return Some(None) };
    if view.finished.contains_key(key) && is_behind_unfinished(view, key) {
        // Its parent is carried again; its own children must not be by then.
        return Some(None);
    }
    let is_past = |other: Option<&SequenceNumber>| other.is_some_and(|other| other > number);
    if listing.is_closed(listed) && !is_past(listed.ending.as_ref()) {
        None
    } else if is_past(listed.starting.as_ref()) {
        Some(None)
    } else {
        is_past(view.checkpoint(key)).then(|| Some(number.clone()))
    }
}

/// What puts a frozen or finished shard where it is to go on from; `None` once it is there.
fn reset(view: &View, rewind: &Rewind, to: &Target, listings: &Listings, key: &ShardKey) -> Option<Step> {
    let is_behind = is_behind_unfinished(view, key);
    let Some(row) = view.shards.get(key) else {
        let next = revived(view.finished.get(key)?, rewind, goal(view, to, listings, key)?, !is_behind);
        return Some(Step::Revive { key: key.clone(), next: Box::new(next) });
    };
    let mut next = ShardRow { parents_finished: row.parents_finished && !is_behind, ..row.clone() };
    let is_back = row.replay.as_ref().is_some_and(|replay| replay.until_ms == rewind.until_ms);
    if let Some(checkpoint) = goal(view, to, listings, key).filter(|_| !is_back) {
        let carried_before = row.replay.as_ref().and_then(|replay| replay.carried_until_ms);
        next.replay = Some(replay(rewind, row.last_change_at_ms.max(carried_before)));
        next.checkpoint = checkpoint;
        (next.last_change_at_ms, next.latest_from_ms, next.latest_first) = (None, None, None);
    }
    (next != *row).then(|| replace(key, row, next))
}

fn replay(rewind: &Rewind, carried_until_ms: Option<u64>) -> Replay {
    Replay { mark: rewind.order.mark.clone(), until_ms: rewind.until_ms, carried_until_ms }
}

/// A finished shard's row for its second life.
fn revived(
    finished: &FinishedRow,
    rewind: &Rewind,
    checkpoint: Option<SequenceNumber>,
    parents_finished: bool,
) -> ShardRow {
    ShardRow {
        owner: None,
        incarnation: None,
        offered: false,
        epoch: finished.epoch + 1,
        revision: 0,
        checkpoint,
        parents: finished.parents.clone(),
        parents_finished,
        state: ShardState::Frozen,
        halted_because: None,
        gaps: finished.gaps.clone(),
        last_change_at_ms: None,
        latest_from_ms: None,
        latest_first: None,
        discovered_at_ms: rewind.ordered_at_ms,
        // All of it was carried: whatever retention takes of it from now on is no gap.
        replay: Some(replay(rewind, Some(rewind.ordered_at_ms))),
    }
}

/// Every row is where it is to go on from. A stream that has something to read again is not drained.
fn all_reset(view: &View, rewind: &Rewind) -> StreamRow {
    let has_rows = |label: &str| view.shards.keys().any(|key| key.label == label);
    let entry = |entry: &StreamEntry| StreamEntry {
        label: entry.label.clone(),
        drained: entry.drained && !has_rows(&entry.label),
    };
    StreamRow {
        streams: view.stream.streams.iter().map(entry).collect(),
        rewind: Some(Rewind { is_reset: true, ..rewind.clone() }),
        revision: view.stream.revision + 1,
        ..view.stream.clone()
    }
}

fn end(stream: &StreamRow, rewind: &Rewind, ours: &StoredEnds) -> StreamRow {
    let row = StreamRow { rewind: None, revision: stream.revision + 1, ..stream.clone() };
    if rewind.order.adopt { with_ends(row, ours) } else { row }
}

/// Of another table nothing is known yet.
fn anew(stream: &StreamRow, ours: &StoredEnds) -> StreamRow {
    let row = StreamRow {
        streams: vec![],
        initialized: false,
        gaps: vec![],
        rewind: None,
        revision: stream.revision + 1,
        ..stream.clone()
    };
    with_ends(row, ours)
}

fn with_ends(row: StreamRow, ours: &StoredEnds) -> StreamRow {
    let StoredEnds { table_arn, sink_arn, partition_key } = ours.clone();
    StreamRow { table_arn, sink_arn, partition_key, ..row }
}

#[cfg(test)]
mod tests;
