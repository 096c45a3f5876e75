//! The `dynamodb_json` envelope: every part of the page stands in the payload byte for byte.

use ddb_kinesis_bridge::record::envelope::Format;
use proptest::prelude::*;
use serde_json::Value;

use crate::budget::fuzz;
use crate::facts::Facts;
use crate::pages::{Input, input};
use crate::records::{ARN, REGION, TABLE, each, means, names, options, raw};
use crate::referee::{Json, must_read};

#[test]
fn dynamodb_json() {
    let options = options(Format::DynamodbJson);
    fuzz("dynamodb_json", input, |input: &Input| {
        each(input, &options, |facts, encoded| match encoded {
            Ok(encoded) => {
                let payload = String::from_utf8(encoded.entry.data().to_vec())
                    .map_err(|error| TestCaseError::fail(error.to_string()))?;
                says_it_all(&must_read(&payload), facts)?;
                reads_like_the_page(&payload, facts)
            }
            Err(error) => {
                prop_assert!(!matches!(input, Input::Whole(..)), "refused: {}", error);
                Ok(())
            }
        })
    });
}

fn says_it_all(payload: &Json<'_>, facts: &Facts) -> Result<(), TestCaseError> {
    let mut expected = vec!["awsRegion", "eventID", "eventName", "userIdentity", "recordFormat", "tableName"];
    expected.extend(["dynamodb", "eventSource", "eventSourceARN"]);
    prop_assert_eq!(names(payload), expected);
    prop_assert_eq!(raw(payload, "eventID"), Some(facts.event_id.as_str()));
    prop_assert!(means(payload, "eventName", &facts.event_name));
    prop_assert!(means(payload, "tableName", TABLE));
    prop_assert!(means(payload, "eventSourceARN", ARN));
    prop_assert!(means(payload, "recordFormat", "application/json"));
    match &facts.region {
        Some(region) => prop_assert_eq!(raw(payload, "awsRegion"), Some(region.as_str())),
        None => prop_assert!(means(payload, "awsRegion", REGION)),
    }
    match &facts.event_source {
        Some(source) => prop_assert_eq!(raw(payload, "eventSource"), Some(source.as_str())),
        None => prop_assert!(means(payload, "eventSource", "aws:dynamodb")),
    }
    let identity = payload.get("userIdentity").expect("it was named");
    match &facts.identity {
        Some((kind, principal)) => {
            prop_assert_eq!(raw(identity, "type"), Some(kind.as_deref().unwrap_or("null")));
            prop_assert_eq!(raw(identity, "principalId"), Some(principal.as_deref().unwrap_or("null")));
        }
        None => prop_assert!(identity.is_null()),
    }
    change_says_it_all(payload.get("dynamodb").expect("it was named"), facts)
}

fn change_says_it_all(change: &Json<'_>, facts: &Facts) -> Result<(), TestCaseError> {
    let created = facts.created_ms.to_string();
    let size = facts.size.map(|size| size.to_string());
    let sequence = format!("\"{}\"", facts.sequence);
    let expected = [
        ("ApproximateCreationDateTime", Some(created.as_str())),
        ("ApproximateCreationDateTimePrecision", Some("\"MILLISECOND\"")),
        ("Keys", Some(facts.keys.as_str())),
        ("NewImage", facts.new.as_deref()),
        ("OldImage", facts.old.as_deref()),
        ("SizeBytes", size.as_deref()),
        ("SequenceNumber", Some(sequence.as_str())),
        ("StreamViewType", facts.view.as_deref()),
    ];
    let expected: Vec<_> = expected.into_iter().filter(|(_, text)| text.is_some()).collect();
    prop_assert_eq!(names(change), expected.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, text) in expected {
        prop_assert_eq!(raw(change, name), text, "{}", name);
    }
    Ok(())
}

/// serde_json makes the same of an image in the payload as of the image by itself, or refuses both.
fn reads_like_the_page(payload: &str, facts: &Facts) -> Result<(), TestCaseError> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    let parts =
        [("Keys", Some(&facts.keys)), ("NewImage", facts.new.as_ref()), ("OldImage", facts.old.as_ref())];
    let Some(payload) = parse(payload) else {
        let tokens = [&facts.region, &facts.event_source, &facts.view].into_iter().flatten();
        let all = tokens.chain([&facts.event_id]).chain(parts.iter().filter_map(|(_, text)| *text));
        let identity = facts.identity.iter().flat_map(|(kind, principal)| kind.iter().chain(principal));
        let unread = all.chain(identity).any(|text| parse(text).is_none());
        prop_assert!(unread, "serde_json reads every part, but not the payload");
        return Ok(());
    };
    for (name, text) in parts {
        let alone = text.map(|text| parse(text));
        prop_assert_eq!(payload["dynamodb"].get(name).cloned(), alone.flatten(), "{}", name);
    }
    Ok(())
}
