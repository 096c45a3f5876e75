use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::error::{ApiError, ErrorKind};
use crate::ops::board::Worst;
use crate::ops::metrics::Metrics;

const NOW_MS: u64 = 1_700_000_000_123;

/// The units of the specification's schema that may stand here.
const UNITS: [&str; 3] = ["Seconds", "Bytes", "Count"];

/// What the specification demands of every line; gives it parsed.
fn assert_keeps_the_rules(line: &str) -> Value {
    assert!(!line.contains('\n') && line.len() <= 256 * 1024, "{line}");
    let root: Value = serde_json::from_str(line).expect("a JSON object");
    let meta = root["_aws"].as_object().expect("metadata");
    assert_eq!(
        meta.keys().collect::<BTreeSet<_>>(),
        BTreeSet::from([&"CloudWatchMetrics".into(), &"Timestamp".into()])
    );
    assert_eq!(meta["Timestamp"].as_u64(), Some(NOW_MS), "milliseconds since 1970");
    for directive in meta["CloudWatchMetrics"].as_array().expect("directives") {
        let members: BTreeSet<&str> =
            directive.as_object().expect("a directive").keys().map(String::as_str).collect();
        assert_eq!(members, BTreeSet::from(["Dimensions", "Metrics", "Namespace"]));
        let namespace = directive["Namespace"].as_str().expect("a string");
        assert!((1..=255).contains(&namespace.len()));
        let sets = directive["Dimensions"].as_array().expect("sets");
        assert_eq!(sets.len(), 1, "each set would make every metric once more");
        for dimension in sets[0].as_array().expect("a set") {
            let target = &root[dimension.as_str().expect("a string")];
            assert!(target.as_str().is_some_and(|text| !text.is_empty()), "{dimension} is {target}");
        }
        let metrics = directive["Metrics"].as_array().expect("definitions");
        assert!((1..=100).contains(&metrics.len()), "{}", metrics.len());
        let mut names = BTreeSet::new();
        for metric in metrics {
            let members: BTreeSet<&str> =
                metric.as_object().expect("a definition").keys().map(String::as_str).collect();
            assert_eq!(members, BTreeSet::from(["Name", "Unit"]));
            let name = metric["Name"].as_str().expect("a string");
            assert!(names.insert(name.to_owned()), "{name} twice");
            assert!(root[name].is_number(), "{name} is {}", root[name]);
            assert!(UNITS.contains(&metric["Unit"].as_str().expect("a string")));
        }
    }
    root
}

/// The lines of what these metrics say, by pipeline.
fn told(emf: &mut Emf, metrics: &Metrics) -> BTreeMap<String, Value> {
    let lines = emf.lines(&metrics.encode(), NOW_MS);
    let parsed = lines.iter().map(|line| assert_keeps_the_rules(line));
    parsed.map(|root| (root["pipeline"].as_str().unwrap_or_default().to_owned(), root)).collect()
}

#[test]
fn a_line_a_pipeline_and_one_for_the_process() {
    let (mut emf, metrics) = (Emf::new("Bridge", "w-1"), Metrics::new());
    let (orders, _users) = (metrics.pipeline("orders"), metrics.pipeline("users"));
    orders.changes_read.inc_by(3);
    metrics.lease_losses.inc();
    let lines = told(&mut emf, &metrics);
    assert_eq!(lines.keys().collect::<Vec<_>>(), ["", "orders", "users"]);
    assert_eq!(lines["orders"]["changes_read_total"], 3.0);
    assert_eq!(lines["users"]["changes_read_total"], 0.0);
    assert_eq!(lines[""]["lease_losses_total"], 1.0);
    assert_eq!(lines[""]["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([[]]));
    assert_eq!(lines["orders"]["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["pipeline"]]));
    assert_eq!(lines["orders"]["worker"], "w-1");
}

#[test]
fn counters_are_told_as_what_came_since() {
    let (mut emf, metrics) = (Emf::new("Bridge", "w"), Metrics::new());
    let orders = metrics.pipeline("orders");
    orders.changes_read.inc_by(3);
    orders.leases_owned.set(2);
    told(&mut emf, &metrics);
    orders.changes_read.inc_by(4);
    let lines = told(&mut emf, &metrics);
    assert_eq!(
        (&lines["orders"]["changes_read_total"], &lines["orders"]["leases_owned"]),
        (&json!(4.0), &json!(2.0))
    );
}

#[test]
fn labels_that_are_no_dimension_are_summed_up() {
    let (mut emf, metrics) = (Emf::new("Bridge", "w"), Metrics::new());
    let orders = metrics.pipeline("orders");
    for n in 0..200 {
        orders.put_retry(&format!("Reason{n}"), 2);
        orders.api_error(&ApiError::new("GetRecords", ErrorKind::Transient, format!("Code{n}"), ""));
    }
    let lines = told(&mut emf, &metrics);
    assert_eq!(lines["orders"]["put_retries_total"], 400.0);
    assert_eq!(lines[""]["api_errors_total"], 200.0);
}

#[test]
fn what_was_measured_is_told_by_its_mean_and_nothing_by_nothing() {
    let (mut emf, metrics) = (Emf::new("Bridge", "w"), Metrics::new());
    let orders = metrics.pipeline("orders");
    orders.put_duration.observe(10.0);
    assert_eq!(told(&mut emf, &metrics)["orders"]["put_duration_seconds"], 10.0);
    orders.put_duration.observe(0.5);
    orders.put_duration.observe(1.5);
    assert_eq!(told(&mut emf, &metrics)["orders"]["put_duration_seconds"], 1.0);
    assert!(told(&mut emf, &metrics)["orders"]["put_duration_seconds"].is_null());
}

#[test]
fn what_is_not_known_is_left_out() {
    let (mut emf, metrics) = (Emf::new("Bridge", "w"), Metrics::new());
    let _orders = metrics.pipeline("orders");
    let mut worst = BTreeMap::new();
    metrics.look(["orders"], &worst, 7);
    let lines = told(&mut emf, &metrics);
    assert!(
        lines["orders"]["seconds_until_trim"].is_null() && lines["orders"]["shard_lag_seconds"].is_null()
    );
    assert_eq!(lines[""]["buffered_bytes"], 7.0);
    worst.insert(
        "orders".into(),
        Worst { lag: Some(Duration::from_secs(400)), waiting: Duration::from_secs(2) },
    );
    metrics.look(["orders"], &worst, 0);
    let lines = told(&mut emf, &metrics);
    assert_eq!(lines["orders"]["seconds_until_trim"], 86_000.0);
    assert_eq!(lines["orders"]["shard_lag_seconds"], 400.0);
    assert_eq!(lines["orders"]["oldest_unacknowledged_seconds"], 2.0);
    metrics.look(["orders"], &BTreeMap::new(), 0);
    assert!(told(&mut emf, &metrics)["orders"]["seconds_until_trim"].is_null(), "no shard is held any more");
}
