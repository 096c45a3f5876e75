//! Repeated failures: the same trouble is said once when it begins, then at most once a minute with how often it came,
//! and once when it is over. Pure: the clock is handed in.

use std::time::Duration;

use crate::machine::MonoTime;

const SAY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// One kind of trouble that may repeat.
#[derive(Debug, Default)]
pub struct Repeats {
    said_at: Option<MonoTime>,
    unsaid: u64,
    total: u64,
}

impl Repeats {
    /// It happened. `Some(n)` when it is to be said now: it has come `n` times since it was last said.
    pub fn happened(&mut self, now: MonoTime) -> Option<u64> {
        self.total += 1;
        self.unsaid += 1;
        if self.said_at.is_some_and(|said| now.since(said) < SAY_AGAIN_AFTER) {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It is over. `Some(n)` when it had happened `n` times, to be said once.
    pub fn over(&mut self) -> Option<u64> {
        let total = std::mem::take(&mut self.total);
        *self = Repeats::default();
        (total > 0).then_some(total)
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
        assert_eq!(repeats.over(), Some(4));
        assert_eq!(repeats.over(), None);
        assert_eq!(repeats.happened(at(61)), Some(1));
    }
}
