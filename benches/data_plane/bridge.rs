//! (b) The bridge itself: the worker of `run`, in this process, on one thread, between the loopback server and a lease
//! table on the scripted fake.

use std::sync::Arc;
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
    pub records_a_call: f64,
}

/// Carries all pages.
pub fn carry(pages: Pages, format: &str) -> Carried {
    let (changes, shards) = (pages.changes(), pages.shards());
    let (server, leases) = (Server::start(pages), Fake::start());
    leases.world().log.keep_no_inputs();
    let config = config(&server, &leases, format);
    let runtime = runtime();
    let (stop, stopped) = watch::channel(false);
    let bridge = runtime.block_on(Bridge::prepare(config, Some(crate::credentials()))).expect("a start");
    let running = runtime.spawn(bridge.run(stopped));
    let served = Arc::clone(&server.served);
    runtime.block_on(until(|| served.reads.iter().all(|reads| reads.load(Ordering::Acquire) > 0)));
    served.open.store(true, Ordering::Release);
    let ((), cost) = measure(&runtime, until(|| served.put_records.load(Ordering::Acquire) >= changes));
    stop.send_replace(true);
    runtime.block_on(running).expect("no panic").expect("a clean end");
    assert_eq!(served.put_records.load(Ordering::Acquire), changes, "each change once, {shards} shards");
    let calls = served.put_calls.load(Ordering::Acquire);
    Carried { cost, records_a_call: changes as f64 / calls as f64 }
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
