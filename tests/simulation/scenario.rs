//! A scenario: one run from a seed. It makes a world, starts workers, lets things happen and fail, then lets the faults
//! end, and has the oracle judge all of it on the way.

mod trouble;

use std::sync::Arc;
use std::time::Duration;

use crate::dice::Dice;
use crate::history::{Entry, Event};
use crate::machine::State as Life;
use crate::oracle::{Oracle, Rule, Violation};
use crate::plan::{Away, Happening, Plan};
use crate::process::{Process, Start};
use crate::world::World;
use crate::world::kinesis::Sink;
use crate::world::stream::{RETENTION_MS, Table};

/// Dead sessions are gone so long after the last fault, and what they were offered is taken by others.
const BURIED_WITHIN_S: u64 = 30;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    pub history: Vec<Entry>,
    pub verdict: Result<(), Violation>,
    /// From the last fault until everything was settled.
    pub settled_after_ms: u64,
    pub delivered: usize,
}

impl Outcome {
    /// The history, one line an event.
    pub fn timeline(&self) -> String {
        self.history.iter().map(|entry| format!("{entry}\n")).collect()
    }
}

/// Runs one seed from its beginning to its end.
pub fn run(seed: u64) -> Outcome {
    run_plan(&Plan::draw(seed).with_filter())
}

/// Runs a plan.
pub fn run_plan(plan: &Plan) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap_or_else(|error| panic!("a runtime: {error}"));
    runtime.block_on(async {
        let mut scenario = Scenario::new(plan);
        let result = scenario.play().await;
        let state = scenario.world.lock();
        Outcome {
            history: state.history.entries().to_vec(),
            verdict: result.map(drop),
            settled_after_ms: scenario.settled_after_ms,
            delivered: scenario.oracle.delivered(),
        }
    })
}

/// A worker's place in the fleet.
struct Seat {
    id: String,
    process: Option<Process>,
}

/// Something that was begun and ends by itself.
struct Later {
    at_ms: u64,
    what: Deed,
}

#[derive(Debug, Clone)]
enum Deed {
    /// Starts a process in this seat unless one runs there.
    Start(usize),
    Wake(usize),
    Enable(usize),
}

struct Scenario<'p> {
    plan: &'p Plan,
    world: Arc<World>,
    dice: Dice,
    seats: Vec<Seat>,
    /// Paused processes whose seat was given to a rival.
    rivals: Vec<Process>,
    started: u64,
    later: Vec<Later>,
    oracle: Oracle,
    judged: usize,
    settled_after_ms: u64,
}

impl<'p> Scenario<'p> {
    fn new(plan: &'p Plan) -> Self {
        let world = World::new(plan.seed);
        {
            let mut state = world.lock();
            for n in 0..plan.pipelines {
                state.tables.push(Table::new(&format!("table{n}")));
                state.sinks.push(Sink::new(&format!("sink-{n}"), plan.kinesis.shards, plan.kinesis.limit));
                state.sinks[n].inversions = plan.kinesis.inversions;
                state.enable(n, plan.stream_shards);
            }
        }
        let mut oracle = Oracle::default();
        if plan.settings.latest {
            oracle.latest = (0..plan.pipelines).map(|n| format!("table{n}")).collect();
        }
        oracle.left_out = plan.left_out;
        let seats = (0..plan.workers).map(|n| Seat { id: format!("w{n}"), process: None }).collect();
        Scenario {
            plan,
            world,
            dice: Dice::new(plan.seed, 1 << 33),
            seats,
            rivals: vec![],
            started: 0,
            later: vec![],
            oracle,
            judged: 0,
            settled_after_ms: 0,
        }
    }

    async fn play(&mut self) -> Result<(), Violation> {
        self.world.lock().happened(Event::Note(format!("{:?}", self.plan)));
        for _ in 0..self.dice.below(30) {
            self.write();
        }
        if self.plan.late_start {
            self.age().await?;
        }
        for seat in 0..self.seats.len() {
            let ms = self.dice.below(4_000);
            self.after(ms, Deed::Start(seat));
        }
        self.set_weather(self.plan.weather.clone());
        let began_ms = self.now_ms();
        self.world.lock().faults.outages =
            self.plan.outages.iter().map(|outage| outage.later(began_ms)).collect();
        self.world.lock().faults.ambush = self.plan.ambush;
        let until_ms = began_ms + self.plan.turmoil_ms;
        while self.now_ms() < until_ms {
            let pause_ms = self.dice.between(1, self.plan.event_every_ms);
            self.pass(pause_ms).await?;
            let happening = self.plan.next(&mut self.dice);
            self.happen(happening);
            self.tend_the_struck();
        }
        if let Some(away) = self.plan.away {
            self.go_away(away).await?;
        }
        self.calm_down().await?;
        self.settle().await?;
        self.stop_all().await
    }

    fn now_ms(&self) -> u64 {
        self.world.lock().now_ms
    }

    /// Lets time pass, does what falls due in it, and has the oracle judge what happened.
    async fn pass(&mut self, ms: u64) -> Result<(), Violation> {
        let until_ms = self.now_ms() + ms;
        loop {
            let next = self.later.iter().enumerate().min_by_key(|(index, later)| (later.at_ms, *index));
            let (index, at_ms) = match next {
                Some((index, later)) if later.at_ms <= until_ms => (Some(index), later.at_ms),
                _ => (None, until_ms),
            };
            let left_ms = at_ms.saturating_sub(self.now_ms());
            tokio::time::sleep(Duration::from_millis(left_ms)).await;
            self.judge()?;
            match index {
                Some(index) => {
                    let later = self.later.remove(index);
                    self.act(&later.what);
                }
                None => return Ok(()),
            }
        }
    }

    fn judge(&mut self) -> Result<(), Violation> {
        let state = self.world.lock();
        for entry in &state.history.entries()[self.judged..] {
            self.judged += 1;
            self.oracle.see(entry)?;
        }
        Ok(())
    }

    fn after(&mut self, ms: u64, what: Deed) {
        let at_ms = self.now_ms() + ms;
        self.later.push(Later { at_ms, what });
    }

    fn act(&mut self, deed: &Deed) {
        match *deed {
            Deed::Start(seat) => self.start(seat),
            Deed::Wake(seat) => {
                if let Some(process) = self.seats[seat].process.as_ref() {
                    process.wake(&self.world);
                }
            }
            Deed::Enable(table) => {
                let shards = u32::try_from(self.dice.between(1, 2)).unwrap_or(1);
                self.world.lock().enable(table, shards);
            }
        }
    }

    fn start(&mut self, seat: usize) {
        if self.seats[seat].process.as_ref().is_some_and(|process| !process.has_ended()) {
            return;
        }
        let start = Start {
            id: self.seats[seat].id.clone(),
            number: self.started,
            seed: self.plan.seed,
            rate: u32::try_from(self.dice.between(self.plan.clocks.0, self.plan.clocks.1)).unwrap_or(1_000),
            wall_off_ms: self.plan.wall_off_ms,
            memory_limit_bytes: self.plan.settings.memory_limit_mib << 20,
            config: self.plan.config(seat),
        };
        self.started += 1;
        self.seats[seat].process = Some(Process::start(&self.world, &start));
    }

    fn write(&mut self) {
        let table = self.a_table();
        // A third of all changes fall on one hot partition key, whose items are of several shards.
        let partition = if self.dice.chance(300) { 0 } else { self.dice.below(self.plan.keys.0) };
        let sort = self.dice.below(self.plan.keys.1);
        let payload = usize::try_from(self.dice.below(60)).unwrap_or(0);
        self.world.lock().write(table, partition, sort, payload);
    }

    fn a_table(&mut self) -> usize {
        usize::try_from(self.dice.below(self.plan.pipelines as u64)).unwrap_or(0)
    }

    /// A seat whose process runs and is not paused.
    fn a_running_seat(&mut self) -> Option<usize> {
        let runs = |seat: &Seat| {
            seat.process
                .as_ref()
                .is_some_and(|process| !process.has_ended() && process.life.state() == Life::Running)
        };
        let running: Vec<usize> = (0..self.seats.len()).filter(|seat| runs(&self.seats[*seat])).collect();
        self.dice.pick(&running)
    }

    /// Changes and rotations of some minutes, and then nothing until retention has all but reached them.
    async fn age(&mut self) -> Result<(), Violation> {
        let young_ms = self.dice.between(10_000, 200_000);
        while self.now_ms() < young_ms {
            let pause_ms = self.dice.between(1, 4_000);
            self.pass(pause_ms).await?;
            let happening = if self.dice.chance(100) { Happening::Rotate } else { Happening::Write };
            self.happen(happening);
        }
        let now_ms = RETENTION_MS - self.dice.below(60_000);
        self.pass(now_ms.saturating_sub(self.now_ms())).await
    }

    /// Nobody runs for about as long as changes are kept, or longer, while shards rotate.
    async fn go_away(&mut self, away: Away) -> Result<(), Violation> {
        for process in self.seats.iter().filter_map(|seat| seat.process.as_ref()).chain(&self.rivals) {
            match away {
                Away::Dead => process.kill(&self.world),
                Away::Asleep if process.has_ended() => {}
                Away::Asleep => process.pause(&self.world),
            }
        }
        if away == Away::Dead {
            self.rivals.clear();
        }
        self.later.retain(|later| matches!(later.what, Deed::Enable(_)));
        let hours = self.dice.pick(&[22, 25, 27, 30, 50]).unwrap_or(30);
        for hour in 0..hours {
            (0..self.dice.below(6)).for_each(|_| self.write());
            if hour % 4 == 3 {
                self.reshard(1, true);
            }
            self.pass(3_600_000).await?;
            self.world.lock().trim();
        }
        for seat in 0..self.seats.len() {
            let back = if away == Away::Asleep { Deed::Wake(seat) } else { Deed::Start(seat) };
            self.after(1_000 * seat as u64, back);
        }
        // The faults go on for a while: whoever comes back meets them.
        let still_foul_ms = self.dice.below(60_000);
        self.pass(still_foul_ms).await
    }

    /// The faults end, and whoever can run, runs.
    async fn calm_down(&mut self) -> Result<(), Violation> {
        {
            let mut state = self.world.lock();
            state.faults.over();
            state.happened(Event::FaultsOver);
        }
        self.tend_the_struck();
        let pending = std::mem::take(&mut self.later);
        pending
            .iter()
            .filter(|later| !matches!(later.what, Deed::Start(_)))
            .for_each(|later| self.act(&later.what));
        for rival in &self.rivals {
            rival.wake(&self.world);
        }
        // A worker told to stop may still be at it: whoever comes after it starts later.
        self.start(0);
        self.after(40_000, Deed::Start(0));
        (1..self.seats.len()).for_each(|seat| {
            if self.dice.chance(500) {
                self.start(seat)
            }
        });
        self.pass(1_000).await
    }

    async fn settle(&mut self) -> Result<(), Violation> {
        let began_ms = self.now_ms();
        loop {
            self.pass(1_000).await?;
            self.settled_after_ms = self.now_ms() - began_ms;
            // The oracle itself loses patience.
            if self.oracle.unsettled().is_none() {
                break;
            }
        }
        self.world.lock().happened(Event::Settled);
        self.oracle.lost()?;
        self.rest().await
    }

    /// Nobody comes or goes: for a while no lease moves.
    async fn rest(&mut self) -> Result<(), Violation> {
        let will_start = self.seats[0].process.as_ref().is_none_or(Process::has_ended);
        if !will_start && !self.oracle.is_anybody_on_the_move() {
            // Who died just before the end may have had no lease: all was settled before others could know.
            for _ in 0..BURIED_WITHIN_S {
                if self.oracle.is_any_unburied() || self.oracle.unsettled().is_some() {
                    self.pass(1_000).await?;
                }
            }
            self.oracle.at_rest = true;
            self.pass(15_000).await?;
            self.oracle.at_rest = false;
        }
        Ok(())
    }

    /// Everybody is told to stop; then no lease has an owner and no session is left.
    async fn stop_all(&mut self) -> Result<(), Violation> {
        self.later.clear();
        let told_ms = self.now_ms();
        let processes = || self.seats.iter().filter_map(|seat| seat.process.as_ref()).chain(&self.rivals);
        processes().for_each(Process::stop);
        self.pass(30_000).await?;
        let left =
            self.seats.iter().filter_map(|seat| seat.process.as_ref()).find(|process| !process.has_ended());
        if let Some(process) = left {
            let what = format!("{} was told to stop half a minute ago and runs", process.who);
            return Err(Violation { rule: Rule::Liveness, what });
        }
        if self.plan.sheltered {
            self.oracle.inversions.all_counted()?;
        }
        self.oracle.all_released(told_ms)
    }
}
