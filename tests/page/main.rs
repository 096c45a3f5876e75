//! The stage of `.ci/page`, which looks at the status page in a browser: the scripted fake of DynamoDB and Kinesis with two
//! tables, traffic on them, and what an operator has to see, made to happen by commands on standard input. `cargo test`
//! starts it, too: without the argument `--stage` it ends at once.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "drives a fake over real sockets: no worker code, nothing to replay"
)]

#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use support::Fake;
use support::fault::Fault;
use support::items::KeySchema;
use support::world::World;

/// Each table, with its stream's shards.
const TABLES: [(&str, u64); 2] = [("orders", 4), ("customers", 2)];
/// What the target streams take; the large item does not fit, so that `oversize = "halt"` halts.
const MAX_RECORD_KIB: usize = 4;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--stage") {
        serve();
    }
}

fn serve() {
    let fake = Arc::new(Fake::start());
    {
        let mut world = fake.world();
        world.quirks.creating_calls = 0;
        for (table, shards) in TABLES {
            world.create_table(table, KeySchema::hash("id", "S").and_range("line", "N"));
            let sink = format!("{table}-cdc");
            world.create_kinesis_stream(&sink, 2);
            world.kinesis_stream_mut(&sink).max_record_size_kib = MAX_RECORD_KIB as _;
            world.enable_stream(table, "NEW_AND_OLD_IMAGES", shards);
        }
    }
    let over = Arc::new(AtomicBool::new(false));
    let traffic = std::thread::spawn({
        let (fake, over) = (Arc::clone(&fake), Arc::clone(&over));
        move || write_until(&fake, &over)
    });
    say(&fake.endpoint());
    let mut denied = None;
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut world = fake.world();
        let said = match line.as_str() {
            "halt" => halt(&mut world),
            "split" => split(&mut world),
            "gap" => gap(&mut world),
            "deny" => {
                let denial = Fault::reject(400, "AccessDeniedException");
                // The queries of a pipeline's rows; sessions are still read, and so workers go on.
                let is_of_pipeline =
                    |request: &support::log::Request| request.input.to_string().contains("pipeline#");
                denied = Some(world.faults.always("Query", is_of_pipeline, [denial]));
                "denied".to_owned()
            }
            "allow" => {
                if let Some(rule) = denied.take() {
                    world.faults.lift(rule);
                }
                "allowed".to_owned()
            }
            other => format!("no command: {other}"),
        };
        drop(world);
        say(&said);
    }
    over.store(true, Ordering::Relaxed);
    traffic.join().expect("the traffic ends without a panic");
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("whoever started the stage reads it");
}

/// Some changes a second, more and fewer in turn, as charts like it.
fn write_until(fake: &Fake, over: &AtomicBool) {
    let mut round = 0_u32;
    while !over.load(Ordering::Relaxed) {
        let wave = 4.0 + 2.5 * (f64::from(round) / 70.0).sin() + (f64::from(round) / 9.0).sin();
        for (index, (table, _)) in TABLES.iter().enumerate() {
            for n in 0..(wave / (1.0 + 2.0 * index as f64)) as u32 {
                let id = format!("item-{}", (round * 7 + n * 31) % 400);
                // One that does not change an item makes no change.
                put(&mut fake.world(), table, &id, &format!("{round}.{n}"));
            }
        }
        round += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn put(world: &mut World, table: &str, id: &str, text: &str) {
    let item = json!({"id": {"S": id}, "line": {"N": "1"}, "text": {"S": text}});
    world.put(table, item).expect("a change");
}

fn stream(world: &World, table: &str) -> String {
    world.latest_stream_of(table).expect("the table has a stream").arn.clone()
}

/// A change that the target stream does not take.
fn halt(world: &mut World) -> String {
    put(world, "orders", "large", &"x".repeat(MAX_RECORD_KIB * 1_500));
    world.changes("orders").last().map(|change| change.sequence_number.clone()).unwrap_or_default()
}

/// Every open shard of `orders` gets two children.
fn split(world: &mut World) -> String {
    let arn = stream(world, "orders");
    let open = world.stream(&arn).open_shards();
    for shard in &open {
        world.split(&arn, shard);
    }
    open.join(" ")
}

/// Changes of `customers` that retention takes before anybody can have read them.
fn gap(world: &mut World) -> String {
    for n in 0..40 {
        put(world, "customers", &format!("item-{n}"), "lost to retention");
    }
    let arn = stream(world, "customers");
    let last = world.changes("customers").last().expect("there are changes").sequence_number.clone();
    let shard = world.stream(&arn).open_shards().remove(0);
    world.trim_through(&arn, &shard, &last);
    shard
}
