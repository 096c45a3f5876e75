//! Answers as bytes. The SDK's own readers build a value for every attribute of every record, at many times the cost of
//! the rest of the call; our parsers need the bytes. So one interceptor puts a deserializer of ours in the place of the
//! SDK's, which keeps a good answer's body in a slot and turns a bad one into the SDK's error type. Endpoints,
//! credentials, signing and time limits stay the SDK's.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextMut, Error, Output,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::ErrorMetadata;
use bytes::Bytes;

use super::error_codes::bare_code;

/// An operation's types, which the SDK asks for by name after a deserializer has run.
#[derive(Clone, Copy)]
pub(super) struct Types {
    /// An output without content.
    pub(super) output: fn() -> Result<Output, BoxError>,
    pub(super) error: fn(ErrorMetadata) -> Error,
}

/// Where one call's body ends up. Make a new one for each call.
#[derive(Clone)]
pub(super) struct BodySlot {
    types: Types,
    body: Arc<Mutex<Option<SdkBody>>>,
}

impl fmt::Debug for BodySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodySlot")
    }
}

impl BodySlot {
    pub(super) fn new(types: Types) -> Self {
        BodySlot { types, body: Arc::default() }
    }

    /// The body of the last good answer; `None` when there was none. The bytes are shared, not copied.
    pub(super) async fn take(&self) -> Option<Bytes> {
        let body = self.lock().take()?;
        ByteStream::new(body).collect().await.ok().map(|bytes| bytes.into_bytes())
    }

    fn put(&self, body: Option<SdkBody>) {
        *self.lock() = body;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<SdkBody>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for BodySlot {
    fn name(&self) -> &'static str {
        "RawAnswer"
    }

    fn modify_before_serialization(
        &self,
        _context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The interceptors' layer lies above the operation's, so this one is found before the SDK's own.
        cfg.interceptor_state().store_put(SharedResponseDeserializer::new(KeepBody { slot: self.clone() }));
        Ok(())
    }
}

#[derive(Debug)]
struct KeepBody {
    slot: BodySlot,
}

impl DeserializeResponse for KeepBody {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        _cfg: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        let types = self.slot.types;
        if response.status().is_success() {
            // The orchestrator has read the body into memory by now, so it can be cloned.
            self.slot.put(response.body().try_clone());
            return (types.output)().map_err(OrchestratorError::other);
        }
        self.slot.put(None);
        let header = response.headers().get("x-amzn-errortype");
        let meta = error_metadata(header, response.body().bytes().unwrap_or_default());
        Err(OrchestratorError::operation((types.error)(meta)))
    }
}

/// The code and message of an error answer, as far as it has them.
fn error_metadata(header: Option<&str>, body: &[u8]) -> ErrorMetadata {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let member = |name: &str| json.get(name).and_then(serde_json::Value::as_str);
    let mut meta = ErrorMetadata::builder();
    if let Some(code) = header.or_else(|| member("__type")).or_else(|| member("code")) {
        meta = meta.code(bare_code(code));
    }
    if let Some(message) = member("message").or_else(|| member("Message")) {
        meta = meta.message(message);
    }
    meta.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_answers() {
        for (header, body, code, message) in [
            (None, r#"{"__type":"com.amazonaws.x#A:y","message":"m"}"#, Some("A"), Some("m")),
            (None, r#"{"__type":"A","Message":"M"}"#, Some("A"), Some("M")),
            (Some("B:http://x"), r#"{"message":"m","Message":"M"}"#, Some("B"), Some("m")),
            (None, r#"{"__type":7,"message":null}"#, None, None),
            (None, "[1]", None, None),
            (None, "<html>", None, None),
            (None, "", None, None),
        ] {
            let meta = error_metadata(header, body.as_bytes());
            assert_eq!((meta.code(), meta.message()), (code, message), "{header:?} {body}");
        }
    }
}
