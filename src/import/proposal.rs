//! The proposal: what an import would write, for the operator to look at.

use std::fmt;

use super::plan::Plan;
use crate::lease::row::{ShardKey, ShardRow};

/// The most shards named in a list.
const MOST_NAMED: usize = 50;

/// What an import would write.
#[derive(Debug)]
pub struct Proposal {
    pub(super) pipeline: String,
    pub(super) table: String,
    /// Leases in the application's table.
    pub(super) leases: usize,
    /// Rows of it that are none.
    pub(super) others: usize,
    pub(super) plan: Plan,
}

impl Proposal {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Proposal { pipeline, table, leases, others, plan } = self;
        writeln!(f, "KCL lease table {table}: {leases} leases, which stand still.")?;
        for (count, what) in [
            (*others, "rows that are no leases"),
            (plan.foreign, "leases of other tables' streams"),
            (plan.gone, "leases of streams that are gone"),
        ] {
            if count > 0 {
                writeln!(f, "Left out: {count} {what}.")?;
            }
        }
        for gap in &plan.gaps {
            let (from, to) = (gap.from.as_deref().unwrap_or("?"), gap.to.as_deref().unwrap_or("-"));
            writeln!(f, "Noted as a gap: {} ({from} to {to}).", gap.reason)?;
        }
        let (shards, finished) = (plan.shards.len(), plan.finished.len());
        writeln!(f, "Pipeline {pipeline} goes on with {shards} shards; {finished} are finished.")?;
        for (key, row) in plan.shards.iter().take(MOST_NAMED) {
            writeln!(f, "  {key}: {}", place(row))?;
        }
        more(f, shards)?;
        if !plan.new.is_empty() {
            writeln!(f, "Not known to the application yet, and carried whole: {} shards.", plan.new.len())?;
            plan.new.iter().take(MOST_NAMED).try_for_each(|key: &ShardKey| writeln!(f, "  {key}"))?;
            more(f, plan.new.len())?;
        }
        Ok(())
    }
}

fn place(row: &ShardRow) -> String {
    let waits = if row.parents_finished { "" } else { ", once its parents are finished" };
    match (&row.checkpoint, row.latest_from_ms) {
        (Some(number), _) => format!("behind {number}{waits}"),
        (None, Some(ms)) => {
            let moment = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms);
            format!("the changes made since {}", humantime::format_rfc3339_seconds(moment))
        }
        (None, None) => format!("from its oldest change on{waits}"),
    }
}

fn more(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    match count.saturating_sub(MOST_NAMED) {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more"),
    }
}
