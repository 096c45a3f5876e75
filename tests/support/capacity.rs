//! Capacity: what DynamoDB would bill for the requests so far, in on-demand read and write units.
//!
//! Owns the sums, by operation. A write costs a unit for each KB begun of the item's larger state, also when its condition
//! fails, and double in a transaction; a read costs a unit for each 4 KB begun of what it went over, half of that where
//! it need not be consistent.

use std::collections::BTreeMap;

use serde_json::Value;

use super::items::Item;

/// Units by operation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capacity {
    pub read: BTreeMap<&'static str, f64>,
    pub write: BTreeMap<&'static str, f64>,
}

impl Capacity {
    /// `bytes` is the size of all items that one read went over.
    pub fn reads(&mut self, operation: &'static str, bytes: usize, consistent: bool) {
        let units = units(bytes, 4_096) * if consistent { 1.0 } else { 0.5 };
        *self.read.entry(operation).or_default() += units;
    }

    /// One item's write; `factor` is 2 in a transaction.
    pub fn writes(
        &mut self,
        operation: &'static str,
        before: Option<&Item>,
        after: Option<&Item>,
        factor: f64,
    ) {
        let bytes = before.map_or(0, size_bytes).max(after.map_or(0, size_bytes));
        *self.write.entry(operation).or_default() += units(bytes, 1_024) * factor;
    }

    pub fn read_units(&self) -> f64 {
        self.read.values().sum()
    }

    pub fn write_units(&self) -> f64 {
        self.write.values().sum()
    }
}

/// At least one unit, as AWS bills.
fn units(bytes: usize, unit_bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes.div_ceil(unit_bytes).max(1)).unwrap_or(u32::MAX))
}

/// An item's size as DynamoDB counts it: attribute names and values. Close for numbers, exact for strings.
pub fn size_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    let Some((kind, content)) = value.as_object().and_then(|typed| typed.iter().next()) else { return 0 };
    match (kind.as_str(), content) {
        ("N", Value::String(digits)) => digits.len().div_ceil(2) + 1,
        // Three bytes for a list or map, and one for each of its members.
        ("L", Value::Array(values)) => 3 + values.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        ("M", Value::Object(members)) => 3 + members.len() + size_bytes(members),
        ("SS" | "NS" | "BS", Value::Array(values)) => {
            values.iter().map(|value| value.as_str().map_or(0, str::len)).sum()
        }
        (_, Value::String(text)) => text.len(),
        _ => 1,
    }
}
