//! The oracle itself: it accepts a good history and rejects bad ones, hand-made, one for each rule.

use crate::history::{Entry, Event, Gap, Lease, Place, Session};
use crate::oracle::{Oracle, Rule, Violation};

const PARENT: &str = "t:1#p";
const CHILD: &str = "t:1#c";

/// Judges events, a second apart, by what is lost at the end too.
fn judge(events: Vec<Event>) -> Result<(), Violation> {
    let mut oracle = Oracle::default();
    for (second, event) in (1..).zip(events) {
        oracle.see(&Entry { at_ms: second * 1_000, who: "w/0".into(), event })?;
    }
    oracle.lost()
}

fn rule(events: Vec<Event>) -> Option<Rule> {
    judge(events).err().map(|violation| violation.rule)
}

fn opened(shard: &str, parent: Option<&str>) -> Event {
    Event::Opened { shard: shard.into(), parent: parent.map(Into::into) }
}

fn written(shard: &str, seq: u128, item: &str) -> Event {
    Event::Written { shard: shard.into(), seq, item: item.into() }
}

fn place(number: u128) -> Place {
    Place { shard: "k-0".into(), number }
}

fn stored(shard: &str, seq: u128, item: &str) -> Event {
    Event::Stored { shard: shard.into(), seq, item: item.into(), place: place(seq), inverted: false }
}

fn session(incarnation: &str) -> Event {
    let id = incarnation.split('/').next().unwrap_or_default().to_owned();
    let (owner, serves) = (incarnation.to_owned(), vec!["t".to_owned()]);
    Event::Session { id, row: Some(Session { owner, counter: 1, serves, draining: false }) }
}

fn lease(owner: &str, epoch: u64, revision: u64, checkpoint: Option<u128>) -> Event {
    let row = Lease { owner: Some(owner.into()), offered: false, epoch, revision, checkpoint, gaps: vec![] };
    Event::Lease { shard: PARENT.into(), row: Some(row) }
}

fn finished(shard: &str, checkpoint: Option<u128>) -> Event {
    Event::Finished { shard: shard.into(), checkpoint, gaps: vec![] }
}

fn put(records: &[(&str, u128)]) -> Event {
    let records = records.iter().map(|(key, seq)| (PARENT.into(), (*key).into(), *seq)).collect();
    Event::Put { sink: "k".into(), records }
}

fn read(shard: &str) -> Event {
    Event::Read { shard: shard.into(), first: None, count: 0 }
}

/// A parent with two changes of one item, and the session that reads it.
fn begun() -> Vec<Event> {
    let initialized = Event::Stream { table: "t".into(), initialized: true, gaps: vec![] };
    let shard = opened(PARENT, None);
    vec![
        initialized,
        session("w/a"),
        shard,
        written(PARENT, 1, "i"),
        written(PARENT, 2, "i"),
        lease("w/a", 1, 1, None),
    ]
}

fn after_begun(events: Vec<Event>) -> Option<Rule> {
    rule(begun().into_iter().chain(events).collect())
}

#[test]
fn a_good_history_is_accepted() {
    let closed = Event::Closed { shard: PARENT.into() };
    let good = vec![
        put(&[("k", 1)]),
        stored(PARENT, 1, "i"),
        stored(PARENT, 1, "i"),
        put(&[("k", 2)]),
        stored(PARENT, 2, "i"),
        lease("w/a", 1, 2, Some(2)),
        closed,
        opened(CHILD, Some(PARENT)),
        written(CHILD, 3, "i"),
        finished(PARENT, Some(2)),
        read(CHILD),
        stored(CHILD, 3, "i"),
    ];
    assert_eq!(after_begun(good), None);
}

#[test]
fn a_change_that_never_arrives_is_a_loss() {
    assert_eq!(after_begun(vec![stored(PARENT, 1, "i")]), Some(Rule::Loss));
}

#[test]
fn a_checkpoint_ahead_of_kinesis_is_a_loss() {
    assert_eq!(after_begun(vec![lease("w/a", 1, 2, Some(1))]), Some(Rule::Loss));
    let behind_a_hole = vec![stored(PARENT, 2, "j"), lease("w/a", 1, 2, Some(2))];
    assert_eq!(after_begun(behind_a_hole), Some(Rule::Loss));
}

#[test]
fn finishing_a_shard_too_early_is_a_loss() {
    let closed = Event::Closed { shard: PARENT.into() };
    assert_eq!(
        after_begun(vec![closed, stored(PARENT, 1, "i"), finished(PARENT, Some(1))]),
        Some(Rule::Loss)
    );
    let open = vec![stored(PARENT, 1, "i"), stored(PARENT, 2, "i"), finished(PARENT, Some(2))];
    assert_eq!(after_begun(open), Some(Rule::Loss));
}

#[test]
fn what_retention_took_must_be_noted() {
    let trimmed = || Event::Trimmed { shard: PARENT.into(), through: 2 };
    assert_eq!(after_begun(vec![trimmed()]), Some(Rule::Loss));
    let row = Lease {
        owner: Some("w/a".into()),
        offered: false,
        epoch: 1,
        revision: 2,
        checkpoint: None,
        gaps: vec![Gap { from: None, to: None }],
    };
    let noted = || Event::Lease { shard: PARENT.into(), row: Some(row.clone()) };
    assert_eq!(after_begun(vec![trimmed(), noted()]), None);
    assert_eq!(after_begun(vec![noted()]), Some(Rule::FalseGap));
}

#[test]
fn what_a_gap_gave_up_may_still_arrive() {
    let trimmed = Event::Trimmed { shard: PARENT.into(), through: 1 };
    let gaps = vec![Gap { from: None, to: Some(2) }];
    let row =
        Lease { owner: Some("w/a".into()), offered: false, epoch: 1, revision: 2, checkpoint: None, gaps };
    let noted = Event::Lease { shard: PARENT.into(), row: Some(row) };
    let late = || [stored(PARENT, 2, "i"), stored(PARENT, 1, "i")];
    assert_eq!(after_begun([trimmed.clone(), noted].into_iter().chain(late()).collect()), None);
    assert_eq!(after_begun([trimmed].into_iter().chain(late()).collect()), Some(Rule::Order));
}

#[test]
fn a_later_change_first_is_out_of_order() {
    assert_eq!(after_begun(vec![stored(PARENT, 2, "i"), stored(PARENT, 1, "i")]), Some(Rule::Order));
}

#[test]
fn a_lane_twice_in_one_call_is_rejected() {
    assert_eq!(after_begun(vec![put(&[("k", 1), ("k", 2)])]), Some(Rule::LaneTwice));
}

#[test]
fn a_child_before_its_parent_breaks_the_lineage() {
    let child = || vec![opened(CHILD, Some(PARENT)), written(CHILD, 3, "j")];
    let reading = child().into_iter().chain([read(CHILD)]).collect();
    assert_eq!(after_begun(reading), Some(Rule::Lineage));
    let delivering = child().into_iter().chain([stored(PARENT, 1, "i"), stored(CHILD, 3, "j")]).collect();
    assert_eq!(after_begun(delivering), Some(Rule::Lineage));
}

#[test]
fn a_later_stream_before_an_earlier_one_breaks_the_lineage() {
    let later = vec![opened("t:2#x", None), written("t:2#x", 3, "j"), stored("t:2#x", 3, "j")];
    assert_eq!(after_begun(later), Some(Rule::Lineage));
}

#[test]
fn a_checkpoint_moved_by_another_breaks_the_fence() {
    let mut oracle = Oracle::default();
    let seen = begun()
        .into_iter()
        .chain([stored(PARENT, 1, "i")])
        .try_for_each(|event| oracle.see(&Entry { at_ms: 1_000, who: "w/0".into(), event }));
    assert_eq!(seen, Ok(()));
    let other = Entry { at_ms: 2_000, who: "x/1".into(), event: lease("w/a", 1, 2, Some(1)) };
    assert_eq!(oracle.see(&other).err().map(|violation| violation.rule), Some(Rule::Fencing));
}

#[test]
fn two_owners_of_one_epoch_break_the_fence() {
    let gone = Event::Session { id: "w".into(), row: None };
    let two = vec![gone, session("x/b"), lease("x/b", 1, 2, None)];
    assert_eq!(after_begun(two), Some(Rule::Fencing));
}

/// What the oracle says when that process writes the lease of "w/a" as another's.
fn taken_by(who: &str) -> Option<Rule> {
    let mut oracle = Oracle::default();
    let see =
        |oracle: &mut Oracle, who: &str, event| oracle.see(&Entry { at_ms: 1_000, who: who.into(), event });
    for event in begun() {
        see(&mut oracle, "w/0", event).expect("a good beginning");
    }
    see(&mut oracle, "x/1", session("x/b")).expect("another joins");
    see(&mut oracle, who, lease("x/b", 2, 2, None)).err().map(|violation| violation.rule)
}

#[test]
fn taking_from_the_living_breaks_the_fence() {
    assert_eq!(taken_by("x/1"), Some(Rule::Fencing));
    assert_eq!(taken_by("w/0"), None, "the owner itself may hand it over");
}

#[test]
fn sending_without_a_session_breaks_the_fence() {
    let gone = Event::Session { id: "w".into(), row: None };
    assert_eq!(after_begun(vec![gone, put(&[("k", 1)])]), Some(Rule::Fencing));
}

#[test]
fn sending_without_the_lease_breaks_the_fence() {
    let row = Lease { owner: None, offered: false, epoch: 1, revision: 2, checkpoint: None, gaps: vec![] };
    let released = Event::Lease { shard: PARENT.into(), row: Some(row) };
    assert_eq!(after_begun(vec![released, put(&[("k", 1)])]), Some(Rule::Fencing));
}

fn inverted(number: u128) -> Event {
    Event::Stored { shard: PARENT.into(), seq: 2, item: "i".into(), place: place(number), inverted: true }
}

fn answered(number: u128) -> Event {
    Event::Acknowledged { records: vec![(PARENT.into(), "k".into(), place(number))] }
}

/// What the oracle says of the counts once both changes were delivered, the second at that place.
fn counts(second: u128, counted: Option<u64>) -> Option<Rule> {
    let mut events = vec![stored(PARENT, 1, "i"), answered(1_000)];
    events.extend([if second < 1_000 { inverted(second) } else { stored(PARENT, 2, "i") }, answered(second)]);
    events.extend(counted.map(|counted| Event::Inversions { counted }));
    let mut oracle = Oracle::default();
    let verdict = (1..).zip(begun().into_iter().chain(events)).try_for_each(|(second, event)| {
        oracle.see(&Entry { at_ms: second * 1_000, who: "w/0".into(), event })
    });
    verdict.and_then(|()| oracle.inversions.all_counted()).err().map(|violation| violation.rule)
}

#[test]
fn an_inversion_must_be_counted_and_nothing_else() {
    assert_eq!(counts(2_000, None), None);
    assert_eq!(counts(900, Some(1)), None);
    assert_eq!(counts(900, None), Some(Rule::Inversions));
    assert_eq!(counts(900, Some(2)), Some(Rule::Inversions));
    assert_eq!(counts(2_000, Some(1)), Some(Rule::Inversions));
}

fn ordered(after: Option<u128>) -> Event {
    Event::Ordered { shard: PARENT.into(), key: "k".into(), after }
}

#[test]
fn a_strict_put_names_the_lanes_last_record() {
    let good = || vec![ordered(None), stored(PARENT, 1, "i"), answered(1_000)];
    let and = |more: Vec<Event>| after_begun(good().into_iter().chain(more).collect());
    let delivered = || stored(PARENT, 2, "i");
    assert_eq!(and(vec![ordered(Some(1_000)), delivered()]), None);
    assert_eq!(and(vec![ordered(Some(1_000)), ordered(None), delivered()]), None, "its number was refused");
    assert_eq!(and(vec![ordered(None), delivered()]), Some(Rule::Numbers));
    assert_eq!(and(vec![ordered(Some(900)), delivered()]), Some(Rule::Numbers));
    assert_eq!(after_begun(vec![ordered(Some(1_000))]), Some(Rule::Numbers));
}

#[test]
fn what_a_filter_leaves_out_is_neither_owed_nor_wanted() {
    let judged = |events: Vec<Event>| {
        let mut oracle = Oracle::default();
        oracle.left_out = 2;
        for (second, event) in (1..).zip(events) {
            oracle.see(&Entry { at_ms: second * 1_000, who: "w/0".into(), event })?;
        }
        oracle.lost()
    };
    let rule = |events| judged(events).err().map(|violation: Violation| violation.rule);
    let begun = || vec![opened(PARENT, None), written(PARENT, 11, "i"), written(PARENT, 12, "i")];
    let and = |more: Vec<Event>| rule(begun().into_iter().chain(more).collect());
    assert_eq!(and(vec![stored(PARENT, 12, "i")]), None);
    assert_eq!(and(vec![]), Some(Rule::Loss));
    assert_eq!(and(vec![stored(PARENT, 12, "i"), stored(PARENT, 11, "i")]), Some(Rule::Unwanted));
}

#[test]
fn too_much_memory_is_rejected() {
    assert_eq!(after_begun(vec![Event::Memory { used: 11, limit: 10 }]), Some(Rule::Memory));
}

#[test]
fn nothing_moves_back() {
    let delivered = || vec![stored(PARENT, 1, "i"), stored(PARENT, 2, "i"), lease("w/a", 1, 2, Some(2))];
    for back in [
        lease("w/a", 1, 3, Some(1)),
        lease("w/a", 1, 3, None),
        lease("w/a", 1, 2, Some(2)),
        lease("w/a", 0, 3, Some(2)),
    ] {
        let events = delivered().into_iter().chain([back]).collect();
        assert_eq!(after_begun(events), Some(Rule::Backwards));
    }
}

#[test]
fn a_finished_shard_is_never_begun_anew() {
    let done = || {
        let closed = Event::Closed { shard: PARENT.into() };
        let deleted = Event::Lease { shard: PARENT.into(), row: None };
        let delivered = [stored(PARENT, 1, "i"), stored(PARENT, 2, "i"), closed];
        delivered.into_iter().chain([deleted, finished(PARENT, Some(2))])
    };
    assert_eq!(after_begun(done().collect()), None);
    assert_eq!(after_begun(done().chain([lease("w/a", 1, 1, None)]).collect()), Some(Rule::Backwards));
    let forgotten = Event::Forgotten { shard: PARENT.into() };
    assert_eq!(after_begun(done().chain([forgotten]).collect()), Some(Rule::Backwards));
}

#[test]
fn leases_left_by_those_who_stopped_in_order_are_rejected() {
    let mut oracle = Oracle::default();
    for event in begun() {
        let seen = oracle.see(&Entry { at_ms: 1_000, who: "w/0".into(), event });
        assert_eq!(seen, Ok(()));
    }
    let rule = oracle.all_released(120_000).err().map(|violation| violation.rule);
    assert_eq!(rule, Some(Rule::Fencing));
}

#[test]
fn not_settling_in_time_is_rejected() {
    let waiting = (0..400).map(|_| Event::Note("still waiting".into()));
    let events = std::iter::once(Event::FaultsOver).chain(waiting);
    assert_eq!(after_begun(events.collect()), Some(Rule::Liveness));
}

#[test]
fn a_panic_and_a_row_that_does_not_read_are_rejected() {
    assert_eq!(after_begun(vec![Event::Panicked("oh".into())]), Some(Rule::Panic));
    assert_eq!(after_begun(vec![Event::Unreadable("a row".into())]), Some(Rule::BadRow));
}

#[test]
fn a_lease_given_to_one_who_does_not_serve_it_is_rejected() {
    let owner = "x/b".to_owned();
    let row = Session { owner, counter: 1, serves: vec!["other".into()], draining: false };
    let joined = Event::Session { id: "x".into(), row: Some(row) };
    assert_eq!(after_begun(vec![joined, lease("x/b", 2, 2, None)]), Some(Rule::Share));
}

#[test]
fn a_lease_only_offered_is_not_to_be_sent_for() {
    let row = |owner: &str, offered, epoch| {
        let owner = Some(owner.to_owned());
        let row = Lease { owner, offered, epoch, revision: epoch, checkpoint: None, gaps: vec![] };
        Event::Lease { shard: PARENT.into(), row: Some(row) }
    };
    // By its own hand: the owner offers it to itself anew.
    assert_eq!(after_begun(vec![row("w/a", true, 2), put(&[("k", 1)])]), Some(Rule::Fencing));
    assert_eq!(
        after_begun(vec![row("w/a", true, 2), row("w/a", false, 3), put(&[("k", 1)])]),
        Some(Rule::Loss)
    );
}

/// Two workers, one of which has both leases: what the oracle waits for, and what it says of a move once all is well.
#[test]
fn shares_must_be_even_and_then_stay() {
    let see =
        |oracle: &mut Oracle, who: &str, event| oracle.see(&Entry { at_ms: 1_000, who: who.into(), event });
    let of = |shard: &str, owner: &str, epoch| {
        let owner = Some(owner.to_owned());
        let row = Lease { owner, offered: false, epoch, revision: epoch, checkpoint: None, gaps: vec![] };
        Event::Lease { shard: shard.into(), row: Some(row) }
    };
    let mut oracle = Oracle::default();
    for (who, id) in [("w/0", "w/a"), ("x/1", "x/b")] {
        see(&mut oracle, who, Event::Process { runs: true, how: String::new() }).expect("a start");
        see(&mut oracle, who, session(id)).expect("a session");
    }
    for shard in [PARENT, "t:1#other"] {
        see(&mut oracle, "w/0", opened(shard, None)).expect("a shard");
        see(&mut oracle, "w/0", of(shard, "w/a", 1)).expect("a lease");
    }
    assert!(oracle.unsettled().expect("uneven").contains("has 2 leases"));
    see(&mut oracle, "w/0", of(PARENT, "x/b", 2)).expect("handed over by its owner");
    assert_eq!(oracle.unsettled(), None);
    oracle.at_rest = true;
    let back = see(&mut oracle, "x/1", of(PARENT, "w/a", 3));
    assert_eq!(back.err().map(|violation| violation.rule), Some(Rule::Share));
}
