//! Fleets without misfortune: workers come and go in an orderly way, and many share very many shards. What is asserted
//! here is what faults would blur: no duplicate, every share in time, and what it costs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ddb_kinesis_bridge::lease::row::{SHARD_PREFIX, ShardRow, decode};

use crate::history::{Entry, Event, Shard};
use crate::oracle::Oracle;
use crate::plan::{Happening, Plan};
use crate::process::{Process, Start};
use crate::regressions::calm;
use crate::scenario::run_plan;
use crate::seeds::number;
use crate::world::World;
use crate::world::kinesis::Sink;
use crate::world::stream::Table;

/// Within so long of a worker's coming or going each holds its share.
const EVEN_WITHIN_MS: u64 = 15_000;

/// Three or four workers that stop and start again while much is written and shards rotate and split.
fn orderly(seed: u64) -> Plan {
    let mut plan = calm(seed);
    plan.workers = 3 + usize::from(seed.is_multiple_of(2));
    plan.pipelines = if seed.is_multiple_of(3) { 2 } else { 1 };
    (plan.stream_shards, plan.turmoil_ms, plan.event_every_ms) = (3, 150_000, 300);
    plan.weights =
        vec![(Happening::Write, 60), (Happening::Stop, 2), (Happening::Rotate, 2), (Happening::Split, 1)];
    plan
}

#[test]
fn orderly_comings_and_goings_make_no_duplicate_and_soon_even_shares() {
    let mut handed_over = 0;
    for seed in 0..40 {
        let outcome = run_plan(&orderly(seed));
        assert_eq!(outcome.verdict, Ok(()), "day {seed}");
        let mut stored = BTreeSet::new();
        for entry in &outcome.history {
            match &entry.event {
                Event::Stored { shard, seq, .. } => {
                    assert!(stored.insert((shard.clone(), *seq)), "day {seed}: {entry} is a duplicate");
                }
                Event::Lease { row: Some(row), .. } => handed_over += usize::from(row.offered),
                _ => {}
            }
        }
        let (uneven_ms, at) = longest_uneven(&outcome.history);
        assert!(uneven_ms <= EVEN_WITHIN_MS, "day {seed}: shares were uneven for {uneven_ms} ms until {at}");
    }
    assert!(handed_over > 200, "{handed_over} handovers: a day without any proves nothing");
}

/// How long shares were uneven at most, and until when.
fn longest_uneven(history: &[Entry]) -> (u64, u64) {
    let (mut oracle, mut since_ms, mut longest) = (Oracle::default(), None, (0, 0));
    for entry in history {
        oracle.see(entry).expect("it held before");
        match (oracle.uneven().is_some(), since_ms) {
            (true, None) => since_ms = Some(entry.at_ms),
            (true, Some(since_ms)) => longest = longest.max((entry.at_ms - since_ms, entry.at_ms)),
            (false, _) => since_ms = None,
        }
    }
    longest
}

/// Children that are listed when their parent ends are read by the same worker within a second.
#[test]
fn children_start_within_a_second_of_their_parents_end() {
    let mut children = 0;
    for seed in 0..20 {
        let mut plan = orderly(seed);
        plan.weights = vec![(Happening::Write, 60), (Happening::Rotate, 6), (Happening::Split, 2)];
        plan.event_every_ms = 800;
        let outcome = run_plan(&plan);
        assert_eq!(outcome.verdict, Ok(()), "day {seed}");
        let mut offered: BTreeMap<&Shard, u64> = BTreeMap::new();
        for entry in &outcome.history {
            let Event::Lease { shard, row: Some(row) } = &entry.event else { continue };
            if row.offered && row.epoch == 0 {
                offered.insert(shard, entry.at_ms);
            } else if let Some(finished_ms) = offered.remove(shard) {
                let took_ms = entry.at_ms - finished_ms;
                assert!(took_ms <= 1_000, "day {seed}: {entry}, {took_ms} ms after its parent's end");
                children += 1;
            }
        }
        assert!(offered.is_empty(), "day {seed}: {offered:?} were never taken");
    }
    assert!(children > 100, "{children} children: too few to prove anything");
}

/// A fleet under way.
struct Fleet {
    world: Arc<World>,
    processes: Vec<Process>,
    config: Arc<str>,
}

impl Fleet {
    fn new(shards: u32) -> Self {
        let world = World::new(1);
        {
            let mut state = world.lock();
            state.has_full_pages = true;
            state.history.counts = Some(BTreeMap::new());
            state.tables.push(Table::new("table0"));
            state.sinks.push(Sink::new("sink-0", 1, 1_000));
            state.enable(0, shards);
        }
        let config = "[worker]\nid = \"w\"\n[[pipeline]]\nname = \"table0\"\n[pipeline.source]\ntable = \"table0\"\n\
                      [pipeline.sink]\nstream = \"sink-0\"\n";
        Fleet { world, processes: vec![], config: config.into() }
    }

    fn join(&mut self) {
        let number = self.processes.len() as u64;
        let start = Start {
            id: format!("w{number}"),
            number,
            seed: 1,
            rate: 1_000,
            wall_off_ms: 0,
            memory_limit_bytes: 256 << 20,
            config: Arc::clone(&self.config),
        };
        self.processes.push(Process::start(&self.world, &start));
    }

    /// How many leases each worker has taken, and how many there are.
    fn shares(&self) -> (BTreeMap<String, usize>, usize) {
        let state = self.world.lock();
        let (mut shares, mut leases) = (BTreeMap::new(), 0);
        for (_, row) in state.leases.all().filter(|(key, _)| key.sk.starts_with(SHARD_PREFIX)) {
            leases += 1;
            let row: ShardRow = decode(row).expect("a shard's row");
            if let Some(owner) = row.owner.filter(|_| !row.offered) {
                *shares.entry(owner).or_default() += 1;
            }
        }
        (shares, leases)
    }

    /// Waits until so many workers have even shares of all shards; in what time.
    async fn even(&self, workers: usize, shards: usize) -> Duration {
        let began = tokio::time::Instant::now();
        loop {
            let (shares, leases) = self.shares();
            let taken: usize = shares.values().sum();
            let (least, most) = (shares.values().min(), shares.values().max());
            let is_even = least.zip(most).is_some_and(|(least, most)| most - least <= 1);
            if leases == shards && taken == shards && shares.len() == workers && is_even {
                return began.elapsed();
            }
            assert!(began.elapsed() < Duration::from_secs(900), "never even: {shares:?} of {leases}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Calls a second by API over a minute in which nothing happens.
    async fn calls_a_second(&self) -> BTreeMap<&'static str, f64> {
        const SECONDS: u64 = 60;
        self.world.lock().history.counts = Some(BTreeMap::new());
        tokio::time::sleep(Duration::from_secs(SECONDS)).await;
        let counts = self.world.lock().history.counts.take().unwrap_or_default();
        counts.into_iter().map(|(api, calls)| (api, calls as f64 / SECONDS as f64)).collect()
    }
}

/// Resident memory of this process, in bytes; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

/// 1,000 shards over 20 workers; `FLEET=n` says how many shards.
#[test]
fn many_shards_over_twenty_workers() {
    const WORKERS: usize = 20;
    let shards = number("FLEET").unwrap_or(1_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut fleet = Fleet::new(u32::try_from(shards).expect("a count of shards"));
        let shards = usize::try_from(shards).expect("a count of shards");
        let before = resident_bytes();
        (0..WORKERS).for_each(|_| fleet.join());
        let first = fleet.even(WORKERS, shards).await;
        let calls = fleet.calls_a_second().await;
        let memory = (resident_bytes().saturating_sub(before)) / WORKERS as u64;
        fleet.processes[0].stop();
        let left = fleet.even(WORKERS - 1, shards).await;
        fleet.join();
        let joined = fleet.even(WORKERS, shards).await;
        println!("{shards} shards over {WORKERS} workers: even {first:?} after the first start");
        println!("even {left:?} after one was told to stop, {joined:?} after another started");
        println!("memory a worker, with its part of the world: {} KiB", memory / 1_024);
        println!("calls a second of the whole fleet: {calls:?}");
        let within = Duration::from_millis(EVEN_WITHIN_MS);
        assert!(left <= within && joined <= within, "{left:?}, {joined:?}");
        let of = |api: &str| calls.get(api).copied().unwrap_or(0.0);
        let writes = of("UpdateItem") + of("TransactWriteItems");
        assert!(writes <= 0.6 * WORKERS as f64, "{writes} lease-table writes a second");
        assert!(of("DescribeStream") <= 1.05, "{calls:?}");
        assert!(of("GetRecords") <= 1.05 * shards as f64, "{calls:?}");
    });
}
