//! A table, its stream, a Kinesis stream, and a bridge between them, for one test.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use ddb_kinesis_bridge::config::{Config, ConfigSource};
use ddb_kinesis_bridge::start::{Bridge, StartError};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::Fake;
use crate::support::items::KeySchema;
use crate::support::judge::{Report, judge};
use crate::support::payload::{Format, delivered};

pub const TABLE: &str = "orders";
pub const SINK: &str = "orders-cdc";

/// The fake with a table `orders` (keys `id`, `line`), a stream on it and a Kinesis stream `orders-cdc`.
pub struct Stage {
    pub fake: Fake,
    /// The table's stream.
    pub stream: String,
}

impl Stage {
    pub fn with_shards(shards: u64) -> Stage {
        let fake = Fake::start();
        let stream = {
            let mut world = fake.world();
            world.create_table(TABLE, KeySchema::hash("id", "S").and_range("line", "N"));
            world.create_kinesis_stream(SINK, 2);
            world.enable_stream(TABLE, "NEW_AND_OLD_IMAGES", shards)
        };
        Stage { fake, stream }
    }

    /// Writes `count` changes round over `items` items, the version counting on from what is there.
    pub fn write(&self, count: usize, items: usize) {
        let mut world = self.fake.world();
        let already = world.changes(TABLE).len();
        for n in already..already + count {
            let item = json!({
                "id": {"S": format!("item-{}", n % items)}, "line": {"N": "1"}, "version": {"N": n.to_string()}
            });
            world.put(TABLE, item).expect("a change");
        }
    }

    /// The one open shard.
    pub fn open_shard(&self) -> String {
        let open = self.fake.world().stream(&self.stream).open_shards();
        assert_eq!(open.len(), 1, "{open:?}");
        open[0].clone()
    }

    /// A bridge with these extra lines in its `[pipeline.source]`, `[pipeline.sink]` and in front.
    pub fn config(&self, front: &str, source: &str, sink: &str) -> Config {
        let endpoint = self.fake.endpoint();
        let text = format!(
            r#"
            {front}
            [http]
            listen = ""
            [lease_table]
            endpoint_url = "{endpoint}"
            region = "eu-central-1"
            heartbeat_interval = "200ms"
            failover_time = "1s"
            checkpoint_interval = "200ms"
            [[pipeline]]
            name = "orders"
            [pipeline.source]
            endpoint_url = "{endpoint}"
            region = "eu-central-1"
            {source}
            [pipeline.sink]
            stream = "{SINK}"
            endpoint_url = "{endpoint}"
            region = "eu-central-1"
            {sink}
            "#
        );
        Config::parse(&text, ConfigSource::StandardInput, &|_| None).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn plain(&self) -> Config {
        self.config("", "table = \"orders\"", "")
    }

    pub async fn start(&self, config: Config) -> Running {
        self.try_start(config).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn try_start(&self, config: Config) -> Result<Running, StartError> {
        let _ = tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::INFO).try_init();
        let credentials =
            SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
        let bridge = Bridge::prepare(config, Some(credentials)).await?;
        let (stop, stopped) = watch::channel(false);
        Ok(Running { stop, task: tokio::spawn(bridge.run(stopped)) })
    }

    pub fn judge(&self) -> Report {
        let world = self.fake.world();
        judge(&world.changes(TABLE), &delivered(world.kinesis_stream(SINK), Format::DynamoDbJson))
    }

    /// Waits until every change has arrived at least once.
    pub async fn all_arrive(&self) {
        self.fake
            .wait_until("every change in Kinesis", |world| {
                // Judging holds the world up: not before it can be true.
                if world.kinesis_stream(SINK).stored.len() < world.changes(TABLE).len() {
                    return false;
                }
                let report = judge(
                    &world.changes(TABLE),
                    &delivered(world.kinesis_stream(SINK), Format::DynamoDbJson),
                );
                report.missing.is_empty()
            })
            .await;
    }
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
}
