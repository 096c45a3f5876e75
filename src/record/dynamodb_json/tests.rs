use crate::record::envelope::Format;
use crate::record::testing::{Change, payload};

/// An item with spacing, escapes and digits that must come through as they are.
const NEW: &str = r#"{"id" : {"S":"a"}, "t":{"S":"\u0000\"\ud83d\ude00é"},
 "n":{"N":"12345678901234567890123456789012345678"}}"#;
const OLD: &str = r#"{"id":{"S":"a"},"e":{"L":[ ]}}"#;

/// The payload of a change whose images are given by `images`.
fn expected(event: &str, images: &str, view_type: &str) -> String {
    format!(
        r#"{{"awsRegion":"eu-west-1","eventID":"0a1b","eventName":"{event}","userIdentity":null,"recordFormat":"application/json","tableName":"orders","dynamodb":{{"ApproximateCreationDateTime":1750000000000,"ApproximateCreationDateTimePrecision":"MILLISECOND","Keys":{{"id":{{"S":"a"}}}}{images},"SizeBytes":26,"SequenceNumber":"000300000000000000499659","StreamViewType":"{view_type}"}},"eventSource":"aws:dynamodb","eventSourceARN":"arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2024-01-02T03:04:05.678"}}"#
    )
}

fn written(change: &Change) -> String {
    payload(Format::DynamodbJson, change)
}

#[test]
fn writes_all_four_view_types_byte_for_byte() {
    let change = |view_type| Change::new("MODIFY", view_type);
    let (new, old) = (format!(r#","NewImage":{NEW}"#), format!(r#","OldImage":{OLD}"#));
    for (change, images, view_type) in [
        (change("KEYS_ONLY"), String::new(), "KEYS_ONLY"),
        (change("NEW_IMAGE").image_new(NEW), new.clone(), "NEW_IMAGE"),
        (change("OLD_IMAGE").image_old(OLD), old.clone(), "OLD_IMAGE"),
        (change("NEW_AND_OLD_IMAGES").image_new(NEW).image_old(OLD), new + &old, "NEW_AND_OLD_IMAGES"),
    ] {
        assert_eq!(written(&change), expected("MODIFY", &images, view_type));
    }
}

#[test]
fn writes_every_event() {
    for event in ["INSERT", "MODIFY", "REMOVE"] {
        assert_eq!(written(&Change::new(event, "KEYS_ONLY")), expected(event, "", "KEYS_ONLY"));
    }
}

#[test]
fn marks_a_time_to_live_delete_in_lower_case() {
    let identities = [
        r#"{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}"#,
        r#"{"principalId":"dynamodb.amazonaws.com","type":"Service"}"#,
    ];
    for identity in identities {
        let change = Change { identity, ..Change::new("REMOVE", "OLD_IMAGE").image_old(OLD) };
        let plain = expected("REMOVE", &format!(r#","OldImage":{OLD}"#), "OLD_IMAGE");
        let marked = plain.replace(
            r#""userIdentity":null"#,
            r#""userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}"#,
        );
        assert_eq!(written(&change), marked);
    }
    let half = Change { identity: r#"{"Type":"Service"}"#, ..Change::new("REMOVE", "KEYS_ONLY") };
    assert!(written(&half).contains(r#""userIdentity":{"type":"Service","principalId":null},"#));
}

#[test]
fn fills_in_from_the_stream_what_the_record_lacks() {
    let body = r#"{"Records":[{"eventID":"\u00e9","eventName":"INSERT","dynamodb":{
        "ApproximateCreationDateTime":1,"Keys":{"id":{"S":"a"}},"SequenceNumber":"7"}}]}"#;
    let page = crate::stream::page::Page::parse(body.as_bytes()).expect("a page");
    let encoder =
        crate::record::envelope::Encoder::new(crate::record::testing::options(Format::DynamodbJson));
    let encoded = encoder.encode(&page.records[0], &mut Vec::new()).expect("a record").expect("carried");
    assert_eq!(
        String::from_utf8(encoded.entry.data().to_vec()).expect("UTF-8"),
        r#"{"awsRegion":"eu-west-1","eventID":"\u00e9","eventName":"INSERT","userIdentity":null,"recordFormat":"application/json","tableName":"orders","dynamodb":{"ApproximateCreationDateTime":1000,"ApproximateCreationDateTimePrecision":"MILLISECOND","Keys":{"id":{"S":"a"}},"SequenceNumber":"7"},"eventSource":"aws:dynamodb","eventSourceARN":"arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2024-01-02T03:04:05.678"}"#
    );
}
