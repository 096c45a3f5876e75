use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> MonoTime {
    MonoTime::from_origin(Duration::from_millis(ms))
}

/// A shard that takes `limit` records in each second, or fewer where others write too, and a writer who always has more.
struct Hot {
    pace: Pace,
    limit: u64,
    others: u64,
    taken: (u64, u64),
    sent: u64,
    accepted: u64,
}

impl Hot {
    fn new(limit: u64) -> Self {
        Hot { pace: Pace::default(), limit, others: 0, taken: (0, 0), sent: 0, accepted: 0 }
    }

    /// From one moment to another, a millisecond a step; what is sent is answered at once.
    fn run(&mut self, from_ms: u64, to_ms: u64, most_a_step: u64) {
        (self.sent, self.accepted) = (0, 0);
        for ms in from_ms..to_ms {
            let now = at(ms);
            if self.taken.0 != ms / 1_000 {
                self.taken = (ms / 1_000, self.others);
            }
            for _ in 0..most_a_step {
                if !self.pace.may_send(now) {
                    self.pace.binds(now);
                    break;
                }
                self.pace.spend(Load::of_record(100));
                self.sent += 1;
                if self.taken.1 < self.limit {
                    self.taken.1 += 1;
                    self.accepted += 1;
                    self.pace.accepted(now, Load::of_record(100));
                } else {
                    self.pace.rejected(now);
                }
            }
        }
    }
}

#[test]
fn there_is_no_limit_before_a_rejection_and_it_is_forgotten_when_it_binds_no_more() {
    let mut hot = Hot::new(1_000);
    hot.run(0, 300, 3);
    assert_eq!((hot.accepted, hot.pace.is_limited(at(300))), (900, false));
    hot.run(300, 2_000, 3);
    assert!(hot.pace.is_limited(at(2_000)));
    assert!(hot.pace.is_limited(at(11_900)));
    assert!(!hot.pace.is_limited(at(12_001)));
    assert!(hot.pace.may_send(at(12_001)));
}

#[test]
fn most_of_a_shards_limit_is_used_and_little_is_rejected() {
    for limit in [1_000, 400, 60] {
        let mut hot = Hot::new(limit);
        hot.run(0, 5_000, 3);
        hot.run(5_000, 65_000, 3);
        let rejected = hot.sent - hot.accepted;
        assert!(hot.accepted * 100 >= limit * 60 * 92, "of {limit} a second: {} in a minute", hot.accepted);
        assert!(rejected * 100 <= hot.sent * 6, "of {limit} a second: {rejected} of {}", hot.sent);
    }
}

#[test]
fn it_gives_way_to_others_and_takes_what_they_leave() {
    let mut hot = Hot::new(1_000);
    hot.run(0, 10_000, 3);
    hot.others = 500;
    hot.run(10_000, 40_000, 3);
    let rejected = hot.sent - hot.accepted;
    assert!(hot.accepted >= 30 * 460 && rejected * 100 <= hot.sent * 10, "{rejected} of {}", hot.sent);
    hot.others = 0;
    hot.run(40_000, 50_000, 3);
    hot.run(50_000, 60_000, 3);
    assert!(hot.accepted >= 9_200, "{} in ten seconds", hot.accepted);
}

#[test]
fn a_record_larger_than_all_there_is_goes_and_those_behind_it_wait_the_longer() {
    let mut pace = Pace::default();
    pace.accepted(at(0), Load::of_record(1 << 20));
    pace.rejected(at(10));
    let opens = pace.opens_at();
    assert!(pace.may_send(opens));
    pace.spend(Load::of_record(1 << 20));
    let (next, _) = opened(&mut pace, opens);
    let waited = next.since(opens);
    assert!(waited > Duration::from_millis(950) && waited < Duration::from_millis(1_150), "{waited:?}");
}

/// When it opens, looked at whenever it says so and not before, and how often that was.
fn opened(pace: &mut Pace, mut now: MonoTime) -> (MonoTime, usize) {
    for looks in 0..100 {
        if pace.may_send(now) {
            return (now, looks);
        }
        pace.binds(now);
        let next = pace.opens_at();
        assert!(next > now && next.since(now) <= LOOK + Duration::from_millis(1), "{next:?} at {now:?}");
        now = next;
    }
    panic!("it does not open: {pace:?}");
}

#[test]
fn large_records_that_are_rejected_close_it_for_seconds_only() {
    for bytes in [20_000, 400_000, 1 << 20] {
        let (mut pace, mut now, mut longest) = (Pace::default(), at(0), Duration::ZERO);
        pace.accepted(now, Load::of_record(bytes));
        pace.rejected(now);
        // Another writer has the shard for a while.
        while now < at(1_500) {
            let (opens, _) = opened(&mut pace, now);
            longest = longest.max(opens.since(now));
            pace.spend(Load::of_record(bytes));
            now = opens + Duration::from_millis(15);
            pace.rejected(now);
        }
        // Then nobody: at most a minute until most of the shard is used.
        let free = now;
        let mut accepted = 0.0;
        while accepted < 0.8 {
            assert!(now.since(free) < Duration::from_secs(60), "{bytes} bytes: {accepted} after a minute");
            let (opens, _) = opened(&mut pace, now);
            longest = longest.max(opens.since(now));
            pace.spend(Load::of_record(bytes));
            now = opens + Duration::from_millis(1);
            pace.accepted(now, Load::of_record(bytes));
            accepted = pace.limit.as_ref().map_or(1.0, |limit| limit.rate);
        }
        assert!(longest < Duration::from_secs(6), "{bytes} bytes: closed for {longest:?}");
    }
}

#[test]
fn records_and_bytes_are_limited_each_by_itself() {
    // In one second 500 small records and, as bytes, half of what a shard takes: half of both, not all of it.
    let mut pace = Pace::default();
    for n in 0..1_000 {
        let bytes = if n % 2 == 0 { 1_048 } else { 0 };
        if n < 500 || bytes > 0 {
            pace.accepted(at(n), Load::of_record(bytes));
        }
    }
    pace.rejected(at(999));
    let limit = pace.limit.as_ref().expect("a limit");
    assert!(limit.rate < 0.8, "{}", limit.rate);
}

#[test]
fn a_burst_after_rest_is_bounded() {
    let mut hot = Hot::new(1_000);
    hot.run(0, 3_000, 3);
    let rate = hot.pace.limit.as_ref().expect("a limit").rate;
    let mut sent = 0.0;
    while hot.pace.may_send(at(8_000)) {
        hot.pace.spend(Load::of_record(1));
        sent += 0.001;
    }
    assert!(sent > rate * 0.09 && sent < rate * 0.11, "{sent} at {rate}");
}

#[test]
fn what_is_owed_is_no_more_than_three_seconds_at_the_new_rate() {
    let mut pace = Pace::default();
    pace.accepted(at(0), Load::of_record(65_796));
    pace.rejected(at(0));
    pace.rejected(at(300));
    pace.binds(at(607));
    assert!(pace.may_send(at(907)));
    pace.spend(Load::of_record(170_627));
    for ms in [1_300, 1_550] {
        pace.rejected(at(ms));
    }
    assert!(!pace.may_send(at(1_550)));
    let (_, looks) = opened(&mut pace, at(1_550));
    assert!(looks <= 7, "{looks} looks");
}

proptest! {
    /// Whatever happens: the limit stays in its bounds, and the moment at which it opens is right.
    #[test]
    fn it_opens_when_it_says(steps in prop::collection::vec((0..4u8, 0..2_000u64, 1..2_000_000usize), 1..60)) {
        let (mut pace, mut ms) = (Pace::default(), 0);
        for (what, passed, bytes) in steps {
            ms += passed;
            match what {
                0 => pace.accepted(at(ms), Load::of_record(bytes)),
                1 => pace.rejected(at(ms)),
                2 => pace.binds(at(ms)),
                _ => {
                    if pace.may_send(at(ms)) {
                        pace.spend(Load::of_record(bytes));
                    }
                }
            }
            if let Some(limit) = &pace.limit {
                prop_assert!(limit.rate >= LEAST_RATE);
            }
        }
        if !pace.may_send(at(ms)) {
            let (_, looks) = opened(&mut pace, at(ms));
            prop_assert!(looks <= 10, "{looks} looks");
        }
    }
}
