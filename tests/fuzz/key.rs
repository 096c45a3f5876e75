//! Partition keys: what Kinesis takes, the same for one item however its keys are written, and never a panic.

use std::fmt::Write as _;

use ddb_kinesis_bridge::record::key::{KeyError, PartitionKeyMode};
use ddb_kinesis_bridge::stream::json::Json as Unparsed;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::budget::fuzz;
use crate::choices::Choices;
use crate::damage::damaged;
use crate::items::{self, KeyValue, PARTITION_KEY, SORT_KEY};
use crate::pages::any_keys;
use crate::pen::Pen;
use crate::records::schema;
use crate::referee::{Json, decode, must_read};

const MODES: [PartitionKeyMode; 2] = [PartitionKeyMode::PartitionKey, PartitionKeyMode::ItemKey];

/// One item's key attributes: written once, written again, and damaged.
#[derive(Debug)]
struct Keys {
    values: (KeyValue, KeyValue),
    once: String,
    again: String,
    damaged: String,
}

#[test]
fn key() {
    fuzz("key", keys, |Keys { values, once, again, damaged }: &Keys| {
        for mode in MODES {
            let key = kinesis_key(mode, once).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(&key, &fitted(mode, &values.0.1, &values.1.1));
            prop_assert_eq!(Ok(key), kinesis_key(mode, again));
        }
        agrees_with_the_referee(damaged)
    });
}

fn keys(choices: &mut Choices<'_>) -> Keys {
    let mut accidents = choices.part(48);
    let values = any_keys(&mut Pen::new(choices));
    let mut write = || items::keys(&mut Pen::new(choices), &values.0, Some(&values.1));
    let (once, again) = (write(), write());
    let damaged =
        String::from_utf8_lossy(&damaged(&mut accidents, once.as_bytes(), again.as_bytes())).into_owned();
    Keys { values, once, again, damaged }
}

fn kinesis_key(mode: PartitionKeyMode, keys: &str) -> Result<String, KeyError> {
    let keys: Unparsed<'_> = serde_json::from_str(keys).expect("the caller writes JSON");
    schema().kinesis_key(mode, keys).map(|key| key.to_string())
}

/// Any JSON makes a key that Kinesis takes, or an error, as the referee's reading has it.
fn agrees_with_the_referee(keys: &str) -> Result<(), TestCaseError> {
    if serde_json::from_str::<Unparsed<'_>>(keys).is_err() {
        return Ok(());
    }
    let json = must_read(keys);
    for mode in MODES {
        let expected = slow_key(mode, &json);
        let found = kinesis_key(mode, keys);
        if let Ok(key) = &found {
            prop_assert!((1..=256).contains(&key.chars().count()), "{}", key);
        }
        prop_assert_eq!(found.ok(), expected);
    }
    Ok(())
}

fn slow_key(mode: PartitionKeyMode, keys: &Json<'_>) -> Option<String> {
    let has_meaning = keys.members()?.iter().all(|(name, _)| decode(name).is_some());
    let text = |name: &str| match keys.get(name)?.members()? {
        [(kind, value)] if ["S", "N", "B"].contains(&decode(kind)?.as_str()) => value.text(),
        _ => None,
    };
    let sort = if mode == PartitionKeyMode::ItemKey { text(SORT_KEY)? } else { String::new() };
    has_meaning.then_some(fitted(mode, &text(PARTITION_KEY)?, &sort))
}

/// The documented key of these texts.
fn fitted(mode: PartitionKeyMode, partition: &str, sort: &str) -> String {
    let whole = match mode {
        PartitionKeyMode::PartitionKey => partition.to_owned(),
        PartitionKeyMode::ItemKey => format!("{}:{partition}{sort}", partition.len()),
    };
    if (1..=256).contains(&whole.chars().count()) {
        return whole;
    }
    Sha256::digest(whole.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes all");
        hex
    })
}
