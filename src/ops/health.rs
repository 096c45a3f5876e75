//! Health: whether the worker's loops move, and whether it can do its work. Tasks report facts here; the HTTP listener
//! answers from them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::board::{Board, Seat, Shard, Worst};
use super::pulse::Pulse;
use super::vitals::{Doing, Now, Vitals, until_trim};
use crate::machine::{Machine, MonoTime};

/// The coordinator goes round at least this often, whatever its calls come back with.
const MOVES_WITHIN: Duration = Duration::from_secs(60);
/// The coordinator starts a reading anew that stands still for half of this: one that cannot even be ended is left.
const STILL_FOR: Duration = Duration::from_secs(120);
/// One and the same change is not acknowledged for so long.
const BLOCKED_AFTER: Duration = Duration::from_secs(300);
/// A shard is not read for so long although it should be.
const STALLED_AFTER: Duration = Duration::from_secs(300);
/// Until the stream drops changes.
const TRIM_WITHIN: Duration = Duration::from_secs(2 * 3_600);

/// What the worker's tasks report of themselves.
pub struct Health {
    machine: Arc<dyn Machine>,
    moved_ms: AtomicU64,
    deadline: Mutex<Option<watch::Receiver<MonoTime>>>,
    /// What keeps a part of the work from going on, by what it concerns.
    troubles: Mutex<BTreeMap<String, String>>,
    board: Arc<Board>,
    /// True from the first session on, once all that works in it was started.
    begun: watch::Sender<bool>,
}

impl Health {
    pub fn new(machine: Arc<dyn Machine>) -> Self {
        let moved_ms = AtomicU64::new(machine.now().as_millis());
        let begun = watch::Sender::new(false);
        let (deadline, troubles, board) = Default::default();
        Health { machine, moved_ms, deadline, troubles, board, begun }
    }

    /// The worker's main loop went round.
    pub fn moved(&self) {
        self.moved_ms.store(self.machine.now().as_millis(), Ordering::Release);
    }

    /// A session began; it may act until this deadline.
    pub fn session(&self, deadline: watch::Receiver<MonoTime>) {
        *lock(&self.deadline) = Some(deadline);
    }

    /// The work has begun.
    pub fn has_begun(&self) {
        self.begun.send_replace(true);
    }

    /// Whether [`Health::has_begun`].
    pub fn begun(&self) -> watch::Receiver<bool> {
        self.begun.subscribe()
    }

    /// A shard is held, until the answer is dropped.
    pub fn holds(&self, pipeline: &Arc<str>, shard: String, vitals: Arc<Vitals>) -> Seat {
        self.board.shard(Arc::clone(pipeline), shard, vitals)
    }

    /// A task must not end or be stuck, until the answer is dropped.
    pub fn needs(&self, task: String, pulse: Arc<Pulse>) -> Seat {
        self.board.task(task, pulse)
    }

    /// The worst of each pipeline's shards held here.
    pub fn worst(&self) -> BTreeMap<Arc<str>, Worst> {
        self.board.worst(Now::of(&*self.machine))
    }

    /// How many shards are held.
    pub fn held(&self) -> usize {
        self.board.shards().len()
    }

    /// Something needs an operator, until the answer is dropped.
    #[must_use = "the trouble is over when this is dropped"]
    pub fn trouble(self: &Arc<Self>, concerns: impl Into<String>, what: impl Into<String>) -> Trouble {
        let concerns = concerns.into();
        lock(&self.troubles).insert(concerns.clone(), what.into());
        Trouble { health: Arc::clone(self), concerns }
    }

    /// `Err` says what does not move, a line each.
    pub fn live(&self) -> Result<(), String> {
        let now = self.machine.now();
        let mut why = Vec::new();
        let still_ms = now.as_millis().saturating_sub(self.moved_ms.load(Ordering::Acquire));
        if Duration::from_millis(still_ms) > MOVES_WITHIN {
            why.push(format!("the worker's main loop has not moved for {} s", still_ms / 1_000));
        }
        for (task, pulse) in self.board.tasks() {
            why.extend(pulse.check(now).err().map(|what| format!("{task} {what}")));
        }
        for Shard { pipeline, shard, vitals } in self.board.shards() {
            let still = vitals.still_for(now);
            if still > STILL_FOR {
                let seconds = still.as_secs();
                why.push(format!(
                    "pipeline {pipeline}, shard {shard}: reading has not moved for {seconds} s and could not be started anew"
                ));
            }
        }
        said(why)
    }

    /// `Err` says why work does not go on, a line each.
    pub fn ready(&self) -> Result<(), String> {
        let now = Now::of(&*self.machine);
        let mut why = Vec::new();
        let may_act = lock(&self.deadline).as_ref().is_some_and(|deadline| *deadline.borrow() > now.mono);
        if !may_act {
            why.push(
                "no session: the lease table cannot be reached, or no heartbeat succeeded in time".to_owned(),
            );
        }
        why.extend(lock(&self.troubles).iter().map(|(concerns, what)| format!("{concerns}: {what}")));
        for Shard { pipeline, shard, vitals } in self.board.shards() {
            let lines = ailments(&vitals, now);
            why.extend(lines.into_iter().map(|what| format!("pipeline {pipeline}, shard {shard}: {what}")));
        }
        said(why)
    }
}

/// What is wrong with a held shard, and what to do.
fn ailments(vitals: &Vitals, now: Now) -> Vec<String> {
    let facts = vitals.facts();
    let mut lines = Vec::new();
    let blocked = facts.blocked_for(now.mono);
    if blocked > BLOCKED_AFTER {
        lines.push(format!(
            "blocked: Kinesis has not acknowledged its oldest change for {} s; the log names the error, and \
             put_retries_total its reason (if it is throttling: split the Kinesis shard)",
            blocked.as_secs()
        ));
    }
    match facts.unread_for(now.mono) {
        Some((unread, Doing::WaitingForMemory)) if unread > STALLED_AFTER => lines.push(format!(
            "stalled: not read for {} s for want of memory, since what was read is not delivered; see what holds \
             Kinesis up, then raise [worker] memory_limit",
            unread.as_secs()
        )),
        Some((unread, Doing::WaitingForDelivery)) if unread > STALLED_AFTER => lines.push(format!(
            "stalled: not read for {} s, since enough that was read waits to be sent; see what holds Kinesis up: the log \
             names the error, and put_retries_total its reason",
            unread.as_secs()
        )),
        Some((unread, _)) if unread > STALLED_AFTER => lines.push(format!(
            "stalled: not read for {} s; the log names the call that fails, and api_errors_total its code",
            unread.as_secs()
        )),
        _ => {}
    }
    match facts.lag(now).map(until_trim) {
        Some(left) if left < TRIM_WITHIN => lines.push(format!(
            "late: in {} min the stream may drop changes that were not delivered; end what holds it up, or let it \
             catch up if it was just started",
            left.as_secs() / 60
        )),
        _ => {}
    }
    lines
}

fn said(why: Vec<String>) -> Result<(), String> {
    // A cause may hold line breaks, and each reason is one line.
    let line = |what: String| what.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
    if why.is_empty() { Ok(()) } else { Err(why.into_iter().map(line).collect()) }
}

/// Something that needs an operator; over when dropped, however its task ends.
pub struct Trouble {
    health: Arc<Health>,
    concerns: String,
}

impl Drop for Trouble {
    fn drop(&mut self) {
        lock(&self.health.troubles).remove(&self.concerns);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crate::ops::vitals::AT_REST;

    use super::*;
    use crate::machine::RealMachine;

    #[tokio::test(start_paused = true)]
    async fn ready_with_a_session_and_no_trouble() {
        let machine = Arc::new(RealMachine::new());
        let health = Arc::new(Health::new(machine.clone()));
        assert!(health.ready().is_err());
        let (deadline, receiver) = watch::channel(machine.now() + Duration::from_secs(8));
        health.session(receiver);
        assert_eq!(health.ready(), Ok(()));
        let trouble = health.trouble("orders, shard 1", "halted");
        assert_eq!(health.ready(), Err("orders, shard 1: halted\n".to_owned()));
        drop(trouble);
        assert_eq!(health.ready(), Ok(()));
        machine.sleep(Duration::from_secs(8)).await;
        assert!(health.ready().is_err());
        deadline.send_replace(machine.now() + Duration::from_secs(8));
        assert_eq!(health.ready(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn alive_while_the_loop_goes_round() {
        let machine = Arc::new(RealMachine::new());
        let health = Health::new(machine.clone());
        machine.sleep(Duration::from_secs(61)).await;
        assert!(health.live().is_err());
        health.moved();
        assert_eq!(health.live(), Ok(()));
    }

    /// A shard held since now whose changes are all carried.
    fn hold(health: &Health, machine: &RealMachine) -> (Arc<AtomicU64>, Arc<Vitals>, Seat) {
        let touched = Arc::new(AtomicU64::new(AT_REST));
        let vitals = Vitals::new(Arc::clone(&touched), machine.now(), machine.wall_ms());
        let seat = health.holds(&"orders".into(), "l/shard-1".to_owned(), Arc::clone(&vitals));
        (touched, vitals, seat)
    }

    /// Ready but for the shards.
    fn with_session() -> (Arc<RealMachine>, Health) {
        let machine = Arc::new(RealMachine::new());
        let health = Health::new(machine.clone());
        let (deadline, receiver) = watch::channel(machine.now() + Duration::from_secs(1_000_000));
        health.session(receiver);
        // The receiver's last value stays.
        drop(deadline);
        (machine, health)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_shard_is_not_ready_until_it_is_read() {
        let (machine, health) = with_session();
        let (_, vitals, seat) = hold(&health, &machine);
        machine.sleep(Duration::from_secs(300)).await;
        assert_eq!(health.ready(), Ok(()));
        machine.sleep(Duration::from_secs(1)).await;
        let why = health.ready().unwrap_err();
        assert!(
            why.starts_with("pipeline orders, shard l/shard-1: stalled: not read for 301 s; the log"),
            "{why}"
        );
        vitals.facts().doing(Doing::WaitingForMemory);
        assert!(health.ready().unwrap_err().contains("for want of memory"));
        vitals.facts().page(machine.now(), machine.now(), false, None);
        assert_eq!(health.ready(), Ok(()));
        machine.sleep(Duration::from_secs(301)).await;
        vitals.facts().doing(Doing::NotReading);
        assert_eq!(health.ready(), Ok(()), "it is at its end, or halted, which is said by itself");
        vitals.facts().doing(Doing::Reading);
        assert!(health.ready().is_err());
        drop(seat);
        assert_eq!(health.ready(), Ok(()), "it is not held any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_change_is_not_ready_until_it_is_acknowledged() {
        let (machine, health) = with_session();
        let (_, vitals, _seat) = hold(&health, &machine);
        vitals.facts().submitted(machine.now(), 2);
        machine.sleep(Duration::from_secs(301)).await;
        vitals.facts().page(machine.now(), machine.now(), false, None);
        let why = health.ready().unwrap_err();
        assert!(why.contains("blocked") && why.contains("301 s") && why.lines().count() == 1, "{why}");
        vitals.facts().acknowledged(machine.now(), 1, Some(machine.wall_ms()));
        assert_eq!(health.ready(), Ok(()), "another one is the oldest now");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_stream_drops_soon_is_not_ready() {
        let (machine, health) = with_session();
        let (_, vitals, _seat) = hold(&health, &machine);
        let made_ms = |seconds: u64| machine.wall_ms() - seconds * 1_000;
        vitals.facts().page(machine.now(), machine.now(), false, None);
        vitals.facts().acknowledged(machine.now(), 0, Some(made_ms(22 * 3_600 - 60)));
        assert_eq!(health.ready(), Ok(()));
        vitals.facts().acknowledged(machine.now(), 0, Some(made_ms(22 * 3_600 + 60)));
        let why = health.ready().unwrap_err();
        assert!(why.contains("late: in 118 min") || why.contains("late: in 119 min"), "{why}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_cannot_be_ended_and_a_task_that_ended_are_not_live() {
        let machine = Arc::new(RealMachine::new());
        let health = Health::new(machine.clone());
        let (touched, _vitals, _seat) = hold(&health, &machine);
        let pulse = Arc::new(Pulse::default());
        let _needed = health.needs("pipeline orders, writer".to_owned(), Arc::clone(&pulse));
        machine.sleep(Duration::from_secs(1_000)).await;
        health.moved();
        assert_eq!(health.live(), Ok(()), "both wait");
        touched.store(machine.now().as_millis(), Ordering::Release);
        machine.sleep(Duration::from_secs(121)).await;
        health.moved();
        assert!(health.live().unwrap_err().contains("shard l/shard-1: reading has not moved for 121 s"));
        touched.store(AT_REST, Ordering::Release);
        pulse.of(&*machine, async {}).await;
        assert_eq!(health.live(), Err("pipeline orders, writer has ended unexpectedly\n".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn each_reason_is_one_line() {
        let (machine, health) = with_session();
        let health = Arc::new(health);
        let _one = health.trouble("a", "one\nline");
        let _two = health.trouble("b", "two");
        assert_eq!(health.ready(), Err("a: one line\nb: two\n".to_owned()));
        drop(machine);
    }
}
