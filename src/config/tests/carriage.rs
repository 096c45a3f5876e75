//! How records go: `ordering`, `aggregation` and `aggregate_limit`.

use super::*;

#[test]
fn aggregation_has_a_limit_and_goes_with_either_ordering() {
    let sink = |lines: &str| parse(&with("", "", lines)).unwrap().pipelines.remove(0).sink;
    let kpl = |limit_bytes| Aggregation::Kpl { limit_bytes };
    assert_eq!(sink("aggregation = \"kpl\"").aggregation, kpl(50_000));
    let strict = sink("ordering = \"strict\"\naggregation = \"kpl\"\naggregate_limit = \"1MiB\"");
    assert_eq!((strict.ordering, strict.aggregation), (Ordering::Strict, kpl(1 << 20)));
    for (text, bytes) in [("1KB", 1_000), ("10MiB", 10 << 20)] {
        let lines = format!("aggregation = \"kpl\"\naggregate_limit = \"{text}\"");
        assert_eq!(sink(&lines).aggregation, kpl(bytes));
    }
}

#[test]
fn broken_rules_of_carriage() {
    for (sink, parts) in [
        ("ordering = \"none\"", ["sink.ordering", "\"acknowledged\", \"strict\""]),
        ("aggregation = \"kpm\"", ["sink.aggregation", "did you mean \"kpl\"?"]),
        ("aggregate_limit = \"50KB\"", ["sink.aggregate_limit", "write aggregation = \"kpl\""]),
        ("aggregation = \"kpl\"\naggregate_limit = 50000", ["sink.aggregate_limit", "with its unit"]),
        ("aggregation = \"kpl\"\naggregate_limit = \"999B\"", ["aggregate_limit", "1000 B to 10.0 MiB"]),
        ("aggregation = \"kpl\"\naggregate_limit = \"11MiB\"", ["aggregate_limit", "1000 B to 10.0 MiB"]),
    ] {
        assert_one_error(&with("", "", sink), &parts);
    }
}
