//! The plan of a run: all that the seed decides before it begins.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::dice::Dice;
use crate::faults::{Outage, Rates, Service};

/// What a run is like.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub workers: usize,
    /// The slowest and the fastest clock of a worker, in thousandths.
    pub clocks: (u64, u64),
    /// How far a worker's wall clock may be wrong.
    pub wall_off_ms: u64,
    pub pipelines: usize,
    pub kinesis: Kinesis,
    /// Shards with which each stream begins.
    pub stream_shards: u32,
    /// Partition keys, and items of each.
    pub keys: (u64, u64),
    pub settings: Settings,
    /// A filter leaves out the changes whose sequence numbers end with a digit below this.
    pub left_out: u64,
    /// How each pipeline's records go; plain where it is not said.
    pub carriage: Vec<Carriage>,
    /// For how long things happen and fail.
    pub turmoil_ms: u64,
    /// Between two outside events, at most.
    pub event_every_ms: u64,
    /// What may happen, each with its weight.
    pub weights: Vec<(Happening, u64)>,
    /// The most thousandths of all calls that fail in one way.
    pub foulest: u64,
    /// The weather in which the run begins.
    pub weather: BTreeMap<Service, Rates>,
    /// How often a process is struck in the moment that a write of its own to the lease table takes effect.
    pub ambush: u64,
    /// The first worker starts when the stream is nearly as old as its retention.
    pub late_start: bool,
    /// All workers are away for about as long as changes are kept, or longer.
    pub away: Option<Away>,
    /// Services that are down for everybody for a while.
    pub outages: Vec<Outage>,
    /// Not every worker serves every pipeline.
    pub mixed: bool,
    /// Nothing happens to the workers and their leases, so that every inversion is theirs to count.
    pub sheltered: bool,
}

/// The target streams.
#[derive(Debug, Clone)]
pub struct Kinesis {
    pub shards: u64,
    /// Records that each shard takes in a second.
    pub limit: u64,
    /// How often a record is put before an acknowledged one of its lane, in thousandths.
    pub inversions: u64,
}

/// How the whole fleet is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    Dead,
    /// Paused in place, and woken with all it held in memory.
    Asleep,
}

/// What the workers' configuration says.
#[derive(Debug, Clone)]
pub struct Settings {
    pub latest: bool,
    pub heartbeat_s: u64,
    pub checkpoint_s: u64,
    pub max_in_flight: u64,
    pub partition_key: &'static str,
    /// Below what a configuration may say, so that few shards feel it: two GetRecords calls at a time need 4 MiB.
    pub memory_limit_mib: u64,
}

/// How a pipeline's records go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carriage {
    /// Several changes of a key travel as one record of at most so many bytes.
    pub aggregate_limit: Option<&'static str>,
    /// Each record is put by PutRecord behind the one before it.
    pub strict: bool,
}

impl Carriage {
    fn draw(dice: &mut Dice) -> Self {
        let limit = dice.pick(&["1KB", "2KB", "50KB"]);
        Carriage { aggregate_limit: limit.filter(|_| dice.chance(300)), strict: dice.chance(150) }
    }
}

/// As the configuration's lines.
impl fmt::Display for Carriage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(limit) = self.aggregate_limit {
            writeln!(f, "aggregation = \"kpl\"\naggregate_limit = \"{limit}\"")?;
        }
        if self.strict { writeln!(f, "ordering = \"strict\"") } else { Ok(()) }
    }
}

/// Something that happens to the world or to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    Write,
    Burst,
    Rotate,
    RotateAll,
    Split,
    Kill,
    Stop,
    Pause,
    Cut,
    Weather,
    /// A second process under the id of one that is paused.
    Rival,
    Disable,
    ReshardKinesis,
}

/// All but [`Happening::Write`], each with its weight.
const KINDS: [(Happening, u64); 12] = [
    (Happening::Rotate, 20),
    (Happening::RotateAll, 8),
    (Happening::Split, 10),
    (Happening::Burst, 10),
    (Happening::Kill, 12),
    (Happening::Stop, 8),
    (Happening::Pause, 12),
    (Happening::Cut, 15),
    (Happening::Weather, 15),
    (Happening::Rival, 4),
    (Happening::Disable, 3),
    (Happening::ReshardKinesis, 4),
];

impl Happening {
    /// Whether a worker suffers from it.
    fn hits_workers(self) -> bool {
        matches!(
            self,
            Happening::Kill | Happening::Stop | Happening::Pause | Happening::Cut | Happening::Rival
        )
    }
}

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let dice = &mut Dice::new(seed, 1 << 32);
        // Dice of its own: what else a seed draws stays as it was.
        let carriage = &mut Dice::new(seed, 1 << 34);
        let turmoil_ms = dice.between(20_000, 200_000);
        let inversions = if dice.chance(80) { dice.between(5, 100) } else { 0 };
        let sheltered = inversions > 0 && dice.chance(700);
        // Trouble every second leaves no worker alive for long enough to store a checkpoint, so some days are calmer.
        let mut weights = vec![(Happening::Write, dice.pick(&[60, 200, 3_000]).unwrap_or(60))];
        // Not every run has everything: what is rare together must also be seen alone.
        let may_happen = |kind: Happening| !(sheltered && kind.hits_workers());
        weights.extend(KINDS.into_iter().filter(|_| dice.chance(650)).filter(|(kind, _)| may_happen(*kind)));
        let mut outages = vec![];
        if dice.chance(200) {
            let service = dice.pick(if sheltered { &Service::ALL[..2] } else { &Service::ALL });
            let from_ms = dice.below(turmoil_ms);
            let until_ms = from_ms + dice.between(10_000, 130_000);
            outages.extend(service.map(|service| Outage { service, from_ms, until_ms }));
        }
        let foulest = dice.pick(&[0, 5, 20, 60, 150, 400]).unwrap_or(0);
        let is_fair = !weights.iter().any(|(happening, _)| *happening == Happening::Weather);
        let weather = if is_fair { BTreeMap::new() } else { weather(dice, foulest, sheltered) };
        Plan {
            seed,
            workers: usize::try_from(dice.between(1, 4)).unwrap_or(1),
            clocks: dice.pick(&[(1_000, 1_000), (950, 1_050), (900, 1_100)]).unwrap_or((1_000, 1_000)),
            wall_off_ms: dice.pick(&[1_000, 3_600_000, 40 * 3_600_000]).unwrap_or(1_000),
            pipelines: dice.pick(&[1, 1, 1, 1, 2, 3]).unwrap_or(1),
            kinesis: Kinesis {
                shards: dice.between(1, 3),
                limit: dice.pick(&[1_000, 1_000, 50]).unwrap_or(1_000),
                inversions,
            },
            stream_shards: u32::try_from(dice.between(1, 3)).unwrap_or(1),
            keys: (dice.between(1, 12), dice.between(1, 3)),
            settings: Settings::draw(dice),
            left_out: 0,
            carriage: (0..3).map(|_| Carriage::draw(carriage)).collect(),
            turmoil_ms,
            event_every_ms: dice.pick(&[300, 800, 2_000]).unwrap_or(800),
            weights,
            foulest,
            weather,
            ambush: if sheltered { 0 } else { dice.pick(&[0, 0, 0, 0, 5, 40]).unwrap_or(0) },
            late_start: dice.chance(60),
            away: if !sheltered && dice.chance(80) { dice.pick(&[Away::Dead, Away::Asleep]) } else { None },
            outages,
            mixed: dice.chance(300),
            sheltered,
        }
    }

    /// The same, in some seeds with a filter. Its dice are its own: what else a seed draws stays as it was.
    pub fn with_filter(self) -> Self {
        let dice = &mut Dice::new(self.seed, 1 << 35);
        let left_out = if dice.chance(300) { dice.between(1, 9) } else { 0 };
        Plan { left_out, ..self }
    }

    /// `[pipeline.record]`'s line for it.
    fn filter(&self) -> String {
        let digits: Vec<String> = (0..self.left_out).map(|digit| format!("\"{digit}\"")).collect();
        let suffixes = digits.join(",");
        match self.left_out {
            0 => String::new(),
            _ => format!(
                "filter = '{{\"dynamodb\":{{\"SequenceNumber\":[{{\"anything-but\":{{\"suffix\":[{suffixes}]}}}}]}}}}'\n"
            ),
        }
    }

    /// Whether the worker in this seat serves this pipeline. The first serves them all.
    fn serves(&self, seat: usize, pipeline: usize) -> bool {
        !self.mixed || seat == 0 || self.pipelines == 1 || pipeline != seat % self.pipelines
    }

    /// Which pipeline has this name.
    pub fn pipeline_of(name: &str) -> usize {
        let number = name.strip_prefix("table").and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("{name} is not the name of a pipeline of a plan"))
    }

    /// What happens next.
    pub fn next(&self, dice: &mut Dice) -> Happening {
        let all: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut at = dice.below(all);
        for (happening, weight) in &self.weights {
            if at < *weight {
                return *happening;
            }
            at -= weight;
        }
        Happening::Write
    }

    /// The configuration of the worker in this seat, as a user writes it.
    pub fn config(&self, seat: usize) -> Arc<str> {
        let Settings { latest, heartbeat_s, checkpoint_s, max_in_flight, partition_key, .. } = self.settings;
        let start = if latest { "latest" } else { "trim_horizon" };
        let failover_s = heartbeat_s * 5;
        let mut text = format!(
            "[worker]\nid = \"w\"\n[lease_table]\nheartbeat_interval = \"{heartbeat_s}s\"\n\
             failover_time = \"{failover_s}s\"\ncheckpoint_interval = \"{checkpoint_s}s\"\n"
        );
        for n in (0..self.pipelines).filter(|pipeline| self.serves(seat, *pipeline)) {
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "[[pipeline]]\nname = \"table{n}\"\n[pipeline.source]\ntable = \"table{n}\"\nstart = \"{start}\"\n\
                 [pipeline.sink]\nstream = \"sink-{n}\"\nmax_in_flight = {max_in_flight}\n{}\
                 [pipeline.record]\npartition_key = \"{partition_key}\"\n{}",
                self.carriage.get(n).copied().unwrap_or_default(),
                self.filter(),
            );
        }
        text.into()
    }
}

/// The faults of a while, service by service.
pub fn weather(dice: &mut Dice, foulest: u64, sheltered: bool) -> BTreeMap<Service, Rates> {
    let may_fail = |service: &Service| !(sheltered && *service == Service::Leases);
    Service::ALL.into_iter().filter(may_fail).map(|service| (service, Rates::draw(dice, foulest))).collect()
}

impl Settings {
    fn draw(dice: &mut Dice) -> Self {
        Settings {
            latest: dice.chance(150),
            heartbeat_s: dice.pick(&[2, 2, 1]).unwrap_or(2),
            checkpoint_s: dice.pick(&[5, 1]).unwrap_or(5),
            max_in_flight: dice.pick(&[1, 2, 8]).unwrap_or(8),
            partition_key: dice
                .pick(&["partition_key", "partition_key", "item_key"])
                .unwrap_or("partition_key"),
            memory_limit_mib: dice.pick(&[4, 256]).unwrap_or(256),
        }
    }
}
