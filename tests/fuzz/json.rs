//! The `json` envelope: plain values, each as the slow conversion has it, numbers digit for digit.

use ddb_kinesis_bridge::record::envelope::{EncodeError, Format};
use proptest::prelude::*;

use crate::budget::fuzz;
use crate::facts::Facts;
use crate::items;
use crate::pages::{Input, input};
use crate::records::{TABLE, each, means, names, options, raw};
use crate::referee::{Json, Kind, must_read};

#[test]
fn json() {
    let options = options(Format::Json);
    fuzz("json", input, |input: &Input| {
        each(input, &options, |facts, encoded| {
            let (keys, new, old) = (Some(&facts.keys), facts.new.as_ref(), facts.old.as_ref());
            let parts = [("Keys", keys), ("NewImage", new), ("OldImage", old)];
            let plain = parts.map(|(field, text)| (field, text.map(|text| items::plain(&must_read(text)))));
            let wrong = plain.iter().find(|(_, text)| matches!(text, Some(None)));
            match (encoded, wrong) {
                (Ok(encoded), None) => {
                    let payload = String::from_utf8(encoded.entry.data().to_vec());
                    let payload = payload.map_err(|error| TestCaseError::fail(error.to_string()))?;
                    let [keys, new, old] = plain.map(|(_, text)| text.flatten());
                    says_it_all(&must_read(&payload), facts, [keys, new, old])
                }
                (Err(EncodeError::NotAnItem { field, .. }), Some((wrong, _))) => {
                    prop_assert_eq!(field, *wrong);
                    Ok(())
                }
                (Err(EncodeError::Key(_)), _) if !matches!(input, Input::Whole(..)) => Ok(()),
                (encoded, _) => Err(TestCaseError::fail(format!("{plain:?}, but {encoded:?}"))),
            }
        })
    });
}

fn says_it_all(payload: &Json<'_>, facts: &Facts, items: [Option<String>; 3]) -> Result<(), TestCaseError> {
    let [keys, new, old] = items;
    let op = match facts.event_name.as_str() {
        "INSERT" => "\"insert\"",
        "MODIFY" => "\"modify\"",
        _ => "\"remove\"",
    };
    let (created, sequence) = (facts.created_ms.to_string(), format!("\"{}\"", facts.sequence));
    let expected = [
        ("op", Some(op)),
        ("keys", keys.as_deref()),
        ("new", new.as_deref()),
        ("old", old.as_deref()),
        ("at", Some(created.as_str())),
        ("sequence_number", Some(sequence.as_str())),
        ("event_id", Some(facts.event_id.as_str())),
    ];
    for (name, text) in expected {
        prop_assert_eq!(raw(payload, name), text, "{}", name);
    }
    prop_assert!(means(payload, "table", TABLE));
    let ttl = matches!(payload.get("ttl"), Some(Json { kind: Kind::Bool(true), .. }));
    prop_assert_eq!(ttl, is_ttl(facts));
    let count = 9 - usize::from(new.is_none()) - usize::from(old.is_none());
    prop_assert_eq!(names(payload).len(), count);
    Ok(())
}

fn is_ttl(facts: &Facts) -> bool {
    let Some((Some(kind), Some(principal))) = &facts.identity else { return false };
    let is = |token: &str, text: &str| crate::referee::decode(token).is_some_and(|decoded| decoded == text);
    facts.event_name == "REMOVE" && is(kind, "Service") && is(principal, "dynamodb.amazonaws.com")
}
