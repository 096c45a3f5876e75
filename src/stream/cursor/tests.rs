use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::*;

/// JSON text of any kind, with the white space and escapes that a writer is free to choose.
pub(in crate::stream) fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?",
        "\"([^\"\\\\\\x00-\\x1f]|\\\\u[0-9a-fA-F]{4}|\\\\[\"\\\\/bfnrt]){0,12}\"",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let member = ("[a-z]{0,3}|[A-Z]", "[ \\t\\r\\n]{0,2}", inner.clone())
            .prop_map(|(name, space, value)| format!("\"{name}\"{space}:{space}{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(" ,"))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{ {}\n}}", members.join(",\t"))),
        ]
    })
}

/// Passes over the whole of a text.
fn skipped(text: &[u8]) -> Result<(), Broken> {
    let mut cursor = Cursor::new(text);
    let passed = cursor.skip().and_then(|()| cursor.end());
    assert!(cursor.at() <= text.len());
    passed
}

/// Takes the whole of a text.
fn taken(text: &[u8]) -> Option<&str> {
    let mut cursor = Cursor::new(text);
    let value = cursor.value().ok()?;
    cursor.end().ok()?;
    Some(value.get())
}

/// Compares with serde_json, which is right.
fn agrees(text: &[u8]) {
    let shown = || String::from_utf8_lossy(text).into_owned();
    assert_eq!(skipped(text).is_ok(), serde_json::from_slice::<IgnoredAny>(text).is_ok(), "{}", shown());
    let theirs = serde_json::from_slice::<&RawValue>(text).ok();
    assert_eq!(taken(text), theirs.map(RawValue::get), "{}", shown());
}

#[test]
fn passes_what_is_json_and_nothing_else() {
    let texts = "0|-0|00|-|-x|01|1.|1.5|.5|+1|1e|1e+|1E-07|1e400|1.e1|0x1|9999999999999999999999|true|tru|trues|True|false|\
        null|nul|nulll|\"\"|\"|''|[]|[|]|[1|[1,|[1,]|[,1]|[1 2]|[1}|[[]|[[]]|[]]|{}|{|}|{]|{\"a\"|{\"a\":|{\"a\":1|{\"a\":1,\
        |{\"a\":1,}|{\"a\" 1}|{\"a\",1}|{a:1}|{1:1}|{\"a\":1 \"b\":2}|{,}|{\"a\":{\"b\":[{}]}}|{\"a\":[}]|1 1|,|:|//|/**/1|\
        NaN|Infinity|\u{feff}1|\u{a0}1|1\u{a0}|\u{b}1|\u{c}1|{\"\":0}|{\"a\":[1,{\"b\":null}],\"a\":\"\"}";
    for text in texts.split('|') {
        agrees(text.as_bytes());
        agrees(format!(" \t\r\n{text} \t\r\n").as_bytes());
        agrees(format!("[{text}]").as_bytes());
        agrees(format!("{{\"a\" : {text} , \"b\":0}}").as_bytes());
    }
    agrees(b"");
}

/// Wherever they stand among the eight bytes that are looked at together.
#[test]
fn every_byte_counts_in_a_string_at_every_place() {
    for (before, after) in (0..20).flat_map(|before| (0..10).map(move |after| (before, after))) {
        for byte in 0..=u8::MAX {
            let text = [b"\"", &*vec![b'!'; before], &[byte], &*vec![b' '; after], b"\""].concat();
            agrees(&text);
        }
    }
}

/// Names of one letter are passed in one step.
#[test]
fn every_byte_counts_in_a_name_of_one() {
    for text in [br#"{"S":{"N":[{"L":0,"M":1}]}}"#.as_slice(), br#"{"S": { "N" :"x","B":{"BS":[]}}}"#] {
        for at in 0..text.len() {
            agrees(&text[..at]);
            for byte in 0..=u8::MAX {
                let mut text = text.to_vec();
                text[at] = byte;
                agrees(&text);
            }
        }
    }
}

/// A byte must not hide the next, nor pass for it.
#[test]
fn every_two_bytes_count_in_a_string() {
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            let text = [b'"', b'x', first, second, b' ', b'!', b'#', b'[', b']', b'~', b'"'];
            assert_eq!(
                skipped(&text).is_ok(),
                serde_json::from_slice::<IgnoredAny>(&text).is_ok(),
                "{first} {second}"
            );
        }
    }
}

#[test]
fn every_escape_counts_at_every_place() {
    for before in 0..20 {
        let escaped = |escape: &[u8]| [b"\"", &*vec![b'x'; before], escape, b"12345678\""].concat();
        for byte in 0..=u8::MAX {
            agrees(&escaped(&[b'\\', byte]));
            for place in 0..4 {
                let mut escape = *b"\\ud8aF";
                escape[2 + place] = byte;
                agrees(&escaped(&escape));
            }
        }
        agrees(&escaped(br#"\\\""#));
        let whole = escaped(br#"\u0041\\"#);
        for end in 0..whole.len() {
            agrees(&whole[..end]);
            assert_eq!(skipped(&whole[..end]), Err(Broken::EndsEarly));
        }
    }
}

#[test]
fn a_value_may_be_nested_without_bound() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"\":[0,", "]}]")] {
        let depth = 100_000;
        let whole = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(taken(whole.as_bytes()), Some(whole.as_str()));
        assert_eq!(skipped(&whole.as_bytes()[..whole.len() - 1]), Err(Broken::EndsEarly));
        assert_eq!(skipped(format!("{whole}{close}").as_bytes()), Err(Broken::NotJson));
    }
}

#[test]
fn goes_from_member_to_member() {
    let mut cursor = Cursor::new(br#" { "a" : [1] , "\u0062\"":{} } "#);
    assert_eq!(cursor.takes(b'['), Ok(false));
    assert_eq!(cursor.takes(b'{'), Ok(true));
    assert_eq!(cursor.name(), Ok("a"));
    assert_eq!(cursor.value().map(Json::get), Ok("[1]"));
    assert_eq!(cursor.goes_on(b'}'), Ok(true));
    assert_eq!(cursor.name(), Ok("b\""));
    assert_eq!(cursor.goes_on(b'}'), Err(Broken::NotJson));
    assert_eq!(cursor.skip(), Ok(()));
    assert_eq!(cursor.goes_on(b'}'), Ok(false));
    assert_eq!((cursor.left(), cursor.end()), (1, Ok(())));
    for no_name in ["1:1", "\"\\ud800\":1", "\"a\"=1", "\"a\u{1}\":1"] {
        assert_eq!(Cursor::new(no_name.as_bytes()).name(), Err(Broken::NotJson), "{no_name}");
    }
}

proptest! {
    #[test]
    fn takes_any_value_as_serde_json_does(json in any_json()) {
        let text = format!("\n{json}\t");
        prop_assert_eq!(taken(text.as_bytes()), Some(json.as_str()));
        agrees(text.as_bytes());
    }

    #[test]
    fn judges_damaged_values_as_serde_json_does(
        json in any_json(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0..3, telling()), 1..4),
    ) {
        let mut text = format!("{{\"a\":{json}}}").into_bytes();
        for (place, way, byte) in damages {
            let place = place.index(text.len());
            match way {
                0 => text[place] = byte,
                1 => text.insert(place, byte),
                _ => drop(text.remove(place)),
            }
            agrees(&text);
            if text.is_empty() {
                break;
            }
        }
    }

    #[test]
    fn a_part_of_a_value_ends_early(json in any_json(), place: prop::sample::Index) {
        let text = format!("[{json}]");
        let end = place.index(text.len());
        prop_assert_eq!(skipped(&text.as_bytes()[..end]), Err(Broken::EndsEarly));
    }
}

/// Bytes that mean something in JSON, and any others.
fn telling() -> impl Strategy<Value = u8> {
    prop_oneof![prop::sample::select(&b"\"\\{}[],:0-.eEu \n\0\x1f\x80\xc3\xff"[..]), any::<u8>()]
}
