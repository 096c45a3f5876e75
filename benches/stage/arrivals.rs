//! What has arrived in Kinesis: of which shard, when it was written and stored, and who brought it. Fed a little at a
//! time, so that looking often costs little.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{SINK, TABLE};
use crate::support::journal::Written;
use crate::support::payload::{Format, read};
use crate::support::world::World;

/// One record in Kinesis.
pub struct Arrival {
    pub shard: String,
    pub written: Instant,
    pub stored: Instant,
    /// The worker that put it.
    pub by: String,
    /// Not a duplicate.
    pub first: bool,
}

impl Arrival {
    pub fn delay(&self) -> Duration {
        self.stored.saturating_duration_since(self.written)
    }
}

#[derive(Default)]
pub struct Arrivals {
    pub all: Vec<Arrival>,
    /// Shard and time, by sequence number.
    written: BTreeMap<String, (String, Instant)>,
    arrived: BTreeSet<String>,
}

impl Arrivals {
    /// Takes in what is new. Returns how many changes have not arrived.
    pub fn look(&mut self, world: &World) -> usize {
        for Written { change, shard_id, at, .. } in world.written(TABLE).skip(self.written.len()) {
            self.written.insert(change.sequence_number.clone(), (shard_id.clone(), *at));
        }
        for stored in &world.kinesis_stream(SINK).stored[self.all.len()..] {
            let delivered = read(Format::DynamoDbJson, &stored.data).expect("a record of the bridge");
            let (shard, written) = self.written[&delivered.sequence_number].clone();
            let by = world.log.all()[stored.request].caller.clone();
            let first = self.arrived.insert(delivered.sequence_number);
            self.all.push(Arrival { shard, written, stored: stored.at, by, first });
        }
        self.written.len() - self.arrived.len()
    }

    pub fn duplicates(&self) -> usize {
        self.all.len() - self.arrived.len()
    }

    /// The longest that any change took to its first arrival.
    pub fn greatest_delay(&self) -> Duration {
        let firsts = self.all.iter().filter(|arrival| arrival.first);
        firsts.map(Arrival::delay).max().unwrap_or_default()
    }
}
