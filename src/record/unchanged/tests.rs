use super::*;

fn raw(json: &str) -> Json<'_> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn same(new: &str, old: &str) -> bool {
    let way = is_unchanged(raw(new), raw(old), |_| true);
    assert_eq!(way, is_unchanged(raw(old), raw(new), |_| true), "{new} {old}");
    way
}

#[test]
fn what_is_written_otherwise_is_the_same() {
    for (new, old) in [
        (r#"{"a":{"S":"x"},"b":{"N":"1"}}"#, r#"{ "b":{"N":"1"}, "a":{"S":"\u0078"} }"#),
        (r#"{"n":{"N":"1"}}"#, r#"{"n":{"N":"1.0"}}"#),
        (r#"{"n":{"N":"100"}}"#, r#"{"n":{"N":"1E2"}}"#),
        (r#"{"s":{"SS":["a","b"]}}"#, r#"{"s":{"SS":["b","\u0061"]}}"#),
        (r#"{"s":{"NS":["1","20"]}}"#, r#"{"s":{"NS":["2E1","1.00"]}}"#),
        (r#"{"s":{"BS":["AAE=","AQ=="]}}"#, r#"{"s":{"BS":["AQ==","AAE="]}}"#),
        (
            r#"{"m":{"M":{"x":{"L":[{"N":"1"},{"SS":["p","q"]}]},"y":{"BOOL":true}}}}"#,
            r#"{"m":{"M":{"y":{"BOOL":true},"x":{"L":[{"N":"1.0"},{"SS":["q","p"]}]}}}}"#,
        ),
        // The last of two counts.
        (r#"{"a":{"S":"x"},"a":{"S":"y"}}"#, r#"{"a":{"S":"y"}}"#),
        ("{}", "{ }"),
    ] {
        assert!(same(new, old), "{new} {old}");
    }
}

#[test]
fn what_differs_is_a_change() {
    for (new, old) in [
        (r#"{"a":{"S":"x"}}"#, r#"{"a":{"S":"y"}}"#),
        (r#"{"a":{"S":"x"}}"#, r#"{"b":{"S":"x"}}"#),
        (r#"{"a":{"S":"x"}}"#, "{}"),
        (r#"{"a":{"S":"1"}}"#, r#"{"a":{"N":"1"}}"#),
        (r#"{"a":{"S":"1.0"}}"#, r#"{"a":{"S":"1"}}"#),
        (
            r#"{"n":{"N":"12345678901234567890123456789012345678"}}"#,
            r#"{"n":{"N":"12345678901234567890123456789012345679"}}"#,
        ),
        (r#"{"s":{"SS":["a","b"]}}"#, r#"{"s":{"SS":["a"]}}"#),
        (r#"{"s":{"SS":["a","a","b"]}}"#, r#"{"s":{"SS":["a","b","b"]}}"#),
        // A list has an order.
        (r#"{"l":{"L":[{"N":"1"},{"N":"2"}]}}"#, r#"{"l":{"L":[{"N":"2"},{"N":"1"}]}}"#),
        (r#"{"m":{"M":{"x":{"N":"1"}}}}"#, r#"{"m":{"M":{"x":{"N":"1"},"y":{"N":"1"}}}}"#),
        (r#"{"b":{"BOOL":true}}"#, r#"{"b":{"BOOL":false}}"#),
        // No number to DynamoDB: by their text.
        (r#"{"n":{"N":"one"}}"#, r#"{"n":{"N":"two"}}"#),
        // No text: in doubt it changed.
        (r#"{"a":{"S":"\ud83d"}}"#, r#"{"a":{"S":"\ud83e"}}"#),
        (r#"{"\ud83d":{"S":"x"},"a":{"N":"1"}}"#, r#"{"\ud83d":{"S":"x"},"a":{"N":"1.0"}}"#),
    ] {
        assert!(!same(new, old), "{new} {old}");
    }
}

#[test]
fn only_what_is_chosen_is_compared() {
    let (new, old) =
        (raw(r#"{"a":{"N":"1"},"b":{"N":"2"}}"#), raw(r#"{"a":{"N":"1"},"b":{"N":"3"},"c":{"N":"4"}}"#));
    assert!(is_unchanged(new, old, |name| name.is("a")));
    assert!(!is_unchanged(new, old, |name| name.is("b")));
    assert!(!is_unchanged(new, old, |name| !name.is("b")));
}
