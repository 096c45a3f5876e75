//! Lineage: which shard may be read when. A shard waits for its parent, and a stream for the streams before it (P3). It
//! reads listings and rows that others fetched, and decides; it never asks a service itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::retention::RETENTION_MS;
use super::source::{ListedShard, ShardId, StreamStatus};
use crate::machine::MonoTime;

/// A complete listing of one stream's shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// Every page was read.
    Shards { status: StreamStatus, shards: BTreeMap<ShardId, ListedShard>, served_at_ms: Option<u64> },
    /// The stream itself is gone.
    Gone,
}

impl Listing {
    pub fn get(&self, shard: &ShardId) -> Option<&ListedShard> {
        match self {
            Listing::Shards { shards, .. } => shards.get(shard),
            Listing::Gone => None,
        }
    }

    /// Whether the stream takes no more changes.
    pub fn is_disabled(&self) -> bool {
        match self {
            Listing::Shards { status, .. } => {
                matches!(status, StreamStatus::Disabled | StreamStatus::Disabling)
            }
            Listing::Gone => true,
        }
    }

    /// The service's clock when it answered, epoch milliseconds, where it told.
    pub fn served_at_ms(&self) -> Option<u64> {
        match self {
            Listing::Shards { served_at_ms, .. } => *served_at_ms,
            Listing::Gone => None,
        }
    }

    /// The listed shards, by id.
    pub fn shards(&self) -> impl Iterator<Item = &ListedShard> {
        match self {
            Listing::Shards { shards, .. } => Some(shards.values()),
            Listing::Gone => None,
        }
        .into_iter()
        .flatten()
    }

    pub fn children_of<'a>(&'a self, parent: &'a ShardId) -> impl Iterator<Item = &'a ListedShard> {
        self.shards().filter(move |shard| shard.parent.as_ref() == Some(parent))
    }

    /// Whether the shard takes no more changes. An ending number alone does not say so (an emulator sets one on open
    /// shards): a closed shard has a child, or its stream is disabled.
    pub fn is_closed(&self, shard: &ListedShard) -> bool {
        shard.ending.is_some() && (self.is_disabled() || self.children_of(&shard.id).next().is_some())
    }

    /// Parents that listed shards name but that are not listed themselves, each with its youngest child.
    pub fn missing_parents(&self) -> BTreeMap<ShardId, ShardId> {
        let mut missing = BTreeMap::new();
        for shard in self.shards() {
            if let Some(parent) = shard.parent.as_ref().filter(|parent| self.get(parent).is_none()) {
                missing.insert(parent.clone(), shard.id.clone());
            }
        }
        missing
    }

    /// Whether a young shard's parent is not listed: the listing lags behind, and a later one will show more.
    pub fn lags_behind(&self, now_ms: u64) -> bool {
        let is_young =
            |shard: &ShardId| shard.created_ms().is_some_and(|created| now_ms < created + a_while_ms());
        self.missing_parents().values().any(is_young)
    }
}

fn a_while_ms() -> u64 {
    u64::try_from(GONE_AFTER.as_millis()).unwrap_or(u64::MAX)
}

/// How far apart two refusals must be before a shard with a young child, or none, counts as gone.
pub const GONE_AFTER: Duration = Duration::from_secs(60);

/// Whether a shard is gone. A complete listing must lack it *and* an iterator on it must be refused, twice; that long
/// apart unless its age shows that no listing lags behind ([`is_long_gone`]).
#[derive(Debug, Clone, Default)]
pub struct GoneTest {
    first_refused: Option<MonoTime>,
}

/// The test's answer so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    Yes,
    /// Ask again, not before this moment.
    AskAgain(MonoTime),
}

impl GoneTest {
    /// A complete listing, asked for at that moment, lacked the shard, and an iterator on it was refused now. The time
    /// between two counts from when the first was known to when the second was asked for: reading one may take minutes.
    pub fn refused(&mut self, asked_at: MonoTime, now: MonoTime, is_long_gone: bool) -> Gone {
        let Some(first) = self.first_refused else {
            self.first_refused = Some(now);
            return Gone::AskAgain(if is_long_gone { now } else { now + GONE_AFTER });
        };
        if is_long_gone || asked_at.since(first) >= GONE_AFTER {
            Gone::Yes
        } else {
            Gone::AskAgain(first + GONE_AFTER)
        }
    }

    /// The shard was listed, or an iterator granted.
    pub fn seen(&mut self) {
        self.first_refused = None;
    }
}

/// Whether a shard that is neither listed nor readable went long ago, so that no listing lags behind: it has a child that
/// is not young, or is itself older than anything is kept. `now_ms` by the service's clock, which gave the ids their times.
pub fn is_long_gone<'a>(
    shard: &ShardId,
    children: impl IntoIterator<Item = &'a ShardId>,
    now_ms: u64,
) -> bool {
    let is_older = |shard: &ShardId, ms: u64| {
        shard.created_ms().is_some_and(|created| created.saturating_add(ms) <= now_ms)
    };
    is_older(shard, RETENTION_MS) || children.into_iter().any(|child| is_older(child, a_while_ms()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parent: Option<&str>, ended: bool) -> ListedShard {
        ListedShard {
            id: ShardId::new(id),
            parent: parent.map(ShardId::new),
            starting: None,
            ending: ended.then(|| crate::stream::SequenceNumber::parse("9").expect("digits")),
        }
    }

    fn listing(status: StreamStatus, shards: Vec<ListedShard>) -> Listing {
        let shards = shards.into_iter().map(|shard| (shard.id.clone(), shard)).collect();
        Listing::Shards { status, shards, served_at_ms: None }
    }

    fn at(seconds: u64) -> MonoTime {
        MonoTime::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn an_ending_number_alone_does_not_close_a_shard() {
        let alone = listing(StreamStatus::Enabled, vec![shard("a", None, true)]);
        assert!(!alone.is_closed(&shard("a", None, true)));
        let with_child =
            listing(StreamStatus::Enabled, vec![shard("a", None, true), shard("b", Some("a"), false)]);
        assert!(with_child.is_closed(&shard("a", None, true)));
        // A listing during a reshard can show an open parent with children.
        assert!(!with_child.is_closed(&shard("a", None, false)));
        let disabled = listing(StreamStatus::Disabled, vec![shard("a", None, true)]);
        assert!(disabled.is_closed(&shard("a", None, true)));
    }

    #[test]
    fn a_parent_that_is_not_listed_is_missing() {
        let listing =
            listing(StreamStatus::Enabled, vec![shard("b", Some("a"), true), shard("c", Some("b"), false)]);
        assert_eq!(listing.missing_parents(), BTreeMap::from([(ShardId::new("a"), ShardId::new("b"))]));
    }

    #[test]
    fn a_listing_lags_behind_when_it_lacks_a_young_shards_parent() {
        const CREATED: u64 = 1_700_000_000_000;
        let young = format!("shardId-{CREATED:020}-abc");
        let orphan = listing(StreamStatus::Enabled, vec![shard(&young, Some("a"), false)]);
        assert!(orphan.lags_behind(CREATED + 59_999));
        assert!(!orphan.lags_behind(CREATED + 60_000));
        let whole = vec![shard("a", None, true), shard(&young, Some("a"), false)];
        assert!(!listing(StreamStatus::Enabled, whole).lags_behind(CREATED));
        let timeless = listing(StreamStatus::Enabled, vec![shard("c", Some("a"), false)]);
        assert!(!timeless.lags_behind(CREATED));
    }

    #[test]
    fn a_missing_parents_youngest_child_is_told() {
        let children = ["c1", "c2", "c3"].map(|id| shard(id, Some("a"), false));
        let listing = listing(StreamStatus::Enabled, children.into());
        assert_eq!(listing.missing_parents(), BTreeMap::from([(ShardId::new("a"), ShardId::new("c3"))]));
    }

    #[test]
    fn a_stream_that_is_gone_lists_nothing_and_takes_no_more_changes() {
        assert!(Listing::Gone.is_disabled());
        assert_eq!(Listing::Gone.get(&ShardId::new("a")), None);
        assert_eq!(Listing::Gone.shards().next(), None);
    }

    #[test]
    fn gone_takes_two_refusals_a_minute_apart() {
        let mut test = GoneTest::default();
        assert_eq!(test.refused(at(0), at(0), false), Gone::AskAgain(at(60)));
        assert_eq!(test.refused(at(59), at(59), false), Gone::AskAgain(at(60)));
        assert_eq!(test.refused(at(60), at(60), false), Gone::Yes);
        test.seen();
        assert_eq!(test.refused(at(61), at(61), false), Gone::AskAgain(at(121)));
    }

    #[test]
    fn the_minute_lies_between_an_answer_and_the_next_question() {
        let mut test = GoneTest::default();
        assert_eq!(test.refused(at(0), at(50), false), Gone::AskAgain(at(110)));
        assert_eq!(test.refused(at(60), at(200), false), Gone::AskAgain(at(110)));
        assert_eq!(test.refused(at(110), at(200), false), Gone::Yes);
    }

    #[test]
    fn an_old_child_shortens_the_wait_but_not_the_two_refusals() {
        let mut test = GoneTest::default();
        assert_eq!(test.refused(at(0), at(0), true), Gone::AskAgain(at(0)));
        assert_eq!(test.refused(at(0), at(0), true), Gone::Yes);
    }

    #[test]
    fn long_gone_shows_by_a_child_or_by_the_shards_own_age() {
        const CREATED: u64 = 1_700_000_000_000;
        let (timeless, child) = (ShardId::new("s1"), ShardId::new(format!("shardId-{CREATED:020}-abc")));
        assert!(is_long_gone(&timeless, [&child], CREATED + 60_000));
        assert!(!is_long_gone(&timeless, [&child], CREATED + 59_999));
        assert!(!is_long_gone(&timeless, [&timeless], u64::MAX));
        assert!(is_long_gone(&child, [], CREATED + RETENTION_MS));
        assert!(!is_long_gone(&child, [], CREATED + RETENTION_MS - 1));
    }
}
