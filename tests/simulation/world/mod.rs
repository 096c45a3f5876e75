//! The world: everything outside of the workers. It holds the tables with their streams, the Kinesis streams, the lease
//! table, the faults in force and the history of it all. Time is tokio's paused clock, randomness the seed's.

pub mod kinesis;
pub mod lease_rows;
pub mod lease_table;
pub mod source;
pub mod stream;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ddb_kinesis_bridge::error::{ApiError, ErrorKind};
use tokio::sync::oneshot;

use crate::dice::Dice;
use crate::faults::{self, Faults, Service, Verdict};
use crate::history::{Entry, Event, History, Who};
use crate::machine::{self, Life};
use kinesis::Sink;
use lease_table::Rows;
use stream::Table;

/// What the world's wall clock shows when it begins.
pub const EPOCH_MS: u64 = 1_750_000_000_000;

/// The world, shared by all ports.
#[derive(Debug)]
pub struct World {
    pub start: tokio::time::Instant,
    state: Mutex<State>,
}

/// What the world holds.
#[derive(Debug)]
pub struct State {
    /// Since the beginning.
    pub now_ms: u64,
    pub dice: Dice,
    pub faults: Faults,
    pub history: History,
    pub tables: Vec<Table>,
    pub sinks: Vec<Sink>,
    pub leases: Rows,
    /// The switches of all processes.
    pub lives: BTreeMap<Who, Weak<Life>>,
    /// Processes struck by an ambush, for the scenario to go on with.
    pub struck: Vec<Who>,
    /// Answers that come in pages come in as large ones as the real calls have, not in small ones drawn by chance.
    pub has_full_pages: bool,
}

impl World {
    /// A world that begins now.
    pub fn new(seed: u64) -> Arc<Self> {
        let state = State {
            now_ms: 0,
            dice: Dice::new(seed, 0),
            faults: Faults::default(),
            history: History::default(),
            tables: Vec::new(),
            sinks: Vec::new(),
            leases: Rows::default(),
            lives: BTreeMap::new(),
            struck: Vec::new(),
            has_full_pages: false,
        };
        Arc::new(World { start: tokio::time::Instant::now(), state: Mutex::new(state) })
    }

    /// A task panicked.
    pub fn panicked(&self, who: &Who, panic: &(dyn std::any::Any + Send)) {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        self.lock().tell(who, Event::Panicked(text.unwrap_or_default()));
    }

    /// The world as it is now.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        state
    }
}

impl State {
    pub fn tell(&mut self, who: &Who, event: Event) {
        self.history.push(Entry { at_ms: self.now_ms, who: who.clone(), event });
    }

    /// A process is killed or paused in the moment that a write of its own takes effect, its answer still to come.
    fn ambush(&mut self, who: &Who) {
        let Some(life) = self.lives.get(who).and_then(Weak::upgrade) else { return };
        if life.state() != machine::State::Running || !self.dice.chance(self.faults.ambush) {
            return;
        }
        if self.dice.chance(500) {
            life.set(machine::State::Dead);
            self.tell(who, Event::Process { runs: false, how: "killed".into() });
        } else {
            life.set(machine::State::Paused);
            self.tell(who, Event::Note("paused".into()));
        }
        self.struck.push(who.clone());
    }

    /// Something that no process did.
    pub fn happened(&mut self, event: Event) {
        self.tell(&"world".into(), event);
    }
}

/// One process's way to one service. A request once sent goes its way even when its sender dies or stops waiting.
#[derive(Debug, Clone)]
pub struct Link {
    pub world: Arc<World>,
    pub who: Who,
    pub service: Service,
}

impl Link {
    /// Sends a request. `effect` is what the service does with it, and gives the answer and what the history says of it.
    pub async fn call<T: Send + 'static>(
        &self,
        api: &'static str,
        what: String,
        effect: impl FnOnce(&mut State, &Who) -> Result<(T, String), ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (link, (answer, answered)) = (self.clone(), oneshot::channel());
        let (plan, sent_ms) = {
            let mut state = self.world.lock();
            let State { faults, dice, now_ms, .. } = &mut *state;
            (faults.plan(dice, &self.who, self.service, *now_ms), *now_ms)
        };
        tokio::spawn(async move {
            tokio::time::sleep(plan.before).await;
            let arrive = AssertUnwindSafe(|| link.arrive((api, what, sent_ms), plan.verdict, effect));
            let result = catch_unwind(arrive).unwrap_or_else(|panic| {
                link.world.panicked(&"world".into(), &*panic);
                resume_unwind(panic)
            });
            tokio::time::sleep(plan.after).await;
            let is_cut = {
                let state = link.world.lock();
                state.faults.is_cut(&link.who, link.service, state.now_ms)
            };
            if is_cut {
                tokio::time::sleep(faults::SILENCE).await;
            }
            // A sender that waits no more hears nothing.
            let _ = answer.send(result);
        });
        answered.await.unwrap_or_else(|_| Err(faults::error(api, ErrorKind::Transient)))
    }

    fn arrive<T>(
        &self,
        (api, what, sent_ms): (&'static str, String, u64),
        verdict: Verdict,
        effect: impl FnOnce(&mut State, &Who) -> Result<(T, String), ApiError>,
    ) -> Result<T, ApiError> {
        let mut state = self.world.lock();
        let result = match verdict {
            Verdict::Reject(kind) => Err(faults::error(api, kind)),
            Verdict::Serve | Verdict::Fail | Verdict::Silence => effect(&mut state, &self.who),
        };
        let (result, mut outcome) = match result {
            Ok((value, outcome)) => (Ok(value), outcome),
            Err(error) => {
                let outcome = error.code.clone();
                (Err(error), outcome)
            }
        };
        let lost = matches!(verdict, Verdict::Fail | Verdict::Silence);
        if lost {
            outcome.push_str(", answer lost");
        }
        state.tell(&self.who, Event::Call { api, what, sent_ms, outcome });
        if result.is_ok() && matches!(api, "UpdateItem" | "TransactWriteItems") {
            state.ambush(&self.who);
        }
        if lost { Err(faults::error(api, ErrorKind::Transient)) } else { result }
    }
}
