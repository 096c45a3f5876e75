//! One worker of three leaves, by SIGTERM or by SIGKILL, under steady changes to every shard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::figures::{Figures, seconds};
use crate::stage::arrivals::Arrivals;
use crate::stage::leases::holdings;
use crate::stage::traffic::{Load, Traffic};
use crate::stage::{SINK, Stage, TABLE};
use crate::support::judge::judge;
use crate::support::payload::{Format, delivered};
use crate::{STEP, Size, start_all};

/// To every shard.
const CHANGES_A_SECOND: usize = 5;

pub fn measure(figures: &mut Figures, what: &str, size: Size, signal: Signal, target: Duration) {
    let stage = Stage::with_shards(size.shards as u64);
    let mut workers = start_all(figures, what, &stage, size.shards);
    let mut arrivals = Arrivals::default();
    std::thread::scope(|scope| {
        let items = stage.items(1);
        let load =
            Load { changes_a_second: CHANGES_A_SECOND * items.len(), items_a_second: items.len(), items };
        let traffic = Traffic::start(scope, &stage, load);
        let flowing = stage.wait(STEP, |world| {
            arrivals.look(world);
            let shards: BTreeSet<&str> = arrivals.all.iter().map(|arrival| arrival.shard.as_str()).collect();
            shards.len() == size.shards
        });
        assert!(flowing.is_some(), "changes of every shard arrive before anything is ended");

        // Whoever holds most, so that the bench has something to say also while nothing is balanced.
        let holdings = holdings(&stage.fake.world());
        let most =
            workers.iter().enumerate().max_by_key(|(_, worker)| holdings.get(&worker.id).map_or(0, Vec::len));
        let mut victim = workers.remove(most.expect("three workers run").0);
        let shards = holdings[&victim.id].clone();
        let signalled = Instant::now();
        victim.signal(signal);
        let mut taken_up: BTreeMap<&str, Duration> = BTreeMap::new();
        let mut seen = 0;
        stage.wait(STEP, |world| {
            arrivals.look(world);
            for arrival in &arrivals.all[seen..] {
                let Some(shard) = shards.iter().find(|shard| **shard == arrival.shard) else { continue };
                if arrival.written > signalled && arrival.by != victim.id {
                    taken_up.entry(shard.as_str()).or_insert(arrival.stored - signalled);
                }
            }
            seen = arrivals.all.len();
            taken_up.len() == shards.len()
        });
        let times: Vec<Duration> = taken_up.into_values().collect();
        let never = shards.len() - times.len();
        let line = format!("{what}: until another delivers, each of {} shards", shards.len());
        figures.times(&line, times, never, target);
        let ended = victim.wait();
        figures.note(&format!("{what}: until its process has ended, at most"), seconds(signalled.elapsed()));
        if signal == Signal::TERM {
            assert_eq!(ended.code(), Some(0), "{ended}\n{}", victim.log());
        }
        let (written, rate) = traffic.stop();
        figures.note(&format!("{what}: changes"), format!("{written}, {rate:.0} a second"));
    });
    stage.wait(STEP, |world| arrivals.look(world) == 0);
    workers.into_iter().for_each(|worker| worker.terminate());
    count(figures, what, &stage, signal == Signal::TERM);
}

/// What must not be, once all has come to rest.
pub fn count(figures: &mut Figures, what: &str, stage: &Stage, once: bool) {
    let world = stage.fake.world();
    let report = judge(&world.changes(TABLE), &delivered(world.kinesis_stream(SINK), Format::DynamoDbJson));
    figures.none_of(&format!("{what}: missing"), report.missing.len());
    figures.none_of(&format!("{what}: out of order"), report.inversions.len() + report.unexpected.len());
    if once {
        figures.none_of(&format!("{what}: duplicates"), report.duplicates.len());
    } else {
        figures.note(&format!("{what}: duplicates"), report.duplicates.len().to_string());
    }
}
