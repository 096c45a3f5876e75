//! Signals to the built binary: the first drains, the second ends at once.

use crate::bridge::{OF_TABLE, SINK, Stage};
use crate::process::Process;
use crate::rows::{session_rows, shard_rows};
use crate::support::fault::{Fault, Gate};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_and_sigint_drain_and_a_restart_repeats_nothing() {
    let stage = Stage::with_shards(2);
    for signal in ["TERM", "INT"] {
        stage.write(400, 23);
        let process = Process::run(&stage.text("", OF_TABLE, ""));
        let before = stage.fake.world().kinesis_stream(SINK).stored.len();
        stage
            .fake
            .wait_until("some records", |world| world.kinesis_stream(SINK).stored.len() > before + 50)
            .await;
        process.signal(signal);
        let (code, log) = process.end().await;
        assert_eq!(code, Some(0), "{log}");
        let world = stage.fake.world();
        assert!(session_rows(&world).is_empty(), "the session is over: {log}");
        assert!(
            shard_rows(&world).iter().all(|row| row["owner"].is_null()),
            "every lease is given up: {log}"
        );
    }
    let process = Process::run(&stage.text("", OF_TABLE, ""));
    stage.all_arrive().await;
    // They may all have been there: before it listens for signals, one would kill it.
    process.says("the session begins");
    process.signal("TERM");
    assert_eq!(process.end().await.0, Some(0));
    stage.judge().assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let stage = Stage::with_shards(1);
    stage.write(20, 5);
    let gate = Gate::shut();
    stage.fake.world().faults.always("PutRecords", |_| true, Fault::Hold(gate.clone()));
    let process = Process::run(&stage.text("", OF_TABLE, ""));
    gate.reached_by(1).await;
    process.signal("TERM");
    process.says("draining");
    process.signal("TERM");
    let (code, log) = process.end().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("SIGTERM") && log.contains("delivered again"), "{log}");
    gate.open();
}

/// A drain that cannot deliver ends with its time, with what was acknowledged stored and the rest to be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_with_its_time() {
    let stage = Stage::with_shards(1);
    stage.write(20, 5);
    let rule = stage.fake.world().faults.always("PutRecords", |_| true, Fault::internal());
    let process = Process::run(&stage.text("[worker]\nshutdown_timeout = \"2s\"", OF_TABLE, ""));
    stage.fake.wait_until("a put refused", |world| world.log.count("PutRecords") > 0).await;
    process.signal("TERM");
    let (code, log) = process.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(session_rows(&stage.fake.world()).is_empty(), "{log}");
    stage.fake.world().faults.lift(rule);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
}

/// While it still asks for an endpoint that does not answer, there is nothing to drain.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_the_start_ends_it() {
    let stage = Stage::with_shards(1);
    stage.fake.world().faults.always("ListStreams", |_| true, Fault::internal());
    let process = Process::run(&stage.text("", OF_TABLE, ""));
    process.says("asking again");
    process.signal("TERM");
    let began = std::time::Instant::now();
    let (code, log) = process.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(began.elapsed().as_secs() < 30, "it went on asking for {:?}", began.elapsed());
}
