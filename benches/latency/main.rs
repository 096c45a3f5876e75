//! How long a change takes from the stream to Kinesis' acknowledgement: `cargo bench --bench latency`, a quick look with
//! `-- --quick`. One shard that is being read, default settings, answers that take 10 ms each; then the same with a key
//! that changes 50 times a second beside it; and one that changes 1,000 times a second.
#![allow(
    clippy::disallowed_methods,
    reason = "measures processes from outside, in real time: nothing here is simulated"
)]

mod hot;
#[path = "../stage/mod.rs"]
mod stage;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use stage::{SINK, Stage, TABLE};
use support::journal::Written;
use support::payload::{Format, read};

const ANSWER_AFTER: Duration = Duration::from_millis(10);
/// While a shard brings changes it is asked this often: the default `poll_interval_min`.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Between two changes of the cold items, on average: often enough that the shard counts as being read.
const STEP: Duration = Duration::from_millis(70);
const HOT_STEP: Duration = Duration::from_millis(20);
const HOT: &str = "hot";

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let lasts = Duration::from_secs(if quick { 6 } else { 40 });
    // A hot item and nothing else.
    if std::env::args().any(|argument| argument == "--hot") {
        return hot::measure(lasts);
    }
    let stage = Stage::with_shards(1);
    stage.fake.world().quirks.answer_after = ANSWER_AFTER;
    let binary = std::fs::metadata(env!("CARGO_BIN_EXE_ddb-kinesis-bridge")).expect("the release binary");
    let worker = stage.start("w1");
    let first = stage.wait(Duration::from_secs(60), |world| world.log.count("GetRecords") > 0);
    println!(
        "the binary: {:.1} MiB; start to first GetRecords, answers of {} ms, a lease table to be made: {first:.2?}",
        binary.len() as f64 / (1 << 20) as f64,
        ANSWER_AFTER.as_millis()
    );
    write(&stage, Duration::from_secs(3), false, "warm up");
    let bound = POLL_INTERVAL / 2 + Duration::from_millis(30);
    println!("visible → acknowledged, ms; the median may be at most {}", bound.as_millis());
    write(&stage, lasts, false, "alone");
    show(&stage, "alone");
    write(&stage, lasts, true, "beside");
    show(&stage, "beside");
    show(&stage, HOT);
    worker.terminate();
    hot::measure(lasts);
}

/// Changes items of one kind at irregular times, and the hot one at its rate where wanted.
fn write(stage: &Stage, lasts: Duration, with_hot: bool, kind: &str) {
    let (began, mut cold_at, mut hot_at, mut number) = (Instant::now(), Duration::ZERO, Duration::ZERO, 0u64);
    while began.elapsed() < lasts {
        let due = if with_hot { cold_at.min(hot_at) } else { cold_at };
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let is_hot = with_hot && hot_at <= cold_at;
        let id = if is_hot { HOT.to_owned() } else { format!("{kind}-{number}") };
        let item = json!({"id": {"S": id}, "version": {"N": number.to_string()}});
        stage.fake.world().put(TABLE, item).expect("a change");
        number += 1;
        if is_hot {
            hot_at += HOT_STEP;
        } else {
            // Between a half and one and a half steps, in no step with the polls.
            cold_at += STEP.mul_f64(0.5 + (number * 7_919 % 1_000) as f64 / 1_000.0);
        }
    }
    let arrived = stage.wait(Duration::from_secs(60), |world| {
        world.kinesis_stream(SINK).stored.len() >= world.written(TABLE).count()
    });
    assert!(arrived.is_some(), "not all of {kind} arrives");
}

/// Prints how long the changes of the items whose ids begin so took.
fn show(stage: &Stage, kind: &str) {
    let world = stage.fake.world();
    let written: std::collections::BTreeMap<&str, Instant> = world
        .written(TABLE)
        .map(|Written { change, at, .. }| (change.sequence_number.as_str(), *at))
        .collect();
    let mut took: Vec<Duration> = world
        .kinesis_stream(SINK)
        .stored
        .iter()
        .filter(|stored| stored.partition_key.starts_with(kind))
        .map(|stored| {
            let delivered = read(Format::DynamoDbJson, &stored.data).expect("a record of the bridge");
            stored.at.duration_since(written[delivered.sequence_number.as_str()]) + ANSWER_AFTER
        })
        .collect();
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{kind:<8} {:>5} changes: min {:>5.0}  median {:>5.0}  p90 {:>5.0}  max {:>5.0}",
        took.len(),
        at(0.0),
        at(0.5),
        at(0.9),
        at(1.0)
    );
}
