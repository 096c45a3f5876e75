use super::*;
use crate::stream::source::{ListedShard, StreamStatus};

const NOW_MS: u64 = 9_000;

fn table() -> StreamArn {
    StreamArn::parse("arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2024-01-02T00:00:00.000")
        .expect("an ARN")
}

fn label() -> String {
    table().label
}

fn number(digits: &str) -> SequenceNumber {
    SequenceNumber::parse(digits).expect("digits")
}

/// Shards by id and parent; those that are somebody's parent have ended.
fn listing(shards: &[(&str, Option<&str>)]) -> Listing {
    let listed = |(id, parent): &(&str, Option<&str>)| {
        let is_parent = shards.iter().any(|(_, parent)| *parent == Some(*id));
        let ending = is_parent.then(|| number("99"));
        let id = ShardId::new(*id);
        (id.clone(), ListedShard { id, parent: parent.map(ShardId::new), starting: None, ending })
    };
    Listing::Shards {
        status: StreamStatus::Enabled,
        shards: shards.iter().map(listed).collect(),
        served_at_ms: None,
    }
}

fn one(shards: &[(&str, Option<&str>)]) -> Listings {
    [(label(), listing(shards))].into()
}

fn lease(key: &str, stream: Option<&str>, checkpoint: Checkpoint, parents: &[&str]) -> (String, KclLease) {
    let lease = KclLease {
        key: key.to_owned(),
        stream: stream.map(str::to_owned),
        shard: ShardId::new(key.rsplit(':').next().unwrap_or(key)),
        checkpoint,
        parents: parents.iter().map(|parent| ShardId::new(*parent)).collect(),
        owner: None,
        counter: "1".to_owned(),
    };
    (key.to_owned(), lease)
}

fn after(digits: &str) -> Checkpoint {
    Checkpoint::After(number(digits))
}

fn planned(
    leases: Vec<(String, KclLease)>,
    listings: &Listings,
    latest_as: Option<LatestAs>,
) -> Result<Plan, String> {
    plan(&leases.into_iter().collect(), &table(), listings, latest_as, NOW_MS)
}

/// The shards with a row: finished or not.
fn ids<T>(rows: &BTreeMap<ShardKey, T>) -> Vec<&str> {
    rows.keys().map(|key| key.shard.as_str()).collect()
}

fn row<'a>(plan: &'a Plan, shard: &str) -> &'a ShardRow {
    &plan.shards[&ShardKey::new(&label(), &ShardId::new(shard))]
}

#[test]
fn each_checkpoint_becomes_its_row() {
    let listings = one(&[("a", None), ("b", Some("a")), ("c", Some("a")), ("d", Some("b"))]);
    let leases = vec![
        lease("a", None, Checkpoint::ShardEnd, &[]),
        lease("b", None, after("41"), &["a"]),
        lease("c", None, Checkpoint::TrimHorizon, &["a"]),
    ];
    let plan = planned(leases, &listings, None).expect("a plan");
    assert_eq!((ids(&plan.finished), ids(&plan.shards)), (vec!["a"], vec!["b", "c"]));
    assert_eq!(row(&plan, "b").checkpoint, Some(number("41")));
    assert_eq!((row(&plan, "c").checkpoint.as_ref(), row(&plan, "c").parents_finished), (None, true));
    assert_eq!(plan.new, [ShardKey::new(&label(), &ShardId::new("d"))], "discovery has it carried whole");
    assert_eq!(plan.streams, [StreamEntry { label: label(), drained: false }]);
    assert!(plan.gaps.is_empty());
    assert_eq!(plan.finished.values().next().and_then(|row| row.checkpoint.clone()), Some(number("99")));
}

#[test]
fn a_child_of_an_unfinished_parent_waits() {
    let listings = one(&[("a", None), ("b", Some("a"))]);
    let leases = vec![lease("a", None, after("5"), &[]), lease("b", None, Checkpoint::Unknown, &["a"])];
    let plan = planned(leases, &listings, None).expect("behind its parent it needs no --latest-as");
    assert!(!row(&plan, "b").parents_finished);
    assert_eq!(row(&plan, "b").latest_from_ms, None);
}

#[test]
fn ancestors_without_a_lease_lie_behind_the_application() {
    // z is not listed any more, and only b's lease names it.
    let listings = one(&[("a", None), ("b", Some("a")), ("n", None)]);
    let plan = planned(vec![lease("b", None, after("5"), &["a", "z"])], &listings, None).expect("a plan");
    assert_eq!((ids(&plan.finished), ids(&plan.shards)), (vec!["a", "z"], vec!["b"]));
    assert!(row(&plan, "b").parents_finished);
    assert_eq!(plan.new, [ShardKey::new(&label(), &ShardId::new("n"))]);
}

#[test]
fn a_shard_without_a_lease_behind_an_unfinished_one_is_carried() {
    let listings = one(&[("a", None), ("b", Some("a")), ("c", Some("b"))]);
    let leases = vec![lease("a", None, after("5"), &[]), lease("c", None, Checkpoint::TrimHorizon, &["b"])];
    let plan = planned(leases, &listings, None).expect("a plan");
    assert_eq!((ids(&plan.finished), ids(&plan.shards)), (vec![], vec!["a", "b", "c"]));
    assert!(!row(&plan, "b").parents_finished && !row(&plan, "c").parents_finished);
}

#[test]
fn an_unknown_place_wants_a_word() {
    let listings = one(&[("a", None)]);
    let leases = || vec![lease("a", None, Checkpoint::Unknown, &[])];
    let refused = planned(leases(), &listings, None).expect_err("unknown");
    assert!(refused.contains("--latest-as") && refused.contains("(a)"), "{refused}");
    let all = planned(leases(), &listings, Some(LatestAs::TrimHorizon)).expect("a plan");
    assert_eq!((row(&all, "a").checkpoint.as_ref(), row(&all, "a").latest_from_ms), (None, None));
    let some = planned(leases(), &listings, Some(LatestAs::From(7))).expect("a plan");
    assert_eq!(row(&some, "a").latest_from_ms, Some(7));
}

#[test]
fn keys_of_several_streams_are_told_apart() {
    let ours = adapter_name(&table());
    let (old, other) = (ours.replace("2024-01-02", "2023-01-02"), ours.replace("orders", "orders2"));
    let key = |stream: &str, shard: &str| format!("111122223333:{stream}:1:{shard}");
    let leases = vec![
        lease(&key(&ours, "a"), Some(&ours), after("5"), &[]),
        lease(&key(&old, "x"), Some(&old), after("5"), &[]),
        lease(&key(&old, "y"), Some(&old), Checkpoint::ShardEnd, &[]),
        lease(&key(&other, "o"), Some(&other), after("5"), &[]),
        lease(&key("clicks", "k"), Some("clicks"), after("5"), &[]),
    ];
    let plan = planned(leases, &one(&[("a", None)]), None).expect("a plan");
    assert_eq!((ids(&plan.shards), plan.foreign, plan.gone), (vec!["a"], 2, 2));
    assert_eq!(plan.gaps.len(), 1, "what was left of the stream that is gone is lost: {:?}", plan.gaps);
    assert_eq!(plan.gaps[0].from.as_deref(), Some("2023-01-02T00_00_00.000"));
    let none = planned(vec![lease(&key(&other, "o"), Some(&other), after("5"), &[])], &one(&[]), None);
    assert!(none.expect_err("no lease of ours").contains("table orders"));
}

#[test]
fn streams_before_the_applications_first_are_left_out_and_later_ones_to_discovery() {
    let listings: Listings = [
        ("2023".to_owned(), listing(&[("old", None)])),
        ("2024".to_owned(), listing(&[("a", None)])),
        ("2025".to_owned(), listing(&[("b", None)])),
        ("2026".to_owned(), listing(&[("c", None)])),
    ]
    .into();
    let leases = vec![lease("a", None, Checkpoint::ShardEnd, &[]), lease("b", None, after("5"), &[])];
    let plan = planned(leases, &listings, None).expect("a plan");
    let streams: Vec<(&str, bool)> =
        plan.streams.iter().map(|one| (one.label.as_str(), one.drained)).collect();
    assert_eq!(streams, [("2023", true), ("2024", false), ("2025", false)]);
    assert_eq!((ids(&plan.finished), ids(&plan.shards)), (vec!["old", "a"], vec!["b"]));
    assert_eq!(plan.gaps.len(), 1, "between 2024 and 2025: {:?}", plan.gaps);
}

#[test]
fn leases_in_a_circle_come_to_an_end() {
    let listings = one(&[]);
    let leases = vec![lease("a", None, after("5"), &["b"]), lease("c", None, after("5"), &["b"])];
    let mut leases: BTreeMap<String, KclLease> = leases.into_iter().collect();
    leases.get_mut("c").expect("c").parents = vec![ShardId::new("c"), ShardId::new("b")];
    let plan = plan(&leases, &table(), &listings, None, NOW_MS).expect("a plan");
    assert_eq!((ids(&plan.shards), ids(&plan.finished)), (vec!["a", "c"], vec!["b"]));
}
