//! The command line from outside: the built binary's exit codes, and what it says on which stream.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use ddb_kinesis_bridge::config::{CONFIG_VARIABLE, Config, ConfigSource, SAMPLE};

/// Valid, and pointing at an address where nothing listens.
const VALID: &str = r#"
[http]
listen = ""
[lease_table]
endpoint_url = "http://127.0.0.1:1"
[[pipeline]]
name = "orders"
[pipeline.source]
table = "orders"
endpoint_url = "http://127.0.0.1:1"
[pipeline.sink]
stream = "orders-cdc"
endpoint_url = "http://127.0.0.1:1"
"#;

/// The binary with an environment of its own: nothing of the machine's configuration or credentials.
fn bridge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddb-kinesis-bridge"));
    command
        .env_clear()
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("the built binary starts")
}

fn with_input(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn check(path: &Path) -> Output {
    output(bridge().args(["check", "--config"]).arg(path))
}

/// A usage or configuration error: exit code 2, `error: …` with every part, nothing on standard output.
#[track_caller]
fn assert_refused(output: &Output, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(stderr.starts_with("error: "), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
    }
    for part in ["panicked", "RUST_BACKTRACE", "Problem {", "ConfigError"] {
        assert!(!stderr.contains(part), "{stderr}");
    }
}

/// The same for a configuration with this text.
#[track_caller]
fn assert_text_refused(text: &str, parts: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bridge.toml");
    std::fs::write(&path, text).unwrap();
    let output = check(&path);
    assert_refused(&output, parts);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(&*path.to_string_lossy()), "the file is named: {stderr}");
}

#[test]
fn unreadable_configurations() {
    let dir = tempfile::tempdir().unwrap();
    assert_refused(
        &check(&dir.path().join("absent.toml")),
        &["absent.toml", "no such file", "config` prints"],
    );
    assert_refused(&check(dir.path()), &["is a directory"]);
    let latin = dir.path().join("latin.toml");
    std::fs::write(&latin, b"# a\n# \xe9\n").unwrap();
    assert_refused(&check(&latin), &["latin.toml", "line 2 is not UTF-8"]);
    let large = dir.path().join("large.toml");
    std::fs::write(&large, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert_refused(&check(&large), &["larger than 1 MiB"]);
}

#[test]
fn no_configuration_at_all() {
    for command in ["run", "check", "status", "health"] {
        let output = output(bridge().arg(command));
        assert_refused(
            &output,
            &["--config FILE", "--config -", CONFIG_VARIABLE, "`ddb-kinesis-bridge config`"],
        );
    }
}

#[test]
fn broken_rules_name_line_key_and_remedy() {
    let pipeline = "[[pipeline]]\nname = \"a\"\nsource.table = \"orders\"\nsink.stream = \"s\"\n";
    for (text, parts) in [
        ("[worker\n".to_owned(), ["toml:1: ", "not valid TOML"]),
        (format!("workr.id = \"a\"\n{pipeline}"), ["toml:1: workr: unknown key", "did you mean `worker`?"]),
        (format!("{pipeline}sink.lingr = \"1s\"\n"), ["toml:5: pipeline[0].sink.lingr", "`linger`"]),
        (format!("worker.id = 5\n{pipeline}"), ["toml:1: worker.id", "found the integer 5"]),
        (format!("worker.shutdown_timeout = \"soon\"\n{pipeline}"), ["worker.shutdown_timeout", "\"5s\""]),
        (format!("worker.memory_limit = \"much\"\n{pipeline}"), ["worker.memory_limit", "\"256MiB\""]),
        (format!("{pipeline}{pipeline}"), ["toml:6: pipeline[1].name", "line 2"]),
        (format!("lease_table.failover_time = \"6s\"\n{pipeline}"), ["toml:1: ", "three heartbeats"]),
        (format!("lease_table.checkpoint_interval = \"0s\"\n{pipeline}"), ["checkpoint_interval", "outside"]),
        (format!("{pipeline}sink.max_in_flight = 0\n"), ["max_in_flight", "1 to 256"]),
        (
            format!("worker.id = \"${{UNSET_HERE}}\"\n{pipeline}"),
            ["worker.id", "variable UNSET_HERE is not set"],
        ),
    ] {
        assert_text_refused(&text, &parts);
    }
}

#[test]
fn every_error_is_reported_at_once() {
    let text = "[worker]\nid = 5\nidd = 6\n[[pipeline]]\n";
    assert_text_refused(text, &["5 errors", ":2: worker.id", ":3: worker.idd", ":4: pipeline[0].name"]);
}

#[test]
fn standard_input_and_the_environment_are_read() {
    let broken = format!("{VALID}lingr = 1\n");
    let read_in = with_input(bridge().args(["check", "--config", "-"]), &broken);
    assert_refused(&read_in, &["standard input:14: pipeline[0].sink.lingr"]);
    let in_environment = output(bridge().arg("check").env(CONFIG_VARIABLE, &broken));
    assert_refused(&in_environment, &[&format!("{CONFIG_VARIABLE}:14: pipeline[0].sink.lingr")]);
    let both = with_input(bridge().args(["check", "-c", "-"]).env(CONFIG_VARIABLE, VALID), &broken);
    assert_refused(&both, &["standard input:14:"]);
}

#[test]
fn a_valid_configuration_is_no_usage_error() {
    let read_in = with_input(bridge().args(["check", "--config", "-"]), VALID);
    let in_environment = output(bridge().arg("check").env(CONFIG_VARIABLE, VALID));
    for output in [read_in, in_environment] {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "nothing listens there: {stderr}");
    }
}

#[test]
fn a_bad_rust_log_is_a_usage_error() {
    let output = with_input(bridge().args(["check", "-c", "-"]).env("RUST_LOG", "aws=loud"), VALID);
    assert_refused(&output, &["RUST_LOG", "aws=loud", "write \"error\""]);
}

#[test]
fn the_printed_sample_is_a_valid_configuration() {
    let output = output(bridge().arg("config"));
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, SAMPLE);
    Config::parse(&text, ConfigSource::StandardInput, &|_| None).unwrap();
}

#[test]
fn a_closed_standard_output_is_no_failure() {
    for arguments in [&["config"][..], &["completions", "bash"]] {
        // The reader is gone before the process starts: every write meets a broken pipe.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = output(bridge().args(arguments).stdout(writer));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    }
}

#[test]
fn usage_errors_help_and_version() {
    for arguments in [&["fly"][..], &["run", "--fast"], &["completions", "cobol"], &[]] {
        let output = output(bridge().args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let output = output(bridge().args(arguments));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn rewind_wants_a_target_and_somebody_who_agrees() {
    for (arguments, part) in [
        (&[][..], "--to"),
        (&["--to", "latest"], "sequence number"),
        (&["--to", "trim_horizon", "--mark", ""], "1 to 128 characters"),
        (&["--adopt", "--mark", "m"], "--to"),
        (&["--adopt", "--shard", "s"], "--to"),
        (&["--to", "1", "--adopt", "--shard", "s"], "--adopt"),
    ] {
        let output = output(bridge().arg("rewind").args(arguments));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
    let rewind = ["rewind", "--config", "-", "--to", "trim_horizon"];
    assert_refused(&with_input(bridge().args(rewind), VALID), &["no terminal", "--yes"]);
}

/// Accepts connections and never answers.
fn silent() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn health_wants_somebody_to_ask() {
    assert_refused(
        &with_input(bridge().args(["health", "-c", "-"]), VALID),
        &["[http] listen is \"\"", "9464"],
    );
    let any = VALID.replace("listen = \"\"", "listen = \"127.0.0.1:0\"");
    assert_refused(&with_input(bridge().args(["health", "-c", "-"]), &any), &["127.0.0.1:0", "number"]);
    let timeout = output(bridge().args(["health", "--timeout", "0s"]));
    assert_eq!(timeout.status.code(), Some(2));
}

#[test]
fn health_does_not_wait_for_ever() {
    let silent = silent();
    let text = VALID.replace("listen = \"\"", &format!("listen = \"{}\"", silent.local_addr().unwrap()));
    let output = with_input(bridge().args(["health", "-c", "-", "--timeout", "50ms"]), &text);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{stderr}");
    assert!(stderr.contains("within 50 ms"), "{stderr}");
}

#[test]
fn status_wants_a_lease_table() {
    for watch in ["--watch=0", "--watch=soon"] {
        assert_eq!(output(bridge().args(["status", watch])).status.code(), Some(2), "{watch}");
    }
    let output = with_input(bridge().args(["status", "-c", "-"]), VALID);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{stderr}");
    assert!(stderr.contains("[lease_table]: table `ddb-kinesis-bridge`"), "{stderr}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = output(bridge().args(["completions", shell]));
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && script.contains("check") && script.contains("completions"),
            "{shell}"
        );
    }
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_refuses_nonsense() {
    for arguments in [["--changes", "0"], ["--rate", "0"], ["--changes", "many"]] {
        let output = output(bridge().arg("demo").args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}
