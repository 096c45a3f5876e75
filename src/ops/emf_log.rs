//! The lines of the embedded metric format on standard output, one set a minute and one at the end. Logs go to standard
//! error, so nothing else is between them.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::emf::Emf;
use super::repeats::Repeats;
use super::shown::Shown;
use crate::machine::{Machine, timeout};

/// CloudWatch's usual resolution.
const EVERY: Duration = Duration::from_secs(60);
const WITHIN: Duration = Duration::from_secs(2);

/// What is written, and how far it is.
pub struct EmfLog {
    emf: Emf,
    shown: Shown,
    machine: Arc<dyn Machine>,
    failures: Repeats,
}

impl EmfLog {
    pub fn new(emf: Emf, shown: Shown, machine: Arc<dyn Machine>) -> Self {
        EmfLog { emf, shown, machine, failures: Repeats::default() }
    }

    /// Writes until dropped.
    pub async fn keep(&mut self) -> Infallible {
        loop {
            self.machine.sleep(EVERY).await;
            self.write().await;
        }
    }

    /// Writes the figures as of now.
    pub async fn write(&mut self) {
        let mut text = String::new();
        for line in self.emf.lines(&self.shown.figures(), self.machine.wall_ms()) {
            text.push_str(&line);
            text.push('\n');
        }
        // Whoever should read may have stopped: that must not hold up a drain's end.
        let written = timeout(&*self.machine, WITHIN, put(&text)).await;
        if let Err(error) = written.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
            && let Some(times) = self.failures.happened(self.machine.now())
        {
            tracing::warn!(times, "write metrics to standard output ([metrics] emf): {error}");
        }
    }
}

/// In one piece, so that no line is cut in two.
async fn put(text: &str) -> io::Result<()> {
    let mut out = tokio::io::stdout();
    out.write_all(text.as_bytes()).await?;
    out.flush().await
}
