//! Loopback I/O, apart: the same bytes through the HTTP client that the SDK uses underneath, with nothing done to them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::canned::Pages;
use crate::meter::{Cost, measure, runtime};
use crate::server::Server;

type Http = Client<HttpConnector, Full<Bytes>>;

/// Fetches all pages and puts the payloads, 500 a call.
pub fn carry(pages: Pages, payloads: &[Vec<u8>]) -> Cost {
    let calls = payloads.len().div_ceil(500);
    let gets: Vec<Bytes> = (0..pages.shards())
        .flat_map(|shard| (0..pages.all().count() / pages.shards()).map(move |page| (shard, page)))
        .map(|(shard, page)| format!(r#"{{"ShardIterator":"{shard}:{page}"}}"#).into())
        .collect();
    let puts: Vec<Bytes> = payloads.chunks(500).map(put).collect();
    let server = Server::start(pages);
    server.served.open.store(usize::MAX, std::sync::atomic::Ordering::Release);
    let runtime = runtime();
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    let (bytes, cost) = measure(&runtime, async {
        let mut bytes = 0;
        for body in gets {
            bytes += call(&client, &server.endpoint, "DynamoDBStreams_20120810.GetRecords", body).await.len();
        }
        for body in puts {
            bytes += call(&client, &server.endpoint, "Kinesis_20131202.PutRecords", body).await.len();
        }
        bytes
    });
    assert!(bytes > 0 && server.served.put_calls.load(std::sync::atomic::Ordering::Acquire) == calls);
    cost
}

async fn call(client: &Http, endpoint: &str, target: &str, body: Bytes) -> Bytes {
    let request = Request::post(endpoint).header("x-amz-target", target).body(Full::new(body));
    let answer = client.request(request.expect("a request")).await.expect("an answer");
    answer.into_body().collect().await.expect("a body").to_bytes()
}

fn put(payloads: &[Vec<u8>]) -> Bytes {
    let record = |payload: &Vec<u8>| {
        format!(r#"{{"Data":"{}","PartitionKey":"order-0000-00000000"}}"#, STANDARD.encode(payload))
    };
    let records: Vec<String> = payloads.iter().map(record).collect();
    format!(r#"{{"Records":[{}],"StreamName":"orders-cdc"}}"#, records.join(",")).into()
}
