//! `check`: tries everything that `run` will need, and changes nothing.

use super::failure::Failure;
use crate::config::Config;

pub(super) async fn run(_config: Config) -> Result<(), Failure> {
    Err(Failure::runtime("`check` is not built yet"))
}
