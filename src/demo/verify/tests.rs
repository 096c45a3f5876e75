use super::*;

const KINDS: [ChangeKind; 5] =
    [ChangeKind::Insert, ChangeKind::Modify, ChangeKind::Modify, ChangeKind::Remove, ChangeKind::Insert];

fn key(name: &str) -> ItemKey {
    ItemKey::new([("id", name)])
}

/// A verifier that expects the five changes of each named item.
fn expecting(items: &[&str]) -> Verifier {
    let mut verifier = Verifier::new();
    for name in items {
        for (index, kind) in KINDS.iter().enumerate() {
            verifier.expect(&Change { item: key(name), kind: *kind, version: index as u64 + 1 });
        }
    }
    verifier
}

/// The delivery of the item's change of that version; the sequence numbers' lengths differ on purpose.
fn delivery(name: &str, version: u64) -> Delivered {
    let sequence_number = SequenceNumber::parse(&format!("{}", 95 + version * 3)).expect("digits");
    let kind = KINDS[usize::try_from(version).expect("small") - 1];
    Delivered { item: key(name), kind, version: Some(version), sequence_number, old: None, new: None }
}

fn deliver_all(verifier: &mut Verifier, name: &str, versions: &[u64]) {
    for version in versions {
        verifier.deliver(&delivery(name, *version));
    }
}

#[test]
fn a_complete_history_in_order_is_ok() {
    let mut verifier = expecting(&["a", "b"]);
    deliver_all(&mut verifier, "a", &[1, 2]);
    deliver_all(&mut verifier, "b", &[1, 2, 3, 4, 5]);
    assert!(!verifier.is_complete());
    deliver_all(&mut verifier, "a", &[3, 4, 5]);
    assert!(verifier.is_complete());
    let report = verifier.report();
    assert!(report.is_ok(), "{report}");
    assert_eq!((report.expected, report.delivered, report.duplicates), (10, 10, 0));
}

#[test]
fn sequence_numbers_are_compared_as_integers() {
    // 98 is before 101, though not as text.
    let mut verifier = expecting(&["a"]);
    deliver_all(&mut verifier, "a", &[1, 2, 3, 4, 5]);
    assert_eq!(verifier.report().out_of_order, 0);
}

#[test]
fn duplicates_are_counted_and_allowed_wherever_they_come() {
    let mut verifier = expecting(&["a"]);
    deliver_all(&mut verifier, "a", &[1, 2, 1, 2, 3, 4, 5, 1]);
    let report = verifier.report();
    assert!(report.is_ok(), "{report}");
    assert_eq!((report.duplicates, report.delivered), (3, 8));
}

#[test]
fn a_lost_change_is_missing_at_any_place() {
    for lost in 1..=5u64 {
        let mut verifier = expecting(&["a"]);
        let rest: Vec<u64> = (1..=5).filter(|version| *version != lost).collect();
        deliver_all(&mut verifier, "a", &rest);
        let report = verifier.report();
        assert!(!verifier.is_complete() && !report.is_ok());
        assert_eq!((report.missing, report.unexpected, report.out_of_order), (1, 0, 0), "{report}");
        assert!(report.problems[0].contains(&format!("version {lost} never came")), "{report}");
    }
}

#[test]
fn a_duplicate_never_stands_in_for_a_lost_change() {
    let mut verifier = expecting(&["a"]);
    deliver_all(&mut verifier, "a", &[1, 2, 2, 4, 5]);
    assert!(!verifier.is_complete());
    assert_eq!(verifier.report().missing, 1);
}

#[test]
fn a_swap_is_out_of_order_but_nothing_is_missing() {
    let mut verifier = expecting(&["a"]);
    deliver_all(&mut verifier, "a", &[1, 3, 2, 4, 5]);
    let report = verifier.report();
    assert!(!report.is_ok());
    assert_eq!((report.missing, report.unexpected, report.out_of_order), (0, 0, 1), "{report}");
}

#[test]
fn every_late_first_delivery_counts() {
    let mut verifier = expecting(&["a"]);
    deliver_all(&mut verifier, "a", &[5, 1, 2, 3, 4]);
    assert_eq!(verifier.report().out_of_order, 4);
}

#[test]
fn another_order_in_the_stream_than_in_the_table_is_seen_by_the_versions() {
    // The sequence numbers grow, but what stands at them is not what was written there.
    let mut verifier = expecting(&["a"]);
    let mut swapped = [delivery("a", 2), delivery("a", 3)];
    let number = swapped[0].sequence_number.clone();
    swapped[0].sequence_number = swapped[1].sequence_number.clone();
    swapped[1].sequence_number = number;
    verifier.deliver(&delivery("a", 1));
    verifier.deliver(&swapped[1]);
    verifier.deliver(&swapped[0]);
    deliver_all(&mut verifier, "a", &[4, 5]);
    let report = verifier.report();
    assert_eq!((report.missing, report.unexpected, report.out_of_order), (1, 1, 0), "{report}");
}

#[test]
fn a_change_that_nobody_made_is_unexpected() {
    let mut verifier = expecting(&["a"]);
    deliver_all(&mut verifier, "a", &[1, 2, 3, 4, 5]);
    verifier.deliver(&delivery("stranger", 1));
    let mut wrong_kind = delivery("a", 5);
    wrong_kind.sequence_number = SequenceNumber::parse("1000").expect("digits");
    wrong_kind.kind = ChangeKind::Remove;
    verifier.deliver(&wrong_kind);
    let report = verifier.report();
    assert_eq!((report.missing, report.unexpected), (0, 2), "{report}");
    assert!(!report.is_ok());
}

#[test]
fn without_versions_number_and_kinds_are_compared() {
    let without = |version| Delivered { version: None, ..delivery("a", version) };
    let mut verifier = expecting(&["a"]);
    for version in 1..=5 {
        verifier.deliver(&without(version));
    }
    assert!(verifier.report().is_ok());
    let mut verifier = expecting(&["a"]);
    for version in [1, 3, 4, 5] {
        verifier.deliver(&without(version));
    }
    assert_eq!(verifier.report().missing, 1);
    let mut verifier = expecting(&["a"]);
    for version in [1, 2, 3, 5] {
        verifier.deliver(&without(version));
    }
    assert_eq!(verifier.report().missing, 1);
}

#[test]
fn an_unreadable_record_is_never_ok() {
    let mut verifier = expecting(&["a"]);
    deliver_all(&mut verifier, "a", &[1, 2, 3, 4]);
    verifier.undecodable("the payload is not JSON");
    assert!(!verifier.is_complete());
    deliver_all(&mut verifier, "a", &[5]);
    let report = verifier.report();
    assert_eq!((report.missing, report.undecodable), (0, 1));
    assert!(!report.is_ok());
}

#[test]
fn problems_are_told_up_to_a_limit() {
    let verifier = expecting(&["a", "b", "c"]);
    let report = verifier.report();
    assert_eq!((report.missing, report.problems.len()), (15, PROBLEMS_TOLD));
}
