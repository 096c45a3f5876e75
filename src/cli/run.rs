//! `run`: carries changes until a signal ends it.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::failure::Failure;
use crate::config::Config;
use crate::start::Bridge;

pub(super) async fn run(config: Config) -> Result<(), Failure> {
    let (stop, stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    let mut signals = Signals::listen()?;
    let bridge = tokio::select! {
        biased;
        bridge = Bridge::prepare(config, None) => bridge?,
        // The start may wait a minute for an endpoint, and there is nothing to drain yet.
        name = signals.next() => {
            tracing::info!(signal = name, "stopping before the start was over");
            return Ok(());
        }
    };
    let mut bridge = std::pin::pin!(bridge.run(stopped));
    tokio::select! {
        biased;
        result = &mut bridge => return result.map_err(Failure::from),
        name = signals.next() => {
            tracing::info!(signal = name, "stopping; a second signal ends at once");
            stop.send_replace(true);
        }
    }
    tokio::select! {
        biased;
        result = &mut bridge => result.map_err(Failure::from),
        name = signals.next() => Err(Failure::runtime(format!(
            "{name} came while draining: ended at once. What was not checkpointed is delivered again by the next start"
        ))),
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::runtime);
        Ok(Signals { term: listen(SignalKind::terminate())?, int: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
