//! The services' error codes and HTTP statuses, each sorted into the one [`ErrorKind`] it means for us. Pure.

use crate::error::ErrorKind;

/// What an error code means; `None` for a code that is not listed here.
///
/// Sources: the "Errors" of each operation and
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>,
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html>.
pub(super) fn kind_of_code(code: &str) -> Option<ErrorKind> {
    let kind = match code {
        "ProvisionedThroughputExceededException"
        | "ProvisionedThroughputExceeded"
        | "ThrottlingException"
        | "ThrottlingError"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "LimitExceededException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "TooManyRequests"
        | "BandwidthLimitExceeded"
        | "SlowDown"
        | "KMSThrottlingException" => ErrorKind::Throttled,

        "InternalServerError"
        | "InternalServerErrorException"
        | "InternalFailure"
        | "InternalFailureException"
        | "InternalError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "TransactionInProgressException"
        | "TransactionInProgress"
        | "TransactionConflictException"
        | "TransactionConflict"
        | "ReplicatedWriteConflictException"
        // Kinesis: the stream is being created, updated or deleted.
        | "ResourceInUseException" => ErrorKind::Transient,

        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "AuthFailure"
        // The host's clock is off, so the signature is not valid now.
        | "RequestExpired"
        | "RequestTimeTooSkewed" => ErrorKind::Credentials,

        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "UnauthorizedException"
        | "OptInRequired"
        | "SubscriptionRequiredException"
        // The stream's encryption key: no record is wrong, and somebody with other rights has to act.
        | "KMSAccessDeniedException"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFoundException"
        | "KMSOptInRequired" => ErrorKind::Denied,

        "ResourceNotFoundException" | "TableNotFoundException" => ErrorKind::NotFound,
        "ConditionalCheckFailedException" | "ConditionalCheckFailed" => ErrorKind::ConditionFailed,
        "ExpiredIteratorException" => ErrorKind::ExpiredIterator,
        "TrimmedDataAccessException" => ErrorKind::Trimmed,

        "ValidationException"
        | "ValidationError"
        | "InvalidArgumentException"
        | "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "MissingParameter"
        | "MissingAction"
        | "InvalidAction"
        | "MalformedQueryString"
        | "SerializationException"
        | "UnknownOperationException"
        | "ItemCollectionSizeLimitExceededException"
        | "ItemCollectionSizeLimitExceeded"
        | "IdempotentParameterMismatchException"
        | "RequestEntityTooLargeException" => ErrorKind::Invalid,

        _ => return None,
    };
    Some(kind)
}

/// What an answer means whose code says nothing to us. Only 413 is blamed on the request: another status without a
/// known code may come from a proxy, and taking it for a wrong request or a missing shard would cost changes, while a
/// retry only costs time.
pub(super) fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        429 => ErrorKind::Throttled,
        413 => ErrorKind::Invalid,
        401 | 403 => ErrorKind::Denied,
        _ => ErrorKind::Transient,
    }
}

/// What a canceled transaction means, by the reasons of its writes. A failed condition outweighs the rest: the caller
/// must look at the rows again in any case.
pub(super) fn kind_of_cancellation<'a>(reasons: impl Iterator<Item = &'a str>) -> ErrorKind {
    let kinds: Vec<ErrorKind> = reasons
        .filter(|code| *code != "None")
        .map(|code| kind_of_code(code).unwrap_or(ErrorKind::Transient))
        .collect();
    [
        ErrorKind::ConditionFailed,
        ErrorKind::Denied,
        ErrorKind::NotFound,
        ErrorKind::Invalid,
        ErrorKind::Throttled,
    ]
    .into_iter()
    .find(|kind| kinds.contains(kind))
    .unwrap_or(ErrorKind::Transient)
}

/// The code in a JSON error's `__type` or an `x-amzn-errortype` header: without the namespace before `#` and the
/// location after `:`.
pub(super) fn bare_code(raw: &str) -> &str {
    let code = raw.split_once(':').map_or(raw, |(code, _)| code);
    code.rsplit_once('#').map_or(code, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorKind::*;

    #[test]
    fn codes() {
        for (code, kind) in [
            ("ProvisionedThroughputExceededException", Throttled),
            ("ThrottlingException", Throttled),
            ("LimitExceededException", Throttled),
            ("RequestLimitExceeded", Throttled),
            ("KMSThrottlingException", Throttled),
            ("InternalServerError", Transient),
            ("InternalFailure", Transient),
            ("ServiceUnavailable", Transient),
            ("TransactionInProgressException", Transient),
            ("TransactionConflictException", Transient),
            ("ReplicatedWriteConflictException", Transient),
            ("ExpiredTokenException", Credentials),
            ("UnrecognizedClientException", Credentials),
            ("InvalidSignatureException", Credentials),
            ("MissingAuthenticationTokenException", Credentials),
            ("AccessDeniedException", Denied),
            ("KMSAccessDeniedException", Denied),
            ("KMSDisabledException", Denied),
            ("ResourceNotFoundException", NotFound),
            ("ConditionalCheckFailedException", ConditionFailed),
            ("ExpiredIteratorException", ExpiredIterator),
            ("TrimmedDataAccessException", Trimmed),
            ("ValidationException", Invalid),
            ("InvalidArgumentException", Invalid),
            ("SerializationException", Invalid),
        ] {
            assert_eq!(kind_of_code(code), Some(kind), "{code}");
        }
        assert_eq!(kind_of_code("SomethingNewException"), None);
    }

    #[test]
    fn statuses_blame_the_request_only_where_it_is_sure() {
        assert_eq!(kind_of_status(429), Throttled);
        assert_eq!(kind_of_status(413), Invalid);
        assert_eq!(kind_of_status(403), Denied);
        for unsure in [400, 404, 500, 502, 503, 504] {
            assert_eq!(kind_of_status(unsure), Transient, "{unsure}");
        }
    }

    #[test]
    fn cancellations() {
        for (reasons, kind) in [
            (&["None", "ConditionalCheckFailed"][..], ConditionFailed),
            (&["TransactionConflict", "ConditionalCheckFailed"], ConditionFailed),
            (&["TransactionConflict", "None"], Transient),
            (&["ThrottlingError", "TransactionConflict"], Throttled),
            (&["ValidationError"], Invalid),
            (&["SomethingNew"], Transient),
            (&[], Transient),
        ] {
            assert_eq!(kind_of_cancellation(reasons.iter().copied()), kind, "{reasons:?}");
        }
    }

    #[test]
    fn bare_codes() {
        for raw in [
            "ExpiredIteratorException",
            "com.amazonaws.dynamodb.v20120810#ExpiredIteratorException",
            "ExpiredIteratorException:http://internal.amazon.com/coral/",
            "aws.protocols#ExpiredIteratorException:http://internal.amazon.com/coral/",
        ] {
            assert_eq!(bare_code(raw), "ExpiredIteratorException", "{raw}");
        }
    }
}
