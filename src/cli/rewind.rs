//! `rewind`: goes back to an earlier place of the stream, or accepts another table or sink; asks first.

use std::io::{self, IsTerminal};

use clap::{ArgGroup, Args};

use super::failure::Failure;
use super::{ConfigArgument, output};
use crate::lease::order::{Mark, Order, Target};
use crate::rewind::{RewindError, prepare};
use crate::stream::source::ShardId;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["to", "adopt"])))]
pub(super) struct RewindArguments {
    #[command(flatten)]
    config: ConfigArgument,

    /// The pipeline; may be left out when the configuration has just one
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,

    /// Only this shard and what comes behind it: its descendants, and later streams
    #[arg(long, value_name = "SHARD_ID", requires = "to", conflicts_with = "adopt")]
    shard: Option<String>,

    /// `trim_horizon`: everything that the stream still holds is carried again. A sequence number: it is the last change
    /// that is not carried again, a checkpoint to go back to; shards that are not beyond it stay where they are
    #[arg(long, value_name = "trim_horizon|SEQUENCE_NUMBER")]
    to: Option<Target>,

    /// Put "replay":"ID" into the records carried again, so that consumers that drop duplicates can let them through
    #[arg(long, value_name = "ID", requires = "to")]
    mark: Option<Mark>,

    /// Accept the configuration's table, Kinesis stream and partition key mode in place of those that the lease table
    /// holds. Another table starts anew; otherwise every shard goes on from its checkpoint
    #[arg(long)]
    adopt: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(arguments: RewindArguments) -> Result<(), Failure> {
    let RewindArguments { config, pipeline, shard, to, mark, adopt, yes } = arguments;
    let config = config.load()?;
    if !yes && !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "rewind asks before it changes anything, and standard input is no terminal: give --yes to go without asking",
        ));
    }
    let order = Order { shard: shard.map(ShardId::new), to, mark, adopt };
    let rewinding = prepare(&config, pipeline.as_deref(), order, None).await?;
    let proposal = rewinding.propose().await?;
    output::print(proposal.to_string().as_bytes())?;
    if proposal.is_empty() {
        return Ok(());
    }
    if !yes {
        ask()?;
    }
    rewinding.carry_out().await?;
    output::print(b"Done: workers take it up within seconds.\n")
}

/// Nothing else runs meanwhile: that this waits for the terminal holds nobody up.
fn ask() -> Result<(), Failure> {
    output::print(b"Type \"yes\" to go on: ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Failure::runtime)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::runtime("not confirmed; nothing was changed")) }
}

impl From<RewindError> for Failure {
    fn from(error: RewindError) -> Self {
        if error.is_usage() { Self::usage(error) } else { Self::runtime(error) }
    }
}
