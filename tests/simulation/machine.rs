//! The simulated machine: a [`Machine`] on tokio's paused clock. Each process has one, with a clock of its own speed, a
//! generator of its own, and a [`Life`] through which the scenario pauses, wakes and kills all its tasks at once.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ddb_kinesis_bridge::machine::{BoxFuture, Machine, MonoTime, Task};

use crate::dice::Dice;
use crate::history::Who;
use crate::world::{EPOCH_MS, World};

/// Whether a process's tasks may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running,
    /// Stopped in place: nothing is polled, but its clock goes on and its requests are still in the air.
    Paused,
    /// Every future is dropped at its next poll, and none is polled again.
    Dead,
}

/// The switch of one process, shared by all its tasks.
#[derive(Debug)]
pub struct Life {
    world: Arc<World>,
    who: Who,
    state: Mutex<LifeState>,
}

#[derive(Debug)]
struct LifeState {
    state: State,
    next_task: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Life {
    pub fn new(world: &Arc<World>, who: &Who) -> Arc<Self> {
        let state = LifeState { state: State::Running, next_task: 0, wakers: BTreeMap::new() };
        Arc::new(Life { world: Arc::clone(world), who: who.clone(), state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, LifeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn state(&self) -> State {
        self.lock().state
    }

    /// Changes the state (death is for ever) and has every task notice.
    pub fn set(&self, state: State) {
        let wakers: Vec<Waker> = {
            let mut life = self.lock();
            if life.state != State::Dead {
                life.state = state;
            }
            life.wakers.values().cloned().collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wraps a task so that it lives and stops with its process.
    pub fn guard(self: &Arc<Self>, inner: BoxFuture<()>) -> BoxFuture<()> {
        let id = {
            let mut life = self.lock();
            life.next_task += 1;
            life.next_task
        };
        Box::pin(Guarded { id, life: Arc::clone(self), inner: Some(inner) })
    }
}

struct Guarded {
    id: u64,
    life: Arc<Life>,
    inner: Option<BoxFuture<()>>,
}

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let state = {
            let mut life = self.life.lock();
            life.wakers.insert(self.id, context.waker().clone());
            life.state
        };
        let this = &mut *self;
        let polled = match (state, &mut this.inner) {
            (State::Paused, _) => Poll::Pending,
            (State::Running, Some(inner)) => {
                let poll = AssertUnwindSafe(|| inner.as_mut().poll(context));
                catch_unwind(poll).unwrap_or_else(|panic| {
                    this.life.world.panicked(&this.life.who, &*panic);
                    resume_unwind(panic)
                })
            }
            (State::Dead, _) | (_, None) => Poll::Ready(()),
        };
        if polled.is_ready() {
            self.inner = None;
        }
        polled
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.life.lock().wakers.remove(&self.id);
    }
}

/// One process's machine.
#[derive(Debug)]
pub struct SimMachine {
    life: Arc<Life>,
    start: tokio::time::Instant,
    /// What the monotonic clock shows when the world begins.
    origin: Duration,
    /// How many thousandths of a second the clock goes in one of the world's.
    rate: u32,
    /// How far the wall clock is from the world's.
    wall_off_ms: i64,
    dice: Mutex<Dice>,
}

impl SimMachine {
    /// `wall_off_ms`: how far the wall clock may be from the world's, either way.
    pub fn new(
        life: Arc<Life>,
        start: tokio::time::Instant,
        rate: u32,
        wall_off_ms: u64,
        mut dice: Dice,
    ) -> Self {
        let origin = Duration::from_millis(dice.below(1 << 40));
        let off = i64::try_from(dice.below(2 * wall_off_ms + 1)).unwrap_or(0);
        let wall_off_ms = off - i64::try_from(wall_off_ms).unwrap_or(0);
        SimMachine { life, start, origin, rate, wall_off_ms, dice: Mutex::new(dice) }
    }
}

impl Machine for SimMachine {
    fn now(&self) -> MonoTime {
        MonoTime::from_origin(self.origin + self.start.elapsed() * self.rate / 1_000)
    }

    fn wall_ms(&self) -> u64 {
        let world_ms = EPOCH_MS + u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        world_ms.saturating_add_signed(self.wall_off_ms)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        // Rounded up, so that the own clock shows the moment when the world's does.
        let of_the_world = duration * 1_000 / self.rate + Duration::from_nanos(2);
        Box::pin(tokio::time::sleep(of_the_world))
    }

    fn spawn(&self, task: BoxFuture<()>) -> Task {
        Task::new(tokio::spawn(self.life.guard(task)))
    }

    fn random(&self) -> u64 {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}
