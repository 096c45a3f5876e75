//! `check`: tries everything that `run` will need, and changes nothing.

use super::failure::Failure;
use super::output;
use crate::aws;
use crate::config::Config;
use crate::machine::RealMachine;

pub(super) async fn run(config: Config) -> Result<(), Failure> {
    let report = aws::check(&config, &RealMachine::new()).await;
    output::print(report.to_string().as_bytes())?;
    const FOUND: &str = "the check found what would keep `run` from working";
    match report.passed() {
        true => Ok(()),
        false if report.is_contradicted => Err(Failure::usage(FOUND)),
        false => Err(Failure::runtime(FOUND)),
    }
}
