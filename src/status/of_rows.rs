//! From rows to a status: which shard waits for which, in which order they are shown, what they come to.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Counts, FinishedStatus, Heartbeat, PipelineEnds, PipelineStatus, RewindStatus, SCHEMA_VERSION,
    ShardStatus, Standing, Status, StreamStatus, WorkerStatus,
};
use crate::lease::row::{FinishedRow, SessionRow, ShardKey, ShardRow, StreamRow};
use crate::rewind::session_id;

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Rows {
    /// By worker id, each with what was seen of its heartbeat.
    pub sessions: Vec<(String, SessionRow, Heartbeat)>,
    pub unreadable_sessions: Vec<String>,
    /// By name, in the order in which they are shown.
    pub pipelines: Vec<(String, PipelineRows)>,
}

/// A pipeline's rows.
#[derive(Debug, Default)]
pub struct PipelineRows {
    pub stream: Option<StreamRow>,
    pub shards: BTreeMap<ShardKey, ShardRow>,
    pub finished: BTreeMap<ShardKey, FinishedRow>,
    pub unreadable: Vec<String>,
}

impl Status {
    pub fn of(lease_table: &str, rows: Rows, now_ms: u64) -> Status {
        let ids: BTreeSet<&String> = rows.sessions.iter().map(|(id, ..)| id).collect();
        let shown: BTreeSet<&String> = rows.pipelines.iter().map(|(name, _)| name).collect();
        let served = rows.sessions.iter().flat_map(|(_, row, _)| &row.pipelines);
        let others: BTreeSet<String> = served.filter(|name| !shown.contains(name)).cloned().collect();
        let pipelines = rows
            .pipelines
            .iter()
            .map(|(name, rows)| pipeline(name, rows, ids.contains(&session_id(name)), now_ms));
        Status {
            schema_version: SCHEMA_VERSION,
            read_at_ms: now_ms,
            lease_table: lease_table.to_owned(),
            pipelines: pipelines.collect(),
            other_pipelines: others.into_iter().collect(),
            workers: rows.sessions.iter().map(|(id, row, heartbeat)| worker(id, row, *heartbeat)).collect(),
            unreadable_workers: rows.unreadable_sessions,
        }
    }
}

fn worker(id: &str, row: &SessionRow, heartbeat: Heartbeat) -> WorkerStatus {
    WorkerStatus {
        id: id.to_owned(),
        heartbeat,
        host: row.host.clone(),
        version: row.version.clone(),
        started_at_ms: row.started_at_ms,
        draining: row.draining,
        leases: row.load,
        pipelines: row.pipelines.clone(),
    }
}

fn pipeline(name: &str, rows: &PipelineRows, rewinds: bool, now_ms: u64) -> PipelineStatus {
    let stream = rows.stream.as_ref();
    let shards = shards(rows, now_ms);
    let finished: Vec<FinishedStatus> = rows.finished.iter().map(|(key, row)| finished(key, row)).collect();
    let gaps = stream.map(|row| row.gaps.clone()).unwrap_or_default();
    PipelineStatus {
        name: name.to_owned(),
        ends: stream.map(|row| PipelineEnds {
            table_arn: row.table_arn.clone(),
            sink_arn: row.sink_arn.clone(),
            partition_key: row.partition_key.clone(),
        }),
        streams: stream.map(streams).unwrap_or_default(),
        discovery_owner: stream.and_then(|row| Some(row.discovery_owner.as_ref()?.id.clone())),
        rewind: stream
            .and_then(|row| row.rewind.clone())
            .map(|stored| RewindStatus { stored, is_under_way: rewinds }),
        counts: counts(&shards, &finished, gaps.len()),
        gaps,
        shards,
        finished,
        unreadable_rows: rows.unreadable.clone(),
    }
}

fn streams(row: &StreamRow) -> Vec<StreamStatus> {
    let status = |entry: &crate::lease::row::StreamEntry| StreamStatus {
        label: entry.label.clone(),
        drained: entry.drained,
    };
    row.streams.iter().map(status).collect()
}

fn finished(key: &ShardKey, row: &FinishedRow) -> FinishedStatus {
    FinishedStatus {
        stream: key.label.clone(),
        shard: key.shard.to_string(),
        parents: row.parents.iter().map(ToString::to_string).collect(),
        checkpoint: row.checkpoint.as_ref().map(ToString::to_string),
        finished_at_ms: row.finished_at_ms,
        gaps: row.gaps.clone(),
    }
}

/// The unfinished shards as a tree, written down from its roots. A shard that is finished by now (its row was read before
/// it was) is none of them.
fn shards(rows: &PipelineRows, now_ms: u64) -> Vec<ShardStatus> {
    let unfinished: BTreeMap<&ShardKey, &ShardRow> =
        rows.shards.iter().filter(|(key, _)| !rows.finished.contains_key(key)).collect();
    let parent_of = |key: &ShardKey, row: &ShardRow| {
        let mut parents = row.parents.iter().map(|parent| ShardKey::new(&key.label, parent));
        parents.find(|parent| unfinished.contains_key(parent))
    };
    let mut children: BTreeMap<Option<ShardKey>, Vec<&ShardKey>> = BTreeMap::new();
    for (key, row) in &unfinished {
        children.entry(parent_of(key, row)).or_default().push(key);
    }
    let mut shown = Vec::new();
    // Depth first: what is taken last comes next. A circle of rows edited by hand hangs on no root.
    let mut left: Vec<(&ShardKey, usize)> = roots(&children);
    let mut seen = BTreeSet::new();
    while let Some((key, depth)) = left.pop() {
        let Some(row) = unfinished.get(key).filter(|_| seen.insert(key)) else { continue };
        let is_open = rows.stream.as_ref().is_none_or(|stream| stream.is_open(&key.label));
        let is_ready = is_open && depth == 0 && parents_finished(rows, key, row);
        shown.push(ShardStatus::new(key, row, is_ready, depth, now_ms));
        let below = children.get(&Some(key.clone())).into_iter().flatten();
        left.extend(below.rev().map(|child| (*child, depth + 1)));
    }
    shown.extend(
        unfinished
            .iter()
            .filter(|(key, _)| !seen.contains(*key))
            .map(|(key, row)| ShardStatus::new(key, row, false, 0, now_ms)),
    );
    shown
}

fn roots<'a>(children: &BTreeMap<Option<ShardKey>, Vec<&'a ShardKey>>) -> Vec<(&'a ShardKey, usize)> {
    children.get(&None).into_iter().flatten().rev().map(|key| (*key, 0)).collect()
}

fn parents_finished(rows: &PipelineRows, key: &ShardKey, row: &ShardRow) -> bool {
    let is_finished = |parent| rows.finished.contains_key(&ShardKey::new(&key.label, parent));
    row.parents_finished || row.parents.iter().all(is_finished)
}

fn counts(shards: &[ShardStatus], finished: &[FinishedStatus], stream_gaps: usize) -> Counts {
    let of = |wanted: &[Standing]| shards.iter().filter(|shard| wanted.contains(&shard.standing)).count();
    let shard_gaps: usize = shards.iter().map(|shard| shard.gaps.len()).sum();
    let finished_gaps: usize = finished.iter().map(|shard| shard.gaps.len()).sum();
    Counts {
        reading: of(&[Standing::Reading]),
        waiting: of(&[Standing::Waiting]),
        free: of(&[Standing::Free, Standing::Offered]),
        halted: of(&[Standing::Halted]),
        frozen: of(&[Standing::Frozen]),
        finished: finished.len(),
        gaps: stream_gaps + shard_gaps + finished_gaps,
        lag_at_most_ms: shards.iter().map(|shard| shard.lag_at_most_ms).max(),
        trim_at_least_ms: shards.iter().map(|shard| shard.trim_at_least_ms).min(),
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::lease::row::StreamEntry;
    use crate::stream::source::ShardId;

    pub const OPENED_MS: u64 = 1_700_000_000_000;
    pub const LABEL: &str = "2023-11-14T00:00:00.000";

    /// A shard whose id ends in this.
    pub fn key(end: &str) -> ShardKey {
        ShardKey::new(LABEL, &ShardId::new(format!("shardId-{OPENED_MS:020}-{end}")))
    }

    pub fn row() -> ShardRow {
        ShardRow { epoch: 1, revision: 1, ..ShardRow::fresh(vec![], false, OPENED_MS) }
    }

    pub fn child_of(parent: &str) -> ShardRow {
        ShardRow { parents: vec![key(parent).shard], ..row() }
    }

    pub fn finished_row() -> FinishedRow {
        FinishedRow { checkpoint: None, finished_at_ms: OPENED_MS, parents: vec![], gaps: vec![], epoch: 1 }
    }

    pub fn stream_row() -> StreamRow {
        StreamRow {
            table_arn: "arn:aws:dynamodb:eu-west-1:111122223333:table/orders".into(),
            sink_arn: "arn:aws:kinesis:eu-west-1:111122223333:stream/orders-cdc".into(),
            partition_key: "partition_key".into(),
            streams: vec![StreamEntry { label: LABEL.into(), drained: false }],
            initialized: true,
            discovery_owner: None,
            discovery_epoch: 1,
            revision: 1,
            gaps: vec![],
            rewind: None,
        }
    }

    pub fn session() -> SessionRow {
        SessionRow {
            incarnation: "i".into(),
            counter: 4,
            host: "ip-10-0-0-1".into(),
            version: "0.1.0".into(),
            started_at_ms: OPENED_MS,
            load: 2,
            loads: BTreeMap::new(),
            pipelines: vec!["orders".into()],
            draining: false,
            discovers: 1,
            ownership_version: 0,
        }
    }

    pub fn orders(rows: PipelineRows) -> Rows {
        Rows { pipelines: vec![("orders".into(), rows)], ..Rows::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;
    use crate::lease::order::{Order, Rewind, Target};
    use crate::lease::row::{Gap, ShardState, StreamEntry};
    use crate::stream::source::ShardId;

    fn of(rows: PipelineRows) -> PipelineStatus {
        Status::of("leases", orders(rows), OPENED_MS).pipelines.remove(0)
    }

    fn tree(status: &PipelineStatus) -> Vec<(&str, usize, Standing)> {
        status
            .shards
            .iter()
            .map(|shard| (shard.shard.rsplit('-').next().unwrap_or_default(), shard.depth, shard.standing))
            .collect()
    }

    #[test]
    fn children_come_below_their_unfinished_parents_and_wait() {
        let shards = [
            (key("b"), row()),
            (key("a2"), child_of("b")),
            (key("a1"), child_of("b")),
            (key("c"), child_of("a1")),
            (key("z"), child_of("done")),
        ];
        let finished = [(key("done"), finished_row())];
        let rows =
            PipelineRows { shards: shards.into(), finished: finished.into(), ..PipelineRows::default() };
        use Standing::{Free, Waiting};
        let status = of(rows);
        assert_eq!(
            tree(&status),
            [("b", 0, Free), ("a1", 1, Waiting), ("c", 2, Waiting), ("a2", 1, Waiting), ("z", 0, Free)]
        );
        assert_eq!((status.counts.waiting, status.counts.free, status.counts.finished), (3, 2, 1));
    }

    #[test]
    fn a_shard_waits_for_a_parent_of_which_nothing_is_known() {
        let unknown = PipelineRows { shards: [(key("c"), child_of("p"))].into(), ..PipelineRows::default() };
        assert_eq!(tree(&of(unknown)), [("c", 0, Standing::Waiting)]);
        let told = ShardRow { parents_finished: true, ..child_of("p") };
        let told = PipelineRows { shards: [(key("c"), told)].into(), ..PipelineRows::default() };
        assert_eq!(tree(&of(told)), [("c", 0, Standing::Free)]);
    }

    #[test]
    fn a_later_stream_waits_for_the_one_before() {
        let later = ShardKey::new("2024", &ShardId::new("s"));
        let mut stream = stream_row();
        stream.streams.push(StreamEntry { label: "2024".into(), drained: false });
        let shards = [(later, row()), (key("a"), row())].into();
        let rows = PipelineRows { stream: Some(stream), shards, ..PipelineRows::default() };
        let status = of(rows);
        assert_eq!(
            status.shards.iter().map(|shard| shard.standing).collect::<Vec<_>>(),
            [Standing::Free, Standing::Waiting]
        );
    }

    #[test]
    fn rows_in_a_circle_are_shown_all_the_same() {
        let shards = [(key("a"), child_of("b")), (key("b"), child_of("a"))].into();
        let status = of(PipelineRows { shards, ..PipelineRows::default() });
        assert_eq!(status.shards.len(), 2);
    }

    #[test]
    fn a_shard_that_finished_between_two_reads_is_finished() {
        let shards = [(key("a"), row())].into();
        let finished = [(key("a"), finished_row())].into();
        let status = of(PipelineRows { shards, finished, ..PipelineRows::default() });
        assert!(status.shards.is_empty());
        assert_eq!(status.counts.finished, 1);
    }

    #[test]
    fn gaps_are_counted_wherever_they_stand() {
        let gap = Gap { reason: "r".into(), from: None, to: None, noticed_at_ms: 1 };
        let mut stream = stream_row();
        stream.gaps.push(gap.clone());
        let shards =
            [(key("a"), ShardRow { gaps: vec![gap.clone()], state: ShardState::Halted, ..row() })].into();
        let finished = [(key("f"), FinishedRow { gaps: vec![gap.clone(), gap], ..finished_row() })].into();
        let rows = PipelineRows { stream: Some(stream), shards, finished, ..PipelineRows::default() };
        let counts = of(rows).counts;
        assert_eq!((counts.gaps, counts.halted), (4, 1));
    }

    #[test]
    fn a_rewind_is_under_way_while_it_has_a_session() {
        let order = Order { shard: None, to: Some(Target::TrimHorizon), mark: None, adopt: false };
        let rewind = Rewind { order, ordered_at_ms: 1, until_ms: 2, is_reset: false };
        let with = |sessions: Vec<(String, SessionRow, Heartbeat)>| {
            let stream = StreamRow { rewind: Some(rewind.clone()), ..stream_row() };
            let rows = orders(PipelineRows { stream: Some(stream), ..PipelineRows::default() });
            Status::of("leases", Rows { sessions, ..rows }, 0).pipelines.remove(0).rewind
        };
        assert_eq!(with(vec![]).map(|rewind| rewind.is_under_way), Some(false));
        let session = ("rewind-orders".to_owned(), session(), Heartbeat::NotWatched);
        assert_eq!(with(vec![session]).map(|rewind| rewind.is_under_way), Some(true));
    }

    #[test]
    fn pipelines_that_are_served_and_not_shown_are_named() {
        let served = SessionRow { pipelines: vec!["orders".into(), "users".into()], ..session() };
        let sessions = vec![("w".to_owned(), served, Heartbeat::Moving)];
        let status = Status::of("leases", Rows { sessions, ..orders(PipelineRows::default()) }, 0);
        assert_eq!(status.other_pipelines, ["users"]);
    }
}
