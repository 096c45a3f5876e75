//! What a worker's process holds: `cargo bench --bench memory`, a quick look with `-- --quick`. 1,000 idle shards; then
//! 100 shards that bring more than Kinesis takes.
#![allow(
    clippy::disallowed_methods,
    reason = "measures processes from outside, in real time: nothing here is simulated"
)]

#[path = "../data_plane/canned.rs"]
mod canned;
#[path = "../data_plane/server.rs"]
mod server;
#[path = "../stage/mod.rs"]
mod stage;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use canned::{Pages, SHAPES, Shape};
use server::Server;
use stage::Stage;
use stage::leases::balanced;
use stage::worker::Worker;
use support::Fake;

/// Kinesis' answers take this long, so that reading is faster than writing.
const PUT_MILLIS: u64 = 200;
const LOOK: Duration = Duration::from_millis(20);
/// Past this the bench is given up.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    idle(if quick { 100 } else { 1_000 });
    for shape in SHAPES {
        for limit_mib in [64, 256] {
            busy(shape, limit_mib, if quick { 20 } else { 100 });
        }
    }
}

fn idle(shards: usize) {
    let stage = Stage::with_shards(shards as u64);
    let worker = stage.start("w1");
    let settled = stage.wait(Duration::from_secs(120), |world| balanced(world, shards, &["w1"]));
    assert!(settled.is_some(), "the shards are not taken: {}", worker.log());
    std::thread::sleep(Duration::from_secs(20));
    let (now, most) = worker.resident_mib();
    println!("{shards} idle shards: {now:.1} MiB resident, at most {most:.1} MiB");
    worker.terminate();
}

fn busy(shape: Shape, limit_mib: u64, shards: usize) {
    // More than the limit in all, or nothing would fill.
    let pages = Pages::new(shape, shards, 5);
    let changes = pages.changes();
    let (server, leases) = (Server::start(pages), Fake::start());
    leases.world().log.keep_no_inputs();
    server.served.put_millis.store(PUT_MILLIS, Ordering::Release);
    server.served.open.store(usize::MAX, Ordering::Release);
    let head = format!("[worker]\nmemory_limit = \"{limit_mib}MiB\"");
    let config = server.config(&leases.endpoint(), &head, "");
    let worker = Worker::start("test", &config);
    let began = Instant::now();
    while server.served.put_records.load(Ordering::Acquire) < changes {
        assert!(began.elapsed() < PATIENCE, "not carried in time: {}", worker.log());
        std::thread::sleep(LOOK);
    }
    let (now, most) = worker.resident_mib();
    let micros = worker.cpu().as_secs_f64() * 1e6 / changes as f64;
    println!(
        "{shards} busy shards, {} changes of {}, memory_limit {limit_mib} MiB: at most {most:.1} MiB resident (memory_limit + {:.1}), {now:.1} at the end; {micros:.1} µs of CPU a change",
        changes,
        shape.name,
        most - limit_mib as f64
    );
    worker.terminate();
}
