use proptest::prelude::*;

use super::*;
use crate::delivery::slab::Slab;

fn at(ms: u64) -> MonoTime {
    MonoTime::from_origin(Duration::from_millis(ms))
}

fn shard(id: &str, first_hash: u128, last_hash: u128) -> TargetShard {
    TargetShard { id: id.into(), first_hash, last_hash }
}

fn lane() -> LaneId {
    Slab::new().insert(())
}

#[test]
fn a_listing_that_is_no_map_leaves_the_old_one() {
    let mut targets = Targets::default();
    assert_eq!(targets.of(5), None);
    targets.replace(vec![shard("one", 0, 10)]).expect("a map");
    assert_eq!(targets.replace(vec![]), Err(NoMap::Empty));
    let overlap = vec![shard("b", 10, 20), shard("a", 0, 10)];
    assert_eq!(targets.replace(overlap), Err(NoMap::Overlap { one: "a".into(), other: "b".into() }));
    assert_eq!(targets.of(5), Some(0));
}

#[test]
fn a_known_shard_keeps_its_pace_in_a_new_map_and_others_have_none() {
    let mut targets = Targets::default();
    targets.replace(vec![shard("a", 0, 9), shard("b", 10, 19)]).expect("a map");
    for hash in [5, 15] {
        assert!(targets.rejected(hash, at(0)));
        assert!(targets.paced(hash, at(0)).is_some());
    }
    targets.hold(0, Turn { arrival: 7, lane: lane() }, 3, 300, at(0));
    targets.joined(0, 50);
    assert_eq!(targets.held(), (1, 350));
    let split = vec![shard("a", 0, 9), shard("b1", 10, 14), shard("b2", 15, 19)];
    assert_eq!(targets.replace(split).expect("a map"), [Turn { arrival: 7, lane: lane() }]);
    assert_eq!(targets.held(), (0, 0));
    assert_eq!([5, 12, 15].map(|hash| targets.paced(hash, at(0))), [Some(0), None, None]);
}

#[test]
fn what_another_shard_took_is_told_and_counts_for_none() {
    let mut targets = Targets::default();
    assert!(!targets.accepted(5, "a", at(0), 1));
    assert!(!targets.rejected(5, at(0)), "without a map");
    targets.replace(vec![shard("a", 0, 9)]).expect("a map");
    assert!(targets.accepted(5, "a", at(0), 1));
    assert!(!targets.accepted(5, "b", at(0), 1));
    assert!(!targets.accepted(10, "a", at(0), 1), "beyond the map");
}

#[test]
fn it_is_told_once_a_minute_that_a_shard_holds_changes_back_for_long() {
    let mut targets = Targets::default();
    targets.replace(vec![shard("a", 0, 9)]).expect("a map");
    targets.rejected(5, at(0));
    targets.hold(0, Turn { arrival: 1, lane: lane() }, 2, 20, at(1_000));
    assert_eq!(targets.lasting(at(5_999)), []);
    let held = HeldBack { shard_id: "a".into(), changes: 2, bytes: 20, since: at(1_000) };
    assert_eq!(targets.lasting(at(6_000)), [held]);
    assert_eq!(targets.lasting(at(20_000)), []);
    assert_eq!(targets.lasting(at(66_000)).len(), 1);
    assert_eq!(targets.release(at(66_000), |_| (10, 2, 20)).len(), 1);
    assert_eq!((targets.held(), targets.opens_at(), targets.lasting(at(130_000))), ((0, 0), None, vec![]));
}

#[test]
fn who_arrived_first_goes_first_and_only_as_many_as_there_is_room_for() {
    let mut targets = Targets::default();
    targets.replace(vec![shard("a", 0, 9)]).expect("a map");
    for _ in 0..500 {
        targets.accepted(5, "a", at(900), 1);
    }
    targets.rejected(5, at(1_000));
    let mut lanes = Slab::new();
    for arrival in (0..100).rev() {
        targets.hold(0, Turn { arrival, lane: lanes.insert(()) }, 1, 1, at(1_000));
    }
    let opens = targets.opens_at().expect("it holds");
    assert!((at(1_050)..at(1_052)).contains(&opens), "{opens:?}");
    let released = targets.release(opens, |_| (1, 1, 1));
    // A twentieth of a second at 485 a second.
    assert_eq!(released.iter().map(|turn| turn.arrival).collect::<Vec<_>>(), (0..25).collect::<Vec<u64>>());
    assert_eq!(targets.held(), (1, 75));
}

proptest! {
    #[test]
    fn a_hash_is_found_in_the_range_that_holds_it(mut cuts in prop::collection::btree_set(1..u128::MAX, 0..20), hash: u128) {
        cuts.insert(0);
        let ends = cuts.iter().skip(1).map(|cut| cut - 1).chain([u128::MAX]);
        let listed: Vec<TargetShard> = cuts.iter().zip(ends).map(|(first, last)| shard(&first.to_string(), *first, last)).collect();
        let mut targets = Targets::default();
        targets.replace(listed.clone()).expect("a map");
        for hash in [hash, 0, u128::MAX, listed[0].last_hash] {
            let found = targets.of(hash).map(|target| &targets.shards[target].listed);
            prop_assert_eq!(found, listed.iter().find(|shard| (shard.first_hash..=shard.last_hash).contains(&hash)));
        }
    }
}
