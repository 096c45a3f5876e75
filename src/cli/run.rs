//! `run`: carries changes until a signal ends it.

use super::failure::Failure;
use crate::config::Config;

pub(super) async fn run(_config: Config) -> Result<(), Failure> {
    Err(Failure::runtime("`run` is not built yet"))
}
