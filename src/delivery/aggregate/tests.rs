use proptest::prelude::*;

use super::apart::unpacked;
use super::*;

/// Packs as many of the first as fit; gives how many.
fn packed(key: &str, changes: &[Vec<u8>], packing: Packing) -> (usize, Vec<u8>) {
    let mut parcel = Parcel::of(changes[0].len());
    while let Some(next) = changes.get(parcel.changes()) {
        match parcel.and(next.len(), key.len(), packing) {
            Some(larger) => parcel = larger,
            None => break,
        }
    }
    let count = parcel.changes();
    (count, encode(key, changes[..count].iter().map(Vec::as_slice), parcel.aggregate_bytes(key.len())))
}

#[test]
fn the_bytes_of_an_aggregate() {
    let (count, record) = packed("k", &[b"a".to_vec(), b"bc".to_vec()], Packing::up_to(1_000));
    let message = b"\x0a\x01k\x1a\x05\x08\x00\x1a\x01a\x1a\x06\x08\x00\x1a\x02bc";
    let mut expected = MAGIC.to_vec();
    expected.extend_from_slice(message);
    expected.extend_from_slice(&Md5::digest(message));
    assert_eq!((count, &record[..]), (2, &expected[..]));
}

/// The tests' own reading finds what is wrong.
#[test]
fn a_damaged_aggregate_is_no_aggregate() {
    let (_, record) = packed("k", &[b"a".to_vec(), b"bc".to_vec()], Packing::up_to(1_000));
    assert_eq!(unpacked("k", &record), Ok(vec![&b"a"[..], b"bc"]));
    assert!(unpacked("other", &record).is_err());
    for at in MAGIC.len()..record.len() {
        let mut damaged = record.clone();
        damaged[at] ^= 1;
        assert!(unpacked("k", &damaged).is_err(), "byte {at}");
    }
}

#[test]
fn without_packing_a_change_stays_alone() {
    assert_eq!(Parcel::of(0).and(0, 1, Packing::NONE), None);
}

#[test]
fn the_limit_is_kept_to_the_byte() {
    let changes = vec![vec![7; 200]; 3];
    let (_, all) = packed("key", &changes, Packing::up_to(usize::MAX));
    let fits = all.len() + "key".len();
    assert_eq!(packed("key", &changes, Packing::up_to(fits)).0, 3);
    assert_eq!(packed("key", &changes, Packing::up_to(fits - 1)).0, 2);
}

proptest! {
    #[test]
    fn what_is_packed_is_read_again(
        key in "\\PC{1,256}",
        changes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..40),
        limit in 100..20_000usize,
    ) {
        let (count, record) = packed(&key, &changes, Packing::up_to(limit));
        prop_assert!(count == 1 || record.len() + key.len() <= limit);
        let read = unpacked(&key, &record).expect("an aggregate");
        prop_assert_eq!(read, changes[..count].iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
}
