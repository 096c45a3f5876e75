//! The orders: what the demo's items look like. Nested maps and lists, numbers as money, a set, a null, names from
//! more alphabets than ASCII. Made from a seeded generator alone, so that a seed gives the same items again.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use super::history::{ItemKey, VERSION};

/// A DynamoDB item.
pub type Item = HashMap<String, AttributeValue>;

const CUSTOMERS: [&str; 12] = [
    "åsa.öberg",
    "bartłomiej",
    "chloé.lefèvre",
    "dvořák",
    "εlena",
    "fatima",
    "garcía.peña",
    "hélène",
    "jürgen",
    "олена",
    "sinéad",
    "zoë",
];
const PRODUCTS: [(&str, u64); 8] = [
    ("café filter, 250 g", 1_190),
    ("jalapeño sauce", 540),
    ("notebook, dotted", 890),
    ("抹茶 tin", 2_450),
    ("smörgås board", 3_900),
    ("wool socks", 1_275),
    ("piñata", 2_999),
    ("tea, Earl Grey", 725),
];
const CITIES: [(&str, &str); 6] = [
    ("Malmö", "SE"),
    ("Kraków", "PL"),
    ("München", "DE"),
    ("東京", "JP"),
    ("A Coruña", "ES"),
    ("Київ", "UA"),
];
/// What becomes of an order once it is placed.
const STATUSES: [&str; 4] = ["paid", "packed", "shipped", "delivered"];
const TAGS: [&str; 4] = ["gift", "express", "fragile", "first order"];

/// The key of item `index`; index 0 is the hot one.
pub fn key_of(index: usize) -> ItemKey {
    if index == 0 {
        return ItemKey::new([("customer", "café-central"), ("order", "running-tab")]);
    }
    // A few orders a customer, so that items share partition keys.
    let customer = index / 3;
    let name = CUSTOMERS.get(customer % CUSTOMERS.len()).copied().unwrap_or("somebody");
    ItemKey::new([("customer", format!("{name}-{customer:03}")), ("order", format!("order-{index:05}"))])
}

/// A new order.
pub fn placed(key: &ItemKey, version: u64, random: &mut StdRng) -> Item {
    let lines: Vec<(&str, u64, u64)> = (0..random.random_range(1..=4))
        .map(|_| {
            let (product, price_cents) = pick(&PRODUCTS, random, ("gift card", 2_500));
            (product, price_cents, random.random_range(1..=5))
        })
        .collect();
    let total_cents = lines.iter().map(|(_, price_cents, quantity)| price_cents * quantity).sum();
    let (city, country) = pick(&CITIES, random, ("Malmö", "SE"));
    let mut item = key_attributes(key);
    item.insert(VERSION.to_owned(), number(version));
    item.insert("status".to_owned(), string("placed"));
    item.insert("total".to_owned(), money(total_cents));
    item.insert("lines".to_owned(), AttributeValue::L(lines.into_iter().map(line).collect()));
    item.insert("ship_to".to_owned(), map([("city", string(city)), ("country", string(country))]));
    item.insert("gift".to_owned(), AttributeValue::Bool(random.random_bool(0.2)));
    item.insert("tags".to_owned(), AttributeValue::Ss(tags(random)));
    item.insert("courier".to_owned(), AttributeValue::Null(true));
    item
}

/// What an update of an order sets. The version makes each a real change.
pub fn updated(version: u64, random: &mut StdRng) -> Vec<(&'static str, AttributeValue)> {
    let mut set = vec![(VERSION, number(version)), ("status", string(status(version)))];
    if random.random_bool(0.5) {
        set.push(("total", money(random.random_range(500..50_000))));
    }
    if random.random_bool(0.25) {
        let tracking = format!("TRK{:012}", random.next_u32());
        set.push(("courier", map([("name", string("Kurýr Express")), ("tracking", string(&tracking))])));
    }
    set
}

/// An item's key as attributes.
pub fn key_attributes(key: &ItemKey) -> Item {
    ["customer", "order"]
        .into_iter()
        .map(|name| (name.to_owned(), string(key.get(name).unwrap_or_default())))
        .collect()
}

/// A number attribute.
pub fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Another one with every version.
fn status(version: u64) -> &'static str {
    let index = usize::try_from(version % STATUSES.len() as u64).unwrap_or_default();
    STATUSES.get(index).copied().unwrap_or("placed")
}

fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Units and hundredths, in the form that DynamoDB gives back: without trailing zeros.
fn money(cents: u64) -> AttributeValue {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    AttributeValue::N(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

fn map<const N: usize>(entries: [(&str, AttributeValue); N]) -> AttributeValue {
    AttributeValue::M(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn line((product, price_cents, quantity): (&str, u64, u64)) -> AttributeValue {
    map([("product", string(product)), ("price", money(price_cents)), ("quantity", number(quantity))])
}

fn tags(random: &mut StdRng) -> Vec<String> {
    // A set is never empty.
    let mut tags = vec!["web".to_owned()];
    tags.extend(TAGS.iter().filter(|_| random.random_bool(0.3)).map(|tag| (*tag).to_owned()));
    tags
}

fn pick<T: Copy>(from: &[T], random: &mut StdRng, or: T) -> T {
    from.get(random.random_range(0..from.len().max(1))).copied().unwrap_or(or)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_seed_gives_the_same_orders_again() {
        let make = |seed| {
            let mut random = StdRng::seed_from_u64(seed);
            (placed(&key_of(5), 1, &mut random), updated(2, &mut random))
        };
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
    }

    #[test]
    fn keys_differ_and_money_has_the_form_that_dynamodb_gives_back() {
        let keys: std::collections::BTreeSet<ItemKey> = (0..2_000).map(key_of).collect();
        assert_eq!(keys.len(), 2_000);
        for (cents, text) in [(1_190, "11.9"), (3_900, "39"), (725, "7.25"), (5, "0.05"), (10_000, "100")] {
            assert_eq!(money(cents), AttributeValue::N(text.to_owned()));
        }
    }
}
