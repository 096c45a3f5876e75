//! The plan: which leases this worker should take, given what the lease table shows. Pure. Leases are taken from nobody,
//! from the dead, and from oneself after a take whose answer was lost; never from the living.

use std::collections::BTreeSet;

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

/// The leases of one pipeline that are to be taken, in key order. `living` are the owners whose sessions exist, read
/// *after* the shard rows: an owner without a session then is dead for certain.
pub fn candidates(
    me: &Owner,
    living: &BTreeSet<Owner>,
    running: &dyn Fn(&ShardKey) -> bool,
    stream: &StreamRow,
    shards: &[ShardEntry],
) -> Vec<Candidate> {
    if !stream.initialized || stream.rewind.is_some() {
        return Vec::new();
    }
    // Rows that do not read count as unfinished: their children wait.
    let unfinished = shards.iter().map(|(key, _)| key).collect();
    shards
        .iter()
        .filter(|(key, _)| stream.is_open(&key.label))
        .filter_map(|(key, row)| Some((key, row.as_ref().ok()?)))
        .filter(|(_, row)| row.state != ShardState::Frozen)
        .filter(|(key, row)| match row.owner() {
            None => true,
            Some(owner) if owner == *me => !running(key),
            Some(owner) => !living.contains(&owner),
        })
        .map(|(key, row)| Candidate {
            key: key.clone(),
            row: row.clone(),
            parents: parents(key, row, &unfinished),
        })
        .filter(|candidate| candidate.parents != Parents::Unfinished)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::order::{Order, Rewind, Target};
    use crate::lease::row::StreamEntry;

    fn owner(id: &str) -> Owner {
        Owner { id: id.into(), incarnation: "1".into() }
    }

    fn entry(label: &str, shard: &str, owner: Option<&str>, parent: Option<&str>) -> ShardEntry {
        let row = ShardRow {
            owner: owner.map(str::to_owned),
            incarnation: owner.map(|_| "1".to_owned()),
            epoch: 1,
            revision: 1,
            checkpoint: None,
            parents: parent.map(ShardId::new).into_iter().collect(),
            parents_finished: false,
            state: ShardState::Active,
            halted_because: None,
            gaps: vec![],
            last_change_at_ms: None,
            latest_from_ms: None,
            latest_first: None,
            discovered_at_ms: 0,
            replay: None,
        };
        (ShardKey::new(label, &ShardId::new(shard)), Ok(row))
    }

    fn stream(labels: &[(&str, bool)]) -> StreamRow {
        let streams =
            labels.iter().map(|(label, drained)| StreamEntry { label: (*label).into(), drained: *drained });
        StreamRow {
            table_arn: String::new(),
            sink_arn: String::new(),
            partition_key: String::new(),
            streams: streams.collect(),
            initialized: true,
            discovery_owner: None,
            discovery_epoch: 1,
            revision: 1,
            gaps: vec![],
            rewind: None,
        }
    }

    fn taken(stream: &StreamRow, shards: &[ShardEntry]) -> Vec<String> {
        let living = BTreeSet::from([owner("me"), owner("other")]);
        let running = |key: &ShardKey| key.shard.as_str() == "running";
        candidates(&owner("me"), &living, &running, stream, shards)
            .into_iter()
            .map(|candidate| candidate.key.shard.to_string())
            .collect()
    }

    #[test]
    fn from_nobody_and_the_dead_and_from_oneself_when_not_running() {
        let shards = [
            entry("L1", "free", None, None),
            entry("L1", "running", Some("me"), None),
            entry("L1", "forgotten", Some("me"), None),
            entry("L1", "held", Some("other"), None),
            entry("L1", "dead", Some("gone"), None),
        ];
        assert_eq!(taken(&stream(&[("L1", false)]), &shards), ["free", "forgotten", "dead"]);
    }

    #[test]
    fn a_child_waits_while_its_parent_has_a_row_even_one_that_does_not_read() {
        let mut shards = vec![entry("L1", "p", Some("other"), None), entry("L1", "c", None, Some("p"))];
        assert!(taken(&stream(&[("L1", false)]), &shards).is_empty());
        let bad = crate::lease::row::BadRow { pk: String::new(), sk: String::new(), cause: String::new() };
        shards[0].1 = Err(bad);
        assert!(taken(&stream(&[("L1", false)]), &shards).is_empty());
    }

    #[test]
    fn a_parent_without_a_row_must_be_asked_for_unless_it_is_known_to_be_finished() {
        let living = BTreeSet::new();
        let mut shards = [entry("L1", "c", None, Some("p"))];
        let judged = |shards: &[ShardEntry]| {
            candidates(&owner("me"), &living, &|_| false, &stream(&[("L1", false)]), shards)[0]
                .parents
                .clone()
        };
        assert_eq!(judged(&shards), Parents::Ask(vec![ShardId::new("p")]));
        if let Ok(row) = &mut shards[0].1 {
            row.parents_finished = true;
        }
        assert_eq!(judged(&shards), Parents::Finished);
    }

    #[test]
    fn a_later_stream_waits_for_the_earlier_one() {
        let shards = [entry("L1", "a", None, None), entry("L2", "b", None, None)];
        assert_eq!(taken(&stream(&[("L1", false), ("L2", false)]), &shards), ["a"]);
        assert_eq!(taken(&stream(&[("L1", true), ("L2", false)]), &shards[1..]), ["b"]);
        // A shard that was listed only after its stream was drained is still read: late, but not lost.
        assert_eq!(taken(&stream(&[("L1", true), ("L2", false)]), &shards), ["a", "b"]);
    }

    #[test]
    fn nothing_is_taken_while_a_rewind_is_under_way_and_nothing_frozen_ever() {
        let mut row = stream(&[("L1", false)]);
        let mut shards = [entry("L1", "a", None, None), entry("L1", "b", None, None)];
        if let Ok(row) = &mut shards[0].1 {
            row.state = ShardState::Frozen;
        }
        assert_eq!(taken(&row, &shards), ["b"]);
        let order = Order { shard: None, to: Some(Target::TrimHorizon), mark: None, adopt: false };
        row.rewind = Some(Rewind { order, ordered_at_ms: 1, until_ms: 2, is_reset: true });
        assert!(taken(&row, &shards).is_empty());
    }

    #[test]
    fn nothing_is_read_before_the_first_listing_is_stored() {
        let mut row = stream(&[("L1", false)]);
        row.initialized = false;
        assert!(taken(&row, &[entry("L1", "a", None, None)]).is_empty());
    }
}
