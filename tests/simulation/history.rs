//! The history: what happened outside of the workers, in order. The oracle judges it, a failing run prints it, and the
//! same-seed test compares it byte for byte. Nothing in it comes from a worker's inside.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A stream sequence number.
pub type Seq = u128;
/// A shard: `table:label#shard`.
pub type Shard = Arc<str>;
/// An item: `table/partition key/sort key`.
pub type Item = Arc<str>;
/// A process: `worker id/how many-th start`; `world` for what no process did.
pub type Who = Arc<str>;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Since the world's beginning.
    pub at_ms: u64,
    pub who: Who,
    pub event: Event,
}

/// A noted gap, as a row holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// The last position carried before it; `None`: the beginning.
    pub from: Option<Seq>,
    /// The first carried behind it; `None`: the end.
    pub to: Option<Seq>,
}

/// A shard's row after a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// `id/incarnation`.
    pub owner: Option<String>,
    /// The owner has still to take it.
    pub offered: bool,
    pub epoch: u64,
    pub revision: u64,
    pub checkpoint: Option<Seq>,
    pub gaps: Vec<Gap>,
}

/// A session's row after a write.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// As in [`Lease::owner`].
    pub owner: String,
    pub counter: u64,
    /// The tables whose pipelines it serves.
    pub serves: Vec<String>,
    pub draining: bool,
}

/// Where Kinesis put a record: its shard, and its sequence number there.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub shard: Arc<str>,
    pub number: Seq,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A shard of the table's stream was opened.
    Opened { shard: Shard, parent: Option<Shard> },
    /// It takes no more changes.
    Closed { shard: Shard },
    /// A change was written to the table and stands in its stream.
    Written { shard: Shard, seq: Seq, item: Item },
    /// Retention passed all changes of the shard up to this one.
    Trimmed { shard: Shard, through: Seq },
    /// Retention passed the whole shard: no listing has it any more.
    Vanished { shard: Shard },
    /// Records of a shard were served.
    Read { shard: Shard, first: Option<Seq>, count: usize },
    /// A PutRecords request was sent, or a PutRecord: each record's stream shard, partition key and first change.
    Put { sink: Arc<str>, records: Vec<(Shard, Arc<str>, Seq)> },
    /// A record goes by PutRecord; `after` is its SequenceNumberForOrdering.
    Ordered { shard: Shard, key: Arc<str>, after: Option<Seq> },
    /// Kinesis has a change, all of a record at one place. `inverted`: it stands before an earlier one of its lane, though that was acknowledged.
    Stored { shard: Shard, seq: Seq, item: Item, place: Place, inverted: bool },
    /// A worker was told so: each record's stream shard, partition key and place.
    Acknowledged { records: Vec<(Shard, Arc<str>, Place)> },
    /// How many inversions the process has counted (`order_inversions_total`).
    Inversions { counted: u64 },
    /// A shard's row was written (`None`: deleted).
    Lease { shard: Shard, row: Option<Lease> },
    /// A shard was stored as finished.
    Finished { shard: Shard, checkpoint: Option<Seq>, gaps: Vec<Gap> },
    /// Its finished row was deleted.
    Forgotten { shard: Shard },
    /// A session row was written (`None`: deleted).
    Session { id: String, row: Option<Session> },
    /// A table's stream row was written.
    Stream { table: Arc<str>, initialized: bool, gaps: Vec<(String, String)> },
    /// Bytes of changes that the process holds, and may hold.
    Memory { used: usize, limit: usize },
    /// A process began or ended (killed, stopped, failed).
    Process { runs: bool, how: String },
    /// A task panicked.
    Panicked(String),
    /// A row of the lease table was written that does not read.
    Unreadable(String),
    /// Anything else that a reader of the timeline wants to know.
    Note(String),
    /// From here on nothing fails any more.
    FaultsOver,
    /// All is delivered and every open shard has a living owner.
    Settled,
    /// A call that was sent then, and what became of it.
    Call { api: &'static str, what: String, sent_ms: u64, outcome: String },
}

/// All events of a run.
#[derive(Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
    /// Calls by API, where they are counted and nothing is kept: for fleets whose histories would fill the memory.
    pub counts: Option<BTreeMap<&'static str, u64>>,
}

impl History {
    pub fn push(&mut self, entry: Entry) {
        match (&mut self.counts, &entry.event) {
            (None, _) => self.entries.push(entry),
            (Some(counts), Event::Call { api, .. }) => *counts.entry(api).or_default() += 1,
            (Some(_), _) => {}
        }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// A shard's name as the timeline has it, `table0:97000#4`: the label's and the id's ends, which tell them apart.
fn short(shard: &str) -> String {
    let Some((stream, id)) = shard.split_once('#') else { return shard.to_owned() };
    let (table, label) = stream.split_once(':').unwrap_or((stream, ""));
    let end = |text: &str, at: char| {
        let end = text.rsplit(at).next().unwrap_or_default().trim_start_matches('0').to_owned();
        if end.is_empty() { "0".to_owned() } else { end }
    };
    format!("{table}:{}#{}", end(label, 'T'), end(id, '-'))
}

/// A position as the timeline has it.
fn at(seq: Option<Seq>) -> String {
    seq.map_or_else(|| "none".to_owned(), |seq| seq.to_string())
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", at(self.from), at(self.to))
    }
}

fn gaps(gaps: &[Gap]) -> String {
    gaps.iter().map(|gap| format!(" gap {gap}")).collect()
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8}.{:03}  {:<6} {}", self.at_ms / 1_000, self.at_ms % 1_000, self.who, self.event)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Opened { shard, parent } => {
                write!(f, "opened     {}", short(shard))?;
                parent.as_ref().map_or(Ok(()), |parent| write!(f, " child of {}", short(parent)))
            }
            Event::Closed { shard } => write!(f, "closed     {}", short(shard)),
            Event::Written { shard, seq, item } => write!(f, "written    {} {item} {seq}", short(shard)),
            Event::Trimmed { shard, through } => write!(f, "trimmed    {} through {through}", short(shard)),
            Event::Vanished { shard } => write!(f, "vanished   {}", short(shard)),
            Event::Read { shard, first, count } => {
                write!(f, "read       {} {count} from {}", short(shard), at(*first))
            }
            Event::Put { sink, records } => {
                write!(f, "put        {sink} {}:", records.len())?;
                records.iter().try_for_each(|(shard, key, seq)| write!(f, " {}/{key}@{seq}", short(shard)))
            }
            Event::Ordered { shard, key, after } => {
                write!(f, "ordered    {}/{key} after {}", short(shard), at(*after))
            }
            Event::Stored { shard, seq, item, place, inverted } => {
                let inverted = if *inverted { ", BEFORE an earlier one" } else { "" };
                write!(
                    f,
                    "stored     {} {item} {seq} at {}/{}{inverted}",
                    short(shard),
                    place.shard,
                    place.number
                )
            }
            Event::Acknowledged { records } => {
                write!(f, "answered  ")?;
                records
                    .iter()
                    .try_for_each(|(shard, key, place)| write!(f, " {}/{key}@{}", short(shard), place.number))
            }
            Event::Inversions { counted } => write!(f, "inversions {counted} counted"),
            Event::Lease { shard, row: None } => write!(f, "lease      {} deleted", short(shard)),
            Event::Lease { shard, row: Some(row) } => write!(
                f,
                "lease      {} {} {} epoch {} revision {} checkpoint {}{}",
                short(shard),
                if row.offered { "offered to" } else { "owner" },
                row.owner.as_deref().unwrap_or("none"),
                row.epoch,
                row.revision,
                at(row.checkpoint),
                gaps(&row.gaps)
            ),
            Event::Finished { shard, checkpoint, gaps: noted } => {
                write!(f, "finished   {} checkpoint {}{}", short(shard), at(*checkpoint), gaps(noted))
            }
            Event::Forgotten { shard } => write!(f, "forgotten  {}", short(shard)),
            Event::Session { id, row: None } => write!(f, "session    {id} deleted"),
            Event::Session { id, row: Some(row) } => {
                let draining = if row.draining { " draining" } else { "" };
                write!(
                    f,
                    "session    {id} {} counter {} serves {:?}{draining}",
                    row.owner, row.counter, row.serves
                )
            }
            Event::Stream { table, initialized, gaps } => {
                write!(f, "stream     {table} initialized {initialized} gaps {gaps:?}")
            }
            Event::Memory { used, limit } => write!(f, "memory     {used} of {limit}"),
            Event::Process { runs: true, how } => write!(f, "started    {how}"),
            Event::Process { runs: false, how } => write!(f, "ended      {how}"),
            Event::Panicked(text) => write!(f, "PANICKED   {text}"),
            Event::Unreadable(text) => write!(f, "UNREADABLE {text}"),
            Event::Note(note) => write!(f, "note       {note}"),
            Event::FaultsOver => write!(f, "note       no more faults from here on"),
            Event::Settled => write!(f, "note       everything is delivered and owned"),
            Event::Call { api, what, sent_ms, outcome } => {
                write!(f, "call       {api} {what} (sent at {sent_ms}): {outcome}")
            }
        }
    }
}
