//! A role that is assumed: one question to AWS STS, its answer as credentials. It keeps nothing; [`super::session`] does.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::identity::IdentityCache;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};

use super::client::{APP_NAME, time_limits};
use super::error::{from_sdk, unusable};
use crate::error::{ApiError, ErrorKind};

/// The operation's name, in errors and metrics.
pub(super) const ASSUME_ROLE: &str = "AssumeRole";

/// Limit on one attempt, and on the few that the SDK makes of one call. The second is below what a call waits that needs
/// the answer, so that its error says what STS did.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(4);
const CALL_LIMIT: Duration = Duration::from_secs(8);

/// The code of a call that was not sent because its credentials were denied: a role that may not be assumed. The call's
/// own action has not been judged then.
pub(super) const CREDENTIALS_DENIED: &str = "CredentialsDenied";

/// What a role is asked for with. STS is asked in `region`, so that a source needs no Region but its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoleName {
    pub(super) arn: String,
    pub(super) external_id: Option<String>,
    pub(super) region: String,
}

impl fmt::Debug for RoleName {
    /// Without the external id, which may be confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleName")
            .field("arn", &self.arn)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// Asks STS anew each time that it is asked.
#[derive(Debug)]
pub(super) struct Role {
    name: RoleName,
    sts: aws_sdk_sts::Client,
}

impl Role {
    /// Asks with the base's credentials. The SDK's own few retries stay on here: asking twice for temporary credentials
    /// harms nothing.
    pub(super) fn new(name: RoleName, base: &SdkConfig) -> Role {
        let limits = time_limits(CALL_LIMIT).to_builder().operation_attempt_timeout(ATTEMPT_LIMIT).build();
        let config = aws_sdk_sts::config::Builder::from(base)
            .region(Region::new(name.region.clone()))
            .identity_cache(IdentityCache::no_cache())
            .timeout_config(limits)
            .build();
        Role { name, sts: aws_sdk_sts::Client::from_conf(config) }
    }

    async fn assume(&self) -> Result<Credentials, ApiError> {
        let call = self.sts.assume_role().role_arn(&self.name.arn).role_session_name(APP_NAME);
        let answer = call.set_external_id(self.name.external_id.clone()).send().await;
        let given = answer.map_err(|error| from_sdk(ASSUME_ROLE, &error))?.credentials;
        let given = given.ok_or_else(|| unusable(ASSUME_ROLE, "no Credentials"))?;
        let end =
            SystemTime::try_from(given.expiration).map_err(|_| unusable(ASSUME_ROLE, "no Expiration"))?;
        let credentials = Credentials::builder()
            .access_key_id(given.access_key_id)
            .secret_access_key(given.secret_access_key)
            .session_token(given.session_token)
            .expiry(end)
            .provider_name(ASSUME_ROLE);
        // DynamoDB has an endpoint of its own for each account.
        let account = self.name.arn.split(':').nth(4);
        Ok(account.map_or(credentials.clone(), |account| credentials.account_id(account)).build())
    }
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let answer: provider::Result = self.assume().await.map_err(|error| {
                CredentialsError::provider_error(NotAssumed { role_arn: self.name.arn.clone(), error })
            });
            answer
        })
    }
}

/// A role that could not be assumed, and what came of the question.
#[derive(Debug, thiserror::Error)]
#[error("cannot assume {role_arn}: {}", error.message)]
pub(super) struct NotAssumed {
    role_arn: String,
    error: ApiError,
}

impl NotAssumed {
    /// What it means for a call to `api`, which was not sent for want of the role.
    pub(super) fn of_call(&self, api: &'static str) -> ApiError {
        let (kind, code) = match self.error.kind {
            ErrorKind::Denied => (ErrorKind::Denied, CREDENTIALS_DENIED),
            kind if kind.is_passing() && self.error.code == "ConnectionFailed" => {
                (kind, "CredentialsUnreachable")
            }
            kind if kind.is_passing() => (kind, "CredentialsUnavailable"),
            _ if self.error.code == "NoCredentials" => (ErrorKind::Credentials, "NoCredentials"),
            _ => (ErrorKind::Credentials, "CredentialsRefused"),
        };
        ApiError::new(api, kind, code, self.to_string())
    }
}
