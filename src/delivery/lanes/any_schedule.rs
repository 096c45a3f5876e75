//! Lanes beside a plain model of them, under schedules drawn by chance.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::tests::{IDLE, LIMITS, REMEMBERED, acknowledge, at, change, map, placed};
use super::*;
use crate::delivery::aggregate::apart::unpacked;

#[derive(Debug, Clone)]
enum Step {
    Push { shard: u64, key: u8 },
    Send { idle: bool, more: bool },
    Acknowledge { which: usize },
    Fail { which: usize, random: u64 },
    Throttle { which: usize, random: u64 },
    Refuse { which: usize },
    Drop { shard: u64 },
    Map { shards: u128 },
    Pass { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..3u64, 0..4u8).prop_map(|(shard, key)| Step::Push { shard, key }),
        6 => any::<(bool, bool)>().prop_map(|(idle, more)| Step::Send { idle, more }),
        6 => any::<usize>().prop_map(|which| Step::Acknowledge { which }),
        2 => (any::<usize>(), any::<u64>()).prop_map(|(which, random)| Step::Fail { which, random }),
        2 => (any::<usize>(), any::<u64>()).prop_map(|(which, random)| Step::Throttle { which, random }),
        1 => any::<usize>().prop_map(|which| Step::Refuse { which }),
        1 => (1..3u64).prop_map(|shard| Step::Drop { shard }),
        1 => (1..4u128).prop_map(|shards| Step::Map { shards }),
        4 => (0..40u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

/// Lanes beside what is expected of them.
struct Model {
    lanes: Lanes,
    now: MonoTime,
    in_flight: Vec<(Sent, String)>,
    /// The tickets that each lane has still to acknowledge.
    expected: BTreeMap<(u64, String), VecDeque<u64>>,
    /// How many of each lane's first changes go one by one.
    singly: BTreeMap<(u64, String), usize>,
    /// Of all records sent, the most changes that one carried.
    most: usize,
    number: u64,
}

impl Model {
    fn send(&mut self, outlook: Outlook) -> usize {
        let batch = self.lanes.take_batch(self.now, &LIMITS, outlook).unwrap_or_default();
        for (sent, entry) in batch.sent.iter().zip(&batch.entries) {
            assert!(self.in_flight.iter().all(|(other, _)| other.lane != sent.lane), "P2: a lane twice");
            let lane = (sent.shard, entry.partition_key().to_owned());
            let singly = self.singly.get(&lane).copied().unwrap_or(0);
            assert!(singly == 0 || sent.changes == 1, "{singly} changes are to go one by one");
            assert!(sent.changes == 1 || entry.size_bytes() <= AGGREGATE_BYTES);
            self.most = self.most.max(sent.changes);
            // Each change's data is its ticket: the lane's first ones, in their order.
            let carried = unpacked(entry.partition_key(), entry.data()).expect("an aggregate");
            let carried = carried.iter().map(|data| ticket_in(data));
            assert!(carried.eq(self.expected[&lane].iter().copied().take(sent.changes)));
            self.in_flight.push((*sent, entry.partition_key().to_owned()));
        }
        batch.sent.len()
    }

    fn take(&mut self, which: usize) -> Option<(Sent, String)> {
        (!self.in_flight.is_empty()).then(|| self.in_flight.remove(which % self.in_flight.len()))
    }

    fn acknowledge(&mut self, (sent, key): &(Sent, String)) {
        self.number += 1;
        let lane = (sent.shard, key.clone());
        let (done, tickets) =
            acknowledge(&mut self.lanes, sent.lane, placed("s", self.number), self.now).expect("known");
        let expected = self.expected.get_mut(&lane).expect("a lane");
        assert!(tickets.iter().copied().eq(expected.drain(..sent.changes)));
        assert!(!done.inverted);
        let singly = self.singly.entry(lane).or_default();
        *singly = singly.saturating_sub(sent.changes);
    }

    fn step(&mut self, ticket: u64, step: Step) {
        match step {
            Step::Push { shard, key } => {
                let key = format!("k{key}");
                let mut change = change(ticket, &key, 0);
                change.entry = PutEntry::new(&key, format!("{ticket:05}").as_bytes());
                self.lanes.push(shard, change, self.now);
                self.expected.entry((shard, key)).or_default().push_back(ticket);
            }
            Step::Send { idle, more } => {
                let more_until = more.then(|| self.now + Duration::from_millis(20));
                self.send(Outlook { calls_under_way: !idle, more_until });
            }
            Step::Acknowledge { which } => {
                if let Some(one) = self.take(which) {
                    self.acknowledge(&one);
                }
            }
            Step::Fail { which, random } => {
                if let Some((sent, _)) = self.take(which) {
                    self.lanes.failed(sent.lane, self.now, random);
                }
            }
            Step::Throttle { which, random } => {
                if let Some((sent, _)) = self.take(which) {
                    self.lanes.throttled(sent.lane, self.now, random);
                }
            }
            Step::Refuse { which } => {
                if let Some((sent, key)) = self.take(which) {
                    let is_aggregate = self.lanes.taken_apart(sent.lane, self.now);
                    assert_eq!(is_aggregate, sent.changes > 1);
                    if is_aggregate {
                        self.singly.insert((sent.shard, key), sent.changes);
                    } else {
                        self.lanes.unsent(sent.lane, self.now);
                    }
                }
            }
            Step::Drop { shard } => {
                self.lanes.drop_shard(shard);
                self.expected.retain(|(of, _), _| *of != shard);
                self.singly.retain(|(of, _), _| *of != shard);
                // Answers that are still to come find no lane.
                let (theirs, others): (Vec<_>, Vec<_>) =
                    self.in_flight.drain(..).partition(|(sent, _)| sent.shard == shard);
                self.in_flight = others;
                for (sent, _) in theirs {
                    assert!(acknowledge(&mut self.lanes, sent.lane, placed("s", 1), self.now).is_none());
                    assert!(self.lanes.taken_apart(sent.lane, self.now));
                    self.lanes.failed(sent.lane, self.now, 0);
                    self.lanes.throttled(sent.lane, self.now, 0);
                }
            }
            Step::Map { shards } => self.lanes.map(map(shards), self.now).expect("a map"),
            Step::Pass { ms } => self.now = self.now + Duration::from_millis(ms),
        }
    }
}

/// Room for three of a lane's changes, of four; [`LIMITS`] has room for one such record in a call.
const AGGREGATE_BYTES: usize = 4 + 16 + 4 + 3 * 11 + 2;

fn ticket_in(data: &[u8]) -> u64 {
    std::str::from_utf8(data).expect("text").parse().expect("a ticket")
}

/// Goes through the steps, and then on until nothing waits. Gives the most changes that one record carried.
fn run(packing: Packing, steps: Vec<Step>) -> usize {
    let mut model = Model {
        lanes: Lanes::new(packing, REMEMBERED),
        now: at(0),
        in_flight: vec![],
        expected: BTreeMap::new(),
        singly: BTreeMap::new(),
        most: 0,
        number: 0,
    };
    for (ticket, step) in (0..).zip(steps) {
        model.step(ticket, step);
        let queued: usize = model.expected.values().map(VecDeque::len).sum();
        assert_eq!(model.lanes.queued(), queued);
    }
    while let Some(one) = model.take(0) {
        model.acknowledge(&one);
    }
    while let Some(due) = model.lanes.next_due(&LIMITS, IDLE) {
        model.now = model.now.max(due);
        // A delay that is over may end in the wait for a target shard.
        let is_sent = model.send(IDLE) > 0;
        assert!(is_sent || model.lanes.next_due(&LIMITS, IDLE) > Some(due), "nothing is sent when it is due");
        while let Some(one) = model.take(0) {
            model.acknowledge(&one);
        }
    }
    assert_eq!((model.lanes.queued(), model.lanes.held()), (0, (0, 0)));
    assert!(model.expected.values().all(VecDeque::is_empty));
    assert_eq!((model.lanes.ready_bytes, model.lanes.ready_deep), (0, 0));
    model.most
}

proptest! {
    /// P2 under any schedule: one record of a lane in flight, acknowledged in the order pushed, none lost, whichever
    /// target shards hold some back and whenever they change; each change a record, or as many as fit.
    #[test]
    fn lanes_keep_order_under_any_schedule(steps in prop::collection::vec(step(), 1..200)) {
        prop_assert!(run(Packing::NONE, steps.clone()) <= 1);
        prop_assert!(run(Packing::up_to(AGGREGATE_BYTES), steps) <= 3);
    }
}
