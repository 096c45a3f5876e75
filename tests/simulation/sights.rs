//! Sights: what a run came upon, read from its history alone. A fault that no seed meets proves nothing; so the seeds
//! together must have seen each of these.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Entry, Event, Lease, Place, Session, Shard, Who};
use crate::world::kinesis::NUMBER_REFUSED;

/// Something that a run can come upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    Rejected,
    Throttled,
    /// The effect took place, the caller got an error or nothing.
    AnswerLost,
    /// A request took effect some seconds after it was sent.
    Slow,
    /// A request took effect more than ten seconds after it was sent.
    Held,
    EntryFailed,
    KinesisShardFull,
    /// A shard took its limit from a worker that knows which keys are that shard's.
    KnownShardFull,
    KinesisResharded,
    /// A worker learnt of the shards after they had changed.
    ShardsKnownAnew,
    /// Kinesis broke the assumption of P2.
    Inverted,
    IteratorExpired,
    /// A worker was told that retention had passed what it wanted.
    Trimmed,
    GapNoted,
    Killed,
    StartedAnew,
    Drained,
    /// A request took effect while its sender was dead or paused.
    RequestOutlivesSender,
    /// A worker paused for longer than its session went on.
    ZombieWoken,
    /// A lease changed hands because its owner's session was declared dead.
    TakenFromTheDead,
    /// A lease went from one who lives to another, who took it.
    HandedOver,
    /// Whoever was offered a lease lives and has not taken it; another did.
    OfferLapsed,
    /// Whoever was offered a lease was declared dead first.
    OfferToTheDead,
    /// A take took place, and the taker did not learn of it.
    TakeAnswerLost,
    /// Two living workers serve different pipelines.
    MixedFleet,
    /// Two processes of one id at a time.
    Rival,
    CutFromSource,
    CutFromSink,
    CutFromLeases,
    /// Two workers whose clocks differ by more than a tenth.
    ClocksApart,
    PagedQuery,
    /// A worker's own write of a row came behind a later one of its own, and was refused.
    OwnWriteOvertaken,
    ChildBeforeParent,
    Split,
    StreamEnabledAgain,
    /// Nobody ran for a day, and shards rotated twice in it.
    LongOutage,
    /// A worker slept for a day and went on.
    LongSleep,
    /// One call held records of one partition key from two stream shards.
    KeyOfTwoShards,
    /// One record carried several changes.
    Aggregate,
    /// Kinesis refused a record that did.
    AggregateRefused,
    /// A PutRecord named the record before its own.
    Numbered,
    /// Kinesis did not know the number any more.
    NumberRefused,
}

/// All of them.
pub const ALL: [Sight; 42] = [
    Sight::Rejected,
    Sight::Throttled,
    Sight::AnswerLost,
    Sight::Slow,
    Sight::Held,
    Sight::EntryFailed,
    Sight::KinesisShardFull,
    Sight::KnownShardFull,
    Sight::KinesisResharded,
    Sight::ShardsKnownAnew,
    Sight::Inverted,
    Sight::IteratorExpired,
    Sight::Trimmed,
    Sight::GapNoted,
    Sight::Killed,
    Sight::StartedAnew,
    Sight::Drained,
    Sight::RequestOutlivesSender,
    Sight::ZombieWoken,
    Sight::TakenFromTheDead,
    Sight::HandedOver,
    Sight::OfferLapsed,
    Sight::OfferToTheDead,
    Sight::TakeAnswerLost,
    Sight::MixedFleet,
    Sight::Rival,
    Sight::CutFromSource,
    Sight::CutFromSink,
    Sight::CutFromLeases,
    Sight::ClocksApart,
    Sight::PagedQuery,
    Sight::OwnWriteOvertaken,
    Sight::ChildBeforeParent,
    Sight::Split,
    Sight::StreamEnabledAgain,
    Sight::LongOutage,
    Sight::LongSleep,
    Sight::KeyOfTwoShards,
    Sight::Aggregate,
    Sight::AggregateRefused,
    Sight::Numbered,
    Sight::NumberRefused,
];

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// A reader of histories, looking out.
#[derive(Debug, Default)]
struct Lookout {
    seen: BTreeSet<Sight>,
    /// The clocks of those who run.
    running: BTreeMap<Who, u64>,
    /// Dead or paused, since when.
    asleep: BTreeMap<Who, u64>,
    /// Each process's session; removed when it is deleted or another's stands in its place.
    sessions: BTreeMap<String, (Who, String)>,
    /// Paused past the end of their session.
    zombies: BTreeSet<Who>,
    /// Each shard's owner.
    owners: BTreeMap<Shard, String>,
    /// Leases whose owners have still to take them.
    offered: BTreeSet<Shard>,
    /// What each worker serves.
    serves: BTreeMap<String, Vec<String>>,
    /// The rotations on the way to each shard since the last process ended, and when that was.
    generations: BTreeMap<Shard, u32>,
    all_away_since_ms: u64,
    children: BTreeMap<Shard, u32>,
    labels: BTreeMap<String, BTreeSet<String>>,
    /// Who knows the shards of a Kinesis stream, and whether some have changed since.
    knows_shards: BTreeMap<Who, bool>,
    /// Who has just taken a lease.
    took: Option<Who>,
    /// Where the last change was stored.
    stored: Option<Place>,
}

/// What a history shows.
pub fn seen(history: &[Entry]) -> BTreeSet<Sight> {
    let mut lookout = Lookout::default();
    for entry in history {
        let took = lookout.took.take();
        lookout.look(entry, took.as_ref());
    }
    lookout.seen
}

impl Lookout {
    fn see(&mut self, sight: Sight, happens: bool) {
        if happens {
            self.seen.insert(sight);
        }
    }

    fn look(&mut self, entry: &Entry, took: Option<&Who>) {
        let who = &entry.who;
        match &entry.event {
            Event::Call { api, what, sent_ms, outcome } => {
                self.call(entry, (api, what), entry.at_ms - sent_ms, outcome);
                self.see(Sight::TakeAnswerLost, took == Some(who) && outcome.ends_with("answer lost"));
            }
            Event::Process { runs: true, how } => self.started(entry, how),
            Event::Process { runs: false, how } => {
                self.running.remove(who);
                self.asleep.insert(who.clone(), entry.at_ms);
                self.see(Sight::Killed, how == "killed");
                self.see(Sight::Drained, how == "stopped");
                if self.running.is_empty() {
                    self.all_away_since_ms = entry.at_ms;
                    self.generations.clear();
                }
            }
            Event::Session { id, row } => self.session(who, id, row.as_ref()),
            Event::Note(note) => self.note(entry, note),
            Event::Opened { shard, parent } => self.opened(shard, parent.as_ref()),
            Event::Lease { shard, row } => {
                self.lease(who, shard, row.as_ref());
                self.see(Sight::GapNoted, row.as_ref().is_some_and(|row| !row.gaps.is_empty()));
            }
            Event::Stored { inverted, place, .. } => {
                self.see(Sight::Inverted, *inverted);
                let is_with_another = self.stored.replace(place.clone()).as_ref() == Some(place);
                self.see(Sight::Aggregate, is_with_another);
            }
            Event::Ordered { after, .. } => self.see(Sight::Numbered, after.is_some()),
            Event::Put { records, .. } => {
                let keys: BTreeSet<_> = records.iter().map(|(_, key, _)| key).collect();
                self.see(Sight::KeyOfTwoShards, keys.len() < records.len());
            }
            _ => {}
        }
    }

    fn lease(&mut self, who: &Who, shard: &Shard, row: Option<&Lease>) {
        let owner = row.and_then(|row| row.owner.clone());
        let before = match &owner {
            Some(owner) => self.owners.insert(shard.clone(), owner.clone()),
            None => self.owners.remove(shard),
        };
        let was_offered = self.offered.remove(shard);
        if row.is_some_and(|row| row.offered) {
            self.offered.insert(shard.clone());
            return;
        }
        let is_new = owner.is_some() && owner != before;
        self.took = (is_new || was_offered).then(|| who.clone());
        let lived =
            before.as_ref().is_some_and(|before| self.sessions.values().any(|(_, one)| one == before));
        self.see(Sight::TakenFromTheDead, is_new && before.is_some() && !lived);
        self.see(Sight::HandedOver, was_offered && !is_new);
        self.see(Sight::OfferLapsed, was_offered && is_new && lived);
        self.see(Sight::OfferToTheDead, was_offered && is_new && !lived);
    }

    fn call(&mut self, entry: &Entry, (api, what): (&str, &str), took_ms: u64, outcome: &str) {
        let who = &entry.who;
        self.see(Sight::Rejected, outcome == "InternalServerError");
        self.see(Sight::Throttled, outcome == "ThrottlingException");
        self.see(Sight::AnswerLost, outcome.ends_with("answer lost"));
        self.see(Sight::Slow, (1_000..6_000).contains(&took_ms));
        self.see(Sight::Held, took_ms > 10_000);
        self.see(Sight::IteratorExpired, outcome == "ExpiredIteratorException");
        self.see(Sight::Trimmed, outcome == "TrimmedDataAccessException");
        self.see(Sight::PagedQuery, api == "Query" && outcome.contains("and more"));
        self.see(Sight::ChildBeforeParent, outcome.contains("a child before its parent"));
        self.see(Sight::RequestOutlivesSender, self.asleep.contains_key(who));
        if api == "PutRecords" {
            self.see(Sight::EntryFailed, outcome.contains(" failed") && !outcome.starts_with("0 failed"));
        }
        let is_put = matches!(api, "PutRecords" | "PutRecord");
        self.see(Sight::AggregateRefused, is_put && outcome == "ValidationException");
        self.see(Sight::NumberRefused, api == "PutRecord" && outcome == NUMBER_REFUSED);
        self.kinesis_shards(who, api, outcome);
        let mine = |shard: &Shard| {
            let owner = self.owners.get(shard);
            let is_named = shard.split_once('#').is_some_and(|(_, id)| what.ends_with(id));
            is_named && self.sessions.values().any(|(of, one)| of == who && Some(one) == owner)
        };
        let is_refused = api == "UpdateItem" && outcome == "ConditionalCheckFailedException";
        let overtaken = is_refused && what.contains("shard#") && self.owners.keys().any(mine);
        self.see(Sight::OwnWriteOvertaken, overtaken);
    }

    fn kinesis_shards(&mut self, who: &Who, api: &str, outcome: &str) {
        if api == "ListShards" && outcome.ends_with(" shards") {
            let have_changed = self.knows_shards.insert(who.clone(), false) == Some(true);
            self.see(Sight::ShardsKnownAnew, have_changed);
        }
        let is_full = api == "PutRecords" && outcome.contains(" at the limit") && !outcome.contains(", 0 at");
        self.see(Sight::KinesisShardFull, is_full);
        self.see(Sight::KnownShardFull, is_full && self.knows_shards.contains_key(who));
    }

    fn started(&mut self, entry: &Entry, how: &str) {
        let who = &entry.who;
        let id = |who: &Who| who.split('/').next().unwrap_or_default().to_owned();
        self.see(
            Sight::StartedAnew,
            !who.ends_with("/0") && self.asleep.keys().any(|one| id(one) == id(who)),
        );
        self.see(Sight::Rival, self.running.keys().any(|one| id(one) == id(who)));
        let away_for_a_day = self.running.is_empty() && entry.at_ms - self.all_away_since_ms > DAY_MS;
        let rotated_twice = self.generations.values().any(|generation| *generation >= 2);
        self.see(Sight::LongOutage, self.all_away_since_ms > 0 && away_for_a_day && rotated_twice);
        self.running.insert(who.clone(), how.trim_start_matches("clock ").parse().unwrap_or(1_000));
        let (slow, fast) = (self.running.values().min(), self.running.values().max());
        let apart = slow.zip(fast).is_some_and(|(slow, fast)| fast * 10 > slow * 11);
        self.see(Sight::ClocksApart, apart);
    }

    fn session(&mut self, who: &Who, id: &str, row: Option<&Session>) {
        let now = row.map(|row| (who.clone(), row.owner.clone()));
        match row {
            Some(row) => self.serves.insert(id.to_owned(), row.serves.clone()),
            None => self.serves.remove(id),
        };
        let is_mixed = self.serves.values().any(|serves| Some(serves) != self.serves.values().next());
        self.see(Sight::MixedFleet, is_mixed);
        let before = match &now {
            Some(now) => self.sessions.insert(id.to_owned(), now.clone()),
            None => self.sessions.remove(id),
        };
        if let Some((victim, one)) = before
            && now.is_none_or(|(_, now)| now != one)
            && self.asleep.contains_key(&victim)
        {
            self.zombies.insert(victim);
        }
    }

    fn note(&mut self, entry: &Entry, note: &str) {
        let who = &entry.who;
        match note {
            "paused" => {
                self.asleep.insert(who.clone(), entry.at_ms);
            }
            "woken" => {
                let since_ms = self.asleep.remove(who).unwrap_or(entry.at_ms);
                self.see(Sight::LongSleep, entry.at_ms - since_ms > DAY_MS);
                let is_zombie = self.zombies.remove(who);
                self.see(Sight::ZombieWoken, is_zombie);
            }
            _ => {}
        }
        self.see(Sight::CutFromSource, note.starts_with("cut off from Source"));
        self.see(Sight::CutFromSink, note.starts_with("cut off from Sink"));
        self.see(Sight::CutFromLeases, note.starts_with("cut off from Leases"));
        if note.contains("is resharded into") {
            self.see(Sight::KinesisResharded, true);
            self.knows_shards.values_mut().for_each(|have_changed| *have_changed = true);
        }
    }

    fn opened(&mut self, shard: &Shard, parent: Option<&Shard>) {
        let (table, rest) = shard.split_once(':').unwrap_or_default();
        let label = rest.split_once('#').unwrap_or_default().0;
        let labels = self.labels.entry(table.to_owned()).or_default();
        labels.insert(label.to_owned());
        let again = labels.len() > 1;
        self.see(Sight::StreamEnabledAgain, again);
        let Some(parent) = parent else { return };
        let children = self.children.entry(parent.clone()).or_default();
        *children += 1;
        let splits = *children > 1;
        self.see(Sight::Split, splits);
        let generation = self.generations.get(parent).unwrap_or(&0) + 1;
        self.generations.insert(shard.clone(), generation);
    }
}
