use futures_util::FutureExt;
use futures_util::future::join;

use super::*;
use crate::lease::row::decode;
use crate::lease::row::{WORKERS, attribute, encode};
use crate::lease::table::RowKey;
use crate::lease::testing::{Fault, MemoryTable, StillMachine};

const TIMING: SessionTiming =
    SessionTiming { heartbeat_interval: Duration::from_secs(3), failover_time: Duration::from_secs(10) };

struct Stage {
    table: Arc<MemoryTable>,
    machine: Arc<StillMachine>,
    store: LeaseStore,
    identity: Identity,
}

impl Stage {
    fn new() -> Self {
        let (table, machine) = (Arc::new(MemoryTable::default()), Arc::new(StillMachine::new()));
        let store = LeaseStore::new(table.clone(), machine.clone());
        let identity = Identity { id: "w".into(), host: "here".into(), pipelines: vec!["orders".into()] };
        Stage { table, machine, store, identity }
    }

    /// Begins a session; it has ten minutes.
    async fn begin(&self, timing: SessionTiming) -> Result<Session, SessionError> {
        let (store, machine) = (self.store.clone(), self.machine.clone());
        let begin = Session::begin(store, machine, Metrics::new(), timing, &self.identity);
        timeout(&*self.machine, Duration::from_secs(600), begin).await.expect("it comes to an end")
    }

    /// A session that has begun and whose heartbeats go on.
    async fn kept(&self, timing: SessionTiming) -> Kept {
        let session = self.begin(timing).await.unwrap_or_else(|error| panic!("{error}"));
        let (figures, deadline) = (session.figures.clone(), session.deadline.clone());
        let task = self.machine.spawn(Box::pin(session.keep()));
        Kept { figures, deadline, task }
    }

    fn now_ms(&self) -> u64 {
        self.machine.now().as_millis()
    }

    async fn at_ms(&self, moment: u64) {
        self.machine.sleep(Duration::from_millis(moment - self.now_ms())).await;
    }

    fn row(&self) -> Option<SessionRow> {
        self.table.row(&key()).map(|item| decode(&item).expect("readable"))
    }

    /// Another worker's row under this id.
    fn others_row(&self, incarnation: &str, counter: u64) {
        let identity = Identity { host: "there".into(), ..self.identity.clone() };
        let row =
            SessionRow { incarnation: incarnation.into(), counter, ..new_row(&*self.machine, &identity) };
        let mut item = encode(&row);
        item.insert("pk".into(), attribute(&WORKERS));
        item.insert("sk".into(), attribute(&"w"));
        self.table.rows.lock().expect("not poisoned").insert(key(), item);
    }
}

struct Kept {
    figures: Arc<Figures>,
    deadline: watch::Receiver<MonoTime>,
    task: crate::machine::Task,
}

fn key() -> RowKey {
    RowKey { pk: WORKERS.into(), sk: "w".into() }
}

#[tokio::test(start_paused = true)]
async fn a_session_begins_at_once_where_none_is_and_its_time_counts_from_before_it_was_stored() {
    let stage = Stage::new();
    stage.table.fault(Fault::Delay(Duration::from_secs(1)));
    let session = stage.begin(TIMING).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(stage.now_ms(), 1_000);
    assert_eq!(session.deadline.borrow().as_millis(), 8_000);
    let row = stage.row().expect("stored");
    assert_eq!((row.incarnation.clone(), row.counter), (session.me.incarnation, 1));
    assert_eq!((row.host.as_str(), row.started_at_ms), ("here", StillMachine::WALL_MS));
    assert_eq!(row.pipelines, ["orders"]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_stands_still_is_seized_after_the_failover_time() {
    let stage = Stage::new();
    stage.others_row("other", 7);
    let session = stage.begin(TIMING).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(stage.now_ms(), 10_000);
    assert_eq!(stage.row().expect("stored").incarnation, session.me.incarnation);
}

/// It is looked at four times at least within the failover time.
#[tokio::test(start_paused = true)]
async fn a_short_failover_time_is_not_overslept() {
    let stage = Stage::new();
    stage.others_row("other", 7);
    let failover_time = Duration::from_millis(1_400);
    stage.begin(SessionTiming { failover_time, ..TIMING }).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(stage.now_ms(), 1_400);
}

/// Somebody's last heartbeat may still have been on its way.
#[tokio::test(start_paused = true)]
async fn a_row_that_moves_once_is_watched_anew() {
    let stage = Stage::new();
    stage.others_row("other", 7);
    let moves = async {
        stage.at_ms(4_250).await;
        stage.others_row("other", 8);
    };
    let (session, ()) = join(stage.begin(TIMING), moves).await;
    assert!(session.is_ok());
    assert_eq!(stage.now_ms(), 14_500);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_moves_twice_is_another_workers() {
    let stage = Stage::new();
    stage.others_row("other", 7);
    let moves = async {
        stage.at_ms(3_250).await;
        stage.others_row("other", 8);
        stage.at_ms(6_250).await;
        stage.others_row("other", 9);
    };
    let (session, ()) = join(stage.begin(TIMING), moves).await;
    let Err(SessionError::IdInUse { id, host }) = session else { panic!("it began") };
    assert_eq!((id.as_str(), host.as_str(), stage.now_ms()), ("w", "there", 6_500));
}

/// A worker that crashes and starts again and again is not one that moves.
#[tokio::test(start_paused = true)]
async fn another_incarnation_is_watched_from_its_own_beginning() {
    let stage = Stage::new();
    stage.others_row("other-1", 7);
    let restarts = async {
        for (moment, incarnation) in [(3_250, "other-2"), (6_250, "other-3")] {
            stage.at_ms(moment).await;
            stage.others_row(incarnation, 1);
        }
    };
    let (session, ()) = join(stage.begin(TIMING), restarts).await;
    assert!(session.is_ok());
    assert_eq!(stage.now_ms(), 16_500);
}

#[tokio::test(start_paused = true)]
async fn a_begin_whose_answer_is_lost_has_begun() {
    let stage = Stage::new();
    stage.table.fault(Fault::LoseAnswer);
    assert!(stage.begin(TIMING).await.is_ok());
    assert_eq!((stage.now_ms(), stage.row().expect("stored").counter), (100, 2));
}

#[tokio::test(start_paused = true)]
async fn passing_trouble_is_retried_after_growing_delays() {
    let stage = Stage::new();
    for _ in 0..3 {
        stage.table.fault(Fault::Fail(ErrorKind::Throttled));
    }
    assert!(stage.begin(TIMING).await.is_ok());
    assert_eq!(stage.now_ms(), 100 + 200 + 400);
}

impl Stage {
    async fn try_begin(&self) -> Result<Step, ApiError> {
        let row = SessionRow { counter: 1, ..new_row(&*self.machine, &self.identity) };
        Session::try_begin(&self.store, &*self.machine, TIMING, &self.identity, &row, &[], &mut None).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_comes_in_between_is_watched() {
    let stage = Stage::new();
    let others = {
        let stage = Stage::new();
        stage.others_row("other", 1);
        stage.table.row(&key()).expect("just made")
    };
    stage.table.fault(Fault::Before(Box::new(move |rows| drop(rows.insert(key(), others)))));
    assert!(matches!(stage.try_begin().await, Ok(Step::Watch)));
    assert_eq!(stage.row().expect("the other's").incarnation, "other");
}

/// Listings leave such a row out; it must not be waited for in silence.
#[tokio::test(start_paused = true)]
async fn a_row_in_the_way_that_does_not_read_is_told() {
    let stage = Stage::new();
    stage.others_row("other", 1);
    stage.table.rows.lock().expect("not poisoned").get_mut(&key()).expect("there").remove("host");
    let Err(error) = stage.try_begin().await else { panic!("it began") };
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Invalid, "BadRow"));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_their_time_and_move_the_deadline_from_before_each() {
    let stage = Stage::new();
    let kept = stage.kept(TIMING).await;
    *kept.figures.loads.lock().expect("not poisoned") =
        BTreeMap::from([("p".to_owned(), 2), ("q".to_owned(), 1)]);
    kept.figures.draining.store(true, Ordering::Release);
    stage.table.fault(Fault::Delay(Duration::from_millis(500)));
    stage.at_ms(2_999).await;
    assert_eq!((stage.table.writes(), kept.deadline.borrow().as_millis()), (1, 8_000));
    stage.at_ms(3_501).await;
    assert_eq!((stage.table.writes(), kept.deadline.borrow().as_millis()), (2, 11_000));
    let row = stage.row().expect("kept");
    assert_eq!((row.counter, row.load, row.draining, row.ownership_version), (2, 3, true, 0));
    stage.at_ms(6_499).await;
    assert_eq!(stage.table.writes(), 2);
    stage.at_ms(6_501).await;
    assert_eq!((stage.table.writes(), kept.deadline.borrow().as_millis()), (3, 14_500));
    assert!(!kept.task.is_finished());
}

/// The others look at the leases again when the version has grown.
#[tokio::test(start_paused = true)]
async fn a_change_of_ownership_is_told_early_and_many_at_once() {
    let stage = Stage::new();
    let kept = stage.kept(TIMING).await;
    for moment in [10, 20, 30] {
        stage.at_ms(moment).await;
        kept.figures.ownership_changed();
    }
    stage.at_ms(299).await;
    assert_eq!(stage.table.writes(), 1);
    stage.at_ms(301).await;
    assert_eq!((stage.table.writes(), stage.row().expect("kept").ownership_version), (2, 3));
    stage.at_ms(3_299).await;
    assert_eq!(stage.table.writes(), 2, "told once");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_load_is_told_early_and_the_same_load_is_not() {
    let stage = Stage::new();
    let kept = stage.kept(TIMING).await;
    let owns = || kept.figures.owns(BTreeMap::from([("p".to_owned(), 1)]));
    stage.at_ms(10).await;
    owns();
    stage.at_ms(301).await;
    assert_eq!((stage.table.writes(), stage.row().expect("kept").load), (2, 1));
    stage.at_ms(700).await;
    owns();
    stage.at_ms(3_299).await;
    assert_eq!(stage.table.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_that_fail_are_sent_again_sooner_and_move_no_deadline() {
    let stage = Stage::new();
    let kept = stage.kept(TIMING).await;
    for _ in 0..9 {
        stage.table.fault(Fault::Fail(ErrorKind::Throttled));
    }
    // After 25, 50, 100, 200, 400 ms (the jitter is at its least: half), then half of half an interval each time. Tokio
    // counts whole milliseconds and rounds up.
    let (last, rounding) = (3_000 + 775 + 4 * 750, 20);
    stage.at_ms(last - 1).await;
    assert_eq!((stage.table.writes(), kept.deadline.borrow().as_millis()), (1 + 9, 8_000));
    stage.at_ms(last + rounding).await;
    assert_eq!(stage.table.writes(), 1 + 10);
    let deadline = kept.deadline.borrow().as_millis();
    assert!((last + 8_000..last + 8_000 + rounding).contains(&deadline), "{deadline}");
    assert!(!kept.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_row_was_deleted_or_seized_is_over() {
    for seized in [false, true] {
        let stage = Stage::new();
        let kept = stage.kept(TIMING).await;
        stage.at_ms(1_000).await;
        if seized {
            stage.others_row("other", 1);
        } else {
            stage.table.rows.lock().expect("not poisoned").clear();
        }
        stage.at_ms(3_001).await;
        assert_eq!(kept.task.join().now_or_never(), Some(true), "seized: {seized}");
        assert_eq!(kept.deadline.borrow().as_millis(), 8_000);
    }
}
