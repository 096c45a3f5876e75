//! Who holds which shards, as the lease table in the fake shows it.

use std::collections::BTreeMap;

use crate::support::world::World;

/// The lease table's default name.
const LEASES: &str = "ddb-kinesis-bridge";

/// Shards by owner; those of nobody under the empty name.
pub fn holdings(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut holdings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let items = world.tables.get(LEASES).into_iter().flat_map(|table| &table.items);
    for (key, item) in items.filter(|(key, _)| key.hash == "pipeline#orders") {
        // shard#LABEL#SHARD
        let mut parts = key.range.as_deref().unwrap_or_default().split('#');
        if let (Some("shard"), Some(shard)) = (parts.next(), parts.nth(1)) {
            let owner = item.get("owner").and_then(|owner| owner["S"].as_str()).unwrap_or_default();
            holdings.entry(owner.to_owned()).or_default().push(shard.to_owned());
        }
    }
    holdings
}

/// Whether so many shards are held by exactly these workers, in shares that differ by one at most.
pub fn balanced(world: &World, shards: usize, workers: &[&str]) -> bool {
    let holdings = holdings(world);
    let shares: Vec<usize> = holdings.values().map(Vec::len).collect();
    let known = holdings.keys().all(|owner| workers.contains(&owner.as_str()));
    let (least, most) = (shares.iter().min().copied(), shares.iter().max().copied());
    known
        && holdings.len() == workers.len()
        && shares.iter().sum::<usize>() == shards
        && matches!((least, most), (Some(least), Some(most)) if most - least <= 1)
}

/// The shares, for a person: `w1 33, w2 33, w3 34`.
pub fn shares(world: &World) -> String {
    let shares = holdings(world).into_iter().map(|(owner, shards)| {
        let owner = if owner.is_empty() { "nobody".to_owned() } else { owner };
        format!("{owner} {}", shards.len())
    });
    shares.collect::<Vec<_>>().join(", ")
}
