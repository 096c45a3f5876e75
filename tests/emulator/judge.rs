//! The demo judges itself: it says yes to a bridge that keeps the promises, and no to each that breaks one.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddb_kinesis_bridge::demo::{self, DemoError, Options, Output};

use crate::faulty::{Fault, copy};

#[tokio::test(flavor = "multi_thread")]
async fn a_faithful_bridge_passes() {
    let (verdict, printed) = judged(Fault::Nothing).await;
    assert!(verdict.expect("the demo runs"), "{printed}");
    assert!(printed.contains("Every change arrived"), "{printed}");
    assert_row(&printed, "records delivered", "150");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_change_fails() {
    let (verdict, printed) = judged(Fault::Loses).await;
    assert!(!verdict.expect("the demo runs"), "{printed}");
    assert_row(&printed, "missing", "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changes_in_the_wrong_order_fail() {
    let (verdict, printed) = judged(Fault::Swaps).await;
    assert!(!verdict.expect("the demo runs"), "{printed}");
    assert_row(&printed, "out of order", "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_told_and_passes() {
    let (verdict, printed) = judged(Fault::Repeats).await;
    assert!(verdict.expect("the demo runs"), "{printed}");
    assert_row(&printed, "duplicates", "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_ends_is_an_error() {
    let (verdict, printed) = judged(Fault::Ends).await;
    let error = verdict.expect_err(&printed);
    assert!(error.to_string().contains("the worker has ended"), "{error}");
}

async fn judged(fault: Fault) -> (Result<bool, DemoError>, String) {
    let printed = Printed::default();
    let output = Output { to: Box::new(printed.clone()), colours: false };
    let options = Options {
        changes: Some(150),
        rate: None,
        // Only the one that loses a change ever waits for it.
        give_up_after: Duration::from_secs(if fault == Fault::Loses { 3 } else { 120 }),
    };
    let verdict =
        demo::run(options, output, Box::new(move |toml, stop| Box::pin(copy(fault, toml, stop)))).await;
    let bytes = printed.0.lock().expect("nothing panics while it is held").clone();
    (verdict, String::from_utf8(bytes).expect("text"))
}

fn assert_row(printed: &str, name: &str, value: &str) {
    let row = printed.lines().find(|line| line.trim_start().starts_with(name));
    assert_eq!(row.and_then(|row| row.split_whitespace().last()), Some(value), "{printed}");
}

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nothing panics while it is held").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
