//! The loopback server: DynamoDB Streams and Kinesis from canned answers, on a thread of its own that is not measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use serde_json::json;

use crate::canned::{Pages, STREAM_ARN, whole};

pub struct Server {
    pub endpoint: String,
    pub served: Arc<Served>,
    _runtime: tokio::runtime::Runtime,
}

/// What the server holds and what it has seen.
pub struct Served {
    pages: Pages,
    /// So many pages of each shard are there; those behind them are empty yet.
    pub open: AtomicUsize,
    /// How often each shard was read.
    pub reads: Vec<AtomicUsize>,
    pub put_calls: AtomicUsize,
    pub put_records: AtomicUsize,
    /// Milliseconds until PutRecords is answered.
    pub put_millis: AtomicU64,
    placements: Vec<u8>,
}

const MOST_RECORDS: usize = 500;
const PARTITION_KEY: &[u8] = b"\"PartitionKey\"";

impl Server {
    pub fn start(pages: Pages) -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("server")
            .enable_all()
            .build()
            .expect("a runtime");
        let served = Arc::new(Served {
            reads: (0..pages.shards()).map(|_| AtomicUsize::new(0)).collect(),
            pages,
            open: AtomicUsize::new(0),
            put_calls: AtomicUsize::new(0),
            put_records: AtomicUsize::new(0),
            put_millis: AtomicU64::new(0),
            placements: placements(),
        });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("a bound listener"));
        let router = Router::new().fallback(handle).with_state(Arc::clone(&served));
        runtime.spawn(async move {
            // Serving ends only with the runtime.
            let _ = axum::serve(listener, router).await;
        });
        Server { endpoint, served, _runtime: runtime }
    }
}

impl Server {
    /// A configuration with this server as source and sink: `head` is its first sections, `record` the pipeline's last.
    pub fn config(&self, lease_table: &str, head: &str, record: &str) -> String {
        let endpoint = &self.endpoint;
        format!(
            r#"
{head}
[http]
listen = ""
[lease_table]
endpoint_url = "{lease_table}"
region = "eu-central-1"
[[pipeline]]
name = "orders"
[pipeline.source]
table = "orders"
endpoint_url = "{endpoint}"
region = "eu-central-1"
[pipeline.sink]
stream = "orders-cdc"
endpoint_url = "{endpoint}"
region = "eu-central-1"
{record}
"#
        )
    }
}

/// The results of a full PutRecords answer, without its end.
fn placements() -> Vec<u8> {
    let result = |n: usize| {
        format!(
            r#"{{"SequenceNumber":"49590338271490256608559692538361571095921575989136{n:06}","ShardId":"shardId-00000000000{}"}}"#,
            n % 4
        )
    };
    (0..MOST_RECORDS).map(result).collect::<Vec<_>>().join(",").into_bytes()
}

async fn handle(State(served): State<Arc<Served>>, request: Request) -> Response<Body> {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.split('.').nth(1)).unwrap_or_default().to_owned();
    let body = to_bytes(request.into_body(), usize::MAX).await.unwrap_or_default();
    let delay = served.put_millis.load(Ordering::Acquire);
    if delay > 0 && operation == "PutRecords" {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    Response::new(Body::from(served.answer(&operation, &body)))
}

impl Served {
    fn answer(&self, operation: &str, body: &[u8]) -> Bytes {
        let text = |name: &str| {
            let input: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            input[name].as_str().unwrap_or_default().to_owned()
        };
        let answer = match operation {
            "GetRecords" => return self.get_records(&text("ShardIterator")),
            "PutRecords" => return self.put_records(body),
            "GetShardIterator" => {
                let shard = text("ShardId");
                json!({"ShardIterator": format!("{}:0", shard.rsplit('-').next().unwrap_or_default())})
            }
            "ListStreams" => {
                json!({"Streams": [{"StreamArn": STREAM_ARN, "TableName": "orders", "StreamLabel": "2026-01-01T00:00:00.000"}]})
            }
            "DescribeStream" => self.describe_stream(),
            "ListShards" => json!({"Shards": (0..4u128).map(|n| json!({
                "ShardId": format!("shardId-00000000000{n}"),
                "HashKeyRange": {
                    "StartingHashKey": (n << 126).to_string(),
                    "EndingHashKey": ((n << 126) + ((1 << 126) - 1)).to_string(),
                },
                "SequenceNumberRange": {"StartingSequenceNumber": "1"},
            })).collect::<Vec<_>>()}),
            "DescribeStreamSummary" => json!({"StreamDescriptionSummary": {
                "StreamName": "orders-cdc",
                "StreamARN": "arn:aws:kinesis:eu-central-1:111122223333:stream/orders-cdc",
                "StreamStatus": "ACTIVE", "RetentionPeriodHours": 24, "StreamCreationTimestamp": 1.75e9,
                "EnhancedMonitoring": [], "OpenShardCount": 4,
            }}),
            other => panic!("the bench's server knows no {other}"),
        };
        answer.to_string().into()
    }

    fn describe_stream(&self) -> serde_json::Value {
        let shards = (0..self.pages.shards()).map(|shard| {
            json!({"ShardId": format!("shardId-00001750000000000-{shard}"),
                "SequenceNumberRange": {"StartingSequenceNumber": "300000000000000000000"}})
        });
        json!({"StreamDescription": {
            "StreamArn": STREAM_ARN, "StreamLabel": "2026-01-01T00:00:00.000", "StreamStatus": "ENABLED",
            "StreamViewType": self.pages.shape.view_type, "TableName": "orders",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "Shards": shards.collect::<Vec<_>>(),
        }})
    }

    fn get_records(&self, iterator: &str) -> Bytes {
        let (shard, page) = iterator.split_once(':').expect("an iterator of this server");
        let (shard, page): (usize, usize) = (shard.parse().expect("digits"), page.parse().expect("digits"));
        self.reads[shard].fetch_add(1, Ordering::AcqRel);
        if page >= self.open.load(Ordering::Acquire) {
            return whole(br#"{"Records":[]"#, iterator).into();
        }
        match self.pages.page(shard, page) {
            Some(records) => whole(records, &format!("{shard}:{}", page + 1)).into(),
            None => whole(br#"{"Records":[]"#, iterator).into(),
        }
    }

    fn put_records(&self, body: &[u8]) -> Bytes {
        let records = count(body);
        self.put_calls.fetch_add(1, Ordering::AcqRel);
        self.put_records.fetch_add(records, Ordering::AcqRel);
        let each = (self.placements.len() + 1) / MOST_RECORDS;
        let mut answer = br#"{"EncryptionType":"NONE","FailedRecordCount":0,"Records":["#.to_vec();
        answer.extend_from_slice(&self.placements[..(each * records).saturating_sub(1)]);
        answer.extend_from_slice(b"]}");
        answer.into()
    }
}

/// How many records a PutRecords request has.
fn count(body: &[u8]) -> usize {
    let quotes = body.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(at, _)| at);
    quotes.filter(|at| body[*at..].starts_with(PARTITION_KEY)).count()
}
