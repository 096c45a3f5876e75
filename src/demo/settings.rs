//! The demo's names, and the configuration that it hands to the worker: TOML text like any user's, so that the demo
//! goes through the same door as the `run` command.

use super::clients::{Endpoints, REGION};

/// The table whose changes are carried.
pub const TABLE: &str = "orders";
/// The Kinesis stream that they are carried to.
pub const STREAM: &str = "orders-cdc";
/// The Kinesis stream's shards.
pub const STREAM_SHARDS: i32 = 4;
/// The lease table.
pub const LEASE_TABLE: &str = "ddb-kinesis-bridge";
/// The pipeline's name.
pub const PIPELINE: &str = "orders";

/// The worker's configuration: as the defaults have it, save that checkpoints come often enough to be watched.
pub fn configuration(endpoints: &Endpoints) -> String {
    let Endpoints { dynamodb, kinesis } = endpoints;
    format!(
        r#"[worker]
id = "demo"
shutdown_timeout = "25s"

[lease_table]
name = "{LEASE_TABLE}"
checkpoint_interval = "1s"
region = "{REGION}"
endpoint_url = "{dynamodb}"

[http]
listen = ""

[log]
level = "warn"

[[pipeline]]
name = "{PIPELINE}"
[pipeline.source]
table = "{TABLE}"
region = "{REGION}"
endpoint_url = "{dynamodb}"
[pipeline.sink]
stream = "{STREAM}"
region = "{REGION}"
endpoint_url = "{kinesis}"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml() {
        let endpoints = Endpoints::single("http://127.0.0.1:1");
        assert!(configuration(&endpoints).parse::<toml::Table>().is_ok());
    }
}
