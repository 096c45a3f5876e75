//! Lanes beside a plain model of them, under schedules drawn by chance.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::tests::{IDLE, LIMITS, at, change, map, placed};
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Push { shard: u64, key: u8 },
    Send { idle: bool, more: bool },
    Acknowledge { which: usize },
    Fail { which: usize, random: u64 },
    Throttle { which: usize, random: u64 },
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
    number: u64,
}

impl Model {
    fn send(&mut self, outlook: Outlook) -> usize {
        let batch = self.lanes.take_batch(self.now, &LIMITS, outlook).unwrap_or_default();
        for (sent, entry) in batch.sent.iter().zip(&batch.entries) {
            assert!(self.in_flight.iter().all(|(other, _)| other.lane != sent.lane), "P2: a lane twice");
            self.in_flight.push((*sent, entry.partition_key.to_string()));
        }
        batch.sent.len()
    }

    fn take(&mut self, which: usize) -> Option<(Sent, String)> {
        (!self.in_flight.is_empty()).then(|| self.in_flight.remove(which % self.in_flight.len()))
    }

    fn acknowledge(&mut self, (sent, key): &(Sent, String)) {
        self.number += 1;
        let done = self.lanes.acknowledged(sent.lane, placed("s", self.number), self.now);
        let tickets = self.expected.get_mut(&(sent.shard, key.clone()));
        assert_eq!(done.as_ref().map(|done| done.ticket), tickets.and_then(VecDeque::pop_front));
        assert!(done.is_none_or(|done| !done.inverted));
    }

    fn step(&mut self, ticket: u64, step: Step) {
        match step {
            Step::Push { shard, key } => {
                let key = format!("k{key}");
                self.lanes.push(shard, change(ticket, &key, 5), self.now);
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
            Step::Drop { shard } => {
                self.lanes.drop_shard(shard);
                self.expected.retain(|(of, _), _| *of != shard);
                // Answers that are still to come find no lane.
                let (theirs, others): (Vec<_>, Vec<_>) =
                    self.in_flight.drain(..).partition(|(sent, _)| sent.shard == shard);
                self.in_flight = others;
                for (sent, _) in theirs {
                    assert!(self.lanes.acknowledged(sent.lane, placed("s", 1), self.now).is_none());
                    self.lanes.failed(sent.lane, self.now, 0);
                    self.lanes.throttled(sent.lane, self.now, 0);
                }
            }
            Step::Map { shards } => self.lanes.map(map(shards), self.now).expect("a map"),
            Step::Pass { ms } => self.now = self.now + Duration::from_millis(ms),
        }
    }
}

proptest! {
    /// P2 under any schedule: one record of a lane in flight, acknowledged in the order pushed, none lost, whichever
    /// target shards hold some back and whenever they change.
    #[test]
    fn lanes_keep_order_under_any_schedule(steps in prop::collection::vec(step(), 1..200)) {
        let (now, in_flight, expected) = (at(0), vec![], BTreeMap::new());
        let mut model = Model { lanes: Lanes::new(), now, in_flight, expected, number: 0 };
        for (ticket, step) in (0..).zip(steps) {
            model.step(ticket, step);
            let queued: usize = model.expected.values().map(VecDeque::len).sum();
            prop_assert_eq!(model.lanes.queued(), queued);
        }
        while let Some(one) = model.take(0) {
            model.acknowledge(&one);
        }
        while let Some(due) = model.lanes.next_due(&LIMITS, IDLE) {
            model.now = model.now.max(due);
            // A delay that is over may end in the wait for a target shard.
            let is_sent = model.send(IDLE) > 0;
            prop_assert!(is_sent || model.lanes.next_due(&LIMITS, IDLE) > Some(due), "nothing is sent when it is due");
            while let Some(one) = model.take(0) {
                model.acknowledge(&one);
            }
        }
        prop_assert_eq!((model.lanes.queued(), model.lanes.held()), (0, (0, 0)));
        prop_assert!(model.expected.values().all(VecDeque::is_empty));
        prop_assert_eq!((model.lanes.ready_bytes, model.lanes.ready_deep), (0, 0));
    }
}
