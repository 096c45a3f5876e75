//! The plan: which change is made next. A seeded sequence over a fixed set of items, one of them hot; it knows which
//! items exist and at which version, so that every step is a real change. It makes no calls.

use aws_sdk_dynamodb::types::AttributeValue;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::history::{Change, ChangeKind};
use super::orders::{self, Item};

/// The share of changes that fall on the hot item.
const HOT: f64 = 0.1;
/// The share of changes of an existing item that delete it.
const DELETES: f64 = 0.12;

/// One write, and the change that it will be.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// The item's index in the plan; writes of one index are made one after another.
    pub item: usize,
    pub change: Change,
    pub body: Body,
}

/// How the change is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Put(Item),
    Set(Vec<(&'static str, AttributeValue)>),
    Delete,
}

/// An endless sequence of writes.
#[derive(Debug)]
pub struct Plan {
    random: StdRng,
    items: Vec<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    exists: bool,
    version: u64,
}

impl Plan {
    /// A plan over `items` items (at least one), none of which exists yet.
    pub fn new(seed: u64, items: usize) -> Self {
        Plan { random: StdRng::seed_from_u64(seed), items: vec![State::default(); items.max(1)] }
    }

    /// How many items there are, existing or not.
    pub fn items(&self) -> usize {
        self.items.len()
    }
}

impl Iterator for Plan {
    type Item = Write;

    fn next(&mut self) -> Option<Write> {
        let hot = self.random.random_bool(HOT);
        let item = if hot { 0 } else { self.random.random_range(0..self.items.len()) };
        // The hot item is a running tab: it stays.
        let delete = item != 0 && self.random.random_bool(DELETES);
        let state = self.items.get_mut(item)?;
        let key = orders::key_of(item);
        state.version += 1;
        let (kind, body) = match (state.exists, delete) {
            (false, _) => {
                (ChangeKind::Insert, Body::Put(orders::placed(&key, state.version, &mut self.random)))
            }
            (true, true) => (ChangeKind::Remove, Body::Delete),
            (true, false) => {
                (ChangeKind::Modify, Body::Set(orders::updated(state.version, &mut self.random)))
            }
        };
        state.exists = kind != ChangeKind::Remove;
        Some(Write { item, change: Change { item: key, kind, version: state.version }, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_seed_gives_the_same_plan_again() {
        let plan = |seed| Plan::new(seed, 50).take(500).collect::<Vec<_>>();
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn every_write_is_a_real_change() {
        let mut versions: BTreeMap<usize, (bool, u64)> = BTreeMap::new();
        for write in Plan::new(3, 50).take(5_000) {
            let (exists, version) = versions.entry(write.item).or_default();
            assert_eq!(write.change.version, *version + 1);
            assert_eq!(write.change.kind == ChangeKind::Insert, !*exists);
            (*exists, *version) = (write.change.kind != ChangeKind::Remove, write.change.version);
        }
    }

    #[test]
    fn the_hot_item_gets_about_a_tenth_and_all_kinds_occur() {
        let writes: Vec<Write> = Plan::new(4, 200).take(10_000).collect();
        let share = |test: &dyn Fn(&Write) -> bool| writes.iter().filter(|write| test(write)).count();
        assert!((800..1_300).contains(&share(&|write| write.item == 0)));
        assert!(share(&|write| write.change.kind == ChangeKind::Remove) > 500);
        assert!(share(&|write| write.change.kind == ChangeKind::Insert) > 500);
    }
}
