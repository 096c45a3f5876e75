//! A table, its stream, a Kinesis stream, and a bridge between them, for one test.

use std::ops::Range;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use ddb_kinesis_bridge::config::{Config, ConfigSource};
use ddb_kinesis_bridge::start::{Bridge, StartError};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::Fake;
use crate::support::items::KeySchema;
use crate::support::judge::{Report, judge};
use crate::support::log::Request;
use crate::support::payload::{Format, delivered, payloads};
use crate::support::world::World;

pub const TABLE: &str = "orders";
pub const SINK: &str = "orders-cdc";
/// The source's line that names the table.
pub const OF_TABLE: &str = "table = \"orders\"";

/// The fake with a table `orders` (keys `id`, `line`), a stream on it and a Kinesis stream `orders-cdc`.
pub struct Stage {
    pub fake: Fake,
    /// The table's stream.
    pub stream: String,
}

impl Stage {
    /// With both images in the stream's records.
    pub fn with_shards(shards: u64) -> Stage {
        Stage::new("NEW_AND_OLD_IMAGES", shards, |_| {})
    }

    /// `prepare` changes the world before there is anything in it.
    pub fn new(view_type: &str, shards: u64, prepare: impl FnOnce(&mut World)) -> Stage {
        let fake = Fake::start();
        let stream = {
            let mut world = fake.world();
            // A table made by the bridge is there at once: each look at one that is not costs a second.
            world.quirks.creating_calls = 0;
            prepare(&mut world);
            world.create_table(TABLE, KeySchema::hash("id", "S").and_range("line", "N"));
            world.create_kinesis_stream(SINK, 2);
            world.enable_stream(TABLE, view_type, shards)
        };
        Stage { fake, stream }
    }

    /// Writes `count` changes round over `items` items, the version counting on from what is there.
    pub fn write(&self, count: usize, items: usize) {
        write(&mut self.fake.world(), count, items);
    }

    /// The one open shard.
    pub fn open_shard(&self) -> String {
        let open = self.fake.world().stream(&self.stream).open_shards();
        assert_eq!(open.len(), 1, "{open:?}");
        open[0].clone()
    }

    /// A configuration with these extra lines in front, in its `[pipeline.source]`, and in and after its
    /// `[pipeline.sink]`.
    pub fn text(&self, front: &str, source: &str, sink: &str) -> String {
        let endpoint = self.fake.endpoint();
        let http = if front.contains("[http]") { "" } else { "[http]\nlisten = \"\"" };
        format!(
            r#"
{front}
{http}
[lease_table]
endpoint_url = "{endpoint}"
region = "eu-central-1"
heartbeat_interval = "200ms"
{LASTING}
checkpoint_interval = "200ms"
[[pipeline]]
name = "orders"
[pipeline.source]
endpoint_url = "{endpoint}"
region = "eu-central-1"
poll_interval_max = "200ms"
{source}
[pipeline.sink]
stream = "{SINK}"
endpoint_url = "{endpoint}"
region = "eu-central-1"
{sink}
"#
        )
    }

    pub fn config(&self, front: &str, source: &str, sink: &str) -> Config {
        parse(&self.text(front, source, sink))
    }

    /// [`Stage::plain`] for tests in which a worker dies.
    pub fn mortal(&self) -> Config {
        parse(&with_failover(&self.text("", OF_TABLE, ""), 1))
    }

    pub fn plain(&self) -> Config {
        self.config("", OF_TABLE, "")
    }

    pub async fn start(&self, config: Config) -> Running {
        self.try_start(config).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn try_start(&self, config: Config) -> Result<Running, StartError> {
        self.try_start_as("test", config).await
    }

    /// Signs with this access key id, so that the fake can tell who asks.
    pub async fn start_as(&self, key_id: &str, config: Config) -> Running {
        self.try_start_as(key_id, config).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn try_start_as(&self, key_id: &str, config: Config) -> Result<Running, StartError> {
        let _ = tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::INFO).try_init();
        let bridge = Bridge::prepare(config, Some(credentials_of(key_id))).await?;
        let (stop, stopped) = watch::channel(false);
        Ok(Running { stop, task: tokio::spawn(bridge.run(stopped)) })
    }

    pub fn judge(&self) -> Report {
        judged(&self.fake.world())
    }

    /// Panics unless exactly these of the table's changes are missing, and the others arrived once and in order.
    #[track_caller]
    pub fn assert_missing(&self, changes: Range<usize>) {
        let report = self.judge();
        // The judge sorts by item.
        let mut expected = self.fake.world().changes(TABLE)[changes].to_vec();
        expected.sort();
        assert_eq!(report.missing, expected, "{report}");
        assert!(report.inversions.is_empty() && report.duplicates.is_empty(), "{report}");
    }

    /// Waits until every change has arrived at least once.
    pub async fn all_arrive(&self) {
        self.arrive("every change in Kinesis", |world| world.changes(TABLE).len()).await;
    }

    /// Waits until every change has arrived that was made after the first `excluded` ones.
    pub async fn all_but_arrive(&self, excluded: usize) {
        self.arrive("every later change in Kinesis", move |world| world.changes(TABLE).len() - excluded)
            .await;
    }

    async fn arrive(&self, what: &str, wanted: impl Fn(&World) -> usize) {
        let mut stored_before = 0;
        self.fake
            .wait_until(what, |world| {
                // Judging holds the world up: only when it can have become true.
                let (stored, wanted) = (world.kinesis_stream(SINK).carried, wanted(world));
                if stored < wanted || stored == std::mem::replace(&mut stored_before, stored) {
                    return false;
                }
                let all = world.changes(TABLE);
                let missing = judged(world).missing;
                !all[all.len() - wanted..].iter().any(|change| missing.contains(change))
            })
            .await;
    }

    /// The payloads of one item's records, in order of arrival.
    pub fn payloads_of(&self, id: &str) -> Vec<Value> {
        let world = self.fake.world();
        let stored = world.kinesis_stream(SINK).stored.iter().flat_map(payloads);
        let payloads = stored.map(|data| serde_json::from_slice::<Value>(data).expect("a payload is JSON"));
        payloads.filter(|payload| payload["dynamodb"]["Keys"]["id"]["S"] == id).collect()
    }
}

/// The lease table's line that lets a session outlast any pause of a busy machine.
const LASTING: &str = "failover_time = \"30s\"";

/// The same configuration for tests in which a worker dies: its session is over after this many seconds. Such a test
/// must not count on a session that lives.
pub fn with_failover(text: &str, seconds: u32) -> String {
    text.replace(LASTING, &format!("failover_time = \"{seconds}s\""))
}

/// Reads a configuration, as if from standard input.
pub fn parse(text: &str) -> Config {
    Config::parse(text, ConfigSource::StandardInput, &|_| None).unwrap_or_else(|error| panic!("{error}"))
}

/// Writes `count` changes round over `items` items, the version counting on from what is there.
pub fn write(world: &mut World, count: usize, items: usize) {
    let already = world.changes(TABLE).len();
    for n in already..already + count {
        world.put(TABLE, item(&format!("item-{}", n % items), &n.to_string())).expect("a change");
    }
}

/// An item of the table.
pub fn item(id: &str, version: &str) -> Value {
    json!({"id": {"S": id}, "line": {"N": "1"}, "version": {"N": version}})
}

pub fn judged(world: &World) -> Report {
    judge(&world.changes(TABLE), &delivered(world.kinesis_stream(SINK), Format::DynamoDbJson))
}

/// Whether a request puts a record of this partition key.
pub fn puts(request: &Request, partition_key: &str) -> bool {
    let records = request.input["Records"].as_array();
    records.is_some_and(|records| records.iter().any(|record| record["PartitionKey"] == partition_key))
}

/// What the fake expects.
pub fn credentials() -> SharedCredentialsProvider {
    credentials_of("test")
}

fn credentials_of(key_id: &str) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new(key_id, "test", None, None, "test"))
}

/// A bridge under way.
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), StartError>>,
}

impl Running {
    /// Drains.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.expect("no panic").unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends it at once, as a crash would.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// How it ends by itself.
    pub async fn end(self) -> Result<(), StartError> {
        self.task.await.expect("no panic")
    }
}
