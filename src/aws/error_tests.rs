//! Real errors of the SDK, from answers that a local listener gives.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use axum::Router;
use axum::http::StatusCode;

use super::*;

/// An endpoint that gives every request the same answer.
async fn answering(status: u16, body: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let status = StatusCode::from_u16(status).expect("a status");
    let app = Router::new().fallback(move || async move { (status, body) });
    #[expect(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn client(url: &str, credentials: Option<Credentials>) -> Client {
    let mut config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(crate::aws::http::client())
        .region(Region::new("eu-west-1"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(crate::aws::client::time_limits(crate::aws::client::CALL_TIMEOUT))
        .endpoint_url(url);
    if let Some(credentials) = credentials {
        config = config.credentials_provider(credentials);
    }
    Client::from_conf(config.build())
}

fn test_credentials() -> Option<Credentials> {
    Some(Credentials::new("id", "secret", None, None, "test"))
}

async fn get_item(client: &Client) -> ApiError {
    let request = client.get_item().table_name("t").set_key(Some(Default::default()));
    from_sdk("GetItem", &request.send().await.expect_err("no such answer is good"))
}

async fn answer_to(status: u16, body: &'static str) -> ApiError {
    get_item(&client(&answering(status, body).await, test_credentials())).await
}

#[tokio::test]
async fn answers_with_a_code() {
    let error = answer_to(
        400,
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no table"}"#,
    )
    .await;
    assert_eq!(error.to_string(), "GetItem: ResourceNotFoundException: no table");
    assert_eq!(error.kind, ErrorKind::NotFound);

    let error = answer_to(400, r#"{"__type":"AccessDeniedException","Message":"not yours"}"#).await;
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Denied, "not yours"));

    let error = answer_to(500, r#"{"__type":"SomethingNewException"}"#).await;
    assert_eq!(error.kind, ErrorKind::Transient);
    assert_eq!(error.to_string(), "GetItem: SomethingNewException: HTTP status 500");
}

#[tokio::test]
async fn answers_without_a_code_do_not_blame_the_request() {
    for (status, kind) in [
        (404, ErrorKind::Transient),
        (400, ErrorKind::Transient),
        (413, ErrorKind::Invalid),
        (429, ErrorKind::Throttled),
        (403, ErrorKind::Denied),
        (502, ErrorKind::Transient),
        (503, ErrorKind::Transient),
    ] {
        for body in ["<html>a proxy's page</html>", "", "{}"] {
            let error = answer_to(status, body).await;
            assert_eq!(error.kind, kind, "{status} {body:?}: {error}");
            assert!(error.message.contains(&status.to_string()), "{error}");
            assert!(!error.message.contains('{'), "no debug output: {error}");
        }
    }
}

#[tokio::test]
async fn a_good_status_with_an_unreadable_body_is_transient() {
    let error = answer_to(200, "<html>").await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Transient, "UnreadableAnswer"), "{error}");
}

#[tokio::test]
async fn a_refused_connection_names_the_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let error = get_item(&client(&format!("http://{address}"), test_credentials())).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Transient, "ConnectionFailed"));
    assert_eq!(error.message, format!("connection refused ({address})"));
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_transient() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    #[expect(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            drop(socket)
        }
    });
    let error = get_item(&client(&format!("http://{address}"), test_credentials())).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Transient, "ConnectionFailed"), "{error}");
    assert!(error.message.ends_with(&format!("({address})")), "{error}");
}

#[tokio::test]
async fn missing_credentials_are_found_in_the_chain() {
    use aws_credential_types::credential_fn::provide_credentials_fn;
    let url = answering(200, "{}").await;
    let asked = |failure: fn() -> CredentialsError| {
        let config = client(&url, None).config().to_builder();
        let provider = provide_credentials_fn(move || async move { Err(failure()) });
        Client::from_conf(config.credentials_provider(provider).build())
    };
    let error = get_item(&asked(CredentialsError::not_loaded_no_source)).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "NoCredentials"));
    let error = get_item(&asked(|| CredentialsError::provider_error("the file is broken"))).await;
    assert_eq!(error.kind, ErrorKind::Credentials);
    assert_eq!(error.message, "the file is broken");
    let denied = || {
        let meta = ErrorMetadata::builder().code("AccessDenied").message("not you").build();
        CredentialsError::provider_error(meta)
    };
    let error = get_item(&asked(denied)).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Denied, CREDENTIALS_DENIED));
    let nested = || CredentialsError::provider_error(CredentialsError::not_loaded_no_source());
    let error = get_item(&asked(nested)).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "NoCredentials"));
}

#[test]
fn canceled_transactions() {
    let error = canceled("T", &["None", "ConditionalCheckFailed"], Some("canceled"));
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::ConditionFailed, "canceled"));
    let error = canceled("T", &["TransactionConflict"], None);
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Transient, "reasons [TransactionConflict]"));
    let message = "Transaction cancelled, please refer … [None, ConditionalCheckFailed]";
    assert_eq!(canceled("T", &[], Some(message)).kind, ErrorKind::ConditionFailed);
    assert_eq!(canceled("T", &[], None).kind, ErrorKind::Transient);
}

#[test]
fn sentences() {
    for (raw, text) in [
        ("Connection refused (os error 111)", "connection refused"),
        ("operation attempt timeout (single attempt) occurred after 10s", "no answer within 10s"),
        ("HTTP connect timeout occurred after 3s", "no connection within 3s"),
        ("DNS failed", "DNS failed"),
        ("", ""),
    ] {
        assert_eq!(sentence(raw), text);
    }
}
