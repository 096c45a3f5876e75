//! One process: a whole worker over simulated ports, on a machine of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ddb_kinesis_bridge::config::{Config, ConfigSource};
use ddb_kinesis_bridge::delivery::memory::Budget;
use ddb_kinesis_bridge::lease::session::{Identity, SessionTiming};
use ddb_kinesis_bridge::lease::store::LeaseStore;
use ddb_kinesis_bridge::machine::Machine;
use ddb_kinesis_bridge::ops::metrics::Metrics;
use ddb_kinesis_bridge::worker::pipeline::{Ends, Pipeline, Shared};
use ddb_kinesis_bridge::worker::{Worker, WorkerSettings};
use tokio::sync::watch;

use crate::dice::Dice;
use crate::faults::Service;
use crate::history::{Event, Who};
use crate::machine::{Life, SimMachine, State};
use crate::plan::Plan;
use crate::world::kinesis::SimSink;
use crate::world::lease_table::SimLeaseTable;
use crate::world::source::{SimSource, key_schema};
use crate::world::{Link, World};

/// A process under way.
#[derive(Debug)]
pub struct Process {
    pub who: Who,
    pub life: Arc<Life>,
    shutdown: watch::Sender<bool>,
    ended: Arc<Mutex<bool>>,
}

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Start {
    /// The worker's id, and how many processes were started before.
    pub id: String,
    pub number: u64,
    pub seed: u64,
    /// The clock's speed in thousandths.
    pub rate: u32,
    /// How far its wall clock may be wrong.
    pub wall_off_ms: u64,
    pub memory_limit_bytes: u64,
    /// The configuration, as a user writes it.
    pub config: Arc<str>,
}

impl Process {
    /// Starts a worker.
    pub fn start(world: &Arc<World>, start: &Start) -> Self {
        let who: Who = format!("{}/{}", start.id, start.number).into();
        world.lock().tell(&who, Event::Process { runs: true, how: format!("clock {}", start.rate) });
        let life = Life::new(world, &who);
        world.lock().lives.insert(who.clone(), Arc::downgrade(&life));
        let dice = Dice::new(start.seed, 1 + start.number);
        let machine: Arc<dyn Machine> =
            Arc::new(SimMachine::new(Arc::clone(&life), world.start, start.rate, start.wall_off_ms, dice));
        let worker = worker(world, &who, start, machine);
        let (shutdown, told) = watch::channel(false);
        let ended = Arc::new(Mutex::new(false));
        let (over, world, ending) = (Arc::clone(&ended), Arc::clone(world), who.clone());
        let root = async move {
            let how = match worker.run(told).await {
                Ok(()) => "stopped".to_owned(),
                Err(error) => format!("failed: {error}"),
            };
            *over.lock().unwrap_or_else(PoisonError::into_inner) = true;
            world.lock().tell(&ending, Event::Process { runs: false, how });
        };
        tokio::spawn(life.guard(Box::pin(root)));
        Process { who, life, shutdown, ended }
    }

    pub fn has_ended(&self) -> bool {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) || self.life.state() == State::Dead
    }

    /// As SIGTERM does.
    pub fn stop(&self) {
        self.shutdown.send_replace(true);
    }

    /// As SIGKILL does.
    pub fn kill(&self, world: &World) {
        if !self.has_ended() {
            self.life.set(State::Dead);
            world.lock().tell(&self.who, Event::Process { runs: false, how: "killed".into() });
        }
    }

    pub fn pause(&self, world: &World) {
        self.life.set(State::Paused);
        world.lock().tell(&self.who, Event::Note("paused".into()));
    }

    pub fn wake(&self, world: &World) {
        world.lock().tell(&self.who, Event::Note("woken".into()));
        self.life.set(State::Running);
    }
}

fn worker(world: &Arc<World>, who: &Who, start: &Start, machine: Arc<dyn Machine>) -> Worker {
    let config = Config::parse(&start.config, ConfigSource::Environment, &|_| None)
        .unwrap_or_else(|error| panic!("the scenario's configuration: {error}"));
    let link = |service| Link { world: Arc::clone(world), who: who.clone(), service };
    let table = Arc::new(SimLeaseTable { link: link(Service::Leases) });
    let store = LeaseStore::new(table, Arc::clone(&machine));
    let metrics = Metrics::new();
    let limit = usize::try_from(start.memory_limit_bytes).expect("a limit in bounds");
    let budget = Budget::new(limit);
    let pipeline = |settings: &ddb_kinesis_bridge::config::Pipeline| {
        let index = Plan::pipeline_of(&settings.name);
        let (table_arn, sink_arn) = {
            let state = world.lock();
            (state.tables[index].arn(), state.sinks[index].arn())
        };
        let ends = Ends { table_arn, key_schema: key_schema(), sink_arn, max_record_bytes: 1 << 20 };
        let source = Arc::new(SimSource { link: link(Service::Source), table: index });
        let sink = Arc::new(SimSink { link: link(Service::Sink), sink: index, table: index });
        let part = budget.part(limit / config.pipelines.len());
        Arc::new(Pipeline::new(settings.clone(), ends, source, sink, &metrics, part))
    };
    let pipelines: Vec<Arc<Pipeline>> = config.pipelines.iter().map(pipeline).collect();
    let timing = SessionTiming {
        heartbeat_interval: config.lease_table.heartbeat_interval,
        failover_time: config.lease_table.failover_time,
    };
    let names = config.pipelines.iter().map(|pipeline| pipeline.name.clone()).collect();
    let identity = Identity { id: start.id.clone(), host: "simulated".into(), pipelines: names };
    let shared = Arc::new(Shared::new(
        machine,
        store,
        budget.clone(),
        config.lease_table.checkpoint_interval,
        metrics,
    ));
    watch_figures(world, who, &shared, &pipelines);
    let settings = WorkerSettings { identity, timing, shutdown_timeout: config.worker.shutdown_timeout };
    Worker { shared, pipelines, settings }
}

/// Tells the history, four times a second, what the process holds in memory and how many inversions it counted, when
/// that changed.
fn watch_figures(world: &Arc<World>, who: &Who, shared: &Arc<Shared>, pipelines: &[Arc<Pipeline>]) {
    let (world, who, shared) = (Arc::clone(world), who.clone(), Arc::downgrade(shared));
    let counters: Vec<_> = pipelines.iter().map(|one| one.metrics.order_inversions.clone()).collect();
    tokio::spawn(async move {
        let mut before = (0, 0);
        loop {
            let budget = shared.upgrade().map(|shared| (shared.budget.used(), shared.budget.limit()));
            let (used, limit) = budget.unwrap_or_default();
            let counted = counters.iter().map(|counter| counter.get()).sum();
            if used != before.0 {
                world.lock().tell(&who, Event::Memory { used, limit });
            }
            if counted != before.1 {
                world.lock().tell(&who, Event::Inversions { counted });
            }
            before = (used, counted);
            if budget.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    });
}
