//! The oracle: reads a history, event by event, and says which promise it breaks. It knows nothing of the workers but
//! what an onlooker sees: the table's changes, Kinesis' records, the lease table's rows, and who was running.

mod ending;
mod inversions;
mod leases;
mod numbers;
mod sharing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::history::{Entry, Event, Gap, Item, Lease, Seq, Session, Shard, Who};
use inversions::Inversions;
use numbers::Numbers;

/// Which promise was broken, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// P1: a change never arrived and no gap accounts for it, or a checkpoint passed a change that Kinesis has not.
    Loss,
    /// P2: an item's first deliveries are out of order.
    Order,
    /// P2: one PutRecords call held a lane twice.
    LaneTwice,
    /// P3: a child was read, or a change of it delivered, before its parent was done.
    Lineage,
    /// P4: two owners in one epoch, a lease taken from the living, or a record sent without its lease.
    Fencing,
    /// P5: more in memory than allowed.
    Memory,
    /// P6: a checkpoint, epoch or revision moved back.
    Backwards,
    /// P7: a gap was noted where retention had not passed.
    FalseGap,
    /// A change was delivered that the filter leaves out.
    Unwanted,
    /// P2: a PutRecord names another record than its lane's last one.
    Numbers,
    /// P2, P7: an inversion by Kinesis was not counted, or one was counted that never was.
    Inversions,
    /// A lease was given to a worker that does not serve it, or moved although the leases were even.
    Share,
    /// Not settled within the time allowed after the last fault.
    Liveness,
    /// A task panicked.
    Panic,
    /// A row is written that no onlooker can read.
    BadRow,
}

/// How long changes are kept.
const RETENTION_MS: u64 = 24 * 3_600 * 1_000;
/// A first start carries what is there up to so long after its first listing.
const FIRST_READ_MS: u64 = 60_000;
/// How far a worker's wall clock may be ahead of the world's.
const CLOCKS_APART_MS: u64 = 2_000;

/// In what time after the last fault a world of few shards must be settled.
const SETTLE_MS: u64 = 300_000;

#[derive(Debug)]
struct Change {
    seq: Seq,
    item: Item,
    written_ms: u64,
    /// When retention passed it.
    trimmed_ms: Option<u64>,
    /// Kinesis has it, or nobody can have it any more.
    done: bool,
}

#[derive(Debug, Default)]
struct ShardState {
    table: String,
    label: String,
    parent: Option<Shard>,
    opened_ms: u64,
    closed: bool,
    vanished: bool,
    /// In stream order.
    changes: Vec<Change>,
    /// How many of the first are done.
    done: usize,
    trimmed_through: Option<Seq>,
    lease: Option<Lease>,
    /// When the lease was last written, and when it last changed hands.
    leased_ms: u64,
    taken_ms: u64,
    finished: bool,
    /// Every gap that its rows ever noted.
    gaps: Vec<Gap>,
    owners: BTreeMap<u64, String>,
}

/// What the oracle has seen so far.
#[derive(Debug, Default)]
pub struct Oracle {
    shards: BTreeMap<Shard, ShardState>,
    /// Each item's last first delivery.
    items: BTreeMap<Item, Seq>,
    delivered: BTreeSet<(Arc<str>, Seq)>,
    sessions: BTreeMap<String, Session>,
    /// The session that each process wrote last.
    session_of: BTreeMap<Who, String>,
    /// Which process each session is of.
    process_of: BTreeMap<String, Who>,
    running: BTreeSet<Who>,
    /// When each table's first listing was stored: `start = "latest"` may leave out what is older.
    initialized_ms: BTreeMap<String, u64>,
    /// The gaps between streams that each table's row notes: from this label to that one.
    stream_gaps: BTreeMap<String, Vec<(String, String)>>,
    /// The tables that are read from `latest`.
    pub latest: BTreeSet<String>,
    /// A filter leaves out the changes whose sequence numbers end with a digit below this.
    pub left_out: u64,
    pub inversions: Inversions,
    numbers: Numbers,
    /// Until when everything must be settled: since the last fault, and for how many shards gone before it.
    settle_by: Option<(u64, u64)>,
    pub settled: bool,
    /// Everybody has a share, and nobody comes or goes.
    pub at_rest: bool,
}

type Verdict = Result<(), Violation>;

fn broken(rule: Rule, what: String) -> Verdict {
    Err(Violation { rule, what })
}

fn covers(gap: &Gap, seq: Seq) -> bool {
    gap.from.is_none_or(|from| from < seq) && gap.to.is_none_or(|to| seq < to)
}

/// Under which lease a shard is.
fn epoch(shards: &BTreeMap<Shard, ShardState>, shard: &Shard) -> u64 {
    shards.get(shard).and_then(|state| state.lease.as_ref()).map_or(0, |lease| lease.epoch)
}

impl ShardState {
    fn advance(&mut self) {
        while self.changes.get(self.done).is_some_and(|change| change.done) {
            self.done += 1;
        }
    }
}

impl Oracle {
    /// Judges the next event.
    pub fn see(&mut self, entry: &Entry) -> Verdict {
        let (at, who) = (entry.at_ms, &entry.who);
        match &entry.event {
            Event::Opened { shard, parent } => self.opened(shard, parent.clone(), at),
            Event::Closed { shard } => self.shard(shard).closed = true,
            Event::Written { shard, seq, item } => {
                let (seq, item) = (*seq, item.clone());
                let done = self.is_left_out(seq);
                let change = Change { seq, item, written_ms: at, trimmed_ms: None, done };
                self.shard(shard).changes.push(change);
            }
            Event::Trimmed { shard, through } => self.trimmed(shard, *through, at),
            Event::Vanished { shard } => self.shard(shard).vanished = true,
            Event::Read { shard, .. } => return self.read(shard),
            Event::Put { records, .. } => return self.put(who, records),
            Event::Stored { shard, seq, item, inverted, .. } => {
                self.inversions.happened |= inverted;
                return self.stored(shard, *seq, item);
            }
            Event::Ordered { shard, key, after } => {
                let epoch = epoch(&self.shards, shard);
                return self.numbers.ordered(who, (shard, key), epoch, *after);
            }
            Event::Acknowledged { records } => {
                self.inversions.acknowledged(who, records);
                let shards = &self.shards;
                self.numbers.acknowledged(who, records, |shard| epoch(shards, shard));
            }
            Event::Inversions { counted } => return self.inversions.counted(who, *counted),
            Event::Lease { shard, row } => return self.lease(who, shard, row.as_ref(), at),
            Event::Finished { shard, checkpoint, gaps } => {
                return self.finished(shard, *checkpoint, gaps, at);
            }
            Event::Forgotten { shard } if !self.shard(shard).vanished => {
                return broken(
                    Rule::Backwards,
                    format!("{who} forgets that {shard} is finished, which is listed"),
                );
            }
            Event::Forgotten { .. } | Event::Note(_) => {}
            Event::Session { id, row } => self.session(who, id, row.as_ref()),
            Event::Stream { table, initialized, gaps } => {
                self.stream_gaps.insert(table.to_string(), gaps.clone());
                if *initialized {
                    self.initialized_ms.entry(table.to_string()).or_insert(at);
                }
            }
            Event::Memory { used, limit } if used > limit => {
                return broken(Rule::Memory, format!("{who} holds {used} bytes of {limit}"));
            }
            Event::Memory { .. } => {}
            Event::Process { runs: true, .. } => {
                self.running.insert(who.clone());
            }
            Event::Process { runs: false, .. } => {
                self.running.remove(who);
            }
            Event::Panicked(text) => return broken(Rule::Panic, format!("{who}: {text}")),
            Event::FaultsOver => self.settle_by = Some((at, self.gone(|shard| shard.finished))),
            Event::Settled => self.settled = true,
            Event::Unreadable(text) => return broken(Rule::BadRow, text.clone()),
            Event::Call { .. } => {}
        }
        match self.settle_by {
            Some((since_ms, gone_before)) if !self.settled && at > since_ms + SETTLE_MS => {
                self.is_in_time(at - since_ms, gone_before)
            }
            _ => Ok(()),
        }
    }

    /// How many shards are gone, and such.
    fn gone(&self, such: impl Fn(&ShardState) -> bool) -> u64 {
        self.shards.values().filter(|shard| shard.vanished && such(shard)).count() as u64
    }

    /// In what time after the last fault everything must be settled: dead sessions (10 s), a full look (30 s), held
    /// requests (90 s), a chain of shards; for each that is gone the test for it; and for each that is listed its part of
    /// some sweeps, which read a page a second, of a single shard at worst.
    fn is_in_time(&mut self, since_ms: u64, gone_before: u64) -> Verdict {
        let listed = self.shards.values().filter(|shard| !shard.vanished).count() as u64;
        let gone = self.gone(|_| true) - gone_before;
        if since_ms <= SETTLE_MS + 20_000 * gone + 3_000 * listed {
            return Ok(());
        }
        let why = self.unsettled().unwrap_or_else(|| "nobody said that it is settled".into());
        broken(Rule::Liveness, format!("long after the last fault: {why}"))
    }

    /// Nobody is owed it.
    fn is_left_out(&self, seq: Seq) -> bool {
        seq % 10 < Seq::from(self.left_out)
    }

    fn shard(&mut self, shard: &Shard) -> &mut ShardState {
        self.shards.entry(shard.clone()).or_default()
    }

    fn opened(&mut self, shard: &Shard, parent: Option<Shard>, opened_ms: u64) {
        let (table, rest) = shard.split_once(':').unwrap_or_default();
        let label = rest.split_once('#').unwrap_or_default().0;
        let state = ShardState {
            table: table.into(),
            label: label.into(),
            parent,
            opened_ms,
            ..ShardState::default()
        };
        self.shards.insert(shard.clone(), state);
    }

    fn trimmed(&mut self, shard: &Shard, through: Seq, at_ms: u64) {
        let state = self.shard(shard);
        state.trimmed_through = Some(through);
        for change in state.changes.iter_mut().take_while(|change| change.seq <= through) {
            change.trimmed_ms.get_or_insert(at_ms);
            change.done = true;
        }
    }

    /// Whether the change may be left out because it is older than the start: `latest` wants none that was there before
    /// the first listing, and nobody can have what retention had passed by then, or was passing just then.
    fn is_before_start(&self, shard: &ShardState, change: &Change) -> bool {
        let initialized_ms = self.initialized_ms.get(&shard.table).copied().unwrap_or(u64::MAX);
        let was_passing = shard.opened_ms + RETENTION_MS <= initialized_ms.saturating_add(CLOCKS_APART_MS);
        let passed_ms = if was_passing { FIRST_READ_MS + CLOCKS_APART_MS } else { 0 };
        (self.latest.contains(&shard.table) && change.written_ms <= initialized_ms)
            || change.trimmed_ms.is_some_and(|at| at <= initialized_ms.saturating_add(passed_ms))
    }

    /// Whether retention passed the change just as its pipeline began: then nobody owes it, and a request of the dead, still
    /// on its way, may bring it at any time.
    fn went_at_the_start(&self, shard: &Shard, seq: Seq) -> bool {
        let Some(state) = self.shards.get(shard) else { return false };
        let found = state.changes.binary_search_by_key(&seq, |change| change.seq);
        let change = found.ok().map(|index| &state.changes[index]);
        change.is_some_and(|change| change.trimmed_ms.is_some() && self.is_before_start(state, change))
    }

    /// The first change of the shard that is not done and must be delivered.
    fn missing(&mut self, shard: &Shard) -> Option<(Seq, Item)> {
        let mut state = self.shards.remove(shard)?;
        state.advance();
        while state.changes.get(state.done).is_some_and(|change| self.is_before_start(&state, change)) {
            state.done += 1;
            state.advance();
        }
        let missing = state.changes.get(state.done).map(|change| (change.seq, change.item.clone()));
        self.shards.insert(shard.clone(), state);
        missing
    }

    /// Parents, and all shards of earlier streams of the table.
    fn before(&self, shard: &Shard) -> Vec<Shard> {
        let Some(state) = self.shards.get(shard) else { return vec![] };
        let earlier = |other: &ShardState| other.table == state.table && other.label < state.label;
        let streams = self.shards.iter().filter(|(_, other)| earlier(other)).map(|(name, _)| name.clone());
        state.parent.iter().cloned().chain(streams).collect()
    }

    fn read(&mut self, shard: &Shard) -> Verdict {
        let parent = self.shards.get(shard).and_then(|state| state.parent.clone());
        match parent.and_then(|parent| self.shards.get(&parent).map(|state| (parent, state.finished))) {
            Some((parent, false)) => {
                broken(Rule::Lineage, format!("{shard} is read while its parent {parent} is not finished"))
            }
            _ => Ok(()),
        }
    }

    fn put(&mut self, who: &Who, records: &[(Shard, Arc<str>, Seq)]) -> Verdict {
        let mut lanes = BTreeSet::new();
        for (shard, key, seq) in records {
            if !lanes.insert((shard, key)) {
                return broken(Rule::LaneTwice, format!("{key} of {shard} twice in one call, at {seq}"));
            }
        }
        let Some(me) =
            self.session_of.get(who).filter(|me| self.sessions.values().any(|one| one.owner == **me))
        else {
            return broken(Rule::Fencing, format!("{who} sends records without a living session"));
        };
        let lease_of = |shard: &Shard| self.shards.get(shard).and_then(|state| state.lease.as_ref());
        let is_mine = |lease: &Lease| lease.owner.as_ref() == Some(me) && !lease.offered;
        match records.iter().find(|(shard, ..)| !lease_of(shard).is_some_and(is_mine)) {
            Some((shard, key, seq)) => {
                let lease = lease_of(shard);
                broken(Rule::Fencing, format!("{who} sends {key}@{seq} of {shard}, whose lease is {lease:?}"))
            }
            None => Ok(()),
        }
    }

    fn stored(&mut self, shard: &Shard, seq: Seq, item: &Item) -> Verdict {
        if self.is_left_out(seq) {
            return broken(
                Rule::Unwanted,
                format!("{item}: {seq} is delivered, which the filter leaves out"),
            );
        }
        let table = self.shard(shard).table.clone();
        if !self.delivered.insert((table.into(), seq)) {
            return Ok(());
        }
        let state = self.shard(shard);
        if let Ok(index) = state.changes.binary_search_by_key(&seq, |change| change.seq) {
            state.changes[index].done = true;
            // Retention had passed it and a gap says so: a request of the dead, still on its way, brought it after all.
            let is_given_up = state.changes[index].trimmed_ms.is_some();
            if is_given_up && state.gaps.iter().any(|gap| covers(gap, seq)) {
                return Ok(());
            }
        }
        if self.went_at_the_start(shard, seq) {
            return Ok(());
        }
        let last = self.items.insert(item.clone(), seq);
        if let Some(last) = last.filter(|last| *last > seq) {
            return broken(Rule::Order, format!("{item}: {seq} is first delivered after {last}"));
        }
        for before in self.before(shard) {
            if let Some((open, _)) = self.missing(&before) {
                return broken(
                    Rule::Lineage,
                    format!("{seq} of {shard} is delivered before {open} of {before}"),
                );
            }
        }
        Ok(())
    }
}
