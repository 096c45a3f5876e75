use std::sync::Arc;

use super::*;
use crate::record::pattern::Pattern;

fn keys() -> KeySchema {
    KeySchema { partition_key: "id".to_owned(), sort_key: Some("line".to_owned()) }
}

fn found(selection: &Selection, view_type: &str) -> Vec<String> {
    contradictions(selection, view_type, &keys()).iter().map(ToString::to_string).collect()
}

/// The view types, of the four, with which a selection is refused; the text must have these parts.
#[track_caller]
fn refused_with(selection: &Selection, expected: &[&str], parts: &[&str]) {
    for view_type in ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"] {
        let found = found(selection, view_type);
        assert_eq!(found.len(), usize::from(expected.contains(&view_type)), "{view_type}: {found:?}");
        for text in found {
            for part in parts {
                assert!(text.contains(part), "{part:?} is not in: {text}");
            }
        }
    }
    assert!(found(selection, "unknown").is_empty());
}

fn filtered(pattern: &str) -> Selection {
    let filter = Pattern::parse(pattern).unwrap_or_else(|error| panic!("{error}"));
    Selection { filter: Some(Arc::new(filter)), ..Selection::default() }
}

#[test]
fn images_that_the_stream_lacks() {
    let images = |images| Selection { images, ..Selection::default() };
    refused_with(&Selection::default(), &[], &[]);
    refused_with(&images(Images::Keys), &[], &[]);
    let remedy = "enable the table's stream with";
    refused_with(&images(Images::New), &["KEYS_ONLY", "OLD_IMAGE"], &["record.images: \"new\"", remedy]);
    refused_with(&images(Images::Old), &["KEYS_ONLY", "NEW_IMAGE"], &["record.images: \"old\"", remedy]);
    let selection = Selection { drop_unchanged: true, ..Selection::default() };
    refused_with(&selection, &["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE"], &["record.drop_unchanged", remedy]);
    let only = Selection { attributes: Attributes::Only(vec!["a".to_owned()]), ..Selection::default() };
    refused_with(&only, &["KEYS_ONLY"], &["record.include_attributes", "KEYS_ONLY", remedy]);
    let but = Selection { attributes: Attributes::AllBut(vec!["a".to_owned()]), ..Selection::default() };
    refused_with(&but, &["KEYS_ONLY"], &["record.exclude_attributes", "KEYS_ONLY", remedy]);
}

#[test]
fn a_filter_on_what_is_never_there() {
    let new = r#"{"dynamodb":{"NewImage":{"a":{"S":["x"]}}}}"#;
    let place = "`dynamodb.NewImage` (line 1, column 14 of the pattern)";
    refused_with(&filtered(new), &["KEYS_ONLY", "OLD_IMAGE"], &["record.filter", place, "view type"]);
    let absent = r#"{"dynamodb":{"NewImage":{"a":{"S":[{"exists":false}, "x"]}}}}"#;
    refused_with(&filtered(absent), &[], &[]);
    refused_with(&filtered(r#"{"dynamodb":{"Keys":{"id":{"S":["x"]},"line":{"N":[1]}}}}"#), &[], &[]);
    let all = ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"];
    let parts = ["`dynamodb.Keys.total` (line 1, column 22", "id and line", "name one of these"];
    refused_with(&filtered(r#"{"dynamodb":{"Keys":{"total":{"N":[1]}}}}"#), &all, &parts);
    refused_with(&filtered(r#"{"dynamodb":{"Keys":{"total":{"N":[{"exists":false}]}}}}"#), &[], &[]);
}

/// What can match without what is not there is no contradiction.
#[test]
fn a_filter_with_an_alternative_to_what_is_never_there() {
    let event = r#"{"$or":[{"eventName":["INSERT"]},{"dynamodb":{"OldImage":{"a":{"S":["x"]}}}}]}"#;
    refused_with(&filtered(event), &[], &[]);
    let keys = r#"{"dynamodb":{"Keys":{"$or":[{"total":{"N":[1]}},{"line":{"N":[1]}}]}}}"#;
    refused_with(&filtered(keys), &[], &[]);
    let absence = r#"{"dynamodb":{"OldImage":{"a":{"S":["x"]},"$or":[{"b":{"S":["x"]}},{"b":{"S":[{"exists":false}]}}]}}}"#;
    refused_with(&filtered(absence), &["KEYS_ONLY", "NEW_IMAGE"], &["`dynamodb.OldImage`"]);
    // README's, for items that come into the filter and for those that leave it.
    let image = r#"{"$or":[{"NewImage":{"a":{"S":["x"]}}},{"OldImage":{"a":{"S":["x"]}}}]}"#;
    let either = format!(r#"{{"dynamodb":{image}}}"#);
    refused_with(
        &filtered(&either),
        &["KEYS_ONLY"],
        &["`dynamodb.NewImage` (line 1, column 22 of the pattern)"],
    );
    // What stands beside the alternatives is asked for all the same.
    let beside = either.replace("]}}}]}}", "]}}}],\"OldImage\":{\"b\":{\"S\":[\"y\"]}}}}");
    refused_with(&filtered(&beside), &["KEYS_ONLY", "NEW_IMAGE"], &["Image` (line 1"]);
    let nested = r#"{"$or":[{"dynamodb":{"NewImage":{"a":{"S":["x"]}}}},{"eventName":["REMOVE"],
        "$or":[{"dynamodb":{"OldImage":{"a":{"S":["x"]}}}},{"dynamodb":{"Keys":{"total":{"N":[1]}}}}]}]}"#;
    refused_with(&filtered(nested), &["KEYS_ONLY"], &["`dynamodb.NewImage`"]);
}
