//! What the process shows of itself, to whoever asks in whichever form: figures looked up at that moment, and health.

use std::sync::Arc;

use super::health::Health;
use super::metrics::Metrics;
use crate::delivery::memory::Budget;

/// Cheap to clone.
#[derive(Clone)]
pub struct Shown {
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    pub budget: Budget,
    pub pipelines: Arc<[Arc<str>]>,
}

impl Shown {
    /// All figures as of now, in the Prometheus text format.
    pub fn figures(&self) -> String {
        let names = self.pipelines.iter().map(|name| &**name);
        self.metrics.look(names, &self.health.worst(), self.budget.used());
        self.metrics.encode()
    }
}
