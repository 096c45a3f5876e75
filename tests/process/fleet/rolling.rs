//! A rolling restart: every worker is stopped and started again, one after another, and consumers see nothing of it.

use super::{Fleet, WORKERS};

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_makes_no_duplicate() {
    let mut fleet = Fleet::begin("fleet-rolling", |settings| settings).await;
    let ids: Vec<String> = (1..=WORKERS).map(|number| format!("w{number}")).collect();
    for id in &ids {
        fleet.start(id);
    }
    fleet.balanced().await;
    for id in &ids {
        fleet.terminate(id).await;
        fleet.rounds.go_on(1).await;
        fleet.start(id);
        fleet.balanced().await;
        fleet.rounds.go_on(1).await;
    }
    let report = fleet.finish().await;
    assert!(report.is_ok() && report.duplicates == 0, "{report}");
}
