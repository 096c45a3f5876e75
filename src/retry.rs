//! Retry delays: exponential, capped, jittered by the machine's own generator. The `backoff` crate computes the growth;
//! it stands behind this one module because it is no longer maintained and would draw its jitter from an ambient
//! generator, so its own randomisation and its giving up are off.

use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;

/// The delays between the attempts of one thing that keeps failing.
#[derive(Debug)]
pub struct Retry {
    delays: backoff::ExponentialBackoff,
    attempts: u32,
}

impl Retry {
    /// Delays that double from `first` up to `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        let delays = ExponentialBackoffBuilder::new()
            .with_initial_interval(first)
            .with_max_interval(most)
            .with_multiplier(2.0)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        Retry { delays, attempts: 0 }
    }

    /// The delay before the next attempt: between half and the whole of the current step, in whole milliseconds.
    /// `random` is any number from the machine's generator.
    pub fn next(&mut self, random: u64) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        let step = self.delays.next_backoff().unwrap_or(self.delays.max_interval);
        let step_ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX).max(2);
        Duration::from_millis(step_ms / 2 + random % (step_ms - step_ms / 2 + 1))
    }

    /// How many delays have been asked for since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The thing succeeded: the next delay is the first again.
    pub fn succeeded(&mut self) {
        if self.attempts > 0 {
            self.attempts = 0;
            self.delays.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_start_over() {
        let mut retry = Retry::new(Duration::from_millis(100), Duration::from_millis(500));
        let whole: Vec<u64> = (0..4).map(|_| retry.next(u64::MAX).as_millis() as u64).collect();
        for (delay, step) in whole.iter().zip([100, 200, 400, 500]) {
            assert!(*delay >= step / 2 && *delay <= step, "{delay} of {step}");
        }
        assert_eq!(retry.attempts(), 4);
        retry.succeeded();
        assert!(retry.next(0) == Duration::from_millis(50));
    }
}
