//! A consumer of Kinesis shards that dies between batches and within them, and goes on from its own checkpoint.

use std::collections::BTreeMap;

use crate::high_watermark::{HighWatermark, SequenceNumber};

/// One record: an item's key and a sequence number.
pub type Record = (String, String);

/// Numbers from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Below `limit`, which is above 0. (SplitMix64.)
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("below a usize")
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// Effects by item: the numbers of the changes handled, in that order.
pub type Effects = BTreeMap<String, Vec<String>>;

/// How watermark and effect are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storing {
    /// In one transaction: what the recipe says.
    Together,
    /// The watermark at once, the effects with the batch.
    WatermarkFirst,
    /// The effects at once, the watermark with the batch.
    EffectsFirst,
}

/// How a consumer tells what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    HighWatermark,
    /// As texts, without padding.
    Texts,
    /// Only the last number is known: what differs from it is new.
    NotTheLast,
}

#[derive(Clone, Default)]
struct Stored {
    numbers: HighWatermark,
    texts: BTreeMap<String, String>,
    effects: Effects,
}

impl Stored {
    fn is_new(&mut self, telling: Telling, (item, number): &Record) -> bool {
        let number_read: SequenceNumber = number.parse().expect("a sequence number");
        match telling {
            Telling::HighWatermark => self.numbers.is_new(item, number_read),
            Telling::Texts | Telling::NotTheLast => {
                let before = self.texts.get(item);
                let is_new = before.is_none_or(|before| match telling {
                    Telling::Texts => before < number,
                    _ => before != number,
                });
                if is_new {
                    self.texts.insert(item.clone(), number.clone());
                }
                is_new
            }
        }
    }
}

/// Handles every shard to its end, dying now and then. Returns the effects, and how often a record was handed over.
pub fn consume(
    dice: &mut Dice,
    shards: &[Vec<Record>],
    telling: Telling,
    storing: Storing,
) -> (Effects, usize) {
    let mut stored = Stored::default();
    let mut places = vec![0; shards.len()];
    let mut handed_over = 0;
    // Long shards in large batches: each looks at all that is stored.
    let most = 10 + shards.iter().map(Vec::len).max().unwrap_or(0) / 20;
    loop {
        let waiting: Vec<usize> = (0..shards.len()).filter(|&n| places[n] < shards[n].len()).collect();
        if waiting.is_empty() {
            return (stored.effects, handed_over);
        }
        let shard = waiting[dice.below(waiting.len())];
        let batch = &shards[shard][places[shard]..];
        let batch = &batch[..batch.len().min(1 + dice.below(most))];
        let mut working = restarted(&stored);
        let mut died = false;
        for record in batch {
            handed_over += 1;
            if working.is_new(telling, record) {
                working.effects.entry(record.0.clone()).or_default().push(record.1.clone());
            }
            match storing {
                Storing::Together => {}
                Storing::WatermarkFirst => {
                    (stored.numbers, stored.texts) = (working.numbers.clone(), working.texts.clone());
                }
                Storing::EffectsFirst => stored.effects = working.effects.clone(),
            }
            // Within a batch: what is not stored is gone, and so is the place.
            died = dice.one_in(most);
            if died {
                break;
            }
        }
        if died {
            continue;
        }
        stored = working;
        // Behind a batch: its effects are stored, its place is not.
        if !dice.one_in(6) {
            places[shard] += batch.len();
        }
        if dice.one_in(20) {
            // Kinesis' checkpoint was older than that, or a lease moved.
            places[shard] -= dice.below(places[shard].min(most) + 1);
        }
    }
}

/// What a process finds that starts anew.
fn restarted(stored: &Stored) -> Stored {
    let entries = stored.numbers.entries();
    let numbers = entries.map(|(item, number)| {
        let text = number.to_string();
        (item.to_owned(), text.parse().expect("its own text"))
    });
    Stored { numbers: numbers.collect(), ..stored.clone() }
}

/// Where the handled changes are not each item's changes, all of them, in order, once.
pub fn differs(written: &Effects, handled: &Effects) -> Option<String> {
    let items = written.keys().chain(handled.keys());
    items
        .into_iter()
        .find(|item| written.get(*item) != handled.get(*item))
        .map(|item| format!("{item}: written {:?}, handled {:?}", written.get(item), handled.get(item)))
}
