//! Repeated failures: the same trouble is said once when it begins, then at most once a minute with how often it came,
//! and once when it has been over for a while. Trouble that comes and goes is said no more often than that: not with every
//! call, nor each time that it comes back. Pure: the clock is handed in.

use std::time::Duration;

use crate::machine::MonoTime;

const SAY_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// After so long without it, it is over.
const OVER_AFTER: Duration = Duration::from_secs(10);

/// One kind of trouble that may repeat.
#[derive(Debug, Default)]
pub struct Repeats {
    said_at: Option<MonoTime>,
    happened_at: MonoTime,
    /// Since it was last said.
    unsaid: u64,
    /// Since it was last over.
    total: u64,
    /// It was said since it was last over.
    is_said: bool,
}

impl Repeats {
    /// It happened. `Some(n)` when it is to be said now: it has come `n` times since it was last said.
    pub fn happened(&mut self, now: MonoTime) -> Option<u64> {
        self.happened_at = now;
        self.total += 1;
        self.unsaid += 1;
        if self.said_at.is_some_and(|said| now.since(said) < SAY_AGAIN_AFTER) {
            return None;
        }
        (self.said_at, self.is_said) = (Some(now), true);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It did not happen this time. `Some(n)` when it is over, after `n` times, to be said once. That of which nobody heard
    /// ends unheard, and is counted when it is next said.
    pub fn went_well(&mut self, now: MonoTime) -> Option<u64> {
        if self.total == 0 || now.since(self.happened_at) < OVER_AFTER {
            return None;
        }
        let total = std::mem::take(&mut self.total);
        if !std::mem::take(&mut self.is_said) {
            return None;
        }
        self.unsaid = 0;
        Some(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MonoTime {
        MonoTime::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn said_at_first_then_once_a_minute_with_a_count() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.happened(at(0)), Some(1));
        assert_eq!(repeats.happened(at(1)), None);
        assert_eq!(repeats.happened(at(59)), None);
        assert_eq!(repeats.happened(at(60)), Some(3));
        assert_eq!(repeats.went_well(at(70)), Some(4));
        assert_eq!(repeats.went_well(at(71)), None);
        assert_eq!(repeats.happened(at(200)), Some(1));
    }

    #[test]
    fn what_comes_back_within_a_minute_is_not_said_anew() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.happened(at(0)), Some(1));
        assert_eq!(repeats.went_well(at(10)), Some(1));
        for again in [11, 22, 33, 44] {
            assert_eq!(repeats.happened(at(again)), None);
            assert_eq!(repeats.went_well(at(again + 10)), None);
        }
        assert_eq!(repeats.happened(at(60)), Some(5), "with what nobody heard of");
        assert_eq!(repeats.went_well(at(70)), Some(1));
    }

    #[test]
    fn what_comes_and_goes_is_not_over() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.went_well(at(100)), None, "it never happened");
        assert_eq!(repeats.happened(at(100)), Some(1));
        assert_eq!(repeats.went_well(at(109)), None);
        assert_eq!(repeats.happened(at(110)), None);
        assert_eq!(repeats.went_well(at(119)), None);
        assert_eq!(repeats.went_well(at(120)), Some(2));
    }
}
