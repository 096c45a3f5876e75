//! The HTTP client that all AWS clients share, and with it the connection pools. It is the SDK's own default client
//! (hyper, rustls, proxies from the environment). It adds to each connection failure the address that was called, which
//! the SDK's errors do not tell, and takes each body into memory of its own size: the SDK's way holds it two to three
//! times over while it comes, and dozens of pages come at a time.

use std::error::Error;
use std::fmt;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use super::buffers::Buffers;

/// A connection failure together with the address called.
#[derive(Debug)]
pub(super) struct AtAddress {
    /// Host and port, as the request named them.
    pub(super) address: String,
    source: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for AtAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "calling {}", self.address)
    }
}

impl Error for AtAddress {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// The shared client.
pub(super) fn client() -> SharedHttpClient {
    let inner = Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    });
    SharedHttpClient::new(NamingClient { inner, buffers: Buffers::default() })
}

#[derive(Debug)]
struct NamingClient {
    inner: SharedHttpClient,
    buffers: Buffers,
}

impl HttpClient for NamingClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(NamingConnector { inner, buffers: self.buffers.clone() })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

#[derive(Debug)]
struct NamingConnector {
    inner: SharedHttpConnector,
    buffers: Buffers,
}

impl HttpConnector for NamingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let address = authority(request.uri()).to_owned();
        let answer = self.inner.call(request);
        let buffers = self.buffers.clone();
        HttpConnectorFuture::new(async move {
            let whole = match answer.await {
                Ok(answer) => with_whole_body(answer, &buffers).await,
                Err(error) => Err(error),
            };
            whole.map_err(|error| named(error, address))
        })
    }
}

/// No room is made beforehand for more than this, whatever length is told.
const MOST_EXPECTED_BYTES: usize = 4 << 20;

async fn with_whole_body(
    mut answer: HttpResponse,
    buffers: &Buffers,
) -> Result<HttpResponse, ConnectorError> {
    let length = answer.headers().get("content-length").and_then(|length| length.parse().ok());
    let mut whole = buffers.with_capacity(length.unwrap_or(0).min(MOST_EXPECTED_BYTES));
    let mut body = ByteStream::new(std::mem::replace(answer.body_mut(), SdkBody::taken()));
    while let Some(part) = body.next().await {
        whole.extend_from_slice(&part.map_err(|error| ConnectorError::io(error.into()))?);
    }
    *answer.body_mut() = SdkBody::from(buffers.lend(whole));
    Ok(answer)
}

/// The error with its kind kept and the address within.
fn named(error: ConnectorError, address: String) -> ConnectorError {
    let (timeout, user, io, other) = (error.is_timeout(), error.is_user(), error.is_io(), error.as_other());
    let source = Box::new(AtAddress { address, source: error.into_source() });
    if timeout {
        ConnectorError::timeout(source)
    } else if user {
        ConnectorError::user(source)
    } else if io {
        ConnectorError::io(source)
    } else {
        ConnectorError::other(source, other)
    }
}

/// `host:port` of a URI, which holds no user information here.
pub(super) fn authority(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_is_host_and_port() {
        assert_eq!(authority("http://127.0.0.1:1/"), "127.0.0.1:1");
        assert_eq!(authority("https://kinesis.eu-west-1.amazonaws.com"), "kinesis.eu-west-1.amazonaws.com");
        assert_eq!(authority("http://[::1]:4566?a=b"), "[::1]:4566");
    }

    #[test]
    fn naming_keeps_the_kind() {
        let boxed = || -> Box<dyn Error + Send + Sync> { "refused".into() };
        assert!(named(ConnectorError::timeout(boxed()), "a:1".into()).is_timeout());
        assert!(named(ConnectorError::user(boxed()), "a:1".into()).is_user());
        assert!(named(ConnectorError::io(boxed()), "a:1".into()).is_io());
        let other = named(ConnectorError::other(boxed(), None), "a:1".into());
        assert!(other.is_other());
        let at = other.source().and_then(|source| source.downcast_ref::<AtAddress>()).expect("named");
        assert_eq!(at.address, "a:1");
    }
}
