//! The judge against hand-made histories.

use crate::support::judge::{Change, Delivered, judge};
use crate::support::payload::{Format, read};

fn written(history: &[(&str, &str)]) -> Vec<Change> {
    let change = |(item, sequence): &(&str, &str)| Change {
        item_key: (*item).to_owned(),
        sequence_number: (*sequence).to_owned(),
    };
    history.iter().map(change).collect()
}

fn arrived(history: &[(&str, &str)]) -> Vec<Delivered> {
    let delivered = |(item, sequence): &(&str, &str)| Delivered {
        item_key: (*item).to_owned(),
        sequence_number: (*sequence).to_owned(),
    };
    history.iter().map(delivered).collect()
}

/// Two items; the second number is longer than the first, so that a comparison as text gets it wrong.
const HISTORY: [(&str, &str); 4] = [("a", "99"), ("a", "100"), ("b", "101"), ("a", "102")];

#[test]
fn accepts_what_arrived_once_and_in_order() {
    // Items may overtake each other.
    let report =
        judge(&written(&HISTORY), &arrived(&[("b", "101"), ("a", "99"), ("a", "100"), ("a", "102")]));
    report.assert_exactly_once();
}

#[test]
fn rejects_a_lost_change() {
    let report = judge(&written(&HISTORY), &arrived(&[("a", "99"), ("b", "101"), ("a", "102")]));
    assert!(!report.is_complete_and_ordered());
    assert_eq!(report.missing, written(&[("a", "100")]));
    // What is missing is not out of order as well.
    assert_eq!(report.inversions, []);
}

#[test]
fn rejects_first_deliveries_out_of_order() {
    let report =
        judge(&written(&HISTORY), &arrived(&[("a", "100"), ("a", "99"), ("a", "102"), ("b", "101")]));
    assert!(!report.is_complete_and_ordered());
    assert_eq!(report.missing, []);
    assert_eq!(report.inversions.len(), 1);
    assert_eq!(report.inversions[0].earlier_delivered, "100");
    assert_eq!(report.inversions[0].later_delivered, "99");
}

#[test]
fn a_duplicate_does_not_hide_an_inversion() {
    let history = [("a", "99"), ("a", "102"), ("a", "99"), ("a", "100"), ("b", "101")];
    let report = judge(&written(&HISTORY), &arrived(&history));
    assert_eq!(report.duplicates.len(), 1);
    assert_eq!(report.inversions.len(), 1);
    assert_eq!(report.inversions[0].later_delivered, "100");
}

#[test]
fn accepts_and_counts_duplicates() {
    let twice = [("a", "99"), ("a", "100"), ("a", "99"), ("a", "100"), ("b", "101"), ("a", "102")];
    let report = judge(&written(&HISTORY), &arrived(&twice));
    report.assert_complete_and_ordered();
    assert_eq!(report.duplicates, arrived(&[("a", "99"), ("a", "100")]));
}

#[test]
fn rejects_what_was_never_written() {
    let mut history = HISTORY.to_vec();
    history.push(("b", "102"));
    let report = judge(&written(&HISTORY), &arrived(&history));
    assert!(!report.is_complete_and_ordered());
    assert_eq!(report.unexpected, arrived(&[("b", "102")]));
}

#[test]
#[should_panic(expected = "of 4 changes 4 are missing")]
fn its_assertion_says_what_is_wrong() {
    judge(&written(&HISTORY), &[]).assert_complete_and_ordered();
}

#[test]
fn both_formats_spell_a_key_alike() {
    let digits = "12345678901234567890123456789012345678";
    let typed = format!(
        r#"{{"dynamodb":{{"Keys":{{"n":{{"N":"{digits}"}},"id":{{"S":"ü\"1"}}}},"SequenceNumber":"7"}}}}"#
    );
    let plain = format!(r#"{{"keys":{{"id":"ü\"1","n":{digits}}},"sequence_number":"7"}}"#);
    let from_typed = read(Format::DynamoDbJson, typed.as_bytes()).expect("a payload");
    let from_plain = read(Format::Json, plain.as_bytes()).expect("a payload");
    assert_eq!(from_typed, from_plain);
    assert!(from_typed.item_key.contains(digits), "{}", from_typed.item_key);
}

#[test]
fn a_payload_that_is_none_is_an_error() {
    assert!(read(Format::DynamoDbJson, b"{}").is_err());
    assert!(read(Format::Json, b"\xff").is_err());
}
