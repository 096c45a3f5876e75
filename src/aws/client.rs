//! The SDK's clients: one for each service and [`Connection`]. It owns what they have in common: the environment and
//! profile read once, one HTTP client, time limits on every call, and the SDK's retries off. The worker has the one
//! retry policy; a conditional write that the SDK sent twice would take its own success for somebody else's.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;

use super::http;
use super::role::{ASSUME_ROLE, Role, RoleName};
use super::session::{Counting, Session, Whose};
use super::sink::KinesisStream;
use super::source::DynamoStreams;
use crate::config::{Connection, StreamName};
use crate::machine::Machine;

/// How we name ourselves to AWS: in the user agent and as the session of an assumed role.
pub(super) const APP_NAME: &str = "ddb-kinesis-bridge";

/// Limit on opening a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Limit on one call from its first byte to the answer's last, where the port's method takes no limit of its own.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What all clients share.
#[derive(Debug)]
pub struct Aws {
    base: SdkConfig,
    /// Who renews sessions ahead of their end; none in a command that is done before that.
    keeper: Option<Keeper>,
    /// One session for each role, whoever needs it.
    roles: Mutex<BTreeMap<RoleName, SharedCredentialsProvider>>,
}

/// What keeping sessions takes.
struct Keeper {
    machine: Arc<dyn Machine>,
    counting: Counting,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}

impl Keeper {
    fn keep(&self, whose: Whose, source: SharedCredentialsProvider) -> SharedCredentialsProvider {
        let session = Session::begin(whose, source, &self.machine, Arc::clone(&self.counting));
        SharedCredentialsProvider::new(session)
    }
}

/// No Region is configured for a part of the configuration, and the SDK found none either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{section}: {}; {}", NoRegion::WHAT, NoRegion::REMEDY)]
pub struct NoRegion {
    /// Which part of the configuration needs it.
    pub section: String,
}

impl NoRegion {
    pub(super) const WHAT: &str = "no AWS Region";
    pub(super) const REMEDY: &str = "set `region` there, AWS_REGION in the environment, or `region` in the AWS profile \
                                     (an emulator needs one too; any will do)";
}

impl Aws {
    /// Reads the SDK's environment variables and profile files. `connections` are all that will be used: where each has
    /// its own Region, the instance metadata service is not asked for one, which takes seconds off EC2.
    /// `credentials` stand in for the SDK's own search for them.
    pub async fn load<'a>(
        connections: impl IntoIterator<Item = &'a Connection>,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Aws {
        let http_client = http::client();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client)
            .app_name(AppName::new(APP_NAME).expect("the name holds only letters and hyphens"))
            .timeout_config(time_limits(CALL_TIMEOUT))
            // A call that stands still ends by its limit; watching each body's bytes flow besides costs every call.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let loader = match credentials {
            Some(credentials) => loader.credentials_provider(credentials),
            None => loader,
        };
        let loader = match spare_region(connections) {
            Some(region) => loader.region(
                RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                    .or_else(ProfileFileRegionProvider::new())
                    .or_else(region),
            ),
            None => loader,
        };
        Aws { base: loader.load().await, keeper: None, roles: Mutex::default() }
    }

    /// From now on credentials that end are renewed ahead of that, by tasks of this machine, and failures to do so counted.
    pub fn keeping_sessions(mut self, machine: &Arc<dyn Machine>, counting: Counting) -> Aws {
        let keeper = Keeper { machine: Arc::clone(machine), counting };
        if let Some(own) = self.base.credentials_provider() {
            let whose = Whose { api: "Credentials", identity: "this process".to_owned() };
            let base = self.base.to_builder().credentials_provider(keeper.keep(whose, own));
            self.base = base.identity_cache(IdentityCache::no_cache()).build();
        }
        Aws { keeper: Some(keeper), ..self }
    }

    /// A client for tables.
    pub fn dynamodb(
        &self,
        section: &str,
        connection: &Connection,
    ) -> Result<aws_sdk_dynamodb::Client, NoRegion> {
        let config = self.config(section, connection)?;
        let mut builder = aws_sdk_dynamodb::config::Builder::from(&config);
        if let Some(url) = &connection.endpoint_url {
            builder.set_endpoint_url(Some(url.clone()));
        }
        Ok(aws_sdk_dynamodb::Client::from_conf(builder.build()))
    }

    /// A client for table streams.
    pub fn dynamodb_streams(
        &self,
        section: &str,
        connection: &Connection,
    ) -> Result<aws_sdk_dynamodbstreams::Client, NoRegion> {
        let config = self.config(section, connection)?;
        let mut builder = aws_sdk_dynamodbstreams::config::Builder::from(&config);
        if let Some(url) = &connection.endpoint_url {
            builder.set_endpoint_url(Some(url.clone()));
        }
        Ok(aws_sdk_dynamodbstreams::Client::from_conf(builder.build()))
    }

    /// A client for Kinesis.
    pub fn kinesis(
        &self,
        section: &str,
        connection: &Connection,
    ) -> Result<aws_sdk_kinesis::Client, NoRegion> {
        let config = self.config(section, connection)?;
        let mut builder = aws_sdk_kinesis::config::Builder::from(&config);
        if let Some(url) = &connection.endpoint_url {
            builder.set_endpoint_url(Some(url.clone()));
        }
        Ok(aws_sdk_kinesis::Client::from_conf(builder.build()))
    }

    /// A pipeline's source.
    pub fn source(&self, section: &str, connection: &Connection) -> Result<DynamoStreams, NoRegion> {
        let streams = self.dynamodb_streams(section, connection)?;
        Ok(DynamoStreams::new(streams, self.dynamodb(section, connection)?))
    }

    /// A pipeline's sink.
    pub fn sink(
        &self,
        section: &str,
        connection: &Connection,
        stream: &StreamName,
    ) -> Result<KinesisStream, NoRegion> {
        Ok(KinesisStream::new(self.kinesis(section, connection)?, stream.clone()))
    }

    /// The base with a connection's Region and role, and no retries.
    fn config(&self, section: &str, connection: &Connection) -> Result<SdkConfig, NoRegion> {
        let region = connection.region.clone().map(Region::new).or_else(|| self.base.region().cloned());
        let region = region.ok_or_else(|| NoRegion { section: section.to_owned() })?;
        let mut builder = self.base.to_builder().region(region.clone()).retry_config(RetryConfig::disabled());
        if let Some(arn) = &connection.role_arn {
            let external_id = connection.external_id.clone();
            let name = RoleName { arn: arn.clone(), external_id, region: region.to_string() };
            builder = builder.credentials_provider(self.assumed_role(name));
        }
        Ok(builder.build())
    }

    /// Credentials of a role, asked for with the base's credentials.
    fn assumed_role(&self, name: RoleName) -> SharedCredentialsProvider {
        let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        let known = roles.entry(name).or_insert_with_key(|name| {
            let role = SharedCredentialsProvider::new(Role::new(name.clone(), &self.base));
            match &self.keeper {
                Some(keeper) => keeper.keep(Whose { api: ASSUME_ROLE, identity: name.arn.clone() }, role),
                None => role,
            }
        });
        known.clone()
    }
}

/// The limits of one call. The connect timeout is the same everywhere, since the HTTP client keeps a pool of
/// connections for each.
pub(super) fn time_limits(call: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(call)
        .operation_timeout(call)
        .build()
}

/// A Region for the SDK to fall back on, where no connection needs the one from its chain.
fn spare_region<'a>(connections: impl IntoIterator<Item = &'a Connection>) -> Option<Region> {
    let regions: Option<Vec<&String>> =
        connections.into_iter().map(|connection| connection.region.as_ref()).collect();
    regions?.first().map(|region| Region::new((*region).clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_region(region: Option<&str>) -> Connection {
        Connection { region: region.map(str::to_owned), ..Connection::default() }
    }

    #[test]
    fn a_spare_region_only_where_all_have_their_own() {
        let (one, two, none) = (in_region(Some("eu-west-1")), in_region(Some("us-east-1")), in_region(None));
        assert_eq!(spare_region([&one, &two]), Some(Region::new("eu-west-1")));
        assert_eq!(spare_region([&one, &none]), None);
        assert_eq!(spare_region([]), None);
    }
}
