//! What reading makes of calls that fail: most it tries again by itself; a position that retention passed becomes a gap,
//! and a shard that is gone is told of, once that is proven.

use std::sync::Arc;

use super::{Event, Reading};
use crate::config::OnGap;
use crate::error::{ApiError, ErrorKind};
use crate::lease::row::Gap;
use crate::machine::MonoTime;
use crate::stream::lineage::{self, Gone, Listing};
use crate::stream::reader::Trouble;

impl Reading {
    pub(super) async fn trouble(&mut self, error: ApiError) -> Option<Event> {
        let machine = Arc::clone(&self.shared.machine);
        let trouble = self.reader.failed(machine.now(), &error, machine.random());
        if error.kind != ErrorKind::ExpiredIterator {
            self.pipeline.failed(&error);
            if let Some(times) = self.failures.happened(machine.now()) {
                tracing::warn!(pipeline = &*self.pipeline.name, shard = %self.shard, times, "read the shard: {error}");
            }
        }
        match trouble {
            Trouble::Passing => None,
            Trouble::Trimmed => self.trimmed(error.api).await,
            // GetRecords alone proves nothing; the reader asks for an iterator next.
            Trouble::NotFound if error.api == "GetRecords" => None,
            Trouble::NotFound => {
                let asked_at = machine.now();
                let listing = self.list().await?;
                self.maybe_gone(asked_at, &listing)
            }
        }
    }

    pub(super) fn over_trouble(&mut self) {
        if let Some(times) = self.failures.went_well(self.shared.machine.now()) {
            tracing::info!(pipeline = &*self.pipeline.name, shard = %self.shard, times, "the shard is read again");
        }
    }

    /// A complete listing of the stream; `None` when it could not be had (the reader tries again by itself).
    async fn list(&mut self) -> Option<Listing> {
        self.rests();
        let listing = self.pipeline.list(&self.shared, &self.stream).await;
        self.moves();
        match listing {
            Ok(listing) => Some(listing),
            Err(error) => {
                self.pipeline.failed(&error);
                None
            }
        }
    }

    /// The stream's retention passed the position.
    async fn trimmed(&mut self, api: &str) -> Option<Event> {
        let asked_at = self.shared.machine.now();
        let listing = self.list().await?;
        let Some(listed) = listing.get(&self.shard) else {
            // An iterator that was granted may be trimmed later; only a refused one tells of the shard.
            return if api == "GetShardIterator" { self.maybe_gone(asked_at, &listing) } else { None };
        };
        self.gone.seen();
        if let (Some(last), Some(ending)) = (&self.last_read, &listed.ending)
            && listing.is_closed(listed)
            && ending <= last
        {
            // Closed, and read to its end: nothing is missing.
            self.reader.end();
            return None;
        }
        if self.in_gap {
            self.reader.skip_to_horizon();
            return None;
        }
        self.gap("the stream's retention of 24 hours passed before these changes were read")
    }

    /// Notes a gap from the last change read, and reads on from the oldest; or halts, by `on_gap`.
    pub(super) fn gap(&mut self, reason: &str) -> Option<Event> {
        if self.pipeline.settings.source.on_gap == OnGap::Halt {
            return Some(Event::Halt(format!(
                "{reason}, and on_gap = \"halt\": set on_gap = \"continue\" to accept the gap and go on from the oldest change"
            )));
        }
        self.in_gap = true;
        self.reader.skip_to_horizon();
        Some(Event::GapBegins(self.gap_from_here(reason)))
    }

    fn gap_from_here(&self, reason: &str) -> Gap {
        Gap {
            reason: reason.to_owned(),
            from: self.last_read.as_ref().map(ToString::to_string),
            to: None,
            noticed_at_ms: self.shared.machine.wall_ms(),
        }
    }

    /// An iterator was refused: the shard is gone if a complete listing lacks it too, by [`GoneTest`].
    fn maybe_gone(&mut self, asked_at: MonoTime, listing: &Listing) -> Option<Event> {
        if listing.get(&self.shard).is_some() {
            self.gone.seen();
            return None;
        }
        let machine = &self.shared.machine;
        let now_ms = listing.served_at_ms().unwrap_or_else(|| machine.wall_ms());
        let children = listing.children_of(&self.shard).map(|child| &child.id);
        let is_long_gone = lineage::is_long_gone(&self.shard, children, now_ms)
            || self.pipeline.is_long_gone(&self.stream, asked_at);
        match self.gone.refused(asked_at, machine.now(), is_long_gone) {
            Gone::AskAgain(moment) => {
                self.reader.pause_until(moment);
                None
            }
            Gone::Yes if self.pipeline.settings.source.on_gap == OnGap::Halt => Some(Event::Halt(
                "the shard is gone, with changes that may not have been read, and on_gap = \"halt\": set on_gap = \
                 \"continue\" to accept the gap and go on with its children"
                    .to_owned(),
            )),
            Gone::Yes => Some(Event::Gone(self.gap_from_here("the shard is gone before it was read to its end"))),
        }
    }
}
