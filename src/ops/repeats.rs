//! Repeated failures: the same trouble is said once when it begins, then at most once a minute with how often it came,
//! and once when it has been over for a while: trouble that comes and goes would else be said with every call. Pure: the
//! clock is handed in.

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
    unsaid: u64,
    total: u64,
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
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It did not happen this time. `Some(n)` when it is over, after `n` times, to be said once.
    pub fn went_well(&mut self, now: MonoTime) -> Option<u64> {
        if self.total == 0 || now.since(self.happened_at) < OVER_AFTER {
            return None;
        }
        Some(std::mem::take(self).total)
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
        assert_eq!(repeats.happened(at(72)), Some(1));
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
