//! The course: where a shard's task is to go, as the coordinator says.

use crate::lease::row::Owner;
use crate::machine::MonoTime;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
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

impl Course {
    /// Whether the task must end now, whatever it is at.
    pub fn is_over(&self, now: MonoTime) -> bool {
        matches!(self, Course::Stop { until, .. } if now >= *until)
    }

    /// Whether the lease is about to be given up. A handover whose time is over was called off.
    pub fn is_leaving(&self, now: MonoTime) -> bool {
        match self {
            Course::Run => false,
            Course::HandOver { until, .. } => now < *until,
            Course::Stop { .. } => true,
        }
    }

    /// Whom the lease goes to.
    pub fn heir(&self) -> Option<&Owner> {
        match self {
            Course::Run => None,
            Course::HandOver { to, .. } => Some(to),
            Course::Stop { to, .. } => to.as_ref(),
        }
    }
}
