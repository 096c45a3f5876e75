//! What one Kinesis stream received, watched from outside: the records, and the judge that compares them with what was
//! written.

use std::time::Instant;

use ddb_kinesis_bridge::demo::consumer::{Consumer, Landed};
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::payload::Delivered;
use ddb_kinesis_bridge::demo::verify::{Report, Verifier};

use super::aggregate::unpacked;
use super::bridge::Bridge;
use super::place::Place;
use super::{LOOK, STUCK};

/// A reader of one Kinesis stream and its judge.
pub struct Delivery {
    consumer: Consumer,
    pub ledger: Ledger,
    /// All that landed, duplicates included, in each shard's order, an aggregate's changes one by one; empty for a judge
    /// only.
    pub records: Vec<(Landed, Delivered)>,
    keep_records: bool,
}

impl Delivery {
    pub async fn watch(place: &Place, stream: &str, ledger: Ledger) -> Self {
        let consumer = Consumer::start(&place.clients.kinesis, stream).await.expect("the stream can be read");
        Delivery { consumer, ledger, records: Vec::new(), keep_records: true }
    }

    /// Forgets each record once it is judged: for runs of many.
    pub fn judge_only(mut self) -> Self {
        self.keep_records = false;
        self
    }

    /// Waits until the judge is satisfied. Fails when nothing new lands for long, or when the bridge ends.
    pub async fn until(&mut self, bridge: &mut Bridge, what: &str, enough: impl Fn(&Verifier) -> bool) {
        let mut last = Instant::now();
        while !self.ledger.ask(&enough) {
            if self.take_next().await {
                last = Instant::now();
            } else {
                bridge.assert_running();
            }
            assert!(
                last.elapsed() < STUCK,
                "nothing landed for {} s while waiting for {what}: {}",
                STUCK.as_secs(),
                self.ledger.report()
            );
        }
    }

    /// Judges the next record that lands; false when none does for a moment.
    pub async fn take_next(&mut self) -> bool {
        let Ok(landed) = tokio::time::timeout(LOOK, self.consumer.next()).await else { return false };
        self.land(landed.expect("the stream can be read").expect("its shards stay open"));
        true
    }

    /// Waits until as many changes arrived as were made.
    pub async fn until_complete(&mut self, bridge: &mut Bridge) {
        self.until(bridge, "all changes", Verifier::is_complete).await;
    }

    /// Waits until so many different changes arrived.
    pub async fn until_arrived(&mut self, bridge: &mut Bridge, count: usize) {
        self.until(bridge, &format!("{count} changes"), |judge| judge.arrived() >= count).await;
    }

    /// Takes what else lies in the stream, once nobody writes to it any more, and gives the verdict.
    pub async fn finish(mut self) -> (Vec<(Landed, Delivered)>, Report) {
        self.consumer.finish();
        while let Some(landed) = self.consumer.next().await.expect("the stream can be read") {
            self.land(landed);
        }
        let report = self.ledger.report();
        (self.records, report)
    }

    fn land(&mut self, landed: Landed) {
        let payloads = unpacked(&landed.partition_key, &landed.data);
        for data in payloads.unwrap_or_else(|why| panic!("unreadable record: {why}")) {
            let landed = Landed { data: data.to_vec(), ..landed.clone() };
            match self.ledger.landed(&landed.data, landed.at) {
                Ok((record, _)) if self.keep_records => self.records.push((landed, record)),
                Ok(_) => {}
                Err(why) => panic!("unreadable record: {why}: {}", String::from_utf8_lossy(&landed.data)),
            }
        }
    }
}
