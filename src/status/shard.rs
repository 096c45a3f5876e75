//! A shard's status: who has it, where it is, and what its position's time says of lag and retention.

use serde::Serialize;

use crate::lease::row::{Gap, ShardKey, ShardRow, ShardState};
use crate::stream::retention::RETENTION_MS;

/// One unfinished shard.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShardStatus {
    /// The stream's label.
    pub stream: String,
    pub shard: String,
    pub parents: Vec<String>,
    /// How many unfinished shards are above it.
    pub depth: usize,
    pub standing: Standing,
    /// The worker that has the lease, or is to take it.
    pub owner: Option<String>,
    /// The last change that is done with all before it.
    pub checkpoint: Option<String>,
    /// When that change was made; not known right after a rewind or an import.
    pub last_change_at_ms: Option<u64>,
    /// No change that is still to be carried is older than this.
    pub position_at_ms: u64,
    /// How far it is behind at most: an idle shard that was read to its end is not behind at all.
    pub lag_at_most_ms: u64,
    /// Nothing that is still to be carried passes the stream's 24 hours sooner; 0: that may be happening.
    pub trim_at_least_ms: u64,
    pub halted_because: Option<String>,
    pub gaps: Vec<Gap>,
    /// The mark of the rewind that this shard last went back for.
    pub replay_mark: Option<String>,
    pub epoch: u64,
}

/// What is happening with a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A worker has it.
    Reading,
    /// A worker was named that has not taken it yet.
    Offered,
    /// Nobody has it, and nothing is in the way.
    Free,
    /// A parent is not finished, or an earlier stream is not drained.
    Waiting,
    Halted,
    Frozen,
}

impl Standing {
    pub(super) fn word(self) -> &'static str {
        match self {
            Standing::Reading => "reading",
            Standing::Offered => "offered",
            Standing::Free => "free",
            Standing::Waiting => "waiting",
            Standing::Halted => "HALTED",
            Standing::Frozen => "frozen",
        }
    }
}

impl ShardStatus {
    /// `is_ready`: neither a parent nor a stream is in its way. `depth` counts the unfinished shards above it.
    pub(super) fn new(key: &ShardKey, row: &ShardRow, is_ready: bool, depth: usize, now_ms: u64) -> Self {
        let position_at_ms = row.position_at_ms(&key.shard);
        ShardStatus {
            stream: key.label.clone(),
            shard: key.shard.to_string(),
            parents: row.parents.iter().map(ToString::to_string).collect(),
            depth,
            standing: standing(row, is_ready),
            owner: row.owner.clone(),
            checkpoint: row.checkpoint.as_ref().map(ToString::to_string),
            last_change_at_ms: row.last_change_at_ms,
            position_at_ms,
            lag_at_most_ms: now_ms.saturating_sub(position_at_ms),
            trim_at_least_ms: position_at_ms.saturating_add(RETENTION_MS).saturating_sub(now_ms),
            halted_because: row.halted_because.clone(),
            gaps: row.gaps.clone(),
            replay_mark: row
                .replay
                .as_ref()
                .and_then(|replay| replay.mark.as_ref())
                .map(|mark| mark.as_str().to_owned()),
            epoch: row.epoch,
        }
    }
}

fn standing(row: &ShardRow, is_ready: bool) -> Standing {
    match (row.state, &row.owner) {
        (ShardState::Halted, _) => Standing::Halted,
        (ShardState::Frozen, _) => Standing::Frozen,
        (ShardState::Active, _) if !is_ready => Standing::Waiting,
        (ShardState::Active, None) => Standing::Free,
        (ShardState::Active, Some(_)) if row.offered => Standing::Offered,
        (ShardState::Active, Some(_)) => Standing::Reading,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::of_rows::testing::{OPENED_MS, key, row};

    const HOUR_MS: u64 = 3_600_000;

    fn status(row: &ShardRow, now_ms: u64) -> ShardStatus {
        ShardStatus::new(&key("a"), row, true, 0, now_ms)
    }

    #[test]
    fn bounds_count_from_the_last_change_carried() {
        let carried = ShardRow { last_change_at_ms: Some(OPENED_MS + HOUR_MS), ..row() };
        let shown = status(&carried, OPENED_MS + 3 * HOUR_MS);
        assert_eq!((shown.lag_at_most_ms, shown.trim_at_least_ms), (2 * HOUR_MS, 22 * HOUR_MS));
        let late = status(&carried, OPENED_MS + 30 * HOUR_MS);
        assert_eq!((late.lag_at_most_ms, late.trim_at_least_ms), (29 * HOUR_MS, 0));
        // A clock behind the service's.
        assert_eq!(status(&carried, OPENED_MS).lag_at_most_ms, 0);
    }

    #[test]
    fn what_has_carried_nothing_counts_from_its_beginning() {
        assert_eq!(status(&row(), OPENED_MS + HOUR_MS).position_at_ms, OPENED_MS);
        let latest = ShardRow { latest_from_ms: Some(OPENED_MS + 5), ..row() };
        assert_eq!(status(&latest, OPENED_MS + HOUR_MS).position_at_ms, OPENED_MS + 5);
        let timeless = ShardKey::new("L", &crate::stream::source::ShardId::new("shard-1"));
        let late = ShardRow { discovered_at_ms: OPENED_MS + 30 * HOUR_MS, ..row() };
        assert_eq!(status(&late, OPENED_MS + 31 * HOUR_MS).position_at_ms, OPENED_MS + 6 * HOUR_MS);
        let found = ShardRow { discovered_at_ms: 9, ..row() };
        assert_eq!(ShardStatus::new(&timeless, &found, true, 0, 10).position_at_ms, 9);
    }

    #[test]
    fn how_a_shard_stands() {
        let owned = ShardRow { owner: Some("w".into()), incarnation: Some("i".into()), ..row() };
        let offered = ShardRow { offered: true, ..owned.clone() };
        let halted = ShardRow { state: ShardState::Halted, ..owned.clone() };
        let frozen = ShardRow { state: ShardState::Frozen, ..row() };
        for (row, ready, expected) in [
            (&owned, true, Standing::Reading),
            (&offered, true, Standing::Offered),
            (&row(), true, Standing::Free),
            (&row(), false, Standing::Waiting),
            (&offered, false, Standing::Waiting),
            (&halted, false, Standing::Halted),
            (&frozen, true, Standing::Frozen),
        ] {
            assert_eq!(standing(row, ready), expected, "{row:?}");
        }
    }
}
