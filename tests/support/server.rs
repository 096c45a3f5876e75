//! The HTTP side: reads a request, meets its faults, calls the service that it names, answers.
//!
//! Owns the lock around the world and the signal that something happened. A request lives in a task of its own, so
//! one that is held takes effect when it is let through, even if its client has hung up by then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header, request::Parts};
use futures_util::stream;
use serde_json::Value;
use tokio::sync::watch;

use super::answer::{ApiError, ApiResult, Service};
use super::fault::{FailEntries, Fault, Gate, Loss};
use super::log::Outcome;
use super::world::World;
use super::{kinesis_api, query, signature, streams_api, sts, table_api};

/// More than any service takes, so that the services' own limits are what a request meets.
const MOST_BODY_BYTES: usize = 64 << 20;

pub struct Shared {
    world: Mutex<World>,
    version: watch::Sender<u64>,
}

impl Shared {
    pub fn new(world: World) -> Shared {
        Shared { world: Mutex::new(world), version: watch::Sender::new(0) }
    }

    /// A test that failed while it held the lock must not hide its own message behind another's.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes whenever a request has arrived, taken effect or been answered.
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn happened(&self) {
        self.version.send_modify(|version| *version += 1);
    }
}

pub async fn run(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener that does not block");
    let router = Router::new().fallback(handle).with_state(shared);
    // Serving ends only with the runtime.
    let _ = axum::serve(listener, router).await;
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BODY_BYTES).await else { return dropped() };
    // A panic in the fake shows as a dropped connection, its message on standard error.
    tokio::spawn(serve(shared, parts, body)).await.unwrap_or_else(|_| dropped())
}

async fn serve(shared: Arc<Shared>, parts: Parts, body: Bytes) -> Response<Body> {
    let form = sts::form(&body).filter(|form| form["Action"].is_string());
    let (service, operation) = match &form {
        Some(form) => (Service::Sts, form["Action"].as_str().unwrap_or_default().to_owned()),
        None => target(&parts.headers),
    };
    let signer = signature::signer(&parts).unwrap_or_default();
    let input: Option<Value> = form.or_else(|| serde_json::from_slice(&body).ok());
    let (arrival, plan) = {
        let mut world = shared.world();
        let request = world.log.arrive(service, &operation, signer, input.clone().unwrap_or(Value::Null));
        (request.arrival, Plan::new(world.faults.take(&request), service))
    };
    shared.happened();
    for gate in &plan.before {
        gate.pass().await;
    }

    let result = match plan.refusal {
        Some(Refusal::Dropped) => None,
        Some(Refusal::Error(error)) => Some(Err(error)),
        None => {
            let mut world = shared.world();
            let own = world.quirks.secret_access_key.clone();
            let secret = world.sts.secret_for(&parts, signer.access_key_id).map(|session| session.or(own));
            let call = Call { service, operation: &operation, arrival, effects: &plan.effects };
            Some(
                secret
                    .and_then(|secret| {
                        secret.map_or(Ok(()), |secret| signature::verify(&parts, &body, &secret))
                    })
                    .and_then(|()| input.ok_or_else(not_json))
                    .and_then(|input| {
                        world.log.took_effect(arrival);
                        call.run(&mut world, &input)
                    }),
            )
        }
    };
    shared.happened();
    for gate in &plan.after {
        gate.pass().await;
    }
    let answer_after = shared.world().quirks.answer_after;
    if !answer_after.is_zero() {
        tokio::time::sleep(answer_after).await;
    }

    let now_ms = shared.world().now_ms();
    let answer = Answer { service, content_type: content_type(&parts.headers), now_ms, arrival };
    let (response, outcome) = answer.make(result, plan.loss);
    shared.world().log.answered(arrival, outcome);
    shared.happened();
    response
}

/// A request's faults, in the order in which they are met.
struct Plan {
    before: Vec<Gate>,
    refusal: Option<Refusal>,
    effects: Effects,
    after: Vec<Gate>,
    loss: Option<Loss>,
}

enum Refusal {
    Error(ApiError),
    Dropped,
}

#[derive(Default)]
struct Effects {
    fail_entries: Option<FailEntries>,
    empty_page: bool,
}

impl Plan {
    fn new(faults: Vec<Fault>, service: Service) -> Plan {
        let effects = Effects::default();
        let mut plan = Plan { before: Vec::new(), refusal: None, effects, after: Vec::new(), loss: None };
        for fault in faults {
            match fault {
                Fault::Reject { status, code, message } => {
                    plan.refusal = Some(Refusal::Error(ApiError::new(status, &code, message)));
                }
                Fault::Throttle => plan.refusal = Some(Refusal::Error(ApiError::throttle(service))),
                Fault::DropConnection => plan.refusal = Some(Refusal::Dropped),
                Fault::FailAfterEffect(loss) => plan.loss = Some(loss),
                Fault::Hold(gate) => plan.before.push(gate),
                Fault::HoldAnswer(gate) => plan.after.push(gate),
                Fault::FailEntries(entries) => plan.effects.fail_entries = Some(entries),
                Fault::EmptyPage => plan.effects.empty_page = true,
            }
        }
        plan
    }
}

/// One call of a service.
struct Call<'a> {
    service: Service,
    operation: &'a str,
    arrival: usize,
    effects: &'a Effects,
}

impl Call<'_> {
    fn run(&self, world: &mut World, input: &Value) -> ApiResult {
        match (self.service, self.operation) {
            (Service::Streams, "ListStreams") => streams_api::list_streams(world, input),
            (Service::Streams, "DescribeStream") => streams_api::describe_stream(world, input),
            (Service::Streams, "GetShardIterator") => streams_api::get_shard_iterator(world, input),
            (Service::Streams, "GetRecords") => {
                streams_api::get_records(world, input, self.effects.empty_page)
            }
            (Service::Kinesis, "DescribeStreamSummary") => kinesis_api::describe_stream_summary(world, input),
            (Service::Kinesis, "ListShards") => kinesis_api::list_shards(world, input),
            (Service::Kinesis, "PutRecord") => kinesis_api::put_record(world, input, self.arrival),
            (Service::Kinesis, "PutRecords") => {
                kinesis_api::put_records(world, input, self.arrival, self.effects.fail_entries.as_ref())
            }
            (Service::DynamoDb, "CreateTable") => table_api::create_table(world, input),
            (Service::DynamoDb, "DescribeTable") => table_api::describe_table(world, input),
            (Service::DynamoDb, "GetItem") => table_api::get_item(world, input),
            (Service::DynamoDb, "PutItem") => table_api::put_item(world, input),
            (Service::DynamoDb, "UpdateItem") => table_api::update_item(world, input),
            (Service::DynamoDb, "DeleteItem") => table_api::delete_item(world, input),
            (Service::DynamoDb, "Query") => query::query(world, input),
            (Service::DynamoDb, "Scan") => query::scan(world, input),
            (Service::DynamoDb, "TransactWriteItems") => table_api::transact_write_items(world, input),
            (Service::Sts, "AssumeRole") => sts::assume_role(world, input),
            (service, operation) => {
                let message = format!("the fake has no operation {operation:?} of {service:?}");
                Err(ApiError::new(400, "UnknownOperationException", message))
            }
        }
    }
}

/// Service and operation out of `X-Amz-Target: DynamoDBStreams_20120810.GetRecords`.
fn target(headers: &HeaderMap) -> (Service, String) {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (version, operation) = target.split_once('.').unwrap_or((target, ""));
    match version {
        "DynamoDBStreams_20120810" => (Service::Streams, operation.to_owned()),
        "Kinesis_20131202" => (Service::Kinesis, operation.to_owned()),
        "DynamoDB_20120810" => (Service::DynamoDb, operation.to_owned()),
        _ => (Service::DynamoDb, target.to_owned()),
    }
}

fn content_type(headers: &HeaderMap) -> String {
    let asked = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    asked.unwrap_or("application/x-amz-json-1.0").to_owned()
}

fn not_json() -> ApiError {
    ApiError::new(400, "SerializationException", "The request's body is not JSON.")
}

/// How the answer to one request is written.
struct Answer {
    service: Service,
    content_type: String,
    now_ms: u64,
    arrival: usize,
}

impl Answer {
    /// Makes the answer out of what the service said (`None`: it was not asked) and what gets lost on the way.
    fn make(&self, result: Option<ApiResult>, loss: Option<Loss>) -> (Response<Body>, Outcome) {
        let Some(result) = result else { return (dropped(), Outcome::Dropped) };
        match loss {
            None => self.plain(result),
            Some(Loss::Error { status, code, message }) => {
                self.plain(Err(ApiError::new(status, &code, message)))
            }
            Some(Loss::Dropped) => (dropped(), Outcome::Dropped),
            Some(Loss::MalformedBody) => {
                (self.response(200, Body::from("{\"Records\": [{\"oops")), Outcome::Garbled)
            }
            Some(Loss::TruncatedBody) => (self.truncated(result), Outcome::Garbled),
        }
    }

    fn plain(&self, result: ApiResult) -> (Response<Body>, Outcome) {
        match result {
            Ok(body) => {
                let body = match self.service {
                    Service::Sts => sts::granted_xml(&body),
                    _ => body.to_string(),
                };
                (self.response(200, Body::from(body)), Outcome::Ok)
            }
            Err(error) => {
                let body = Body::from(match self.service {
                    Service::Sts => sts::error_xml(&error),
                    service => error.body(service).to_string(),
                });
                let outcome = Outcome::Error { status: error.status, code: error.code };
                (self.response(error.status, body), outcome)
            }
        }
    }

    /// Announces the whole body, sends half of it and closes the connection.
    fn truncated(&self, result: ApiResult) -> Response<Body> {
        let (status, text) = match result {
            Ok(body) => (200, body.to_string()),
            Err(error) => (error.status, error.body(self.service).to_string()),
        };
        // An empty object still has a byte to hold back.
        let half = Bytes::from(text.clone()).slice(..text.len() / 2);
        let parts = stream::unfold(Some(half), |half| async move {
            match half {
                Some(half) => Some((Ok(half), None)),
                None => {
                    // Lets the first half go out before the connection is cut.
                    tokio::task::yield_now().await;
                    Some((Err(cut()), None))
                }
            }
        });
        let mut response = self.response(status, Body::from_stream(parts));
        response.headers_mut().insert(header::CONTENT_LENGTH, text.len().into());
        response
    }

    fn response(&self, status: u16, body: Body) -> Response<Body> {
        let now = DateTime::from_millis(i64::try_from(self.now_ms).unwrap_or(i64::MAX));
        let date = now.fmt(Format::HttpDate).expect("a time that has a calendar date");
        Response::builder()
            .status(StatusCode::from_u16(status).expect("a scripted status is an HTTP status"))
            .header(header::CONTENT_TYPE, &self.content_type)
            .header(header::DATE, date)
            .header("x-amzn-requestid", format!("fake-{}", self.arrival))
            .body(body)
            .expect("a response of valid parts")
    }
}

fn cut() -> std::io::Error {
    std::io::Error::other("scripted: the connection is cut")
}

/// Closes the connection without an answer: the body fails before the head has been sent.
fn dropped() -> Response<Body> {
    Response::new(Body::from_stream(stream::once(async { Err::<Bytes, _>(cut()) })))
}
