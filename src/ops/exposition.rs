//! The Prometheus text format, read back: the samples of what [`super::metrics::Metrics::encode`] wrote, so that other forms
//! of the figures say the same. It reads what this program writes, not every text that the format allows. Pure.

use std::collections::BTreeMap;

/// What a metric's figure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One line's figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// As the line has it: with `_total`, `_sum`, `_count` or `_bucket`.
    pub name: String,
    pub kind: Kind,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

/// The samples, in the text's order. Lines that are none, and metrics of other kinds, are passed over.
pub fn samples(text: &str) -> Vec<Sample> {
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let kind = described.split_once(' ').and_then(|(name, kind)| Some((name, kind_of(kind)?)));
            kinds.extend(kind);
        } else if let Some(sample) = sample(line, &kinds) {
            samples.push(sample);
        }
    }
    samples
}

fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "counter" => Some(Kind::Counter),
        "gauge" => Some(Kind::Gauge),
        "histogram" => Some(Kind::Histogram),
        _ => None,
    }
}

fn sample(line: &str, kinds: &BTreeMap<&str, Kind>) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let family = ["_total", "_sum", "_count", "_bucket"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let kind = kinds.get(name).or_else(|| kinds.get(family?))?;
    Some(Sample {
        name: name.to_owned(),
        kind: *kind,
        labels: pairs(labels.strip_suffix('}')?),
        value: value.parse().ok()?,
    })
}

/// `a="x",b="y"`; a value's backslashes escape what follows them.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while let Some((name, quoted)) = rest.split_once("=\"") {
        let (mut value, mut chars) = (String::new(), quoted.char_indices());
        let mut end = quoted.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => value.extend(chars.next().map(|(_, c)| if c == 'n' { '\n' } else { c })),
                c => value.push(c),
            }
        }
        pairs.push((name.trim_start_matches(',').to_owned(), value));
        rest = &quoted[end..];
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_labels_and_values() {
        let text = "# HELP a A.\n# TYPE a counter\na_total{p=\"x\",r=\"1\"} 3\na_total{p=\"q\\\"=\\\\,\"} 4\n\
                    # TYPE b gauge\nb 1.5\n# TYPE c histogram\nc_sum{p=\"x\"} 2.0\nc_bucket{p=\"x\",le=\"+Inf\"} 7\n\
                    # TYPE d info\nd_info{v=\"1\"} 1\n# EOF\n";
        let sample = |name: &str, kind, labels: &[(&str, &str)], value| Sample {
            name: name.to_owned(),
            kind,
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            value,
        };
        assert_eq!(
            samples(text),
            [
                sample("a_total", Kind::Counter, &[("p", "x"), ("r", "1")], 3.0),
                sample("a_total", Kind::Counter, &[("p", "q\"=\\,")], 4.0),
                sample("b", Kind::Gauge, &[], 1.5),
                sample("c_sum", Kind::Histogram, &[("p", "x")], 2.0),
                sample("c_bucket", Kind::Histogram, &[("p", "x"), ("le", "+Inf")], 7.0),
            ]
        );
    }

    #[test]
    fn what_metrics_write_is_read() {
        use crate::ops::metrics::Metrics;
        let metrics = Metrics::new();
        let orders = metrics.pipeline("orders");
        orders.changes_read.inc_by(5);
        orders.put_duration.observe(0.5);
        let read = samples(&metrics.encode());
        let value = |name: &str| {
            let named = read.iter().find(|sample| sample.name == format!("ddb_kinesis_bridge_{name}"));
            named.unwrap_or_else(|| panic!("no {name}")).value
        };
        assert_eq!(value("changes_read_total"), 5.0);
        assert_eq!(value("put_duration_seconds_sum"), 0.5);
        assert_eq!(value("put_duration_seconds_count"), 1.0);
        assert_eq!(value("leases_owned"), 0.0);
    }
}
