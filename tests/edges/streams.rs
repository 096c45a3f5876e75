//! The table's stream disabled and enabled again: the new stream is found and read after the old one; the time between
//! them is noted as a gap; a fixed stream that is over says so.

use crate::bridge::{OF_TABLE, Stage, TABLE, write};
use crate::process::{Process, get};
use crate::rows::{finished_at, first_iterator, is_there, stream_row};
use crate::support::world::World;

/// Disables the table's stream and enables a new one.
fn renew(world: &mut World, shards: u64) -> String {
    let arn = world.latest_stream_of(TABLE).expect("a stream").arn.clone();
    world.disable_stream(&arn);
    world.enable_stream(TABLE, "NEW_AND_OLD_IMAGES", shards)
}

fn labels(world: &World) -> Vec<String> {
    world.streams.iter().map(|stream| stream.label.clone()).collect()
}

/// Panics unless each stream's shards were read only after every shard of the stream before it was finished, and the
/// stream row notes the time between them.
#[track_caller]
fn assert_one_after_the_other(world: &World) {
    for pair in world.streams.windows(2) {
        let ends = pair[0].shards.iter().map(|shard| finished_at(world, &shard.id).expect("finished"));
        let last_end = ends.max().expect("a stream has shards");
        let first_reads = pair[1].shards.iter().filter_map(|shard| first_iterator(world, &shard.id));
        assert!(first_reads.min().is_some_and(|read| read > last_end), "the streams are read side by side");
    }
    let row = stream_row(world);
    let noted: Vec<(&str, &str)> = row["gaps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|gap| (gap["from"].as_str().unwrap_or_default(), gap["to"].as_str().unwrap_or_default()))
        .collect();
    let labels = labels(world);
    let between: Vec<(&str, &str)> =
        labels.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    assert_eq!(noted, between, "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_enabled_again_while_the_bridge_runs() {
    let stage = Stage::with_shards(2);
    stage.fake.world().quirks.list_streams_page = 1;
    stage.write(20, 7);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    {
        let mut world = stage.fake.world();
        write(&mut world, 20, 7);
        renew(&mut world, 2);
        write(&mut world, 20, 7);
    }
    stage.all_arrive().await;
    stage
        .fake
        .wait_until("the old stream drained", |world| stream_row(world)["streams"][0]["drained"] == true)
        .await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_one_after_the_other(&stage.fake.world());
}

/// Two new streams while it was down, listed newest first, and one of them with a tree of shards.
#[tokio::test(flavor = "multi_thread")]
async fn streams_enabled_again_while_the_bridge_was_down() {
    let stage = Stage::with_shards(1);
    stage.fake.world().quirks.list_streams_reversed = true;
    stage.write(10, 7);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    {
        let mut world = stage.fake.world();
        write(&mut world, 10, 7);
        let between = renew(&mut world, 1);
        write(&mut world, 10, 7);
        let open = world.stream(&between).open_shards();
        world.rotate(&between, &open[0]);
        write(&mut world, 10, 7);
        renew(&mut world, 2);
        write(&mut world, 10, 7);
    }
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    assert_one_after_the_other(&stage.fake.world());
}

/// Disabled when the bridge starts: drained, not ready, and when a new stream comes, carried on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_stream_is_drained_and_not_ready_until_there_is_a_new_one() {
    let stage = Stage::with_shards(1);
    stage.write(10, 3);
    stage.fake.world().disable_stream(&stage.stream);
    let bridge = Process::run(&stage.text("[http]\nlisten = \"127.0.0.1:0\"", OF_TABLE, ""));
    let address = bridge.http_address();
    stage.all_arrive().await;
    let mut why = String::new();
    stage
        .fake
        .wait_until("not ready", |_| {
            let (status, body) = get(address, "/readyz");
            why = body;
            status == 503 && why.contains("disabled")
        })
        .await;
    assert!(why.contains("pipeline orders") && why.contains("enable"), "{why}");
    {
        let mut world = stage.fake.world();
        world.enable_stream(TABLE, "NEW_AND_OLD_IMAGES", 1);
        write(&mut world, 10, 3);
    }
    stage.all_arrive().await;
    stage.fake.wait_until("ready", |_| get(address, "/readyz") == (200, "ok\n".to_owned())).await;
    bridge.signal("TERM");
    let (code, log) = bridge.end().await;
    assert_eq!(code, Some(0), "{log}");
    stage.judge().assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_stream_that_is_disabled_is_drained_and_then_says_so() {
    let stage = Stage::with_shards(1);
    let source = format!("stream_arn = \"{}\"", stage.stream);
    let bridge = Process::run(&stage.text("[http]\nlisten = \"127.0.0.1:0\"", &source, ""));
    let address = bridge.http_address();
    stage.write(10, 3);
    stage.all_arrive().await;
    stage.fake.wait_until("ready", |_| get(address, "/readyz").0 == 200).await;
    let fixed = {
        let mut world = stage.fake.world();
        write(&mut world, 10, 3);
        let fixed = world.changes(TABLE).len();
        renew(&mut world, 1);
        // These are another stream's.
        write(&mut world, 10, 3);
        fixed
    };
    let mut why = String::new();
    stage
        .fake
        .wait_until("not ready", |_| {
            let (status, body) = get(address, "/readyz");
            why = body;
            status == 503 && why.contains("disabled")
        })
        .await;
    assert!(why.contains("stream_arn"), "{why}");
    assert_eq!(get(address, "/livez").0, 200);
    bridge.signal("TERM");
    let (code, log) = bridge.end().await;
    assert_eq!(code, Some(0), "{log}");
    stage.assert_missing(fixed..fixed + 10);
    assert!(is_there(&stream_row(&stage.fake.world())));
}

/// A day after it was disabled, a stream is gone; what was finished of it is nobody's concern any more.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_stream_that_disappears_after_it_was_drained() {
    let stage = Stage::with_shards(1);
    stage.write(10, 3);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    let second = {
        let mut world = stage.fake.world();
        let second = renew(&mut world, 1);
        write(&mut world, 10, 3);
        second
    };
    stage.all_arrive().await;
    stage.fake.wait_until("drained", |world| stream_row(world)["streams"][0]["drained"] == true).await;
    bridge.stop().await;
    stage.fake.world().remove_stream(&stage.stream);
    let bridge = stage.start(stage.plain()).await;
    let parent = stage.fake.world().stream(&second).open_shards().remove(0);
    {
        let mut world = stage.fake.world();
        world.rotate(&second, &parent);
        write(&mut world, 10, 3);
    }
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
    let gaps = stream_row(&stage.fake.world())["gaps"].as_array().map_or(0, Vec::len);
    assert_eq!(gaps, 1);
}
