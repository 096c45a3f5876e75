//! The plain way: changes are carried, and a restart goes on where it stopped.

use crate::bridge::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn every_change_arrives_once_and_in_order_over_a_clean_restart() {
    let stage = Stage::with_shards(3);
    stage.write(500, 20);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;

    stage.write(500, 20);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_exactly_once();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_nothing_and_keeps_order() {
    let stage = Stage::with_shards(2);
    stage.write(1_000, 20);
    let bridge = stage.start(stage.plain()).await;
    stage
        .fake
        .wait_until("some records", |world| world.kinesis_stream(crate::bridge::SINK).stored.len() > 100)
        .await;
    bridge.kill().await;
    stage.write(200, 20);
    let bridge = stage.start(stage.plain()).await;
    stage.all_arrive().await;
    bridge.stop().await;
    stage.judge().assert_complete_and_ordered();
}
