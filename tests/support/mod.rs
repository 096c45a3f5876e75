//! The outside of AWS for the tests: a scripted fake of the HTTP APIs of DynamoDB Streams, Kinesis, DynamoDB and
//! STS, and the judge that compares what was written to a table with what arrived in Kinesis.
//!
//! Owns one HTTP listener with four services on it and the world behind them. It never uses the library's code:
//! whatever the bridge believes, this module speaks HTTP only, so it can judge it from outside.
//!
//! A test talks to it in three ways: it changes the [`World`] (`fake.world().put(…)`, `.split(…)`), it scripts
//! faults (`fake.world().faults.once("PutRecords", Fault::DropConnection)`), and it waits for what must come
//! (`fake.wait_until("ten records", |world| …)`), never for time to pass.
// Each integration test crate includes this module whole and uses a part of it.
#![allow(dead_code)]

pub mod aggregate;
pub mod answer;
pub mod capacity;
pub mod clients;
pub mod condition;
pub mod fault;
pub mod items;
pub mod journal;
pub mod judge;
pub mod kinesis;
pub mod kinesis_api;
pub mod log;
pub mod payload;
pub mod query;
pub mod sequence;
pub mod server;
pub mod shards;
pub mod signature;
pub mod streams_api;
pub mod sts;
pub mod table;
pub mod table_api;
pub mod tokens;
pub mod update;
pub mod world;

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use self::server::Shared;
use self::world::World;

/// How long a wait may take before the test is given up. Nothing is decided by it: a test that passes never gets
/// near it, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running fake: dropped, its listener and every connection to it are closed.
pub struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// A runtime of its own, so that tests may pause or end theirs and process tests need none.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Fake {
    /// Starts an empty world on a free port of 127.0.0.1.
    pub fn start() -> Fake {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fake-aws")
            .enable_all()
            .build()
            .expect("a runtime for the fake");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on 127.0.0.1");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared::new(World::new()));
        runtime.spawn(server::run(listener, shared.clone()));
        Fake { address, shared, runtime: Some(runtime) }
    }

    /// The URL that stands for all services: what `endpoint_url` or `AWS_ENDPOINT_URL` takes.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The world, locked: requests wait while the guard lives, so several changes made under one guard are seen
    /// at once. Never hold it across an `.await`.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    /// Waits until `condition` holds; looks again after every request that arrived, took effect or was answered.
    /// Panics, with the last requests, when it never does.
    pub async fn wait_until(&self, what: &str, mut condition: impl FnMut(&World) -> bool) {
        let mut versions = self.shared.versions();
        let arrived = tokio::time::timeout(PATIENCE, async {
            loop {
                versions.borrow_and_update();
                if condition(&self.world()) {
                    return;
                }
                // The sender lives in `shared`, so this fails only if the fake itself is gone.
                if versions.changed().await.is_err() {
                    return;
                }
            }
        })
        .await;
        if arrived.is_err() {
            let tail = self.world().log.tail(20);
            panic!("waited {PATIENCE:?} in vain for: {what}. The last requests were:\n{tail}");
        }
    }

    /// Closes the listener and every connection, as when the endpoint dies, and returns once they are closed.
    /// The world stays readable.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not end on a thread that runs another one, as an async test's does.
            let ending = std::thread::spawn(move || runtime.shutdown_timeout(PATIENCE));
            // An error would be a panic in the shutdown, which has shown itself by then.
            let _ = ending.join();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}
