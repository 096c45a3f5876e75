//! From a configuration and a wish to an import over AWS. Everything is asked, nothing written.

use std::sync::Arc;

use aws_credential_types::provider::SharedCredentialsProvider;

use super::{ImportError, Importing, Wish};
use crate::aws::Aws;
use crate::aws::check::connections;
use crate::aws::probe::{self, LEASE_TABLE_SECTION, LeaseTableState, Patience, Problem, source_section};
use crate::config::Config;
use crate::delivery::memory::Budget;
use crate::machine::{Machine, RealMachine};
use crate::ops::metrics::Metrics;
use crate::rewind;
use crate::start::{self, StartError};
use crate::worker::pipeline::{PAGE_BYTES, Shared};

/// An import for the pipeline of this name; for the only one without a name. `credentials` stand in for the SDK's own
/// search for them.
pub async fn prepare(
    config: &Config,
    pipeline: Option<&str>,
    wish: Wish,
    credentials: Option<SharedCredentialsProvider>,
) -> Result<Importing, ImportError> {
    let settings =
        rewind::settings(config, pipeline).map_err(|error| ImportError::Refused(error.to_string()))?.clone();
    let machine: Arc<dyn Machine> = Arc::new(RealMachine::new());
    let aws = Aws::load(connections(config), credentials).await;
    let patience = Patience::at_start(&*machine);
    let metrics = Metrics::new();
    // It reads no changes: what they would be held in is never used.
    let budget = Budget::new(PAGE_BYTES);
    let section = source_section(&settings.name);
    let kcl = aws.dynamodb(&section, &settings.source.connection).map_err(problem)?;
    let part = budget.part(PAGE_BYTES);
    let pipeline = start::pipeline(&aws, settings, &patience, &metrics, part).await?;
    let found = start::lease_table(&aws, config, &machine, &patience).await?;
    let ours = aws.dynamodb(LEASE_TABLE_SECTION, &config.lease_table.connection).map_err(problem)?;
    let has_lease_table = found.state == LeaseTableState::Ready;
    let interval = config.lease_table.checkpoint_interval;
    let shared = Shared::new(Arc::clone(&machine), found.store, budget, interval, metrics);
    let lease_table = config.lease_table.clone();
    Ok(Importing { shared, pipeline, wish, kcl, ours, lease_table, has_lease_table })
}

/// Makes sure of the lease table, as `run` does.
pub(super) async fn lease_table(importing: &Importing) -> Result<(), ImportError> {
    let patience = Patience::at_start(&*importing.shared.machine);
    let prepared = probe::lease_table::prepare(&importing.ours, &importing.lease_table, &patience).await;
    prepared.map_err(|problem| StartError::from(problem).into())
}

fn problem(error: impl Into<Problem>) -> ImportError {
    StartError::from(error.into()).into()
}
