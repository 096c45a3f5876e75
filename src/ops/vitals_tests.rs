use super::*;

const HOUR_MS: u64 = 3_600_000;
/// The wall clock at the monotonic clock's origin.
const BEGAN_MS: u64 = 1_700_000_000_000;

fn at(seconds: u64) -> Now {
    Now { mono: MonoTime::from_origin(Duration::from_secs(seconds)), wall_ms: BEGAN_MS + seconds * 1_000 }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Taken at 0, its position an hour old.
fn taken() -> Facts {
    Facts::new(at(0).mono, BEGAN_MS - HOUR_MS)
}

fn tip(facts: &mut Facts, seconds: u64) {
    facts.page(at(seconds).mono, at(seconds).mono, false, None);
}

#[test]
fn nothing_is_known_of_a_shard_just_taken_then_what_its_row_says() {
    let facts = taken();
    assert_eq!(facts.lag(at(59)), None);
    assert_eq!(facts.lag(at(60)), Some(secs(3_660)));
}

#[test]
fn an_idle_shard_lags_by_the_time_since_it_was_read_to_its_tip() {
    let mut facts = taken();
    tip(&mut facts, 10);
    assert_eq!(facts.lag(at(10)), Some(secs(0)));
    assert_eq!(facts.lag(at(310)), Some(secs(300)), "it is not read");
    assert_eq!(until_trim(secs(300)), secs(86_400 - 300));
    assert_eq!(until_trim(secs(90_000)), secs(0));
}

#[test]
fn catching_up_lags_by_the_last_change_read() {
    let mut facts = taken();
    facts.page(at(1).mono, at(1).mono, true, Some(BEGAN_MS - 100_000));
    assert_eq!(facts.lag(at(2)), Some(secs(102)));
    tip(&mut facts, 3);
    // At the tip once, and cut off since: whatever says less.
    facts.page(at(50).mono, at(50).mono, true, Some(BEGAN_MS + 40_000));
    assert_eq!(facts.lag(at(60)), Some(secs(20)));
}

#[test]
fn what_is_not_acknowledged_lags_though_all_is_read() {
    let mut facts = taken();
    facts.submitted(at(5).mono, 3);
    tip(&mut facts, 5);
    facts.acknowledged(at(5).mono, 1, Some(BEGAN_MS - 7_000));
    tip(&mut facts, 20);
    assert_eq!(facts.lag(at(20)), Some(secs(27)));
    facts.acknowledged(at(21).mono, 3, None);
    assert_eq!(facts.lag(at(21)), Some(secs(1)));
}

#[test]
fn the_oldest_change_waits_since_its_page_was_handed_over() {
    let mut facts = taken();
    assert_eq!(facts.waiting(at(1).mono), secs(0));
    facts.submitted(at(1).mono, 10);
    facts.submitted(at(4).mono, 20);
    facts.acknowledged(at(6).mono, 9, Some(BEGAN_MS));
    assert_eq!(facts.waiting(at(10).mono), secs(9));
    assert_eq!(facts.blocked_for(at(10).mono), secs(4), "the tenth is the oldest since then");
    facts.acknowledged(at(11).mono, 12, Some(BEGAN_MS));
    assert_eq!(facts.waiting(at(12).mono), secs(8));
    facts.acknowledged(at(13).mono, 20, None);
    assert_eq!((facts.waiting(at(90).mono), facts.blocked_for(at(90).mono)), (secs(0), secs(0)));
    // After a quiet time nothing is blocked since then.
    facts.submitted(at(100).mono, 21);
    assert_eq!(facts.blocked_for(at(101).mono), secs(1));
}

/// The writer may tell of an acknowledgement before reading has said that it handed the change over.
#[test]
fn acknowledged_before_it_is_told_as_submitted() {
    let mut facts = taken();
    facts.acknowledged(at(1).mono, 5, None);
    facts.submitted(at(2).mono, 5);
    assert_eq!(facts.waiting(at(100).mono), secs(0));
    assert!(facts.pages.is_empty());
}

#[test]
fn a_shard_that_should_be_read_and_is_not() {
    let mut facts = taken();
    assert_eq!(facts.unread_for(at(9).mono), Some((secs(9), Doing::Reading)));
    tip(&mut facts, 10);
    facts.doing(Doing::WaitingForMemory);
    assert_eq!(facts.unread_for(at(15).mono), Some((secs(5), Doing::WaitingForMemory)));
    facts.doing(Doing::NotReading);
    assert_eq!(facts.unread_for(at(15).mono), None);
}
