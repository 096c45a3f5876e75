//! `check`: tries everything that `run` will need, and changes nothing.

use super::failure::Failure;
use super::output;
use crate::aws;
use crate::config::Config;
use crate::machine::RealMachine;

pub(super) async fn run(config: Config) -> Result<(), Failure> {
    let report = aws::check(&config, &RealMachine::new()).await;
    output::print(report.to_string().as_bytes())?;
    if report.passed() {
        Ok(())
    } else if report.contradicted {
        Err(Failure::usage("the configuration contradicts what the check found"))
    } else {
        Err(Failure::runtime("the check found what would keep `run` from working"))
    }
}
