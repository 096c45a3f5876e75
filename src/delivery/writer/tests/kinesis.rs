//! A Kinesis stream as far as the writer's pace sees it: shards with their limits by the second, answers after 10 to 15
//! ms, other writers, a reshard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use md5::{Digest, Md5};

use crate::delivery::aggregate::apart::unpacked;
use crate::delivery::sink::{EntryError, KinesisSink, Placement, PutEntry, SinkDescription, TargetShard};
use crate::error::{ApiError, ErrorKind};
use crate::machine::{Machine, MonoTime, RealMachine};
use crate::stream::SequenceNumber;

const RECORDS_A_SECOND: u64 = 1_000;
const BYTES_A_SECOND: u64 = 1 << 20;

#[derive(Debug)]
pub struct SmallKinesis {
    machine: RealMachine,
    /// Whether ListShards is refused.
    pub is_mute: bool,
    /// A call that holds this change is refused.
    pub poison: Option<u64>,
    /// Whether a SequenceNumberForOrdering is refused.
    pub refuses_numbers: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub struct State {
    pub shards: Vec<Shard>,
    next_shard: u32,
    last_number: u64,
    /// How many records each call held.
    pub calls: Vec<usize>,
    pub rejected: u64,
    /// When each key's changes were accepted.
    pub accepted_at: BTreeMap<Arc<str>, Vec<MonoTime>>,
    /// The numbers that stand at the beginning of each key's changes, in the order of their records.
    pub changes: BTreeMap<Arc<str>, Vec<u64>>,
    /// The place of each key's last record.
    last: BTreeMap<Arc<str>, SequenceNumber>,
    /// Each PutRecord's partition key, and whether it came with a number.
    pub singles: Vec<(Arc<str>, bool)>,
    pub listings: u32,
}

#[derive(Debug)]
pub struct Shard {
    pub listed: TargetShard,
    /// The second that is running, and what was taken in it.
    taken: (u64, u64, u64),
    /// Records a second that other writers put, evenly.
    pub others: u64,
    pub accepted: u64,
    pub is_unlimited: bool,
}

impl State {
    fn open(&mut self, first_hash: u128, last_hash: u128) -> Shard {
        let id = format!("shardId-{:012}", self.next_shard).into();
        self.next_shard += 1;
        let listed = TargetShard { id, first_hash, last_hash };
        Shard { listed, taken: (0, 0, 0), others: 0, accepted: 0, is_unlimited: false }
    }

    /// The shard ends, two take its place; they start with its count.
    pub fn split(&mut self, shard: usize) {
        let TargetShard { first_hash, last_hash, .. } = self.shards[shard].listed;
        let middle = first_hash + (last_hash - first_hash) / 2;
        let (mut low, high) = (self.open(first_hash, middle), self.open(middle + 1, last_hash));
        low.accepted = self.shards[shard].accepted;
        self.shards[shard] = low;
        self.shards.push(high);
    }

    fn put(&mut self, entry: &PutEntry, now: MonoTime) -> Result<Placement, EntryError> {
        let (second, ms) = (now.as_millis() / 1_000, now.as_millis() % 1_000);
        let hash = hash(entry.partition_key());
        let shard = self.shards.iter_mut().find(|shard| shard.holds(hash)).expect("all hashes are covered");
        if shard.taken.0 != second {
            shard.taken = (second, 0, 0);
        }
        let records = shard.taken.1 + shard.others * ms / 1_000 + 1;
        let bytes = shard.taken.2 + entry.size_bytes() as u64;
        if !shard.is_unlimited && (records > RECORDS_A_SECOND || bytes > BYTES_A_SECOND) {
            self.rejected += 1;
            let code = "ProvisionedThroughputExceededException".to_owned();
            return Err(EntryError { kind: ErrorKind::Throttled, code, message: String::new() });
        }
        shard.taken = (second, shard.taken.1 + 1, bytes);
        shard.accepted += 1;
        self.last_number += 1;
        for change in changes_of(entry) {
            self.accepted_at.entry(Arc::from(entry.partition_key())).or_default().push(now);
            self.changes.entry(Arc::from(entry.partition_key())).or_default().push(change);
        }
        let sequence_number = SequenceNumber::parse(&self.last_number.to_string()).expect("digits");
        self.last.insert(Arc::from(entry.partition_key()), sequence_number.clone());
        Ok(Placement { shard_id: Arc::clone(&shard.listed.id), sequence_number })
    }
}

impl Shard {
    fn holds(&self, hash: u128) -> bool {
        (self.listed.first_hash..=self.listed.last_hash).contains(&hash)
    }
}

/// The numbers of the changes that a record carries.
fn changes_of(entry: &PutEntry) -> Vec<u64> {
    let changes = unpacked(entry.partition_key(), entry.data()).expect("an aggregate");
    // Digits, then spaces up to the change's size.
    let digits = |data: &[u8]| data.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number =
        |data: &[u8]| std::str::from_utf8(&data[..digits(data)]).expect("text").parse().expect("a number");
    changes.into_iter().map(number).collect()
}

fn refused(api: &'static str) -> ApiError {
    ApiError::new(api, ErrorKind::Invalid, "InvalidArgumentException", "no")
}

fn hash(key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(key.as_bytes()).into())
}

impl SmallKinesis {
    pub fn new(shards: u128) -> Self {
        let mut state = State::default();
        let width = u128::MAX / shards;
        for n in 0..shards {
            let last = if n + 1 == shards { u128::MAX } else { (n + 1) * width - 1 };
            let shard = state.open(n * width, last);
            state.shards.push(shard);
        }
        SmallKinesis {
            machine: RealMachine::new(),
            is_mute: false,
            poison: None,
            refuses_numbers: false,
            state: Mutex::new(state),
        }
    }

    pub fn unlimited(shards: u128) -> Self {
        let kinesis = SmallKinesis::new(shards);
        kinesis.state().shards.iter_mut().for_each(|shard| shard.is_unlimited = true);
        kinesis
    }

    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// Answers after 10 to 15 ms; the effect takes place in the middle of it.
    async fn serve<T>(&self, records: usize, effect: impl FnOnce(&mut State, MonoTime) -> T) -> T {
        let takes_ms = {
            let mut state = self.state();
            state.calls.push(records);
            10 + (state.calls.len() as u64 * 7) % 6
        };
        self.machine.sleep(Duration::from_millis(takes_ms / 2)).await;
        let result = effect(&mut self.state(), self.machine.now());
        self.machine.sleep(Duration::from_millis(takes_ms - takes_ms / 2)).await;
        result
    }

    /// So many keys of the shard.
    pub fn keys(&self, shard: usize, count: usize) -> Vec<Arc<str>> {
        let state = self.state();
        let all = (0u64..).map(|n| format!("item-{n}")).filter(|key| state.shards[shard].holds(hash(key)));
        all.take(count).map(Arc::from).collect()
    }
}

#[async_trait]
impl KinesisSink for SmallKinesis {
    async fn put_records(
        &self,
        entries: &[PutEntry],
        _limit: Duration,
    ) -> Result<Vec<Result<Placement, EntryError>>, ApiError> {
        self.serve(entries.len(), |state, now| {
            let is_poison = |entry: &PutEntry| changes_of(entry).iter().any(|n| Some(*n) == self.poison);
            if entries.iter().any(is_poison) {
                return Err(refused("PutRecords"));
            }
            Ok(entries.iter().map(|entry| state.put(entry, now)).collect())
        })
        .await
    }

    async fn put_record(
        &self,
        entry: &PutEntry,
        after: Option<&SequenceNumber>,
        _limit: Duration,
    ) -> Result<Placement, ApiError> {
        self.serve(1, |state, now| {
            // No answer is lost here: what was stored last was acknowledged last.
            assert!(
                after.is_none_or(|number| Some(number) == state.last.get(entry.partition_key())),
                "{after:?}"
            );
            state.singles.push((Arc::from(entry.partition_key()), after.is_some()));
            if self.refuses_numbers && after.is_some() {
                return Err(refused("PutRecord"));
            }
            let placed = state.put(entry, now);
            placed
                .map_err(|EntryError { kind, code, message }| ApiError::new("PutRecord", kind, code, message))
        })
        .await
    }

    async fn list_shards(&self, _limit: Duration) -> Result<Vec<TargetShard>, ApiError> {
        self.machine.sleep(Duration::from_millis(20)).await;
        let mut state = self.state();
        state.listings += 1;
        if self.is_mute {
            return Err(ApiError::new("ListShards", ErrorKind::Denied, "AccessDeniedException", "no"));
        }
        Ok(state.shards.iter().map(|shard| shard.listed.clone()).collect())
    }

    async fn describe(&self) -> Result<SinkDescription, ApiError> {
        Ok(SinkDescription { arn: String::new(), status: "ACTIVE".into(), max_record_bytes: 1 << 20 })
    }
}
