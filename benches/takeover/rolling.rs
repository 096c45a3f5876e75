//! A rolling restart: each of the three workers is told to stop, and started again once it has ended, under load.

use std::time::{Duration, Instant};

use crate::figures::{Figures, seconds};
use crate::leaves::count;
use crate::stage::Stage;
use crate::stage::arrivals::Arrivals;
use crate::stage::traffic::{Load, Traffic};
use crate::{STEP, Size, await_balance, start_all};

const WHAT: &str = "rolling restart";
/// From written to stored, for every change.
const DELAY: Duration = Duration::from_secs(5);
/// Changes a second of an item, while it is one of those that change.
const CHANGES_AN_ITEM: usize = 10;

pub fn measure(figures: &mut Figures, size: Size) {
    let stage = Stage::with_shards(size.shards as u64);
    let mut workers = start_all(figures, WHAT, &stage, size.shards);
    let mut arrivals = Arrivals::default();
    std::thread::scope(|scope| {
        let load = Load {
            items: stage.items(8),
            changes_a_second: size.changes_a_second,
            items_a_second: size.changes_a_second / CHANGES_AN_ITEM,
        };
        let traffic = Traffic::start(scope, &stage, load);
        stage.wait(STEP, |world| {
            arrivals.look(world);
            arrivals.all.len() >= 2 * size.changes_a_second
        });
        let mut longest_drain = Duration::ZERO;
        for number in 1..=workers.len() {
            let worker = workers.remove(0);
            let id = worker.id.clone();
            let told = Instant::now();
            worker.terminate();
            longest_drain = longest_drain.max(told.elapsed());
            workers.push(stage.start(&id));
            let line = format!("{WHAT}: {number} of 3 ended and joins, until each holds its share");
            await_balance(figures, &line, &stage, size.shards);
        }
        figures.note(&format!("{WHAT}: longest drain, until the process ended"), seconds(longest_drain));
        let (written, rate) = traffic.stop();
        figures.note(&format!("{WHAT}: changes"), format!("{written}, {rate:.0} a second"));
    });
    stage.wait(STEP, |world| arrivals.look(world) == 0);
    workers.into_iter().for_each(|worker| worker.terminate());
    arrivals.look(&stage.fake.world());
    figures.time(&format!("{WHAT}: greatest delay of a change"), Some(arrivals.greatest_delay()), DELAY);
    count(figures, WHAT, &stage, true);
}
