//! Going back: `rewind` over real bridges. What is carried again comes whole and in order, parents before children, and
//! nothing of it looks like a loss.

use std::ops::Range;

use ddb_kinesis_bridge::config::Config;
use ddb_kinesis_bridge::lease::order::Order;
use ddb_kinesis_bridge::rewind::{RewindError, prepare};
use ddb_kinesis_bridge::stream::source::ShardId;
use serde_json::Value;

use crate::bridge::{OF_TABLE, Running, SINK, Stage, TABLE, credentials, item, judged, write};
use crate::rows::{finished_row, finished_rows, is_there, session_rows, shard_row, shard_rows, stream_row};
use crate::support::judge::{Change, judge};
use crate::support::payload::{Format, delivered};
use crate::support::shards::Shard;
use crate::support::world::World;

pub fn to(target: &str) -> Order {
    Order { shard: None, to: Some(target.parse().expect("a target")), mark: None, adopt: false }
}

/// `rewind --yes`, in this process.
pub async fn rewind(config: &Config, order: Order) -> Result<(), RewindError> {
    let rewinding = prepare(config, Some("orders"), order, Some(credentials())).await?;
    rewinding.propose().await?;
    rewinding.carry_out().await
}

pub fn stored(world: &World) -> usize {
    world.kinesis_stream(SINK).stored.len()
}

/// Panics unless the records in this range are exactly these changes, each item's in order.
#[track_caller]
pub fn assert_carried(world: &World, records: Range<usize>, changes: &[Change]) {
    let records = &delivered(world.kinesis_stream(SINK), Format::DynamoDbJson)[records];
    judge(changes, records).assert_exactly_once();
}

/// The changes that went into these shards.
fn changes_of(world: &World, shards: &[&str]) -> Vec<Change> {
    let of = world.written(TABLE).filter(|written| shards.contains(&written.shard_id.as_str()));
    of.map(|written| written.change.clone()).collect()
}

/// Panics unless among the records from `from` on no change of a shard comes after one of its child.
#[track_caller]
fn assert_parents_first(world: &World, from: usize) {
    let records = &delivered(world.kinesis_stream(SINK), Format::DynamoDbJson)[from..];
    let places = |shard: &str| {
        let changes = changes_of(world, &[shard]);
        let numbers: Vec<&str> = changes.iter().map(|change| change.sequence_number.as_str()).collect();
        let of =
            records.iter().enumerate().filter(|(_, one)| numbers.contains(&one.sequence_number.as_str()));
        of.map(|(place, _)| place).collect::<Vec<_>>()
    };
    for stream in &world.streams {
        for shard in &stream.shards {
            let Some(parent) = &shard.parent else { continue };
            let (last, first) = (places(parent).into_iter().max(), places(&shard.id).into_iter().min());
            assert!(first.is_none() || last < first, "{} came before its parent {parent}", shard.id);
        }
    }
}

/// Panics when something that was carried counts as lost.
#[track_caller]
fn assert_no_gaps(world: &World) {
    for row in shard_rows(world).into_iter().chain(finished_rows(world)) {
        assert!(row["gaps"].is_null(), "{row}");
    }
}

/// A bridge that has carried 60 changes and stored that it has; on the way one of two shards rotated and its child split.
/// Gives that shard and its child.
pub async fn grown(stage: &Stage) -> (Running, [String; 2]) {
    let bridge = stage.start(stage.plain()).await;
    stage.write(20, 11);
    let old = {
        let mut world = stage.fake.world();
        let parent = world.stream(&stage.stream).open_shards().remove(0);
        let child = world.rotate(&stage.stream, &parent);
        write(&mut world, 20, 11);
        world.split(&stage.stream, &child);
        write(&mut world, 20, 11);
        [parent, child]
    };
    stored_as_carried(stage).await;
    (bridge, old)
}

/// Waits until every change has arrived and is behind a stored checkpoint: what arrives from then on is a rewind's doing.
pub async fn stored_as_carried(stage: &Stage) {
    stage.all_arrive().await;
    let is_stored = |world: &World, shard: &Shard| {
        let last = world.written(TABLE).filter(|written| written.shard_id == shard.id).last();
        let last = last.map(|written| Value::from(written.change.sequence_number.as_str()));
        let row =
            if shard.ending.is_some() { finished_row(world, &shard.id) } else { shard_row(world, &shard.id) };
        is_there(&row) && row["checkpoint"] == last.unwrap_or_default()
    };
    let all = |world: &World| {
        world.streams.iter().all(|stream| stream.shards.iter().all(|shard| is_stored(world, shard)))
    };
    stage.fake.wait_until("every change behind a checkpoint", all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_again_while_workers_run() {
    let stage = Stage::with_shards(2);
    let (bridge, old) = grown(&stage).await;
    let second = stage.start(stage.plain()).await;
    stage.fake.wait_until("both sessions", |world| session_rows(world).len() == 2).await;
    let epochs = |world: &World| -> Vec<u64> {
        let number = |row: &Value| row["epoch"].as_str().and_then(|epoch| epoch.parse().ok());
        shard_rows(world).iter().filter_map(number).collect()
    };
    let before = epochs(&stage.fake.world()).into_iter().max();
    rewind(&stage.plain(), to("trim_horizon")).await.expect("it goes back");
    stage.write(10, 11);
    stored_as_carried(&stage).await;
    stage.fake.wait_until("all of it twice", |world| stored(world) == 60 + 60 + 10).await;
    // Whoever held a lease before and went on reading would have carried the ten, too.
    bridge.stop().await;
    second.stop().await;
    let world = stage.fake.world();
    judged(&world).assert_complete_and_ordered();
    assert_carried(&world, 60..130, &world.changes(TABLE));
    assert_parents_first(&world, 60);
    assert_no_gaps(&world);
    assert!(epochs(&world).into_iter().min() > before, "every lease was taken anew");
    assert!(old.iter().all(|shard| is_there(&finished_row(&world, shard))), "finished once more");
    assert!(stream_row(&world)["rewind"].is_null() && session_rows(&world).is_empty());
}

/// Nothing runs when the rewind does; and two workers take it up from there.
#[tokio::test(flavor = "multi_thread")]
async fn everything_again_while_none_runs() {
    let stage = Stage::with_shards(2);
    let (bridge, _) = grown(&stage).await;
    bridge.stop().await;
    rewind(&stage.plain(), to("trim_horizon")).await.expect("it goes back");
    assert_eq!(stored(&stage.fake.world()), 60, "nobody carries");
    let bridges = [stage.start(stage.plain()).await, stage.start(stage.plain()).await];
    stage.fake.wait_until("all of it twice", |world| stored(world) == 120).await;
    stored_as_carried(&stage).await;
    for bridge in bridges {
        bridge.stop().await;
    }
    let world = stage.fake.world();
    assert_carried(&world, 60..120, &world.changes(TABLE));
    assert_parents_first(&world, 60);
    assert_no_gaps(&world);
}

/// Changes go on all the while: first deliveries stay in order, and none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn under_way_nothing_is_lost_and_first_deliveries_stay_in_order() {
    let stage = Stage::with_shards(2);
    let (bridge, _) = grown(&stage).await;
    let (config, done) = (stage.plain(), std::sync::atomic::AtomicBool::new(false));
    let writes = async {
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            stage.write(20, 11);
            let before = stored(&stage.fake.world());
            stage.fake.wait_until("some more", |world| stored(world) > before).await;
        }
    };
    let goes_back = async {
        rewind(&config, to("trim_horizon")).await.expect("it goes back");
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    futures_util::future::join(writes, goes_back).await;
    stored_as_carried(&stage).await;
    bridge.stop().await;
    let world = stage.fake.world();
    judged(&world).assert_complete_and_ordered();
    assert!(stored(&world) >= world.changes(TABLE).len() + 60);
    assert_no_gaps(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn back_to_a_sequence_number() {
    let stage = Stage::with_shards(1);
    let bridge = stage.start(stage.plain()).await;
    stage.write(30, 4);
    stored_as_carried(&stage).await;
    let changes = stage.fake.world().changes(TABLE);
    rewind(&stage.plain(), to(&changes[19].sequence_number)).await.expect("it goes back");
    stage.fake.wait_until("ten again", |world| stored(world) == 40).await;
    stored_as_carried(&stage).await;
    // Nothing lies behind the last: the shard stays where it is.
    rewind(&stage.plain(), to(&changes[29].sequence_number)).await.expect("nothing to do");
    stage.write(5, 4);
    stored_as_carried(&stage).await;
    bridge.stop().await;
    let world = stage.fake.world();
    assert_carried(&world, 30..40, &changes[20..]);
    assert_eq!(stored(&world), 45);
    assert_no_gaps(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shard_with_what_comes_behind_it() {
    let stage = Stage::with_shards(2);
    let (bridge, [parent, child]) = grown(&stage).await;
    let (expected, other) = {
        let world = stage.fake.world();
        let shards = &world.stream(&stage.stream).shards;
        let is_behind = |shard: &&Shard| shard.id == child || shard.parent.as_ref() == Some(&child);
        let behind: Vec<&str> = shards.iter().filter(is_behind).map(|shard| shard.id.as_str()).collect();
        let other = shards.iter().find(|shard| shard.parent.is_none() && shard.id != parent).expect("two");
        (changes_of(&world, &behind), other.id.clone())
    };
    let epoch = shard_row(&stage.fake.world(), &other)["epoch"].clone();
    let order = Order { shard: Some(ShardId::new(child)), ..to("trim_horizon") };
    rewind(&stage.plain(), order).await.expect("it goes back");
    stage.fake.wait_until("its changes again", |world| stored(world) == 60 + expected.len()).await;
    stored_as_carried(&stage).await;
    bridge.stop().await;
    let world = stage.fake.world();
    assert!(!expected.is_empty() && expected.len() < 60);
    assert_carried(&world, 60..60 + expected.len(), &expected);
    assert_parents_first(&world, 60);
    assert_eq!(shard_row(&world, &other)["epoch"], epoch, "the others are not disturbed");
    assert!(is_there(&finished_row(&world, &parent)));
}

/// An earlier stream of the table is read again before the later one.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_stream_comes_before_the_later_one() {
    let stage = Stage::with_shards(1);
    let bridge = stage.start(stage.plain()).await;
    stage.write(10, 3);
    {
        let mut world = stage.fake.world();
        world.disable_stream(&stage.stream);
        world.enable_stream(TABLE, "NEW_AND_OLD_IMAGES", 1);
        write(&mut world, 10, 3);
    }
    stored_as_carried(&stage).await;
    let drained = |world: &World| stream_row(world)["streams"][0]["drained"] == true;
    stage.fake.wait_until("the old stream drained", drained).await;
    rewind(&stage.plain(), to("trim_horizon")).await.expect("it goes back");
    stage.fake.wait_until("all of it twice", |world| stored(world) == 40).await;
    stage.fake.wait_until("the old stream drained again", drained).await;
    bridge.stop().await;
    let world = stage.fake.world();
    assert_carried(&world, 20..40, &world.changes(TABLE));
    let records = &delivered(world.kinesis_stream(SINK), Format::DynamoDbJson)[20..];
    let first_ten: Vec<Change> = world.changes(TABLE)[..10].to_vec();
    assert!(
        records[..10].iter().all(|one| first_ten.iter().any(|c| c.sequence_number == one.sequence_number))
    );
}

/// Without a mark a record that is carried again is byte for byte what it was; with one it has a member more, in both
/// formats, and changes made later have none.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_carried_again_is_marked() {
    for format in ["dynamodb_json", "json"] {
        let stage = Stage::with_shards(1);
        let record = format!("[pipeline.record]\nformat = \"{format}\"");
        let config = stage.config("", OF_TABLE, &record);
        let bridge = stage.start(config.clone()).await;
        let count = |n: usize| move |world: &World| stored(world) == n;
        stage.write(10, 1);
        stage.fake.wait_until("ten", count(10)).await;
        rewind(&config, to("trim_horizon")).await.expect("it goes back");
        stage.fake.wait_until("twenty", count(20)).await;
        let mark = "back \"again\"".parse().ok();
        rewind(&config, Order { mark, ..to("trim_horizon") }).await.expect("it goes back");
        stage.fake.wait_until("thirty", count(30)).await;
        {
            let mut world = stage.fake.world();
            world.fixed_now_ms = Some(world.now_ms() + 600_000);
            world.put(TABLE, item("item-0", "99"));
        }
        stage.fake.wait_until("one more", count(31)).await;
        bridge.stop().await;
        let world = stage.fake.world();
        let texts: Vec<&str> = world
            .kinesis_stream(SINK)
            .stored
            .iter()
            .map(|stored| std::str::from_utf8(&stored.data).expect("UTF-8"))
            .collect();
        assert_eq!(texts[..10], texts[10..20]);
        for (plain, marked) in texts[..10].iter().zip(&texts[20..30]) {
            let open = plain.strip_suffix('}').expect("an object");
            assert_eq!(*marked, format!(r#"{open},"replay":"back \"again\""}}"#));
        }
        assert!(!texts[30].contains("replay"), "{}", texts[30]);
    }
}

/// Retention has passed the shard's beginning, but all that it took was carried: that is no gap.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_carried_before_is_no_gap() {
    const HOUR_MS: u64 = 3_600_000;
    let now_ms = World::new().now_ms();
    let stage = Stage::new("NEW_AND_OLD_IMAGES", 1, |world| world.fixed_now_ms = Some(now_ms - 30 * HOUR_MS));
    let shard = stage.open_shard();
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    stage.fake.world().fixed_now_ms = Some(now_ms - HOUR_MS);
    stage.write(10, 3);
    stored_as_carried(&stage).await;
    {
        let mut world = stage.fake.world();
        world.fixed_now_ms = Some(now_ms);
        let trimmed = world.changes(TABLE)[9].sequence_number.clone();
        world.trim_through(&stage.stream, &shard, &trimmed);
    }
    rewind(&stage.plain(), to("trim_horizon")).await.expect("it goes back");
    stage.fake.wait_until("the younger ten again", |world| stored(world) == 30).await;
    stored_as_carried(&stage).await;
    bridge.stop().await;
    let world = stage.fake.world();
    assert_carried(&world, 20..30, &world.changes(TABLE)[10..]);
    assert_no_gaps(&world);
}

/// Retention took changes that nobody had carried: going back must not hide that (P7).
#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_carried_is_a_gap_also_after_going_back() {
    const HOUR_MS: u64 = 3_600_000;
    let now_ms = World::new().now_ms();
    let stage = Stage::new("NEW_AND_OLD_IMAGES", 1, |world| world.fixed_now_ms = Some(now_ms - 30 * HOUR_MS));
    let shard = stage.open_shard();
    let bridge = stage.start(stage.plain()).await;
    stage.write(10, 3);
    stored_as_carried(&stage).await;
    bridge.stop().await;
    stage.write(10, 3);
    {
        let mut world = stage.fake.world();
        world.fixed_now_ms = Some(now_ms);
        let trimmed = world.changes(TABLE)[14].sequence_number.clone();
        world.trim_through(&stage.stream, &shard, &trimmed);
    }
    rewind(&stage.plain(), to("trim_horizon")).await.expect("it goes back");
    let bridge = stage.start(stage.plain()).await;
    stage.fake.wait_until("what is left", |world| stored(world) == 15).await;
    let noted = |world: &World| is_there(&shard_row(world, &shard)["gaps"][0]["to"]);
    stage.fake.wait_until("the gap", noted).await;
    bridge.stop().await;
}

/// What `latest` left out is carried then, too: the operator asks for all that there is.
#[tokio::test(flavor = "multi_thread")]
async fn to_the_horizon_of_a_pipeline_that_began_at_the_latest() {
    let stage = Stage::with_shards(1);
    stage.write(10, 3);
    let shard = stage.open_shard();
    stage.fake.world().rotate(&stage.stream, &shard);
    stage.write(10, 3);
    let config = stage.config("", &format!("{OF_TABLE}\nstart = \"latest\""), "");
    let bridge = stage.start(config.clone()).await;
    let at_work = |world: &World| shard_rows(world).iter().any(|row| is_there(&row["owner"]));
    stage.fake.wait_until("the open shard read", at_work).await;
    rewind(&config, to("trim_horizon")).await.expect("it goes back");
    stage.write(5, 3);
    stored_as_carried(&stage).await;
    bridge.stop().await;
    let world = stage.fake.world();
    assert_eq!(stored(&world), 25);
    assert_carried(&world, 0..25, &world.changes(TABLE));
    assert_parents_first(&world, 0);
}
