//! `demo`: emulators inside the process, live writes, the real worker, and the records as they land.

use clap::Args;

use super::failure::Failure;

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Stop after this many changes and verify that all arrived in order; without it, go on until Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub changes: Option<u64>,

    /// Changes to write each second
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
}

pub(super) async fn run(_arguments: DemoArguments) -> Result<(), Failure> {
    Err(Failure::runtime("`demo` is not built yet"))
}
