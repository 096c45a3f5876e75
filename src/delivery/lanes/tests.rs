use super::*;
use crate::delivery::batch::MORE_WITHIN;
use crate::delivery::memory::Budget;
use crate::delivery::sink::PutEntry;
use crate::delivery::watermark::Ticket;
use crate::stream::SequenceNumber;

pub(super) const LIMITS: BatchLimits =
    BatchLimits { max_records: 3, max_bytes: 100, linger: Duration::from_millis(10) };

/// So many empty lanes are remembered.
pub(super) const REMEMBERED: usize = 100;

pub(super) fn at(ms: u64) -> MonoTime {
    MonoTime::from_origin(Duration::from_millis(ms))
}

pub(super) fn change(ticket: Ticket, key: &str, bytes: usize) -> Change {
    let memory = futures_util::FutureExt::now_or_never(Budget::new(1 << 20).reserve(1)).expect("room");
    let entry = PutEntry::new(key, &vec![0; bytes]);
    Change { ticket, entry, created_at_ms: 0, memory }
}

pub(super) fn placed(shard: &str, number: u64) -> Placement {
    let sequence_number = SequenceNumber::parse(&number.to_string()).expect("digits");
    Placement { shard_id: shard.into(), sequence_number }
}

/// What came of an acknowledgement, and the tickets of the changes that it brought.
pub(super) fn acknowledge(
    lanes: &mut Lanes,
    lane: LaneId,
    placement: Placement,
    now: MonoTime,
) -> Option<(Acknowledged, Vec<Ticket>)> {
    let mut tickets = vec![];
    let done = lanes.acknowledged(lane, placement, now, |change| tickets.push(change.ticket))?;
    Some((done, tickets))
}

/// The tickets of an acknowledged record.
fn tickets(lanes: &mut Lanes, lane: LaneId, placement: Placement, now: MonoTime) -> Vec<Ticket> {
    acknowledge(lanes, lane, placement, now).expect("known").1
}

/// A call is under way, and nothing is known to come.
pub(super) const BUSY: Outlook = Outlook { calls_under_way: true, more_until: None };

pub(super) const IDLE: Outlook = Outlook { calls_under_way: false, more_until: None };

fn keys(batch: &Batch) -> Vec<&str> {
    batch.entries.iter().map(PutEntry::partition_key).collect()
}

/// How many records a batch holds.
fn len(batch: Batch) -> usize {
    batch.entries.len()
}

/// Lanes with these changes of shard 1, each one byte, tickets counting from 0.
fn lanes_with(all: &[&str]) -> Lanes {
    let mut lanes = Lanes::new(Packing::NONE, REMEMBERED);
    for (ticket, key) in all.iter().enumerate() {
        lanes.push(1, change(ticket as u64, key, 1), at(0));
    }
    lanes
}

#[test]
fn a_batch_never_holds_a_lane_twice_and_a_lane_has_one_record_in_flight() {
    let mut lanes = lanes_with(&["a", "a", "b"]);
    let batch = lanes.take_batch(at(10), &LIMITS, IDLE).expect("lingered");
    assert_eq!(keys(&batch), ["a", "b"]);
    assert_eq!(lanes.take_batch(at(1_000), &LIMITS, IDLE).map(len), None);
    assert_eq!(batch.sent[0].shard, 1);
    assert_eq!(tickets(&mut lanes, batch.sent[0].lane, placed("s", 1), at(10)), [0]);
    // Its successor has waited long enough already.
    let next = lanes.take_batch(at(10), &LIMITS, IDLE).expect("due at once");
    assert_eq!((keys(&next), next.sent[0].lane), (vec!["a"], batch.sent[0].lane));
}

#[test]
fn a_batch_is_due_when_full_or_when_its_oldest_has_lingered() {
    let mut lanes = lanes_with(&["a", "b"]);
    assert!(lanes.take_batch(at(9), &LIMITS, BUSY).is_none());
    assert_eq!(lanes.next_due(&LIMITS, BUSY), Some(at(10)));
    lanes.push(1, change(2, "c", 1), at(9));
    assert_eq!(lanes.take_batch(at(9), &LIMITS, BUSY).expect("three are full").entries.len(), 3);
    assert_eq!(lanes.next_due(&LIMITS, BUSY), None);
}

#[test]
fn bytes_end_a_batch_and_a_larger_record_travels_alone() {
    let mut lanes = Lanes::new(Packing::NONE, REMEMBERED);
    lanes.push(1, change(0, "big", 500), at(0));
    lanes.push(1, change(1, "b", 60), at(0));
    lanes.push(1, change(2, "c", 60), at(0));
    let sizes: Vec<usize> =
        (0..3).map(|_| lanes.take_batch(at(10), &LIMITS, IDLE).expect("due").entries.len()).collect();
    assert_eq!(sizes, [1, 1, 1]);
}

#[test]
fn bytes_fill_a_batch_to_the_last_and_what_is_left_waits() {
    let mut lanes = Lanes::new(Packing::NONE, REMEMBERED);
    lanes.push(1, change(0, "a", 59), at(0));
    lanes.push(1, change(1, "b", 39), at(0));
    lanes.push(1, change(2, "c", 1), at(0));
    assert_eq!(keys(&lanes.take_batch(at(0), &LIMITS, BUSY).expect("more than full")), ["a", "b"]);
    assert!(lanes.take_batch(at(9), &LIMITS, BUSY).is_none());
}

#[test]
fn a_dropped_shards_bytes_fill_no_batch() {
    let mut lanes = Lanes::new(Packing::NONE, REMEMBERED);
    lanes.push(1, change(0, "a", 80), at(0));
    lanes.drop_shard(1);
    // With its key, one byte short of a full batch.
    lanes.push(2, change(0, "b", 98), at(0));
    assert!(lanes.take_batch(at(9), &LIMITS, BUSY).is_none());
    assert_eq!(keys(&lanes.take_batch(at(10), &LIMITS, BUSY).expect("lingered")), ["b"]);
}

#[test]
fn a_failed_head_is_sent_again_before_anything_behind_it() {
    let mut lanes = lanes_with(&["a", "a", "b"]);
    let batch = lanes.take_batch(at(10), &LIMITS, IDLE).expect("due");
    acknowledge(&mut lanes, batch.sent[1].lane, placed("s", 1), at(20));
    lanes.failed(batch.sent[0].lane, at(20), 0);
    assert!(lanes.take_batch(at(20), &LIMITS, IDLE).is_none());
    let due = lanes.next_due(&LIMITS, IDLE).expect("a delay");
    assert_eq!(due, at(45));
    let again = lanes.take_batch(due, &LIMITS, IDLE).expect("due again");
    assert_eq!(again.sent[0].lane, batch.sent[0].lane);
    assert_eq!(tickets(&mut lanes, again.sent[0].lane, placed("s", 2), at(20)), [0]);
}

#[test]
fn delays_grow_and_start_over_after_a_success() {
    let mut lanes = lanes_with(&["a", "a"]);
    let mut delays = vec![];
    let mut now = at(10);
    for _ in 0..3 {
        let batch = lanes.take_batch(now, &LIMITS, IDLE).expect("due");
        lanes.failed(batch.sent[0].lane, now, 0);
        let due = lanes.next_due(&LIMITS, IDLE).expect("a delay");
        delays.push(due.since(now).as_millis());
        now = due;
    }
    let batch = lanes.take_batch(now, &LIMITS, IDLE).expect("due");
    acknowledge(&mut lanes, batch.sent[0].lane, placed("s", 1), at(20));
    let batch = lanes.take_batch(now, &LIMITS, IDLE).expect("due");
    lanes.failed(batch.sent[0].lane, now, 0);
    delays.push(lanes.next_due(&LIMITS, IDLE).expect("a delay").since(now).as_millis());
    assert_eq!(delays, [25, 50, 100, 25]);
}

#[test]
fn a_record_that_was_not_sent_may_go_at_once() {
    let mut lanes = lanes_with(&["a", "a"]);
    let lane = lanes.take_batch(at(10), &LIMITS, IDLE).expect("due").sent[0].lane;
    lanes.unsent(lane, at(10));
    assert_eq!(lanes.take_batch(at(10), &LIMITS, IDLE).expect("due").sent[0].lane, lane);
    assert_eq!(tickets(&mut lanes, lane, placed("s", 1), at(10)), [0]);
    // Its shard is gone meanwhile.
    lanes.take_batch(at(10), &LIMITS, IDLE).expect("due");
    lanes.drop_shard(1);
    lanes.unsent(lane, at(10));
    assert_eq!((lanes.next_due(&LIMITS, IDLE), lanes.queued()), (None, 0));
}

#[test]
fn a_replaced_head_goes_again_at_once_with_its_other_data() {
    let mut lanes = Lanes::new(Packing::NONE, REMEMBERED);
    lanes.push(1, change(0, "a", 150), at(0));
    lanes.push(1, change(1, "a", 1), at(0));
    let lane = lanes.take_batch(at(10), &LIMITS, IDLE).expect("due").sent[0].lane;
    lanes.replace_head(lane, &[1; 7], at(10));
    let again = lanes.take_batch(at(10), &LIMITS, IDLE).expect("due");
    assert_eq!((again.sent[0].lane, again.entries[0].data()), (lane, [1; 7].as_slice()));
    assert_eq!(tickets(&mut lanes, lane, placed("s", 1), at(20)), [0]);
}

#[test]
fn an_acknowledgement_before_the_lanes_last_one_is_an_inversion() {
    let mut lanes = lanes_with(&["a", "a", "a"]);
    let lane = lanes.take_batch(at(10), &LIMITS, IDLE).expect("due").sent[0].lane;
    assert!(!acknowledge(&mut lanes, lane, placed("s", 5), at(10)).expect("known").0.inverted);
    lanes.take_batch(at(10), &LIMITS, IDLE).expect("due");
    // Another Kinesis shard (after a reshard) cannot be compared.
    assert!(!acknowledge(&mut lanes, lane, placed("t", 4), at(10)).expect("known").0.inverted);
    lanes.take_batch(at(10), &LIMITS, IDLE).expect("due");
    assert!(acknowledge(&mut lanes, lane, placed("t", 3), at(10)).expect("known").0.inverted);
    // The lane is empty now, and still remembers.
    lanes.push(1, change(3, "a", 1), at(10));
    lanes.take_batch(at(30), &LIMITS, IDLE).expect("due");
    assert!(acknowledge(&mut lanes, lane, placed("t", 2), at(10)).expect("known").0.inverted);
}

#[test]
fn of_too_many_empty_lanes_the_longest_empty_is_forgotten() {
    const ALL: BatchLimits =
        BatchLimits { max_records: usize::MAX, max_bytes: usize::MAX, linger: Duration::ZERO };
    let mut lanes = lanes_with(&["a", "b"]);
    let batch = lanes.take_batch(at(0), &ALL, BUSY).expect("due");
    acknowledge(&mut lanes, batch.sent[1].lane, placed("s", 10), at(20));
    acknowledge(&mut lanes, batch.sent[0].lane, placed("s", 10), at(20));
    for lane in 1..REMEMBERED {
        lanes.push(1, change(0, &lane.to_string(), 1), at(0));
    }
    for sent in lanes.take_batch(at(0), &ALL, BUSY).expect("due").sent {
        acknowledge(&mut lanes, sent.lane, placed("s", 10), at(20));
    }
    let mut is_inverted = |key: &str| {
        lanes.push(1, change(0, key, 1), at(0));
        let lane = lanes.take_batch(at(0), &ALL, BUSY).expect("due").sent[0].lane;
        acknowledge(&mut lanes, lane, placed("s", 1), at(20)).expect("known").0.inverted
    };
    assert_eq!((is_inverted("a"), is_inverted("b")), (true, false));
}

/// Two keys of one MD5, found in public by others. Who writes items may choose them.
#[test]
fn keys_of_one_hash_keep_their_own_order() {
    const A: &str = "TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak";
    const B: &str = "TEXTCOLLBYfGiJUETHQ4hEcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak";
    assert_eq!(Md5::digest(A), Md5::digest(B));
    const ALL: BatchLimits = BatchLimits { max_bytes: 10_000, ..LIMITS };
    let mut lanes = Lanes::new(Packing::up_to(1_000), REMEMBERED);
    lanes.push(1, change(0, A, 1), at(0));
    lanes.push(1, change(1, B, 1), at(0));
    lanes.push(1, change(2, B, 1), at(0));
    let batch = lanes.take_batch(at(0), &ALL, IDLE).expect("due");
    assert_eq!(keys(&batch), [A, B], "no record holds changes of two keys");
    // A's lane is empty from here on, and B has a record in flight: its next change stays behind that.
    assert_eq!(tickets(&mut lanes, batch.sent[0].lane, placed("s", 1), at(1)), [0]);
    lanes.push(1, change(3, B, 1), at(1));
    assert!(lanes.take_batch(at(1), &ALL, IDLE).is_none(), "P2: B's next waits for B's record");
    assert_eq!(tickets(&mut lanes, batch.sent[1].lane, placed("s", 2), at(2)), [1, 2]);
    let next = lanes.take_batch(at(2), &ALL, IDLE).expect("due");
    assert_eq!((keys(&next), next.sent[0].lane), (vec![B], batch.sent[1].lane));
    assert_eq!(tickets(&mut lanes, next.sent[0].lane, placed("s", 3), at(2)), [3]);
    // With nothing waiting, an empty lane of that hash serves either.
    lanes.push(1, change(4, A, 1), at(3));
    let again = lanes.take_batch(at(3), &ALL, IDLE).expect("due").sent[0].lane;
    assert!(batch.sent.iter().any(|sent| sent.lane == again));
}

#[test]
fn a_dropped_shard_leaves_the_others_alone() {
    let mut lanes = lanes_with(&["a", "b"]);
    lanes.push(2, change(0, "a", 1), at(0));
    let batch = lanes.take_batch(at(10), &LIMITS, BUSY).expect("due");
    lanes.drop_shard(1);
    assert_eq!(lanes.queued(), 1);
    assert!(acknowledge(&mut lanes, batch.sent[0].lane, placed("s", 1), at(20)).is_none());
    assert_eq!(batch.sent[2].shard, 2);
    assert_eq!(tickets(&mut lanes, batch.sent[2].lane, placed("s", 2), at(20)), [0]);
}

#[test]
fn a_halted_shard_sends_nothing_but_hears_what_is_in_flight() {
    let mut lanes = lanes_with(&["a", "a", "b", "c", "d"]);
    let batch = lanes.take_batch(at(10), &LIMITS, BUSY).expect("due");
    lanes.halt_shard(1);
    assert_eq!(lanes.queued(), 3);
    assert_eq!(tickets(&mut lanes, batch.sent[0].lane, placed("s", 1), at(20)), [0]);
    assert!(lanes.take_batch(at(1_000), &LIMITS, BUSY).is_none());
}

/// So many target shards of one size, named for how many they are.
pub(super) fn map(count: u128) -> Vec<TargetShard> {
    let width = u128::MAX / count;
    let shard = |n: u128| TargetShard {
        id: format!("{n} of {count}").into(),
        first_hash: n * width + u128::from(n > 0),
        last_hash: if n + 1 == count { u128::MAX } else { (n + 1) * width },
    };
    (0..count).map(shard).collect()
}

#[test]
fn a_batch_that_is_not_full_goes_at_once_when_no_call_is_under_way() {
    let mut lanes = lanes_with(&["a"]);
    assert_eq!(lanes.next_due(&LIMITS, IDLE), Some(at(0)));
    assert!(lanes.take_batch(at(0), &LIMITS, IDLE).is_some());
}

#[test]
fn the_wait_counts_from_when_a_head_could_go_not_from_its_arrival() {
    let mut lanes = lanes_with(&["a", "a"]);
    let lane = lanes.take_batch(at(10), &LIMITS, BUSY).expect("due").sent[0].lane;
    acknowledge(&mut lanes, lane, placed("s", 1), at(50));
    assert!(lanes.take_batch(at(59), &LIMITS, BUSY).is_none());
    assert_eq!(lanes.next_due(&LIMITS, BUSY), Some(at(60)));
    assert!(lanes.take_batch(at(60), &LIMITS, BUSY).is_some());
}

#[test]
fn while_more_is_on_its_way_a_batch_waits_to_be_full() {
    let more = |until| Outlook { calls_under_way: false, more_until: Some(at(until)) };
    let mut lanes = lanes_with(&["a", "b"]);
    assert_eq!(lanes.next_due(&LIMITS, more(100)), Some(at(100)));
    assert_eq!(lanes.next_due(&LIMITS, more(10_000)), Some(at(0) + MORE_WITHIN));
    assert!(lanes.take_batch(at(99), &LIMITS, more(100)).is_none());
    lanes.push(1, change(2, "c", 1), at(99));
    assert_eq!(lanes.take_batch(at(99), &LIMITS, more(100)).map(len), Some(3));
}

#[test]
fn a_deep_lane_waits_for_no_fuller_batch() {
    let more = Outlook { calls_under_way: false, more_until: Some(at(100)) };
    for keys in [["a", "b", "a", "a", "a"], ["b", "a", "a", "a", "a"]] {
        let mut lanes = lanes_with(&keys);
        let batch = lanes.take_batch(at(0), &LIMITS, more).expect("a has four");
        for sent in batch.sent {
            acknowledge(&mut lanes, sent.lane, placed("s", 1), at(20));
        }
        assert!(lanes.take_batch(at(20), &LIMITS, more).is_none(), "three are left");
    }
}

#[test]
fn a_target_shard_at_its_limit_holds_back_only_its_own_keys() {
    let mut lanes = Lanes::new(Packing::NONE, REMEMBERED);
    lanes.map(map(2), at(0)).expect("a map");
    // By their MD5: `a` (0c…) is of the first half, `b` (92…) of the second.
    for (ticket, key) in ["a", "b", "a", "b"].into_iter().enumerate() {
        lanes.push(1, change(ticket as u64, key, 1), at(0));
    }
    let batch = lanes.take_batch(at(10), &LIMITS, BUSY).expect("due");
    assert_eq!(keys(&batch), ["a", "b"]);
    lanes.throttled(batch.sent[0].lane, at(20), 0);
    assert!(
        !acknowledge(&mut lanes, batch.sent[1].lane, placed("1 of 2", 1), at(20)).expect("known").0.strayed
    );
    assert_eq!(keys(&lanes.take_batch(at(30), &LIMITS, BUSY).expect("b goes on")), ["b"]);
    assert_eq!(lanes.held(), (1, 4));
    assert!(lanes.next_due(&LIMITS, BUSY).is_some_and(|due| due > at(65) && due < at(72)));
    assert!(lanes.take_batch(at(65), &LIMITS, IDLE).is_none());
    let again = lanes.take_batch(at(72), &LIMITS, IDLE).expect("its turn");
    assert_eq!(keys(&again), ["a"]);
    assert_eq!(lanes.held(), (0, 0));
    assert_eq!(tickets(&mut lanes, again.sent[0].lane, placed("0 of 2", 1), at(80)), [0]);
}

#[test]
fn without_a_map_a_throttled_head_waits_for_itself() {
    let mut lanes = lanes_with(&["a"]);
    let lane = lanes.take_batch(at(10), &LIMITS, BUSY).expect("due").sent[0].lane;
    lanes.throttled(lane, at(20), 0);
    assert_eq!((lanes.held(), lanes.next_due(&LIMITS, BUSY)), ((0, 0), Some(at(45))));
    lanes.take_batch(at(45), &LIMITS, IDLE).expect("due again");
    assert!(acknowledge(&mut lanes, lane, placed("s", 1), at(50)).expect("known").0.strayed);
}

#[test]
fn what_was_held_finds_its_shard_in_a_new_map() {
    let mut lanes = Lanes::new(Packing::NONE, REMEMBERED);
    lanes.map(map(1), at(0)).expect("a map");
    lanes.push(1, change(0, "a", 1), at(0));
    let lane = lanes.take_batch(at(10), &LIMITS, BUSY).expect("due").sent[0].lane;
    lanes.throttled(lane, at(20), 0);
    lanes.push(1, change(1, "b", 1), at(20));
    assert_eq!((lanes.held(), lanes.take_batch(at(30), &LIMITS, BUSY).map(len)), ((1, 4), None));
    lanes.map(map(2), at(30)).expect("a map");
    assert_eq!((lanes.held(), lanes.take_batch(at(40), &LIMITS, BUSY).map(len)), ((0, 0), Some(2)));
}

#[test]
fn a_shard_that_is_dropped_leaves_nothing_held() {
    let mut lanes = Lanes::new(Packing::NONE, REMEMBERED);
    lanes.map(map(1), at(0)).expect("a map");
    lanes.push(1, change(0, "a", 1), at(0));
    lanes.push(2, change(0, "b", 1), at(0));
    for sent in lanes.take_batch(at(10), &LIMITS, BUSY).expect("due").sent {
        lanes.throttled(sent.lane, at(20), 0);
    }
    lanes.push(1, change(1, "c", 1), at(20));
    lanes.drop_shard(1);
    assert_eq!((lanes.held(), lanes.queued()), ((1, 2), 1));
    lanes.halt_shard(2);
    assert_eq!((lanes.held(), lanes.next_due(&LIMITS, BUSY)), ((0, 0), None));
}
