use std::collections::BTreeMap;

use super::*;
use crate::error::ErrorKind;
use crate::lease::rewind::Step;
use crate::lease::row::SessionRow;
use crate::lease::row::{Gap, ShardState};
use crate::lease::testing::{Fault, MemoryTable, StillMachine, fresh_row, shard_key, stream_row};
use crate::stream::SequenceNumber;
use crate::stream::source::ShardId;

const PIPELINE: &str = "orders";
const LIMIT: Duration = Duration::from_secs(1);
const REFUSED: Result<(), ErrorKind> = Err(ErrorKind::ConditionFailed);

struct Stage {
    table: Arc<MemoryTable>,
    machine: Arc<StillMachine>,
    store: LeaseStore,
}

impl Stage {
    fn new() -> Self {
        let (table, machine) = (Arc::new(MemoryTable::default()), Arc::new(StillMachine::new()));
        let store = LeaseStore::new(table.clone(), machine.clone());
        Stage { table, machine, store }
    }

    /// A pipeline whose discovery is in epoch 1.
    async fn with_stream() -> Self {
        let stage = Self::new();
        stage.store.create_stream_row(PIPELINE, &stream_row()).await.expect("the first");
        stage
    }

    /// That, and these shards, which nobody holds.
    async fn with_shards(shards: &[&str]) -> Self {
        let stage = Self::with_stream().await;
        for shard in shards {
            stage.store.create_shard(PIPELINE, &shard_key(shard), &fresh_row(), 1).await.expect("new");
        }
        stage
    }

    async fn shard(&self, shard: &str) -> Option<ShardRow> {
        let row = self.store.shard(PIPELINE, &shard_key(shard)).await.expect("the table answers");
        row.map(|row| row.expect("readable"))
    }

    async fn take(&self, shard: &str, seen: &ShardRow, owner: &Owner) -> Result<ShardRow, ErrorKind> {
        self.store.take(PIPELINE, &shard_key(shard), seen, owner).await.map_err(|error| error.kind)
    }

    async fn save(&self, shard: &str, row: &ShardRow) -> Result<(), ErrorKind> {
        kind(self.store.save(PIPELINE, &shard_key(shard), row, LIMIT).await)
    }

    async fn finish(
        &self,
        shard: &str,
        row: &ShardRow,
        children: &[(ShardKey, ShardRow)],
    ) -> Result<(), ErrorKind> {
        kind(self.store.finish(PIPELINE, &shard_key(shard), row, &finished(), children, LIMIT).await)
    }

    async fn is_finished(&self, shard: &str) -> bool {
        self.store.is_finished(PIPELINE, &shard_key(shard)).await.expect("the table answers")
    }
}

fn kind(result: Result<(), ApiError>) -> Result<(), ErrorKind> {
    result.map_err(|error| error.kind)
}

fn owner(id: &str) -> Owner {
    Owner { id: id.into(), incarnation: format!("{id}-1") }
}

fn session(incarnation: &str, counter: u64) -> SessionRow {
    SessionRow {
        incarnation: incarnation.into(),
        counter,
        host: "here".into(),
        version: "1".into(),
        started_at_ms: 5,
        load: 0,
        loads: BTreeMap::new(),
        pipelines: vec![PIPELINE.into()],
        draining: false,
        discovers: 0,
        ownership_version: 0,
    }
}

fn finished() -> FinishedRow {
    FinishedRow {
        checkpoint: number(9),
        finished_at_ms: 7,
        parents: vec![ShardId::new("p")],
        gaps: vec![],
        epoch: 1,
    }
}

fn number(n: u64) -> Option<SequenceNumber> {
    SequenceNumber::parse(&n.to_string()).ok()
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_at_its_limit() {
    let stage = Stage::with_shards(&["s"]).await;
    stage.table.fault(Fault::Hang);
    let began = stage.machine.now();
    let error =
        stage.store.save(PIPELINE, &shard_key("s"), &fresh_row(), LIMIT).await.expect_err("no answer");
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Transient, "Timeout"));
    assert_eq!(stage.machine.now().since(began), LIMIT);
}

#[tokio::test]
async fn a_worker_id_has_one_session() {
    let Stage { store, .. } = Stage::new();
    assert_eq!(kind(store.begin_session("w", &session("a", 1), None).await), Ok(()));
    assert_eq!(kind(store.begin_session("w", &session("b", 1), None).await), REFUSED);
    // Seen to stand still at 1; its heartbeat comes after all.
    assert_eq!(kind(store.heartbeat("w", &session("a", 2), LIMIT).await), Ok(()));
    assert_eq!(kind(store.begin_session("w", &session("b", 1), Some(&session("a", 1))).await), REFUSED);
    assert_eq!(kind(store.begin_session("w", &session("b", 1), Some(&session("a", 2))).await), Ok(()));
    assert_eq!(kind(store.heartbeat("w", &session("a", 3), LIMIT).await), REFUSED);
    assert_eq!(store.session("w").await, Ok(Some(Ok(session("b", 1)))));
    assert_eq!(store.session("v").await, Ok(None));
}

#[tokio::test]
async fn a_heartbeat_tells_its_figures_and_a_late_one_undoes_none() {
    let Stage { store, .. } = Stage::new();
    store.begin_session("w", &session("a", 1), None).await.expect("the first");
    let loads = BTreeMap::from([(PIPELINE.to_owned(), 3)]);
    let beat = SessionRow { load: 3, loads, draining: true, ownership_version: 4, ..session("a", 5) };
    assert_eq!(kind(store.heartbeat("w", &beat, LIMIT).await), Ok(()));
    assert_eq!(kind(store.heartbeat("w", &session("a", 5), LIMIT).await), REFUSED);
    assert_eq!(store.session("w").await, Ok(Some(Ok(beat))));
}

#[tokio::test]
async fn a_session_ends_by_its_worker_or_by_standing_still() {
    let Stage { store, .. } = Stage::new();
    store.begin_session("w", &session("w-1", 1), None).await.expect("the first");
    assert_eq!(kind(store.end_session(&Owner { id: "w".into(), incarnation: "w-0".into() }).await), REFUSED);
    assert_eq!(kind(store.end_session(&owner("w")).await), Ok(()));
    assert_eq!(store.session("w").await, Ok(None));
    store.begin_session("w", &session("w-2", 2), None).await.expect("free again");
    assert_eq!(kind(store.declare_dead("w", &session("w-2", 1)).await), REFUSED);
    assert_eq!(kind(store.declare_dead("w", &session("w-2", 2)).await), Ok(()));
    assert_eq!(kind(store.heartbeat("w", &session("w-2", 3), LIMIT).await), REFUSED);
}

#[tokio::test]
async fn sessions_that_do_not_read_are_listed_apart() {
    let Stage { table, store, .. } = Stage::new();
    for id in ["a", "b", "c"] {
        store.begin_session(id, &session(id, 1), None).await.expect("new");
    }
    table
        .rows
        .lock()
        .expect("not poisoned")
        .get_mut(&sessions::session_key("b"))
        .expect("there")
        .remove("counter");
    let Sessions { rows, unreadable } = store.sessions().await.expect("the table answers");
    assert_eq!(rows, [("a".to_owned(), session("a", 1)), ("c".to_owned(), session("c", 1))]);
    assert_eq!(unreadable, ["b"]);
}

#[tokio::test]
async fn the_stream_row_is_changed_only_as_it_was_seen() {
    let Stage { store, .. } = Stage::with_stream().await;
    assert_eq!(kind(store.create_stream_row(PIPELINE, &stream_row()).await), REFUSED);
    let next =
        StreamRow { discovery_owner: Some(owner("w")), discovery_epoch: 2, revision: 2, ..stream_row() };
    assert_eq!(kind(store.update_stream_row(PIPELINE, &stream_row(), &next, LIMIT).await), Ok(()));
    for stale in
        [stream_row(), StreamRow { revision: 2, ..stream_row() }, StreamRow { revision: 1, ..next.clone() }]
    {
        assert_eq!(kind(store.update_stream_row(PIPELINE, &stale, &stream_row(), LIMIT).await), REFUSED);
    }
    assert_eq!(store.stream_row(PIPELINE).await, Ok(Some(Ok(next))));
    assert_eq!(store.stream_row("another").await, Ok(None));
}

/// A finished shard's row must not come back: it would be read again.
#[tokio::test]
async fn a_shard_is_entered_once_and_by_the_owner_of_discovery() {
    let Stage { store, .. } = Stage::with_stream().await;
    let create = async |shard: &str, epoch| {
        kind(store.create_shard(PIPELINE, &shard_key(shard), &fresh_row(), epoch).await)
    };
    let skip = async |shard: &str, epoch| {
        kind(store.create_finished(PIPELINE, &shard_key(shard), &finished(), epoch).await)
    };
    assert_eq!((create("a", 0).await, skip("b", 0).await), (REFUSED, REFUSED));
    assert_eq!((create("a", 1).await, skip("b", 1).await), (Ok(()), Ok(())));
    for shard in ["a", "b"] {
        assert_eq!((create(shard, 1).await, skip(shard, 1).await), (REFUSED, REFUSED));
    }
    let all = store.finished_shards(PIPELINE).await;
    assert_eq!(all, Ok(vec![(shard_key("b"), finished())]));
    assert_eq!(kind(store.forget_finished(PIPELINE, &shard_key("b")).await), Ok(()));
    assert_eq!(store.is_finished(PIPELINE, &shard_key("b")).await, Ok(false));
}

#[tokio::test]
async fn shards_are_listed_whole_whatever_the_pages_and_those_that_do_not_read_too() {
    let Stage { table, store, .. } = Stage::with_shards(&["a", "b", "c"]).await;
    let bad = shard_key("b").row_key(PIPELINE);
    table.rows.lock().expect("not poisoned").get_mut(&bad).expect("there").remove("epoch");
    let all = store.shards(PIPELINE).await.expect("the table answers");
    let read: Vec<_> = all.iter().map(|(key, row)| (key.shard.as_str(), row.is_ok())).collect();
    assert_eq!(read, [("a", true), ("b", false), ("c", true)]);
    assert_eq!(store.shards("another").await, Ok(vec![]));
}

#[tokio::test]
async fn a_lease_is_taken_as_it_was_seen_or_not_at_all() {
    let stage = Stage::with_shards(&["s"]).await;
    let free = stage.shard("s").await.expect("entered");
    let mine = stage.take("s", &free, &owner("me")).await.expect("free");
    assert_eq!((mine.owner(), mine.epoch, mine.revision), (Some(owner("me")), 1, 1));
    assert!(mine.parents_finished);
    assert_eq!(stage.take("s", &free, &owner("other")).await, Err(ErrorKind::ConditionFailed));
    // The victim's last write came after it was seen.
    let moved = ShardRow { revision: 2, checkpoint: number(5), ..mine.clone() };
    assert_eq!(stage.save("s", &moved).await, Ok(()));
    assert_eq!(stage.take("s", &mine, &owner("other")).await, Err(ErrorKind::ConditionFailed));
    let theirs = stage.take("s", &moved, &owner("other")).await.expect("as seen");
    assert_eq!((theirs.checkpoint, theirs.epoch), (number(5), 2));
    assert_eq!(stage.take("t", &free, &owner("me")).await, Err(ErrorKind::ConditionFailed), "no such shard");
}

#[tokio::test]
async fn taking_a_halted_shard_sets_it_going() {
    let stage = Stage::with_shards(&["s"]).await;
    let mine = stage.take("s", &fresh_row(), &owner("me")).await.expect("free");
    let halted =
        ShardRow { revision: 2, state: ShardState::Halted, halted_because: Some("why".into()), ..mine };
    assert_eq!(stage.save("s", &halted).await, Ok(()));
    assert_eq!(stage.shard("s").await, Some(halted.clone()));
    let again = stage.take("s", &halted, &owner("me")).await.expect("as seen");
    assert_eq!((again.state, again.halted_because), (ShardState::Active, None));
}

#[tokio::test]
async fn progress_is_stored_whole_and_what_is_over_goes() {
    let stage = Stage::with_shards(&["s"]).await;
    let mine = stage.take("s", &fresh_row(), &owner("me")).await.expect("free");
    let gap = Gap { reason: "r".into(), from: None, to: None, noticed_at_ms: 3 };
    let row = ShardRow {
        revision: 5,
        checkpoint: number(7),
        last_change_at_ms: Some(6),
        latest_first: number(4),
        gaps: vec![gap],
        ..mine.clone()
    };
    assert_eq!(stage.save("s", &row).await, Ok(()));
    assert_eq!(stage.shard("s").await, Some(row.clone()));
    let without_gaps = ShardRow { revision: 6, gaps: vec![], ..row };
    assert_eq!(stage.save("s", &without_gaps).await, Ok(()));
    let stored = stage.table.row(&shard_key("s").row_key(PIPELINE)).expect("there");
    assert!(!stored.contains_key("gaps"), "{stored:?}");
    let released = ShardRow { revision: 7, ..without_gaps.clone() };
    let release = stage.store.release(PIPELINE, &shard_key("s"), &released, None, LIMIT).await;
    assert_eq!(kind(release), Ok(()));
    let free = ShardRow { owner: None, incarnation: None, ..released };
    assert_eq!(stage.shard("s").await, Some(free));
}

/// P4: whoever lost the lease, or comes late, changes nothing.
#[tokio::test]
async fn writes_of_another_owner_another_epoch_or_an_earlier_revision_are_refused() {
    let stage = Stage::with_shards(&["s"]).await;
    let mine = stage.take("s", &fresh_row(), &owner("me")).await.expect("free");
    let next = ShardRow { revision: 5, ..mine };
    assert_eq!(stage.save("s", &next).await, Ok(()));
    for stale in [
        ShardRow { owner: Some("other".into()), revision: 6, ..next.clone() },
        ShardRow { incarnation: Some("me-0".into()), revision: 6, ..next.clone() },
        ShardRow { epoch: 0, revision: 6, ..next.clone() },
        ShardRow { revision: 5, ..next.clone() },
    ] {
        assert_eq!(stage.save("s", &stale).await, REFUSED);
        assert_eq!(kind(stage.store.release(PIPELINE, &shard_key("s"), &stale, None, LIMIT).await), REFUSED);
        assert_eq!(stage.finish("s", &stale, &[]).await, REFUSED);
    }
    assert_eq!((stage.shard("s").await, stage.is_finished("s").await), (Some(next), false));
}

/// P3: the children's rows and their parent's end are stored together or not at all.
#[tokio::test]
async fn a_finish_makes_the_children_in_one_step() {
    let stage = Stage::with_shards(&["s", "old"]).await;
    let mine = stage.take("s", &fresh_row(), &owner("me")).await.expect("free");
    let last = ShardRow { revision: 2, ..mine };
    let child = ShardRow { parents: vec![ShardId::new("s")], parents_finished: true, ..fresh_row() };
    let known = [(shard_key("new"), child.clone()), (shard_key("old"), child.clone())];
    assert_eq!(stage.finish("s", &last, &known).await, REFUSED);
    assert_eq!((stage.shard("new").await, stage.is_finished("s").await), (None, false));
    assert_eq!(stage.finish("s", &last, &known[..1]).await, Ok(()));
    assert_eq!((stage.shard("s").await, stage.shard("new").await), (None, Some(child.clone())));
    assert!(stage.is_finished("s").await);
    // A child that is finished already stays so.
    let new = stage.take("new", &child, &owner("me")).await.expect("free");
    let end = ShardRow { revision: 2, ..new };
    let finished_child = [(shard_key("s"), child)];
    assert_eq!(stage.finish("new", &end, &finished_child).await, REFUSED);
    assert_eq!(stage.finish("new", &end, &[]).await, Ok(()));
}

/// Each step holds only for the rows that were seen, and all of them only while the stream row is the rewind's.
#[tokio::test(start_paused = true)]
async fn a_rewinds_steps_are_fenced_by_the_stream_row_and_the_rows_seen() {
    let stage = Stage::with_shards(&["s", "t"]).await;
    let rewind = async |steps: &[Step], revision| kind(stage.store.rewind(PIPELINE, steps, revision).await);
    let replace = |shard: &str, seen: &ShardRow| Step::Replace {
        key: shard_key(shard),
        seen: Box::new(seen.clone()),
        next: Box::new(ShardRow { state: ShardState::Frozen, revision: seen.revision + 1, ..seen.clone() }),
    };
    let seen = fresh_row();
    let moved = ShardRow { revision: 1, ..fresh_row() };
    let other_epoch = ShardRow { epoch: 1, ..fresh_row() };
    assert_eq!(rewind(&[replace("s", &seen)], 2).await, REFUSED, "the stream row has moved");
    assert_eq!(rewind(&[replace("s", &seen), replace("t", &moved)], 1).await, REFUSED, "all or none");
    assert_eq!(rewind(&[replace("s", &other_epoch)], 1).await, REFUSED);
    assert_eq!(stage.shard("s").await, Some(seen.clone()));
    assert_eq!(rewind(&[replace("s", &seen), replace("t", &seen)], 1).await, Ok(()));
    assert_eq!(stage.shard("s").await.map(|row| row.state), Some(ShardState::Frozen));

    let revive = |shard| [Step::Revive { key: shard_key(shard), next: Box::new(fresh_row()) }];
    assert_eq!(rewind(&revive("f"), 1).await, REFUSED, "it is not finished");
    stage.store.create_finished(PIPELINE, &shard_key("f"), &finished(), 1).await.expect("new");
    assert_eq!(rewind(&revive("f"), 1).await, Ok(()));
    assert_eq!((stage.shard("f").await, stage.is_finished("f").await), (Some(fresh_row()), false));
    let remove = |seen: &ShardRow| [Step::Remove { key: shard_key("f"), seen: Box::new(seen.clone()) }];
    assert_eq!(rewind(&remove(&moved), 1).await, REFUSED);
    assert_eq!(rewind(&remove(&seen), 1).await, Ok(()));
    assert_eq!(stage.shard("f").await, None);
    stage.store.create_finished(PIPELINE, &shard_key("f"), &finished(), 1).await.expect("new");
    assert_eq!(rewind(&[Step::RemoveFinished { key: shard_key("f") }], 1).await, Ok(()));
    assert!(!stage.is_finished("f").await);
}
