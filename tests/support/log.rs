//! The log of requests: each with its arrival number, operation, input and, once there is one, its outcome.
//!
//! Owns what was asked and answered, in order of arrival. It never decides an answer.

use std::fmt::Write;

use serde_json::Value;

use super::answer::Service;
use super::signature::Signer;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// Counted from 0 over all services.
    pub arrival: usize,
    pub service: Service,
    pub operation: String,
    pub input: Value,
    /// The access key id that signed it, so that a test can tell callers apart.
    pub caller: String,
    /// The Region that it was signed for.
    pub region: String,
    /// Whether the service's state may have changed or been read by it: a rejected request never gets there.
    pub effective: bool,
    pub outcome: Option<Outcome>,
}

/// How a request ended, as seen from the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Error {
        status: u16,
        code: String,
    },
    Dropped,
    /// A broken body.
    Garbled,
}

/// All requests so far.
#[derive(Debug, Default)]
pub struct Log {
    requests: Vec<Request>,
    without_inputs: bool,
}

impl Log {
    /// From now on keeps no request's input: for runs of very many.
    pub fn keep_no_inputs(&mut self) {
        self.without_inputs = true;
    }

    pub fn arrive(&mut self, service: Service, operation: &str, signer: Signer<'_>, input: Value) -> Request {
        let request = Request {
            arrival: self.requests.len(),
            service,
            operation: operation.to_owned(),
            input,
            caller: signer.access_key_id.to_owned(),
            region: signer.region.to_owned(),
            effective: false,
            outcome: None,
        };
        if self.without_inputs {
            let Request { arrival, service, effective, .. } = request;
            let (operation, caller) = (request.operation.clone(), request.caller.clone());
            let region = request.region.clone();
            self.requests.push(Request {
                arrival,
                service,
                operation,
                input: Value::Null,
                caller,
                region,
                effective,
                outcome: None,
            });
        } else {
            self.requests.push(request.clone());
        }
        request
    }

    pub fn took_effect(&mut self, arrival: usize) {
        if let Some(request) = self.requests.get_mut(arrival) {
            request.effective = true;
        }
    }

    pub fn answered(&mut self, arrival: usize, outcome: Outcome) {
        if let Some(request) = self.requests.get_mut(arrival) {
            request.outcome = Some(outcome);
        }
    }

    pub fn all(&self) -> &[Request] {
        &self.requests
    }

    /// The requests of one operation, in order of arrival.
    pub fn of<'a>(&'a self, operation: &'a str) -> impl Iterator<Item = &'a Request> {
        super::fault::assert_known(operation);
        self.requests.iter().filter(move |request| request.operation == operation)
    }

    pub fn count(&self, operation: &str) -> usize {
        self.of(operation).count()
    }

    /// The last `count` requests, one a line, for a failing test's message.
    pub fn tail(&self, count: usize) -> String {
        let first = self.requests.len().saturating_sub(count);
        self.requests[first..].iter().fold(String::new(), |mut text, request| {
            let Request { arrival, operation, outcome, .. } = request;
            let input: String = request.input.to_string().chars().take(200).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "#{arrival} {operation} {input} -> {outcome:?}");
            text
        })
    }
}
