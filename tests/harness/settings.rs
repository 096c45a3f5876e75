//! The configuration of a test's bridge, as TOML text. Short intervals, so that what has to be waited for comes soon.

use std::fmt::Write;

use ddb_kinesis_bridge::demo::clients::{Endpoints, REGION};

#[derive(Debug, Clone)]
pub struct Settings {
    pub worker_id: String,
    pub shutdown_timeout: String,
    pub lease_table: String,
    pub heartbeat_interval: String,
    pub failover_time: String,
    /// DynamoDB for the lease table.
    pub lease_endpoint: String,
    /// DynamoDB Streams.
    pub source_endpoint: String,
    pub sink_endpoint: String,
    pub pipelines: Vec<Pipeline>,
}

#[derive(Debug, Clone)]
pub struct Pipeline {
    pub name: String,
    pub table: String,
    pub stream: String,
    pub format: String,
    pub partition_key: String,
    pub oversize: String,
    /// More lines for its sink.
    pub sink: String,
}

impl Pipeline {
    /// With the defaults of a configuration.
    pub fn new(name: &str, table: &str, stream: &str) -> Self {
        Pipeline {
            name: name.to_owned(),
            table: table.to_owned(),
            stream: stream.to_owned(),
            format: "dynamodb_json".to_owned(),
            partition_key: "partition_key".to_owned(),
            oversize: "drop_images".to_owned(),
            sink: String::new(),
        }
    }

    pub fn format(mut self, format: &str) -> Self {
        self.format = format.to_owned();
        self
    }

    pub fn sink(mut self, lines: &str) -> Self {
        self.sink = lines.to_owned();
        self
    }

    pub fn partition_key(mut self, mode: &str) -> Self {
        self.partition_key = mode.to_owned();
        self
    }
}

impl Settings {
    pub fn new(endpoints: &Endpoints, lease_table: String, worker_id: String) -> Self {
        Settings {
            worker_id,
            shutdown_timeout: "60s".to_owned(),
            lease_table,
            // Far apart, so that no stall of a busy machine ends a session: requests that end with it are sent again,
            // and some of them arrive twice.
            heartbeat_interval: "1s".to_owned(),
            failover_time: "60s".to_owned(),
            lease_endpoint: endpoints.dynamodb.clone(),
            source_endpoint: endpoints.dynamodb.clone(),
            sink_endpoint: endpoints.kinesis.clone(),
            pipelines: Vec::new(),
        }
    }

    /// For tests that kill: the next start waits for this long until the killed one's session is seen to be dead.
    pub fn short_failover(mut self) -> Self {
        self.heartbeat_interval = "200ms".to_owned();
        self.failover_time = "1s".to_owned();
        self
    }

    pub fn pipeline(mut self, pipeline: Pipeline) -> Self {
        self.pipelines.push(pipeline);
        self
    }

    pub fn to_toml(&self) -> String {
        let mut text = format!(
            r#"[worker]
id = "{}"
shutdown_timeout = "{}"
[lease_table]
name = "{}"
heartbeat_interval = "{}"
failover_time = "{}"
checkpoint_interval = "500ms"
region = "{REGION}"
endpoint_url = "{}"
[http]
listen = ""
[log]
level = "info"
format = "text"
"#,
            self.worker_id,
            self.shutdown_timeout,
            self.lease_table,
            self.heartbeat_interval,
            self.failover_time,
            self.lease_endpoint
        );
        for pipeline in &self.pipelines {
            write!(
                text,
                r#"
[[pipeline]]
name = "{}"
[pipeline.source]
table = "{}"
region = "{REGION}"
endpoint_url = "{}"
[pipeline.sink]
stream = "{}"
oversize = "{}"
region = "{REGION}"
endpoint_url = "{}"
{}
[pipeline.record]
format = "{}"
partition_key = "{}"
"#,
                pipeline.name,
                pipeline.table,
                self.source_endpoint,
                pipeline.stream,
                pipeline.oversize,
                self.sink_endpoint,
                pipeline.sink,
                pipeline.format,
                pipeline.partition_key
            )
            .expect("a string takes all text");
        }
        text
    }
}
