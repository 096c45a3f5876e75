use super::*;
use crate::lease::testing::{fresh_row, stream_row};
use crate::stream::source::{ListedShard, StreamStatus};

const ORDERED: u64 = 1_000;
const UNTIL: u64 = 2_000;

fn number(n: u64) -> SequenceNumber {
    SequenceNumber::parse(&n.to_string()).expect("digits")
}

fn key(shard: &str) -> ShardKey {
    ShardKey::new("L1", &ShardId::new(shard))
}

fn row(parent: Option<&str>, checkpoint: Option<u64>) -> ShardRow {
    ShardRow {
        owner: Some("w".into()),
        incarnation: Some("1".into()),
        epoch: 4,
        revision: 9,
        checkpoint: checkpoint.map(number),
        parents: parent.map(ShardId::new).into_iter().collect(),
        parents_finished: true,
        last_change_at_ms: checkpoint.map(|n| n * 10),
        ..fresh_row()
    }
}

fn finished(parent: Option<&str>, checkpoint: Option<u64>) -> FinishedRow {
    FinishedRow {
        checkpoint: checkpoint.map(number),
        finished_at_ms: 5,
        parents: parent.map(ShardId::new).into_iter().collect(),
        gaps: vec![],
        epoch: 7,
    }
}

fn order(to: Option<Target>) -> Order {
    Order { shard: None, to, mark: None, adopt: false }
}

fn after(n: u64) -> Option<Target> {
    Some(Target::After(number(n)))
}

fn rewind(order: Order) -> Rewind {
    Rewind { order, ordered_at_ms: ORDERED, until_ms: UNTIL, is_reset: false }
}

fn ours(table: &str) -> StoredEnds {
    StoredEnds { table_arn: table.into(), sink_arn: "s".into(), partition_key: "partition_key".into() }
}

/// Shards `p` (finished, 11–19) → `c` (finished, 21–29) → `g` (open, from 31, at 35), and `o` (open, from 1, at 33).
fn view(order: Order) -> View {
    View {
        stream: StreamRow { discovery_epoch: 2, revision: 3, rewind: Some(rewind(order)), ..stream_row() },
        shards: BTreeMap::from([(key("g"), row(Some("c"), Some(35))), (key("o"), row(None, Some(33)))]),
        finished: BTreeMap::from([
            (key("p"), finished(None, Some(19))),
            (key("c"), finished(Some("p"), Some(29))),
        ]),
    }
}

fn listings() -> Listings {
    let shard = |id: &str, parent: Option<&str>, starting: u64, ending: Option<u64>| {
        let id = ShardId::new(id);
        let parent = parent.map(ShardId::new);
        let starting = Some(number(starting));
        (id.clone(), ListedShard { id, parent, starting, ending: ending.map(number) })
    };
    let shards = BTreeMap::from([
        shard("p", None, 11, Some(20)),
        shard("c", Some("p"), 21, Some(30)),
        shard("g", Some("c"), 31, None),
        shard("o", None, 1, None),
    ]);
    let listing = Listing::Shards { status: StreamStatus::Enabled, shards, served_at_ms: None };
    Listings::from([("L1".to_owned(), listing)])
}

/// Does what a step says.
fn apply(view: &mut View, step: Step) {
    match step {
        Step::Replace { key, seen, next } => {
            assert_eq!(view.shards.insert(key, *next.clone()), Some(*seen.clone()));
            assert_eq!(next.revision, seen.revision + 1);
        }
        Step::Revive { key, next } => {
            assert!(view.finished.remove(&key).is_some());
            assert!(view.shards.insert(key, *next).is_none());
        }
        Step::Remove { key, seen } => assert_eq!(view.shards.remove(&key), Some(*seen)),
        Step::RemoveFinished { key } => assert!(view.finished.remove(&key).is_some()),
    }
}

/// Carries the order out and gives the groups of shards in which that happened.
fn carry_out(view: &mut View, ours: &StoredEnds, listings: &Listings) -> Vec<String> {
    let (mut groups, mut listed) = (Vec::new(), None);
    loop {
        assert!(groups.len() < 100, "steps without end: {groups:?}");
        match next(view, ours, listed) {
            Next::Freeze(steps) => {
                groups.push(format!("freeze {}", names(&steps)));
                steps.into_iter().for_each(|step| apply(view, step));
            }
            Next::List => listed = Some(listings),
            Next::Steps(steps) => {
                groups.push(names(&steps));
                steps.into_iter().for_each(|step| apply(view, step));
            }
            Next::Stream(row) => {
                assert_eq!(row.revision, view.stream.revision + 1);
                groups.push("stream".to_owned());
                view.stream = *row;
            }
            Next::Done => return groups,
        }
    }
}

fn names(steps: &[Step]) -> String {
    let name = |step: &Step| match step {
        Step::Replace { key, .. } => key.shard.to_string(),
        Step::Revive { key, .. } => format!("+{}", key.shard),
        Step::Remove { key, .. } => format!("-{}", key.shard),
        Step::RemoveFinished { key } => format!("-{}", key.shard),
    };
    steps.iter().map(name).collect::<Vec<_>>().join(" ")
}

fn checkpoints(view: &View) -> Vec<(String, Option<u64>)> {
    let read = |row: &ShardRow| row.checkpoint.as_ref().map(|n| n.as_str().parse().expect("small"));
    view.shards.iter().map(|(key, row)| (key.shard.to_string(), read(row))).collect()
}

#[test]
fn all_of_it_from_the_oldest_on_parents_first() {
    let mut view = view(order(Some(Target::TrimHorizon)));
    let groups = carry_out(&mut view, &ours("t"), &listings());
    let expected = ["freeze g o", "o +p", "+c", "g", "stream", "o p", "c", "g", "stream"];
    assert_eq!(groups, expected);
    assert!(view.finished.is_empty());
    for (key, row) in &view.shards {
        assert_eq!((&row.checkpoint, row.state, row.owner()), (&None, ShardState::Active, None), "{key}");
        // Only what has no parent, or whose parent is not read again, may be read at once.
        assert_eq!(row.parents_finished, row.parents.is_empty(), "{key}");
    }
    assert_eq!((view.shards[&key("g")].epoch, view.shards[&key("c")].epoch), (5, 8));
    assert_eq!((view.stream.rewind.clone(), view.stream.discovery_owner.clone()), (None, None));
}

#[test]
fn a_sequence_number_leaves_what_ended_before_it() {
    let mut back = view(order(after(25)));
    let groups = carry_out(&mut back, &ours("t"), &listings());
    assert_eq!(groups, ["freeze g o", "o", "+c", "g", "stream", "o", "c", "g", "stream"]);
    let expected = [("c", Some(25)), ("g", None), ("o", Some(25))];
    assert_eq!(checkpoints(&back), expected.map(|(name, n)| (name.to_owned(), n)));
    assert!(back.shards[&key("c")].parents_finished, "its parent stays finished");
    assert!(!back.shards[&key("g")].parents_finished);

    let mut ahead = view(order(after(34)));
    carry_out(&mut ahead, &ours("t"), &listings());
    // Only g is beyond it; o is behind and stays.
    let expected = [("g", Some(34)), ("o", Some(33))];
    assert_eq!(checkpoints(&ahead), expected.map(|(name, n)| (name.to_owned(), n)));
    assert_eq!(
        (ahead.shards[&key("o")].replay.clone(), ahead.shards[&key("o")].last_change_at_ms),
        (None, Some(330))
    );
}

/// A shard whose end lies exactly there is done; one that holds nothing behind it too.
#[test]
fn a_sequence_number_at_a_shards_end() {
    for (n, moved) in [(19, "o +c g"), (20, "o +c g"), (18, "o +p +c g"), (29, "o g"), (30, "o g")] {
        let view = view(order(after(n)));
        let order = &view.stream.rewind.as_ref().expect("set").order;
        let moved_now: BTreeSet<String> = moves(&view, order, &listings())
            .iter()
            .map(|m| format!("{}{}", if m.was_finished { "+" } else { "" }, m.key.shard))
            .collect();
        assert_eq!(moved_now, moved.split(' ').map(str::to_owned).collect(), "{n}");
    }
}

#[test]
fn one_shard_and_its_descendants_and_later_streams() {
    let named = Order { shard: Some(ShardId::new("c")), ..order(Some(Target::TrimHorizon)) };
    let mut view = view(named);
    view.stream.streams = vec![
        StreamEntry { label: "L1".into(), drained: true },
        StreamEntry { label: "L2".into(), drained: false },
    ];
    view.shards.insert(ShardKey::new("L2", &ShardId::new("later")), row(None, Some(50)));
    let groups = carry_out(&mut view, &ours("t"), &listings());
    assert_eq!(groups, ["freeze g later", "+c", "g", "later", "stream", "c", "g", "later", "stream"]);
    assert_eq!(view.shards[&key("o")], row(None, Some(33)), "not concerned, not touched");
    assert!(view.finished.contains_key(&key("p")));
    assert!(!view.stream.streams[0].drained, "something of it is to be read again");
}

#[test]
fn what_is_not_listed_stays_finished_and_unfinished_ones_go_back() {
    let mut view = view(order(Some(Target::TrimHorizon)));
    carry_out(&mut view, &ours("t"), &Listings::new());
    assert_eq!(view.finished.len(), 2);
    let expected = [("g", None), ("o", None)];
    assert_eq!(checkpoints(&view), expected.map(|(name, n)| (name.to_owned(), n)));
    assert!(view.shards[&key("g")].parents_finished, "its parent stays finished");
}

/// A young child may have a row before a listing shows it; what is not behind anything stays.
#[test]
fn an_unlisted_shard_begins_anew_only_behind_one_that_does() {
    let mut view = view(order(after(25)));
    let mut listings = listings();
    if let Some(Listing::Shards { shards, .. }) = listings.get_mut("L1") {
        shards.remove(&ShardId::new("g"));
        shards.remove(&ShardId::new("o"));
    }
    if let Some(Listing::Shards { status, .. }) = listings.get_mut("L1") {
        *status = StreamStatus::Disabled;
    }
    carry_out(&mut view, &ours("t"), &listings);
    let expected = [("c", Some(25)), ("g", None), ("o", Some(33))];
    assert_eq!(checkpoints(&view), expected.map(|(name, n)| (name.to_owned(), n)));
}

#[test]
fn a_replay_knows_its_mark_and_what_was_carried() {
    let mark = "again".parse().ok();
    let mut view = view(Order { mark: mark.clone(), ..order(Some(Target::TrimHorizon)) });
    carry_out(&mut view, &ours("t"), &listings());
    let replay = |shard: &str| view.shards[&key(shard)].replay.clone().expect("it goes back");
    let of = |carried| Replay { mark: mark.clone(), until_ms: UNTIL, carried_until_ms: carried };
    assert_eq!((replay("g"), replay("p")), (of(Some(350)), of(Some(ORDERED))));

    // A second one, ordered while the first has not come far, still knows.
    let second = Rewind { ordered_at_ms: 3_000, until_ms: 4_000, ..rewind(order(Some(Target::TrimHorizon))) };
    view.stream.rewind = Some(second);
    if let Some(row) = view.shards.get_mut(&key("g")) {
        (row.checkpoint, row.last_change_at_ms) = (Some(number(31)), Some(310));
    }
    carry_out(&mut view, &ours("t"), &listings());
    let replay = view.shards[&key("g")].replay.clone().expect("it goes back");
    assert_eq!(replay, Replay { mark: None, until_ms: 4_000, carried_until_ms: Some(350) });
}

/// Whatever part of the steps was taken, a new run comes to the same end.
#[test]
fn broken_off_anywhere_it_comes_to_the_same_end() {
    for to in [Some(Target::TrimHorizon), after(25), None] {
        let mut expected = view(order(to.clone()));
        carry_out(&mut expected, &ours("t"), &listings());
        for steps_taken in 0..20 {
            let (mut view, listings) = (view(order(to.clone())), listings());
            let mut left = steps_taken;
            while left > 0 {
                let steps = match next(&view, &ours("t"), Some(&listings)) {
                    Next::Freeze(steps) | Next::Steps(steps) => steps,
                    Next::Stream(row) => {
                        view.stream = *row;
                        left -= 1;
                        continue;
                    }
                    Next::List | Next::Done => break,
                };
                // The last first: a group may be taken in any order.
                for step in steps.into_iter().rev().take(left) {
                    apply(&mut view, step);
                    left -= 1;
                }
            }
            carry_out(&mut view, &ours("t"), &listings);
            assert_eq!(view.shards, expected.shards, "{to:?} after {steps_taken}");
            assert_eq!((view.finished, view.stream), (expected.finished.clone(), expected.stream.clone()));
        }
    }
}

#[test]
fn another_sink_keeps_positions_and_takes_the_leases_away() {
    let mut view = view(Order { adopt: true, ..order(None) });
    let ours = StoredEnds { sink_arn: "other".into(), partition_key: "item_key".into(), ..ours("t") };
    let groups = carry_out(&mut view, &ours, &Listings::new());
    assert_eq!(groups, ["freeze g o", "stream", "o", "g", "stream"]);
    assert_eq!((view.stream.sink_arn.as_str(), view.stream.partition_key.as_str()), ("other", "item_key"));
    for (row, checkpoint) in [(&view.shards[&key("g")], 35), (&view.shards[&key("o")], 33)] {
        assert_eq!((row.checkpoint.clone(), row.epoch, row.owner()), (Some(number(checkpoint)), 5, None));
        assert_eq!((row.last_change_at_ms, row.replay.clone()), (Some(checkpoint * 10), None));
    }
    assert_eq!(view.finished.len(), 2);
}

#[test]
fn another_table_starts_anew() {
    let mut view = view(Order { adopt: true, ..order(None) });
    let groups = carry_out(&mut view, &ours("other"), &Listings::new());
    assert_eq!(groups, ["freeze g o", "-g -o -c -p", "stream"]);
    assert!(view.shards.is_empty() && view.finished.is_empty());
    let StreamRow { table_arn, streams, initialized, rewind, .. } = view.stream;
    assert_eq!((table_arn.as_str(), streams.len(), initialized, rewind), ("other", 0, false, None));
}

#[test]
fn without_an_order_nothing_is_done() {
    let mut view = view(order(None));
    view.stream.rewind = None;
    assert_eq!(next(&view, &ours("other"), None), Next::Done);
}

/// Rows edited by hand must not make it think for ever.
#[test]
fn a_circle_of_parents_comes_to_an_end() {
    let mut view = view(order(Some(Target::TrimHorizon)));
    for (shard, parent) in [("g", "o"), ("o", "g")] {
        view.shards.insert(key(shard), row(Some(parent), Some(35)));
    }
    carry_out(&mut view, &ours("t"), &listings());
    assert!(view.stream.rewind.is_none());
}
