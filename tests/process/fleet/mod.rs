//! A fleet: several bridge processes that share one lease table and carry six tables, each with one stream shard, into
//! six Kinesis streams, while changes are made all the time. Emulators, workers and the watching test are processes of
//! their own.

mod balance;
mod kills;
mod rolling;
mod traffic;
mod zombie;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::StreamViewType;
use ddb_kinesis_bridge::demo::tables::TableSpec;
use ddb_kinesis_bridge::demo::verify::Report;

use crate::emulators::EmulatorProcess;
use crate::harness::bridge::Bridge;
use crate::harness::lease_rows::{Row, rows, sort_key, text};
use crate::harness::place::Place;
use crate::harness::settings::{Pipeline, Settings};
use crate::harness::{announce, wait_for};
use traffic::{Ends, Rounds};

/// Tables, pipelines, stream shards and so leases.
const LEASES: usize = 6;
/// Workers, where all are there.
const WORKERS: usize = 3;

/// The emulators, the workers that run now, and the changes being made.
struct Fleet {
    test: String,
    workers: BTreeMap<String, Bridge>,
    rounds: Rounds,
    settings: Settings,
    place: Place,
    _emulators: EmulatorProcess,
}

impl Fleet {
    /// Tables with changes being made to them, and no worker yet. `timing` says how the workers keep their sessions.
    async fn begin(test: &str, timing: impl FnOnce(Settings) -> Settings) -> Fleet {
        let emulators = EmulatorProcess::start();
        let place = Place::beside(test, emulators.endpoints.clone());
        let mut settings = timing(place.settings());
        let mut ends = Vec::new();
        for index in 0..LEASES {
            let table = place.name(&format!("table-{index}"));
            place.table(&TableSpec::orders(&table, StreamViewType::NewAndOldImages)).await;
            let stream = place.stream(&format!("cdc-{index}"), 1).await;
            settings = settings.pipeline(Pipeline::new(&format!("orders-{index}"), &table, &stream));
            ends.push(Ends { table, stream });
        }
        let rounds = Rounds::begin(&place, ends).await;
        let workers = BTreeMap::new();
        Fleet { test: test.to_owned(), workers, rounds, settings, place, _emulators: emulators }
    }

    /// Starts a worker of this id.
    fn start(&mut self, id: &str) {
        let settings = Settings { worker_id: id.to_owned(), ..self.settings.clone() };
        let before = self.workers.insert(id.to_owned(), Bridge::start(&settings.to_toml()));
        assert!(before.is_none(), "{id} runs already");
    }

    /// Ends a worker with SIGTERM, and fails unless its exit code is 0.
    async fn terminate(&mut self, id: &str) {
        let mut worker = self.workers.remove(id).expect("a worker of that id runs");
        worker.begun().await;
        worker.terminate_cleanly().await;
    }

    /// Ends a worker with SIGKILL.
    async fn kill(&mut self, id: &str) {
        self.workers.remove(id).expect("a worker of that id runs").kill9().await;
    }

    fn worker(&self, id: &str) -> &Bridge {
        &self.workers[id]
    }

    /// The shard rows of all pipelines.
    async fn shard_rows(&self) -> Vec<Row> {
        let mut all = Vec::new();
        for pipeline in &self.settings.pipelines {
            let pk = format!("pipeline#{}", pipeline.name);
            all.extend(rows(&self.place, &self.settings.lease_table, &pk).await);
        }
        all.retain(|row| sort_key(row).starts_with("shard#"));
        all
    }

    /// How many leases each owner holds; nobody's are not counted.
    async fn shares(&self) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for row in self.shard_rows().await {
            if let Some(owner) = text(&row, "owner") {
                *shares.entry(owner.to_owned()).or_default() += 1;
            }
        }
        shares
    }

    /// Waits until the workers that run, and no others, hold all leases, each the same number.
    async fn balanced(&mut self) {
        assert_eq!(LEASES % self.workers.len(), 0, "no two shares differ");
        let each = LEASES / self.workers.len();
        let wanted: BTreeMap<String, usize> = self.workers.keys().map(|id| (id.clone(), each)).collect();
        let began = std::time::Instant::now();
        let mut seen = BTreeMap::new();
        wait_for(&format!("{wanted:?}"), async || {
            self.all_run();
            let shares = self.shares().await;
            if shares != seen {
                // For whoever reads the log; nothing is asserted about a machine's speed.
                let seconds = began.elapsed().as_secs_f64();
                announce(&format!("{}: {shares:?} after {seconds:.1} s", self.test));
                seen.clone_from(&shares);
            }
            (shares == wanted).then_some(())
        })
        .await;
    }

    fn all_run(&mut self) {
        self.workers.values_mut().for_each(Bridge::assert_running);
    }

    /// The session row's incarnation of a worker, if it has one.
    async fn incarnation(&self, id: &str) -> Option<String> {
        let sessions = rows(&self.place, &self.settings.lease_table, "workers").await;
        let session = sessions.iter().find(|row| sort_key(row) == id)?;
        text(session, "incarnation").map(str::to_owned)
    }

    /// Ends the traffic once all has arrived, then every worker with SIGTERM, and gives the verdict over all tables.
    async fn finish(mut self) -> Report {
        self.rounds.stop().await;
        self.all_run();
        let ids: Vec<String> = self.workers.keys().cloned().collect();
        for id in ids {
            self.terminate(&id).await;
        }
        let report = self.rounds.judge().await;
        announce(&format!("{}: {report}", self.test));
        report
    }
}
