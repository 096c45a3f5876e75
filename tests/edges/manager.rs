//! What systemd hears of the built binary, over a socket of its own.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::bridge::{OF_TABLE, SINK, Stage};
use crate::process::Process;
use crate::rows::session_rows;
use crate::support::fault::{Fault, Gate};

struct Manager {
    socket: UnixDatagram,
    _place: tempfile::TempDir,
    path: String,
}

impl Manager {
    fn new() -> Manager {
        let place = tempfile::tempdir().expect("a temporary directory");
        let path = place.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout above zero");
        let path = path.to_str().expect("a path in UTF-8").to_owned();
        Manager { socket, _place: place, path }
    }

    /// The next message.
    fn hears(&self) -> String {
        let mut message = [0; 4_096];
        let length = self.socket.recv(&mut message).expect("a message within a minute");
        String::from_utf8(message[..length].to_vec()).expect("UTF-8")
    }

    /// The next message that holds this line, or one that begins so.
    fn hears_line(&self, line: &str) -> String {
        loop {
            let message = self.hears();
            if message.lines().any(|one| one.starts_with(line)) {
                return message;
            }
        }
    }

    fn run(&self, config: &str, watchdog: &[(&str, &str)]) -> Process {
        let mut environment = vec![
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "eu-central-1"),
            ("NOTIFY_SOCKET", self.path.as_str()),
        ];
        environment.extend(watchdog);
        Process::run_with(config, &environment)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_hears_of_the_beginning_of_each_half_watchdog_and_of_the_end() {
    let (stage, manager) = (Stage::with_shards(1), Manager::new());
    stage.write(5, 5);
    let bridge = manager.run(&stage.text("", OF_TABLE, ""), &[("WATCHDOG_USEC", "400000")]);
    let first = manager.hears();
    assert!(first.starts_with("READY=1\nSTATUS="), "{first}");
    assert!(!session_rows(&stage.fake.world()).is_empty(), "it is ready with its session, not before");
    for _ in 0..3 {
        manager.hears_line("WATCHDOG=1");
    }
    let status = manager.hears_line("STATUS=1 shard held, at most ");
    assert!(status.contains(" s behind"), "{status}");
    // A drain goes on as long as a put does, and is not taken for standing still.
    let gate = Gate::shut();
    stage.fake.world().faults.always("PutRecords", |_| true, Fault::Hold(gate.clone()));
    stage.write(1, 1);
    gate.reached_by(1).await;
    bridge.signal("TERM");
    let ending = manager.hears_line("STOPPING=1");
    assert!(ending.contains("STATUS=Draining"), "{ending}");
    manager.hears_line("WATCHDOG=1");
    gate.open();
    let (code, log) = bridge.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(stage.fake.world().kinesis_stream(SINK).stored.len(), 6);
}

/// Without a session there is no work, and nothing is ready.
#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_hear_ready_before_there_is_a_session() {
    let (stage, manager) = (Stage::with_shards(1), Manager::new());
    let gate = Gate::shut();
    stage.fake.world().faults.always("PutItem", |_| true, Fault::Hold(gate.clone()));
    let bridge = manager.run(&stage.text("", OF_TABLE, ""), &[]);
    gate.reached_by(1).await;
    manager.socket.set_nonblocking(true).expect("it can be");
    let early = manager.socket.recv(&mut [0; 1]);
    assert_eq!(early.expect_err("nothing was said").kind(), std::io::ErrorKind::WouldBlock);
    manager.socket.set_nonblocking(false).expect("it can be");
    gate.open();
    let first = manager.hears();
    assert!(first.starts_with("READY=1") && !first.contains("WATCHDOG"), "{first}");
    bridge.signal("TERM");
    assert_eq!(bridge.end().await.0, Some(0));
}
