//! What the simulation found, each kept with the kind of day that showed it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::faults::{Outage, Rates, Service};
use crate::history::{Entry, Event};
use crate::plan::{Away, Happening, Plan};
use crate::scenario::run_plan;

/// A seed's day as it was when it was found, before records could be aggregated or strict.
fn plain(seed: u64) -> Plan {
    let mut plan = Plan::draw(seed);
    plan.carriage.clear();
    plan
}

/// A day without faults for one worker and one pipeline, on which things are written and shards rotate.
pub fn calm(seed: u64) -> Plan {
    let mut plan = plain(seed);
    (plan.workers, plan.pipelines, plan.sheltered, plan.mixed) = (1, 1, false, false);
    (plan.foulest, plan.weather) = (0, BTreeMap::new());
    (plan.settings.latest, plan.settings.checkpoint_s, plan.settings.heartbeat_s) = (false, 5, 2);
    (plan.late_start, plan.away, plan.outages, plan.ambush) = (false, None, vec![], 0);
    (plan.clocks, plan.wall_off_ms) = ((1_000, 1_000), 0);
    plan.kinesis.limit = 1_000;
    plan.weights = vec![(Happening::Write, 60), (Happening::Rotate, 1)];
    plan
}

/// Plays a kind of day with some seeds.
fn holds(days: Range<u64>, of: impl Fn(u64) -> Plan) {
    for seed in days {
        assert_eq!(run_plan(&of(seed)).verdict, Ok(()), "day {seed}");
    }
}

/// The highest epoch of any lease.
fn highest_epoch(history: &[Entry]) -> u64 {
    let epoch = |entry: &Entry| match &entry.event {
        Event::Lease { row: Some(row), .. } => row.epoch,
        _ => 0,
    };
    history.iter().map(epoch).max().unwrap_or(0)
}

/// The first moment that an event of the history is of this kind.
fn first_ms(history: &[Entry], kind: impl Fn(&Event) -> bool) -> u64 {
    history.iter().find(|entry| kind(&entry.event)).map_or(u64::MAX, |entry| entry.at_ms)
}

/// The rows that discovery had just added were read only at the next full look, up to half a minute later.
#[test]
fn reading_begins_with_the_first_listing() {
    let outcome = run_plan(&calm(0));
    assert_eq!(outcome.verdict, Ok(()));
    let started_ms = first_ms(&outcome.history, |event| matches!(event, Event::Process { runs: true, .. }));
    let stored_ms = first_ms(&outcome.history, |event| matches!(event, Event::Stored { .. }));
    // A first listing takes as long as its pages, one a second.
    assert!(stored_ms < started_ms + 5_000, "started at {started_ms} ms, first record at {stored_ms} ms");
}

/// A shard that had been read to its end was started anew after each minute that Kinesis was away.
#[test]
fn a_shard_that_waits_for_kinesis_is_not_taken_for_stuck() {
    let mut plan = calm(0);
    plan.turmoil_ms = 150_000;
    plan.outages = vec![Outage { service: Service::Sink, from_ms: 10_000, until_ms: 140_000 }];
    let outcome = run_plan(&plan);
    assert_eq!(outcome.verdict, Ok(()));
    assert_eq!(highest_epoch(&outcome.history), 1, "each lease is taken once");
}

/// `start = "latest"`, a worker dead between its first send and its first checkpoint: the next one began earlier than it
/// had, and changes from in between came after later ones of their item.
#[test]
fn a_restart_behind_latest_begins_where_the_first_start_did() {
    holds(0..20, |seed| {
        let mut plan = calm(seed);
        (plan.turmoil_ms, plan.event_every_ms, plan.settings.latest) = (30_000, 300, true);
        plan.weights = vec![(Happening::Write, 60), (Happening::Kill, 6)];
        plan
    });
}

/// A drain cut short gave the lease up and went on sending what was left of the shard.
#[test]
fn a_lease_given_up_is_not_sent_for() {
    holds(0..20, |seed| {
        let mut plan = calm(seed);
        (plan.workers, plan.turmoil_ms, plan.foulest) = (2, 100_000, 400);
        plan.weights = vec![(Happening::Write, 60), (Happening::Stop, 4), (Happening::Weather, 4)];
        plan.outages = vec![Outage { service: Service::Sink, from_ms: 8_000, until_ms: 100_000 }];
        plan
    });
}

/// Retention passed changes between the discovery of their shard and its first read, and no gap was noted: a day was
/// counted from the discovery, but the shard had been there before.
#[test]
fn what_retention_takes_before_the_first_read_is_noted() {
    holds(0..20, |seed| {
        let mut plan = calm(seed);
        (plan.late_start, plan.turmoil_ms) = (true, 200_000);
        plan.weights = vec![(Happening::Write, 60), (Happening::Rotate, 1), (Happening::Cut, 6)];
        plan.outages = vec![Outage { service: Service::Source, from_ms: 4_500, until_ms: 150_000 }];
        plan
    });
}

/// A worker whose wall clock was hours ahead took young shards for old ones, and noted gaps where nothing was missing.
#[test]
fn a_wrong_wall_clock_makes_no_gaps() {
    holds(0..20, |seed| {
        let mut plan = calm(seed);
        plan.wall_off_ms = 40 * 3_600_000;
        plan.weights.push((Happening::Kill, 4));
        plan
    });
}

/// `start = "latest"`: the answer to the write that closed the first listing was lost, and so was that to the question
/// whether it had taken place. The discoverer went on as if it were still at its first listing, and began a shard that
/// was listed late only then.
#[test]
fn a_first_listing_is_over_once_it_is_stored() {
    holds(0..150, |seed| {
        let mut plan = calm(seed);
        plan.settings.latest = true;
        (plan.stream_shards, plan.turmoil_ms, plan.event_every_ms) = (3, 40_000, 300);
        plan.weather.insert(Service::Leases, Rates { lose: 400, ..Rates::default() });
        plan.weights = vec![(Happening::Write, 60)];
        plan
    });
}

/// A discoverer's write that arrived after its death, and after another had closed the first listing, entered a shard as
/// of that listing: one day in thousands, this one.
#[test]
fn a_late_write_of_the_first_listing_is_refused() {
    holds(1_690..1_700, |seed| {
        let mut plan = calm(seed);
        (plan.workers, plan.settings.latest, plan.settings.heartbeat_s) = (2, true, 1);
        (plan.stream_shards, plan.turmoil_ms, plan.event_every_ms) = (3, 60_000, 300);
        plan.weather.insert(Service::Leases, Rates { hold: 250, ..Rates::default() });
        plan.weights = vec![(Happening::Write, 60), (Happening::Kill, 2)];
        plan
    });
}

/// A worker slept for two days with changes in memory. All that descended from their shard had come and gone meanwhile,
/// and the first shard that was still there was read before they were delivered: nobody could tell that it came after.
#[test]
fn a_shard_of_unknown_descent_waits_for_its_elders() {
    holds(0..5, |seed| {
        let mut plan = calm(seed);
        (plan.away, plan.turmoil_ms, plan.kinesis.limit) = (Some(Away::Asleep), 30_000, 10);
        (plan.keys, plan.event_every_ms) = ((2, 1), 300);
        plan.weights = vec![(Happening::Write, 60), (Happening::Rotate, 1), (Happening::Burst, 3)];
        plan
    });
}

/// `start = "latest"`: a restart while what lay before the start was still being passed over forgot where that ended, for
/// the checkpoint had moved already, and carried the rest of it.
#[test]
fn what_lies_before_latest_is_passed_over_to_its_end() {
    assert_eq!(run_plan(&plain(3_034)).verdict, Ok(()));
}

/// A worker slept between a listing and what it concluded from it: a minute had passed since a shard was first missing from
/// one, but no listing had been asked for in it, and the shard was entered without its parent. The first attempt to mend it
/// counted from a listing's question, which its last page answers minutes later.
#[test]
fn a_listing_is_no_younger_than_its_question() {
    for seed in [1_557, 2_714, 8_875] {
        assert_eq!(run_plan(&plain(seed)).verdict, Ok(()), "seed {seed}");
    }
}

/// The first write of a session, sent again after its answer was lost, arrived a minute later, when the session had been
/// declared dead: it brought the incarnation back, and a paused worker woke up to heartbeats that succeeded.
#[test]
fn a_late_first_heartbeat_does_not_raise_the_dead() {
    assert_eq!(run_plan(&plain(12_124)).verdict, Ok(()));
}

/// `start = "latest"`: the first listing lacked a shard that had closed a moment before, but had its parent's and its
/// child's generations: what lay between them was carried after what came later. Where a young shard's parent is missing,
/// the listing is asked for again.
#[test]
fn a_first_listing_that_lags_behind_is_not_taken_for_the_latest() {
    holds(0..60, |seed| {
        let mut plan = calm(seed);
        (plan.settings.latest, plan.stream_shards, plan.turmoil_ms) = (true, 3, 60_000);
        plan.event_every_ms = 300;
        plan.weather.insert(Service::Source, Rates { lose: 300, ..Rates::default() });
        plan.weights = vec![(Happening::Write, 30), (Happening::RotateAll, 3)];
        plan
    });
}

/// Two workers whose wall clocks were days apart: one forgot that a shard was finished, by the other's date of it, and
/// because a listing lagged behind and lacked the young shard. The next listing would have had it read again.
#[test]
fn a_young_shard_that_is_finished_is_not_forgotten() {
    assert_eq!(run_plan(&plain(20_506)).verdict, Ok(()));
}
