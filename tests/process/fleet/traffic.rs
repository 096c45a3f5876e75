//! The fleet's traffic: to each table one round of changes after another, the next when the last has arrived. So there
//! is always something under way, never more than one round, and nothing depends on the time that anything takes.

use std::time::Instant;

use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::plan::Plan;
use ddb_kinesis_bridge::demo::traffic::{Load, Traffic};
use ddb_kinesis_bridge::demo::verify::{Report, Verifier};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::harness::STUCK;
use crate::harness::delivery::Delivery;
use crate::harness::place::Place;

/// Changes a round.
const ROUND: u64 = 20;
/// Items a table: fewer than changes, so that an item's next change waits behind the one before it.
const ITEMS: usize = 12;

/// A table and the Kinesis stream that it is carried to.
pub struct Ends {
    pub table: String,
    pub stream: String,
}

/// Rounds to every table.
pub struct Rounds {
    stop: watch::Sender<bool>,
    tables: Vec<Table>,
}

struct Table {
    /// Rounds that have arrived whole.
    arrived: watch::Receiver<usize>,
    task: Option<JoinHandle<Delivery>>,
    delivery: Option<Delivery>,
}

impl Rounds {
    pub async fn begin(place: &Place, ends: Vec<Ends>) -> Rounds {
        let (stop, stopped) = watch::channel(false);
        let mut tables = Vec::new();
        for (index, ends) in ends.into_iter().enumerate() {
            let ledger = Ledger::new();
            let writer = Writer {
                client: place.clients.dynamodb.clone(),
                table: ends.table,
                plan: Plan::new(index as u64, ITEMS),
                delivery: Delivery::watch(place, &ends.stream, ledger).await.judge_only(),
            };
            let (arrives, arrived) = watch::channel(0);
            let task = tokio::spawn(writer.run(stopped.clone(), arrives));
            tables.push(Table { arrived, task: Some(task), delivery: None });
        }
        Rounds { stop, tables }
    }

    /// Waits until so many further rounds to every table have arrived. A round under way now is not counted.
    pub async fn go_on(&mut self, rounds: usize) {
        let from: Vec<usize> = self.tables.iter().map(|table| *table.arrived.borrow()).collect();
        for (table, from) in self.tables.iter_mut().zip(from) {
            let enough = table.arrived.wait_for(|arrived| *arrived > from + rounds).await.is_ok();
            if !enough {
                table.ended().await;
                panic!("the traffic goes on for as long as the test");
            }
        }
    }

    /// Begins no further round, and waits until those under way have arrived.
    pub async fn stop(&mut self) {
        self.stop.send_replace(true);
        for table in &mut self.tables {
            table.ended().await;
        }
    }

    /// The verdict over all tables, once nobody writes to their Kinesis streams any more.
    pub async fn judge(self) -> Report {
        let mut all = Report::default();
        for table in self.tables {
            let delivery = table.delivery.expect("the traffic has been stopped");
            let (_, report) = delivery.finish().await;
            all.expected += report.expected;
            all.delivered += report.delivered;
            all.duplicates += report.duplicates;
            all.missing += report.missing;
            all.unexpected += report.unexpected;
            all.out_of_order += report.out_of_order;
            all.undecodable += report.undecodable;
            all.problems.extend(report.problems);
        }
        all
    }
}

impl Table {
    /// Waits for the task's end, and fails as it failed.
    async fn ended(&mut self) {
        if let Some(task) = self.task.take() {
            match task.await {
                Ok(delivery) => self.delivery = Some(delivery),
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        }
    }
}

/// Makes one table's changes and watches them arrive.
struct Writer {
    client: aws_sdk_dynamodb::Client,
    table: String,
    plan: Plan,
    delivery: Delivery,
}

impl Writer {
    async fn run(mut self, stopped: watch::Receiver<bool>, arrives: watch::Sender<usize>) -> Delivery {
        let ledger = self.delivery.ledger.clone();
        let load = Load { table: self.table.clone(), changes: Some(ROUND), rate: None, writers: 4 };
        while !*stopped.borrow() {
            let traffic = Traffic::start(&self.client, &load, self.plan, &ledger);
            self.plan = traffic.finished().await.expect("every change is made");
            let mut moved = Instant::now();
            while !ledger.ask(Verifier::is_complete) {
                if self.delivery.take_next().await {
                    moved = Instant::now();
                }
                assert!(
                    moved.elapsed() < STUCK,
                    "{}: nothing has arrived for {} s: {}",
                    self.table,
                    STUCK.as_secs(),
                    ledger.report()
                );
            }
            arrives.send_modify(|rounds| *rounds += 1);
        }
        self.delivery
    }
}
