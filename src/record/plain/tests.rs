use std::collections::{BTreeMap, HashMap};
use std::fmt;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;

use super::*;

fn plain(item: &str) -> Result<String, ItemError> {
    let raw: Json<'_> = serde_json::from_str(item).expect("JSON");
    let mut out = Vec::new();
    write_item(raw, &mut out)?;
    Ok(String::from_utf8(out).expect("JSON is UTF-8"))
}

/// The plain JSON of one attribute value.
fn value(value: &str) -> Result<String, ItemError> {
    let item = plain(&format!(r#"{{"a":{value}}}"#))?;
    Ok(item
        .strip_prefix(r#"{"a":"#)
        .and_then(|rest| rest.strip_suffix('}'))
        .expect("one attribute")
        .to_owned())
}

#[test]
fn writes_every_type() {
    for (typed, json) in [
        (r#"{"S":"text"}"#, r#""text""#),
        (r#"{"S":""}"#, r#""""#),
        (r#"{"N":"-12.50"}"#, "-12.50"),
        (r#"{"B":"AAH/"}"#, r#""AAH/""#),
        (r#"{"B":""}"#, r#""""#),
        (r#"{"BOOL":true}"#, "true"),
        (r#"{"BOOL":false}"#, "false"),
        (r#"{"NULL":true}"#, "null"),
        (r#"{"L":[]}"#, "[]"),
        (r#"{"L":[{"S":"a"},{"N":"1"},{"L":[{"L":[]}]}]}"#, r#"["a",1,[[]]]"#),
        (r#"{"M":{}}"#, "{}"),
        (r#"{"M":{"":{"S":"a"},"b":{"M":{"c":{"NULL":true}}}}}"#, r#"{"":"a","b":{"c":null}}"#),
        (r#"{"SS":["b","a"]}"#, r#"["b","a"]"#),
        (r#"{"NS":["2","1.0"]}"#, "[2,1.0]"),
        (r#"{"BS":["AA==","AQ=="]}"#, r#"["AA==","AQ=="]"#),
        (r#"{"SS":[]}"#, "[]"),
    ] {
        assert_eq!(value(typed).as_deref(), Ok(json), "{typed}");
    }
    assert_eq!(plain("{}").as_deref(), Ok("{}"));
    assert_eq!(
        plain(" {\n\"a\" : { \"L\" : [ {\"S\" : \" x \"} , {\"N\":\"1\"} ] }\t}").as_deref(),
        Ok(r#"{"a":[" x ",1]}"#)
    );
}

#[test]
fn copies_names_and_strings_still_escaped() {
    let item = r#"{"k\u00e9y\"":{"S":"\u0000 \" \/ é \ud83d\ude00 😀 \\"},"s":{"SS":["\u0041"]},"m":{"M":{"\n":{"B":"\/w=="}}}}"#;
    let json = r#"{"k\u00e9y\"":"\u0000 \" \/ é \ud83d\ude00 😀 \\","s":["\u0041"],"m":{"\n":"\/w=="}}"#;
    assert_eq!(plain(item).as_deref(), Ok(json));
}

#[test]
fn copies_numbers_digit_for_digit() {
    for number in [
        "0",
        "-0",
        "12345678901234567890123456789012345678",
        "-0.00000000012345678901234567890123456789012345678",
        "1.10",
        "9.9999999999999999999999999999999999999E+125",
        "1E-130",
        "1e5",
    ] {
        assert_eq!(value(&format!(r#"{{"N":"{number}"}}"#)).as_deref(), Ok(number));
        assert_eq!(value(&format!(r#"{{"NS":["{number}"]}}"#)), Ok(format!("[{number}]")));
        assert!(serde_json::from_str::<Json<'_>>(number).is_ok(), "{number}");
    }
}

#[test]
fn numbers_that_json_cannot_write_become_strings() {
    let odd = [
        "", "-", "+1", "01", "-01", ".5", "5.", "1.e5", "1e", "1e+", "1e5.0", "NaN", "1 ", " 1", "0x1", "1,2",
    ];
    for number in odd {
        assert_eq!(value(&format!(r#"{{"N":"{number}"}}"#)), Ok(format!("\"{number}\"")), "{number}");
        assert!(serde_json::from_str::<Json<'_>>(number).map_or(true, |raw| raw.get() != number), "{number}");
    }
    assert_eq!(value(r#"{"N":"\u0031"}"#).as_deref(), Ok(r#""\u0031""#));
}

#[test]
fn refuses_what_is_no_dynamodb_json_and_tells_the_place() {
    let types = "one of the types S, N, B, BOOL, NULL, M, L, SS, NS, BS";
    for (wrong, expected) in [
        (r#""S""#, "an attribute value such as {\"S\": \"…\"}"),
        ("[]", "an attribute value such as {\"S\": \"…\"}"),
        ("null", "an attribute value such as {\"S\": \"…\"}"),
        ("{}", types),
        (r#"{"X":1}"#, types),
        (r#"{"S":"a","N":"1"}"#, "one type only in an attribute value"),
        (r#"{"S":1}"#, "a string"),
        (r#"{"N":1}"#, "a string"),
        (r#"{"B":null}"#, "a string"),
        (r#"{"BOOL":"true"}"#, "true or false"),
        (r#"{"NULL":null}"#, "true"),
        (r#"{"M":[]}"#, "an object of attributes"),
        (r#"{"L":{}}"#, "an array of attribute values"),
        (r#"{"L":["a"]}"#, "an attribute value such as {\"S\": \"…\"}"),
        (r#"{"SS":"a"}"#, "an array of strings"),
        (r#"{"NS":[1]}"#, "a string"),
    ] {
        let error = value(wrong).expect_err(wrong);
        assert_eq!((error.expected, error.line), (expected, 1), "{wrong}");
    }
    assert_eq!(plain("[]").map_err(|error| error.expected), Err("an object of attributes"));
    let error = plain("{\"a\":{\"S\":\"x\"},\n\"b\":{\"S\":{}}}").expect_err("an object for a string");
    assert_eq!((error.line, error.column), (2, 12));
}

#[test]
fn follows_deep_nesting_up_to_its_bound() {
    let lists =
        |depth: usize| format!("{}{{\"NULL\":true}}{}", r#"{"L":["#.repeat(depth), "]}".repeat(depth));
    let maps =
        |depth: usize| format!("{}{{\"NULL\":true}}{}", r#"{"M":{"m":"#.repeat(depth), "}}".repeat(depth));
    for depth in [1, 32, MAX_NESTING as usize] {
        assert_eq!(value(&lists(depth)), Ok(format!("{}null{}", "[".repeat(depth), "]".repeat(depth))));
        assert_eq!(value(&maps(depth)), Ok(format!("{}null{}", r#"{"m":"#.repeat(depth), "}".repeat(depth))));
    }
    for depth in [MAX_NESTING as usize + 1, 100_000] {
        for item in [lists(depth), maps(depth)] {
            let error = value(&item).expect_err("too deep");
            assert_eq!(error.expected, "no deeper nesting (DynamoDB allows 32 levels)");
        }
    }
}

/// Nesting is counted by what is open, not by what was seen.
#[test]
fn siblings_do_not_add_to_the_nesting() {
    let many = vec![r#"{"M":{"a":{"L":[]}}}"#; 500].join(",");
    let json = vec![r#"{"a":[]}"#; 500].join(",");
    assert_eq!(value(&format!(r#"{{"L":[{many}]}}"#)), Ok(format!("[{json}]")));
}

/// How the test writes the text of a string: as few escapes as can be, or all characters escaped.
#[derive(Clone, Copy, Debug)]
enum Escapes {
    Few,
    All,
}

impl Escapes {
    fn token(self, text: &str) -> String {
        match self {
            Self::Few => serde_json::to_string(text).expect("a string"),
            Self::All => {
                let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                format!("\"{units}\"")
            }
        }
    }
}

fn array<T>(values: &[T], render: impl Fn(&T) -> String) -> String {
    format!("[{}]", values.iter().map(render).collect::<Vec<_>>().join(","))
}

fn object(
    values: &HashMap<String, AttributeValue>,
    escapes: Escapes,
    render: fn(&AttributeValue, Escapes) -> String,
) -> String {
    let sorted: std::collections::BTreeMap<_, _> = values.clone().into_iter().collect();
    let members =
        sorted.iter().map(|(name, value)| format!("{}:{}", escapes.token(name), render(value, escapes)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn base64(blob: &Blob) -> String {
    format!("\"{}\"", BASE64.encode(blob))
}

/// An attribute value in DynamoDB JSON.
fn typed(value: &AttributeValue, escapes: Escapes) -> String {
    let (kind, json) = match value {
        AttributeValue::S(text) => ("S", escapes.token(text)),
        AttributeValue::N(digits) => ("N", format!("\"{digits}\"")),
        AttributeValue::B(blob) => ("B", base64(blob)),
        AttributeValue::Bool(truth) => ("BOOL", truth.to_string()),
        AttributeValue::Null(truth) => ("NULL", truth.to_string()),
        AttributeValue::L(values) => ("L", array(values, |value| typed(value, escapes))),
        AttributeValue::M(values) => ("M", object(values, escapes, typed)),
        AttributeValue::Ss(values) => ("SS", array(values, |text| escapes.token(text))),
        AttributeValue::Ns(values) => ("NS", array(values, |digits| format!("\"{digits}\""))),
        AttributeValue::Bs(values) => ("BS", array(values, base64)),
        other => panic!("the test makes no {other:?}"),
    };
    format!("{{\"{kind}\":{json}}}")
}

/// An attribute value as the plain JSON that is promised, byte for byte.
fn promised(value: &AttributeValue, escapes: Escapes) -> String {
    match value {
        AttributeValue::S(text) => escapes.token(text),
        AttributeValue::N(digits) => digits.clone(),
        AttributeValue::B(blob) => base64(blob),
        AttributeValue::Bool(truth) => truth.to_string(),
        AttributeValue::Null(_) => "null".to_owned(),
        AttributeValue::L(values) => array(values, |value| promised(value, escapes)),
        AttributeValue::M(values) => object(values, escapes, promised),
        AttributeValue::Ss(values) => array(values, |text| escapes.token(text)),
        AttributeValue::Ns(values) => array(values, String::clone),
        AttributeValue::Bs(values) => array(values, base64),
        other => panic!("the test makes no {other:?}"),
    }
}

/// A value as both sides of the comparison with serde_dynamo see it.
#[derive(Debug, PartialEq)]
enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
}

/// A number as serde_dynamo hands it over: the first of these that holds it.
#[derive(Debug, PartialEq)]
enum Number {
    Signed(i64),
    Unsigned(u64),
    Double(f64),
}

impl Tree {
    /// Reads plain JSON. Numbers are read from their digits by the standard library, whose doubles are exact;
    /// serde_json's may be off by the last bit.
    fn of_json(json: Json<'_>) -> Self {
        let text = json.get();
        match text.as_bytes()[0] {
            b'n' => Self::Null,
            b't' | b'f' => Self::Bool(text == "true"),
            b'"' => Self::Text(serde_json::from_str(text).expect("a string")),
            b'[' => {
                let values: Vec<Json<'_>> = serde_json::from_str(text).expect("an array");
                Self::List(values.into_iter().map(Self::of_json).collect())
            }
            b'{' => {
                let members: BTreeMap<String, Json<'_>> = serde_json::from_str(text).expect("an object");
                Self::Map(members.into_iter().map(|(name, value)| (name, Self::of_json(value))).collect())
            }
            _ => Self::Number(
                text.parse()
                    .map(Number::Signed)
                    .or_else(|_| text.parse().map(Number::Unsigned))
                    .unwrap_or_else(|_| Number::Double(text.parse().expect("a number"))),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(Number::Signed(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(Number::Unsigned(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Number(Number::Double(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Tree, E> {
        Ok(Tree::Text(BASE64.encode(bytes)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Tree::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            members.insert(name, value);
        }
        Ok(Tree::Map(members))
    }
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        "-?[1-9][0-9]{37}",
        "-?(0|[1-9][0-9]{0,12})\\.[0-9]{1,25}",
        "-?[1-9](\\.[0-9]{1,5})?[eE][+-]?[1-9][0-9]?",
    ]
}

fn blob() -> impl Strategy<Value = Blob> {
    prop::collection::vec(any::<u8>(), 0..9).prop_map(Blob::new)
}

fn attribute() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        any::<String>().prop_map(AttributeValue::S),
        number().prop_map(AttributeValue::N),
        blob().prop_map(AttributeValue::B),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null(true)),
        prop::collection::vec(any::<String>(), 0..4).prop_map(AttributeValue::Ss),
        prop::collection::vec(number(), 0..4).prop_map(AttributeValue::Ns),
        prop::collection::vec(blob(), 0..4).prop_map(AttributeValue::Bs),
    ];
    leaf.prop_recursive(5, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(AttributeValue::L),
            prop::collection::hash_map(any::<String>(), inner, 0..5).prop_map(AttributeValue::M),
        ]
    })
}

fn item() -> impl Strategy<Value = HashMap<String, AttributeValue>> {
    prop::collection::hash_map(any::<String>(), attribute(), 0..6)
}

proptest! {
    #[test]
    fn agrees_with_serde_dynamo(item in item(), escapes in prop_oneof![Just(Escapes::Few), Just(Escapes::All)]) {
        let ours = plain(&object(&item, escapes, typed)).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&ours, &object(&item, escapes, promised));

        let ours = Tree::of_json(serde_json::from_str(&ours).expect("our output is JSON"));
        let theirs: Tree = serde_dynamo::aws_sdk_dynamodb_1::from_item(item).expect("a valid item");
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn writes_json_for_any_number(number in "[-+0-9.eE]{0,6}") {
        let written = value(&format!(r#"{{"N":"{number}"}}"#)).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(serde_json::from_str::<Json<'_>>(&written).is_ok(), "{}", written);
        let is_json = serde_json::from_str::<Json<'_>>(&number).is_ok();
        prop_assert_eq!(written == number, is_json);
    }

    #[test]
    fn never_panics_and_writes_json_or_nothing(item in item(), place: prop::sample::Index, byte in " -~") {
        let mut text = object(&item, Escapes::All, typed);
        let place = place.index(text.len());
        text.replace_range(place..=place, &byte);
        if let Ok(raw) = serde_json::from_str::<Json<'_>>(&text) {
            let mut out = Vec::new();
            if write_item(raw, &mut out).is_ok() {
                prop_assert!(serde_json::from_slice::<Json<'_>>(&out).is_ok());
            }
        }
    }
}
