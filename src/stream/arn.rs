//! A stream's Amazon Resource Name, taken apart.
//!
//! The ARN is the only place that ties a stream to its table: GetRecords names neither. This module reads the
//! name; it never asks the service whether the stream exists.

/// A DynamoDB stream's ARN and its parts:
/// `arn:PARTITION:dynamodb:REGION:ACCOUNT:table/TABLE/stream/LABEL`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamArn {
    /// The whole ARN, as given.
    pub arn: String,
    /// The table's name.
    pub table_name: String,
    /// The table's ARN: this one up to `/stream/`.
    pub table_arn: String,
    /// The stream's label: the moment it was enabled, which orders a table's streams.
    pub label: String,
    /// The Region, or the name that an emulator puts there.
    pub region: String,
    /// The account's number.
    pub account: String,
}

impl StreamArn {
    /// Takes a stream's ARN apart. The label is the rest of the text: it holds colons itself.
    pub fn parse(arn: &str) -> Result<Self, StreamArnError> {
        Self::parts(arn).ok_or_else(|| StreamArnError { arn: arn.to_owned() })
    }

    fn parts(arn: &str) -> Option<Self> {
        let mut fields = arn.splitn(6, ':');
        let (prefix, partition, service) = (fields.next()?, fields.next()?, fields.next()?);
        let (region, account, resource) = (fields.next()?, fields.next()?, fields.next()?);
        let (table_name, label) = resource.strip_prefix("table/")?.split_once("/stream/")?;

        let is_dynamodb = prefix == "arn" && service == "dynamodb";
        let all_there = ![partition, region, account, table_name, label].iter().any(|part| part.is_empty());
        let names_are_plain = !table_name.contains('/') && !label.contains('/');
        (is_dynamodb && all_there && names_are_plain).then(|| Self {
            arn: arn.to_owned(),
            table_name: table_name.to_owned(),
            table_arn: format!("arn:{partition}:dynamodb:{region}:{account}:table/{table_name}"),
            label: label.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
        })
    }
}

/// A text that is no stream ARN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{arn}` is not a DynamoDB stream ARN: expected arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE/stream/LABEL \
     (DescribeTable shows it as LatestStreamArn; a table's own ARN is not enough)"
)]
pub struct StreamArnError {
    arn: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_an_arn_apart() {
        let arn =
            "arn:aws-cn:dynamodb:cn-north-1:111122223333:table/my.Orders_1/stream/2024-05-06T07:08:09.123";
        let parsed = StreamArn::parse(arn).expect("a stream ARN");
        assert_eq!(parsed.arn, arn);
        assert_eq!(parsed.table_name, "my.Orders_1");
        assert_eq!(parsed.table_arn, "arn:aws-cn:dynamodb:cn-north-1:111122223333:table/my.Orders_1");
        assert_eq!(parsed.label, "2024-05-06T07:08:09.123");
        assert_eq!(parsed.region, "cn-north-1");
        assert_eq!(parsed.account, "111122223333");
    }

    #[test]
    fn takes_an_emulators_region() {
        let parsed =
            StreamArn::parse("arn:aws:dynamodb:ddblocal:000000000000:table/t/stream/1").expect("an ARN");
        assert_eq!((parsed.region.as_str(), parsed.label.as_str()), ("ddblocal", "1"));
    }

    #[test]
    fn refuses_what_is_no_stream() {
        for arn in [
            "",
            "orders",
            "arn:aws:dynamodb:us-east-1:111122223333:table/orders",
            "arn:aws:dynamodb:us-east-1:111122223333:table/orders/stream/",
            "arn:aws:dynamodb:us-east-1:111122223333:table//stream/1",
            "arn:aws:dynamodb:us-east-1::table/orders/stream/1",
            "arn:aws:dynamodb::111122223333:table/orders/stream/1",
            "arn:aws:dynamodb:us-east-1:111122223333:table/orders/stream/1/2",
            "arn:aws:dynamodb:us-east-1:111122223333:table/orders/index/stream/1",
            "arn:aws:kinesis:us-east-1:111122223333:stream/orders",
        ] {
            let error = StreamArn::parse(arn).expect_err(arn);
            assert!(error.to_string().contains(&format!("`{arn}`")), "{error}");
        }
    }
}
