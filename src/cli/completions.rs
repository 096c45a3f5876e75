//! `completions`: prints a shell's completion script.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::failure::Failure;
use super::{Arguments, output};

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell to complete in
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    output::print(&script)
}
