//! The built binary as a process of its own: its configuration in a file, its log read line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A configuration's lines that have it listen somewhere.
pub const HTTP: &str = "[http]\nlisten = \"127.0.0.1:0\"";

/// How long a line or an end may take before the test is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running binary; killed when dropped.
pub struct Process {
    child: Child,
    log: Arc<Log>,
    /// Reads standard error to its end.
    reader: Option<JoinHandle<()>>,
    _config: tempfile::NamedTempFile,
}

#[derive(Default)]
struct Log {
    text: Mutex<String>,
    more: Condvar,
}

/// The binary's command with an environment of its own.
fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddb-kinesis-bridge"));
    command.env_clear().env("AWS_EC2_METADATA_DISABLED", "true").env("RUST_BACKTRACE", "1");
    command
}

impl Process {
    /// `run` with this configuration and the credentials that the fake expects.
    pub fn run(config: &str) -> Process {
        Process::run_as("test", config)
    }

    /// The same with this access key id.
    pub fn run_as(key_id: &str, config: &str) -> Process {
        Process::run_with(
            config,
            &[
                ("AWS_ACCESS_KEY_ID", key_id),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_REGION", "eu-central-1"),
            ],
        )
    }

    /// `run` with this configuration and nothing but these variables in its environment.
    pub fn run_with(config: &str, environment: &[(&str, &str)]) -> Process {
        Process::run_into(config, environment, Stdio::null())
    }

    /// The same, with its standard output going there.
    pub fn run_into(config: &str, environment: &[(&str, &str)], stdout: Stdio) -> Process {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(config.as_bytes()).expect("the configuration is written");
        let mut child = command()
            .envs(environment.iter().copied())
            .args(["run", "--config"])
            .arg(file.path())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built binary starts");
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().expect("standard error is piped");
        let sink = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut text = sink.text.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
                sink.more.notify_all();
            }
        });
        Process { child, log, reader: Some(reader), _config: file }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.log.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the log holds this text, and returns the line that it stands in.
    #[track_caller]
    pub fn says(&self, part: &str) -> String {
        let text = self.log.text.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, _) = self
            .log
            .more
            .wait_timeout_while(text, PATIENCE, |text| !text.contains(part))
            .unwrap_or_else(PoisonError::into_inner);
        let line = text.lines().find(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("waited in vain for {part:?} in:\n{text}")).to_owned()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("the kill command runs").success(), "SIG{name} could not be sent");
    }

    /// Has it drained by SIGTERM; it ends with 0. Gives its log.
    pub async fn ends_cleanly(self) -> String {
        self.signal("TERM");
        let (code, log) = self.end().await;
        assert_eq!(code, Some(0), "{log}");
        log
    }

    /// Waits for its end; its exit code (`None`: a signal ended it) and all that it said.
    pub async fn end(mut self) -> (Option<i32>, String) {
        let id = self.child.id();
        let ended = tokio::task::spawn_blocking(move || {
            let status: std::io::Result<ExitStatus> = self.child.wait();
            // What it said last may not have been read yet.
            self.reader.take().map(JoinHandle::join);
            (status.expect("a child of this process"), self)
        });
        match tokio::time::timeout(PATIENCE, ended).await {
            Ok(Ok((status, process))) => (status.code(), process.log()),
            _ => panic!("the process {id} does not end"),
        }
    }

    /// The address that it serves metrics and health on.
    pub fn http_address(&self) -> SocketAddr {
        let line = self.says("serving /metrics");
        let digits = line.split("127.0.0.1:").nth(1).expect("the line names the address");
        let port: String = digits.chars().take_while(char::is_ascii_digit).collect();
        format!("127.0.0.1:{port}").parse().expect("an address")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs another command with this configuration to its end: its exit code, standard output and standard error.
pub async fn output_of(config: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    output_with(config, arguments, &[]).await
}

/// The same with more variables in its environment.
pub async fn output_with(
    config: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (Option<i32>, String, String) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(config.as_bytes()).expect("the configuration is written");
    let mut command = command();
    command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
    command.envs(environment.iter().copied());
    command.args(arguments).arg("--config").arg(file.path()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    let output = output.expect("the built binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The exit code of a command that goes on until its reader is gone, which it is from the beginning.
pub async fn code_without_reader(config: &str, arguments: &[&str]) -> Option<i32> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(config.as_bytes()).expect("the configuration is written");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = command();
    command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
    command.args(arguments).arg("--config").arg(file.path()).stdin(Stdio::null()).stdout(writer);
    let ended = tokio::task::spawn_blocking(move || command.status());
    let status = tokio::time::timeout(PATIENCE, ended).await.expect("it ends").expect("no panic");
    status.expect("the built binary starts").code()
}

/// A GET's status and body.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = answer_to_get(address, path);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or_else(|| panic!("no HTTP answer: {answer}")), body.to_owned())
}

/// What stands before a GET's body.
pub fn headers_of(address: SocketAddr, path: &str) -> String {
    let answer = answer_to_get(address, path);
    answer.split_once("\r\n\r\n").map_or("", |(headers, _)| headers).to_owned()
}

fn answer_to_get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in UTF-8");
    answer
}
