//! P2's assumption: Kinesis puts a record behind those of its lane that it acknowledged before. Where it does not, the
//! worker that was told must have counted it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Rule, Verdict, broken};
use crate::history::{Place, Shard, Who};

type Lane = (Who, Shard, Arc<str>);

/// The inversions of a run.
#[derive(Debug, Default)]
pub struct Inversions {
    /// Kinesis inverted something at all.
    pub happened: bool,
    /// The last place that each process was told of each lane.
    last: BTreeMap<Lane, Place>,
    /// How many inversions each process was told of.
    told: BTreeMap<Who, u64>,
    counted: BTreeMap<Who, u64>,
}

impl Inversions {
    pub(super) fn acknowledged(&mut self, who: &Who, records: &[(Shard, Arc<str>, Place)]) {
        for (shard, key, place) in records {
            let last = self.last.insert((who.clone(), shard.clone(), key.clone()), place.clone());
            if last.is_some_and(|last| last.shard == place.shard && last.number >= place.number) {
                *self.told.entry(who.clone()).or_default() += 1;
            }
        }
    }

    pub(super) fn counted(&mut self, who: &Who, counted: u64) -> Verdict {
        self.counted.insert(who.clone(), counted);
        if self.happened {
            Ok(())
        } else {
            broken(Rule::Inversions, format!("{who} counts {counted}, but Kinesis inverted nothing"))
        }
    }

    /// Each process counted exactly what it was told. To be asked where no process lost a lease on the way: what it is
    /// told after that is nobody's.
    pub fn all_counted(&self) -> Verdict {
        match self.told.iter().find(|(who, told)| self.counted.get(*who).unwrap_or(&0) != *told) {
            Some((who, told)) => {
                let counted = self.counted.get(who).unwrap_or(&0);
                broken(Rule::Inversions, format!("{who} was told of {told} inversions and counted {counted}"))
            }
            None => Ok(()),
        }
    }
}
