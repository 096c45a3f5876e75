//! One run of the demo: everything is started, watched, stopped in turn and judged.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::StreamViewType;
use bytesize::ByteSize;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use super::checkpoints::{self, Checkpoints};
use super::clients::{Clients, Endpoints};
use super::consumer::{Consumer, Landed};
use super::emulators::Emulators;
use super::error::DemoError;
use super::figures::{Figures, resident_memory_bytes};
use super::ledger::Ledger;
use super::plan::Plan;
use super::screen::{Output, Screen, thousands};
use super::settings::{LEASE_TABLE, PIPELINE, STREAM, STREAM_SHARDS, TABLE, configuration};
use super::tables::{self, TableSpec};
use super::traffic::{Load, Traffic};
use super::verify::Arrival;

/// The plan's seed: every demo writes the same orders.
const SEED: u64 = 42;
/// Orders, existing or not.
const ITEMS: usize = 300;
/// Changes a second where none are asked for.
const DEFAULT_RATE: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// Writers at a time.
const WRITERS: usize = 16;

/// What the command line asks for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Stop and verify after this many changes; none: on until Ctrl-C.
    pub changes: Option<u64>,
    /// Changes a second. Where none is given: 200, or with `changes` as fast as the emulator takes them.
    pub rate: Option<NonZeroU32>,
    /// A run whose records stop coming fails after this.
    pub give_up_after: Duration,
}

impl Default for Options {
    /// On until Ctrl-C, at 200 changes a second.
    fn default() -> Self {
        Options { changes: None, rate: None, give_up_after: Duration::from_secs(30) }
    }
}

/// Starts the worker from a configuration's TOML text; it drains and ends once the receiver shows true. An error, or an
/// end before that, is the demo's failure.
pub type StartWorker =
    Box<dyn FnOnce(String, watch::Receiver<bool>) -> BoxFuture<'static, Result<(), String>> + Send>;

/// Runs the demo to its end; true when every change arrived and every item's order held.
///
/// # Errors
/// When something could not be started, or failed on the way.
pub async fn run(options: Options, output: Output, start_worker: StartWorker) -> Result<bool, DemoError> {
    let emulators = Emulators::start()?;
    let endpoints = Endpoints::of(&emulators);
    let clients = Clients::new(&endpoints);
    tables::create_table(&clients, &TableSpec::orders(TABLE, StreamViewType::NewAndOldImages)).await?;
    tables::create_stream(&clients, STREAM, STREAM_SHARDS).await?;
    let mut demo = Demo::start(options, Screen::new(output), clients, &endpoints, start_worker).await?;
    demo.watch().await?;
    demo.drain().await?;
    Ok(demo.judge())
}

/// What a run holds while it goes on.
struct Demo {
    options: Options,
    clients: Clients,
    ledger: Ledger,
    screen: Screen,
    figures: Figures,
    checkpoints: Checkpoints,
    consumer: Consumer,
    /// None once all is written.
    traffic: Option<Traffic>,
    worker: JoinSet<Result<(), String>>,
    stop_worker: watch::Sender<bool>,
    interrupts: mpsc::Receiver<()>,
    _listener: JoinSet<()>,
}

impl Demo {
    async fn start(
        options: Options,
        mut screen: Screen,
        clients: Clients,
        endpoints: &Endpoints,
        start_worker: StartWorker,
    ) -> Result<Self, DemoError> {
        introduce(&mut screen, &options, endpoints);
        let (ledger, figures) = (Ledger::new(), Figures::start(Instant::now()));
        let (stop_worker, stopped) = watch::channel(false);
        let mut worker = JoinSet::new();
        worker.spawn(start_worker(configuration(endpoints), stopped));
        let consumer = Consumer::start(&clients.kinesis, STREAM).await?;
        let load = Load {
            table: TABLE.to_owned(),
            changes: options.changes,
            rate: options.rate.or(options.changes.is_none().then_some(DEFAULT_RATE)),
            writers: WRITERS,
        };
        let traffic = Traffic::start(&clients.dynamodb, &load, Plan::new(SEED, ITEMS), &ledger);
        let (interrupts, listener) = listen_for_interrupts();
        Ok(Demo {
            options,
            clients,
            ledger,
            screen,
            figures,
            checkpoints: Checkpoints::default(),
            consumer,
            traffic: Some(traffic),
            worker,
            stop_worker,
            interrupts,
            _listener: listener,
        })
    }

    /// Until all is written (or Ctrl-C stops the writing) and has arrived, or nothing new arrives.
    async fn watch(&mut self) -> Result<(), DemoError> {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        seconds.tick().await;
        loop {
            tokio::select! {
                biased;
                Some(()) = self.interrupts.recv() => self.stop_writing(),
                Some(ended) = self.worker.join_next() => return Err(ended_early(ended)),
                ended = written(&mut self.traffic) => if ended? { self.traffic = None },
                _ = seconds.tick() => self.tell_second().await?,
                landed = self.consumer.next() => match landed? {
                    Some(landed) => self.land(&landed),
                    None => return Err(DemoError::new("read the Kinesis stream", "every shard of it has ended")),
                },
            }
            let all_arrived = self.traffic.is_none() && self.ledger.ask(|judge| judge.is_complete());
            if all_arrived || self.has_stalled() {
                return Ok(());
            }
        }
    }

    fn stop_writing(&mut self) {
        self.screen
            .heading("stopping: no more writes; waiting for what is under way (Ctrl-C again ends at once)");
        if let Some(traffic) = &self.traffic {
            traffic.stop();
        }
    }

    fn has_stalled(&mut self) -> bool {
        // While changes are still being written the stall clock runs too: they should be landing.
        let stalled = self.figures.idle(Instant::now()) > self.options.give_up_after
            && !self.ledger.ask(|j| j.is_complete());
        if stalled {
            let text =
                format!("nothing new arrived for {} s: giving up", self.options.give_up_after.as_secs());
            self.screen.verdict(false, &text);
            self.traffic = None;
        }
        stalled
    }

    /// Stops the worker as SIGTERM would, then reads what is left in Kinesis.
    async fn drain(&mut self) -> Result<(), DemoError> {
        self.stop_worker.send_replace(true);
        if let Some(ended) = self.worker.join_next().await {
            let ended = ended.map_err(|error| DemoError::new("stop the worker", error))?;
            ended.map_err(|error| DemoError::new("stop the worker", error))?;
        }
        self.consumer.finish();
        while let Some(landed) = self.consumer.next().await? {
            self.land(&landed);
        }
        self.tell_second().await
    }

    fn land(&mut self, landed: &Landed) {
        match self.ledger.landed(&landed.data, landed.at) {
            Ok((record, landing)) => {
                let duplicate = landing.arrival == Arrival::Duplicate;
                if !duplicate {
                    self.figures.landed(landed.at, landing.lag);
                    self.checkpoints.landed(record.sequence_number.clone());
                }
                self.screen.record(landed, &record, duplicate);
            }
            Err(why) => self.screen.verdict(false, &format!("unreadable record: {why}")),
        }
    }

    async fn tell_second(&mut self) -> Result<(), DemoError> {
        if let Some(stored) = checkpoints::read(&self.clients.dynamodb, LEASE_TABLE, PIPELINE).await? {
            self.checkpoints.stored(&stored);
        }
        let second = self.figures.second(Instant::now(), &self.ledger, self.checkpoints.covered());
        self.screen.second(&second);
        Ok(())
    }

    /// Prints the verdict.
    fn judge(&mut self) -> bool {
        let report = self.ledger.report();
        let arrived = self.ledger.ask(|judge| judge.arrived());
        let mut rows = vec![
            ("changes written", thousands(report.expected)),
            ("records delivered", thousands(report.delivered)),
            ("duplicates", thousands(report.duplicates)),
            ("missing", thousands(report.missing)),
            ("out of order", thousands(report.out_of_order)),
            ("wrong or unreadable", thousands(report.unexpected + report.undecodable)),
            ("checkpoint covers", format!("{} changes", thousands(self.checkpoints.covered()))),
            ("throughput", format!("{} changes a second", thousands(self.figures.rate(arrived)))),
            ("lag", format!("p50 {}, p99 {}", told(self.figures.lag(50)), told(self.figures.lag(99)))),
            ("first record after", told(self.figures.first_record())),
        ];
        if let Some(bytes) = resident_memory_bytes() {
            rows.push((
                "resident memory",
                format!("{} (with the emulators and their data)", ByteSize::b(bytes)),
            ));
        }
        self.screen.line("");
        self.screen.heading("Verified: what was written against what lies in Kinesis");
        for (name, value) in rows {
            self.screen.line(format_args!("  {name:<22}{value}"));
        }
        self.screen.line("");
        for problem in &report.problems {
            self.screen.line(format_args!("  {problem}"));
        }
        let good = report.is_ok();
        let verdict = if good {
            "Every change arrived, and every item's changes in their order."
        } else {
            "The promises did not hold; the problems are above."
        };
        self.screen.verdict(good, verdict);
        good
    }
}

/// A time in milliseconds, or a dash.
fn told(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{} ms", time.as_millis()))
}

fn introduce(screen: &mut Screen, options: &Options, endpoints: &Endpoints) {
    screen.heading("ddb-kinesis-bridge demo: a DynamoDB table's changes, carried into a Kinesis stream");
    screen.line("");
    screen
        .line(format_args!("  DynamoDB   {}   table {TABLE}, stream NEW_AND_OLD_IMAGES", endpoints.dynamodb));
    screen.line(format_args!("  Kinesis    {}   stream {STREAM}, {STREAM_SHARDS} shards", endpoints.kinesis));
    screen.line(
        "  worker     the one that `run` starts, over HTTP; both services are emulators in this process",
    );
    let until = match (options.changes, options.rate) {
        (Some(changes), None) => {
            format!("{changes} changes as fast as the emulator takes them, then verified")
        }
        (Some(changes), Some(rate)) => format!("{changes} changes, {rate} a second, then verified"),
        (None, rate) => {
            format!("{} changes a second; Ctrl-C stops and verifies", rate.unwrap_or(DEFAULT_RATE))
        }
    };
    screen.line(format_args!("  traffic    {until}"));
    screen.line("");
    screen.columns();
}

/// Completes when a task of the traffic ends, true for the last; never once there is none.
async fn written(traffic: &mut Option<Traffic>) -> Result<bool, DemoError> {
    match traffic {
        Some(traffic) => traffic.next_ended().await,
        None => std::future::pending().await,
    }
}

fn ended_early(ended: Result<Result<(), String>, JoinError>) -> DemoError {
    let doing = "go on: the worker has ended";
    match ended {
        Ok(Ok(())) => DemoError::new(doing, "by itself, without an error"),
        Ok(Err(error)) => DemoError::new(doing, error),
        Err(error) => DemoError::new(doing, error),
    }
}

/// The first Ctrl-C is told through the channel; a second ends the process.
fn listen_for_interrupts() -> (mpsc::Receiver<()>, JoinSet<()>) {
    let (sender, receiver) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut first = true;
        while tokio::signal::ctrl_c().await.is_ok() {
            if !first {
                std::process::exit(1);
            }
            first = false;
            // Nobody listens any more once the run is past its writing: then the second one counts.
            let _gone = sender.try_send(());
        }
    });
    (receiver, tasks)
}
