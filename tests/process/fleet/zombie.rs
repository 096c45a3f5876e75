//! A worker that is stopped past its session and wakes: the others have its leases by then, and it must not act as if
//! they were still its own.

use super::Fleet;
use crate::harness::lease_rows::{Row, text};
use crate::harness::settings::Settings;
use crate::harness::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_after_its_session_drops_everything_and_joins_again() {
    let mut fleet = Fleet::begin("fleet-zombie", Settings::short_failover).await;
    fleet.start("w1");
    fleet.rounds.go_on(1).await;
    fleet.start("w2");
    fleet.start("w3");
    fleet.rounds.go_on(1).await;
    for id in ["w1", "w2", "w3"] {
        let sleeping = wait_for("the worker's session", async || fleet.incarnation(id).await).await;
        fleet.worker(id).freeze();
        wait_for("its session is over and its leases are others'", async || {
            let dead = fleet.incarnation(id).await.is_none();
            let taken = |row: &Row| text(row, "owner").is_some_and(|owner| owner != id);
            (dead && fleet.shard_rows().await.iter().all(taken)).then_some(())
        })
        .await;
        fleet.rounds.go_on(2).await;
        // What it had in flight may still arrive, and its timers find that much time has passed.
        fleet.worker(id).thaw();
        wait_for("it joins again", async || {
            fleet.incarnation(id).await.filter(|incarnation| *incarnation != sleeping)
        })
        .await;
        let log = fleet.worker(id).log();
        assert!(log.contains("the session is lost"), "{id} woke and said nothing of it");
        fleet.rounds.go_on(1).await;
    }
    let report = fleet.finish().await;
    assert!(report.is_ok(), "{report}");
}
