//! The figures: lags, rates and memory, measured as the records land and told once a second and at the end.

use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::screen::Second;

/// One run's measurements.
#[derive(Debug)]
pub struct Figures {
    started: Instant,
    first_record: Option<Duration>,
    last_new: Instant,
    /// Milliseconds, one a first landing.
    lags_ms: Vec<u32>,
    /// How many of them were told by the last running line.
    lags_told: usize,
    last_line: Line,
}

#[derive(Debug)]
struct Line {
    at: Instant,
    written: usize,
    arrived: usize,
}

impl Figures {
    /// Starts the clock; call it when the worker is started.
    pub fn start(now: Instant) -> Self {
        Figures {
            started: now,
            first_record: None,
            last_new: now,
            lags_ms: Vec::new(),
            lags_told: 0,
            last_line: Line { at: now, written: 0, arrived: 0 },
        }
    }

    /// A change that landed for the first time.
    pub fn landed(&mut self, at: Instant, lag: Option<Duration>) {
        self.last_new = at;
        self.first_record.get_or_insert(at.saturating_duration_since(self.started));
        self.lags_ms.extend(lag.map(|lag| u32::try_from(lag.as_millis()).unwrap_or(u32::MAX)));
    }

    /// How long nothing new has landed.
    pub fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_new)
    }

    /// From the worker's start to the first record in Kinesis.
    pub fn first_record(&self) -> Option<Duration> {
        self.first_record
    }

    /// Changes a second, from the start to the last landing.
    pub fn rate(&self, arrived: usize) -> usize {
        per_second(arrived, self.last_new.saturating_duration_since(self.started))
    }

    /// The lag that `percent` of the changes stayed within.
    pub fn lag(&self, percent: usize) -> Option<Duration> {
        quantile(&self.lags_ms, percent)
    }

    /// The running line's figures since the last one.
    pub fn second(&mut self, now: Instant, ledger: &Ledger, checkpointed: usize) -> Second {
        let (written, arrived, duplicates) =
            ledger.ask(|judge| (judge.expected(), judge.arrived(), judge.duplicates()));
        let since = now.saturating_duration_since(self.last_line.at);
        let second = Second {
            elapsed: now.saturating_duration_since(self.started),
            written,
            written_now: per_second(written.saturating_sub(self.last_line.written), since),
            arrived,
            arrived_now: per_second(arrived.saturating_sub(self.last_line.arrived), since),
            duplicates,
            lag: quantile(self.lags_ms.get(self.lags_told..).unwrap_or_default(), 50),
            checkpointed,
        };
        self.lags_told = self.lags_ms.len();
        self.last_line = Line { at: now, written, arrived };
        second
    }
}

fn per_second(count: usize, within: Duration) -> usize {
    let milliseconds = usize::try_from(within.as_millis()).unwrap_or(usize::MAX).max(1);
    count.saturating_mul(1_000) / milliseconds
}

fn quantile(lags_ms: &[u32], percent: usize) -> Option<Duration> {
    let mut sorted = lags_ms.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map(|milliseconds| Duration::from_millis(u64::from(*milliseconds)))
}

/// This process's resident memory in bytes, where the system tells (Linux).
pub fn resident_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_taken_from_the_sorted_lags() {
        let lags: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(quantile(&lags, 50), Some(Duration::from_millis(51)));
        assert_eq!(quantile(&lags, 99), Some(Duration::from_millis(100)));
        assert_eq!(quantile(&lags, 100), Some(Duration::from_millis(100)));
        assert_eq!(quantile(&[7], 99), Some(Duration::from_millis(7)));
        assert_eq!(quantile(&[], 50), None);
    }

    #[test]
    fn a_rate_needs_no_time_to_have_passed() {
        assert_eq!(per_second(5, Duration::ZERO), 5_000);
        assert_eq!(per_second(300, Duration::from_millis(1_500)), 200);
    }
}
