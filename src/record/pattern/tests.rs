use super::*;
use crate::record::testing::{Change, STREAM};
use crate::record::walk::steps;
use crate::stream::arn::StreamArn;

fn source() -> Source {
    Source::new(&StreamArn::parse(STREAM).expect("a stream's ARN"))
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn matches(text: &str, change: &Change) -> bool {
    let (pattern, source) = (pattern(text), source());
    change.record(|record| pattern.matches(record, &source))
}

/// Whether a modification to this image matches this pattern for the image.
fn image_matches(text: &str, image: &str) -> bool {
    let change = Change::new("MODIFY", "NEW_IMAGE").image_new(image);
    matches(&format!(r#"{{"dynamodb":{{"NewImage":{text}}}}}"#), &change)
}

/// The operators as AWS' documents have them, each example's value carried by an attribute.
#[test]
fn the_operators_mean_what_aws_says() {
    for (pattern, image, expected) in [
        // Exact: any of the alternatives, by the whole value and its case.
        (r#"{"state":{"S":["running","stopped"]}}"#, r#"{"state":{"S":"running"}}"#, true),
        (r#"{"state":{"S":["running","stopped"]}}"#, r#"{"state":{"S":"Running"}}"#, false),
        (
            r#"{"name":{"S":["Alice"]},"day":{"S":["Monday"]}}"#,
            r#"{"day":{"S":"Monday"},"name":{"S":"Alice"}}"#,
            true,
        ),
        (
            r#"{"name":{"S":["Alice"]},"day":{"S":["Monday"]}}"#,
            r#"{"day":{"S":"Sunday"},"name":{"S":"Alice"}}"#,
            false,
        ),
        (r#"{"last":{"S":[""]}}"#, r#"{"last":{"S":""}}"#, true),
        (r#"{"last":{"S":[""]}}"#, r#"{"last":{"S":" "}}"#, false),
        (r#"{"last":{"S":[""]}}"#, "{}", false),
        // Null and booleans.
        (r#"{"user":{"NULL":[true]}}"#, r#"{"user":{"NULL":true}}"#, true),
        (r#"{"user":{"NULL":[true]}}"#, r#"{"user":{"S":"x"}}"#, false),
        (r#"{"paid":{"BOOL":[false]}}"#, r#"{"paid":{"BOOL":false}}"#, true),
        (r#"{"paid":{"BOOL":[false]}}"#, r#"{"paid":{"BOOL":true}}"#, false),
        // Prefix and suffix, also in any case.
        (r#"{"region":{"S":[{"prefix":"us-"}]}}"#, r#"{"region":{"S":"us-east-1"}}"#, true),
        (r#"{"region":{"S":[{"prefix":"us-"}]}}"#, r#"{"region":{"S":"eu-us-1"}}"#, false),
        (
            r#"{"service":{"S":[{"prefix":{"equals-ignore-case":"EventB"}}]}}"#,
            r#"{"service":{"S":"EVENTBridge"}}"#,
            true,
        ),
        (
            r#"{"service":{"S":[{"prefix":{"equals-ignore-case":"EventB"}}]}}"#,
            r#"{"service":{"S":"event"}}"#,
            false,
        ),
        (r#"{"file":{"S":[{"suffix":".png"}]}}"#, r#"{"file":{"S":"a.png"}}"#, true),
        (r#"{"file":{"S":[{"suffix":".png"}]}}"#, r#"{"file":{"S":"a.png.gz"}}"#, false),
        (
            r#"{"service":{"S":[{"suffix":{"equals-ignore-case":"TBRIDGE"}}]}}"#,
            r#"{"service":{"S":"eventBridge"}}"#,
            true,
        ),
        (r#"{"service":{"S":[{"equals-ignore-case":"straße"}]}}"#, r#"{"service":{"S":"STRAßE"}}"#, true),
        (r#"{"service":{"S":[{"equals-ignore-case":"straße"}]}}"#, r#"{"service":{"S":"STRASSE"}}"#, false),
        // Wildcards.
        (r#"{"path":{"S":[{"wildcard":"dir/*.png"}]}}"#, r#"{"path":{"S":"dir/a/b.png"}}"#, true),
        (r#"{"path":{"S":[{"wildcard":"dir/*.png"}]}}"#, r#"{"path":{"S":"dir/a.jpg"}}"#, false),
        (r#"{"path":{"S":[{"wildcard":"a*ab"}]}}"#, r#"{"path":{"S":"ab"}}"#, false),
        (r#"{"path":{"S":[{"wildcard":"a*b*ab"}]}}"#, r#"{"path":{"S":"axbab"}}"#, true),
        (r#"{"path":{"S":[{"wildcard":"a*b*ab"}]}}"#, r#"{"path":{"S":"axab"}}"#, false),
        (r#"{"path":{"S":[{"wildcard":"*"}]}}"#, r#"{"path":{"S":""}}"#, true),
        (r#"{"path":{"S":[{"wildcard":"2\\*2\\\\*"}]}}"#, r#"{"path":{"S":"2*2\\ok"}}"#, true),
        (r#"{"path":{"S":[{"wildcard":"2\\*2"}]}}"#, r#"{"path":{"S":"2x2"}}"#, false),
        // Anything but: the attribute must be there.
        (r#"{"state":{"S":[{"anything-but":"initializing"}]}}"#, r#"{"state":{"S":"running"}}"#, true),
        (r#"{"state":{"S":[{"anything-but":"initializing"}]}}"#, r#"{"state":{"S":"initializing"}}"#, false),
        (r#"{"state":{"S":[{"anything-but":"initializing"}]}}"#, "{}", false),
        (
            r#"{"state":{"S":[{"anything-but":["stopped","overloaded"]}]}}"#,
            r#"{"state":{"S":"overloaded"}}"#,
            false,
        ),
        (r#"{"limit":{"N":[{"anything-but":[100,200,300]}]}}"#, r#"{"limit":{"N":"2E2"}}"#, false),
        (r#"{"limit":{"N":[{"anything-but":[100,200,300]}]}}"#, r#"{"limit":{"N":"201"}}"#, true),
        (
            r#"{"state":{"S":[{"anything-but":{"prefix":"init"}}]}}"#,
            r#"{"state":{"S":"initializing"}}"#,
            false,
        ),
        (
            r#"{"state":{"S":[{"anything-but":{"prefix":["init","run"]}}]}}"#,
            r#"{"state":{"S":"stopped"}}"#,
            true,
        ),
        (r#"{"file":{"S":[{"anything-but":{"suffix":".png"}}]}}"#, r#"{"file":{"S":"a.png"}}"#, false),
        (
            r#"{"state":{"S":[{"anything-but":{"equals-ignore-case":["a","B"]}}]}}"#,
            r#"{"state":{"S":"b"}}"#,
            false,
        ),
        (
            r#"{"path":{"S":[{"anything-but":{"wildcard":"*/lib/*"}}]}}"#,
            r#"{"path":{"S":"/usr/lib/x"}}"#,
            false,
        ),
        (r#"{"path":{"S":[{"anything-but":{"wildcard":"*/lib/*"}}]}}"#, r#"{"path":{"S":"/usr/x"}}"#, true),
        // Exists: of the value itself, not of what is around it.
        (r#"{"product":{"S":[{"exists":true}]}}"#, r#"{"product":{"S":""}}"#, true),
        (r#"{"product":{"S":[{"exists":true}]}}"#, r#"{"other":{"S":"x"}}"#, false),
        (r#"{"product":{"S":[{"exists":false}]}}"#, r#"{"other":{"S":"x"}}"#, true),
        (r#"{"product":{"S":[{"exists":false}]}}"#, r#"{"product":{"S":"x"}}"#, false),
        (r#"{"product":{"S":[{"exists":false},"x"]}}"#, r#"{"product":{"S":"x"}}"#, true),
        (r#"{"product":{"S":[{"exists":false},"x"]}}"#, r#"{"product":{"S":"y"}}"#, false),
        (r#"{"product":{"S":[{"exists":false},"x"]}}"#, r#"{"product":{"N":"1"}}"#, true),
        // Arrays: any element.
        (r#"{"tags":{"SS":["b"]}}"#, r#"{"tags":{"SS":["a","b"]}}"#, true),
        (r#"{"tags":{"SS":["c"]}}"#, r#"{"tags":{"SS":["a","b"]}}"#, false),
        (r#"{"tags":{"SS":[{"anything-but":"a"}]}}"#, r#"{"tags":{"SS":["a","b"]}}"#, true),
        (r#"{"tags":{"SS":[{"anything-but":"a"}]}}"#, r#"{"tags":{"SS":["a"]}}"#, false),
        (r#"{"tags":{"SS":[{"exists":false}]}}"#, r#"{"tags":{"SS":[]}}"#, true),
        (r#"{"tags":{"SS":[{"exists":false}]}}"#, r#"{"tags":{"SS":["a"]}}"#, false),
        (
            r#"{"list":{"L":{"M":{"a":{"S":["x"]},"b":{"S":["y"]}}}}}"#,
            r#"{"list":{"L":[{"M":{"a":{"S":"x"},"b":{"S":"y"}}}]}}"#,
            true,
        ),
        // Both in one element, as EventBridge has it.
        (
            r#"{"list":{"L":{"M":{"a":{"S":["x"]},"b":{"S":["y"]}}}}}"#,
            r#"{"list":{"L":[{"M":{"a":{"S":"x"}}},{"M":{"b":{"S":"y"}}}]}}"#,
            false,
        ),
        (r#"{"list":{"L":{"S":["x"]}}}"#, r#"{"list":{"L":[{"N":"1"},{"S":"x"}]}}"#, true),
        // What must not exist must not exist in any element, save beside one that is found.
        (r#"{"list":{"L":{"S":[{"exists":false}]}}}"#, r#"{"list":{"L":[{"N":"1"},{"S":"x"}]}}"#, false),
        (r#"{"list":{"L":{"S":[{"exists":false}]}}}"#, r#"{"list":{"L":[{"N":"1"}]}}"#, true),
        (
            r#"{"list":{"L":{"M":{"a":{"S":["x"]},"b":{"S":[{"exists":false}]}}}}}"#,
            r#"{"list":{"L":[{"M":{"a":{"S":"x"}}},{"M":{"b":{"S":"y"}}}]}}"#,
            true,
        ),
        // Or.
        (
            r#"{"$or":[{"a":{"S":["x"]}},{"b":{"N":[{"numeric":["<",5]}]}}]}"#,
            r#"{"a":{"S":"y"},"b":{"N":"4"}}"#,
            true,
        ),
        (
            r#"{"$or":[{"a":{"S":["x"]}},{"b":{"N":[{"numeric":["<",5]}]}}]}"#,
            r#"{"a":{"S":"y"},"b":{"N":"5"}}"#,
            false,
        ),
        (
            r#"{"c":{"S":["z"]},"$or":[{"a":{"S":["x"]}},{"a":{"S":["y"]}}]}"#,
            r#"{"a":{"S":"y"},"c":{"S":"z"}}"#,
            true,
        ),
        (r#"{"c":{"S":["z"]},"$or":[{"a":{"S":["x"]}},{"a":{"S":["y"]}}]}"#, r#"{"a":{"S":"y"}}"#, false),
        (
            r#"{"$or":[{"a":{"S":["x"]}},{"b":{"S":["y"]},"$or":[{"c":{"S":["1"]}},{"d":{"S":["2"]}}]}]}"#,
            r#"{"b":{"S":"y"},"d":{"S":"2"}}"#,
            true,
        ),
    ] {
        assert_eq!(image_matches(pattern, image), expected, "{pattern}\n{image}");
    }
}

/// DynamoDB writes numbers as texts, which AWS' own `numeric` never matches.
#[test]
fn numbers_are_compared_exactly_though_they_are_texts() {
    const LARGE: &str = "12345678901234567890123456789012345678";
    for (pattern, number, expected) in [
        (r#"[{"numeric":[">",10,"<=",20]}]"#, "20", true),
        (r#"[{"numeric":[">",10,"<=",20]}]"#, "10", false),
        (r#"[{"numeric":[">",10,"<=",20]}]"#, "20.00000000000000000000000000000000001", false),
        (r#"[{"numeric":["=",3.018e2]}]"#, "301.8", true),
        (r#"[{"numeric":["<",0]}]"#, "-1E-130", true),
        (r#"[{"numeric":[">=",12345678901234567890123456789012345678]}]"#, LARGE, true),
        (r#"[{"numeric":[">",12345678901234567890123456789012345678]}]"#, LARGE, false),
        (r#"[{"numeric":["<",12345678901234567890123456789012345679]}]"#, LARGE, true),
        ("[300]", "3E2", true),
        ("[300]", "301", false),
        // A text is compared as text, as AWS does.
        (r#"["300"]"#, "300", true),
        (r#"["300"]"#, "3E2", false),
        (r#"[{"prefix":"3"}]"#, "300", true),
    ] {
        let image = format!(r#"{{"n":{{"N":"{number}"}},"ns":{{"NS":["7","{number}"]}}}}"#);
        assert_eq!(image_matches(&format!(r#"{{"n":{{"N":{pattern}}}}}"#), &image), expected, "{pattern}");
        let of_set = format!(r#"{{"ns":{{"NS":{pattern}}}}}"#);
        let also_7 = matches!(pattern, r#"[{"numeric":["<",12345678901234567890123456789012345679]}]"#);
        assert_eq!(image_matches(&of_set, &image), expected || also_7, "{pattern}");
    }
    assert!(!image_matches(r#"{"n":{"N":[{"numeric":["<",5]}]}}"#, r#"{"n":{"N":"four"}}"#));
}

#[test]
fn every_member_of_the_record_can_be_asked_for() {
    let ttl = Change {
        identity: r#"{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}"#,
        ..Change::new("REMOVE", "OLD_IMAGE").image_old(r#"{"id":{"S":"a"},"n":{"N":"1"}}"#)
    };
    for (pattern, expected) in [
        (r#"{"eventName":["REMOVE"]}"#, true),
        (r#"{"eventName":["INSERT","MODIFY"]}"#, false),
        (r#"{"userIdentity":{"type":["Service"],"principalId":["dynamodb.amazonaws.com"]}}"#, true),
        (r#"{"userIdentity":[null]}"#, false),
        (r#"{"awsRegion":["eu-west-1"],"eventID":["0a1b"],"recordFormat":["application/json"]}"#, true),
        (r#"{"tableName":["orders"],"eventSource":["aws:dynamodb"]}"#, true),
        (r#"{"eventSourceARN":[{"suffix":"/stream/2024-01-02T03:04:05.678"}]}"#, true),
        (r#"{"dynamodb":{"ApproximateCreationDateTime":[{"numeric":[">=",1750000000000]}]}}"#, true),
        (r#"{"dynamodb":{"ApproximateCreationDateTime":[{"numeric":[">",1750000000000]}]}}"#, false),
        (r#"{"dynamodb":{"ApproximateCreationDateTimePrecision":["MILLISECOND"],"SizeBytes":[26]}}"#, true),
        (
            r#"{"dynamodb":{"SequenceNumber":["000300000000000000499659"],"StreamViewType":["OLD_IMAGE"]}}"#,
            true,
        ),
        (r#"{"dynamodb":{"Keys":{"id":{"S":["a"]}},"OldImage":{"n":{"N":[1]}}}}"#, true),
        (r#"{"dynamodb":{"NewImage":{"n":{"N":[1]}}}}"#, false),
        (r#"{"dynamodb":{"NewImage":{"n":{"N":[{"exists":false}]}}}}"#, true),
        (r#"{"detail":{"state":[{"exists":false}]}}"#, true),
        (r#"{"$or":[{"eventName":["INSERT"]},{"dynamodb":{"Keys":{"id":{"S":["a"]}}}}]}"#, true),
        (r#"{"$or":[{"eventName":["INSERT"]},{"dynamodb":{"Keys":{"id":{"S":["b"]}}}}]}"#, false),
    ] {
        assert_eq!(matches(pattern, &ttl), expected, "{pattern}");
    }
    let insert = Change::new("INSERT", "KEYS_ONLY");
    assert!(matches(r#"{"userIdentity":[null]}"#, &insert));
    assert!(!matches(r#"{"userIdentity":{"type":[{"exists":true}]}}"#, &insert));
    assert!(matches(r#"{"userIdentity":{"type":[{"exists":false}]}}"#, &insert));
}

#[test]
fn names_and_values_are_compared_unescaped_and_the_last_of_two_counts() {
    assert!(image_matches(r#"{"st\u0061te":{"S":["\u00e4"]}}"#, r#"{"\u0073tate":{"S":"ä"}}"#));
    assert!(image_matches(r#"{"a":{"S":["2"]}}"#, r#"{"a":{"S":"1"},"\u0061":{"S":"2"}}"#));
    assert!(!image_matches(r#"{"a":{"S":["1"]}}"#, r#"{"a":{"S":"1"},"a":{"S":"2"}}"#));
    // Half a surrogate pair is there, and is nothing that can be written.
    assert!(image_matches(r#"{"a":{"S":[{"exists":true}]}}"#, r#"{"a":{"S":"\ud83d"}}"#));
    assert!(!image_matches(r#"{"a":{"S":[{"prefix":""}]}}"#, r#"{"a":{"S":"\ud83d"}}"#));
}

#[test]
fn what_is_not_dynamodb_json_never_panics_and_matches_as_json() {
    for image in
        [r#"{"a":5}"#, r#"{"a":{"S":5}}"#, r#"{"a":{"S":{"S":"x"}}}"#, r#"{"a":[[[]]]}"#, r#"{"a":null}"#]
    {
        assert!(!image_matches(r#"{"a":{"S":["x"]}}"#, image), "{image}");
    }
    assert!(image_matches(r#"{"a":{"S":["x"]}}"#, r#"{"a":[[{"S":["x"]}]]}"#));
    let deep = format!(r#"{{"a":{{"S":{}"x"{}}}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    assert!(!image_matches(r#"{"a":{"S":["x"]}}"#, &deep));
}

/// Only what the pattern names is read, and only as far as it decides.
#[test]
fn nothing_is_read_that_need_not_be() {
    let deep = format!(r#"{{"M":{{"x":{{"L":[{}]}}}}}}"#, vec![r#"{"S":"y"}"#; 50].join(","));
    let image = format!(r#"{{"a":{deep},"status":{{"S":"open"}},"b":{deep}}}"#);
    let change = Change::new("MODIFY", "NEW_AND_OLD_IMAGES").image_new(&image).image_old(&image);
    for (text, expected, most) in [
        (r#"{"eventName":["MODIFY"]}"#, true, 0),
        // The cheap answer comes first, wherever it stands.
        (r#"{"dynamodb":{"NewImage":{"status":{"S":["open"]}}},"eventName":["INSERT"]}"#, false, 0),
        (r#"{"dynamodb":{"NewImage":{"status":{"S":["open"]}},"Keys":{"id":{"S":["b"]}}}}"#, false, 2),
        // The image, and the one value in it.
        (r#"{"dynamodb":{"NewImage":{"status":{"S":["open"]}}}}"#, true, 2),
        (
            r#"{"dynamodb":{"NewImage":{"status":{"S":["shut"]}},"OldImage":{"status":{"S":["open"]}}}}"#,
            false,
            2,
        ),
        (
            r#"{"$or":[{"eventName":["MODIFY"]},{"dynamodb":{"NewImage":{"status":{"S":["shut"]}}}}]}"#,
            true,
            0,
        ),
    ] {
        let (pattern, source) = (pattern(text), source());
        let (taken, matched) = change.record(|record| steps::of(|| pattern.matches(record, &source)));
        assert_eq!((matched, taken), (expected, most), "{text}");
    }
}

/// The text without its mark, and where the mark stood.
fn marked(text: &str) -> (String, Place) {
    let (before, after) = text.split_once('¦').expect("a mark");
    let line = before.rsplit('\n').next().unwrap_or_default();
    let place = Place { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 };
    (format!("{before}{after}"), place)
}

#[track_caller]
fn refused(text: &str, part: &str) {
    let (text, place) = marked(text);
    let error = Pattern::parse(&text).expect_err(&text);
    assert!(error.message.contains(part), "{part:?} is not in: {}", error.message);
    assert_eq!(error.place, place, "{error}\n{text}");
}

#[test]
fn a_mistake_is_pointed_at() {
    for (text, part) in [
        ("¦", "not JSON"),
        ("{\"eventName\": [\"INSERT\"¦]", "not JSON"),
        ("{\n  \"eventName\": [\"INSERT\",¦]\n}", "not JSON: expected value; correct it"),
        ("¦[]", "an empty list"),
        (r#"[¦"INSERT"]"#, "an object stands here"),
        (r#"¦[{"exists":false}]"#, "a pattern is an object"),
        ("¦{}", "an empty object"),
        ("{\n\"eventName\": ¦\"INSERT\"}", r#"write it in brackets: ["INSERT"]"#),
        (r#"{"eventName": [¦["INSERT"]]}"#, "side by side"),
        (r#"{"eventName": ¦[]}"#, "an empty list"),
        (r#"{"eventName": ["INSERT"], ¦"eventN\u0061me": ["MODIFY"]}"#, "stands twice"),
        ("{\"eventID\": [\"ä\", {¦\"prefx\": \"I\"}]}", "\"prefx\" is no operator; the operators are prefix"),
        (r#"{"eventName": [¦{"prefix": "I", "suffix": "T"}]}"#, "one operator, found 2"),
        (r#"{"eventName": [{"prefix": ¦1}]}"#, "prefix takes a string; found a number"),
        (r#"{"eventName": [{"prefix": {¦"suffix": "x"}}]}"#, "equals-ignore-case"),
        (r#"{"eventName": [{"exists": ¦"yes"}]}"#, "true or false"),
        (r#"{"eventName": [{"anything-but": [¦null]}]}"#, "strings or numbers"),
        (r#"{"eventName": [{"anything-but": ["a", ¦1]}]}"#, "one kind"),
        (r#"{"eventName": [{"anything-but": {¦"numeric": 1}}]}"#, "is no operator"),
        (r#"{"eventName": [{"wildcard": ¦"a**"}]}"#, "two asterisks"),
        (r#"{"eventName": [{"wildcard": ¦"a\\b"}]}"#, "a backslash"),
        (r#"{"eventName": [¦"\ud83d"]}"#, "surrogate"),
        (r#"{"eventID": [¦null]}"#, "a text stands here, which this never matches"),
        (r#"{"eventID": [¦{"numeric": [">", 1]}]}"#, "a text stands here"),
        (r#"{"eventName": ["INSERT", ¦"modify"]}"#, "INSERT, MODIFY or REMOVE stands here, which this never"),
        (r#"{"dynamodb": {"SizeBytes": [¦"1"]}}"#, "a number stands here"),
        (r#"{"dynamodb": {"SizeBytes": [{"numeric": ¦[">"]}]}}"#, "each with its number"),
        (r#"{"dynamodb": {"SizeBytes": [{"numeric": [¦"!", 1]}]}}"#, "each with its number"),
        (r#"{"dynamodb": {"SizeBytes": [{"numeric": [">", ¦"1"]}]}}"#, "each with its number"),
        (r#"{"dynamodb": {"SizeBytes": [¦1e99999999999999999999]}}"#, "38 digits"),
        (
            r#"{¦"detail": {"state": ["x"]}}"#,
            "`detail`: the record has no member \"detail\" here; it has awsRegion",
        ),
        (r#"{"dynamodb": {¦"newImage": {"a": {"S": ["x"]}}}}"#, "it has ApproximateCreationDateTime"),
        (
            r#"{"dynamodb": {"NewImage": {"a": [¦"x"]}}}"#,
            "`dynamodb.NewImage.a`: an attribute's value stands here",
        ),
        (r#"{"dynamodb": {"NewImage": [¦{"exists": true}]}}"#, "an object of attributes stands here"),
        // Of what is an object whenever it is there, `exists` says nothing.
        (
            r#"{"dynamodb": {"NewImage": {"discount": [¦{"exists": false}]}}}"#,
            r#"no object; write its type first, such as {"S": [{"exists": false}]}"#,
        ),
        (r#"{"dynamodb": {"NewImage": {"a": {"L": [¦{"exists": false}]}}}}"#, "write its type first"),
        (r#"{"dynamodb": {"NewImage": {"a": {"M": [¦{"exists": false}]}}}}"#, r#"{"discount": {"S": [{"#),
        (
            r#"{"dynamodb": {"NewImage": [¦{"exists": false}]}}"#,
            r#"`dynamodb.NewImage`: an object of attributes stands here, and exists is about a value that is no object"#,
        ),
        (r#"{"dynamodb": [¦{"exists": false}]}"#, "write a member first"),
        (r#"{"userIdentity": [¦{"exists": true}]}"#, "write [null] for what no service deleted"),
        (r#"{"userIdentity": [null, ¦{"exists": false}]}"#, r#"{"type": [{"exists": true}]}"#),
        (r#"{¦"detail": {"state": [{"exists": true}]}}"#, "`detail`: the record has no member"),
        (r#"{"dynamodb": {"NewImage": {"a": {¦"X": ["x"]}}}}"#, "write one of S, N, B"),
        (r#"{"dynamodb": {"NewImage": {"a": {"S": {¦"b": ["x"]}}}}}"#, "a text stands here"),
        (r#"{"dynamodb": {"NewImage": {"a": {"BOOL": [¦"true"]}}}}"#, "true or false stands here"),
        (r#"{"dynamodb": {"NewImage": {"a": {"S": [¦5]}}}}"#, "a text stands here"),
        (r#"{"$or": ¦[{"eventName": ["INSERT"]}]}"#, "two or more patterns"),
        (r#"{"$or": ¦{"eventName": ["INSERT"]}}"#, "two or more patterns"),
        (r#"{"$or": [{"eventName": ["INSERT"]}, ¦["x"]]}"#, "two or more patterns"),
        (r#"{"$or": [{"eventName": ["INSERT"]}, ¦{}]}"#, "an empty object"),
    ] {
        refused(text, part);
    }
    let nested = |depth: usize| {
        let maps = depth / 2;
        format!(
            r#"{{"dynamodb":{{"NewImage":{{"a":{}{{"S":["x"]}}{}}}}}}}"#,
            r#"{"M":{"a":"#.repeat(maps),
            "}}".repeat(maps)
        )
    };
    pattern(&nested(60));
    assert!(Pattern::parse(&nested(200_000)).expect_err("deep").message.contains("nested deeper"));
    let many: Vec<String> = (0..65).map(|n| format!(r#""a{n}":{{"S":["x"]}}"#)).collect();
    let image = |count: usize| format!(r#"{{"dynamodb":{{"NewImage":{{{}}}}}}}"#, many[..count].join(","));
    pattern(&image(64));
    assert!(Pattern::parse(&image(65)).expect_err("many").message.contains("name fewer"));
}
