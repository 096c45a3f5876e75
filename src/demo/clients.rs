//! The clients: how the demo itself (never the worker) talks to the emulators, and how tests talk to any endpoint.
//! Owns fixed credentials, which emulators accept, so that a demo can never touch an AWS account by accident.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};

use super::emulators::Emulators;

/// The Region that requests are signed for.
pub const REGION: &str = "us-east-1";
/// The access key id and secret that go with every request; emulators accept any.
pub const ACCESS_KEY: &str = "test";

/// Where the services are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// DynamoDB and DynamoDB Streams.
    pub dynamodb: String,
    pub kinesis: String,
}

impl Endpoints {
    /// The emulators' own.
    pub fn of(emulators: &Emulators) -> Self {
        Endpoints { dynamodb: emulators.dynamodb_url(), kinesis: emulators.kinesis_url() }
    }

    /// One endpoint for every service, as LocalStack and its like have it.
    pub fn single(url: &str) -> Self {
        Endpoints { dynamodb: url.to_owned(), kinesis: url.to_owned() }
    }
}

/// The credentials of the demo and of tests.
pub fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "demo")
}

/// One client a service.
#[derive(Debug, Clone)]
pub struct Clients {
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub streams: aws_sdk_dynamodbstreams::Client,
    pub kinesis: aws_sdk_kinesis::Client,
}

impl Clients {
    pub fn new(endpoints: &Endpoints) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(Duration::from_secs(20))
            .operation_timeout(Duration::from_secs(60))
            .build();
        let dynamodb = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(credentials())
            .timeout_config(timeouts.clone())
            .endpoint_url(&endpoints.dynamodb)
            .build();
        let streams = aws_sdk_dynamodbstreams::Config::builder()
            .behavior_version(aws_sdk_dynamodbstreams::config::BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(credentials())
            .timeout_config(timeouts.clone())
            .endpoint_url(&endpoints.dynamodb)
            .build();
        let kinesis = aws_sdk_kinesis::Config::builder()
            .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(credentials())
            .timeout_config(timeouts)
            .endpoint_url(&endpoints.kinesis)
            .build();
        Clients {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams),
            kinesis: aws_sdk_kinesis::Client::from_conf(kinesis),
        }
    }
}
