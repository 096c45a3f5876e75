use super::*;
use crate::record::envelope::{Encoder, EncoderOptions};
use crate::record::testing::{Change, encode, options};

const NEW: &str = r#"{"id":{"S":"a"}, "dynamodb":{"M":{"OldImage":{"S":"inner \u0022"}}}}"#;
const OLD: &str =
    r#"{"old":{"S":"a"},"n":{"N":"12345678901234567890123456789012345678"},"truncated":{"L":[]}}"#;

fn change() -> Change {
    Change::new("MODIFY", "NEW_AND_OLD_IMAGES").image_new(NEW).image_old(OLD)
}

/// The payload that the encoder itself writes when `images` must go.
fn cut(format: Format, change: &Change, images: usize) -> Vec<u8> {
    let mut limited = options(format);
    for _ in 0..images {
        limited.limit_bytes = encode(&limited, change).entry.size_bytes() - 1;
    }
    encode(&limited, change).entry.data().to_vec()
}

#[test]
fn cuts_as_the_encoder_would_have() {
    for format in [Format::DynamodbJson, Format::Json] {
        let full = cut(format, &change(), 0);
        let without_old = shrink(format, &full).expect("the old image is there");
        assert_eq!(without_old, cut(format, &change(), 1));
        let without_both = shrink(format, &without_old).expect("the new image is there");
        assert_eq!(without_both, cut(format, &change(), 2));
        assert_eq!(shrink(format, &without_both), None);
    }
}

/// What a replay's consumer needs to let it through stays, and the limit counts it.
#[test]
fn the_mark_of_a_replay_stays() {
    const MARK: &str = r#","replay":"b\"ck""#;
    for format in [Format::DynamodbJson, Format::Json] {
        let within = |limit_bytes| {
            let encoder = Encoder::new(EncoderOptions { limit_bytes, ..options(format) });
            let encoder = encoder.marking("b\"ck", u64::MAX);
            change()
                .record(|record| encoder.encode(record, &mut Vec::new()))
                .expect("it fits")
                .expect("carried")
        };
        let whole = within(usize::MAX);
        let plain = encode(&options(format), &change());
        assert_eq!(whole.entry.size_bytes(), plain.entry.size_bytes() + MARK.len());
        assert!(whole.entry.data().ends_with(format!("{MARK}}}").as_bytes()));
        let cut = shrink(format, whole.entry.data()).expect("the old image is there");
        assert!(cut.ends_with(format!("{MARK},\"truncated\":[\"OldImage\"]}}").as_bytes()));
        assert_eq!(cut, within(whole.entry.size_bytes() - 1).entry.data());
    }
}

#[test]
fn a_lone_image_goes_at_once() {
    for format in [Format::DynamodbJson, Format::Json] {
        for change in [
            Change::new("INSERT", "NEW_IMAGE").image_new(NEW),
            Change::new("REMOVE", "OLD_IMAGE").image_old(OLD),
        ] {
            let shrunk = shrink(format, &cut(format, &change, 0)).expect("an image is there");
            assert_eq!(shrunk, cut(format, &change, 1));
            assert_eq!(shrink(format, &shrunk), None);
        }
    }
}

#[test]
fn leaves_alone_what_has_no_image_or_is_no_payload() {
    for format in [Format::DynamodbJson, Format::Json] {
        let plain = Change::new("INSERT", "KEYS_ONLY")
            .record(|record| Encoder::new(options(format)).encode(record, &mut Vec::new()))
            .expect("a record")
            .expect("carried");
        assert_eq!(shrink(format, plain.entry.data()), None);
        for other in [&b""[..], b"\xf3\x89\x9a\xc2", b"{}", b"[]", b"null", b"{\"dynamodb\":7}", b"\xff"] {
            assert_eq!(shrink(format, other), None);
        }
    }
}
