use super::*;
use crate::record::envelope::{EncoderOptions, Format};
use crate::record::testing::{self, Change};

const TTL: &str = r#"{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}"#;
const NEW: &str = r#"{"id":{"S":"a"},"n":{"N":"2"},"note":{"S":"x"}}"#;
const OLD: &str = r#"{"id":{"S":"a"},"n":{"N":"1"},"note":{"S":"x"}}"#;

fn modify() -> Change {
    Change::new("MODIFY", "NEW_AND_OLD_IMAGES").image_new(NEW).image_old(OLD)
}

fn remove(identity: &'static str) -> Change {
    Change { identity, ..Change::new("REMOVE", "NEW_AND_OLD_IMAGES").image_old(OLD) }
}

/// The payload, or nothing where the change is left out.
fn payload(selection: &Selection, format: Format, change: &Change) -> Option<String> {
    let options = EncoderOptions { selection: selection.clone(), ..testing::options(format) };
    let encoder = crate::record::envelope::Encoder::new(options);
    let encoded = change.record(|record| encoder.encode(record, &mut Vec::new())).expect("it can be encoded");
    encoded.map(|encoded| {
        assert!(encoded.truncated.is_empty());
        String::from_utf8(encoded.entry.data().to_vec()).expect("JSON is UTF-8")
    })
}

fn is_carried(selection: &Selection, change: &Change) -> bool {
    payload(selection, Format::DynamodbJson, change).is_some()
}

#[test]
fn events_and_deletes_by_time_to_live() {
    let insert = Change::new("INSERT", "NEW_AND_OLD_IMAGES").image_new(NEW);
    let all = [&insert, &modify(), &remove("null"), &remove(TTL)];
    let only = |insert, modify, remove| Selection {
        events: Events { insert, modify, remove },
        ..Selection::default()
    };
    let ttl = |ttl_deletes| Selection { ttl_deletes, ..Selection::default() };
    for (selection, expected) in [
        (Selection::default(), [true, true, true, true]),
        (only(true, false, false), [true, false, false, false]),
        (only(false, true, false), [false, true, false, false]),
        (only(false, false, true), [false, false, true, true]),
        (ttl(TtlDeletes::Exclude), [true, true, true, false]),
        (ttl(TtlDeletes::Only), [false, false, false, true]),
    ] {
        assert_eq!(all.map(|change| is_carried(&selection, change)), expected, "{selection:?}");
    }
}

#[test]
fn images_are_carried_as_chosen_and_are_not_truncated() {
    let (new, old) = (format!(r#","NewImage":{NEW}"#), format!(r#","OldImage":{OLD}"#));
    let whole = payload(&Selection::default(), Format::DynamodbJson, &modify()).expect("carried");
    for (images, expected) in [
        (Images::AsStreamed, whole.clone()),
        (Images::Keys, whole.replace(&new, "").replace(&old, "")),
        (Images::New, whole.replace(&old, "")),
        (Images::Old, whole.replace(&new, "")),
    ] {
        let selection = Selection { images, ..Selection::default() };
        let payload = payload(&selection, Format::DynamodbJson, &modify()).expect("carried");
        assert_eq!(payload, expected, "{images:?}");
        assert!(
            payload.contains(r#""SizeBytes":26"#)
                && payload.contains(r#""StreamViewType":"NEW_AND_OLD_IMAGES""#)
        );
    }
    let selection = Selection { images: Images::Old, ..Selection::default() };
    let plain = payload(&selection, Format::Json, &modify()).expect("carried");
    assert!(plain.contains(r#""old":{"id":"a","n":1,"note":"x"}"#) && !plain.contains(r#""new""#), "{plain}");
}

#[test]
fn attributes_are_cut_and_keys_stay() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let image = r#"{ "n" : {"N":"2"}, "id":{"S":"a"} ,"n\u006fte":{"S":"x"}, "deep":{"M":{"n":{"N":"1"}}}}"#;
    let change = Change::new("MODIFY", "NEW_IMAGE").image_new(image);
    for (attributes, expected) in [
        (Attributes::Only(names(&["n"])), r#"{"n":{"N":"2"},"id":{"S":"a"}}"#),
        (Attributes::Only(names(&["absent"])), r#"{"id":{"S":"a"}}"#),
        (Attributes::AllBut(names(&["note", "deep", "id"])), r#"{"n":{"N":"2"},"id":{"S":"a"}}"#),
        // Nothing to leave out: not a byte differs.
        (Attributes::AllBut(names(&["absent"])), image),
        (Attributes::Only(names(&["n", "note", "deep"])), image),
    ] {
        let selection = Selection { attributes, ..Selection::default() };
        let payload = payload(&selection, Format::DynamodbJson, &change).expect("carried");
        assert!(payload.contains(&format!(r#""NewImage":{expected},"SizeBytes""#)), "{expected}\n{payload}");
        assert!(payload.contains(r#""Keys":{"id":{"S":"a"}}"#));
    }
    let selection = Selection { attributes: Attributes::Only(names(&["gone"])), ..Selection::default() };
    let keyless = Change::new("MODIFY", "NEW_IMAGE").image_new(r#"{"n":{"N":"2"}}"#);
    assert!(
        payload(&selection, Format::DynamodbJson, &keyless).expect("carried").contains(r#""NewImage":{},"#)
    );
}

/// The filter sees the whole change, whatever is carried of it in whatever format.
#[test]
fn the_filter_looks_at_the_unshaped_change() {
    let filter = Pattern::parse(r#"{"dynamodb":{"OldImage":{"n":{"N":[1]}}}}"#).expect("a pattern");
    let selection = Selection {
        filter: Some(Arc::new(filter)),
        images: Images::Keys,
        attributes: Attributes::Only(vec!["note".to_owned()]),
        ..Selection::default()
    };
    let plain = payload(&selection, Format::Json, &modify()).expect("carried");
    assert!(!plain.contains(r#""old""#) && !plain.contains(r#""new""#), "{plain}");
    assert!(!is_carried(&selection, &modify().image_old(NEW)));
}

#[test]
fn unchanged_is_asked_of_the_chosen_attributes_of_a_modification() {
    let dropping = |attributes| Selection { drop_unchanged: true, attributes, ..Selection::default() };
    let only_note = dropping(Attributes::Only(vec!["note".to_owned()]));
    assert!(is_carried(&dropping(Attributes::All), &modify()));
    assert!(!is_carried(&only_note, &modify()));
    assert!(!is_carried(&dropping(Attributes::AllBut(vec!["n".to_owned()])), &modify()));
    assert!(is_carried(&only_note, &modify().image_new(r#"{"id":{"S":"a"},"n":{"N":"1"}}"#)));
    assert!(!is_carried(&dropping(Attributes::All), &modify().image_new(OLD)));
    // What is no modification is carried, and one whose images the stream does not have.
    let insert = Change::new("INSERT", "NEW_AND_OLD_IMAGES").image_new(NEW);
    assert!(is_carried(&only_note, &insert) && is_carried(&only_note, &remove("null")));
    assert!(is_carried(&only_note, &Change::new("MODIFY", "NEW_IMAGE").image_new(NEW)));
}

/// The change by which an item comes under the filter is the first its consumer hears of it; one by which it leaves tells them
/// that it did, if the filter asks for either image.
#[test]
fn what_comes_under_the_filter_or_leaves_it_has_changed() {
    const NEW_OPEN: &str = r#"{"dynamodb":{"NewImage":{"status":{"S":["open"]}}}}"#;
    const OLD_OPEN: &str = r#"{"dynamodb":{"OldImage":{"status":{"S":["open"]}}}}"#;
    const EITHER: &str = r#"{"dynamodb":{"$or":[{"NewImage":{"status":{"S":["open"]}}},{"OldImage":{"status":{"S":["open"]}}}]}}"#;
    const OPENED: &str = r#"{"dynamodb":{"NewImage":{"status":{"S":["open"]}},"OldImage":{"status":{"S":[{"anything-but":"open"}]}}}}"#;
    const MODIFIED: &str = r#"{"eventName":["MODIFY"]}"#;
    let image = |status: &str, total: u8, seen: u8| {
        format!(
            r#"{{"id":{{"S":"a"}},"status":{{"S":"{status}"}},"total":{{"N":"{total}"}},"seen":{{"N":"{seen}"}}}}"#
        )
    };
    // From and to which status; whether the total is another; whether it is carried.
    for (filter, before, after, other_total, expected) in [
        (NEW_OPEN, "shut", "open", false, true),
        (NEW_OPEN, "open", "open", false, false),
        (NEW_OPEN, "open", "open", true, true),
        (NEW_OPEN, "open", "shut", true, false),
        (OLD_OPEN, "open", "shut", false, true),
        (OLD_OPEN, "open", "open", false, false),
        (EITHER, "shut", "open", false, true),
        (EITHER, "open", "shut", false, true),
        (EITHER, "open", "open", false, false),
        (EITHER, "shut", "shut", true, false),
        (OPENED, "shut", "open", false, true),
        (OPENED, "open", "open", true, false),
        (MODIFIED, "shut", "open", false, false),
        (MODIFIED, "shut", "open", true, true),
    ] {
        let selection = Selection {
            filter: Some(Arc::new(Pattern::parse(filter).expect("a pattern"))),
            attributes: Attributes::Only(vec!["total".to_owned()]),
            drop_unchanged: true,
            ..Selection::default()
        };
        let after_image = image(after, 1 + u8::from(other_total), 2);
        let change = modify().image_old(&image(before, 1, 1)).image_new(&after_image);
        assert_eq!(is_carried(&selection, &change), expected, "{filter}: {before} to {after}, {other_total}");
    }
}

/// An image that is not carried is not cut away for its size either.
#[test]
fn what_is_too_large_is_cut_of_what_is_carried() {
    let large = format!(r#"{{"id":{{"S":"a"}},"blob":{{"S":"{}"}}}}"#, "x".repeat(2_000));
    let change = modify().image_new(&large).image_old(&large);
    let limited = |images| {
        let selection = Selection { images, ..Selection::default() };
        let options =
            EncoderOptions { selection, limit_bytes: 1_000, ..testing::options(Format::DynamodbJson) };
        testing::encode(&options, &change).truncated.names()
    };
    assert_eq!(limited(Images::AsStreamed), ["OldImage", "NewImage"]);
    assert_eq!(limited(Images::New), ["NewImage"]);
    assert_eq!(limited(Images::Old), ["OldImage"]);
    assert!(limited(Images::Keys).is_empty());
}
