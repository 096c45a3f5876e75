//! Histories from seeds: a bridge that crashes and goes on from an older checkpoint, lost answers, and requests of dead workers
//! that arrive late (README, "What it promises"). `SEED=n` tries one.

use std::collections::BTreeMap;

use crate::consumer::{Dice, Effects, Record, Storing, Telling, consume, differs};

/// What was written, and what Kinesis holds, shard by shard.
fn history(dice: &mut Dice) -> (Effects, Vec<Vec<Record>>) {
    // About to grow a digit, and with leaps beyond what a machine's integers hold.
    let mut number: u128 = 999_999_999_999_999_999_990;
    let items = 1 + dice.below(8);
    let mut written = Effects::new();
    let mut streams: Vec<Vec<Record>> = vec![Vec::new(); 1 + dice.below(3)];
    for _ in 0..1 + dice.below(60) {
        let leap = if dice.one_in(50) { 10u128.pow(37) } else { 1 + dice.below(9) as u128 };
        number += leap;
        let item = dice.below(items);
        let (key, text) = (format!("item-{item}"), number.to_string());
        let stream = item % streams.len();
        streams[stream].push((key.clone(), text.clone()));
        written.entry(key).or_default().push(text);
    }
    let mut kinesis = vec![Vec::new(); 1 + dice.below(3)];
    let mut late = Vec::new();
    for stream in &streams {
        let mut checkpoint = 0;
        while checkpoint < stream.len() {
            checkpoint = one_run(dice, stream, checkpoint, &mut kinesis, &mut late);
        }
    }
    late.into_iter().for_each(|record| put(&mut kinesis, record));
    (written, kinesis)
}

/// From the checkpoint to the stream shard's end or to a crash. Returns the checkpoint that the next run finds.
fn one_run(
    dice: &mut Dice,
    stream: &[Record],
    checkpoint: usize,
    kinesis: &mut [Vec<Record>],
    late: &mut Vec<Record>,
) -> usize {
    let mut lanes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, (item, _)) in stream.iter().enumerate().skip(checkpoint).rev() {
        lanes.entry(item).or_default().push(index);
    }
    let mut is_done = vec![false; stream.len()];
    for _ in 0..1 + dice.below(2 * (stream.len() - checkpoint)) {
        let Some(lane) = lanes.len().checked_sub(1).map(|last| dice.below(last + 1)) else { break };
        let key = *lanes.keys().nth(lane).expect("one of them");
        let waiting = lanes.get_mut(key).expect("it is there");
        let head = *waiting.last().expect("empty lanes are gone");
        put(kinesis, stream[head].clone());
        if dice.one_in(10) {
            late.push(stream[head].clone());
        }
        if !late.is_empty() && dice.one_in(10) {
            put(kinesis, late.swap_remove(dice.below(late.len())));
        }
        // One in six answers is lost: sent again, and nothing of the key before it.
        if !dice.one_in(6) {
            waiting.pop();
            is_done[head] = true;
        }
        lanes.retain(|_, waiting| !waiting.is_empty());
    }
    let done = (checkpoint..stream.len()).take_while(|&index| is_done[index]).count();
    if checkpoint + done == stream.len() { stream.len() } else { checkpoint + dice.below(done + 1) }
}

fn put(kinesis: &mut [Vec<Record>], record: Record) {
    let sum: usize = record.0.bytes().map(usize::from).sum();
    let shard = sum % kinesis.len();
    kinesis[shard].push(record);
}

/// What one seed comes to: the difference, and how many changes, records and deliveries there were.
fn story(seed: u64, telling: Telling, storing: Storing) -> (Option<String>, [usize; 3]) {
    let mut dice = Dice::new(seed);
    let (written, kinesis) = history(&mut dice);
    let (handled, deliveries) = consume(&mut dice, &kinesis, telling, storing);
    let count = [written.values().map(Vec::len).sum(), kinesis.iter().map(Vec::len).sum(), deliveries];
    (differs(&written, &handled), count)
}

#[test]
fn each_change_is_handled_once_and_in_order() {
    let chosen = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    let seeds = chosen.map_or(0..5_000, |seed: u64| seed..seed + 1);
    let mut all = [0; 3];
    for seed in seeds {
        let (difference, counts) = story(seed, Telling::HighWatermark, Storing::Together);
        assert_eq!(difference, None, "SEED={seed}");
        all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [changes, records, deliveries] = all;
    println!("{changes} changes, {records} Kinesis records, {deliveries} deliveries");
    assert!(chosen.is_some() || (records > changes && deliveries > records), "nothing came twice");
}

/// The histories find what is done wrong.
#[test]
fn a_consumer_that_does_otherwise_is_found() {
    for (telling, storing) in [
        (Telling::Texts, Storing::Together),
        (Telling::NotTheLast, Storing::Together),
        (Telling::HighWatermark, Storing::WatermarkFirst),
        (Telling::HighWatermark, Storing::EffectsFirst),
    ] {
        let found = (0..200).find_map(|seed| story(seed, telling, storing).0);
        assert!(found.is_some(), "{telling:?}, {storing:?} passes");
    }
}
