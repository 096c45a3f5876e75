//! The real binary as a child process: started from TOML text, stopped by signals, its log kept and shown when the
//! test fails.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use ddb_kinesis_bridge::demo::clients::{ACCESS_KEY, REGION};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::STUCK;

/// Lines of the log that are kept, the newest.
const LOG_LINES: usize = 400;

/// A running (or ended) `ddb-kinesis-bridge run`. Dropping it kills the process.
pub struct Bridge {
    child: Child,
    log: Log,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Bridge {
    /// Starts the binary with this configuration, and with credentials that only emulators accept.
    pub fn start(toml: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ddb-kinesis-bridge"));
        for (name, _) in std::env::vars_os() {
            // Nothing of whoever runs the tests may lead the bridge to an account of theirs.
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .arg("run")
            .env("DDB_KINESIS_BRIDGE_CONFIG_TOML", toml)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY)
            .env("AWS_REGION", REGION)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let log = Log::default();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(log.clone().collect(stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log.clone().collect(stderr));
        }
        Bridge { child, log }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be asked")
    }

    /// Fails unless the process is still there.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.ended() {
            panic!("the bridge ended by itself: {status}");
        }
    }

    /// Sends SIGTERM and does not wait.
    pub fn send_sigterm(&self) {
        self.send(Signal::TERM);
    }

    /// Sends SIGINT and does not wait.
    pub fn send_sigint(&self) {
        self.send(Signal::INT);
    }

    /// Sends SIGSTOP: the process does nothing at all until it is thawed.
    pub fn freeze(&self) {
        self.send(Signal::STOP);
    }

    /// Sends SIGCONT: it goes on as if no time had passed.
    pub fn thaw(&self) {
        self.send(Signal::CONT);
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.send_sigterm();
        self.wait().await
    }

    /// Waits until its session has begun: before it listens for signals, any of them just ends a process.
    pub async fn begun(&mut self) {
        while !self.log().contains("the session begins") {
            self.assert_running();
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Sends SIGTERM and fails unless the process ends with exit code 0.
    pub async fn terminate_cleanly(&mut self) {
        let status = self.terminate().await;
        assert_eq!(status.code(), Some(0), "a drain ends with exit code 0, not with {status}");
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill9(&mut self) {
        self.child.kill().await.expect("the child can be killed");
    }

    /// Waits for the end.
    pub async fn wait(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(STUCK, self.child.wait()).await;
        ended.expect("the process ends").expect("the child can be waited for")
    }

    /// What it has printed lately.
    pub fn log(&self) -> String {
        let lines = self.log.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn send(&self, signal: Signal) {
        let id = self.child.id().expect("the process has not been waited for");
        let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(id, signal).expect("the signal can be sent");
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the bridge's log ----\n{}---- end of the bridge's log ----", self.log());
        }
    }
}

impl Log {
    async fn collect(self, pipe: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == LOG_LINES {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    }
}
