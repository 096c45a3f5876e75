//! Liveness: which sessions are dead, as one observer sees it. A session is dead when its counter has stood still for
//! `failover_time` on the observer's own monotonic clock, counted from the answer that first showed that counter to a
//! read sent after that time. An observer whose own reads failed has seen nothing. No clocks of two machines are compared.

use std::collections::BTreeMap;
use std::time::Duration;

use super::row::SessionRow;
use crate::machine::MonoTime;

/// What one observer has seen of the sessions.
#[derive(Debug)]
pub struct Liveness {
    failover_time: Duration,
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    incarnation: String,
    counter: u64,
    /// When the answer came that first showed this counter.
    since: MonoTime,
}

impl Liveness {
    pub fn new(failover_time: Duration) -> Self {
        Liveness { failover_time, seen: BTreeMap::new() }
    }

    /// A read of all sessions, sent and answered at these moments. Returns the ids of those that are dead.
    pub fn observe(
        &mut self,
        sent: MonoTime,
        answered: MonoTime,
        sessions: &[(String, SessionRow)],
    ) -> Vec<String> {
        let mut still = BTreeMap::new();
        let mut dead = Vec::new();
        for (id, row) in sessions {
            let same = self
                .seen
                .remove(id)
                .filter(|seen| seen.incarnation == row.incarnation && seen.counter == row.counter);
            let seen = same.unwrap_or_else(|| Seen {
                incarnation: row.incarnation.clone(),
                counter: row.counter,
                since: answered,
            });
            if sent >= seen.since + self.failover_time {
                dead.push(id.clone());
            }
            still.insert(id.clone(), seen);
        }
        self.seen = still;
        dead
    }

    /// When the next session will be dead unless it moves, so that the read that shows it can be sent just then.
    pub fn next_due(&self) -> Option<MonoTime> {
        self.seen.values().map(|seen| seen.since + self.failover_time).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_origin(Duration::from_millis(ms))
    }

    fn session(incarnation: &str, counter: u64) -> Vec<(String, SessionRow)> {
        let row = SessionRow {
            incarnation: incarnation.into(),
            counter,
            host: String::new(),
            version: String::new(),
            started_at_ms: 0,
            load: 0,
            loads: BTreeMap::new(),
            pipelines: vec![],
            draining: false,
            discovers: 0,
            ownership_version: 0,
        };
        vec![("w".to_owned(), row)]
    }

    #[test]
    fn dead_only_by_a_read_sent_after_the_whole_time() {
        let mut liveness = Liveness::new(Duration::from_secs(10));
        assert!(liveness.observe(at(0), at(500), &session("a", 1)).is_empty());
        // Sent just before the time is over, answered long after: no verdict.
        assert!(liveness.observe(at(10_499), at(20_000), &session("a", 1)).is_empty());
        assert_eq!(liveness.next_due(), Some(at(10_500)));
        assert_eq!(liveness.observe(at(20_001), at(20_002), &session("a", 1)), ["w"]);
    }

    #[test]
    fn a_moving_counter_or_a_new_incarnation_starts_the_time_anew() {
        let mut liveness = Liveness::new(Duration::from_secs(10));
        liveness.observe(at(0), at(0), &session("a", 1));
        assert!(liveness.observe(at(10_000), at(10_000), &session("a", 2)).is_empty());
        assert!(liveness.observe(at(19_999), at(19_999), &session("b", 2)).is_empty());
        assert!(liveness.observe(at(29_998), at(29_998), &session("b", 2)).is_empty());
        assert_eq!(liveness.observe(at(29_999), at(29_999), &session("b", 2)), ["w"]);
    }

    #[test]
    fn reads_that_failed_let_no_time_pass() {
        let mut liveness = Liveness::new(Duration::from_secs(10));
        // The first answer comes at 60 s: what stood still before that was not seen.
        assert!(liveness.observe(at(60_000), at(60_000), &session("a", 1)).is_empty());
        assert!(liveness.observe(at(69_999), at(69_999), &session("a", 1)).is_empty());
    }
}
