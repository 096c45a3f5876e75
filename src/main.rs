//! Arguments → configuration → run; see the library's `cli` module.

use std::process::ExitCode;

use clap::Parser;
use ddb_kinesis_bridge::cli;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::execute(cli::Arguments::parse())
}
