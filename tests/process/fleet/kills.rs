//! Workers killed one after another, each time the one that holds most, and another started in its place: under a new
//! id, or under the dead one's, which has to watch that session until it is dead.

use super::{Fleet, WORKERS};
use crate::harness::settings::Settings;
use crate::harness::wait_for;

const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_and_keep_the_order() {
    let mut fleet = Fleet::begin("fleet-kills", Settings::short_failover).await;
    for number in 1..=WORKERS {
        fleet.start(&format!("w{number}"));
    }
    fleet.rounds.go_on(1).await;
    for number in 1..=KILLS {
        let victim = holder_of_most(&fleet).await;
        let session = fleet.incarnation(&victim).await;
        fleet.kill(&victim).await;
        let in_its_place = if number % 2 == 0 { victim.clone() } else { format!("w{}", WORKERS + number) };
        fleet.start(&in_its_place);
        // A round under way at the kill is not counted, so these are all made after it.
        fleet.rounds.go_on(2).await;
        wait_for("the dead worker's session is gone", async || {
            let now = fleet.incarnation(&victim).await;
            (session.is_none() || now != session).then_some(())
        })
        .await;
    }
    let report = fleet.finish().await;
    assert!(report.is_ok(), "{report}");
}

/// The running worker with the most leases.
async fn holder_of_most(fleet: &Fleet) -> String {
    wait_for("a worker that holds leases", async || {
        let shares = fleet.shares().await;
        let running = shares.into_iter().filter(|(id, _)| fleet.workers.contains_key(id));
        running.max_by_key(|(_, held)| *held).map(|(id, _)| id)
    })
    .await
}
