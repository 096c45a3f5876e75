//! The stage of a bench: the scripted fake of the AWS APIs in this process, a table with a stream of many shards in it,
//! and the release binary as workers between it and a Kinesis stream, with the default timing of leases.
// Each bench includes this module whole and uses a part of it.
#![allow(dead_code)]

pub mod arrivals;
pub mod leases;
pub mod traffic;
pub mod worker;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::Fake;
use crate::support::items::KeySchema;
use crate::support::world::World;
use worker::Worker;

pub const TABLE: &str = "orders";
pub const SINK: &str = "orders-cdc";
/// Between two looks at the fake.
const LOOK: Duration = Duration::from_millis(20);

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
            world.log.keep_no_inputs();
            world.quirks.creating_calls = 0;
            world.create_table(TABLE, KeySchema::hash("id", "S"));
            world.create_kinesis_stream(SINK, 4);
            world.enable_stream(TABLE, "NEW_AND_OLD_IMAGES", shards)
        };
        Stage { fake, stream }
    }

    /// Starts a worker. Its id is its access key id too, so that the fake's log tells who asked.
    pub fn start(&self, id: &str) -> Worker {
        self.start_with(id, "")
    }

    /// The same with these lines in the sink's section.
    pub fn start_with(&self, id: &str, sink: &str) -> Worker {
        Worker::start(id, &self.config(id, sink))
    }

    fn config(&self, id: &str, sink: &str) -> String {
        let endpoint = self.fake.endpoint();
        format!(
            r#"
[worker]
id = "{id}"
[http]
listen = ""
[log]
format = "text"
[lease_table]
endpoint_url = "{endpoint}"
region = "eu-central-1"
[[pipeline]]
name = "orders"
[pipeline.source]
table = "{TABLE}"
endpoint_url = "{endpoint}"
region = "eu-central-1"
[pipeline.sink]
stream = "{SINK}"
endpoint_url = "{endpoint}"
region = "eu-central-1"
{sink}
"#
        )
    }

    /// Looks until the condition holds, and says how long that took; `None` when the time is over first.
    pub fn wait(&self, at_most: Duration, mut holds: impl FnMut(&World) -> bool) -> Option<Duration> {
        let began = Instant::now();
        loop {
            if holds(&self.fake.world()) {
                return Some(began.elapsed());
            }
            if began.elapsed() > at_most {
                return None;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ids of items, `each` of every open shard, a shard's next to each other.
    pub fn items(&self, each: usize) -> Vec<String> {
        let mut world = self.fake.world();
        let stream = world.stream_mut(&self.stream);
        let mut by_shard: BTreeMap<String, Vec<String>> =
            stream.open_shards().into_iter().map(|shard| (shard, Vec::new())).collect();
        let mut short = by_shard.len();
        for number in 0.. {
            if short == 0 {
                break;
            }
            let id = format!("item-{number}");
            let shard = stream.open_shard_for(&json!({"S": id})).expect("every key has a shard").id.clone();
            let ids = by_shard.get_mut(&shard).expect("an open shard");
            if ids.len() < each {
                ids.push(id);
                short -= usize::from(ids.len() == each);
            }
        }
        by_shard.into_values().flatten().collect()
    }
}
