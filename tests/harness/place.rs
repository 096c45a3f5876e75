//! The place of a test: DynamoDB, Streams and Kinesis endpoints, with names that no other test uses. Embedded
//! emulators of its own by default; one endpoint for all, and for all tests, where `BRIDGE_TEST_ENDPOINT` is set.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::StreamViewType;
use ddb_kinesis_bridge::demo::clients::{Clients, Endpoints};
use ddb_kinesis_bridge::demo::emulators::Emulators;
use ddb_kinesis_bridge::demo::tables::{self, TableSpec};

use super::announce;
use super::settings::Settings;

/// One endpoint for every service, as LocalStack, MiniStack and moto have it.
const ENDPOINT_VARIABLE: &str = "BRIDGE_TEST_ENDPOINT";

pub struct Place {
    pub endpoints: Endpoints,
    pub clients: Clients,
    test: String,
    /// Goes into every name.
    suffix: String,
    skipped: Cell<bool>,
    embedded: bool,
    _emulators: Option<Emulators>,
}

impl Place {
    /// A place for the test of that name.
    pub fn open(test: &str) -> Self {
        match std::env::var(ENDPOINT_VARIABLE).ok().filter(|url| !url.is_empty()) {
            Some(url) => Self::at(test, Endpoints::single(url.trim_end_matches('/')), false, None),
            None => Self::embedded(test),
        }
    }

    /// A place with embedded emulators, whatever the environment says.
    pub fn embedded(test: &str) -> Self {
        let emulators = Emulators::start().expect("the embedded emulators start");
        Self::at(test, Endpoints::of(&emulators), true, Some(emulators))
    }

    /// A place with embedded emulators that another process serves, and keeps for as long as the test needs them.
    pub fn beside(test: &str, endpoints: Endpoints) -> Self {
        Self::at(test, endpoints, true, None)
    }

    fn at(test: &str, endpoints: Endpoints, embedded: bool, emulators: Option<Emulators>) -> Self {
        let clients = Clients::new(&endpoints);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        let suffix = format!("{}-{}", std::process::id(), now.as_micros());
        let (test, skipped) = (test.to_owned(), Cell::new(false));
        Place { endpoints, clients, test, suffix, skipped, embedded, _emulators: emulators }
    }

    fn against(&self) -> &str {
        if self.is_embedded() { "embedded emulators" } else { &self.endpoints.dynamodb }
    }

    pub fn is_embedded(&self) -> bool {
        self.embedded
    }

    /// Says that the test stops here because the emulator lacks something. Never for an embedded emulator: there a
    /// test runs or fails.
    pub fn skip(&self, why: &str) {
        assert!(!self.is_embedded(), "{}: {why}", self.test);
        self.skipped.set(true);
        announce(&format!("emulator test skipped: {} against {}: {why}", self.test, self.against()));
    }

    /// A name of this test's own.
    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}-{}", self.test, self.suffix)
    }

    /// Creates a table of orders with its stream.
    pub async fn orders_table(&self, view: StreamViewType) -> String {
        let name = self.name("table");
        self.table(&TableSpec::orders(&name, view)).await;
        name
    }

    pub async fn table(&self, spec: &TableSpec) {
        tables::create_table(&self.clients, spec).await.expect("the table is created");
    }

    /// Creates a Kinesis stream.
    pub async fn stream(&self, what: &str, shards: i32) -> String {
        let name = self.name(what);
        tables::create_stream(&self.clients, &name, shards).await.expect("the stream is created");
        name
    }

    /// A configuration for this place, without a pipeline yet.
    pub fn settings(&self) -> Settings {
        Settings::new(&self.endpoints, self.name("leases"), self.name("worker"))
    }
}

impl Drop for Place {
    /// Says that the test ran, once it did to its end: CI counts these lines.
    fn drop(&mut self) {
        if !self.skipped.get() && !std::thread::panicking() {
            announce(&format!("emulator test ran: {} against {}", self.test, self.against()));
        }
    }
}
