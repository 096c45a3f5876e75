//! CloudWatch's embedded metric format: the figures of `/metrics` as log lines from which CloudWatch Logs makes metrics. One
//! line a pipeline, its name the only dimension, and one for what the process counts as a whole. Pure.
//!
//! Specification:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::exposition::{Kind, Sample, samples};

const PREFIX: &str = "ddb_kinesis_bridge_";

/// Writes the figures' lines, one call after another: what is counted is told as what came since the call before.
#[derive(Debug)]
pub struct Emf {
    namespace: String,
    worker: String,
    counted: BTreeMap<Figure, f64>,
}

/// A figure's pipeline, empty where it has none, and its name.
type Figure = (String, String);

impl Emf {
    /// `worker` stands in each line and is no dimension: workers come and go.
    pub fn new(namespace: &str, worker: &str) -> Self {
        Emf { namespace: namespace.to_owned(), worker: worker.to_owned(), counted: BTreeMap::new() }
    }

    /// The lines for the figures as `/metrics` tells them.
    pub fn lines(&mut self, text: &str, now_ms: u64) -> Vec<String> {
        let mut totals: BTreeMap<Figure, (Kind, f64)> = BTreeMap::new();
        for Sample { name, kind, labels, value } in samples(text) {
            let Some(name) = name.strip_prefix(PREFIX).filter(|name| !name.ends_with("_bucket")) else {
                continue;
            };
            // It says which version runs, and no number.
            if name == "build_info" {
                continue;
            }
            let pipeline = labels.into_iter().find(|(label, _)| label == "pipeline").map(|(_, value)| value);
            // Over all other labels: each would be a dimension, and a metric to be paid for.
            let figure = (pipeline.unwrap_or_default(), name.to_owned());
            totals.entry(figure).or_insert((kind, 0.0)).1 += value;
        }
        let mut lines: BTreeMap<String, Vec<(String, &str, f64)>> = BTreeMap::new();
        for ((pipeline, name), value) in self.since_before(totals) {
            lines.entry(pipeline).or_default().push((name.clone(), unit(&name), value));
        }
        lines.into_iter().map(|(pipeline, figures)| self.line(&pipeline, &figures, now_ms)).collect()
    }

    /// Gauges as they are, counters and means of what was measured since the last call.
    fn since_before(&mut self, totals: BTreeMap<Figure, (Kind, f64)>) -> Vec<(Figure, f64)> {
        let mut figures = Vec::new();
        let mut measured: BTreeMap<Figure, (f64, f64)> = BTreeMap::new();
        for (figure, (kind, total)) in totals {
            if kind == Kind::Gauge {
                figures.push((figure, total));
                continue;
            }
            let before = self.counted.insert(figure.clone(), total).unwrap_or_default();
            let new = total - before;
            let (pipeline, name) = figure;
            match (kind, name.strip_suffix("_sum"), name.strip_suffix("_count")) {
                (Kind::Histogram, Some(name), _) => {
                    measured.entry((pipeline, name.to_owned())).or_default().0 = new
                }
                (Kind::Histogram, _, Some(name)) => {
                    measured.entry((pipeline, name.to_owned())).or_default().1 = new
                }
                _ => figures.push(((pipeline, name), new)),
            }
        }
        // Nothing measured has no mean: a 0 would say that all was fast.
        let means = measured.into_iter().filter(|(_, (_, count))| *count > 0.0);
        figures.extend(means.map(|(figure, (sum, count))| (figure, sum / count)));
        figures
    }

    fn line(&self, pipeline: &str, figures: &[(String, &str, f64)], now_ms: u64) -> String {
        let definitions: Vec<Value> =
            figures.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
        let dimensions = if pipeline.is_empty() { json!([[]]) } else { json!([["pipeline"]]) };
        let directive =
            json!({"Namespace": self.namespace, "Dimensions": dimensions, "Metrics": definitions});
        let mut root = Map::new();
        root.insert("_aws".to_owned(), json!({"Timestamp": now_ms, "CloudWatchMetrics": [directive]}));
        root.insert("worker".to_owned(), json!(self.worker));
        if !pipeline.is_empty() {
            root.insert("pipeline".to_owned(), json!(pipeline));
        }
        root.extend(figures.iter().map(|(name, _, value)| (name.clone(), json!(value))));
        Value::Object(root).to_string()
    }
}

fn unit(name: &str) -> &'static str {
    match name {
        name if name.contains("seconds") => "Seconds",
        name if name.ends_with("_bytes") => "Bytes",
        _ => "Count",
    }
}

#[cfg(test)]
#[path = "emf_tests.rs"]
mod tests;
