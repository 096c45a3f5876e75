//! Orders: what the coordinator tells a shard's task.

use crate::lease::row::Owner;
use crate::machine::MonoTime;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    Run,
    /// Drain and hand the lease over to another worker. What is not delivered by `until` calls it off: the shard is read
    /// on where it stopped.
    HandOver {
        to: Owner,
        until: MonoTime,
    },
    /// Drain and give the lease up, at `until` at the latest: to another worker, or to whoever takes it.
    Stop {
        to: Option<Owner>,
        until: MonoTime,
    },
}

impl Order {
    /// Whether the task must end now, whatever it is at.
    pub fn is_over(&self, now: MonoTime) -> bool {
        matches!(self, Order::Stop { until, .. } if now >= *until)
    }

    /// Whom the lease goes to.
    pub fn heir(&self) -> Option<&Owner> {
        match self {
            Order::Run => None,
            Order::HandOver { to, .. } => Some(to),
            Order::Stop { to, .. } => to.as_ref(),
        }
    }
}
