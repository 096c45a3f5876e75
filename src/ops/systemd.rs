//! The service manager: systemd hears that the work has begun, that it goes on, and that it ends, over the socket that it
//! names in NOTIFY_SOCKET. Where there is none, nobody is told.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use super::board::Worst;
use super::shown::Shown;
use crate::machine::Machine;

/// How often the status line is written where no watchdog asks for more.
const STATUS_EVERY: Duration = Duration::from_secs(10);

const DRAINING: &str = "Draining: what was read is delivered, leases are handed over";

/// Tells the service manager until dropped, and of `stop` as soon as it turns true.
pub async fn tell(shown: Shown, mut stop: watch::Receiver<bool>, machine: Arc<dyn Machine>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled();
    let mut begun = shown.health.begun();
    let (mut is_ready, mut is_stopping) = (false, false);
    loop {
        tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop), if !is_stopping => {
                is_stopping = true;
                send(&["STOPPING=1".to_owned(), format!("STATUS={DRAINING}")]);
                continue;
            }
            Ok(_) = begun.wait_for(|begun| *begun), if !is_ready => is_ready = true,
            () = machine.sleep(pause(watchdog)), if is_ready => {}
            else => return,
        }
        send(&news(&shown, is_stopping, watchdog.is_some()));
    }
}

/// What the service manager is to hear now. What does not move it must end, so it misses the watchdog's line.
fn news(shown: &Shown, is_stopping: bool, has_watchdog: bool) -> Vec<String> {
    let is_live = shown.health.live().is_ok();
    let mut lines = vec!["READY=1".to_owned()];
    if !is_stopping {
        let status = status(shown.health.held(), shown.health.worst().into_values(), is_live);
        lines.push(format!("STATUS={status}"));
    }
    if is_live && has_watchdog {
        lines.push("WATCHDOG=1".to_owned());
    }
    lines
}

/// Half of the time after which a watchdog bites: one message may come late.
fn pause(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(STATUS_EVERY, |limit| (limit / 2).min(STATUS_EVERY)).max(Duration::from_millis(10))
}

/// What `systemctl status` shows.
fn status(held: usize, worst: impl Iterator<Item = Worst>, is_live: bool) -> String {
    if !is_live {
        return "Not moving: /livez says what".to_owned();
    }
    let shards = if held == 1 { "1 shard".to_owned() } else { format!("{held} shards") };
    match worst.filter_map(|worst| worst.lag).max() {
        Some(lag) => format!("{shards} held, at most {:.1} s behind", lag.as_secs_f64()),
        None => format!("{shards} held"),
    }
}

fn send(lines: &[String]) {
    let states: Vec<NotifyState<'_>> = lines.iter().map(|line| NotifyState::Custom(line)).collect();
    if let Err(error) = sd_notify::notify(&states) {
        // The next message tells all that this one does.
        tracing::debug!("tell the service manager: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::memory::Budget;
    use crate::machine::RealMachine;
    use crate::ops::health::Health;
    use crate::ops::metrics::Metrics;

    #[test]
    fn twice_within_the_watchdogs_time() {
        assert_eq!(pause(None), STATUS_EVERY);
        assert_eq!(pause(Some(Duration::from_secs(4))), Duration::from_secs(2));
        assert_eq!(pause(Some(Duration::from_secs(60))), STATUS_EVERY);
        assert_eq!(pause(Some(Duration::ZERO)), Duration::from_millis(10));
    }

    #[test]
    fn the_status_is_one_line() {
        let lag = |seconds| Worst { lag: Some(Duration::from_secs(seconds)), ..Worst::default() };
        assert_eq!(
            status(3, [lag(1), lag(7), Worst::default()].into_iter(), true),
            "3 shards held, at most 7.0 s behind"
        );
        assert_eq!(status(1, [Worst::default()].into_iter(), true), "1 shard held");
        assert_eq!(status(0, [].into_iter(), true), "0 shards held");
        assert!(status(1, [lag(1)].into_iter(), false).contains("/livez"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_move_misses_the_watchdog() {
        let machine: Arc<dyn Machine> = Arc::new(RealMachine::new());
        let shown = Shown {
            metrics: Metrics::new(),
            health: Arc::new(Health::new(Arc::clone(&machine))),
            budget: Budget::new(1),
            pipelines: [].into(),
        };
        assert_eq!(news(&shown, false, true), ["READY=1", "STATUS=0 shards held", "WATCHDOG=1"]);
        assert_eq!(news(&shown, false, false), ["READY=1", "STATUS=0 shards held"]);
        assert_eq!(news(&shown, true, true), ["READY=1", "WATCHDOG=1"], "a drain may take long");
        machine.sleep(Duration::from_secs(61)).await;
        assert_eq!(news(&shown, false, true), ["READY=1", "STATUS=Not moving: /livez says what"]);
        shown.health.moved();
        assert!(news(&shown, false, true).contains(&"WATCHDOG=1".to_owned()));
    }
}
