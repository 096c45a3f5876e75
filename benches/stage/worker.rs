//! The release binary as a worker's process, its log in a file that is shown when it ends otherwise than it should.

use std::io::{Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a drain may take before the bench is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running worker; killed when dropped.
pub struct Worker {
    pub id: String,
    child: Child,
    log: std::fs::File,
}

impl Worker {
    /// Starts one with this configuration.
    pub fn start(id: &str, config: &str) -> Worker {
        let log = tempfile::tempfile().expect("a temporary file");
        let child = Command::new(env!("CARGO_BIN_EXE_ddb-kinesis-bridge"))
            .arg("run")
            .env_clear()
            .env("DDB_KINESIS_BRIDGE_CONFIG_TOML", config)
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", crate::support::clients::SECRET_ACCESS_KEY)
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.try_clone().expect("a second handle of the log"))
            .spawn()
            .expect("the release binary starts");
        Worker { id: id.to_owned(), child, log }
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(id, signal).expect("the signal can be sent");
    }

    /// What the process holds of the machine's memory, and the most that it ever held, in MiB.
    pub fn resident_mib(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            let kib: f64 = line.trim_start_matches(':').trim_end_matches("kB").trim().parse().unwrap_or(0.0);
            kib / 1_024.0
        };
        (of("VmRSS"), of("VmHWM"))
    }

    /// CPU time of all its threads so far, system calls included.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // The command's name stands in brackets before the rest and may hold blanks. The kernel counts hundredths.
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .map(|rest| rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
            .unwrap_or_default();
        Duration::from_millis(10 * fields.iter().skip(11).take(2).sum::<u64>())
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of this process") {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "{} does not end:\n{}", self.id, self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGTERM and waits for the end, which must be one with exit code 0.
    pub fn terminate(mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}: {status}\n{}", self.id, self.log());
    }

    /// All that it said. For a worker that has ended, or a bench that has failed: both processes share one file position.
    pub fn log(&self) -> String {
        let (mut log, mut text) = (&self.log, String::new());
        // What cannot be read is only missing from a message.
        let _ = log.rewind().and_then(|()| log.read_to_string(&mut text));
        text
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
