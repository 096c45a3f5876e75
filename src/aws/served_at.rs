//! The service's clock, from an answer's `Date` header, which the SDK's outputs do not hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

/// Takes the time of one call's answer. Make a new one for each call.
#[derive(Debug, Clone, Default)]
pub(super) struct ServedAt(Arc<AtomicU64>);

impl ServedAt {
    /// Epoch milliseconds (whole seconds, since the header holds no more); `None` where the answer did not tell.
    pub(super) fn millis(&self) -> Option<u64> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            millis => Some(millis),
        }
    }
}

#[dyn_dispatch_hint]
impl Intercept for ServedAt {
    fn name(&self) -> &'static str {
        "ServedAt"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let millis = context.response().headers().get("date").and_then(parse).unwrap_or(0);
        self.0.store(millis, Ordering::Release);
        Ok(())
    }
}

fn parse(header: &str) -> Option<u64> {
    let date = DateTime::from_str(header, Format::HttpDate).ok()?;
    u64::try_from(date.to_millis().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:01 GMT"), Some(1_000));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(parse("yesterday"), None);
        assert_eq!(parse("Wed, 31 Dec 1969 23:59:59 GMT"), None);
    }
}
