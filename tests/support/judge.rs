//! The judge: compares what was written to a table with what arrived in Kinesis, from outside.
//!
//! Owns the meaning of P1 (nothing lost) and P2 (first deliveries of each item in stream order). It knows neither
//! the bridge's state nor where a history comes from: the fake's world or an emulator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::sequence::compare;

/// One change of an item, as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub item_key: String,
    pub sequence_number: String,
}

/// One change of an item, as found in Kinesis.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivered {
    pub item_key: String,
    pub sequence_number: String,
}

/// Two first deliveries of one item in the wrong order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inversion {
    pub item_key: String,
    pub earlier_delivered: String,
    /// The change that came after it, though it was written before it.
    pub later_delivered: String,
}

/// What the judge found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub changes: usize,
    pub missing: Vec<Change>,
    /// Deliveries beyond the first; allowed, but counted.
    pub duplicates: Vec<Delivered>,
    pub inversions: Vec<Inversion>,
    /// Deliveries of what was never written.
    pub unexpected: Vec<Delivered>,
}

/// Compares the two histories. `delivered` is in order of arrival, at least for each item; the order of `changes`
/// does not matter, since an item's changes are ordered by sequence number.
pub fn judge(changes: &[Change], delivered: &[Delivered]) -> Report {
    let mut report = Report { changes: changes.len(), ..Report::default() };
    let written: BTreeSet<(&str, &str)> =
        changes.iter().map(|change| (change.item_key.as_str(), change.sequence_number.as_str())).collect();
    let mut seen = BTreeSet::new();
    // The highest sequence number first delivered so far, for each item.
    let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
    for delivery in delivered {
        let (item, sequence) = (delivery.item_key.as_str(), delivery.sequence_number.as_str());
        if !written.contains(&(item, sequence)) {
            report.unexpected.push(delivery.clone());
        } else if !seen.insert((item, sequence)) {
            report.duplicates.push(delivery.clone());
        } else {
            let before = newest.entry(item).or_insert(sequence);
            if compare(before, sequence).is_gt() {
                report.inversions.push(Inversion {
                    item_key: item.to_owned(),
                    earlier_delivered: (*before).to_owned(),
                    later_delivered: sequence.to_owned(),
                });
            } else {
                *before = sequence;
            }
        }
    }
    let is_missing = |change: &&(&str, &str)| !seen.contains(*change);
    report.missing = written
        .iter()
        .filter(is_missing)
        .map(|(item, sequence)| Change {
            item_key: (*item).to_owned(),
            sequence_number: (*sequence).to_owned(),
        })
        .collect();
    report
}

impl Report {
    pub fn is_complete_and_ordered(&self) -> bool {
        self.missing.is_empty() && self.inversions.is_empty() && self.unexpected.is_empty()
    }

    /// Panics with the report unless every change arrived, in order, and nothing else did. Duplicates may be.
    #[track_caller]
    pub fn assert_complete_and_ordered(&self) {
        assert!(self.is_complete_and_ordered(), "{self}");
    }

    /// The same, and no duplicates either.
    #[track_caller]
    pub fn assert_exactly_once(&self) {
        assert!(self.is_complete_and_ordered() && self.duplicates.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { changes, missing, duplicates, inversions, unexpected } = self;
        writeln!(
            out,
            "of {changes} changes {} are missing; {} duplicates, {} first deliveries out of order, {} unexpected",
            missing.len(),
            duplicates.len(),
            inversions.len(),
            unexpected.len()
        )?;
        show(out, "missing", missing)?;
        show(out, "out of order", inversions)?;
        show(out, "unexpected", unexpected)
    }
}

/// The first few of a list, one a line.
fn show<T: fmt::Debug>(out: &mut fmt::Formatter<'_>, what: &str, list: &[T]) -> fmt::Result {
    const SHOWN: usize = 10;
    list.iter().take(SHOWN).try_for_each(|one| writeln!(out, "  {what}: {one:?}"))?;
    if list.len() > SHOWN { writeln!(out, "  … and {} more", list.len() - SHOWN) } else { Ok(()) }
}
