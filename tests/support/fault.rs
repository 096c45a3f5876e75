//! The fault vocabulary: what can go wrong with a request, queued for one request or standing for many.
//!
//! Owns the scripted faults and picks those of a request. The server carries them out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;

use super::answer::ApiError;
use super::log::Request;

/// Every operation that the fake serves. Names are unique over the services.
pub const OPERATIONS: &[&str] = &[
    "ListStreams",
    "DescribeStream",
    "GetShardIterator",
    "GetRecords",
    "DescribeStreamSummary",
    "ListShards",
    "PutRecords",
    "PutRecord",
    "CreateTable",
    "DescribeTable",
    "GetItem",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "Query",
    "Scan",
    "TransactWriteItems",
    "AssumeRole",
];

/// Panics on a name that no request can have: a fault or a wait on it would silently do nothing.
pub fn assert_known(operation: &str) {
    assert!(
        OPERATIONS.contains(&operation),
        "{operation} is no operation of the fake; it has {OPERATIONS:?}"
    );
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing happens but this answer.
    Reject { status: u16, code: String, message: String },
    /// Nothing happens but the service's own throttle answer.
    Throttle,
    /// Nothing happens and the connection closes without an answer.
    DropConnection,
    /// The request takes effect, but the answer is lost in this way.
    FailAfterEffect(Loss),
    /// The request waits at the gate before it takes effect. It passes once the gate is open, even if its sender
    /// has long given up: that is how a delayed write arrives late.
    Hold(Gate),
    /// The request takes effect at once, its answer waits at the gate.
    HoldAnswer(Gate),
    /// PutRecords answers 200 with some entries failed and not stored.
    FailEntries(FailEntries),
    /// GetRecords answers no records, and an iterator at the same position.
    EmptyPage,
}

/// How an answer gets lost after the effect.
#[derive(Clone, Debug)]
pub enum Loss {
    Error {
        status: u16,
        code: String,
        message: String,
    },
    Dropped,
    /// A complete answer that is not JSON.
    MalformedBody,
    /// The connection closes in the middle of the body.
    TruncatedBody,
}

/// Which entries of a PutRecords call fail, and how.
#[derive(Clone, Debug)]
pub struct FailEntries {
    pub which: Which,
    pub code: String,
    /// A FailedRecordCount other than the true one.
    pub failed_record_count: Option<u64>,
}

#[derive(Clone, Debug)]
pub enum Which {
    All,
    /// Positions in the call, from 0.
    Indices(Vec<usize>),
    /// Every nth entry, counted over all calls to the stream.
    EveryNth(u64),
    PartitionKey(String),
}

impl Fault {
    pub fn reject(status: u16, code: &str) -> Fault {
        Fault::Reject { status, code: code.to_owned(), message: "scripted".to_owned() }
    }

    /// A 500 of the service before anything happened.
    pub fn internal() -> Fault {
        let ApiError { status, code, message, .. } = ApiError::internal();
        Fault::Reject { status, code, message }
    }

    /// A 500 of the service after the effect.
    pub fn internal_after_effect() -> Fault {
        let ApiError { status, code, message, .. } = ApiError::internal();
        Fault::FailAfterEffect(Loss::Error { status, code, message })
    }

    pub fn fail_entries(which: Which, code: &str) -> Fault {
        Fault::FailEntries(FailEntries { which, code: code.to_owned(), failed_record_count: None })
    }
}

impl From<Fault> for Vec<Fault> {
    fn from(fault: Fault) -> Vec<Fault> {
        vec![fault]
    }
}

/// A gate that requests wait at. Shut when made; a clone is the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    waiting: Arc<watch::Sender<usize>>,
}

impl Gate {
    pub fn shut() -> Gate {
        Gate { open: Arc::new(watch::Sender::new(false)), waiting: Arc::new(watch::Sender::new(0)) }
    }

    /// Lets through all that wait and all that come later.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until `count` requests in all have come to the gate.
    pub async fn reached_by(&self, count: usize) {
        let mut waiting = self.waiting.subscribe();
        let reached =
            tokio::time::timeout(super::PATIENCE, waiting.wait_for(|so_far| *so_far >= count)).await;
        assert!(matches!(reached, Ok(Ok(_))), "{count} requests should have reached the gate");
    }

    pub(super) async fn pass(&self) {
        let mut open = self.open.subscribe();
        self.waiting.send_modify(|count| *count += 1);
        // An error means that the gate is gone, and with it anyone who could open it: pass.
        let _ = open.wait_for(|open| *open).await;
    }
}

type Predicate = Box<dyn FnMut(&Request) -> bool + Send>;

struct Rule {
    id: usize,
    operation: String,
    predicate: Predicate,
    faults: Vec<Fault>,
}

/// The scripted faults of a world.
#[derive(Default)]
pub struct Faults {
    queued: BTreeMap<String, VecDeque<Vec<Fault>>>,
    rules: Vec<Rule>,
    rules_made: usize,
}

impl Faults {
    /// The next request of `operation` that no earlier queued fault takes meets these faults, all of them.
    pub fn once(&mut self, operation: &str, faults: impl Into<Vec<Fault>>) {
        assert_known(operation);
        self.queued.entry(operation.to_owned()).or_default().push_back(faults.into());
    }

    /// The next request of `operation` goes well; for a script like "the third call fails".
    pub fn pass(&mut self, operation: &str) {
        self.once(operation, Vec::new());
    }

    /// Every request of `operation` for which `predicate` holds meets these faults, where none is queued.
    /// Returns the rule's number, for [`Faults::lift`].
    pub fn always(
        &mut self,
        operation: &str,
        predicate: impl FnMut(&Request) -> bool + Send + 'static,
        faults: impl Into<Vec<Fault>>,
    ) -> usize {
        assert_known(operation);
        self.rules_made += 1;
        let (id, predicate) = (self.rules_made, Box::new(predicate));
        self.rules.push(Rule { id, operation: operation.to_owned(), predicate, faults: faults.into() });
        id
    }

    pub fn lift(&mut self, rule: usize) {
        self.rules.retain(|standing| standing.id != rule);
    }

    /// Whether every queued fault has been met: a test that ends with some left tested less than it says.
    pub fn all_met(&self) -> bool {
        self.queued.values().all(VecDeque::is_empty)
    }

    /// The faults that this request meets: the first queued ones, else those of the first rule that applies.
    pub(super) fn take(&mut self, request: &Request) -> Vec<Fault> {
        if let Some(faults) = self.queued.get_mut(&request.operation).and_then(VecDeque::pop_front) {
            return faults;
        }
        let mut standing = self.rules.iter_mut().filter(|rule| rule.operation == request.operation);
        standing.find_map(|rule| (rule.predicate)(request).then(|| rule.faults.clone())).unwrap_or_default()
    }
}
