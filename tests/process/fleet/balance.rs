//! Each worker holds its share, whoever joins or leaves, and no move of a lease makes a duplicate.

use super::Fleet;

#[tokio::test(flavor = "multi_thread")]
async fn leases_move_to_their_shares_without_a_duplicate() {
    let mut fleet = Fleet::begin("fleet-balance", |settings| settings).await;
    fleet.start("w1");
    fleet.balanced().await;
    fleet.rounds.go_on(2).await;
    fleet.start("w2");
    fleet.start("w3");
    fleet.balanced().await;
    fleet.rounds.go_on(2).await;
    fleet.terminate("w1").await;
    fleet.balanced().await;
    fleet.rounds.go_on(2).await;
    let report = fleet.finish().await;
    assert!(report.is_ok() && report.duplicates == 0, "{report}");
}
