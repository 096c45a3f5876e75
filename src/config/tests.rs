//! The configuration as a whole: what is accepted, what each broken rule says, and that the sample tells the truth.

mod carriage;
use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::read::known_keys;
use super::*;

const MINIMAL: &str = r#"
[[pipeline]]
name = "orders"
source.table = "orders"
sink.stream = "orders-cdc"
"#;

fn env(name: &str) -> Option<String> {
    match name {
        "HOSTNAME" => Some("host.example/1".to_owned()),
        "STAGE" => Some("prod".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, ConfigSource::File("bridge.toml".into()), &env)
}

/// The errors' lines, without the heading.
fn errors(text: &str) -> Vec<String> {
    let shown = parse(text).expect_err(text).to_string();
    let lines: Vec<String> = shown.lines().map(|line| line.trim_start().to_owned()).collect();
    if lines.len() > 1 { lines[1..].to_vec() } else { lines }
}

/// The one error's text, which must contain every part.
#[track_caller]
fn assert_one_error(text: &str, parts: &[&str]) {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    for part in parts {
        assert!(errors[0].contains(part), "{part:?} is not in: {}", errors[0]);
    }
}

/// The minimal configuration with lines before the pipeline and inside its sections.
fn with(top: &str, source: &str, sink: &str) -> String {
    format!(
        "{top}\n[[pipeline]]\nname = \"orders\"\n[pipeline.source]\ntable = \"orders\"\n{source}\n\
         [pipeline.sink]\nstream = \"orders-cdc\"\n{sink}\n"
    )
}

#[test]
fn the_minimal_configuration_has_the_documented_defaults() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.worker.shutdown_timeout, Duration::from_secs(25));
    assert_eq!(config.worker.memory_limit_bytes, 256 * 1024 * 1024);
    assert_eq!(config.lease_table.name, "ddb-kinesis-bridge");
    assert!(config.lease_table.create);
    assert_eq!(config.lease_table.heartbeat_interval, Duration::from_secs(2));
    assert_eq!(config.lease_table.failover_time, Duration::from_secs(10));
    assert_eq!(config.lease_table.checkpoint_interval, Duration::from_secs(5));
    assert_eq!(config.http.listen, Some(([127, 0, 0, 1], 9464).into()));
    let log = (config.log.level.as_str(), config.log.format);
    assert_eq!((log, config.metrics), (("info", LogFormat::Auto), Metrics::default()));
    let [pipeline] = config.pipelines.as_slice() else { panic!("{:?}", config.pipelines) };
    let none = Connection::default();
    assert_eq!(
        pipeline,
        &Pipeline {
            name: "orders".to_owned(),
            source: Source {
                of: SourceOf::Table("orders".to_owned()),
                start: Start::TrimHorizon,
                on_gap: OnGap::Continue,
                poll_interval_min: Duration::from_millis(200),
                poll_interval_max: Duration::from_secs(1),
                connection: none.clone(),
            },
            sink: Sink {
                stream: StreamName::Name("orders-cdc".to_owned()),
                max_in_flight: 8,
                linger: Duration::from_millis(10),
                ordering: Ordering::Acknowledged,
                aggregation: Aggregation::None,
                oversize: Oversize::DropImages,
                connection: none,
            },
            record: Record::default(),
        }
    );
}

#[test]
fn a_default_worker_id_is_the_host_and_a_random_suffix() {
    let ids: Vec<Worker> = (0..2).map(|_| parse(MINIMAL).unwrap().worker).collect();
    for worker in &ids {
        let suffix = worker.id.strip_prefix("host.example-1-").unwrap();
        assert!(worker.id_is_default && suffix.len() == 8 && suffix.bytes().all(|b| b.is_ascii_hexdigit()));
    }
    assert_ne!(ids[0].id, ids[1].id);
    let long = Config::parse(MINIMAL, ConfigSource::StandardInput, &|_| Some("é".repeat(500))).unwrap();
    assert_eq!(long.worker.id.len(), 128);
    let named = parse(&with("[worker]\nid = \"bridge-${STAGE}\"", "", "")).unwrap();
    assert_eq!((named.worker.id.as_str(), named.worker.id_is_default), ("bridge-prod", false));
}

#[test]
fn every_choice_and_connection_is_read() {
    let config = parse(
        r#"
        http = { listen = "" }
        log = { level = "warn,aws=info", format = "json" }
        metrics = { emf = true }
        [lease_table]
        create = false
        region = "eu-west-1"
        role_arn = "arn:aws:iam::123456789012:role/leases"
        external_id = "x-${STAGE}"
        [[pipeline]]
        name = "p"
        [pipeline.source]
        stream_arn = "arn:aws:dynamodb:eu-west-2:123456789012:table/orders/stream/2025-05-11T21:21:33.291"
        start = "latest"
        on_gap = "halt"
        endpoint_url = "http://127.0.0.1:4566"
        [pipeline.sink]
        stream = "arn:aws:kinesis:eu-west-3:123456789012:stream/s"
        region = "eu-west-3"
        linger = "0s"
        oversize = "halt"
        "#,
    )
    .unwrap();
    let [pipeline] = config.pipelines.as_slice() else { panic!("{:?}", config.pipelines) };
    assert_eq!(
        (config.http.listen, config.log.format, config.lease_table.create, config.metrics.emf),
        (None, LogFormat::Json, false, true)
    );
    assert_eq!(config.lease_table.connection.external_id.as_deref(), Some("x-prod"));
    assert_eq!(pipeline.source.of.table_name(), "orders");
    assert_eq!((pipeline.source.start, pipeline.source.on_gap), (Start::Latest, OnGap::Halt));
    assert_eq!(pipeline.source.connection.region.as_deref(), Some("eu-west-2"), "the ARN's Region");
    assert_eq!(pipeline.source.connection.endpoint_url.as_deref(), Some("http://127.0.0.1:4566"));
    assert_eq!((pipeline.sink.stream.name(), pipeline.sink.oversize), ("s", Oversize::Halt));
    assert_eq!(pipeline.sink.linger, Duration::ZERO);
}

#[test]
fn unknown_keys_are_named_with_line_suggestion_and_the_valid_keys() {
    let top = with("[worker]\nshutdown_timout = \"25s\"", "", "");
    assert_one_error(
        &top,
        &[
            "bridge.toml:2: worker.shutdown_timout: unknown key",
            "`shutdown_timeout`",
            "id, memory_limit, shutdown",
        ],
    );
    let nested = with("", "poll_interval_mim = \"1s\"", "");
    assert_one_error(
        &nested,
        &["bridge.toml:6: pipeline[0].source.poll_interval_mim", "`poll_interval_min`"],
    );
    assert_one_error(&with("[leases]\nname = \"abc\"", "", ""), &[":1: leases: unknown key", "lease_table"]);
    assert_one_error(&with("\"a b\" = 1", "", ""), &[":1: \"a b\": unknown key; remove it"]);
    assert_one_error(&MINIMAL.replace("pipeline", "pipelines"), &["pipelines", "did you mean `pipeline`?"]);
}

#[test]
fn types_are_checked() {
    for (text, parts) in [
        (with("worker = 5", "", ""), [":1: worker: ", "write it as [worker]"]),
        (with("[worker]\nshutdown_timeout = 25", "", ""), [":2: worker.shutdown_timeout", "with its unit"]),
        (with("[worker]\nmemory_limit = 268435456", "", ""), [":2: worker.memory_limit", "\"256MiB\""]),
        (with("[lease_table]\ncreate = \"yes\"", "", ""), [":2: lease_table.create", "true or false"]),
        (with("[log]\nlevel = 3", "", ""), [":2: log.level", "found the integer 3"]),
        (with("", "", "max_in_flight = \"8\""), [":9: pipeline[0].sink.max_in_flight", "whole number"]),
        (with("", "", "max_in_flight = 8.5"), ["max_in_flight", "found the number 8.5"]),
        (with("", "", "linger = []"), ["pipeline[0].sink.linger", "found an array"]),
        (with("", "start = 1979-05-27", ""), ["source.start", "found a date"]),
        ("[pipeline]\nname = \"a\"".to_owned(), [":1: pipeline: ", "write each as [[pipeline]]"]),
        ("pipeline = [3]".to_owned(), [":1: pipeline: ", "tables only"]),
    ] {
        assert_one_error(&text, &parts);
    }
}

#[test]
fn limits_are_checked() {
    for (top, source, sink, parts) in [
        ("[worker]\nshutdown_timeout = \"0s\"", "", "", ["worker.shutdown_timeout", "outside 1s to 1h"]),
        ("[worker]\nmemory_limit = \"1MiB\"", "", "", ["worker.memory_limit", "16.0 MiB to 64.0 GiB"]),
        ("[lease_table]\nheartbeat_interval = \"99ms\"", "", "", ["heartbeat_interval", "100ms to 1m"]),
        (
            "[lease_table]\nfailover_time = \"6s\"",
            "",
            "",
            ["failover_time", "not above three heartbeats (6s)"],
        ),
        (
            "[lease_table]\nheartbeat_interval = \"4s\"",
            "",
            "",
            ["failover_time: 10s", "three heartbeats (12s)"],
        ),
        ("[lease_table]\nfailover_time = \"11m\"", "", "", ["failover_time", "to 10m"]),
        ("[lease_table]\ncheckpoint_interval = \"0s\"", "", "", ["checkpoint_interval", "100ms to 10m"]),
        ("[lease_table]\nname = \"ab\"", "", "", ["lease_table.name", "DynamoDB table name"]),
        ("[lease_table]\nname = \"orders\"", "", "", ["pipeline[0].source.table", "lease table itself"]),
        ("[http]\nlisten = \"localhost:1\"", "", "", ["http.listen", "127.0.0.1:9464"]),
        ("[metrics]\nnamespace = \"AWS/Orders\"", "", "", ["metrics.namespace", "of your own"]),
        ("[log]\nlevel = \"inof\"", "", "", ["log.level", "not a log level"]),
        ("[log]\nformat = \"jsn\"", "", "", ["log.format", "did you mean \"json\"?"]),
        ("[worker]\nid = \"\"", "", "", ["worker.id", "1 to 128 letters"]),
        ("", "poll_interval_min = \"100ms\"", "", ["poll_interval_min", "5 reads a second a shard"]),
        ("", "poll_interval_min = \"2s\"", "", ["poll_interval_min", "above poll_interval_max (1s)"]),
        ("", "poll_interval_max = \"61s\"", "", ["poll_interval_max", "200ms to 1m"]),
        ("", "start = \"earliest\"", "", ["source.start", "\"trim_horizon\", \"latest\""]),
        ("", "external_id = \"abc\"", "", ["source.external_id", "role_arn"]),
        ("", "role_arn = \"bridge\"", "", ["source.role_arn", "arn:aws:iam::ACCOUNT"]),
        ("", "endpoint_url = \"localhost:4566\"", "", ["source.endpoint_url", "http://HOST:PORT"]),
        ("", "region = \"\"", "", ["source.region", "not an AWS Region"]),
        ("", "stream_arn = \"x\"", "", ["stream_arn", "exclude each other"]),
        ("", "", "max_in_flight = 0", ["max_in_flight", "0 is outside 1 to 256"]),
        ("", "", "max_in_flight = 257", ["max_in_flight", "outside 1 to 256"]),
        ("", "", "max_in_flight = -1", ["max_in_flight", "-1 is outside"]),
        ("", "", "max_in_flight = 99999999999999999999", ["max_in_flight", "outside 1 to 256"]),
        ("", "", "linger = \"1001ms\"", ["sink.linger", "outside 0s to 1s"]),
    ] {
        let text = with(top, source, sink);
        let errors = errors(&text);
        for part in parts {
            assert!(errors.iter().any(|error| error.contains(part)), "{part:?} is not in {errors:#?}");
        }
    }
}

#[test]
fn what_a_pipeline_must_say() {
    assert_one_error("", &["bridge.toml: pipeline: there is no pipeline", "[[pipeline]]"]);
    assert_one_error("pipeline = []", &["there is no pipeline"]);
    let all = errors("[worker]\n[[pipeline]]\n");
    assert_eq!(all.len(), 3, "{all:#?}");
    for (error, part) in
        all.iter().zip(["[0].name: is missing", "source.table: is missing", "sink.stream: is"])
    {
        assert!(error.starts_with("bridge.toml:2: pipeline") && error.contains(part), "{error}");
    }
    let twice = format!("{MINIMAL}{MINIMAL}");
    assert_one_error(&twice, &["bridge.toml:8: pipeline[1].name", "the pipeline on line 3"]);
}

#[test]
fn an_arn_and_its_region_agree() {
    let sink = r#"stream = "arn:aws:kinesis:eu-west-1:123456789012:stream/s""#;
    let text = with("", "", "region = \"eu-west-2\"").replace("stream = \"orders-cdc\"", sink);
    assert_one_error(
        &text,
        &[":8: pipeline[0].sink.stream", "\"eu-west-1\"", "\"eu-west-2\"", "remove `region`"],
    );
    let table = r#"table = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders""#;
    let text = with("", "region = \"eu-west-2\"", "").replace("table = \"orders\"", table);
    assert_one_error(&text, &["pipeline[0].source.table", "\"eu-west-1\""]);
}

#[test]
fn variables_reach_every_kind_of_string() {
    let text = with("[log]\nlevel = \"${LEVEL}\"\n[worker]\nshutdown_timeout = \"${TIME}\"", "", "");
    let lookup = |name: &str| match name {
        "LEVEL" => Some("debug".to_owned()),
        "TIME" => Some("7s".to_owned()),
        _ => None,
    };
    let config = Config::parse(&text, ConfigSource::Environment, &lookup).unwrap();
    assert_eq!(
        (config.log.level.as_str(), config.worker.shutdown_timeout),
        ("debug", Duration::from_secs(7))
    );
    let error = Config::parse(&text, ConfigSource::Environment, &|_| None).unwrap_err().to_string();
    assert!(
        error.contains("DDB_KINESIS_BRIDGE_CONFIG_TOML:2: log.level: the environment variable LEVEL"),
        "{error}"
    );
    assert!(
        error.contains(":4: worker.shutdown_timeout: the environment variable TIME is not set"),
        "{error}"
    );
}

#[test]
fn bad_toml_names_its_line() {
    assert_one_error("[worker]\nid = \"a\n", &["bridge.toml:2: this is not valid TOML"]);
    assert_one_error("[worker]\nid = \"a\"\nid = \"b\"\n", &["bridge.toml:3:", "duplicate key"]);
    let deep = format!("a = {}", "[".repeat(100_000));
    assert_eq!(errors(&deep).len(), 1);
}

/// Schema paths that the sample shows, set or commented out as `#key = `.
fn sample_keys() -> BTreeSet<String> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in SAMPLE.lines() {
        let setting = line.strip_prefix('#').unwrap_or(line);
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']).to_owned();
            keys.insert(section.clone());
        } else if let Some((key, _)) = setting.split_once(" = ")
            && !setting.starts_with(' ')
        {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

#[test]
fn the_sample_shows_exactly_the_known_keys() {
    assert_eq!(sample_keys(), known_keys(MINIMAL));
}

#[test]
fn the_sample_states_the_defaults() {
    let mut sample = parse(SAMPLE).unwrap();
    let minimal = parse(MINIMAL).unwrap();
    sample.worker.id.clone_from(&minimal.worker.id);
    // The sample sets every key that has a default, MINIMAL none of them.
    assert_eq!(sample, minimal);
}

#[test]
fn the_samples_commented_settings_are_valid_too() {
    let excluded = ["stream_arn", "exclude_attributes"];
    let set = |line: &str| {
        let commented =
            line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        format!(
            "{}\n",
            commented.filter(|rest| !excluded.iter().any(|key| rest.starts_with(key))).unwrap_or(line)
        )
    };
    let aggregating = SAMPLE.replace("aggregation = \"none\"", "aggregation = \"kpl\"");
    let config = parse(&aggregating.lines().map(set).collect::<String>()).unwrap();
    assert_eq!(config.worker.id, "bridge-1");
    assert!(config.pipelines[0].sink.connection.external_id.is_some());
    let arn = SAMPLE.replace("\ntable = \"orders\"", "").replace("#stream_arn", "stream_arn");
    assert!(matches!(parse(&arn).unwrap().pipelines[0].source.of, SourceOf::StreamArn(_)));
}

/// The sample with one edit: a line dropped, doubled, or a value or span replaced by `noise`.
fn mutated(kind: u8, at: usize, noise: &str) -> String {
    let mut lines: Vec<String> = SAMPLE.lines().map(str::to_owned).collect();
    let at = at % lines.len();
    match kind % 5 {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => lines[at] = format!("{} = {noise}", lines[at].split(" = ").next().unwrap_or_default()),
        3 => {
            lines[at] =
                format!("{} = {noise:?}", lines[at].trim_start_matches('#').split(" = ").next().unwrap_or(""))
        }
        _ => lines[at].push_str(noise),
    }
    lines.join("\n")
}

/// Either outcome is fine, as long as there is one and an error can be shown.
fn outcome(text: &str) {
    if let Err(error) = parse(text) {
        assert!(!error.to_string().is_empty());
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*|(\\[|\\]|=|\"|#|\\$|\\{|\\}|[a-z.\n ])*") {
        outcome(&text);
    }

    #[test]
    fn mutated_samples_never_panic(
        kind in any::<u8>(),
        at in any::<usize>(),
        noise in "\\PC{0,40}|[0-9]{1,25}[a-zA-Z]{0,3}|-?[0-9.]{1,20} ?[smhdwyMGi]{1,3}|arn:[a-z:/0-9]{0,60}|[a-z_]{0,9}://\\PC{0,20}",
    ) {
        outcome(&mutated(kind, at, &noise));
    }

    #[test]
    fn values_of_any_text_never_panic(text in "\\PC{0,60}|[\\$\\{\\}a-zA-Z=,\\[\\] ]{0,30}") {
        for key in ["worker.id", "worker.shutdown_timeout", "worker.memory_limit", "lease_table.name",
            "http.listen", "log.level", "lease_table.endpoint_url", "lease_table.role_arn"] {
            let value = toml::Value::String(text.clone());
            outcome(&format!("{key} = {value}\n{MINIMAL}"));
        }
    }
}
