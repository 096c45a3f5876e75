use crate::record::envelope::{EncodeError, Encoder, Format};
use crate::record::testing::{Change, options, payload};

const NEW: &str = r#"{"id":{"S":"a"},"n":{"N":"1.50"},"t":{"S":"\u0000é"}}"#;
const OLD: &str = r#"{"id":{"S":"a"},"e":{"M":{}}}"#;

/// The payload of a change whose images and `ttl` are given.
fn expected(op: &str, images: &str, ttl: bool) -> String {
    format!(
        r#"{{"op":"{op}","table":"orders","keys":{{"id":"a"}}{images},"at":1750000000000,"sequence_number":"000300000000000000499659","event_id":"0a1b","ttl":{ttl}}}"#
    )
}

fn written(change: &Change) -> String {
    payload(Format::Json, change)
}

#[test]
fn writes_all_four_view_types() {
    let change = |view_type| Change::new("MODIFY", view_type);
    let (new, old) = (r#","new":{"id":"a","n":1.50,"t":"\u0000é"}"#, r#","old":{"id":"a","e":{}}"#);
    for (change, images) in [
        (change("KEYS_ONLY"), String::new()),
        (change("NEW_IMAGE").image_new(NEW), new.to_owned()),
        (change("OLD_IMAGE").image_old(OLD), old.to_owned()),
        (change("NEW_AND_OLD_IMAGES").image_new(NEW).image_old(OLD), format!("{new}{old}")),
    ] {
        assert_eq!(written(&change), expected("modify", &images, false));
    }
}

#[test]
fn writes_every_event_and_marks_time_to_live() {
    for (event, op) in [("INSERT", "insert"), ("MODIFY", "modify"), ("REMOVE", "remove")] {
        let change = Change::new(event, "KEYS_ONLY");
        assert_eq!(written(&change), expected(op, "", false));
        let identity = r#"{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}"#;
        assert_eq!(written(&Change { identity, ..change }), expected(op, "", event == "REMOVE"));
    }
}

#[test]
fn keys_of_every_type_are_plain_too() {
    let keys = r#"{"id":{"B":"AAH/"},"sort":{"N":"-7E+3"}}"#.to_owned();
    let written = written(&Change { keys, ..Change::new("INSERT", "KEYS_ONLY") });
    assert!(written.contains(r#""keys":{"id":"AAH/","sort":-7E+3},"#), "{written}");
}

#[test]
fn an_error_names_the_field_and_shows_no_content() {
    let encoder = Encoder::new(options(Format::Json));
    let change = Change::new("MODIFY", "NEW_AND_OLD_IMAGES");
    let wrong = r#"{"card":{"S":["4111-secret"]}}"#;
    for (change, name) in [
        (change.clone().image_new(wrong), "NewImage"),
        (change.clone().image_new(NEW).image_old(wrong), "OldImage"),
    ] {
        let error = change.record(|record| encoder.encode(record, &mut Vec::new())).expect_err(name);
        assert!(matches!(error, EncodeError::NotAnItem { field, .. } if field == name), "{error}");
        assert_eq!(
            error.to_string(),
            format!(
                "{name} is not DynamoDB JSON: expected a string at line 1, column 29; format = \"dynamodb_json\" \
                 would carry it as it is"
            )
        );
    }
    let keys = r#"{"id":{"S":"a"},"sort":{"X":"4111-secret"}}"#.to_owned();
    let error =
        Change { keys, ..change }.record(|record| encoder.encode(record, &mut Vec::new())).expect_err("keys");
    assert!(matches!(error, EncodeError::NotAnItem { field: "Keys", .. }), "{error}");
    assert!(!error.to_string().contains("secret"));
}
