//! Stage two, the process's own sections: `[worker]`, `[lease_table]`, `[http]`, `[metrics]` and `[log]`, with their defaults
//! and limits. Pipelines are read in `pipeline`.

use std::net::SocketAddr;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use toml::de::DeTable;

use super::connection;
use super::error::Problem;
use super::names;
use super::pipeline;
use super::section::{Document, Section, line_of};
use super::settings::{Config, Http, LeaseTable, Log, LogFormat, Metrics, SourceOf, Worker};
use super::values::{Limits, quoted};
use crate::ops::logging;

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

const MIB: u64 = 1024 * 1024;

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The configuration that `text` says, or every rule that it breaks.
pub(super) fn config(text: &str, env: Env<'_>) -> Result<Config, Vec<Problem>> {
    let table = DeTable::parse(text).map_err(|error| vec![syntax_problem(text, &error)])?;
    let document = Document::new(text, env);
    let config = whole(&document.root(table.get_ref()), env);
    let (problems, _) = document.finish();
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

fn syntax_problem(text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map(|span| line_of(text, span.start));
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    Problem::of_text(line, format!("this is not valid TOML: {message}; correct this line"))
}

fn whole(root: &Section<'_>, env: Env<'_>) -> Config {
    let worker = worker(&root.section("worker"), env);
    let lease_table = lease_table(&root.section("lease_table"));
    let http = http(&root.section("http"));
    let metrics = metrics(&root.section("metrics"));
    let log = log(&root.section("log"));
    let before = root.problems();
    let config = Config { worker, lease_table, http, metrics, log, pipelines: pipeline::all(root) };
    root.reject_unknown_keys();
    // A misspelt or misshapen `pipeline` has been rejected by now, and says more than its absence.
    if config.pipelines.is_empty() && root.problems() == before {
        root.reject(
            "pipeline",
            "there is no pipeline; add at least one [[pipeline]] (`ddb-kinesis-bridge config` prints a sample)",
        );
    }
    if root.problems() == 0 {
        reject_own_lease_table(root, &config);
    }
    config
}

fn worker(section: &Section<'_>, env: Env<'_>) -> Worker {
    let id = section.parsed("id", "a name in quotes", names::identifier);
    let worker = Worker {
        id_is_default: id.is_none(),
        id: id.unwrap_or_else(|| default_worker_id(section, env)),
        shutdown_timeout: section.duration("shutdown_timeout", secs(25), Limits::new(secs(1), secs(3600))),
        memory_limit_bytes: section.size_bytes(
            "memory_limit",
            256 * MIB,
            Limits::new(16 * MIB, 64 * 1024 * MIB),
        ),
    };
    section.reject_unknown_keys();
    worker
}

/// Host name and a random suffix, so that two starts on one host never meet in the lease table.
fn default_worker_id(section: &Section<'_>, env: Env<'_>) -> String {
    let host = env("HOSTNAME").filter(|name| !name.is_empty());
    let host = host.unwrap_or_else(|| gethostname::gethostname().to_string_lossy().into_owned());
    let random = SysRng.try_next_u32().unwrap_or_else(|error| {
        section.reject("id", format!("no random id can be made up ({error}); set one here"));
        0
    });
    let suffix = format!("-{random:08x}");
    let sane = |c| if names::is_name_char(c) { c } else { '-' };
    let mut id: String = host.chars().take(names::MAX_IDENTIFIER_CHARS - suffix.len()).map(sane).collect();
    if id.is_empty() {
        id.push_str("worker");
    }
    id + &suffix
}

fn lease_table(section: &Section<'_>) -> LeaseTable {
    let before = section.problems();
    let table = LeaseTable {
        name: section
            .parsed("name", "a table name in quotes", names::table)
            .unwrap_or_else(|| "ddb-kinesis-bridge".to_owned()),
        create: section.boolean("create", true),
        heartbeat_interval: section.duration(
            "heartbeat_interval",
            secs(2),
            Limits::new(millis(100), secs(60)),
        ),
        failover_time: section.duration("failover_time", secs(10), Limits::new(millis(300), secs(600))),
        checkpoint_interval: section.duration(
            "checkpoint_interval",
            secs(5),
            Limits::new(millis(100), secs(600)),
        ),
        connection: connection::read(section),
    };
    if section.problems() == before && table.failover_time <= table.heartbeat_interval * 3 {
        let (failover, three) = (table.failover_time, table.heartbeat_interval * 3);
        section.reject(
            "failover_time",
            format!(
                "{} is not above three heartbeats ({}), so a worker that misses a heartbeat or two would be \
                 taken for dead; raise failover_time or lower heartbeat_interval",
                humantime::format_duration(failover),
                humantime::format_duration(three)
            ),
        );
    }
    section.reject_unknown_keys();
    table
}

fn http(section: &Section<'_>) -> Http {
    let default = SocketAddr::from(([127, 0, 0, 1], 9464));
    let listen = section.parsed("listen", r#"an address in quotes, such as "127.0.0.1:9464""#, |text| {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            format!(
                "{} is not an IP address and port; write for example \"127.0.0.1:9464\", \"[::]:9464\", or \"\" \
                 to turn HTTP off",
                quoted(text)
            )
        })
    });
    section.reject_unknown_keys();
    Http { listen: listen.unwrap_or(Some(default)) }
}

fn metrics(section: &Section<'_>) -> Metrics {
    let default = Metrics::default();
    let metrics = Metrics {
        emf: section.boolean("emf", default.emf),
        namespace: section
            .parsed("namespace", "a CloudWatch namespace in quotes", names::namespace)
            .unwrap_or(default.namespace),
    };
    section.reject_unknown_keys();
    metrics
}

fn log(section: &Section<'_>) -> Log {
    let default = Log::default();
    let check = |text: &str| logging::check_level(text).map(|()| text.to_owned());
    let log = Log {
        level: section
            .parsed("level", r#"a level in quotes, such as "info""#, check)
            .unwrap_or(default.level),
        format: section.choice(
            "format",
            default.format,
            &[("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)],
        ),
    };
    section.reject_unknown_keys();
    log
}

/// A pipeline on the lease table itself would feed on its own checkpoints for ever.
fn reject_own_lease_table(root: &Section<'_>, config: &Config) {
    let lease = &config.lease_table;
    for (pipeline, section) in config.pipelines.iter().zip(root.sections("pipeline")) {
        let source = &pipeline.source;
        if source.of.table_name() == lease.name && source.connection == lease.connection {
            let key = if matches!(source.of, SourceOf::Table(_)) { "table" } else { "stream_arn" };
            section.section("source").reject(
                key,
                "is the lease table itself, whose every checkpoint would be a new change; choose another table, \
                 or another lease_table.name",
            );
        }
    }
}

#[cfg(test)]
pub(super) fn known_keys(text: &str) -> std::collections::BTreeSet<String> {
    let table = DeTable::parse(text).expect("the test's text is TOML");
    let document = Document::new(text, &|_| None);
    whole(&document.root(table.get_ref()), &|_| None);
    document.finish().1
}
