//! `demo`: emulators inside the process, live writes, the real worker, and the records as they land.

use std::num::NonZeroU32;

use aws_credential_types::provider::SharedCredentialsProvider;
use clap::Args;
use tokio::sync::watch;

use super::failure::Failure;
use crate::config::{Config, ConfigSource, Log};
use crate::demo::{self, Options, Output, clients};
use crate::ops::logging;
use crate::start::Bridge;

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Stop after this many changes and verify that all arrived in order; without it, go on until Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub changes: Option<u64>,

    /// Changes to write each second. Default: 200, or with --changes as many as the emulator takes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: Option<u32>,
}

pub(super) async fn run(arguments: DemoArguments) -> Result<(), Failure> {
    // What the worker complains about is part of the show; what it does all the time would drown the records.
    let log = Log { level: "ddb_kinesis_bridge=warn,error".to_owned(), ..Log::default() };
    logging::init(&log, &|name| std::env::var(name).ok()).map_err(Failure::usage)?;
    let rate = arguments.rate.and_then(NonZeroU32::new);
    let options = Options { changes: arguments.changes, rate, ..Options::default() };
    match demo::run(options, Output::standard(), Box::new(|toml, stop| Box::pin(serve(toml, stop)))).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::runtime("the demo's records are not what was written; see the report")),
        Err(error) => Err(Failure::runtime(error)),
    }
}

/// What `run` does with a configuration, save that the credentials are the emulators'.
async fn serve(toml: String, stop: watch::Receiver<bool>) -> Result<(), String> {
    // The text is the demo's own: it names no variable.
    let config =
        Config::parse(&toml, ConfigSource::Environment, &|_| None).map_err(|error| error.to_string())?;
    let credentials = SharedCredentialsProvider::new(clients::credentials());
    let bridge = Bridge::prepare(config, Some(credentials)).await.map_err(|error| error.to_string())?;
    bridge.run(stop).await.map_err(|error| error.to_string())
}
