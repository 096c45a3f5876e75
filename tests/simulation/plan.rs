//! The plan of a run: all that the seed decides before it begins.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::dice::Dice;
use crate::faults::{Outage, Service};

/// What a run is like.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub workers: usize,
    pub pipelines: usize,
    /// Kinesis shards of each target stream.
    pub kinesis_shards: u64,
    /// Shards with which each stream begins.
    pub stream_shards: u32,
    /// Whether the pipelines start at `latest`.
    pub latest: bool,
    /// Partition keys, and items of each.
    pub keys: (u64, u64),
    /// For how long things happen and fail.
    pub turmoil_ms: u64,
    /// Between two outside events, at most.
    pub event_every_ms: u64,
    /// What may happen, each with its weight.
    pub weights: Vec<(Happening, u64)>,
    /// All workers are away for longer than the retention.
    pub long_outage: bool,
    /// Services that are down for everybody for a while.
    pub outages: Vec<Outage>,
    /// Below what a configuration may say, so that few shards feel it: two GetRecords calls at a time need 4 MiB.
    pub memory_limit_mib: u64,
    pub max_in_flight: u64,
    pub partition_key: &'static str,
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
}

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1 << 32);
        let kinds = [
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
        ];
        // Not every run has everything: what is rare together must also be seen alone.
        let mut weights = vec![(Happening::Write, 60)];
        weights.extend(kinds.into_iter().filter(|_| dice.chance(650)));
        let turmoil_ms = dice.between(20_000, 150_000);
        let mut outages = vec![];
        if dice.chance(200) {
            let service =
                dice.pick(&[Service::Source, Service::Sink, Service::Leases]).unwrap_or(Service::Sink);
            let from_ms = dice.below(turmoil_ms);
            outages.push(Outage { service, from_ms, until_ms: from_ms + dice.between(10_000, 130_000) });
        }
        Plan {
            seed,
            workers: usize::try_from(dice.between(1, 3)).unwrap_or(1),
            pipelines: if dice.chance(150) { 2 } else { 1 },
            kinesis_shards: dice.between(1, 3),
            stream_shards: u32::try_from(dice.between(1, 3)).unwrap_or(1),
            latest: dice.chance(150),
            keys: (dice.between(1, 12), dice.between(1, 3)),
            turmoil_ms,
            outages,
            event_every_ms: dice.pick(&[300, 800, 2_000]).unwrap_or(800),
            weights,
            long_outage: dice.chance(60),
            memory_limit_mib: dice.pick(&[4, 256]).unwrap_or(256),
            max_in_flight: dice.pick(&[1, 2, 8]).unwrap_or(8),
            partition_key: if dice.chance(300) { "item_key" } else { "partition_key" },
        }
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

    /// The workers' configuration, as a user writes it.
    pub fn config(&self) -> Arc<str> {
        let mut text = "[worker]\nid = \"w\"\n".to_owned();
        let start = if self.latest { "latest" } else { "trim_horizon" };
        for n in 0..self.pipelines {
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "[[pipeline]]\nname = \"table{n}\"\n[pipeline.source]\ntable = \"table{n}\"\nstart = \"{start}\"\n\
                 [pipeline.sink]\nstream = \"sink-{n}\"\nmax_in_flight = {}\n[pipeline.record]\npartition_key = \"{}\"\n",
                self.max_in_flight, self.partition_key
            );
        }
        text.into()
    }
}
