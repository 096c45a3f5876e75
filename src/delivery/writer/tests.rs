//! The writer over a small Kinesis, on tokio's paused clock: seconds of machine time do not count, only the clock's.

mod aggregating;
mod appetite;
mod filling;
mod kinesis;
mod pacing;
mod strict;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use self::kinesis::SmallKinesis;
use super::*;
use crate::delivery::inlet::ShardInlet;
use crate::delivery::memory::Budget;
use crate::delivery::sink::PutEntry;
use crate::machine::{Machine, RealMachine, Task};
use crate::ops::metrics::Metrics;

/// The configuration's defaults.
const MANNER: Manner = Manner {
    linger: Duration::from_millis(10),
    max_in_flight: 8,
    ordering: Ordering::Acknowledged,
    packing: Packing::NONE,
};

/// A writer, what it writes to, and the source shards that feed it.
struct Stage {
    kinesis: Arc<SmallKinesis>,
    machine: Arc<dyn Machine>,
    inlets: Vec<ShardInlet>,
    budget: Budget,
    sequence: u64,
    metrics: PipelineMetrics,
    _writer: Task,
}

/// One change: its key, and its payload's bytes.
type Change = (Arc<str>, usize);

impl Stage {
    /// With so many source shards.
    async fn new(kinesis: SmallKinesis, sources: u64) -> Stage {
        Stage::of(kinesis, sources, MANNER).await
    }

    async fn of(kinesis: SmallKinesis, sources: u64, manner: Manner) -> Stage {
        let (kinesis, machine): (_, Arc<dyn Machine>) = (Arc::new(kinesis), Arc::new(RealMachine::new()));
        // Nobody ends the session.
        let (_, deadline) = watch::channel(MonoTime::from_origin(Duration::from_secs(1 << 30)));
        let putter =
            Putter { sink: Arc::<SmallKinesis>::clone(&kinesis), machine: Arc::clone(&machine), deadline };
        let metrics = Metrics::new().pipeline("p");
        let (writer, handle) = Writer::new("p".into(), putter, manner, Arc::new(|_| None), metrics.clone());
        let _writer = machine.spawn(Box::pin(writer.run()));
        let mut inlets = vec![];
        for slot in 0..sources {
            inlets.push(handle.open(slot).await);
        }
        // The first listing is there before the first change.
        machine.sleep(Duration::from_millis(100)).await;
        Stage { kinesis, machine, inlets, budget: Budget::new(1 << 30), sequence: 0, metrics, _writer }
    }

    async fn submit(&mut self, source: usize, changes: impl IntoIterator<Item = Change>, more: More) {
        let mut page = vec![];
        for (partition_key, bytes) in changes {
            self.sequence += 1;
            let sequence_number =
                crate::stream::SequenceNumber::parse(&self.sequence.to_string()).expect("digits");
            // Every change tells which it is.
            let mut data = self.sequence.to_string().into_bytes();
            data.resize(bytes.max(data.len()), b' ');
            let entry = PutEntry::new(&partition_key, &data);
            let memory = self.budget.reserve(bytes + 256).await;
            page.push(Submission::Deliver { sequence_number, created_at_ms: 0, entry, memory });
        }
        self.inlets[source].feeder().submit(page, more, None).await;
    }

    /// Waits until everything of every source is acknowledged.
    async fn all_done(&mut self) {
        for inlet in &mut self.inlets {
            while !inlet.is_empty() {
                assert!(!inlet.is_halted(), "{:?}", inlet.progress.borrow().halted);
                inlet.progress.changed().await.expect("the writer lives");
            }
        }
    }

    async fn sleep_ms(&self, ms: u64) {
        self.machine.sleep(Duration::from_millis(ms)).await;
    }
}
