//! SDK clients of the fake, as any program would have them; their own retries are off.
//!
//! Owns the credentials that the fake expects.

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};

use super::Fake;
use super::world::REGION;

pub const ACCESS_KEY_ID: &str = "test";
pub const SECRET_ACCESS_KEY: &str = "test";

macro_rules! client {
    ($method:ident, $sdk:ident) => {
        pub fn $method(&self) -> $sdk::Client {
            let config = $sdk::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(REGION))
                .credentials_provider(credentials())
                .endpoint_url(self.endpoint())
                .retry_config(RetryConfig::disabled())
                .build();
            $sdk::Client::from_conf(config)
        }
    };
}

impl Fake {
    client!(dynamodb, aws_sdk_dynamodb);
    client!(streams, aws_sdk_dynamodbstreams);
    client!(kinesis, aws_sdk_kinesis);
}

fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "the fake's tests")
}
