//! The command line: which command was asked for, with which arguments, and the exit code it ends with. One file a
//! command; what a command does lives in the modules it calls.

mod check;
mod completions;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod failure;
mod health;
mod import_kcl;
mod output;
mod policy;
mod rewind;
mod run;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use failure::Failure;

use crate::config::{Config, ConfigSource};
use crate::ops::logging;

/// Carries every change of a DynamoDB table, in order and at least once, into a Kinesis data stream.
#[derive(Debug, Parser)]
#[command(
    name = "ddb-kinesis-bridge",
    version,
    after_help = "Exit codes: 0 clean, 1 runtime failure, 2 usage or configuration error."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry changes until SIGTERM or SIGINT; a second signal ends at once
    Run(ConfigArgument),
    /// Check configuration, reachability and permissions; changes nothing
    Check(ConfigArgument),
    /// Print the least-privilege IAM policy for this configuration
    Policy(policy::PolicyArguments),
    /// Show workers, shards, lag and gaps, as the lease table tells them
    Status(status::StatusArguments),
    /// Ask the worker that runs with this configuration whether it is healthy; for container health checks
    Health(health::HealthArguments),
    /// Carry changes again from an earlier place on, or accept another table or sink; asks first
    Rewind(rewind::RewindArguments),
    /// Take over where a Kinesis Client Library application stopped; without --apply it only says how
    ImportKcl(import_kcl::ImportArguments),
    /// Try it: emulators inside the process, live writes, and the records as they land
    #[cfg(feature = "demo")]
    Demo(demo::DemoArguments),
    /// Print a commented sample configuration
    Config,
    /// Print a shell's completion script
    Completions(completions::CompletionsArguments),
}

#[derive(Debug, Args)]
struct ConfigArgument {
    /// The TOML configuration; `-` is standard input. Without it, its text comes from the environment variable
    /// DDB_KINESIS_BRIDGE_CONFIG_TOML
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArgument {
    /// The validated configuration, with logging started as it says.
    fn load(self) -> Result<Config, Failure> {
        let config = Config::load(ConfigSource::of_argument(self.config), &environment)?;
        logging::init(&config.log, &environment).map_err(Failure::usage)?;
        Ok(config)
    }
}

/// Runs the command to its end; an error is printed to standard error.
pub fn execute(arguments: Arguments) -> ExitCode {
    match dispatch(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::print_error(&failure);
            failure.exit_code()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(argument) => block_on(run::run(argument.load()?)),
        Command::Check(argument) => block_on(check::run(argument.load()?)),
        Command::Policy(arguments) => policy::run(arguments),
        Command::Status(arguments) => block_on(status::run(arguments)),
        Command::Health(arguments) => block_on(health::run(arguments)),
        Command::ImportKcl(arguments) => block_on(import_kcl::run(arguments)),
        Command::Rewind(arguments) => block_on(rewind::run(arguments)),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => block_on(demo::run(arguments)),
        Command::Config => config::run(),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::runtime)?;
    let result = runtime.block_on(command);
    // A command that has ended has nothing left to wait for: a stray blocking task must not hold up the exit.
    runtime.shutdown_background();
    result
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_argument_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }
}
