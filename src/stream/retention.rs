//! Retention: a stream keeps each change for 24 hours. A position that it passed is refused, but no call tells what it
//! passed of a shard that is read from its oldest change on: that must be concluded, and noted (P7).

use super::source::ShardId;

/// How long a change is kept.
pub const RETENTION_MS: u64 = 24 * 3_600 * 1_000;

/// A first start carries what the stream still holds. What goes between the first listing and this much later is no
/// gap: nobody can read everything in the moment that it lists it.
const FIRST_READ_MS: u64 = 60_000;

/// A shard none of whose changes is known to be carried. Moments in epoch milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// The oldest change that is wanted was made then, or later.
    wanted_from_ms: u64,
    discovered_at_ms: u64,
}

impl Unread {
    /// Its changes since it was opened are wanted, or `from_ms`: since the moment at which `latest` began, or those behind
    /// what a shard that a `rewind` moved back had carried by then. An id that does not tell when it was opened leaves its
    /// discovery.
    pub fn new(shard: &ShardId, from_ms: Option<u64>, discovered_at_ms: u64) -> Self {
        let wanted_from_ms = from_ms.or_else(|| shard.created_ms()).unwrap_or(discovered_at_ms);
        Unread { wanted_from_ms, discovered_at_ms }
    }

    /// Whether retention had reached the shard when it was discovered.
    pub fn was_found_late(&self) -> bool {
        self.wanted_from_ms.saturating_add(RETENTION_MS) <= self.discovered_at_ms
    }

    /// Whether an iterator at the oldest change, granted now, may stand behind changes that were there when the shard was
    /// discovered.
    pub fn may_be_trimmed(&self, now_ms: u64) -> bool {
        let from_ms = if self.was_found_late() {
            self.discovered_at_ms.saturating_add(FIRST_READ_MS)
        } else {
            self.wanted_from_ms.saturating_add(RETENTION_MS)
        };
        from_ms <= now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: u64 = 1_700_000_000_000;

    fn shard() -> ShardId {
        ShardId::new(format!("shardId-{OPENED:020}-abc"))
    }

    #[test]
    fn a_young_shard_loses_its_beginning_a_day_after_it_was_opened() {
        let unread = Unread::new(&shard(), None, OPENED + RETENTION_MS - 1);
        assert!(!unread.was_found_late());
        assert!(!unread.may_be_trimmed(OPENED + RETENTION_MS - 1));
        assert!(unread.may_be_trimmed(OPENED + RETENTION_MS));
    }

    #[test]
    fn a_shard_found_late_is_read_from_what_is_left() {
        let found = OPENED + RETENTION_MS;
        let unread = Unread::new(&shard(), None, found);
        assert!(unread.was_found_late());
        assert!(!unread.may_be_trimmed(found + FIRST_READ_MS - 1));
        assert!(unread.may_be_trimmed(found + FIRST_READ_MS));
    }

    #[test]
    fn latest_wants_nothing_older_than_its_moment() {
        let moment = OPENED + 2 * RETENTION_MS;
        let unread = Unread::new(&shard(), Some(moment), moment + 1_000);
        assert!(!unread.may_be_trimmed(moment + RETENTION_MS - 1));
        assert!(unread.may_be_trimmed(moment + RETENTION_MS));
    }

    #[test]
    fn an_id_that_does_not_tell_leaves_the_discovery() {
        let unread = Unread::new(&ShardId::new("shard-1"), None, OPENED);
        assert!(!unread.may_be_trimmed(OPENED + RETENTION_MS - 1));
        assert!(unread.may_be_trimmed(OPENED + RETENTION_MS));
    }
}
