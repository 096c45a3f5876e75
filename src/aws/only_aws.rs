//! A guard that lets a request go only to AWS itself, for the one request that an emulator could take for another: a dry
//! run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::http::authority;

/// Stops one call whose endpoint is not AWS'. Make a new one for each call.
#[derive(Debug, Clone, Default)]
pub(super) struct OnlyAws {
    stopped: Arc<AtomicBool>,
}

impl OnlyAws {
    /// Whether the call was stopped, so that nothing was sent.
    pub(super) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

#[dyn_dispatch_hint]
impl Intercept for OnlyAws {
    fn name(&self) -> &'static str {
        "OnlyAws"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let authority = authority(context.request().uri());
        if is_aws(authority) {
            return Ok(());
        }
        self.stopped.store(true, Ordering::Release);
        Err(format!("{authority} is not AWS").into())
    }
}

/// Whether a host belongs to one of AWS' partitions, VPC endpoints included.
fn is_aws(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _port)| host);
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu"]
        .iter()
        .any(|domain| host.ends_with(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_and_others() {
        for host in [
            "kinesis.eu-west-1.amazonaws.com",
            "kinesis.cn-north-1.amazonaws.com.cn:443",
            "123456789012.data-kinesis.us-east-1.amazonaws.com",
            "vpce-1.kinesis.us-east-1.vpce.amazonaws.com",
            "kinesis.us-east-1.api.aws",
        ] {
            assert!(is_aws(host), "{host}");
        }
        for host in
            ["127.0.0.1:4566", "localhost", "amazonaws.com.example.org", "notamazonaws.com", "[::1]:80"]
        {
            assert!(!is_aws(host), "{host}");
        }
    }
}
