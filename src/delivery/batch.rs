//! What one call holds, and what decides when it goes.

use std::time::Duration;

use super::lanes::{LaneId, ShardSlot};
use super::sink::PutEntry;
use crate::machine::MonoTime;

/// A page that is known to wait in the stream comes within about so long: GetRecords is asked five times a second at the
/// most. Nothing waits longer for it, as reading may have stopped.
pub const MORE_WITHIN: Duration = Duration::from_millis(300);

/// What one call may hold.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub max_records: usize,
    /// Data and partition keys together. A single larger record travels alone.
    pub max_bytes: usize,
    /// How long a record that may be sent waits for others to fill its batch, while a call is under way.
    pub linger: Duration,
}

/// What else bears on when a batch goes that is not full.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outlook {
    /// Some call is under way: with none, nothing is won by waiting.
    pub calls_under_way: bool,
    /// Until when more changes are on their way to the lanes.
    pub more_until: Option<MonoTime>,
}

/// What one call sends.
#[derive(Debug, Default)]
pub struct Batch {
    /// Whose records they are, in the entries' order.
    pub sent: Vec<Sent>,
    pub entries: Vec<PutEntry>,
    /// Data and partition keys together.
    pub bytes: usize,
}

/// A batch's member.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub lane: LaneId,
    pub shard: ShardSlot,
    /// How many changes its record carries.
    pub changes: usize,
}
