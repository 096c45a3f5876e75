//! One item that changes 1,000 times a second, and answers of 15 ms: what is carried of it, with aggregation, without, and
//! with strict order.

use std::time::Duration;

use crate::stage::traffic::{Load, Traffic};
use crate::stage::{SINK, Stage, TABLE};
use crate::support::payload::payloads;

const ANSWER_AFTER: Duration = Duration::from_millis(15);
const CHANGES_A_SECOND: usize = 1_000;

/// What came of it.
struct Seen {
    written_a_second: f64,
    /// While it was written.
    carried: usize,
    behind: usize,
    records: usize,
    /// Of one change's payload, on average.
    bytes: usize,
    cpu: Duration,
}

/// Prints what is carried with each of the ways in which records go.
pub fn measure(lasts: Duration) {
    println!("one item, {CHANGES_A_SECOND} changes a second, answers of {} ms:", ANSWER_AFTER.as_millis());
    for (name, sink) in [
        ("none", ""),
        ("kpl", "aggregation = \"kpl\""),
        ("kpl, strict", "aggregation = \"kpl\"\nordering = \"strict\""),
    ] {
        let seen = of(sink, lasts);
        println!(
            "  aggregation {name:<12} {:>5.0} a second of {} bytes written, {:>5.0} a second carried in {:>4.0} records, {:>6} behind at the \
             end; {:.1} % of a core",
            seen.written_a_second,
            seen.bytes,
            seen.carried as f64 / lasts.as_secs_f64(),
            seen.records as f64 / lasts.as_secs_f64(),
            seen.behind,
            seen.cpu.as_secs_f64() / lasts.as_secs_f64() * 100.0
        );
        // Three pages' worth: what is read takes its way.
        assert!(
            !name.starts_with("kpl") || seen.behind < CHANGES_A_SECOND,
            "a hot item is carried at its rate"
        );
    }
}

fn of(sink: &str, lasts: Duration) -> Seen {
    let stage = Stage::with_shards(1);
    stage.fake.world().quirks.answer_after = ANSWER_AFTER;
    let worker = stage.start_with("w1", sink);
    stage.wait(Duration::from_secs(60), |world| world.log.count("GetRecords") > 0).expect("it reads");
    std::thread::scope(|scope| {
        let load =
            Load { items: vec!["hot".to_owned()], changes_a_second: CHANGES_A_SECOND, items_a_second: 1 };
        let before = worker.cpu();
        let traffic = Traffic::start(scope, &stage, load);
        std::thread::sleep(lasts);
        let (carried, records) = {
            let world = stage.fake.world();
            let stream = world.kinesis_stream(SINK);
            (stream.carried, stream.stored.len())
        };
        let cpu = worker.cpu() - before;
        let (written, written_a_second) = traffic.stop();
        let bytes = bytes_in_order(&stage);
        Seen { written_a_second, carried, behind: written - carried.min(written), records, bytes, cpu }
    })
}

/// What arrived must be the first changes of the item, each once and in order. Gives their payloads' size, on average.
fn bytes_in_order(stage: &Stage) -> usize {
    let world = stage.fake.world();
    let mut written = world.written(TABLE).map(|written| &written.change.sequence_number);
    let (mut changes, mut bytes) = (0, 0);
    for data in world.kinesis_stream(SINK).stored.iter().flat_map(payloads) {
        let payload: serde_json::Value = serde_json::from_slice(data).expect("JSON");
        let number = payload["dynamodb"]["SequenceNumber"].as_str();
        assert_eq!(number, written.next().map(String::as_str), "the hot item's order");
        changes += 1;
        bytes += data.len();
    }
    bytes / changes.max(1)
}
