//! What of a service's own words may be repeated in logs, in `/readyz` and in lease rows. A refusal may quote the request:
//! a record's partition key or data, or the headers that carry credentials. Pure.

use super::put_records::PUT_RECORDS;
use super::sink::PUT_RECORD;
use crate::error::ErrorKind;
use crate::ops::words::is_word;

const MAX_CHARS: usize = 500;

/// Where messages about signatures begin to quote headers.
const QUOTED_HEADERS: [&str; 3] = ["The Canonical String", "Authorization header: ", "Authorization="];

/// Behind it a validation's message names what it expects, and quotes nothing any more.
const CONSTRAINT: &str = "failed to satisfy constraint: ";

/// A service's error code, which is one word; anything else in its place is not repeated.
pub(super) fn code(code: &str) -> String {
    if is_word(code) { code.to_owned() } else { "UnreadableCode".to_owned() }
}

/// The service's message, or as much of it as cannot hold data or credentials.
pub(super) fn message(api: &str, kind: ErrorKind, message: &str) -> String {
    if matches!(api, PUT_RECORD | PUT_RECORDS) && matches!(kind, ErrorKind::Invalid | ErrorKind::Transient) {
        return about_records(message);
    }
    let end = QUOTED_HEADERS.iter().filter_map(|mark| message.find(mark)).min().unwrap_or(message.len());
    first_line(&message[..end])
}

/// What Kinesis says about records: only the last constraint is sure not to quote one.
fn about_records(message: &str) -> String {
    let expected =
        message.rfind(CONSTRAINT).map(|at| first_line(&message[at..])).filter(|text| !text.is_empty());
    match expected {
        Some(expected) => expected,
        None if message.is_empty() => String::new(),
        None => format!(
            "its message of {} characters is left out, since it may quote records",
            message.chars().count()
        ),
    }
}

fn first_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim_end();
    let mut line: String = line.chars().take(MAX_CHARS + 1).collect();
    if line.chars().count() > MAX_CHARS {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kinesis_says_of_records_is_its_constraint_alone() {
        let quoting = "2 validation errors detected: Value 'it's failed to satisfy constraint: secret' at \
                       'records.1.member.partitionKey' failed to satisfy constraint: Member must have length greater than or \
                       equal to 1; Value 'hush' at 'records.2.member.partitionKey' failed to satisfy constraint: Member must \
                       have length less than or equal to 256";
        assert_eq!(
            message(PUT_RECORDS, ErrorKind::Invalid, quoting),
            "failed to satisfy constraint: Member must have length less than or equal to 256"
        );
        for kind in [ErrorKind::Invalid, ErrorKind::Transient] {
            let text = message(PUT_RECORDS, kind, "cannot read hush");
            assert_eq!(text, "its message of 16 characters is left out, since it may quote records");
        }
        assert_eq!(message(PUT_RECORDS, ErrorKind::Transient, ""), "");
    }

    #[test]
    fn messages_that_quote_no_record_are_repeated() {
        let rate =
            "Rate exceeded for shard shardId-000000000000 in stream orders under account 123456789012.";
        assert_eq!(message(PUT_RECORDS, ErrorKind::Throttled, rate), rate);
        let denied =
            "User: arn:aws:iam::123456789012:user/me is not authorized to perform: kinesis:PutRecords";
        assert_eq!(message(PUT_RECORDS, ErrorKind::Denied, denied), denied);
        let wrong = "Value 'x' at 'tableName' failed to satisfy constraint: Member must have length above 2";
        assert_eq!(message("DescribeTable", ErrorKind::Invalid, wrong), wrong);
    }

    #[test]
    fn credentials_are_not_repeated() {
        for (spoken, kept) in [
            (
                "The request signature we calculated does not match the signature you provided. The Canonical String for \
                 this request should have been 'POST x-amz-security-token:hush'",
                "The request signature we calculated does not match the signature you provided.",
            ),
            (
                "'x' not a valid key=value pair in Authorization header: 'AWS4-HMAC-SHA256 hush'",
                "'x' not a valid key=value pair in",
            ),
            (
                "Authorization header requires 'Signature' parameter. Authorization=AWS4 hush",
                "Authorization header requires 'Signature' parameter.",
            ),
            ("one\nhush", "one"),
        ] {
            assert_eq!(message("GetItem", ErrorKind::Credentials, spoken), kept);
        }
    }

    #[test]
    fn a_message_is_cut_and_a_code_is_a_word() {
        assert_eq!(
            message("GetItem", ErrorKind::Transient, &"ä".repeat(501)),
            format!("{}…", "ä".repeat(500))
        );
        assert_eq!(message("GetItem", ErrorKind::Transient, &"ä".repeat(500)), "ä".repeat(500));
        assert_eq!(code("ValidationException"), "ValidationException");
        assert_eq!(code("no item 4711"), "UnreadableCode");
    }
}
