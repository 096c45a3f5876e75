//! ARNs of what the configuration names, as exact as it lets them be; what it leaves open is `*`.

use super::Known;
use crate::config::Connection;

const OPEN: &str = "*";

/// Where a thing is, as far as known.
pub(super) struct Owner {
    partition: &'static str,
    region: String,
    account: String,
}

impl Owner {
    /// What a connection reaches is in its Region, and in the account of the role that it assumes.
    pub(super) fn of(connection: &Connection, known: &Known) -> Self {
        let region = connection.region.clone().or_else(|| known.region.clone());
        let of_role = connection.role_arn.as_deref().and_then(|arn| arn.split(':').nth(4)).map(str::to_owned);
        let account = of_role.or_else(|| known.account.clone());
        Owner {
            partition: partition(region.as_deref().unwrap_or_default()),
            region: region.unwrap_or_else(|| OPEN.to_owned()),
            account: account.unwrap_or_else(|| OPEN.to_owned()),
        }
    }

    pub(super) fn table(&self, name: &str) -> String {
        format!("arn:{}:dynamodb:{}:{}:table/{name}", self.partition, self.region, self.account)
    }

    pub(super) fn stream(&self, name: &str) -> String {
        format!("arn:{}:kinesis:{}:{}:stream/{name}", self.partition, self.region, self.account)
    }
}

fn partition(region: &str) -> &'static str {
    let known = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-iso-", "aws-iso"),
        ("eusc-", "aws-eusc"),
    ];
    known.into_iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

pub(super) fn is_arn(text: &str) -> bool {
    text.starts_with("arn:")
}

pub(super) fn lacks_region(resource: &str) -> bool {
    resource.split(':').nth(3) == Some(OPEN)
}

pub(super) fn lacks_account(resource: &str) -> bool {
    resource.split(':').nth(4) == Some(OPEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_follow_regions() {
        for (region, expected) in [
            ("eu-central-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("", "aws"),
        ] {
            assert_eq!(partition(region), expected, "{region}");
        }
    }

    #[test]
    fn a_role_tells_the_account() {
        let role_arn = Some("arn:aws:iam::444455556666:role/r".to_owned());
        let connection = Connection { role_arn, region: Some("eu-west-1".into()), ..Connection::default() };
        let known = Known { region: Some("us-east-1".into()), account: Some("111122223333".into()) };
        assert_eq!(
            Owner::of(&connection, &known).table("t"),
            "arn:aws:dynamodb:eu-west-1:444455556666:table/t"
        );
        assert_eq!(
            Owner::of(&Connection::default(), &known).stream("s"),
            "arn:aws:kinesis:us-east-1:111122223333:stream/s"
        );
        let open = Owner::of(&Connection::default(), &Known::default()).table("t");
        assert_eq!(open, "arn:aws:dynamodb:*:*:table/t");
        assert!(lacks_region(&open) && lacks_account(&open) && !lacks_account("*"));
    }
}
