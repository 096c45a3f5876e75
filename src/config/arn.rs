//! Amazon Resource Names as the configuration takes them: a table, a table's stream, a Kinesis stream, an IAM role.
//! Knows their syntax only; whether they exist is the service's answer.

use super::names;
use super::values::quoted;

/// A Kinesis stream, by name or by ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamName {
    Name(String),
    Arn(String),
}

impl StreamName {
    /// From `sink.stream`'s text.
    ///
    /// # Errors
    /// A sentence saying what a stream's name or ARN looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !looks_like_arn(text) {
            return names::stream(text).map(Self::Name);
        }
        let name = parse(text)
            .filter(|arn| arn.service == "kinesis" && arn.is_regional())
            .and_then(|arn| arn.resource.strip_prefix("stream/"));
        match name {
            Some(name) if names::stream(name).is_ok() => Ok(Self::Arn(text.to_owned())),
            _ => Err(not_an_arn(text, "a Kinesis stream", "arn:aws:kinesis:REGION:ACCOUNT:stream/NAME")),
        }
    }

    /// The stream's name, also where the configuration gives an ARN.
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Arn(arn) => arn.rsplit_once('/').map_or(arn, |(_, name)| name),
        }
    }

    /// The ARN, where the configuration gives one.
    pub fn arn(&self) -> Option<&str> {
        match self {
            Self::Name(_) => None,
            Self::Arn(arn) => Some(arn),
        }
    }

    /// The Region that the ARN names.
    pub fn region(&self) -> Option<&str> {
        self.arn().and_then(region)
    }
}

/// The five parts after `arn:`, each as it stands.
struct Arn<'a> {
    service: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl Arn<'_> {
    fn is_regional(&self) -> bool {
        is_region(self.region) && self.has_account()
    }

    fn has_account(&self) -> bool {
        self.account.len() == 12 && self.account.bytes().all(|b| b.is_ascii_digit())
    }
}

fn parse(text: &str) -> Option<Arn<'_>> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next();
    let (scheme, partition) = (next()?, next()?);
    let arn = Arn { service: next()?, region: next()?, account: next()?, resource: next()? };
    let partition_ok =
        partition.starts_with("aws") && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    (scheme == "arn" && partition_ok).then_some(arn)
}

/// The user meant an ARN, well formed or not.
fn looks_like_arn(text: &str) -> bool {
    text.contains(':')
}

/// Lower-case letters, digits and hyphens, as in `eu-central-1`.
pub(super) fn is_region(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The Region of an ARN; none for a plain name.
pub(super) fn region(text: &str) -> Option<&str> {
    parse(text).map(|arn| arn.region)
}

/// The account of an ARN; none for a plain name.
pub(super) fn account(text: &str) -> Option<&str> {
    parse(text).map(|arn| arn.account)
}

/// The table's name in `text`: itself a name, a table's ARN or its stream's ARN.
pub(super) fn table_name(text: &str) -> &str {
    parse(text).and_then(|arn| arn.resource.split('/').nth(1)).unwrap_or(text)
}

/// `source.table`: a name or a table's ARN.
pub(super) fn table_or_arn(text: &str) -> Result<String, String> {
    if !looks_like_arn(text) {
        return names::table(text);
    }
    let name = dynamodb_resource(text).and_then(|resource| resource.strip_prefix("table/"));
    match name {
        Some(name) if names::table(name).is_ok() => Ok(text.to_owned()),
        Some(name) if name.contains("/stream/") => Err(format!(
            "{} is a stream's ARN, not a table's; write it as `stream_arn` instead of `table`",
            quoted(text)
        )),
        _ => Err(not_an_arn(text, "a DynamoDB table", "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME")),
    }
}

/// `source.stream_arn`: the ARN of a table's stream.
pub(super) fn stream_arn(text: &str) -> Result<String, String> {
    let parts = dynamodb_resource(text)
        .and_then(|resource| resource.strip_prefix("table/"))
        .and_then(|rest| rest.split_once("/stream/"));
    match parts {
        Some((table, label)) if names::table(table).is_ok() && is_label(label) => Ok(text.to_owned()),
        _ => Err(not_an_arn(
            text,
            "a DynamoDB stream",
            "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL (`aws dynamodb describe-table` shows it as \
             LatestStreamArn)",
        )),
    }
}

/// `role_arn`: an IAM role; it has no Region, and may have a path.
pub(super) fn role_arn(text: &str) -> Result<String, String> {
    let name = parse(text)
        .filter(|arn| arn.service == "iam" && arn.region.is_empty() && arn.has_account())
        .and_then(|arn| arn.resource.strip_prefix("role/"));
    let is_role_char = |c: char| c.is_ascii_alphanumeric() || "+=,.@-_/".contains(c);
    match name {
        Some(name)
            if !name.is_empty()
                && text.len() <= 2048
                && name.chars().all(is_role_char)
                && !name.starts_with('/')
                && !name.ends_with('/') =>
        {
            Ok(text.to_owned())
        }
        _ => Err(not_an_arn(text, "an IAM role", "arn:aws:iam::ACCOUNT:role/NAME")),
    }
}

fn dynamodb_resource(text: &str) -> Option<&str> {
    parse(text).filter(|arn| arn.service == "dynamodb" && arn.is_regional()).map(|arn| arn.resource)
}

/// A label is the stream's creation time; emulators write it in ways of their own.
fn is_label(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
}

fn not_an_arn(text: &str, what: &str, form: &str) -> String {
    format!("{} is not the ARN of {what}; write it as {form}", quoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2025-05-11T21:21:33.291";

    #[test]
    fn kinesis_streams_by_name_and_arn() {
        let name = StreamName::parse("orders-cdc").unwrap();
        assert_eq!((name.name(), name.arn(), name.region()), ("orders-cdc", None, None));
        let text = "arn:aws-us-gov:kinesis:us-gov-west-1:123456789012:stream/orders-cdc";
        let arn = StreamName::parse(text).unwrap();
        assert_eq!((arn.name(), arn.arn(), arn.region()), ("orders-cdc", Some(text), Some("us-gov-west-1")));
        for bad in [
            "arn:aws:kinesis:eu-west-1:123456789012:stream/",
            "arn:aws:kinesis:eu-west-1:12345:stream/a",
            "arn:aws:kinesis::123456789012:stream/a",
            "arn:aws:firehose:eu-west-1:123456789012:stream/a",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/a/consumer/b:1",
            "arn:aws:kinesis",
            "urn:aws:kinesis:eu-west-1:123456789012:stream/a",
        ] {
            assert!(StreamName::parse(bad).unwrap_err().contains("arn:aws:kinesis:REGION"), "{bad}");
        }
    }

    #[test]
    fn tables_and_their_streams() {
        let table = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders";
        assert_eq!(table_or_arn(table).as_deref(), Ok(table));
        assert_eq!((table_name(table), region(table)), ("orders", Some("eu-west-1")));
        assert_eq!((table_name("orders"), region("orders")), ("orders", None));
        assert!(table_or_arn(STREAM).unwrap_err().contains("`stream_arn`"));
        assert!(table_or_arn("arn:aws:dynamodb:eu-west-1:123456789012:table/orders/index/i").is_err());

        assert_eq!(stream_arn(STREAM).as_deref(), Ok(STREAM));
        assert_eq!((table_name(STREAM), region(STREAM)), ("orders", Some("eu-west-1")));
        for bad in [table, "orders", "", "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/"] {
            assert!(stream_arn(bad).unwrap_err().contains("LatestStreamArn"), "{bad}");
        }
    }

    #[test]
    fn roles() {
        for good in ["arn:aws:iam::123456789012:role/bridge", "arn:aws-cn:iam::123456789012:role/team/b@x"] {
            assert_eq!(role_arn(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "bridge",
            "arn:aws:iam::123456789012:user/bridge",
            "arn:aws:iam:eu-west-1:123456789012:role/bridge",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
            "arn:aws:sts::123456789012:assumed-role/a/b",
        ] {
            assert!(role_arn(bad).is_err(), "{bad}");
        }
    }
}
