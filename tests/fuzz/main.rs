//! Fuzz targets: what comes from outside (a GetRecords answer, an item's attributes, a payload to be cut, the
//! configuration's text) never makes the bridge panic, and what parses is carried byte for byte.
//!
//! Inputs are whole and valid ones written in every way that JSON or TOML allows, the same damaged byte by byte, and
//! noise. Outcomes are judged against a slow JSON reader of the tests' own ([`referee`]), which is itself judged
//! against serde_json.
//!
//! A plain run tries the same few hundred inputs a target each time. `FUZZ_SECONDS=n cargo test --test fuzz` tries new
//! ones for n seconds a target; a failure prints the smallest input that still fails and the seed that repeats it. A
//! bug so found gets a unit test of its own beside the code it was in.

#![expect(clippy::disallowed_methods, reason = "FUZZ_SECONDS is a budget of the machine's own time")]

mod budget;
mod choices;
mod damage;
mod entropy;
mod facts;
mod items;
mod judgement;
mod pages;
mod patterns;
mod pen;
mod records;
mod referee;

mod config;
mod dynamodb_json;
mod json;
mod key;
mod page;
mod pattern;
mod selection;
mod sequence;
mod shrink;
