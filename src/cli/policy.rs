//! `policy`: the IAM policy that this configuration takes; asks nobody.

use std::io::{self, Write};

use clap::Args;

use super::failure::Failure;
use super::{ConfigArgument, output};
use crate::policy::{Known, policies};

#[derive(Debug, Args)]
#[command(
    after_help = "Prints the policy's JSON on standard output, and what it leaves open on standard error. Where the \
                        configuration assumes roles, it prints an object with one policy for each: \"process\" for the \
                        identity that the process runs as, and each role's ARN."
)]
pub(super) struct PolicyArguments {
    #[command(flatten)]
    config: ConfigArgument,

    /// The Region of what the configuration gives none
    #[arg(long, value_name = "REGION", value_parser = region)]
    region: Option<String>,

    /// The account of what the configuration names without an ARN or a role
    #[arg(long, value_name = "ACCOUNT_ID", value_parser = account)]
    account: Option<String>,
}

fn region(text: &str) -> Result<String, String> {
    let is_valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.is_empty() && text.chars().all(is_valid) {
        Ok(text.to_owned())
    } else {
        Err("expected a Region's code, such as eu-central-1".to_owned())
    }
}

fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("expected an account's 12 digits".to_owned())
    }
}

pub(super) fn run(arguments: PolicyArguments) -> Result<(), Failure> {
    let PolicyArguments { config, region, account } = arguments;
    let found = policies(&config.load()?, &Known { region, account });
    output::print(found.to_json().map_err(Failure::runtime)?.as_bytes())?;
    for note in found.notes {
        // The policy has been printed; a closed standard error takes nothing from it.
        let _ = writeln!(io::stderr(), "note: {note}");
    }
    Ok(())
}
