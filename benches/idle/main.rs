//! What a fleet costs while nothing happens: `cargo bench --bench idle`, a quick look with `-- --quick`. 1,000 idle
//! shards, two workers with default settings, a fake of the AWS APIs that counts requests and capacity units.
#![allow(
    clippy::disallowed_methods,
    reason = "measures processes from outside, in real time: nothing here is simulated"
)]

#[path = "../stage/mod.rs"]
mod stage;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use stage::Stage;
use stage::leases::{balanced, holdings, shares};
use support::capacity::Capacity;
use support::fault::OPERATIONS;

const WORKERS: [&str; 2] = ["w1", "w2"];
/// How long settling may take. Who does not settle is measured as it is.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// After that: the last heartbeats and checkpoints of the start.
const AFTER: Duration = Duration::from_secs(10);
const MONTH_SECONDS: f64 = 30.44 * 86_400.0;

/// About, from memory, us-east-1: dollars a million.
const WRITE_UNITS: f64 = 0.625;
const READ_UNITS: f64 = 0.125;
const GET_RECORDS: f64 = 0.20;

/// What the fake has counted so far.
struct Counts {
    at: Instant,
    calls: BTreeMap<&'static str, usize>,
    capacity: Capacity,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (shards, seconds) = if quick { (50, 10) } else { (1_000, 60) };
    let stage = Stage::with_shards(shards);
    let workers = WORKERS.map(|id| stage.start(id));
    let shards = usize::try_from(shards).unwrap_or(usize::MAX);
    let settled = stage.wait(SETTLED_WITHIN, |world| balanced(world, shards, &WORKERS));
    let all_held = holdings(&stage.fake.world()).values().map(Vec::len).sum::<usize>() == shards;
    println!(
        "settled: {settled:.1?}; shares: {}; every shard has a row: {all_held}",
        shares(&stage.fake.world())
    );
    std::thread::sleep(AFTER);
    let before = count(&stage);
    std::thread::sleep(Duration::from_secs(seconds));
    let after = count(&stage);
    show(&before, &after, shards);
    workers.into_iter().for_each(|worker| worker.terminate());
}

fn count(stage: &Stage) -> Counts {
    let world = stage.fake.world();
    let calls = OPERATIONS.iter().map(|operation| (*operation, world.log.count(operation)));
    Counts { at: Instant::now(), calls: calls.collect(), capacity: world.capacity.clone() }
}

fn show(before: &Counts, after: &Counts, shards: usize) {
    let seconds = (after.at - before.at).as_secs_f64();
    println!("{shards} idle shards, two workers, default settings, {seconds:.0} s\n");
    println!("{:<24}{:>12}{:>14}{:>14}", "API", "calls/s", "read units/s", "write units/s");
    for (operation, calls) in &after.calls {
        let calls = (calls - before.calls[operation]) as f64 / seconds;
        let units = |of: fn(&Capacity) -> &BTreeMap<&'static str, f64>| {
            let sum = |counts: &Counts| of(&counts.capacity).get(operation).copied().unwrap_or_default();
            (sum(after) - sum(before)) / seconds
        };
        if calls > 0.0 {
            let (read, write) = (units(|capacity| &capacity.read), units(|capacity| &capacity.write));
            println!("{operation:<24}{calls:>12.2}{read:>14.2}{write:>14.2}");
        }
    }
    let millions = |a_second: f64| a_second * MONTH_SECONDS / 1e6;
    let rate = |of: fn(&Counts) -> f64| (of(after) - of(before)) / seconds;
    let reads = millions(rate(|counts| counts.capacity.read_units())) * READ_UNITS;
    let writes = millions(rate(|counts| counts.capacity.write_units())) * WRITE_UNITS;
    let polls = millions(rate(|counts| counts.calls["GetRecords"] as f64)) * GET_RECORDS;
    println!(
        "\na month, at about (from memory, us-east-1) ${WRITE_UNITS} a million write units, ${READ_UNITS} a million \
         read units, ${GET_RECORDS} a million GetRecords:"
    );
    println!("  lease table, writes  ${writes:.2}");
    println!("  lease table, reads   ${reads:.2}");
    println!("  GetRecords           ${polls:.2}, ${:.2} a shard", polls / shards as f64);
}
