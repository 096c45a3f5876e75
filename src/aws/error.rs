//! One function from the SDK's errors to [`ApiError`]. It sorts every way in which a call can fail into an
//! [`ErrorKind`] and keeps one sentence that an operator can act on: the service's own message, or the cause at the
//! end of the SDK's chain of errors.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::error_codes::{bare_code, kind_of_cancellation, kind_of_code, kind_of_status};
use super::http::AtAddress;
use super::role::{CREDENTIALS_DENIED, NotAssumed};
use super::session::Refusal;
use super::spoken;
use crate::error::{ApiError, ErrorKind};

/// Sorts a failed call. `api` is the operation's name as AWS spells it.
pub fn from_sdk<E>(api: &'static str, error: &SdkError<E, HttpResponse>) -> ApiError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(failure) => {
            let (meta, status) = (failure.err().meta(), failure.raw().status());
            match meta.code() {
                // The SDK's way to say that it could not parse a good answer.
                None if status.is_success() => unreadable(api, status.as_u16(), &cause(error)),
                _ => service_error(api, meta, status.as_u16()),
            }
        }
        SdkError::TimeoutError(_) => ApiError::new(api, ErrorKind::Transient, "Timeout", cause(error)),
        SdkError::DispatchFailure(failure) => credentials(api, error).unwrap_or_else(|| {
            let code = if failure.is_timeout() { "Timeout" } else { "ConnectionFailed" };
            ApiError::new(api, ErrorKind::Transient, code, cause(error))
        }),
        SdkError::ResponseError(failure) => unreadable(api, failure.raw().status().as_u16(), &cause(error)),
        SdkError::ConstructionFailure(_) => credentials(api, error)
            .unwrap_or_else(|| ApiError::new(api, ErrorKind::Invalid, "RequestNotBuilt", cause(error))),
        _ => ApiError::new(api, ErrorKind::Transient, "Unknown", cause(error)),
    }
}

/// An answer that is not what the service's documentation says; `what` names the part that is missing or wrong.
pub(super) fn unusable(api: &'static str, what: impl Into<String>) -> ApiError {
    ApiError::new(api, ErrorKind::Transient, "UnusableAnswer", what)
}

/// A canceled transaction, by the codes of its writes' reasons. Where the answer lists none, its message does.
pub(super) fn canceled(api: &'static str, reasons: &[&str], message: Option<&str>) -> ApiError {
    let message = message.unwrap_or_default();
    let kind = if reasons.is_empty() {
        let list = message.rsplit_once('[').map_or("", |(_, list)| list.trim_end_matches(']'));
        kind_of_cancellation(list.split(',').map(str::trim).filter(|code| !code.is_empty()))
    } else {
        kind_of_cancellation(reasons.iter().copied())
    };
    let message = if message.is_empty() {
        format!("reasons [{}]", reasons.join(", "))
    } else {
        spoken::message(api, kind, message)
    };
    ApiError::new(api, kind, "TransactionCanceledException", message)
}

fn service_error(api: &'static str, meta: &ErrorMetadata, status: u16) -> ApiError {
    let code = meta.code().map(bare_code).filter(|code| !code.is_empty());
    let kind = code.and_then(kind_of_code).unwrap_or_else(|| kind_of_status(status));
    let message = match (meta.message(), code) {
        (Some(message), _) if !message.is_empty() => spoken::message(api, kind, message),
        (_, Some(_)) => format!("HTTP status {status}"),
        (_, None) => format!("HTTP status {status} without an error code: is the endpoint an AWS API?"),
    };
    ApiError::new(api, kind, code.map_or_else(|| format!("Http{status}"), spoken::code), message)
}

/// The SDK could not read the answer. Its status still tells whether the request is to blame.
fn unreadable(api: &'static str, status: u16, cause: &str) -> ApiError {
    let kind = if (200..300).contains(&status) { ErrorKind::Transient } else { kind_of_status(status) };
    ApiError::new(api, kind, "UnreadableAnswer", format!("HTTP status {status}, {cause}"))
}

/// The failure to get credentials, which the SDK hides inside a request that could not be sent.
fn credentials(api: &'static str, error: &(dyn Error + 'static)) -> Option<ApiError> {
    let failure = chain(error).find_map(|error| error.downcast_ref::<CredentialsError>())?;
    Some(of_credentials(api, failure))
}

/// What the failure to get credentials means for a call to `api`.
pub(super) fn of_credentials(api: &'static str, failure: &CredentialsError) -> ApiError {
    let refusal = chain(failure).find_map(|error| error.downcast_ref::<Refusal>());
    let failure = refusal.map_or(failure, |refusal| &*refusal.0);
    if let Some(not_assumed) = chain(failure).find_map(|error| error.downcast_ref::<NotAssumed>()) {
        return not_assumed.of_call(api);
    }
    if matches!(failure, CredentialsError::CredentialsNotLoaded(_)) {
        return ApiError::new(api, ErrorKind::Credentials, "NoCredentials", "no AWS credentials found");
    }
    if matches!(failure, CredentialsError::ProviderTimedOut(_)) {
        return ApiError::new(api, ErrorKind::Transient, "CredentialsTimeout", failure.to_string());
    }
    // A role of the profile or of a web identity that cannot be assumed: STS' own answer stands further down the chain.
    let inner = chain(failure).skip(1);
    let refusal = inner.clone().find_map(|error| error.downcast_ref::<ErrorMetadata>());
    let unreached = inner.clone().any(|error| error.is::<AtAddress>());
    let nested_missing = inner
        .filter_map(|error| error.downcast_ref::<CredentialsError>())
        .any(|error| matches!(error, CredentialsError::CredentialsNotLoaded(_)));
    let (kind, code, message) = match refusal {
        Some(meta) => {
            // An answer without a code is no answer of AWS': a proxy's, or one cut off.
            let kind = meta.code().map_or(Some(ErrorKind::Transient), |code| kind_of_code(bare_code(code)));
            let spoken = |message| spoken::message("AssumeRole", ErrorKind::Credentials, message);
            let message = meta.message().map_or_else(|| cause(failure), spoken);
            match kind {
                Some(ErrorKind::Denied) => (ErrorKind::Denied, CREDENTIALS_DENIED, message),
                Some(kind) if kind.is_passing() => (kind, "CredentialsUnavailable", message),
                _ => (ErrorKind::Credentials, "CredentialsRefused", message),
            }
        }
        None if unreached => (ErrorKind::Transient, "CredentialsUnreachable", cause(failure)),
        None if nested_missing => (
            ErrorKind::Credentials,
            "NoCredentials",
            "no AWS credentials found to assume the role with".to_owned(),
        ),
        None => (ErrorKind::Credentials, "CredentialsFailed", cause(failure)),
    };
    ApiError::new(api, kind, code, message)
}

/// The errors from `error` down to its first cause.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> + Clone {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The first cause, and the address called where one was.
fn cause(error: &(dyn Error + 'static)) -> String {
    let first = chain(error).last().map(ToString::to_string).unwrap_or_default();
    let text = sentence(&first);
    match chain(error).find_map(|error| error.downcast_ref::<AtAddress>()) {
        Some(at) => format!("{text} ({})", at.address),
        None => text,
    }
}

/// An error's text made part of a sentence: without the operating system's number, its first word in lower case unless
/// it is an abbreviation.
fn sentence(text: &str) -> String {
    if let Some((limit, after)) = text.split_once(" occurred after ") {
        let what = if limit.contains("connect") { "connection" } else { "answer" };
        return format!("no {what} within {after}");
    }
    let text = text.split_once(" (os error ").map_or(text, |(text, _)| text);
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
