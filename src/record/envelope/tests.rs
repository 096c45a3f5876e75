use super::*;
use crate::record::testing::{Change, encode, options, payload};

/// An image with a text of this length.
fn image(length: usize) -> String {
    format!(r#"{{"id":{{"S":"a"}},"t":{{"S":"{}"}}}}"#, "x".repeat(length))
}

fn both(new: usize, old: usize) -> Change {
    Change::new("MODIFY", "NEW_AND_OLD_IMAGES").image_new(&image(new)).image_old(&image(old))
}

fn at_limit(format: Format, change: &Change, limit_bytes: usize) -> Encoded {
    encode(&EncoderOptions { limit_bytes, ..options(format) }, change)
}

const FORMATS: [Format; 2] = [Format::DynamodbJson, Format::Json];

/// 1.75E9 s is when the change was made.
#[test]
fn a_replay_is_marked_up_to_its_moment_and_no_further() {
    for format in [Format::DynamodbJson, Format::Json] {
        let change = Change::new("INSERT", "NEW_IMAGE").image_new(r#"{"id":{"S":"a"}}"#);
        let plain = payload(format, &change);
        let marked = |until_ms| {
            let encoder = Encoder::new(options(format)).marking("again", until_ms);
            let encoded = change
                .record(|record| encoder.encode(record, &mut Vec::new()))
                .expect("a record")
                .expect("carried");
            String::from_utf8(encoded.entry.data().to_vec()).expect("JSON is UTF-8")
        };
        let open = plain.strip_suffix('}').expect("an object");
        assert_eq!(marked(1_750_000_000_000), format!(r#"{open},"replay":"again"}}"#));
        assert_eq!(marked(1_749_999_999_999), plain);
    }
}

#[test]
fn a_record_exactly_at_the_limit_is_whole() {
    for format in FORMATS {
        let whole = encode(&options(format), &both(700, 900));
        assert_eq!(whole.entry.size_bytes(), whole.entry.data().len() + "a".len());
        assert_eq!(at_limit(format, &both(700, 900), whole.entry.size_bytes()), whole);
        assert_eq!(whole.truncated, Truncated::NONE);
    }
}

#[test]
fn one_byte_beyond_the_limit_costs_the_old_image_and_keeps_the_new_one() {
    for format in FORMATS {
        let whole = encode(&options(format), &both(700, 900));
        let cut = at_limit(format, &both(700, 900), whole.entry.size_bytes() - 1);
        assert_eq!(cut.truncated, Truncated { old_image: true, new_image: false });
        let text = String::from_utf8(cut.entry.data().to_vec()).expect("UTF-8");
        assert!(text.ends_with(r#","truncated":["OldImage"]}"#), "{text}");
        assert!(text.contains(&"x".repeat(700)) && !text.contains(&"x".repeat(701)), "{text}");
    }
}

#[test]
fn one_byte_beyond_again_costs_the_new_image_too() {
    for format in FORMATS {
        let whole = encode(&options(format), &both(700, 900));
        let without_old = at_limit(format, &both(700, 900), whole.entry.size_bytes() - 1);
        assert_eq!(at_limit(format, &both(700, 900), without_old.entry.size_bytes()), without_old);

        let without_both = at_limit(format, &both(700, 900), without_old.entry.size_bytes() - 1);
        assert_eq!(without_both.truncated, Truncated { old_image: true, new_image: true });
        let text = String::from_utf8(without_both.entry.data().to_vec()).expect("UTF-8");
        assert!(text.ends_with(r#","truncated":["OldImage","NewImage"]}"#), "{text}");
        assert!(!text.contains("xxx"), "{text}");
    }
}

#[test]
fn only_an_image_that_was_there_is_named() {
    let new_only = Change::new("INSERT", "NEW_IMAGE").image_new(&image(900));
    let old_only = Change::new("REMOVE", "OLD_IMAGE").image_old(&image(900));
    for format in FORMATS {
        for (change, names) in [(&new_only, ["NewImage"]), (&old_only, ["OldImage"])] {
            let whole = encode(&options(format), change);
            let cut = at_limit(format, change, whole.entry.size_bytes() - 1);
            assert_eq!(cut.truncated.names(), names);
            let payload: serde_json::Value = serde_json::from_slice(cut.entry.data()).expect("JSON");
            assert_eq!(payload["truncated"], serde_json::json!(names));
        }
    }
}

#[test]
fn the_partition_key_counts_towards_the_limit() {
    let short = Change::new("INSERT", "NEW_IMAGE").image_new(&image(900));
    let long = Change { keys: r#"{"id":{"S":"😀"}}"#.to_owned(), ..short.clone() };
    for format in FORMATS {
        let (short, long) = (encode(&options(format), &short), encode(&options(format), &long));
        // The key's four bytes stand in the payload and again as the partition key.
        assert_eq!(long.entry.size_bytes(), short.entry.size_bytes() + 2 * 3);
        assert_eq!(long.entry.partition_key(), "😀");
    }
}

#[test]
fn halting_is_an_error_at_one_byte_beyond() {
    for format in FORMATS {
        let whole = encode(&options(format), &both(700, 900));
        let size_bytes = whole.entry.size_bytes();
        let halting = EncoderOptions { oversize: Oversize::Halt, ..options(format) };
        let exact = EncoderOptions { limit_bytes: size_bytes, ..halting.clone() };
        assert_eq!(encode(&exact, &both(700, 900)), whole);

        let limit_bytes = size_bytes - 1;
        let encoder = Encoder::new(EncoderOptions { limit_bytes, ..halting });
        let error = both(700, 900).record(|record| encoder.encode(record, &mut Vec::new()));
        assert_eq!(error, Err(EncodeError::TooLarge { size_bytes, limit_bytes }));
    }
}

#[test]
fn what_cannot_be_cut_further_is_an_error() {
    for format in FORMATS {
        let encoder = Encoder::new(EncoderOptions { limit_bytes: 100, ..options(format) });
        for change in [both(700, 900), Change::new("INSERT", "KEYS_ONLY")] {
            let error = change
                .record(|record| encoder.encode(record, &mut Vec::new()))
                .expect_err("100 bytes are too few");
            let EncodeError::TooLarge { size_bytes, limit_bytes: 100 } = error else { panic!("{error}") };
            assert!((101..700).contains(&size_bytes), "{size_bytes}: the images were not counted");
        }
    }
}

#[test]
fn a_missing_key_attribute_is_an_error() {
    let encoder = Encoder::new(options(Format::DynamodbJson));
    let change = Change { keys: r#"{"other":{"S":"a"}}"#.to_owned(), ..Change::new("INSERT", "KEYS_ONLY") };
    let error = change.record(|record| encoder.encode(record, &mut Vec::new()));
    assert_eq!(error, Err(EncodeError::Key(KeyError::Missing { attribute: "id".to_owned() })));
}

#[test]
fn the_same_change_gives_the_same_bytes_and_valid_json() {
    let change =
        Change { identity: r#"{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}"#, ..both(10, 20) };
    for format in FORMATS {
        let first = encode(&options(format), &change);
        assert_eq!(encode(&options(format), &change), first);
        assert!(
            serde_json::from_slice::<serde_json::Value>(first.entry.data())
                .is_ok_and(|value| value.is_object())
        );
    }
}

#[test]
fn an_arn_with_quotes_cannot_break_the_payload() {
    let arn = r#"arn:aws:dynamodb:re"gion:1:table/na"me/stream/la\bel"#;
    for format in FORMATS {
        let stream = StreamArn::parse(arn).expect("an odd ARN, but one");
        let encoded = encode(&EncoderOptions { stream, ..options(format) }, &both(1, 1));
        let payload: serde_json::Value = serde_json::from_slice(encoded.entry.data()).expect("JSON");
        let name = if format == Format::Json { &payload["table"] } else { &payload["tableName"] };
        assert_eq!(name, r#"na"me"#);
    }
}
