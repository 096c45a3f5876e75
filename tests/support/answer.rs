//! What a service answers: an error in AWS's shape, or a JSON body.
//!
//! Owns the error type of all the fakes and how it is written on the wire. It decides nothing.

use serde_json::{Map, Value, json};

/// What an operation gives: the body of a 200 answer, or the error.
pub type ApiResult = Result<Value, ApiError>;

/// The services behind the one endpoint; each has its own spelling of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    DynamoDb,
    Streams,
    Kinesis,
    Sts,
}

/// An error answer of AWS.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    pub status: u16,
    pub code: String,
    pub message: String,
    /// Members beside type and message, like `CancellationReasons`.
    pub more: Map<String, Value>,
}

impl ApiError {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> ApiError {
        ApiError { status, code: code.to_owned(), message: message.into(), more: Map::new() }
    }

    pub fn validation(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "ValidationException", message)
    }

    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "ResourceNotFoundException", message)
    }

    pub fn internal() -> ApiError {
        ApiError::new(500, "InternalServerError", "The request processing has failed (scripted).")
    }

    /// The throttle that `service` answers for a whole call.
    pub fn throttle(service: Service) -> ApiError {
        match service {
            Service::Streams => ApiError::new(400, "LimitExceededException", "Too many operations at once."),
            Service::Kinesis => ApiError::new(
                400,
                "ProvisionedThroughputExceededException",
                "Rate exceeded for the stream; slow down.",
            ),
            Service::Sts => ApiError::new(400, "Throttling", "Rate exceeded"),
            Service::DynamoDb => {
                ApiError::new(400, "ThrottlingException", "Rate of requests exceeds the limit.")
            }
        }
    }

    pub fn with(mut self, member: &str, value: Value) -> ApiError {
        self.more.insert(member.to_owned(), value);
        self
    }

    /// The JSON body as `service` writes it.
    pub fn body(&self, service: Service) -> Value {
        let namespace = match (service, self.code.as_str()) {
            (Service::Kinesis, _) => "",
            (_, "ValidationException") => "com.amazon.coral.validate#",
            (_, "ThrottlingException") => "com.amazon.coral.availability#",
            (_, "UnknownOperationException" | "SerializationException") => "com.amazon.coral.service#",
            _ => "com.amazonaws.dynamodb.v20120810#",
        };
        let mut body = self.more.clone();
        body.insert("__type".to_owned(), json!(format!("{namespace}{}", self.code)));
        body.insert("message".to_owned(), json!(self.message));
        Value::Object(body)
    }
}

/// The request's members, read with errors in AWS's manner.
pub struct Input<'a>(pub &'a Map<String, Value>);

impl<'a> Input<'a> {
    /// Reads `value` as a request that may hold `known` members; anything else is refused, so that no test passes
    /// because the fake overlooked what it was asked.
    pub fn new(value: &'a Value, known: &[&str]) -> Result<Input<'a>, ApiError> {
        let members = value.as_object().ok_or_else(|| {
            ApiError::new(400, "SerializationException", "The request's body is not a JSON object.")
        })?;
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(ApiError::validation(format!("the fake does not know the member {name}"))),
            None => Ok(Input(members)),
        }
    }

    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// An optional string member.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| wrong_type(name, "a string")),
        }
    }

    /// A string member that must be there.
    pub fn required(&self, name: &str) -> Result<&'a str, ApiError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// An optional whole number of at least one.
    pub fn count(&self, name: &str) -> Result<Option<usize>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(count) if count > 0 => Ok(Some(usize::try_from(count).unwrap_or(usize::MAX))),
                _ => Err(wrong_type(name, "a whole number of at least 1")),
            },
        }
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_bool().map(Some).ok_or_else(|| wrong_type(name, "a boolean")),
        }
    }

    pub fn list(&self, name: &str) -> Result<&'a [Value], ApiError> {
        match self.get(name) {
            None => Err(missing(name)),
            Some(value) => value.as_array().map(Vec::as_slice).ok_or_else(|| wrong_type(name, "a list")),
        }
    }

    pub fn map(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_object().map(Some).ok_or_else(|| wrong_type(name, "a map")),
        }
    }
}

pub fn missing(name: &str) -> ApiError {
    ApiError::validation(format!(
        "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
    ))
}

fn wrong_type(name: &str, expected: &str) -> ApiError {
    ApiError::new(400, "SerializationException", format!("{name} is expected to be {expected}"))
}
