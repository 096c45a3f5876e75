use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::delivery::memory::Budget;
use crate::stream::SequenceNumber;

const LIMITS: BatchLimits = BatchLimits { max_records: 3, max_bytes: 100, linger: Duration::from_millis(10) };

fn at(ms: u64) -> MonoTime {
    MonoTime::from_origin(Duration::from_millis(ms))
}

fn change(ticket: Ticket, key: &str, bytes: usize) -> Change {
    let memory = futures_util::FutureExt::now_or_never(Budget::new(1 << 20).reserve(1)).expect("room");
    let entry = PutEntry { partition_key: key.into(), data: vec![0; bytes].into() };
    Change { ticket, entry, created_at_ms: 0, memory }
}

fn placed(shard: &str, number: u64) -> Placement {
    let sequence_number = SequenceNumber::parse(&number.to_string()).expect("digits");
    Placement { shard_id: shard.into(), sequence_number }
}

fn keys(batch: &[Sent]) -> Vec<&str> {
    batch.iter().map(|sent| &*sent.entry.partition_key).collect()
}

/// Lanes with these changes of shard 1, each one byte, tickets counting from 0.
fn lanes_with(all: &[&str]) -> Lanes {
    let mut lanes = Lanes::new();
    for (ticket, key) in all.iter().enumerate() {
        lanes.push(1, change(ticket as u64, key, 1), at(0));
    }
    lanes
}

#[test]
fn a_batch_never_holds_a_lane_twice_and_a_lane_has_one_record_in_flight() {
    let mut lanes = lanes_with(&["a", "a", "b"]);
    let batch = lanes.take_batch(at(10), &LIMITS).expect("lingered");
    assert_eq!(keys(&batch), ["a", "b"]);
    assert_eq!(lanes.take_batch(at(1_000), &LIMITS).map(|batch| batch.len()), None);
    let first = lanes.acknowledged(batch[0].lane, placed("s", 1)).expect("known");
    assert_eq!((first.shard, first.ticket), (1, 0));
    // Its successor has waited long enough already.
    let next = lanes.take_batch(at(10), &LIMITS).expect("due at once");
    assert_eq!((keys(&next), next[0].lane), (vec!["a"], batch[0].lane));
}

#[test]
fn a_batch_is_due_when_full_or_when_its_oldest_has_lingered() {
    let mut lanes = lanes_with(&["a", "b"]);
    assert!(lanes.take_batch(at(9), &LIMITS).is_none());
    assert_eq!(lanes.next_due(&LIMITS), Some(at(10)));
    lanes.push(1, change(2, "c", 1), at(9));
    assert_eq!(lanes.take_batch(at(9), &LIMITS).expect("three are full").len(), 3);
    assert_eq!(lanes.next_due(&LIMITS), None);
}

#[test]
fn bytes_end_a_batch_and_a_larger_record_travels_alone() {
    let mut lanes = Lanes::new();
    lanes.push(1, change(0, "big", 500), at(0));
    lanes.push(1, change(1, "b", 60), at(0));
    lanes.push(1, change(2, "c", 60), at(0));
    let sizes: Vec<usize> = (0..3).map(|_| lanes.take_batch(at(10), &LIMITS).expect("due").len()).collect();
    assert_eq!(sizes, [1, 1, 1]);
}

#[test]
fn bytes_fill_a_batch_to_the_last_and_what_is_left_waits() {
    let mut lanes = Lanes::new();
    lanes.push(1, change(0, "a", 59), at(0));
    lanes.push(1, change(1, "b", 39), at(0));
    lanes.push(1, change(2, "c", 1), at(0));
    assert_eq!(keys(&lanes.take_batch(at(0), &LIMITS).expect("more than full")), ["a", "b"]);
    assert!(lanes.take_batch(at(9), &LIMITS).is_none());
}

#[test]
fn a_dropped_shards_bytes_fill_no_batch() {
    let mut lanes = Lanes::new();
    lanes.push(1, change(0, "a", 80), at(0));
    lanes.drop_shard(1);
    // With its key, one byte short of a full batch.
    lanes.push(2, change(0, "b", 98), at(0));
    assert!(lanes.take_batch(at(9), &LIMITS).is_none());
    assert_eq!(keys(&lanes.take_batch(at(10), &LIMITS).expect("lingered")), ["b"]);
}

#[test]
fn a_failed_head_is_sent_again_before_anything_behind_it() {
    let mut lanes = lanes_with(&["a", "a", "b"]);
    let batch = lanes.take_batch(at(10), &LIMITS).expect("due");
    lanes.acknowledged(batch[1].lane, placed("s", 1));
    lanes.failed(batch[0].lane, at(20), 0);
    assert!(lanes.take_batch(at(20), &LIMITS).is_none());
    let due = lanes.next_due(&LIMITS).expect("a delay");
    assert_eq!(due, at(45));
    let again = lanes.take_batch(due, &LIMITS).expect("due again");
    assert_eq!(again[0].lane, batch[0].lane);
    assert_eq!(lanes.acknowledged(again[0].lane, placed("s", 2)).expect("known").ticket, 0);
}

#[test]
fn delays_grow_and_start_over_after_a_success() {
    let mut lanes = lanes_with(&["a", "a"]);
    let mut delays = vec![];
    let mut now = at(10);
    for _ in 0..3 {
        let batch = lanes.take_batch(now, &LIMITS).expect("due");
        lanes.failed(batch[0].lane, now, 0);
        let due = lanes.next_due(&LIMITS).expect("a delay");
        delays.push(due.since(now).as_millis());
        now = due;
    }
    let batch = lanes.take_batch(now, &LIMITS).expect("due");
    lanes.acknowledged(batch[0].lane, placed("s", 1));
    let batch = lanes.take_batch(now, &LIMITS).expect("due");
    lanes.failed(batch[0].lane, now, 0);
    delays.push(lanes.next_due(&LIMITS).expect("a delay").since(now).as_millis());
    assert_eq!(delays, [25, 50, 100, 25]);
}

#[test]
fn a_record_that_was_not_sent_may_go_at_once() {
    let mut lanes = lanes_with(&["a", "a"]);
    let lane = lanes.take_batch(at(10), &LIMITS).expect("due")[0].lane;
    lanes.unsent(lane);
    assert_eq!(lanes.take_batch(at(10), &LIMITS).expect("due")[0].lane, lane);
    assert_eq!(lanes.acknowledged(lane, placed("s", 1)).expect("known").ticket, 0);
    // Its shard is gone meanwhile.
    lanes.take_batch(at(10), &LIMITS).expect("due");
    lanes.drop_shard(1);
    lanes.unsent(lane);
    assert_eq!((lanes.next_due(&LIMITS), lanes.queued()), (None, 0));
}

#[test]
fn a_replaced_head_goes_again_at_once_with_its_other_data() {
    let mut lanes = Lanes::new();
    lanes.push(1, change(0, "a", 150), at(0));
    lanes.push(1, change(1, "a", 1), at(0));
    let lane = lanes.take_batch(at(10), &LIMITS).expect("due")[0].lane;
    lanes.replace_head(lane, vec![1; 7].into());
    let again = lanes.take_batch(at(10), &LIMITS).expect("due");
    assert_eq!((again[0].lane, again[0].entry.data.as_ref()), (lane, [1; 7].as_slice()));
    assert_eq!(lanes.acknowledged(lane, placed("s", 1)).expect("known").ticket, 0);
}

#[test]
fn an_acknowledgement_before_the_lanes_last_one_is_an_inversion() {
    let mut lanes = lanes_with(&["a", "a", "a"]);
    let lane = lanes.take_batch(at(10), &LIMITS).expect("due")[0].lane;
    assert!(!lanes.acknowledged(lane, placed("s", 5)).expect("known").inverted);
    lanes.take_batch(at(10), &LIMITS).expect("due");
    // Another Kinesis shard (after a reshard) cannot be compared.
    assert!(!lanes.acknowledged(lane, placed("t", 4)).expect("known").inverted);
    lanes.take_batch(at(10), &LIMITS).expect("due");
    assert!(lanes.acknowledged(lane, placed("t", 3)).expect("known").inverted);
    // The lane is empty now, and still remembers.
    lanes.push(1, change(3, "a", 1), at(20));
    lanes.take_batch(at(30), &LIMITS).expect("due");
    assert!(lanes.acknowledged(lane, placed("t", 2)).expect("known").inverted);
}

#[test]
fn of_too_many_empty_lanes_the_longest_empty_is_forgotten() {
    const ALL: BatchLimits =
        BatchLimits { max_records: usize::MAX, max_bytes: usize::MAX, linger: Duration::ZERO };
    let mut lanes = lanes_with(&["a", "b"]);
    let batch = lanes.take_batch(at(0), &ALL).expect("due");
    lanes.acknowledged(batch[1].lane, placed("s", 10));
    lanes.acknowledged(batch[0].lane, placed("s", 10));
    for lane in 1..EMPTY_LANES_KEPT {
        lanes.push(1, change(0, &lane.to_string(), 1), at(0));
    }
    for sent in lanes.take_batch(at(0), &ALL).expect("due") {
        lanes.acknowledged(sent.lane, placed("s", 10));
    }
    let mut is_inverted = |key: &str| {
        lanes.push(1, change(0, key, 1), at(0));
        let lane = lanes.take_batch(at(0), &ALL).expect("due")[0].lane;
        lanes.acknowledged(lane, placed("s", 1)).expect("known").inverted
    };
    assert_eq!((is_inverted("a"), is_inverted("b")), (true, false));
}

#[test]
fn a_dropped_shard_leaves_the_others_alone() {
    let mut lanes = lanes_with(&["a", "b"]);
    lanes.push(2, change(0, "a", 1), at(0));
    let batch = lanes.take_batch(at(10), &LIMITS).expect("due");
    lanes.drop_shard(1);
    assert_eq!(lanes.queued(), 1);
    assert!(lanes.acknowledged(batch[0].lane, placed("s", 1)).is_none());
    assert_eq!(lanes.acknowledged(batch[2].lane, placed("s", 2)).expect("kept").shard, 2);
}

#[test]
fn a_halted_shard_sends_nothing_but_hears_what_is_in_flight() {
    let mut lanes = lanes_with(&["a", "a", "b", "c", "d"]);
    let batch = lanes.take_batch(at(10), &LIMITS).expect("due");
    lanes.halt_shard(1);
    assert_eq!(lanes.queued(), 3);
    assert_eq!(lanes.acknowledged(batch[0].lane, placed("s", 1)).expect("in flight").ticket, 0);
    assert!(lanes.take_batch(at(1_000), &LIMITS).is_none());
}

#[derive(Debug, Clone)]
enum Step {
    Push { shard: u64, key: u8 },
    Send,
    Acknowledge { which: usize },
    Fail { which: usize, random: u64 },
    Pass { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..3u64, 0..4u8).prop_map(|(shard, key)| Step::Push { shard, key }),
        3 => Just(Step::Send),
        3 => any::<usize>().prop_map(|which| Step::Acknowledge { which }),
        2 => (any::<usize>(), any::<u64>()).prop_map(|(which, random)| Step::Fail { which, random }),
        2 => (0..40u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

proptest! {
    /// P2 under any schedule: one record of a lane in flight, acknowledged in the order pushed, none lost.
    #[test]
    fn lanes_keep_order_under_any_schedule(steps in prop::collection::vec(step(), 1..200)) {
        let mut lanes = Lanes::new();
        let (mut now, mut ticket) = (at(0), 0);
        let mut in_flight: Vec<Sent> = vec![];
        let mut expected: BTreeMap<(u64, String), VecDeque<u64>> = BTreeMap::new();
        let mut number = 0;
        let mut acknowledge = |lanes: &mut Lanes, sent: &Sent, expected: &mut BTreeMap<(u64, String), VecDeque<u64>>| {
            number += 1;
            let done = lanes.acknowledged(sent.lane, placed("s", number)).expect("in flight");
            let lane = (sent.shard, sent.entry.partition_key.to_string());
            assert_eq!(expected.get_mut(&lane).and_then(VecDeque::pop_front), Some(done.ticket));
            assert!(!done.inverted);
        };
        for step in steps {
            match step {
                Step::Push { shard, key } => {
                    let key = format!("k{key}");
                    lanes.push(shard, change(ticket, &key, 5), now);
                    expected.entry((shard, key)).or_default().push_back(ticket);
                    ticket += 1;
                }
                Step::Send => {
                    for sent in lanes.take_batch(now, &LIMITS).unwrap_or_default() {
                        prop_assert!(in_flight.iter().all(|other| other.lane != sent.lane));
                        in_flight.push(sent);
                    }
                }
                Step::Acknowledge { which } if !in_flight.is_empty() => {
                    let sent = in_flight.remove(which % in_flight.len());
                    acknowledge(&mut lanes, &sent, &mut expected);
                }
                Step::Fail { which, random } if !in_flight.is_empty() => {
                    let sent = in_flight.remove(which % in_flight.len());
                    lanes.failed(sent.lane, now, random);
                }
                Step::Pass { ms } => now = now + Duration::from_millis(ms),
                Step::Acknowledge { .. } | Step::Fail { .. } => {}
            }
        }
        for sent in std::mem::take(&mut in_flight) {
            acknowledge(&mut lanes, &sent, &mut expected);
        }
        while let Some(due) = lanes.next_due(&LIMITS) {
            now = now.max(due);
            let batch = lanes.take_batch(now, &LIMITS).unwrap_or_default();
            prop_assert!(!batch.is_empty(), "nothing is sent when it is due");
            for sent in batch {
                acknowledge(&mut lanes, &sent, &mut expected);
            }
        }
        prop_assert_eq!(lanes.queued(), 0);
        prop_assert!(expected.values().all(VecDeque::is_empty));
    }
}
