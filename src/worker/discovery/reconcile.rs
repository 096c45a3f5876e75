//! Reconciling: what a listing has and the lease table lacks gets its row, and what is of no more use goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::missing::Ancestry;
use super::{Discovery, KEEP_FINISHED_MS, LATEST_MARGIN_MS, Sweep};
use crate::config::Start;
use crate::error::{ApiError, ErrorKind};
use crate::lease::row::{FinishedRow, ShardKey, ShardRow, StreamEntry};
use crate::stream::arn::StreamArn;
use crate::stream::lineage::Listing;
use crate::stream::source::{IteratorPosition, ListedShard, ShardId};
use crate::worker::finish::{late_shard_row, new_shard_row, say_gaps};

impl Discovery {
    /// Adds what the listing has and the lease table lacks. True when every shard of the stream is finished.
    pub(super) async fn reconcile(
        &mut self,
        stream: &StreamArn,
        listing: &Listing,
        entry: &StreamEntry,
        sweep: &mut Sweep,
    ) -> Result<bool, ApiError> {
        let pipeline = Arc::clone(&self.pipeline);
        // Read after the listing: a shard finished in between is in neither, and its new row is refused.
        let rows = self.shared.store.shards(&pipeline.name).await?;
        let rows = || rows.iter().filter(|(key, _)| key.label == entry.label);
        let mut unfinished: BTreeSet<ShardKey> = rows().map(|(key, _)| key.clone()).collect();
        // Parents that no listing shows, by what their children say, listed or not.
        let mut parents = listing.missing_parents();
        for (key, row) in rows().filter_map(|(key, row)| Some((key, row.as_ref().ok()?))) {
            let unknown =
                row.parents.iter().filter(|parent| !row.parents_finished && listing.get(parent).is_none());
            parents.extend(unknown.map(|parent| (parent.clone(), key.shard.clone())));
        }
        // Unfinished, and in no listing any more: what descends from these is not known.
        let unlisted = rows().filter(|(key, _)| listing.get(&key.shard).is_none());
        let elders: Vec<ShardId> = unlisted.map(|(key, _)| key.shard.clone()).collect();
        let latest = rows().filter(|(_, row)| row.as_ref().is_ok_and(|row| row.latest_from_ms.is_some()));
        let latest = latest.map(|(key, _)| key.shard.clone()).collect();
        let skipped = self.before_latest(listing, entry, &unfinished, latest).await?;
        for shard in listing.shards() {
            let key = ShardKey::new(&entry.label, &shard.id);
            if unfinished.contains(&key) || self.finished.contains_key(&key) {
                continue;
            }
            if skipped.contains(&shard.id) {
                self.add_skipped(&key, shard).await?;
            } else if self.add(stream, listing, shard, entry, &unfinished).await? {
                unfinished.insert(key);
            }
            sweep.found = true;
        }
        self.unlisted.retain(|key, _| key.label != entry.label || parents.contains_key(&key.shard));
        for (parent, child) in &parents {
            let key = ShardKey::new(&entry.label, parent);
            if !unfinished.contains(&key)
                && !self.finished.contains_key(&key)
                && !self.is_finished(&key).await?
            {
                let ancestry = if skipped.contains(parent) || self.is_first_of_latest() {
                    Ancestry::Skipped
                } else if elders.iter().any(|elder| elder < parent) {
                    Ancestry::MayBeOpen
                } else {
                    Ancestry::Done
                };
                self.settle_missing(stream, &key, child, ancestry, sweep).await?;
                unfinished.insert(key);
            }
        }
        self.forget_finished(listing, entry, &parents).await?;
        sweep.busy |= !unfinished.is_empty();
        Ok(unfinished.is_empty())
    }

    /// The very first listing, with `start = "latest"`.
    pub(super) fn is_first_of_latest(&self) -> bool {
        !self.row.initialized && self.pipeline.start() == Start::Latest
    }

    /// `start = "latest"`: ancestors, listed late, of shards that are done or were entered at their latest (`entered`).
    /// They lie before the start; read now, their changes would come after those of their children (P2).
    async fn before_latest(
        &mut self,
        listing: &Listing,
        entry: &StreamEntry,
        unfinished: &BTreeSet<ShardKey>,
        mut entered: Vec<ShardId>,
    ) -> Result<BTreeSet<ShardId>, ApiError> {
        let mut before = BTreeSet::new();
        if self.pipeline.settings.source.start != Start::Latest {
            return Ok(before);
        }
        for shard in listing.shards() {
            let key = ShardKey::new(&entry.label, &shard.id);
            let is_known = unfinished.contains(&key);
            if !is_known && (self.finished.contains_key(&key) || self.is_finished(&key).await?) {
                entered.push(shard.id.clone());
            }
        }
        while let Some(shard) = entered.pop() {
            if let Some(parent) = listing.get(&shard).and_then(|shard| shard.parent.clone())
                && before.insert(parent.clone())
            {
                entered.push(parent);
            }
        }
        Ok(before)
    }

    pub(super) async fn is_finished(&mut self, key: &ShardKey) -> Result<bool, ApiError> {
        let finished = self.shared.store.is_finished(&self.pipeline.name, key).await?;
        if finished {
            self.finished.insert(key.clone(), self.shared.machine.wall_ms());
        }
        Ok(finished)
    }

    /// A row was refused: it is there already, or the stream row has moved. True when it is there, unfinished.
    pub(super) async fn is_known(&mut self, key: &ShardKey) -> Result<bool, ApiError> {
        self.is_row_unsure = true;
        Ok(!self.is_finished(key).await?)
    }

    /// Adds a listed shard's row. True when it is there now, unfinished.
    async fn add(
        &mut self,
        stream: &StreamArn,
        listing: &Listing,
        shard: &ListedShard,
        entry: &StreamEntry,
        unfinished: &BTreeSet<ShardKey>,
    ) -> Result<bool, ApiError> {
        let key = ShardKey::new(&entry.label, &shard.id);
        let parent = shard.parent.as_ref().map(|parent| ShardKey::new(&entry.label, parent));
        let parent_unfinished = parent.as_ref().is_some_and(|parent| unfinished.contains(parent));
        let first_listing = self.is_first_of_latest();
        // A shard behind one that an interrupted first start already entered is read whole, or there would be a hole.
        if first_listing && !parent_unfinished {
            if listing.is_closed(shard) || entry.drained {
                return self.add_skipped(&key, shard).await;
            }
            return self.add_latest(stream, &key, shard).await;
        }
        let parents_finished = match &parent {
            Some(parent) => self.finished.contains_key(parent),
            None => true,
        };
        self.create(&key, self.new_row(shard, parents_finished)).await
    }

    /// `start = "latest"`: a shard that was closed before the first start.
    pub(super) async fn add_skipped(
        &mut self,
        key: &ShardKey,
        shard: &ListedShard,
    ) -> Result<bool, ApiError> {
        let finished_at_ms = self.shared.machine.wall_ms();
        let parents = shard.parent.clone().into_iter().collect();
        let row =
            FinishedRow { checkpoint: shard.ending.clone(), finished_at_ms, parents, gaps: vec![], epoch: 0 };
        match self.shared.store.create_finished(&self.pipeline.name, key, &row, self.row.revision).await {
            Ok(()) => {
                self.finished.insert(key.clone(), finished_at_ms);
                Ok(false)
            }
            Err(error) if error.kind == ErrorKind::ConditionFailed => self.is_known(key).await,
            Err(error) => Err(error),
        }
    }

    /// `start = "latest"`: a shard that is open at the first start.
    async fn add_latest(
        &mut self,
        stream: &StreamArn,
        key: &ShardKey,
        shard: &ListedShard,
    ) -> Result<bool, ApiError> {
        let iterator = self.iterator(stream, &shard.id, &IteratorPosition::Latest).await?;
        let now_ms = iterator.served_at_ms.unwrap_or_else(|| self.shared.machine.wall_ms());
        // What lies before the moment is left out on purpose, the parents with it.
        let mut row = new_shard_row(shard, true, now_ms);
        row.latest_from_ms = Some(now_ms.saturating_sub(LATEST_MARGIN_MS));
        self.pipeline.keep_latest(key.clone(), iterator.token);
        self.create(key, row).await
    }

    /// What retention had passed at the very first listing is before our time; later it is a possible gap.
    pub(super) fn new_row(&self, shard: &ListedShard, parents_finished: bool) -> ShardRow {
        if self.row.initialized {
            late_shard_row(shard, parents_finished, self.listed_at_ms)
        } else {
            new_shard_row(shard, parents_finished, self.listed_at_ms)
        }
    }

    pub(super) async fn create(&mut self, key: &ShardKey, row: ShardRow) -> Result<bool, ApiError> {
        match self.shared.store.create_shard(&self.pipeline.name, key, &row, self.row.revision).await {
            Ok(()) => {
                tracing::info!(pipeline = &*self.pipeline.name, shard = %key, "a new shard");
                say_gaps(&self.pipeline, key, &row.gaps);
                Ok(true)
            }
            Err(error) if error.kind == ErrorKind::ConditionFailed => self.is_known(key).await,
            Err(error) => Err(error),
        }
    }

    /// Forgets finished shards that are old, no longer listed, and nobody's parent any more.
    async fn forget_finished(
        &mut self,
        listing: &Listing,
        entry: &StreamEntry,
        needed: &BTreeMap<ShardId, ShardId>,
    ) -> Result<(), ApiError> {
        let wall_ms = self.shared.machine.wall_ms();
        // Hosts' clocks may be wrong by more than that; a shard's id has the service's date of it.
        let is_old = |key: &ShardKey| {
            let created = key.shard.created_ms();
            created.is_none_or(|created| created.saturating_add(KEEP_FINISHED_MS) < self.listed_at_ms)
        };
        let of_no_use = |key: &ShardKey, finished_at_ms: u64| {
            key.label == entry.label
                && is_old(key)
                && finished_at_ms.saturating_add(KEEP_FINISHED_MS) < wall_ms
                && listing.get(&key.shard).is_none()
                && !needed.contains_key(&key.shard)
        };
        let forgotten: Vec<ShardKey> = self
            .finished
            .iter()
            .filter(|(key, finished_at_ms)| of_no_use(key, **finished_at_ms))
            .map(|(key, _)| key.clone())
            .collect();
        for key in forgotten {
            self.shared.store.forget_finished(&self.pipeline.name, &key).await?;
            self.finished.remove(&key);
        }
        Ok(())
    }
}
