//! `import-kcl`: takes over where a Kinesis Client Library application stopped.

use std::time::{Duration, UNIX_EPOCH};

use clap::Args;

use super::failure::Failure;
use super::{ConfigArgument, output};
use crate::import::{ImportError, LatestOption, Wish, prepare};

/// What it takes, for `--help`.
const STEPS: &str = "\
Stop all workers of the KCL application for good; run this without --apply and read what it would do; run it with --apply; \
start `run`. What the application checkpointed is not carried again, everything behind it is, and SHARD_END becomes finished. \
It refuses while a lease moves, and a pipeline that has rows already. Besides the permissions of `run` (less those to read and \
put records) it needs dynamodb:Scan on the application's table, which it does not change.";

#[derive(Debug, Args)]
#[command(after_help = STEPS)]
pub(super) struct ImportArguments {
    #[command(flatten)]
    config: ConfigArgument,

    /// The application's lease table (it has the application's name), in the account and Region of the pipeline's source
    #[arg(long, value_name = "NAME")]
    table: String,

    /// The pipeline; may be left out when the configuration has just one
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,

    /// Where leases are that stand at LATEST or AT_TIMESTAMP, which their rows do not tell. `trim_horizon`: carry all that
    /// their shards still hold, so that nothing is lost. A time: leave out changes made before it, such as the application's
    /// first start. `now`: leave out all changes made until now
    #[arg(long, value_name = "trim_horizon|now|TIME", value_parser = latest)]
    latest_as: Option<LatestOption>,

    /// How long the leases must stand still; more than the application's failoverTimeMillis is sure
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    wait: Duration,

    /// Write; without it nothing is changed
    #[arg(long)]
    apply: bool,
}

fn latest(text: &str) -> Result<LatestOption, String> {
    match text {
        "trim_horizon" => Ok(LatestOption::TrimHorizon),
        "now" => Ok(LatestOption::Now),
        time => {
            let moment = humantime::parse_rfc3339(time).map_err(|_| {
                "expected trim_horizon, now, or a time such as 2024-05-06T07:08:09Z".to_owned()
            })?;
            let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
            Ok(LatestOption::From(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
        }
    }
}

pub(super) async fn run(arguments: ImportArguments) -> Result<(), Failure> {
    let ImportArguments { config, table, pipeline, latest_as, wait, apply } = arguments;
    let wish = Wish { table, latest_as, wait };
    let importing = prepare(&config.load()?, pipeline.as_deref(), wish, None).await?;
    let proposal = importing.propose().await?;
    output::print(proposal.to_string().as_bytes())?;
    if !apply {
        return output::print(b"Nothing was written: give --apply to write it.\n");
    }
    importing.carry_out(&proposal).await?;
    output::print(b"Done: start `run`, and the KCL application never again.\n")
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        if error.is_usage() { Self::usage(error) } else { Self::runtime(error) }
    }
}
