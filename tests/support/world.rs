//! The world: tables, streams and their shard trees, Kinesis streams, the log of requests and the scripted faults.
//!
//! Owns everything the services answer from, and the operations by which a test changes it as AWS would: shards
//! rotate, split and are trimmed, streams are disabled and enabled again. These operations panic on a name that
//! does not exist, since that is a mistake in the test; requests over HTTP never make it panic.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::capacity::Capacity;
use super::fault::Faults;
use super::items::KeySchema;
use super::journal::Written;
use super::kinesis::KinesisStream;
use super::log::Log;
use super::sequence::SequenceNumbers;
use super::shards::{GoneAnswer, ListingOrder, Shard, ShownEnd, Stream, StreamStatus, Visibility};
use super::sts::{Role, Sts};
use super::table::Table;

pub const REGION: &str = "eu-central-1";
pub const ACCOUNT: &str = "123456789012";

/// Ways in which services and emulators differ, all off (or as AWS does it) at first.
#[derive(Clone, Debug)]
pub struct Quirks {
    /// Shards a DescribeStream page, at most 100.
    pub describe_page: usize,
    /// Streams a ListStreams page.
    pub list_streams_page: usize,
    pub list_streams_reversed: bool,
    /// Shards a ListShards page.
    pub list_shards_page: usize,
    /// DescribeStream lists every shard whatever filter was asked for.
    pub ignore_shard_filter: bool,
    /// An ended shard goes on to answer an iterator, a string that ends in `|None`.
    pub end_as_none_iterator: bool,
    /// An ended shard's last records come with an iterator; the end comes with an empty page after them.
    pub end_on_empty_page: bool,
    /// Stream records a GetRecords page, at most 1,000.
    pub records_page: usize,
    /// DescribeStream calls that a stream enabled later answers with ENABLING.
    pub enabling_calls: usize,
    /// DescribeTable calls that a table created over HTTP answers with CREATING.
    pub creating_calls: u32,
    /// Items a Query page.
    pub query_page: usize,
    /// An answer comes this long after its request took effect.
    pub answer_after: Duration,
    /// The secret that every request must be signed with; `None` takes any request.
    pub secret_access_key: Option<String>,
}

pub struct World {
    pub tables: BTreeMap<String, Table>,
    pub streams: Vec<Stream>,
    pub kinesis: BTreeMap<String, KinesisStream>,
    pub quirks: Quirks,
    pub log: Log,
    pub faults: Faults,
    pub sts: Sts,
    /// What the requests so far would be billed as.
    pub capacity: Capacity,
    pub numbers: SequenceNumbers,
    /// The services' clock in milliseconds of the epoch, if a test has fixed it: the `Date` header and the times
    /// of records.
    pub fixed_now_ms: Option<u64>,
    pub(super) written: Vec<Written>,
    pub(super) transactions: BTreeMap<String, Value>,
    /// Iterators of an earlier generation have expired.
    pub(super) iterator_generation: u64,
    streams_made: u64,
}

impl World {
    pub fn new() -> World {
        World {
            tables: BTreeMap::new(),
            streams: Vec::new(),
            kinesis: BTreeMap::new(),
            quirks: Quirks {
                describe_page: 100,
                list_streams_page: 100,
                list_streams_reversed: false,
                list_shards_page: 1_000,
                ignore_shard_filter: false,
                end_as_none_iterator: false,
                end_on_empty_page: false,
                records_page: 1_000,
                enabling_calls: 0,
                creating_calls: 1,
                query_page: usize::MAX,
                answer_after: Duration::ZERO,
                secret_access_key: Some(super::clients::SECRET_ACCESS_KEY.to_owned()),
            },
            log: Log::default(),
            faults: Faults::default(),
            sts: Sts::default(),
            capacity: Capacity::default(),
            numbers: SequenceNumbers::new(),
            fixed_now_ms: None,
            written: Vec::new(),
            transactions: BTreeMap::new(),
            iterator_generation: 0,
            streams_made: 0,
        }
    }

    /// Turns on what LocalStack's default Streams provider does. Call it before anything is written.
    pub fn be_localstack(&mut self) {
        self.numbers.use_56_digits();
        self.quirks.end_as_none_iterator = true;
        self.quirks.ignore_shard_filter = true;
        self.quirks.enabling_calls = 2;
    }

    pub fn now_ms(&self) -> u64 {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        self.fixed_now_ms.unwrap_or_else(|| u64::try_from(clock()).unwrap_or(u64::MAX))
    }

    /// Makes an active table without a stream. Returns its ARN.
    pub fn create_table(&mut self, name: &str, key_schema: KeySchema) -> String {
        let arn = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}");
        let table = Table {
            name: name.to_owned(),
            arn: arn.clone(),
            key_schema,
            items: BTreeMap::new(),
            creating_calls_left: 0,
            created: self.now_ms() / 1_000,
        };
        let before = self.tables.insert(name.to_owned(), table);
        assert!(before.is_none(), "the table {name} exists already");
        arn
    }

    /// Enables a stream on `table`, with `shards` open shards: a new ARN each time. Returns it.
    pub fn enable_stream(&mut self, table: &str, view_type: &str, shards: u64) -> String {
        assert!(self.open_stream_of(table).is_none(), "the table {table} has an enabled stream already");
        self.streams_made += 1;
        let minutes = self.streams_made;
        let label =
            format!("2025-06-{:02}T{:02}:{:02}:00.000", 1 + minutes / 1_440, minutes / 60 % 24, minutes % 60);
        let status = match self.quirks.enabling_calls {
            0 => StreamStatus::Enabled,
            calls => StreamStatus::EnablingUntil(calls),
        };
        let mut stream = Stream {
            arn: format!("{}/stream/{label}", self.table(table).arn),
            label,
            table: table.to_owned(),
            view_type: view_type.to_owned(),
            status,
            shards: Vec::new(),
            listing_order: ListingOrder::ParentsFirst,
            describe_calls: 0,
        };
        let now_ms = self.now_ms();
        stream.add_shards(None, 0..=u64::MAX, shards, &mut self.numbers, now_ms);
        let arn = stream.arn.clone();
        self.streams.push(stream);
        arn
    }

    /// Disables the stream: its open shards close, what they hold stays readable.
    pub fn disable_stream(&mut self, arn: &str) {
        for shard in self.stream(arn).open_shards() {
            self.close_shard(arn, &shard);
        }
        self.stream_mut(arn).status = StreamStatus::Disabled;
    }

    /// Lets the stream disappear, as a day after it was disabled.
    pub fn remove_stream(&mut self, arn: &str) {
        self.streams.retain(|stream| stream.arn != arn);
    }

    /// Closes a shard without a child.
    pub fn close_shard(&mut self, arn: &str, shard: &str) {
        let ending = self.numbers.draw();
        let shard = self.shard_mut(arn, shard);
        assert!(shard.ending.is_none(), "the shard {} is closed already", shard.id);
        shard.ending = Some(ending);
    }

    /// Closes a shard and gives it one child. Returns the child.
    pub fn rotate(&mut self, arn: &str, shard: &str) -> String {
        self.split_into(arn, shard, 1).remove(0)
    }

    /// Closes a shard and gives it two children. Returns them.
    pub fn split(&mut self, arn: &str, shard: &str) -> [String; 2] {
        let mut children = self.split_into(arn, shard, 2);
        [children.remove(0), children.remove(0)]
    }

    fn split_into(&mut self, arn: &str, shard: &str, children: u64) -> Vec<String> {
        self.close_shard(arn, shard);
        let hashes = self.shard_mut(arn, shard).hashes.clone();
        let now_ms = self.now_ms();
        let index = self.stream_index(arn);
        self.streams[index].add_shards(Some(shard), hashes, children, &mut self.numbers, now_ms)
    }

    /// Lets retention take the shard's records up to and including this sequence number.
    pub fn trim_through(&mut self, arn: &str, shard: &str, sequence_number: &str) {
        let sequence = self.numbers.parse(sequence_number).expect("a sequence number of this world");
        self.shard_mut(arn, shard).trim_through(sequence);
    }

    /// Lets retention take the whole shard: listings lack it, and iterators on it get this answer.
    pub fn drop_shard(&mut self, arn: &str, shard: &str, answer: GoneAnswer) {
        self.shard_mut(arn, shard).gone = Some(answer);
    }

    /// Keeps a shard out of listings for the next `calls` DescribeStream calls.
    pub fn list_after_calls(&mut self, arn: &str, shard: &str, calls: usize) {
        let so_far = self.stream(arn).describe_calls;
        self.shard_mut(arn, shard).visibility = Visibility::AfterCalls(so_far + calls);
    }

    /// Keeps a shard out of listings altogether, though it can be read.
    pub fn hide_shard(&mut self, arn: &str, shard: &str) {
        self.shard_mut(arn, shard).visibility = Visibility::Hidden;
    }

    /// Chooses what listings show as the shard's end.
    pub fn show_end(&mut self, arn: &str, shard: &str, shown: ShownEnd) {
        self.shard_mut(arn, shard).shown_end = shown;
    }

    /// Expires every iterator handed out so far.
    pub fn expire_iterators(&mut self) {
        self.iterator_generation += 1;
    }

    pub fn table(&self, name: &str) -> &Table {
        self.tables.get(name).unwrap_or_else(|| panic!("there is no table {name}"))
    }

    pub fn stream(&self, arn: &str) -> &Stream {
        &self.streams[self.stream_index(arn)]
    }

    pub fn stream_mut(&mut self, arn: &str) -> &mut Stream {
        let index = self.stream_index(arn);
        &mut self.streams[index]
    }

    fn stream_index(&self, arn: &str) -> usize {
        let index = self.streams.iter().position(|stream| stream.arn == arn);
        index.unwrap_or_else(|| panic!("there is no stream {arn}"))
    }

    fn shard_mut(&mut self, arn: &str, shard: &str) -> &mut Shard {
        let found = self.stream_mut(arn).shard_mut(shard);
        found.unwrap_or_else(|| panic!("the stream {arn} has no shard {shard}"))
    }

    /// The newest stream of a table, enabled or not.
    pub fn latest_stream_of(&self, table: &str) -> Option<&Stream> {
        self.streams.iter().rev().find(|stream| stream.table == table)
    }

    /// The stream that the table's changes go to.
    pub fn open_stream_of(&self, table: &str) -> Option<&Stream> {
        let enabled = |stream: &&Stream| {
            matches!(stream.status, StreamStatus::Enabled | StreamStatus::EnablingUntil(_))
        };
        self.latest_stream_of(table).filter(enabled)
    }

    pub fn kinesis_stream(&self, name: &str) -> &KinesisStream {
        self.kinesis.get(name).unwrap_or_else(|| panic!("there is no Kinesis stream {name}"))
    }

    pub fn kinesis_stream_mut(&mut self, name: &str) -> &mut KinesisStream {
        self.kinesis.get_mut(name).unwrap_or_else(|| panic!("there is no Kinesis stream {name}"))
    }

    /// Makes a role that trusts whoever brings this external id.
    pub fn create_role(&mut self, arn: &str, external_id: Option<&str>, lasts_s: u64) {
        let role = Role { external_id: external_id.map(str::to_owned), lasts_s };
        self.sts.roles.insert(arn.to_owned(), role);
    }

    /// Makes an active Kinesis stream. Returns its ARN.
    pub fn create_kinesis_stream(&mut self, name: &str, shards: u32) -> String {
        let stream = KinesisStream::new(name, shards);
        let arn = stream.arn.clone();
        let before = self.kinesis.insert(name.to_owned(), stream);
        assert!(before.is_none(), "the Kinesis stream {name} exists already");
        arn
    }
}
