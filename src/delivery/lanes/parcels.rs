//! Tests of what one record carries of a lane.

use super::tests::{IDLE, REMEMBERED, acknowledge, at, change, map, placed};
use super::*;

const LIMITS: BatchLimits =
    BatchLimits { max_records: 10, max_bytes: 1_000, linger: Duration::from_millis(10) };
/// Room for five changes of 40 bytes.
const PACKING: Packing = Packing::up_to(260);

/// Lanes with so many changes of 40 bytes of one key, sent as far as they go: the batch holds the first record.
fn in_flight(changes: u64) -> (Lanes, Batch) {
    let mut lanes = Lanes::new(PACKING, REMEMBERED);
    for ticket in 0..changes {
        lanes.push(1, change(ticket, "a", 40), at(0));
    }
    let batch = lanes.take_batch(at(0), &LIMITS, IDLE).expect("due");
    (lanes, batch)
}

#[test]
fn a_record_carries_as_many_as_fit_and_the_rest_follow() {
    let (mut lanes, batch) = in_flight(12);
    let lane = batch.sent[0].lane;
    assert_eq!((batch.sent[0].changes, batch.bytes), (5, batch.entries[0].size_bytes()));
    assert!(batch.bytes <= 260);
    assert!(lanes.take_batch(at(1_000), &LIMITS, IDLE).is_none(), "P2: one record of a lane in flight");
    // What comes meanwhile is not of the record in flight.
    lanes.push(1, change(12, "a", 40), at(0));
    let (_, tickets) = acknowledge(&mut lanes, lane, placed("s", 1), at(1_000)).expect("known");
    assert_eq!(tickets, [0, 1, 2, 3, 4]);
    let next = lanes.take_batch(at(1_000), &LIMITS, IDLE).expect("due");
    assert_eq!((next.sent[0].changes, lanes.queued()), (5, 8));
}

#[test]
fn what_comes_while_a_record_waits_joins_it() {
    let mut lanes = Lanes::new(PACKING, REMEMBERED);
    let busy = Outlook { calls_under_way: true, more_until: None };
    for ticket in 0..3 {
        lanes.push(1, change(ticket, "a", 40), at(ticket));
    }
    lanes.push(1, change(3, "b", 40), at(3));
    assert!(lanes.take_batch(at(9), &LIMITS, busy).is_none());
    let batch = lanes.take_batch(at(10), &LIMITS, busy).expect("lingered");
    let changes: Vec<usize> = batch.sent.iter().map(|sent| sent.changes).collect();
    assert_eq!((changes, lanes.ready()), (vec![3, 1], (0, 0)));
    assert_eq!(batch.bytes, batch.entries.iter().map(|entry| entry.size_bytes()).sum::<usize>());
}

#[test]
fn a_record_that_failed_may_carry_more_the_next_time() {
    let mut lanes = Lanes::new(PACKING, REMEMBERED);
    lanes.push(1, change(0, "a", 40), at(0));
    let lane = lanes.take_batch(at(0), &LIMITS, IDLE).expect("due").sent[0].lane;
    lanes.push(1, change(1, "a", 40), at(0));
    lanes.failed(lane, at(0), 0);
    let again = lanes.take_batch(at(25), &LIMITS, IDLE).expect("due again");
    assert_eq!(again.sent[0].changes, 2);
    let (_, tickets) = acknowledge(&mut lanes, lane, placed("s", 1), at(30)).expect("known");
    assert_eq!((tickets, lanes.queued()), (vec![0, 1], 0));
}

#[test]
fn a_halted_shard_hears_of_every_change_in_flight() {
    let (mut lanes, batch) = in_flight(12);
    lanes.halt_shard(1);
    assert_eq!(lanes.queued(), 5);
    // Its call fails: they go again, and no more.
    lanes.failed(batch.sent[0].lane, at(0), 0);
    let again = lanes.take_batch(at(25), &LIMITS, IDLE).expect("due again");
    assert_eq!(again.sent[0].changes, 5);
    let (_, tickets) = acknowledge(&mut lanes, batch.sent[0].lane, placed("s", 1), at(30)).expect("known");
    assert_eq!((tickets, lanes.queued()), (vec![0, 1, 2, 3, 4], 0));
    assert!(lanes.take_batch(at(1_000), &LIMITS, IDLE).is_none());
}

#[test]
fn what_is_taken_apart_goes_one_by_one_and_is_packed_again_behind_it() {
    let (mut lanes, batch) = in_flight(12);
    let lane = batch.sent[0].lane;
    assert!(lanes.taken_apart(lane, at(0)));
    let mut sizes = vec![];
    for number in 1..8 {
        let sent = lanes.take_batch(at(0), &LIMITS, IDLE).expect("due").sent[0];
        sizes.push(sent.changes);
        acknowledge(&mut lanes, lane, placed("s", number), at(0)).expect("known");
    }
    assert_eq!((sizes, lanes.queued()), (vec![1, 1, 1, 1, 1, 5, 2], 0));
    // A change alone is not to be taken apart, nor what is gone.
    lanes.push(1, change(12, "a", 40), at(0));
    lanes.take_batch(at(0), &LIMITS, IDLE).expect("due");
    assert!(!lanes.taken_apart(lane, at(0)));
    lanes.drop_shard(1);
    assert!(lanes.taken_apart(lane, at(0)));
}

#[test]
fn a_target_shards_pace_counts_the_whole_record() {
    let mut lanes = Lanes::new(Packing::up_to(100_000), REMEMBERED);
    lanes.map(map(1), at(0)).expect("a map");
    for key in ["a", "b"] {
        for ticket in 0..10 {
            lanes.push(1, change(ticket, key, 9_000), at(0));
        }
    }
    let limits = BatchLimits { max_bytes: 1 << 20, ..LIMITS };
    let batch = lanes.take_batch(at(0), &limits, IDLE).expect("due");
    // A tenth of the shard's second is taken, and no more.
    acknowledge(&mut lanes, batch.sent[0].lane, placed("0 of 1", 1), at(10)).expect("known");
    lanes.throttled(batch.sent[1].lane, at(10), 0);
    assert_eq!(lanes.held().0, 1);
    let opens = lanes.next_due(&limits, IDLE).expect("it opens");
    let again = lanes.take_batch(opens, &limits, IDLE).expect("its turn");
    assert_eq!((again.sent[0].changes, again.sent.len()), (10, 1));
    // It went at a rate of about 90 KB a second, and is paid for.
    acknowledge(&mut lanes, again.sent[0].lane, placed("0 of 1", 2), opens).expect("known");
    lanes.push(1, change(10, "b", 9_000), opens);
    assert_eq!(lanes.held().0, 1, "the next waits");
    let waits = lanes.next_due(&limits, IDLE).expect("it opens").since(opens);
    assert!(waits >= Duration::from_millis(450), "{waits:?}");
}
