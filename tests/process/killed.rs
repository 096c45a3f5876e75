//! 20,000 changes over 500 items while the bridge is ended five times in the middle of its work and started again: by
//! SIGKILL (everything arrives, first deliveries in order, duplicates allowed and counted), and by SIGTERM (no
//! duplicates either). The ends are tied to what has arrived, at places that a seed gives.

use aws_sdk_dynamodb::types::StreamViewType;
use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::plan::Plan;
use ddb_kinesis_bridge::demo::traffic::{Load, Traffic};
use ddb_kinesis_bridge::demo::verify::Report;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;

use crate::harness::announce;
use crate::harness::bridge::Bridge;
use crate::harness::delivery::Delivery;
use crate::harness::place::Place;
use crate::harness::settings::Pipeline;

const CHANGES: usize = 20_000;
const ITEMS: usize = 500;
const ENDS: usize = 5;
/// Another seed replays another run: set it to the one that a failed run printed.
const SEED_VARIABLE: &str = "BRIDGE_TEST_SEED";

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_loses_nothing_and_keeps_the_order() {
    let report = ended_in_the_middle("sigkill", How::Kill).await;
    assert!(report.is_ok(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_delivers_everything_once() {
    let report = ended_in_the_middle("sigterm", How::Terminate).await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.duplicates, 0, "{report}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Kill,
    Terminate,
}

async fn ended_in_the_middle(test: &str, how: How) -> Report {
    let seed = seed();
    let places = places(seed);
    announce(&format!("{test}: {SEED_VARIABLE}={seed}; the bridge is ended after {places:?} changes"));
    let place = Place::embedded(test);
    let table = place.orders_table(StreamViewType::NewAndOldImages).await;
    let stream = place.stream("cdc", 8).await;
    let settings = place.settings().pipeline(Pipeline::new("orders", &table, &stream));
    let toml = match how {
        How::Kill => settings.short_failover().to_toml(),
        How::Terminate => settings.to_toml(),
    };

    let ledger = Ledger::new();
    let load = Load { table, changes: Some(CHANGES as u64), rate: None, writers: 16 };
    let traffic = Traffic::start(&place.clients.dynamodb, &load, Plan::new(seed, ITEMS), &ledger);
    let mut delivery = Delivery::watch(&place, &stream, ledger.clone()).await.judge_only();
    let mut bridge = Bridge::start(&toml);
    for arrived in places {
        delivery.until_arrived(&mut bridge, arrived).await;
        match how {
            How::Kill => bridge.kill9().await,
            How::Terminate => {
                bridge.begun().await;
                bridge.terminate_cleanly().await;
            }
        }
        bridge = Bridge::start(&toml);
    }
    delivery.until_arrived(&mut bridge, CHANGES).await;
    traffic.finished().await.expect("every change is made");
    bridge.begun().await;
    bridge.terminate_cleanly().await;

    let (_, report) = delivery.finish().await;
    assert_eq!((report.expected, ledger.ask(|judge| judge.items())), (CHANGES, ITEMS));
    announce(&format!("{test}: {report}"));
    report
}

/// After how many delivered changes the bridge is ended: in rising order, each before the last change can be there.
fn places(seed: u64) -> Vec<usize> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut places = BTreeSet::new();
    while places.len() < ENDS {
        places.insert(random.random_range(1..CHANGES * 9 / 10));
    }
    places.into_iter().collect()
}

fn seed() -> u64 {
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE} is a number, not {text:?}")),
        Err(_) => rand::random(),
    }
}
