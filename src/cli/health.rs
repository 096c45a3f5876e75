//! `health`: asks the running worker, for a container's health check.

use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::{ConfigArgument, output};
use crate::config::Config;
use crate::machine::RealMachine;
use crate::ops::ask::ask;

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 healthy, 1 not healthy or no answer, 2 usage or configuration error.")]
pub(super) struct HealthArguments {
    #[command(flatten)]
    config: ConfigArgument,

    /// Ask whether it can do its work (/readyz: leases can be held, no shard is halted), not only whether its loops move
    /// (/livez). Restarting a worker that is live but not ready seldom helps
    #[arg(long)]
    ready: bool,

    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write \"3s\" or \"500ms\""))?;
    if duration.is_zero() {
        Err("must be longer than nothing, such as \"3s\"".to_owned())
    } else {
        Ok(duration)
    }
}

pub(super) async fn run(arguments: HealthArguments) -> Result<(), Failure> {
    let HealthArguments { config, ready, timeout } = arguments;
    let config: Config = config.load()?;
    let listen = match config.http.listen {
        Some(listen) if listen.port() != 0 => listen,
        Some(listen) => {
            return Err(Failure::usage(format!(
                "[http] listen is {listen}, a port that is another at each start: give it a number, so that the worker can \
                 be found"
            )));
        }
        None => {
            return Err(Failure::usage(
                "[http] listen is \"\": the worker answers nobody; set it (\"127.0.0.1:9464\" is the default) for health \
                 checks",
            ));
        }
    };
    let path = if ready { "/readyz" } else { "/livez" };
    let answer = ask(&RealMachine::new(), listen, path, timeout).await.map_err(Failure::runtime)?;
    if answer.status.is_success() {
        return output::print(answer.text.as_bytes());
    }
    let what = if ready { "not ready" } else { "not healthy" };
    Err(Failure::runtime(format!(
        "{what} ({path} answers {}): {}",
        answer.status.as_u16(),
        answer.text.trim_end()
    )))
}
