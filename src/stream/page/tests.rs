use proptest::prelude::*;

use super::*;
use crate::stream::cursor::tests::any_json;

/// A record's change with all that is required, and `more` members.
fn change(more: &str) -> String {
    format!(
        r#""dynamodb":{{"ApproximateCreationDateTime":1.75E9,"Keys":{{"id":{{"S":"a"}}}},"SequenceNumber":"100"{more}}}"#
    )
}

/// A page of one record with these members.
fn page_of(members: &str) -> String {
    format!(r#"{{"Records":[{{{members}}}],"NextShardIterator":"next"}}"#)
}

/// A page of one complete record, with `more` members in its change.
fn simple_page(more: &str) -> String {
    page_of(&format!(r#""eventID":"e1","eventName":"INSERT",{}"#, change(more)))
}

fn parse(body: &str) -> Page<'_> {
    Page::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{body}"))
}

fn error(body: &str) -> PageError {
    match Page::parse(body.as_bytes()) {
        Ok(page) => panic!("parsed as {page:?}:\n{body}"),
        Err(error) => error,
    }
}

#[test]
fn finds_every_part_of_a_change() {
    let body = r#"{
        "NextShardIterator": "arn:aws:dynamodb:…|1|AAA\u003d",
        "Records": [{
            "awsRegion": "eu-west-1", "eventID": "f0\u0030", "eventName": "MODIFY",
            "eventSource": "aws:dynamodb", "eventVersion": "1.1", "userIdentity": null,
            "dynamodb": {
                "StreamViewType": "NEW_AND_OLD_IMAGES", "SizeBytes": 59,
                "SequenceNumber": "111100000000000003498069978", "ApproximateCreationDateTime": 1750000000,
                "OldImage": {"id" : {"N":"101"}}, "NewImage": { }, "Keys": {"id":  {"N":"101"} }
            }
        }]
    }"#;
    let page = parse(body);
    assert_eq!(page.next_iterator.as_deref(), Some("arn:aws:dynamodb:…|1|AAA="));
    let [record] = page.records.as_slice() else { panic!("one record") };
    assert_eq!(record.event_id.as_json(), r#""f0\u0030""#);
    assert_eq!(record.event_name, EventName::Modify);
    assert_eq!(record.aws_region.map(JsonStr::as_json), Some(r#""eu-west-1""#));
    assert_eq!(record.event_source.map(JsonStr::as_json), Some(r#""aws:dynamodb""#));
    assert_eq!(record.created_at_ms, 1_750_000_000_000);
    assert_eq!(record.keys.get(), r#"{"id":  {"N":"101"} }"#);
    assert_eq!(record.new_image.map(Json::get), Some("{ }"));
    assert_eq!(record.old_image.map(Json::get), Some(r#"{"id" : {"N":"101"}}"#));
    assert_eq!(record.sequence_number.as_str(), "111100000000000003498069978");
    assert_eq!(record.size_bytes, Some(59));
    assert_eq!(record.stream_view_type.map(JsonStr::as_json), Some(r#""NEW_AND_OLD_IMAGES""#));
    assert_eq!(record.user_identity, None);
    assert!(!record.is_ttl_delete());
}

#[test]
fn does_without_what_is_optional_absent_or_null() {
    let nulls = r#","NewImage":null,"OldImage":null,"SizeBytes":null,"StreamViewType":null"#;
    let with_nulls = page_of(&format!(
        r#""awsRegion":null,"eventSource":null,"userIdentity":null,"eventID":"e","eventName":"REMOVE",{}"#,
        change(nulls)
    ));
    for body in [with_nulls, simple_page("")] {
        let page = parse(&body);
        let record = &page.records[0];
        assert!(record.aws_region.is_none() && record.event_source.is_none());
        assert!(record.new_image.is_none() && record.old_image.is_none());
        assert!(record.size_bytes.is_none() && record.stream_view_type.is_none());
        assert_eq!(record.user_identity, None);
    }
}

#[test]
fn passes_over_unknown_members_however_deep() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let body = page_of(&format!(
        r#""x":{deep},"eventID":"e","eventName":"INSERT","userIdentity":{{"Type":"t","x":[1]}},{}"#,
        change(&format!(r#","x":{deep}"#))
    ));
    assert_eq!(parse(&body).records.len(), 1);
    let outside = format!(r#"{{"x":{deep},"Records":[],"MillisBehindLatest":0}}"#);
    assert!(parse(&outside).records.is_empty());
}

#[test]
fn an_image_may_be_nested_without_bound() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let body = simple_page(&format!(r#","NewImage":{deep}"#));
    assert_eq!(parse(&body).records[0].new_image.map(Json::get), Some(deep.as_str()));
}

#[test]
fn the_shard_ends_without_an_iterator() {
    for end in ["", r#","NextShardIterator":null"#, r#","NextShardIterator":"""#] {
        assert_eq!(parse(&format!(r#"{{"Records":[]{end}}}"#)).next_iterator, None, "{end}");
    }
    let localstack =
        r#"{"Records":[],"NextShardIterator":"arn:aws:dynamodb:us-east-1:0:table/t/stream/1|1|None"}"#;
    assert_eq!(parse(localstack).next_iterator, None);
    let goes_on = r#"{"Records":[],"NextShardIterator":"None"}"#;
    assert_eq!(parse(goes_on).next_iterator.as_deref(), Some("None"));
}

#[test]
fn records_may_come_with_the_end() {
    let body = format!(r#"{{"Records":[{{"eventID":"e","eventName":"INSERT",{}}}]}}"#, change(""));
    let page = parse(&body);
    assert_eq!((page.records.len(), page.next_iterator), (1, None));
}

#[test]
fn a_body_without_records_is_an_end_only_if_it_says_so() {
    for body in ["{}", r#"{"Records":null}"#, r#"{"NextShardIterator":null}"#, r#"{"message":"hello"}"#] {
        let error = error(body);
        assert_eq!(
            (error.record, error.member, error.fault),
            (None, "Records", PageFault::Missing),
            "{body}"
        );
    }
    for body in [r#"{"NextShardIterator":"n"}"#, r#"{"Records":null,"NextShardIterator":"n"}"#] {
        assert!(parse(body).records.is_empty());
    }
}

/// The fuzz target found the parts of both in one record.
#[test]
fn the_last_of_two_changes_counts_and_nothing_of_the_first() {
    let whole = r#""ApproximateCreationDateTime":1,"Keys":{"id":{"S":"first"}},"SequenceNumber":"1""#;
    let first = format!(r#""dynamodb":{{{whole},"NewImage":{{}},"SizeBytes":1}}"#);
    let body = page_of(&format!(r#""eventID":"e","eventName":"INSERT",{first},{}"#, change("")));
    let page = parse(&body);
    let record = &page.records[0];
    assert_eq!((record.keys.get(), record.sequence_number.as_str()), (r#"{"id":{"S":"a"}}"#, "100"));
    assert!(record.new_image.is_none() && record.size_bytes.is_none());

    let partly = r#""dynamodb":{"Keys":{"id":{"S":"last"}}}"#;
    let body = page_of(&format!(r#""eventID":"e","eventName":"INSERT",{first},{partly}"#));
    let error = error(&body);
    assert_eq!((error.member, error.fault), ("dynamodb.ApproximateCreationDateTime", PageFault::Missing));
}

#[test]
fn reads_the_time_in_whole_milliseconds() {
    for (seconds, ms) in [
        ("1750000000", 1_750_000_000_000),
        ("1750000000.0", 1_750_000_000_000),
        ("1.75E9", 1_750_000_000_000),
        ("1.75e+9", 1_750_000_000_000),
        ("1.750000001234E9", 1_750_000_001_234),
        ("1750000000.999", 1_750_000_000_999),
        ("1750000000.9996", 1_750_000_001_000),
        ("4102444799.001", 4_102_444_799_001),
        ("0", 0),
    ] {
        let body = page_of(&format!(r#""eventID":"e","eventName":"INSERT",{}"#, change("")))
            .replace("1.75E9", seconds);
        assert_eq!(parse(&body).records[0].created_at_ms, ms, "{seconds}");
    }
    for wrong in ["-1", "1e300", "18446744073709551615", "\"1750000000\"", "{}", "true"] {
        let body = simple_page("").replace("1.75E9", wrong);
        let error = error(&body);
        assert_eq!(error.member, "dynamodb.ApproximateCreationDateTime", "{wrong}");
        assert_eq!(error.fault, PageFault::Expected("seconds since 1970"), "{wrong}");
    }
}

#[test]
fn knows_a_time_to_live_delete() {
    let record = |event: &str, identity: &str| {
        let body = page_of(&format!(
            r#""eventID":"e","eventName":"{event}","userIdentity":{identity},{}"#,
            change("")
        ));
        parse(&body).records[0].is_ttl_delete()
    };
    let streams = r#"{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}"#;
    assert!(record("REMOVE", streams));
    assert!(record("REMOVE", r#"{"principalId":"dynamodb.amazonaws.com","type":"Service"}"#));
    assert!(record("REMOVE", r#"{"PrincipalId":"dynamodb.amazonaws.com","x":1,"Type":"\u0053ervice"}"#));
    assert!(!record("MODIFY", streams));
    assert!(!record("REMOVE", r#"{"Type":"Service","PrincipalId":"replication.dynamodb.amazonaws.com"}"#));
    assert!(!record("REMOVE", r#"{"Type":"User","PrincipalId":"dynamodb.amazonaws.com"}"#));
    assert!(!record("REMOVE", r#"{"Type":null,"PrincipalId":null}"#));
    assert!(!record("REMOVE", "{}"));
    assert!(!record("REMOVE", "null"));
}

/// The fuzz target found that serde reads an array into a struct, by position.
#[test]
fn an_array_is_no_identity() {
    for array in ["[]", r#"["Service","dynamodb.amazonaws.com"]"#, "[null]"] {
        let body =
            page_of(&format!(r#""userIdentity":{array},"eventID":"e","eventName":"REMOVE",{}"#, change("")));
        let error = error(&body);
        assert_eq!((error.record, error.member), (Some(0), "userIdentity"), "{array}");
    }
}

#[test]
fn an_error_names_the_record_and_the_member() {
    let expected = [
        (r#""eventID":7"#, "eventID", "a string"),
        (r#""eventName":"UPSERT""#, "eventName", "INSERT, MODIFY or REMOVE"),
        (r#""awsRegion":{}"#, "awsRegion", "a string"),
        (r#""eventSource":[]"#, "eventSource", "a string"),
        (r#""userIdentity":"me""#, "userIdentity", "an object whose Type and PrincipalId are strings"),
        (r#""userIdentity":{"Type":1}"#, "userIdentity", "an object whose Type and PrincipalId are strings"),
        (r#""dynamodb":[]"#, "dynamodb", "an object"),
        (r#""dynamodb":{"Keys":"secret"}"#, "dynamodb.Keys", "an object"),
        (r#""dynamodb":{"NewImage":[]}"#, "dynamodb.NewImage", "an object"),
        (r#""dynamodb":{"OldImage":1}"#, "dynamodb.OldImage", "an object"),
        (r#""dynamodb":{"SequenceNumber":"12x"}"#, "dynamodb.SequenceNumber", "a string of decimal digits"),
        (r#""dynamodb":{"SequenceNumber":12}"#, "dynamodb.SequenceNumber", "a string of decimal digits"),
        (r#""dynamodb":{"SizeBytes":-1}"#, "dynamodb.SizeBytes", "a whole number"),
        (r#""dynamodb":{"StreamViewType":1}"#, "dynamodb.StreamViewType", "a string"),
    ];
    let good = format!(r#"{{"eventID":"e","eventName":"INSERT",{}}}"#, change(""));
    for (members, member, kind) in expected {
        let error = error(&format!(r#"{{"Records":[{good},{good},{{{members}}}]}}"#));
        assert_eq!((error.record, error.member), (Some(2), member), "{members}");
        assert_eq!(error.fault, PageFault::Expected(kind), "{members}");
    }
    let not_an_object = error(&format!(r#"{{"Records":[{good},null]}}"#));
    assert_eq!((not_an_object.record, not_an_object.member), (Some(1), "the record"));
    let not_an_array = error(r#"{"Records":{}}"#);
    assert_eq!((not_an_array.record, not_an_array.member), (None, "Records"));
    let iterator = error(&format!(r#"{{"Records":[{good}],"NextShardIterator":5}}"#));
    assert_eq!((iterator.record, iterator.member), (None, "NextShardIterator"));
    assert_eq!(error("[]").member, "the body");
}

#[test]
fn an_error_names_what_is_missing() {
    let body = simple_page("");
    for (there, member) in [
        (r#""eventID":"e1","#, "eventID"),
        (r#""eventName":"INSERT","#, "eventName"),
        (r#""ApproximateCreationDateTime":1.75E9,"#, "dynamodb.ApproximateCreationDateTime"),
        (r#""Keys":{"id":{"S":"a"}},"#, "dynamodb.Keys"),
        (r#","SequenceNumber":"100""#, "dynamodb.SequenceNumber"),
    ] {
        assert!(body.contains(there), "{there}");
        let error = error(&body.replace(there, ""));
        assert_eq!((error.record, error.member, error.fault), (Some(0), member, PageFault::Missing));
    }
    for missing in [r#""eventID":"e""#, r#""eventID":"e","dynamodb":null"#] {
        assert_eq!(error(&page_of(missing)).member, "dynamodb");
    }
}

#[test]
fn an_error_shows_no_content() {
    let body = simple_page(r#","NewImage":{"card":{"S":"4111-secret"}},"SizeBytes":"4111-secret""#);
    let column = 1 + body.find("}}],").expect("the change ends right after the wrong value");
    assert_eq!(
        error(&body).to_string(),
        format!(
            "GetRecords answered with a body that is not DynamoDB Streams' (record 0, dynamodb.SizeBytes): expected \
             a whole number, at line 1, column {column}; check that the source's endpoint_url is that of DynamoDB \
             Streams"
        )
    );
}

#[test]
fn text_after_the_page_is_an_error() {
    assert_eq!(error(r#"{"Records":[]} x"#).fault, PageFault::NotJson);
    assert!(parse("{\"Records\":[]}\r\n").records.is_empty());
}

#[test]
fn every_cut_of_a_page_ends_early() {
    let body = simple_page(r#","NewImage":{"id":{"S":"ä\u00e4"}},"SizeBytes":12"#);
    for end in 0..body.len() {
        let error = Page::parse(&body.as_bytes()[..end]).expect_err("a part of a page");
        // Half of a two-byte letter or of a number such as `1.` may also be no JSON.
        assert!(matches!(error.fault, PageFault::EndsEarly | PageFault::NotJson), "{end}: {error}");
    }
}

fn any_item() -> impl Strategy<Value = String> {
    any_json().prop_map(|value| format!("{{\"a\":{value}}}"))
}

#[test]
fn member_names_may_be_written_with_escapes() {
    let body = simple_page(r#","SizeBytes":12"#)
        .replace("\"Records\"", r#""Record\u0073""#)
        .replace("\"eventID\"", r#""\u0065ventID""#)
        .replace("\"SizeBytes\"", r#""Size\u0042ytes""#);
    assert_eq!(parse(&body).records[0].size_bytes, Some(12));
    let no_name = simple_page("").replace("\"eventID\"", r#""\ud800""#);
    assert_eq!(error(&no_name).fault, PageFault::NotJson);
}

#[test]
fn bytes_that_are_no_text_may_only_be_passed_over() {
    let body = |at: &str| {
        let body = simple_page(r#","NewImage":{"a":{"S":"image"}},"x":["unknown"]"#);
        let at = body.find(at).expect("a part of the body");
        let mut body = body.into_bytes();
        body[at] = 0xff;
        body
    };
    let unknown = body("unknown");
    let page = Page::parse(&unknown).expect("only an unknown member is no text");
    assert_eq!(page.records[0].new_image.map(Json::get), Some(r#"{"a":{"S":"image"}}"#));
    for (at, member) in [("e1", "eventID"), ("image", "dynamodb.NewImage"), ("next", "NextShardIterator")] {
        let error = Page::parse(&body(at)).expect_err("what is taken must be text");
        assert_eq!((error.member, error.fault), (member, PageFault::NotJson));
    }
    let name = Page::parse(&body("dynamodb")).expect_err("a name must be text");
    assert_eq!(name.fault, PageFault::NotJson);
}

#[test]
fn an_error_tells_line_and_column() {
    let place = |body: &str| (error(body).line, error(body).column);
    assert_eq!(place("{\n \"Records\" :\n  true }"), (3, 7));
    assert_eq!(place("{\n\n \"Records\": [x"), (3, 14));
    // At the end it is the last byte.
    assert_eq!(place("{\"Records\":["), (1, 12));
    assert_eq!(place("{\n"), (1, 2));
    assert_eq!(place(""), (1, 0));
    // A raw line end in a string is still on the line that it ends.
    assert_eq!(place("{\"a\n\":1}"), (1, 4));
}

/// So that they are not moved as they grow more, and a page of an idle shard allocates nothing.
#[test]
fn there_is_room_for_the_records_from_the_first_on() {
    let record = format!(r#"{{"eventID":"e","eventName":"INSERT",{}}}"#, change(""));
    for count in [1, 100, 1_000] {
        let body = format!(r#"{{"Records":[{}]}}"#, vec![record.as_str(); count].join(","));
        let room = parse(&body).records.capacity();
        assert!((count..count + 5).contains(&room), "{room} for {count}");
    }
    assert_eq!(parse(r#"{"Records":[],"NextShardIterator":"n"}"#).records.capacity(), 0);
    let small_first = format!(r#"{{"Records":[{record}],"x":"{}"}}"#, "x".repeat(2_000_000));
    assert!(parse(&small_first).records.capacity() <= 1_000);
}

proptest! {
    #[test]
    fn never_panics(body in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(Page::parse(&body));
    }

    #[test]
    fn never_panics_on_a_damaged_page(place: prop::sample::Index, byte: u8, image in any_item()) {
        let mut body = simple_page(&format!(r#","NewImage":{image}"#)).into_bytes();
        let place = place.index(body.len());
        body[place] = byte;
        drop(Page::parse(&body));
    }

    #[test]
    fn images_and_keys_come_back_byte_for_byte(
        items in prop::collection::vec((any_item(), any_item(), any_item()), 0..5),
    ) {
        let records: Vec<_> = items.iter().map(|(keys, new, old)| format!(
            r#"{{"eventID":"e","eventName":"MODIFY","dynamodb":{{"ApproximateCreationDateTime":1,"SequenceNumber":"1",
            "Keys" :{keys} ,"NewImage": {new},"OldImage":{old}}}}}"#
        )).collect();
        let body = format!(r#"{{"Records":[{}],"NextShardIterator":"n"}}"#, records.join(" , "));
        let page = Page::parse(body.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let read: Vec<_> = page.records.iter().map(|record| (
            record.keys.get().to_owned(),
            record.new_image.map_or("", Json::get).to_owned(),
            record.old_image.map_or("", Json::get).to_owned(),
        )).collect();
        prop_assert_eq!(read, items);
    }
}
