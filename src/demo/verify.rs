//! The judge: changes as they were made against records as they were delivered. It decides from outside whether
//! promises P1 (no loss) and P2 (first deliveries of an item in order) held, and counts duplicates, which are allowed.
//! Pure: it never reads a clock or a network.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::history::{Change, ChangeKind, ItemKey};
use super::payload::Delivered;
use crate::stream::SequenceNumber;

/// Problems told in full; the others are only counted.
const PROBLEMS_TOLD: usize = 10;

/// What a record turned out to be on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The change came for the first time.
    First,
    /// It had come before.
    Duplicate,
}

/// Collects both histories, in any interleaving, and compares them on demand.
///
/// Facts go in with [`expect`](Self::expect) (in each item's order), [`deliver`](Self::deliver) (in each Kinesis
/// shard's order) and [`undecodable`](Self::undecodable); the verdict comes out of [`report`](Self::report).
#[derive(Debug, Clone, Default)]
pub struct Verifier {
    items: BTreeMap<ItemKey, ItemHistory>,
    expected: usize,
    delivered: usize,
    duplicates: usize,
    undecodable: Vec<String>,
}

#[derive(Debug, Clone, Default)]
struct ItemHistory {
    expected: Vec<(ChangeKind, u64)>,
    first: Vec<FirstDelivery>,
    seen: BTreeSet<SequenceNumber>,
}

#[derive(Debug, Clone)]
struct FirstDelivery {
    sequence_number: SequenceNumber,
    kind: ChangeKind,
    version: Option<u64>,
}

/// The verdict, in counts, with the first problems in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Changes made.
    pub expected: usize,
    /// Records that came, duplicates included.
    pub delivered: usize,
    /// Records whose change had come before.
    pub duplicates: usize,
    /// Changes that never came.
    pub missing: usize,
    /// First deliveries of no change that was made (or not at that place in the item's history).
    pub unexpected: usize,
    /// First deliveries that came after a later change of the same item.
    pub out_of_order: usize,
    /// Records that could not be read.
    pub undecodable: usize,
    /// The first problems, one sentence each.
    pub problems: Vec<String>,
}

impl Report {
    /// Every change arrived, and every item's order held. Duplicates are allowed.
    pub fn is_ok(&self) -> bool {
        self.missing == 0 && self.unexpected == 0 && self.out_of_order == 0 && self.undecodable == 0
    }

    fn problem(&mut self, text: impl FnOnce() -> String) {
        if self.problems.len() < PROBLEMS_TOLD {
            self.problems.push(text());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} changes made, {} records delivered, {} duplicates, {} missing, {} unexpected, {} out of order, \
             {} unreadable",
            self.expected,
            self.delivered,
            self.duplicates,
            self.missing,
            self.unexpected,
            self.out_of_order,
            self.undecodable
        )?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl Verifier {
    pub fn new() -> Self {
        Self::default()
    }

    /// A change that is about to be made. The changes of one item are told in the order in which they are made.
    pub fn expect(&mut self, change: &Change) {
        self.expected += 1;
        self.items.entry(change.item.clone()).or_default().expected.push((change.kind, change.version));
    }

    /// A record that came. The records of one Kinesis shard are told in the order in which they stand there.
    pub fn deliver(&mut self, record: &Delivered) -> Arrival {
        self.delivered += 1;
        let item = self.items.entry(record.item.clone()).or_default();
        if !item.seen.insert(record.sequence_number.clone()) {
            self.duplicates += 1;
            return Arrival::Duplicate;
        }
        item.first.push(FirstDelivery {
            sequence_number: record.sequence_number.clone(),
            kind: record.kind,
            version: record.version,
        });
        Arrival::First
    }

    /// A record that could not be read, and why.
    pub fn undecodable(&mut self, why: impl Into<String>) {
        self.delivered += 1;
        self.undecodable.push(why.into());
    }

    /// Changes made so far.
    pub fn expected(&self) -> usize {
        self.expected
    }

    /// Records delivered so far, duplicates included.
    pub fn delivered(&self) -> usize {
        self.delivered
    }

    /// Different changes delivered so far.
    pub fn arrived(&self) -> usize {
        self.delivered - self.duplicates - self.undecodable.len()
    }

    /// Items of which at least one change was delivered.
    pub fn items(&self) -> usize {
        self.items.values().filter(|item| !item.first.is_empty()).count()
    }

    /// Duplicates so far.
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }

    /// Whether as many different changes came as were made. Whether they are the right ones is the report's answer.
    pub fn is_complete(&self) -> bool {
        self.arrived() >= self.expected
    }

    /// Compares the two histories as they are now.
    pub fn report(&self) -> Report {
        let mut report = Report {
            expected: self.expected,
            delivered: self.delivered,
            duplicates: self.duplicates,
            undecodable: self.undecodable.len(),
            ..Report::default()
        };
        for why in &self.undecodable {
            report.problem(|| format!("unreadable record: {why}"));
        }
        for (key, item) in &self.items {
            item.judge_order(key, &mut report);
            item.judge_completeness(key, &mut report);
        }
        report
    }
}

impl ItemHistory {
    /// Each first delivery's sequence number is above all before it.
    fn judge_order(&self, key: &ItemKey, report: &mut Report) {
        let mut latest: Option<&FirstDelivery> = None;
        for delivery in &self.first {
            match latest.filter(|latest| latest.sequence_number > delivery.sequence_number) {
                Some(latest) => {
                    report.out_of_order += 1;
                    report.problem(|| {
                        format!(
                            "{key}: {} came after {}, out of order",
                            delivery.sequence_number, latest.sequence_number
                        )
                    });
                }
                None => latest = Some(delivery),
            }
        }
    }

    /// The deliveries, put in stream order, are the changes made. Each is matched with the next change that it can
    /// be; what is passed over on the way is missing. Without images nothing tells two updates of an item apart, and
    /// only their number is compared.
    fn judge_completeness(&self, key: &ItemKey, report: &mut Report) {
        let mut in_stream_order: Vec<&FirstDelivery> = self.first.iter().collect();
        in_stream_order.sort_by(|a, b| a.sequence_number.cmp(&b.sequence_number));
        let mut changes = self.expected.as_slice();
        for delivery in in_stream_order {
            let Some(skipped) = changes.iter().position(|change| delivery.can_be(*change)) else {
                report.unexpected += 1;
                report.problem(|| {
                    let version = delivery.version.map_or_else(String::new, |v| format!(" of version {v}"));
                    format!(
                        "{key}: nobody made the {}{version} that came at {}",
                        delivery.kind, delivery.sequence_number
                    )
                });
                continue;
            };
            let (passed_over, rest) = changes.split_at(skipped);
            missing(key, passed_over, report);
            changes = rest.get(1..).unwrap_or_default();
        }
        missing(key, changes, report);
    }
}

impl FirstDelivery {
    fn can_be(&self, (kind, version): (ChangeKind, u64)) -> bool {
        self.kind == kind && self.version.is_none_or(|told| told == version)
    }
}

fn missing(key: &ItemKey, changes: &[(ChangeKind, u64)], report: &mut Report) {
    report.missing += changes.len();
    for (kind, version) in changes {
        report.problem(|| format!("{key}: the {kind} of version {version} never came"));
    }
}

#[cfg(test)]
mod tests;
