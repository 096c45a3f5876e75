//! Strict order: each PutRecord names its lane's record before it, as that was acknowledged to the same worker since it took
//! the shard's lease.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Rule, Verdict, broken};
use crate::history::{Place, Seq, Shard, Who};

type Lane = (Who, Shard, Arc<str>);

/// What is known of one lane in a worker's hands.
#[derive(Debug, Default)]
struct Known {
    /// Under which lease it was sent.
    epoch: u64,
    last: Option<Seq>,
    /// A record was sent with that number since: it may go without, should the number be refused.
    was_named: bool,
}

/// The lanes of pipelines whose order is strict.
#[derive(Debug, Default)]
pub struct Numbers(BTreeMap<Lane, Known>);

impl Numbers {
    pub(super) fn ordered(
        &mut self,
        who: &Who,
        (shard, key): (&Shard, &Arc<str>),
        epoch: u64,
        after: Option<Seq>,
    ) -> Verdict {
        let lane = (who.clone(), shard.clone(), Arc::clone(key));
        let known = self.0.entry(lane).or_default();
        if known.epoch != epoch {
            *known = Known { epoch, ..Known::default() };
        }
        if after == known.last {
            known.was_named = after.is_some();
            return Ok(());
        }
        if after.is_none() && known.was_named {
            return Ok(());
        }
        let last = known.last;
        broken(
            Rule::Numbers,
            format!("{who} puts {key} of {shard} after {after:?}, its last record is {last:?}"),
        )
    }

    pub(super) fn acknowledged(
        &mut self,
        who: &Who,
        records: &[(Shard, Arc<str>, Place)],
        epoch: impl Fn(&Shard) -> u64,
    ) {
        for (shard, key, place) in records {
            let lane = (who.clone(), shard.clone(), Arc::clone(key));
            if let Some(known) = self.0.get_mut(&lane).filter(|known| known.epoch == epoch(shard)) {
                (known.last, known.was_named) = (Some(place.number), false);
            }
        }
    }
}
