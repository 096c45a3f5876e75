//! The proposal: what an order would do to the rows as they are now, for the operator to agree to.

use std::fmt;

use super::{RewindError, Rewinding, may_pass, new_retry};
use crate::lease::order::{Order, Target};
use crate::lease::rewind::{Move, View, moves};
use crate::lease::row::ShardKey;
use crate::stream::SequenceNumber;
use crate::stream::source::ShardId;

/// The most shards named in a list.
const MOST_NAMED: usize = 20;

/// What an order would do.
#[derive(Debug)]
pub struct Proposal {
    pipeline: String,
    order: Order,
    /// The order is stored already: an earlier run broke off.
    is_resumed: bool,
    /// In the order in which they are read again.
    moves: Vec<Move>,
    /// What is accepted: its name, what the configuration says, what is stored.
    adopted: Vec<(&'static str, String, String)>,
    starts_anew: bool,
}

impl Proposal {
    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        !self.is_resumed && self.moves.is_empty() && self.adopted.is_empty()
    }
}

impl Rewinding {
    /// What the order would do; refused where it makes no sense. Changes nothing.
    pub async fn propose(&self) -> Result<Proposal, RewindError> {
        let mut retry = new_retry();
        loop {
            match self.try_propose().await {
                Err(RewindError::Api(error)) if may_pass(&error) && retry.attempts() < 10 => {
                    self.pause(&mut retry, &error).await;
                }
                result => return result,
            }
        }
    }

    async fn try_propose(&self) -> Result<Proposal, RewindError> {
        let view = self.view().await?;
        let order = &self.order;
        if let Some(stored) = &view.stream.rewind {
            self.must_be_ours(stored)?;
        }
        let is_resumed = view.stream.rewind.is_some();
        let ours = self.pipeline.stored_ends();
        let starts_anew = order.adopt && ours.table_arn != view.stream.table_arn;
        if starts_anew && order.to.is_some() {
            return Err(RewindError::Refused(format!(
                "pipeline {:?}: the table changes from {} to {}, of which nothing is known yet; leave out --to: it \
                 begins as `start` says",
                self.pipeline.name, view.stream.table_arn, ours.table_arn
            )));
        }
        let moves = match &order.to {
            Some(to) => {
                let named = order.shard.as_ref().map(|shard| self.named(&view, shard)).transpose()?;
                let moves = moves(&view, order, &self.list(&view).await?);
                if let Some(key) = named.filter(|key| !is_resumed && !moves.iter().any(|m| m.key == *key)) {
                    return Err(self.cannot_go_back(&view, &key, to));
                }
                moves
            }
            None => Vec::new(),
        };
        let changed = ours.differences(&view.stream).into_iter();
        let adopted =
            changed.map(|(what, ours, stored)| (what, ours.to_owned(), stored.to_owned())).collect();
        let pipeline = self.pipeline.name.to_string();
        Ok(Proposal { pipeline, order: order.clone(), is_resumed, moves, adopted, starts_anew })
    }

    fn named(&self, view: &View, shard: &ShardId) -> Result<ShardKey, RewindError> {
        let keys = view.keys();
        let found = keys.iter().find(|key| key.shard == *shard).cloned();
        found.ok_or_else(|| {
            let known: Vec<&str> = keys.iter().map(|key| key.shard.as_str()).take(MOST_NAMED).collect();
            let more = keys.len() - known.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            RewindError::Refused(format!(
                "pipeline {:?} has no shard {shard}; it has {}{more}",
                self.pipeline.name,
                known.join(", ")
            ))
        })
    }

    fn cannot_go_back(&self, view: &View, key: &ShardKey, to: &Target) -> RewindError {
        let shard = &key.shard;
        let place = match view.checkpoint(key) {
            Some(checkpoint) => format!("is at {checkpoint}"),
            None => "has carried nothing yet".to_owned(),
        };
        RewindError::Refused(if view.finished.contains_key(key) && *to == Target::TrimHorizon {
            format!(
                "shard {shard} is finished and can no longer be read: its stream does not list it any more"
            )
        } else {
            format!(
                "shard {shard} {place}, not beyond {to}, or can no longer be read: a rewind only goes back"
            )
        })
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Proposal { pipeline, order, moves, .. } = self;
        if self.is_resumed {
            writeln!(f, "Pipeline {pipeline}: the rewind {order}, which broke off, is carried to its end.")?;
        }
        for (what, ours, stored) in &self.adopted {
            writeln!(f, "Pipeline {pipeline}: its {what} becomes {ours} (until now {stored}).")?;
        }
        if self.starts_anew {
            writeln!(
                f,
                "What the lease table knows of the old table is deleted; the new one begins as `start` says."
            )?;
        } else if !self.adopted.is_empty() {
            writeln!(f, "What was carried stays carried: shards go on from their checkpoints.")?;
        }
        if moves.is_empty() {
            let is_asked = order.to.is_some() || self.adopted.is_empty();
            return if is_asked && !self.is_resumed {
                writeln!(f, "Nothing to do: no shard goes back.")
            } else {
                Ok(())
            };
        }
        writeln!(f, "Pipeline {pipeline}, shards that go back: {}", moves.len())?;
        for one in moves.iter().take(MOST_NAMED) {
            let from = one.from.as_ref().map_or("none", SequenceNumber::as_str);
            let to = one.to.as_ref().map_or("its beginning", SequenceNumber::as_str);
            let state = if one.was_finished { " (finished, read again)" } else { "" };
            writeln!(f, "  {}{state}: from checkpoint {from} back to {to}", one.key)?;
        }
        if moves.len() > MOST_NAMED {
            writeln!(f, "  and {} more", moves.len() - MOST_NAMED)?;
        }
        f.write_str("Consumers will see changes again that they have seen")?;
        match &order.mark {
            Some(mark) => writeln!(f, ", with \"replay\":{:?} in the records.", mark.as_str()),
            None => writeln!(f, "; those that drop duplicates drop these too (--mark tells them apart)."),
        }
    }
}
