//! Missing parents: shards that others name as their parent and that no listing shows. They are read if they still can
//! be, else settled as gone, so that their children never wait for ever.

use super::{Discovery, SWEEP_EVERY_WHEN_WAITING, Sweep};
use crate::error::{ApiError, ErrorKind};
use crate::lease::row::{FinishedRow, Gap, ShardKey};
use crate::machine::{MonoTime, timeout};
use crate::stream::arn::StreamArn;
use crate::stream::lineage::{self, GONE_AFTER, Gone};
use crate::stream::source::{IteratorPosition, ListedShard, ShardId, ShardIterator};
use crate::worker::finish::say_gaps;
use crate::worker::pipeline::READ_TIMEOUT;

/// What is known of the ancestors of a parent that no listing shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ancestry {
    /// With `start = "latest"` there is nothing to want from it or them.
    Skipped,
    /// An older shard is unfinished and in no listing either: it may be one of them.
    MayBeOpen,
    Done,
}

impl Discovery {
    pub(super) async fn iterator(
        &self,
        stream: &StreamArn,
        shard: &ShardId,
        position: &IteratorPosition,
    ) -> Result<ShardIterator, ApiError> {
        const API: &str = "GetShardIterator";
        let call = self.pipeline.source.get_shard_iterator(stream, shard, position);
        let answer = timeout(&*self.shared.machine, READ_TIMEOUT, call).await;
        answer.unwrap_or_else(|| Err(ApiError::timeout(API, READ_TIMEOUT)))
    }

    /// A parent that is neither listed nor known: it is read if it still can be, else finished once it is gone for
    /// certain, so that its children never wait for ever.
    pub(super) async fn settle_missing(
        &mut self,
        stream: &StreamArn,
        key: &ShardKey,
        child: &ShardId,
        ancestry: Ancestry,
        sweep: &mut Sweep,
    ) -> Result<(), ApiError> {
        let listed = ListedShard { id: key.shard.clone(), parent: None, starting: None, ending: None };
        let is_long_gone = lineage::is_long_gone(&key.shard, [child], self.listed_at_ms);
        if ancestry == Ancestry::Skipped {
            self.add_skipped(key, &listed).await?;
            return Ok(());
        }
        loop {
            match self.iterator(stream, &key.shard, &IteratorPosition::TrimHorizon).await {
                Ok(_) => {
                    self.gone.remove(key);
                    if let Some(moment) = self.await_listing(key, is_long_gone) {
                        sweep.ask_again(moment);
                        return Ok(());
                    }
                    if ancestry == Ancestry::MayBeOpen {
                        self.await_elders(sweep);
                        return Ok(());
                    }
                    self.unlisted.remove(key);
                    self.create(key, self.new_row(&listed, true)).await?;
                    sweep.found = true;
                    return Ok(());
                }
                Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Trimmed) => {}
                Err(error) => return Err(error),
            }
            let test = self.gone.entry(key.clone()).or_default();
            match test.refused(self.asked_at, self.shared.machine.now(), is_long_gone) {
                Gone::Yes => break,
                Gone::AskAgain(_) if is_long_gone => {}
                Gone::AskAgain(moment) => {
                    sweep.ask_again(moment);
                    return Ok(());
                }
            }
        }
        if ancestry == Ancestry::MayBeOpen {
            self.await_elders(sweep);
            return Ok(());
        }
        self.gone.remove(key);
        self.finish_gone(key).await?;
        sweep.found = true;
        Ok(())
    }

    /// A shard whose parents nobody can name waits for all that could be, or its changes might come before theirs (P3).
    fn await_elders(&self, sweep: &mut Sweep) {
        sweep.ask_again(self.shared.machine.now() + SWEEP_EVERY_WHEN_WAITING);
    }

    /// A shard that can be read but is not listed: the next listing will show it, with its own parent, which comes first
    /// (P3). `None` once it was awaited long enough: one more listing, asked for a minute later unless it is old, or its
    /// child is.
    fn await_listing(&mut self, key: &ShardKey, is_old: bool) -> Option<MonoTime> {
        let Some(since) = self.unlisted.get(key).copied() else {
            let now = self.shared.machine.now();
            self.unlisted.insert(key.clone(), now);
            return Some(if is_old { now } else { now + GONE_AFTER });
        };
        (!is_old && self.asked_at.since(since) < GONE_AFTER).then(|| since + GONE_AFTER)
    }

    /// Before the first listing was stored, what is gone is simply before our time; later it is a possible gap.
    async fn finish_gone(&mut self, key: &ShardKey) -> Result<(), ApiError> {
        let wall_ms = self.shared.machine.wall_ms();
        let gap = Gap {
            reason: "the shard was gone before it was first seen".to_owned(),
            from: None,
            to: None,
            noticed_at_ms: wall_ms,
        };
        let gaps: Vec<Gap> = self.row.initialized.then_some(gap).into_iter().collect();
        say_gaps(&self.pipeline, key, &gaps);
        let row = FinishedRow { checkpoint: None, finished_at_ms: wall_ms, parents: vec![], gaps, epoch: 0 };
        match self.shared.store.create_finished(&self.pipeline.name, key, &row, self.row.revision).await {
            Ok(()) => {
                self.finished.insert(key.clone(), wall_ms);
                Ok(())
            }
            Err(error) if error.kind == ErrorKind::ConditionFailed => self.is_known(key).await.map(drop),
            Err(error) => Err(error),
        }
    }
}
