//! The real binary between a DynamoDB and a Kinesis: embedded emulators, or whatever `BRIDGE_TEST_ENDPOINT` names. Each
//! test that ran to its end prints a line `emulator test ran: NAME against ENDPOINT` on standard error.
#![expect(
    clippy::disallowed_methods,
    reason = "tests watch processes from outside: nothing here is simulated"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod carriage;
mod faulty;
mod images;
mod judge;
mod keys;
mod lease_table;
mod oversize;
mod restart;
mod stream_again;
mod views;

use ddb_kinesis_bridge::demo::ledger::Ledger;
use ddb_kinesis_bridge::demo::plan::Plan;
use ddb_kinesis_bridge::demo::traffic::{Load, Traffic};

use harness::place::Place;

/// Makes so many changes of the plan, and comes back with the plan when all are made.
async fn write(place: &Place, table: &str, plan: Plan, changes: u64, ledger: &Ledger) -> Plan {
    let load = Load { table: table.to_owned(), changes: Some(changes), rate: None, writers: 8 };
    let traffic = Traffic::start(&place.clients.dynamodb, &load, plan, ledger);
    traffic.finished().await.expect("every change is made")
}
