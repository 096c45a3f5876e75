//! The emulators in a process of their own, beside the fleet that they serve and the test that watches it: this test
//! binary again, run for one of its tests only. It ends when the value is dropped, and when the test's process is gone.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use ddb_kinesis_bridge::demo::clients::{Clients, Endpoints};
use ddb_kinesis_bridge::demo::emulators::Emulators;

/// Set for the child: it serves.
const SERVING: &str = "BRIDGE_TEST_SERVES_EMULATORS";
/// The test that does it.
const NAME: &str = "emulators::they_serve_from_another_process";
/// What stands before the endpoints in the child's output.
const AT: &str = "the emulators are at ";

/// A child process that serves a DynamoDB and a Kinesis.
pub struct EmulatorProcess {
    child: Child,
    /// Kept open: the child's test runner says now and then that the test takes long, and would end without a reader.
    _stdout: BufReader<ChildStdout>,
    pub endpoints: Endpoints,
}

impl EmulatorProcess {
    pub fn start() -> Self {
        let this = std::env::current_exe().expect("the path of this test binary");
        let mut child = Command::new(this)
            .args(["--exact", NAME, "--nocapture"])
            .env(SERVING, "yes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test binary starts once more");
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let mut lines = stdout.by_ref().lines().map_while(Result::ok);
        // The test runner may have written to the same line before.
        let found = lines.find_map(|line| Some(line.split_once(AT)?.1.to_owned()));
        let found = found.expect("the child says where its emulators are");
        let (dynamodb, kinesis) = found.split_once(' ').expect("two endpoints");
        let endpoints = Endpoints { dynamodb: dynamodb.to_owned(), kinesis: kinesis.to_owned() };
        EmulatorProcess { child, _stdout: stdout, endpoints }
    }
}

impl Drop for EmulatorProcess {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// In the child: serves until its standard input ends, which it does with the process that holds the other end.
fn serve() {
    let emulators = Emulators::start().expect("the embedded emulators start");
    println!("{AT}{} {}", emulators.dynamodb_url(), emulators.kinesis_url());
    let _until_it_ends = std::io::stdin().read_to_end(&mut Vec::new());
}

#[test]
fn they_serve_from_another_process() {
    if std::env::var_os(SERVING).is_some() {
        return serve();
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let emulators = EmulatorProcess::start();
    let clients = Clients::new(&emulators.endpoints);
    runtime.block_on(async {
        clients.dynamodb.list_tables().send().await.expect("DynamoDB answers");
        clients.kinesis.list_streams().send().await.expect("Kinesis answers");
    });
    let address = emulators.endpoints.kinesis.replace("http://", "");
    drop(emulators);
    std::net::TcpStream::connect(address).expect_err("they are gone with their process");
}
