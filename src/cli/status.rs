//! `status`: what the lease table says of workers, shards and gaps; reads it and nothing else.

use std::io::{self, IsTerminal};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::{ConfigArgument, output};
use crate::aws::probe::LEASE_TABLE_SECTION;
use crate::aws::{Aws, DynamoLeaseTable};
use crate::config::Config;
use crate::lease::store::LeaseStore;
use crate::machine::{Machine, RealMachine};
use crate::status::{Reading, Status};

/// What the figures mean, for `--help`.
const MEANING: &str = "\
LAG ≤: how old the last change is that was carried, so how far a shard can be behind at most; an idle shard that was read to
its end is not behind. TRIM ≥: how long the stream keeps what is still to be carried, at least; 0s: its 24 hours may be passing
it. Both compare this machine's clock with the changes' times. HEARTBEAT: moving, or how long it was seen to stand still; it is
watched for two heartbeat intervals at most. Needs dynamodb:GetItem and dynamodb:Query on the lease table, and no worker.";

#[derive(Debug, Args)]
#[command(after_help = MEANING)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    config: ConfigArgument,

    /// Only this pipeline, also one that the configuration does not name. Default: all that it names
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,

    /// One JSON object with everything, `schema_version` first; with --watch one a line
    #[arg(long)]
    json: bool,

    /// Show it anew every so many seconds, until Ctrl-C
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2"
    )]
    watch: Option<NonZeroU32>,
}

pub(super) async fn run(arguments: StatusArguments) -> Result<(), Failure> {
    let StatusArguments { config, pipeline, json, watch } = arguments;
    let config = config.load()?;
    let is_asked = pipeline.is_some();
    let names = match pipeline {
        Some(name) => vec![name],
        None => config.pipelines.iter().map(|pipeline| pipeline.name.clone()).collect(),
    };
    let machine: Arc<dyn Machine> = Arc::new(RealMachine::new());
    let mut reading = reading(&config, &machine).await?;
    let Some(every) = watch else {
        let status = reading.watched(&names).await.map_err(Failure::runtime)?;
        if is_asked {
            must_be_known(&config, &status)?;
        }
        return output::print(written(&status, json)?.as_bytes());
    };
    loop {
        match reading.now(&names).await {
            Ok(status) => {
                let text = written(&status, json)?;
                let clears = !json && io::stdout().is_terminal();
                let text = if clears { format!("{CLEAR}{text}") } else { text };
                if !output::print_to_reader(text.as_bytes())? {
                    return Ok(());
                }
            }
            // It may pass: whoever watches wants to see that, too.
            Err(error) => output::print_error(&Failure::runtime(error)),
        }
        machine.sleep(Duration::from_secs(u64::from(every.get()))).await;
    }
}

/// Cursor to the top, and nothing below it.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Access to the lease table alone: the other parts of the configuration are not asked.
async fn reading(config: &Config, machine: &Arc<dyn Machine>) -> Result<Reading, Failure> {
    let table = &config.lease_table;
    let aws = Aws::load([&table.connection], None).await;
    let client = aws.dynamodb(LEASE_TABLE_SECTION, &table.connection).map_err(Failure::runtime)?;
    let adapter = DynamoLeaseTable::new(client, table.name.clone());
    let store = LeaseStore::new(Arc::new(adapter), Arc::clone(machine));
    Ok(Reading::new(store, table.name.clone(), Arc::clone(machine), table.heartbeat_interval))
}

fn written(status: &Status, json: bool) -> Result<String, Failure> {
    if !json {
        return Ok(status.to_string());
    }
    let mut text = serde_json::to_string(status).map_err(Failure::runtime)?;
    text.push('\n');
    Ok(text)
}

/// A name that neither the configuration nor the lease table knows is a slip.
fn must_be_known(config: &Config, status: &Status) -> Result<(), Failure> {
    let is_named = |name: &str| config.pipelines.iter().any(|pipeline| pipeline.name == name);
    match status.pipelines.first() {
        Some(shown) if shown.ends.is_none() && shown.unreadable_rows.is_empty() && !is_named(&shown.name) => {
            let mut known: Vec<&str> =
                config.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
            known.extend(status.other_pipelines.iter().map(String::as_str).filter(|name| !is_named(name)));
            Err(Failure::usage(format!(
                "neither the configuration nor the lease table knows a pipeline {:?}; they know {}",
                shown.name,
                known.join(", ")
            )))
        }
        _ => Ok(()),
    }
}
