use super::*;
use crate::lease::order::{Order, Rewind, Target};
use crate::lease::row::{BadRow, ShardState, StreamEntry};
use crate::lease::testing::{fresh_row, stream_row};

fn owner(id: &str) -> Owner {
    Owner { id: id.into(), incarnation: "1".into() }
}

fn entry(label: &str, shard: &str, owner: Option<&str>, parent: Option<&str>) -> ShardEntry {
    let row = ShardRow {
        owner: owner.map(str::to_owned),
        incarnation: owner.map(|_| "1".to_owned()),
        epoch: 1,
        revision: 1,
        parents: parent.map(ShardId::new).into_iter().collect(),
        ..fresh_row()
    };
    (ShardKey::new(label, &ShardId::new(shard)), Ok(row))
}

fn offered(shard: &str, to: &str) -> ShardEntry {
    let (key, mut row) = entry("L1", shard, Some(to), None);
    if let Ok(row) = &mut row {
        row.offered = true;
    }
    (key, row)
}

fn stream(labels: &[(&str, bool)]) -> StreamRow {
    let streams =
        labels.iter().map(|(label, drained)| StreamEntry { label: (*label).into(), drained: *drained });
    StreamRow { streams: streams.collect(), ..stream_row() }
}

/// One pipeline, as "me" sees it: which sessions exist, who may be given leases, and what is being done with its own.
struct Sight {
    living: Vec<&'static str>,
    members: Vec<&'static str>,
    stream: StreamRow,
    shards: Vec<ShardEntry>,
    /// What "me" runs and may hand over.
    running: Vec<&'static str>,
    stuck: Vec<&'static str>,
    /// What "me" is handing over to "other".
    handing: Vec<&'static str>,
    overdue: Vec<&'static str>,
}

impl Sight {
    fn of(shards: Vec<ShardEntry>) -> Self {
        Sight {
            living: vec!["me", "other"],
            members: vec!["me"],
            stream: stream(&[("L1", false)]),
            shards,
            running: vec![],
            stuck: vec![],
            handing: vec![],
            overdue: vec![],
        }
    }

    fn plan(&self) -> Plan {
        let peer = |id: &&str| Peer { owner: owner(id), serves: BTreeSet::from([0]), elsewhere: 0 };
        let peers: Vec<Peer> = self.members.iter().map(peer).collect();
        let living = self.living.iter().map(|id| owner(id)).collect();
        let doing = |(_, key): &Lease| match key.shard.as_str() {
            shard if self.running.contains(&shard) => Doing::Running { movable: true },
            shard if self.stuck.contains(&shard) => Doing::Running { movable: false },
            shard if self.handing.contains(&shard) => Doing::HandingOver(owner("other")),
            _ => Doing::Nothing,
        };
        let is_overdue = |(_, key): &Lease, _: u64| self.overdue.contains(&key.shard.as_str());
        let (me, doing, is_overdue) = (&owner("me"), &doing, &is_overdue);
        let observer = Observer { me, living: &living, peers: &peers, doing, is_overdue };
        plan(&observer, &[Leases { stream: Some(&self.stream), shards: &self.shards }])
    }

    fn taken(&self) -> Vec<String> {
        self.plan().takes.into_iter().map(|(_, candidate)| candidate.key.shard.to_string()).collect()
    }

    fn given(&self) -> Vec<(String, String)> {
        self.plan().gives.into_iter().map(|((_, key), to)| (key.shard.to_string(), to.id)).collect()
    }
}

#[test]
fn from_nobody_and_the_dead_and_from_oneself_when_not_running() {
    let mut sight = Sight::of(vec![
        entry("L1", "free", None, None),
        entry("L1", "running", Some("me"), None),
        entry("L1", "forgotten", Some("me"), None),
        entry("L1", "held", Some("other"), None),
        entry("L1", "dead", Some("gone"), None),
    ]);
    sight.running = vec!["running"];
    let mut taken = sight.taken();
    taken.sort();
    assert_eq!(taken, ["dead", "forgotten", "free"]);
}

#[test]
fn a_child_waits_while_its_parent_has_a_row_even_one_that_does_not_read() {
    let mut sight = Sight::of(vec![entry("L1", "p", Some("other"), None), entry("L1", "c", None, Some("p"))]);
    assert!(sight.taken().is_empty());
    sight.shards[0].1 = Err(BadRow { pk: String::new(), sk: String::new(), cause: String::new() });
    assert!(sight.taken().is_empty());
}

#[test]
fn a_parent_without_a_row_must_be_asked_for_unless_it_is_known_to_be_finished() {
    let mut sight = Sight::of(vec![entry("L1", "c", None, Some("p"))]);
    assert_eq!(sight.plan().takes[0].1.parents, Parents::Ask(vec![ShardId::new("p")]));
    if let Ok(row) = &mut sight.shards[0].1 {
        row.parents_finished = true;
    }
    assert_eq!(sight.plan().takes[0].1.parents, Parents::Finished);
}

#[test]
fn a_later_stream_waits_for_the_earlier_one() {
    let mut sight = Sight::of(vec![entry("L1", "a", None, None), entry("L2", "b", None, None)]);
    sight.stream = stream(&[("L1", false), ("L2", false)]);
    assert_eq!(sight.taken(), ["a"]);
    // A shard that was listed only after its stream was drained is still read: late, but not lost.
    sight.stream = stream(&[("L1", true), ("L2", false)]);
    assert_eq!(sight.taken(), ["a", "b"]);
}

#[test]
fn nothing_is_taken_while_a_rewind_is_under_way_and_nothing_frozen_ever() {
    let mut sight = Sight::of(vec![entry("L1", "a", None, None), entry("L1", "b", None, None)]);
    if let Ok(row) = &mut sight.shards[0].1 {
        row.state = ShardState::Frozen;
    }
    assert_eq!(sight.taken(), ["b"]);
    let order = Order { shard: None, to: Some(Target::TrimHorizon), mark: None, adopt: false };
    sight.stream.rewind = Some(Rewind { order, ordered_at_ms: 1, until_ms: 2, is_reset: true });
    assert_eq!(sight.plan().takes, []);
    assert_eq!(sight.plan().assigned.len(), 2, "they are counted");
}

#[test]
fn nothing_is_read_before_the_first_listing_is_stored() {
    let mut sight = Sight::of(vec![entry("L1", "a", None, None)]);
    sight.stream.initialized = false;
    assert_eq!(sight.plan(), Plan::default());
}

#[test]
fn free_leases_are_shared_out_and_those_of_others_waited_for() {
    let free = |shard| entry("L1", shard, None, None);
    let mut sight = Sight::of(vec![free("a"), free("b"), free("c"), free("d")]);
    sight.members = vec!["me", "other"];
    assert_eq!(sight.taken(), ["a", "b"]);
    let waiting: Vec<_> = sight.plan().waiting.into_iter().map(|one| one.lease.1.shard.to_string()).collect();
    assert_eq!(waiting, ["c", "d"]);
    // Left for too long, whoever can takes them.
    sight.overdue = vec!["d"];
    assert_eq!(sight.taken(), ["a", "b", "d"]);
}

#[test]
fn what_is_more_than_ones_share_is_handed_over_youngest_first() {
    let mine = |shard| entry("L1", shard, Some("me"), None);
    let mut sight = Sight::of(vec![mine("a"), mine("b"), mine("c"), mine("d")]);
    sight.running = vec!["a", "b", "c", "d"];
    assert_eq!(sight.given(), []);
    sight.members = vec!["me", "other"];
    let to_other = |shard: &str| (shard.to_owned(), "other".to_owned());
    assert_eq!(sight.given(), [to_other("c"), to_other("d")]);
    // What cannot move just now stays, and others go in its place.
    (sight.running, sight.stuck) = (vec!["a", "b", "c"], vec!["d"]);
    assert_eq!(sight.given(), [to_other("b"), to_other("c")]);
}

#[test]
fn what_is_being_handed_over_counts_as_its_targets() {
    let mine = |shard| entry("L1", shard, Some("me"), None);
    let mut sight = Sight::of(vec![mine("a"), mine("b"), mine("c"), mine("d")]);
    (sight.running, sight.handing) = (vec!["a", "b"], vec!["c", "d"]);
    sight.members = vec!["me", "other"];
    assert_eq!(sight.plan(), Plan::default(), "two and two");
    // Its target is gone, or drains by now: it will be somebody's, and that counts.
    sight.members = vec!["me", "third"];
    let assigned = sight.plan().assigned;
    assert_eq!(assigned.values().map(|to| to.id.as_str()).collect::<Vec<_>>(), ["third", "third"]);
}

#[test]
fn an_offer_counts_as_its_targets_and_is_taken_up_only_when_it_lapses() {
    let mut sight = Sight::of(vec![offered("a", "me"), offered("b", "other")]);
    sight.members = vec!["me", "other"];
    assert_eq!(sight.taken(), ["a"]);
    assert_eq!(sight.plan().waiting[0].offered_to, Some(owner("other")));
    // Avoided by now.
    sight.members = vec!["me"];
    assert_eq!(sight.taken(), ["a"]);
    sight.overdue = vec!["b"];
    assert_eq!(sight.taken(), ["a", "b"]);
    let of_b = |one: &Waiting| one.lease.1.shard.as_str() == "b" && one.offered_to == Some(owner("other"));
    assert!(sight.plan().waiting.iter().any(of_b), "or nobody would learn who let it lapse");
}

#[test]
fn what_a_draining_worker_still_has_is_counted_but_not_taken() {
    let mut sight = Sight::of(vec![entry("L1", "a", Some("other"), None), entry("L1", "b", None, None)]);
    assert_eq!(sight.taken(), ["b"]);
    assert_eq!(sight.plan().assigned.len(), 2);
    // Draining oneself, nothing is taken either, and the others get what is there.
    sight.shards.push(entry("L1", "c", Some("me"), None));
    sight.shards.push(entry("L1", "d", Some("me"), None));
    (sight.members, sight.running, sight.overdue) = (vec!["third"], vec!["c"], vec!["b"]);
    let plan = sight.plan();
    assert_eq!((plan.takes, plan.gives), (vec![], vec![]));
    assert!(plan.assigned.values().all(|to| *to == owner("third")) && plan.assigned.len() == 4);
}
