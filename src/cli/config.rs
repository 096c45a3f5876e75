//! `config`: prints a commented sample configuration.

use super::failure::Failure;
use super::output;
use crate::config::SAMPLE;

pub(super) fn run() -> Result<(), Failure> {
    output::print(SAMPLE.as_bytes())
}
