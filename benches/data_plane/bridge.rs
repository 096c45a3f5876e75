//! (b) The bridge itself: the worker of `run`, in this process, on one thread, between the loopback server and a lease
//! table on the scripted fake.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ddb_kinesis_bridge::config::{Config, ConfigSource};
use ddb_kinesis_bridge::start::Bridge;
use tokio::sync::watch;

use crate::canned::Pages;
use crate::meter::{Cost, measure, runtime};
use crate::server::Server;
use crate::support::Fake;

const LOOK: Duration = Duration::from_millis(2);

/// A run's cost, and how many records a PutRecords call held.
pub struct Carried {
    pub cost: Cost,
    pub changes: usize,
    pub records_a_call: f64,
}

/// Carries all pages. The first one of each shard is not measured, nor is the start: with them the process grows to its size.
pub fn carry(pages: Pages, format: &str) -> Carried {
    let (all, shards) = (pages.changes(), pages.shards());
    let first = shards * pages.shape.records_a_page;
    let (server, leases) = (Server::start(pages), Fake::start());
    leases.world().log.keep_no_inputs();
    let config = config(&server, &leases, format);
    let runtime = runtime();
    let (stop, stopped) = watch::channel(false);
    let bridge = runtime.block_on(Bridge::prepare(config, Some(crate::credentials()))).expect("a start");
    let running = runtime.spawn(bridge.run(stopped));
    let served = &*server.served;
    runtime.block_on(until(|| served.reads.iter().all(|reads| reads.load(Ordering::Acquire) > 0)));
    let put = |changes| until(move || served.put_records.load(Ordering::Acquire) >= changes);
    served.open.store(1, Ordering::Release);
    runtime.block_on(put(first));
    let calls_before = served.put_calls.load(Ordering::Acquire);
    served.open.store(usize::MAX, Ordering::Release);
    let ((), cost) = measure(&runtime, put(all));
    stop.send_replace(true);
    runtime.block_on(running).expect("no panic").expect("a clean end");
    assert_eq!(served.put_records.load(Ordering::Acquire), all, "each change once, {shards} shards");
    let (changes, calls) = (all - first, served.put_calls.load(Ordering::Acquire) - calls_before);
    Carried { cost, changes, records_a_call: changes as f64 / calls as f64 }
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(LOOK).await;
    }
}

fn config(server: &Server, leases: &Fake, format: &str) -> Config {
    let record = format!("[pipeline.record]\nformat = \"{format}\"");
    let text = server.config(&leases.endpoint(), "", &record);
    Config::parse(&text, ConfigSource::Environment, &|_| None).expect("a configuration")
}
