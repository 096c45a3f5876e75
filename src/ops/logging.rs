//! Logging: which events are written, in which form, to standard error. It owns the process's one subscriber; it
//! never decides what is worth logging, that is for the code where the event happens.

use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::config::{Log, LogFormat};

/// The environment variable that wins over `[log] level`.
const VARIABLE: &str = "RUST_LOG";

/// What a bare level is for: this program's own events. All others stay at `warn` unless they are named: at `trace` the SDK
/// and the HTTP stack write whole requests and answers, that is items.
const OURS: &str = "ddb_kinesis_bridge";

const REMEDY: &str =
    r#"write "error", "warn", "info", "debug", "trace" or "off", or a list such as "info,aws=debug""#;

/// Whether `text` is a level or a list of `target=level` directives.
///
/// A bare word must be a level. The filter's own syntax would take `inof` for a target and fall silent.
///
/// # Errors
/// A sentence saying what is wrong and what to write.
pub fn check_level(text: &str) -> Result<(), String> {
    let bad_word =
        directives(text).find(|word| !word.contains(['=', '[']) && LevelFilter::from_str(word).is_err());
    match bad_word {
        Some(word) => Err(format!("{word:?} is not a log level; {REMEDY}")),
        None => parse(text).map(drop),
    }
}

/// Starts logging for the rest of the process. `env` answers an environment variable's value (`RUST_LOG`, `NO_COLOR`).
///
/// # Errors
/// A sentence, when `RUST_LOG` is not a filter or logging was started before.
pub fn init(log: &Log, env: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    let filter = match env(VARIABLE).filter(|text| !text.trim().is_empty()) {
        Some(text) => {
            parse(&text).map_err(|error| format!("the environment variable {VARIABLE}: {error}"))?
        }
        None => parse(&log.level).map_err(|error| format!("log.level: {error}"))?,
    };
    let terminal = io::stderr().is_terminal();
    let color = terminal && env("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = layer(resolve(log.format, terminal), color, io::stderr);
    Registry::default()
        .with(filter)
        .with(layer)
        .try_init()
        .map_err(|error| format!("logging cannot be started: {error}"))
}

fn directives(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// The filter that `text` says. A bare level is for this program, and for others as far as it is no more than `warn`; a
/// directive that names a target wins.
fn parse(text: &str) -> Result<EnvFilter, String> {
    if directives(text).next().is_none() {
        return Err(format!("there is no log level; {REMEDY}"));
    }
    // The filter's parser cuts text at offsets that only hold for ASCII.
    if !text.is_ascii() {
        return Err(format!("{text:?} holds characters that no log target has; {REMEDY}"));
    }
    let (bare, named): (Vec<&str>, Vec<&str>) =
        directives(text).partition(|word| LevelFilter::from_str(word).is_ok());
    let level = bare.last().and_then(|word| LevelFilter::from_str(word).ok());
    let mut all: Vec<String> = Vec::new();
    if let Some(level) = level {
        all.extend([level.min(LevelFilter::WARN).to_string(), format!("{OURS}={level}")]);
    }
    all.extend(named.into_iter().map(str::to_owned));
    EnvFilter::builder()
        .parse(all.join(","))
        .map_err(|error| format!("{text:?} is not a log filter ({error}); {REMEDY}"))
}

/// `Auto` settled: text for people at a terminal, JSON for everything that collects logs.
fn resolve(format: LogFormat, terminal: bool) -> LogFormat {
    match format {
        LogFormat::Auto if terminal => LogFormat::Text,
        LogFormat::Auto => LogFormat::Json,
        other => other,
    }
}

/// Writes events to `writer`. A writer that fails (standard error closed) loses the line, never the process.
fn layer<S, W>(format: LogFormat, color: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    match format {
        LogFormat::Json => layer.with_ansi(false).json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text | LogFormat::Auto => layer.with_ansi(color).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written for a fixed set of events.
    fn written(level: &str, format: LogFormat) -> String {
        let out = Shared::default();
        let writer = out.clone();
        let subscriber =
            Registry::default()
                .with(parse(level).unwrap())
                .with(layer(format, false, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "aws_smithy_runtime::client", "sdk chatter");
            tracing::warn!(target: "aws_smithy_runtime::client", "sdk warning");
            tracing::info!(pipeline = "orders", "starts");
            tracing::debug!("details");
        });
        String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_sdk_is_quiet_unless_it_is_named() {
        let text = written("info", LogFormat::Text);
        assert!(text.contains("starts") && text.contains("sdk warning"), "{text}");
        assert!(!text.contains("chatter") && !text.contains("details"), "{text}");
        assert!(written("info,aws=info", LogFormat::Text).contains("chatter"));
        assert!(written("debug,aws_smithy=debug", LogFormat::Text).contains("chatter"));
        assert_eq!(written("error", LogFormat::Text), "");
        assert_eq!(written("off", LogFormat::Text), "");
        for loud in ["debug", "trace"] {
            let text = written(loud, LogFormat::Text);
            assert!(text.contains("details") && !text.contains("chatter"), "{text}");
        }
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = written("debug,aws=off", LogFormat::Json);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!((&lines[0]["message"], &lines[0]["pipeline"]), (&"starts".into(), &"orders".into()));
        assert_eq!((&lines[0]["level"], &lines[1]["level"]), (&"INFO".into(), &"DEBUG".into()));
    }

    #[test]
    fn auto_follows_the_terminal() {
        assert_eq!(resolve(LogFormat::Auto, true), LogFormat::Text);
        assert_eq!(resolve(LogFormat::Auto, false), LogFormat::Json);
        assert_eq!(resolve(LogFormat::Json, true), LogFormat::Json);
        assert_eq!(resolve(LogFormat::Text, false), LogFormat::Text);
    }

    #[test]
    fn levels_are_checked() {
        for good in ["info", "WARN", "off", "info,aws=debug", " info , hyper=off ", "[span{id=1}]=debug"] {
            assert_eq!(check_level(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            ",",
            "inof",
            "info,verbose",
            "aws=loud",
            "[span",
            "\u{3000}ab=info",
            "x,\u{3000}ab=info",
        ] {
            assert!(check_level(bad).unwrap_err().contains("write \"error\""), "{bad}");
        }
    }
}
