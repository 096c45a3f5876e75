//! Moving in: `import-kcl` from a hand-made lease table of a KCL application, and what `run` carries after it.

use serde_json::{Value, json};

use crate::bridge::{OF_TABLE, SINK, Stage, TABLE, write};
use crate::process::{Process, output_of};
use crate::rows::{LEASES, finished_row, finished_rows, shard_rows, stream_row};
use crate::support::fault::{Fault, Gate};
use crate::support::items::KeySchema;
use crate::support::judge::{Change, judge};
use crate::support::payload::{Format, delivered};
use crate::support::shards::GoneAnswer;
use crate::support::world::World;

const APP: &str = "orders-consumer";

/// Leases need not stand still for long where nobody holds them.
const IMPORT: [&str; 5] = ["import-kcl", "--table", APP, "--wait", "1ms"];

fn applied(more: &[&'static str]) -> Vec<&'static str> {
    IMPORT.into_iter().chain(["--apply"]).chain(more.iter().copied()).collect()
}

/// A row as KCL 1 to 3 write it.
fn lease(key: &str, checkpoint: &str, parents: &[&str]) -> Value {
    let mut row = json!({
        "leaseKey": {"S": key}, "checkpoint": {"S": checkpoint}, "checkpointSubSequenceNumber": {"N": "0"},
        "leaseCounter": {"N": "17"}, "leaseOwner": {"S": "host:a1b2"}, "ownerSwitchesSinceCheckpoint": {"N": "2"},
    });
    if !parents.is_empty() {
        row["parentShardId"] = json!({"SS": parents});
    }
    row
}

/// A table whose stream has grown: two shards, of which one rotated and its child split.
struct Grown {
    stage: Stage,
    /// The one that rotated, its child, and the one that did neither.
    old: String,
    child: String,
    other: String,
    grandchildren: [String; 2],
}

fn grown() -> Grown {
    let stage = Stage::with_shards(2);
    stage.write(30, 11);
    let mut world = stage.fake.world();
    world.create_table(APP, KeySchema::hash("leaseKey", "S"));
    world.quirks.query_page = 2;
    let open = world.stream(&stage.stream).open_shards();
    let (old, other) = (open[0].clone(), open[1].clone());
    let child = world.rotate(&stage.stream, &old);
    write(&mut world, 30, 11);
    let grandchildren = world.split(&stage.stream, &child);
    write(&mut world, 30, 11);
    drop(world);
    Grown { stage, old, child, other, grandchildren }
}

fn changes_of(world: &World, shard: &str) -> Vec<Change> {
    world
        .written(TABLE)
        .filter(|written| written.shard_id == shard)
        .map(|written| written.change.clone())
        .collect()
}

/// The changes of a shard behind its `done` first ones, and the last of those.
fn behind(world: &World, shard: &str, done: usize) -> (String, Vec<Change>) {
    let changes = changes_of(world, shard);
    assert!(changes.len() > done, "{shard} has {} changes", changes.len());
    (changes[done - 1].sequence_number.clone(), changes[done..].to_vec())
}

#[track_caller]
fn assert_carried(stage: &Stage, expected: &[Change]) {
    let world = stage.fake.world();
    judge(expected, &delivered(world.kinesis_stream(SINK), Format::DynamoDbJson)).assert_exactly_once();
}

async fn carries(stage: &Stage, config: &str, expected: Vec<Change>) {
    let process = Process::run(config);
    let count = expected.len();
    stage.fake.wait_until("what is left", |world| world.kinesis_stream(SINK).stored.len() >= count).await;
    process.signal("TERM");
    assert_eq!(process.end().await.0, Some(0));
    assert_carried(stage, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_left_is_carried_and_nothing_else() {
    let Grown { stage, old, child, other, grandchildren } = grown();
    let expected = {
        let mut world = stage.fake.world();
        let (at_child, mut expected) = behind(&world, &child, 3);
        let (at_other, rest) = behind(&world, &other, 5);
        expected.extend(rest);
        for shard in &grandchildren {
            expected.extend(changes_of(&world, shard));
        }
        world.put(APP, lease(&old, "SHARD_END", &[]));
        world.put(APP, lease(&child, &at_child, &[&old]));
        world.put(APP, lease(&other, &at_other, &[]));
        // The second grandchild has no lease yet.
        world.put(APP, lease(&grandchildren[0], "TRIM_HORIZON", &[&child]));
        expected
    };
    let config = stage.text("", OF_TABLE, "");
    let (code, stdout, stderr) = output_of(&config, &IMPORT).await;
    assert_eq!(code, Some(0), "{stderr}");
    for part in [
        "4 leases",
        "3 shards; 1 are finished",
        "Nothing was written",
        "carried whole: 1 shards",
        &grandchildren[1],
    ] {
        assert!(stdout.contains(part), "{part:?} is not in: {stdout}");
    }
    assert!(!stage.fake.world().tables.contains_key(LEASES), "a dry run makes no table");

    let app_before: Vec<_> = stage.fake.world().table(APP).items.values().cloned().collect();
    let (code, stdout, stderr) = output_of(&config, &applied(&[])).await;
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    {
        let world = stage.fake.world();
        assert_eq!((shard_rows(&world).len(), finished_rows(&world).len()), (3, 1));
        assert!(stream_row(&world)["rewind"].is_null());
        assert_eq!(world.table(APP).items.values().cloned().collect::<Vec<_>>(), app_before);
    }
    carries(&stage, &config, expected).await;

    let (code, _, stderr) = output_of(&config, &applied(&[])).await;
    assert_eq!(code, Some(2), "it has run");
    assert!(stderr.contains("it has run already"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_of_several_streams_and_places_that_no_row_tells() {
    let Grown { stage, old, child, other, .. } = grown();
    let expected = {
        let mut world = stage.fake.world();
        let label = world.stream(&stage.stream).label.replace(':', "_");
        let account = stage.stream.split(':').nth(4).expect("an account").to_owned();
        let key =
            |table: &str, shard: &str| format!("{account}:eu-central-1${account}${table}${label}:1:{shard}");
        world.put(APP, lease(&key(TABLE, &child), "SHARD_END", &[&old]));
        world.put(APP, lease(&key(TABLE, &other), "LATEST", &[]));
        world.put(APP, lease(&key("users", &other), "4421", &[]));
        world.put(APP, json!({"leaseKey": {"S": "worker-metrics"}, "entityType": {"S": "WORKER_METRICS"}}));
        let mut expected: Vec<Change> = world.written(TABLE).map(|written| written.change.clone()).collect();
        let done = [changes_of(&world, &old), changes_of(&world, &child)].concat();
        expected.retain(|change| !done.contains(change));
        expected
    };
    // Whatever `start` says: the grandchildren, which have no leases, are carried whole.
    let config = stage.text("", &format!("{OF_TABLE}\nstart = \"latest\""), "");
    let (code, stdout, stderr) = output_of(&config, &IMPORT).await;
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("--latest-as") && stderr.contains(&other), "{stderr}");
    let (code, stdout, stderr) = output_of(&config, &applied(&["--latest-as", "trim_horizon"])).await;
    assert_eq!(code, Some(0), "{stderr}");
    for part in
        ["1 rows that are no leases", "1 leases of other tables' streams", "from its oldest change on"]
    {
        assert!(stdout.contains(part), "{part:?} is not in: {stdout}");
    }
    carries(&stage, &config, expected).await;
}

/// What the application left behind for too long is no longer there: that is noted (P7), and its child is read.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_left_too_long_is_a_gap() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    stage.write(10, 3);
    let done = {
        let mut world = stage.fake.world();
        world.create_table(APP, KeySchema::hash("leaseKey", "S"));
        // The child is old enough to show that no listing lags behind.
        world.fixed_now_ms = Some(world.now_ms() - 3_600_000);
        world.rotate(&stage.stream, &shard);
        world.fixed_now_ms = None;
        world.drop_shard(&stage.stream, &shard, GoneAnswer::TrimmedDataAccess);
        let done = world.changes(TABLE)[3].sequence_number.clone();
        world.put(APP, lease(&shard, &done, &[]));
        done
    };
    stage.write(5, 3);
    let config = stage.text("", OF_TABLE, "");
    let (code, _, stderr) = output_of(&config, &applied(&[])).await;
    assert_eq!(code, Some(0), "{stderr}");
    let later = stage.fake.world().changes(TABLE)[10..].to_vec();
    carries(&stage, &config, later).await;
    let row = finished_row(&stage.fake.world(), &shard);
    assert_eq!(row["gaps"][0]["from"], done.as_str(), "{row}");
    let (_, stdout, _) = output_of(&config, &["status"]).await;
    assert!(stdout.contains("1 GAP") && stdout.contains("! finished "), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_runs_is_refused() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    let gate = Gate::shut();
    {
        let mut world = stage.fake.world();
        world.create_table(APP, KeySchema::hash("leaseKey", "S"));
        world.put(APP, lease(&shard, "TRIM_HORIZON", &[]));
        world.faults.pass("Scan");
        world.faults.once("Scan", Fault::Hold(gate.clone()));
    }
    let config = stage.text("", OF_TABLE, "");
    let arguments = applied(&[]);
    let import = output_of(&config, &arguments);
    let heartbeat = async {
        stage.fake.wait_until("the second look", |world| world.log.count("Scan") == 2).await;
        let mut moved = lease(&shard, "TRIM_HORIZON", &[]);
        moved["leaseCounter"] = json!({"N": "18"});
        stage.fake.world().put(APP, moved);
        gate.open();
    };
    let ((code, _, stderr), ()) = tokio::join!(import, heartbeat);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("still runs") && stderr.contains(&shard), "{stderr}");
    assert!(!stage.fake.world().tables.contains_key(LEASES));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_broke_off_keeps_workers_away_until_it_is_run_again() {
    let Grown { stage, old, child, other, .. } = grown();
    let expected = {
        let mut world = stage.fake.world();
        let done: Vec<Change> = [changes_of(&world, &old), changes_of(&world, &child)].concat();
        world.put(APP, lease(&old, "SHARD_END", &[]));
        world.put(APP, lease(&child, "SHARD_END", &[&old]));
        world.put(APP, lease(&other, "TRIM_HORIZON", &[]));
        // The first row is written, the second is not.
        world.faults.pass("TransactWriteItems");
        world.faults.once("TransactWriteItems", Fault::reject(400, "AccessDeniedException"));
        let mut expected: Vec<Change> = world.written(TABLE).map(|written| written.change.clone()).collect();
        expected.retain(|change| !done.contains(change));
        expected
    };
    let config = stage.text("", OF_TABLE, "");
    let (code, _, stderr) = output_of(&config, &applied(&[])).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("run the same command again"), "{stderr}");
    let process = Process::run(&config);
    process.says("an import broke off and no lease is taken");
    let (_, stdout, _) = output_of(&config, &["status"]).await;
    assert!(stdout.contains("an import broke off"), "{stdout}");
    let (code, _, stderr) = output_of(&config, &["rewind", "--to", "trim_horizon", "--yes"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("import-kcl --pipeline orders --apply"), "{stderr}");
    process.signal("TERM");
    assert_eq!(process.end().await.0, Some(0));
    assert_eq!(stage.fake.world().log.count("PutRecords"), 0);

    // An answer that is lost is no trouble, the last one neither.
    stage.fake.world().faults.once("TransactWriteItems", Fault::internal_after_effect());
    stage.fake.world().faults.once("PutItem", Fault::internal_after_effect());
    let (code, _, stderr) = output_of(&config, &applied(&[])).await;
    assert_eq!(code, Some(0), "{stderr}");
    carries(&stage, &config, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_as_now_leaves_out_what_was_there() {
    let stage = Stage::with_shards(1);
    let shard = stage.open_shard();
    {
        let mut world = stage.fake.world();
        world.create_table(APP, KeySchema::hash("leaseKey", "S"));
        world.put(APP, lease(&shard, "AT_TIMESTAMP", &[]));
        let now_ms = world.now_ms();
        world.fixed_now_ms = Some(now_ms - 3_600_000);
        write(&mut world, 10, 3);
        world.fixed_now_ms = None;
    }
    let config = stage.text("", OF_TABLE, "");
    let (code, stdout, stderr) = output_of(&config, &applied(&["--latest-as", "now"])).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("the changes made since"), "{stdout}");
    stage.write(10, 3);
    let later = stage.fake.world().changes(TABLE)[10..].to_vec();
    carries(&stage, &config, later).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_none_of_a_kcl_application() {
    let stage = Stage::with_shards(1);
    stage.fake.world().create_table(APP, KeySchema::hash("leaseKey", "S"));
    let config = stage.text("", OF_TABLE, "");
    let (code, _, stderr) = output_of(&config, &IMPORT).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("none of its 0 rows is a KCL lease"), "{stderr}");
    let (code, _, stderr) = output_of(&config, &["import-kcl", "--table", "absent", "--wait", "1ms"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("\"absent\" does not exist"), "{stderr}");
    let (code, _, stderr) = output_of(&config, &["import-kcl", "--table", APP, "--latest-as", "soon"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("2024-05-06T07:08:09Z"), "{stderr}");
}
