//! What a change costs from GetRecords' answer to PutRecords' acknowledgement: `cargo bench --bench data_plane`, a quick
//! look with `-- --quick`. All figures are of one thread: CPU time with system calls, allocations. Machines are noisy: what
//! goes over the loopback is carried three times, and the run that took least counts. (a) and (b) are measured in a process that
//! has grown to its size, behind a first round that is not counted.
#![allow(
    clippy::disallowed_methods,
    reason = "measures threads from outside, in real time: nothing here is simulated"
)]

mod bridge;
mod canned;
mod chosen;
mod floor;
mod meter;
mod reference;
mod server;
#[path = "../../tests/support/mod.rs"]
mod support;
mod transport;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use canned::{Pages, SHAPES, Shape};
use ddb_kinesis_bridge::record::envelope::Format;
use meter::Cost;

const FORMATS: [(&str, Format); 2] = [("dynamodb_json", Format::DynamodbJson), ("json", Format::Json)];

/// What to measure: all, or what the arguments name.
struct Wanted {
    quick: bool,
    /// Only (b), for a profiler.
    only_bridge: bool,
    /// Only shapes and formats with this in their names.
    named: Vec<String>,
}

impl Wanted {
    fn from_arguments() -> Wanted {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let named = arguments.iter().filter(|argument| !argument.starts_with("--")).cloned().collect();
        Wanted { quick: has("--quick"), only_bridge: has("--only-bridge"), named }
    }

    fn wants(&self, shape: &str, format: &str) -> bool {
        self.named.iter().all(|name| shape.contains(name.as_str()) || format.contains(name.as_str()))
    }
}

fn main() {
    let wanted = Wanted::from_arguments();
    println!("CPU: {}; all figures are a change's", cpu_model());
    for shape in SHAPES {
        if FORMATS.iter().any(|(format, _)| wanted.wants(shape.name, format)) {
            measure(shape, &wanted);
        }
    }
}

fn measure(shape: Shape, wanted: &Wanted) {
    let (shards, pages_a_shard, runs) = if wanted.quick { (8, 4, 1) } else { (40, 6, 3) };
    let pages = || Pages::new(shape, shards, pages_a_shard);
    println!("\n{} in GetRecords' answer, pages of {}", shape.name, shape.records_a_page);
    let reference = (!wanted.only_bridge).then(|| {
        let carry = || reference::carry(Pages::new(shape, shards / 4, pages_a_shard));
        let (cost, changes) = least(runs, carry, |(cost, _)| cost.cpu);
        println!("  (a) reference      {}", line(&cost, changes));
        cost.micros(changes)
    });
    if !wanted.only_bridge && shape.view_type == "NEW_AND_OLD_IMAGES" {
        let pages = pages();
        for (name, left_out, cost) in chosen::measure(&pages) {
            let micros = cost.micros(pages.changes());
            let allocations = cost.allocations as f64 / pages.changes() as f64;
            let what = if left_out { "decided" } else { "encoded" };
            println!("      {name:<28} {what} in {micros:.2} µs, {allocations:.1} allocations");
        }
    }
    for (name, format) in FORMATS.into_iter().filter(|(format, _)| wanted.wants(shape.name, format)) {
        let canned = pages();
        let changes = canned.changes();
        let floor = (!wanted.only_bridge).then(|| floor::measure(&canned, format));
        let carried = least(runs, || bridge::carry(pages(), name), |carried| carried.cost.cpu);
        let ours = carried.cost.micros(carried.changes);
        println!(
            "  (b) {name:<14} {}; {:.0} records a call",
            line(&carried.cost, carried.changes),
            carried.records_a_call
        );
        let (Some(reference), Some(floor)) = (reference, floor) else { continue };
        let (parse, encode) = floor::parse_and_encode(&canned, format);
        println!(
            "      of it, alone     parse {:.2} µs, {:.1} allocations; encode {:.2} µs, {:.1} allocations",
            parse.micros(changes),
            parse.allocations as f64 / changes as f64,
            encode.micros(changes),
            encode.allocations as f64 / changes as f64,
        );
        let micros = floor.cpu_micros(changes);
        println!(
            "  (c) its floor      {micros:>6.2} µs: scan {:.2}, copy {:.2}, base64 {:.2}, SHA-256 {:.2} (by aws-lc {:.2})",
            floor.scan.micros(changes),
            floor.copy.micros(changes),
            floor.base64.micros(changes),
            floor.sha256.micros(changes),
            floor.sha256_aws_lc.micros(changes),
        );
        let transport = least(runs, || transport::carry(pages(), &floor.payloads), |cost| cost.cpu);
        let transport = transport.micros(changes);
        let own = ours - transport - floor.sha256.micros(changes);
        println!("      loopback I/O     {transport:>6.2} µs");
        println!(
            "      a/b {:.1}, b/c {:.1}; beyond I/O and hashing {own:.2} µs",
            reference / ours,
            ours / micros
        );
    }
}

/// The run that took least.
fn least<T>(runs: usize, run: impl FnMut() -> T, cpu: impl Fn(&T) -> Duration) -> T {
    std::iter::repeat_with(run).take(runs).min_by_key(cpu).expect("one run at least")
}

fn line(cost: &Cost, changes: usize) -> String {
    let micros = cost.micros(changes);
    let allocations = cost.allocations as f64 / changes as f64;
    format!("{micros:>6.2} µs, {:>7.0} a second on one core, {allocations:>5.1} allocations", 1e6 / micros)
}

fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "bench"))
}

fn cpu_model() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim_start_matches([' ', '\t', ':']).to_owned())
}
