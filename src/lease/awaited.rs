//! Awaited: leases that another worker is to take, and for how long already. A worker that lives but does not take what
//! is offered to it would hold up those shards: it loses the offer, and is offered nothing for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use super::row::{Owner, ShardKey};
use crate::machine::MonoTime;

/// How long a worker that let an offer lapse is offered nothing.
const AVOIDED_FOR: Duration = Duration::from_secs(60);
/// A lease, by its pipeline's index and its key.
pub type Lease = (usize, ShardKey);

/// A lease that somebody else is to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub lease: Lease,
    /// The row's revision: any write of it shows that something is done.
    pub revision: u64,
    /// Whom the row offers it to; `None` where it is merely free.
    pub offered_to: Option<Owner>,
}

/// What one observer has seen to wait, on its own clock.
#[derive(Debug)]
pub struct Awaited {
    pick_up_time: Duration,
    since: BTreeMap<Lease, (u64, MonoTime)>,
    avoided: BTreeMap<Owner, MonoTime>,
}

impl Awaited {
    /// `pick_up_time`: how long a worker may take to pick up what is offered.
    pub fn new(pick_up_time: Duration) -> Self {
        Awaited { pick_up_time, since: BTreeMap::new(), avoided: BTreeMap::new() }
    }

    /// Everything that a look shows to wait. Workers whose offers have lapsed are avoided from here on; true when one of
    /// them was not before.
    pub fn observe(&mut self, now: MonoTime, waiting: &[Waiting]) -> bool {
        let mut since = BTreeMap::new();
        let mut is_news = false;
        for one in waiting {
            let seen = self.since.get(&one.lease).filter(|(revision, _)| *revision == one.revision);
            let first = seen.map_or(now, |(_, first)| *first);
            since.insert(one.lease.clone(), (one.revision, first));
            if let Some(owner) = one.offered_to.as_ref().filter(|_| now >= first + self.pick_up_time) {
                is_news |= self.avoided.insert(owner.clone(), now).is_none();
            }
        }
        self.since = since;
        self.avoided.retain(|_, avoided| now.since(*avoided) < AVOIDED_FOR);
        is_news
    }

    /// Whether this lease, still at this revision, was waited for long enough: whoever can takes it.
    pub fn is_overdue(&self, now: MonoTime, lease: &Lease, revision: u64) -> bool {
        self.since
            .get(lease)
            .is_some_and(|(seen, first)| *seen == revision && now >= *first + self.pick_up_time)
    }

    /// Whether nothing is to be offered to this worker.
    pub fn is_avoided(&self, owner: &Owner) -> bool {
        self.avoided.contains_key(owner)
    }

    /// When the next lease becomes overdue.
    pub fn next_due(&self) -> Option<MonoTime> {
        self.since.values().map(|(_, first)| *first + self.pick_up_time).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::source::ShardId;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_origin(Duration::from_millis(ms))
    }

    fn lease() -> Lease {
        (0, ShardKey::new("L", &ShardId::new("s")))
    }

    fn target() -> Owner {
        Owner { id: "w".into(), incarnation: "1".into() }
    }

    fn waiting(revision: u64, offered: bool) -> Vec<Waiting> {
        vec![Waiting { lease: lease(), revision, offered_to: offered.then(target) }]
    }

    #[test]
    fn an_offer_lapses_when_its_row_stands_still_and_its_target_is_avoided() {
        let mut awaited = Awaited::new(Duration::from_secs(4));
        awaited.observe(at(0), &waiting(7, true));
        assert!(!awaited.is_overdue(at(3_999), &lease(), 7));
        assert!(awaited.is_overdue(at(4_000), &lease(), 7));
        assert!(!awaited.is_overdue(at(4_000), &lease(), 8), "somebody has written it since");
        assert_eq!(awaited.next_due(), Some(at(4_000)));
        assert!(!awaited.is_avoided(&target()));
        awaited.observe(at(4_000), &waiting(7, true));
        assert!(awaited.is_avoided(&target()));
        awaited.observe(at(63_999), &[]);
        assert!(awaited.is_avoided(&target()));
        awaited.observe(at(64_000), &[]);
        assert!(!awaited.is_avoided(&target()));
    }

    #[test]
    fn a_row_that_moved_is_waited_for_anew() {
        let mut awaited = Awaited::new(Duration::from_secs(4));
        awaited.observe(at(0), &waiting(7, true));
        awaited.observe(at(3_000), &waiting(8, true));
        assert!(!awaited.is_overdue(at(4_000), &lease(), 8));
        assert!(awaited.is_overdue(at(7_000), &lease(), 8));
    }

    #[test]
    fn what_is_merely_free_is_nobodys_fault() {
        let mut awaited = Awaited::new(Duration::from_secs(4));
        awaited.observe(at(0), &waiting(7, false));
        awaited.observe(at(5_000), &waiting(7, false));
        assert!(awaited.is_overdue(at(5_000), &lease(), 7));
        assert!(!awaited.is_avoided(&target()));
        awaited.observe(at(6_000), &[]);
        assert!(!awaited.is_overdue(at(6_000), &lease(), 7) && awaited.next_due().is_none());
    }
}
