//! From a configuration and an order to a rewind over AWS. Everything is asked, nothing written.

use std::sync::Arc;

use aws_credential_types::provider::SharedCredentialsProvider;

use super::{RewindError, Rewinding};
use crate::aws::Aws;
use crate::aws::check::connections;
use crate::aws::probe::{LeaseTableState, Patience, Problem};
use crate::config::{self, Config};
use crate::delivery::memory::Budget;
use crate::lease::order::Order;
use crate::machine::{Machine, RealMachine};
use crate::ops::metrics::Metrics;
use crate::start::{self, StartError};
use crate::worker::pipeline::{PAGE_BYTES, Shared};

/// A rewind of the pipeline of this name; of the only one without a name. `credentials` stand in for the SDK's own search
/// for them.
pub async fn prepare(
    config: &Config,
    pipeline: Option<&str>,
    order: Order,
    credentials: Option<SharedCredentialsProvider>,
) -> Result<Rewinding, RewindError> {
    let settings = settings(config, pipeline)?.clone();
    let machine: Arc<dyn Machine> = Arc::new(RealMachine::new());
    let aws = Aws::load(connections(config), credentials).await;
    let patience = Patience::at_start(&*machine);
    let metrics = Metrics::new();
    // It reads no changes: what they would be held in is never used.
    let budget = Budget::new(PAGE_BYTES);
    let part = budget.part(PAGE_BYTES);
    let pipeline = start::pipeline(&aws, settings, &patience, &metrics, part).await?;
    let found = start::lease_table(&aws, config, &machine, &patience).await?;
    if found.state != LeaseTableState::Ready {
        let problem = Problem {
            section: crate::aws::probe::LEASE_TABLE_SECTION.to_owned(),
            what: format!(
                "table `{}` does not exist yet, so there is nothing to go back to",
                config.lease_table.name
            ),
            remedy: "check `name`, `region` and the account of the credentials".to_owned(),
        };
        return Err(StartError::from(problem).into());
    }
    let interval = config.lease_table.checkpoint_interval;
    let shared = Shared::new(Arc::clone(&machine), found.store, budget, interval, metrics);
    let timing = start::session_timing(config);
    Ok(Rewinding { shared, pipeline, timing, host: start::host(), order })
}

/// The settings of the pipeline of this name; of the only one without a name.
pub(crate) fn settings<'a>(
    config: &'a Config,
    name: Option<&str>,
) -> Result<&'a config::Pipeline, RewindError> {
    let pipelines = &config.pipelines;
    let refused = |what: String| {
        let names: Vec<&str> = pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
        RewindError::Refused(format!("{what}; name one with --pipeline: {}", names.join(", ")))
    };
    match (name, pipelines.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(refused(format!("the configuration has {} pipelines", pipelines.len()))),
        (Some(name), _) => pipelines
            .iter()
            .find(|pipeline| pipeline.name == name)
            .ok_or_else(|| refused(format!("the configuration has no pipeline {name:?}"))),
    }
}
