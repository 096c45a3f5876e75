//! The consumer: reads every shard of a Kinesis stream from its beginning and hands on the records as they land, each
//! shard's in their order. It knows nothing of what the records hold.

use std::time::{Duration, Instant};

use aws_sdk_kinesis::types::ShardIteratorType;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::error::DemoError;

/// Records that wait to be taken.
const QUEUE: usize = 4_096;
/// Pause after a page that was not large.
const POLL: Duration = Duration::from_millis(100);
/// After a page of so many records there is more to come at once.
const LARGE: usize = 200;
/// GetRecords failures in a row before the run fails.
const ATTEMPTS: u32 = 10;

/// One record, as it lies in Kinesis.
#[derive(Debug, Clone)]
pub struct Landed {
    pub shard_id: String,
    pub partition_key: String,
    pub sequence_number: String,
    pub data: Vec<u8>,
    /// When it was read here.
    pub at: Instant,
}

/// A reader of all shards. Dropping it stops the reading.
#[derive(Debug)]
pub struct Consumer {
    records: mpsc::Receiver<Result<Landed, DemoError>>,
    finish: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Consumer {
    /// Starts reading the shards that the stream has now.
    ///
    /// # Errors
    /// When the shards cannot be listed.
    pub async fn start(client: &aws_sdk_kinesis::Client, stream: &str) -> Result<Self, DemoError> {
        let (sender, records) = mpsc::channel(QUEUE);
        let (finish, finishing) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for shard_id in list_shards(client, stream).await? {
            let reader = ShardReader {
                client: client.clone(),
                stream: stream.to_owned(),
                shard_id,
                finishing: finishing.clone(),
            };
            let sender = sender.clone();
            tasks.spawn(async move {
                if let Err(error) = reader.run(&sender).await {
                    // The receiver is gone when nobody wants to know any more.
                    let _gone = sender.send(Err(error)).await;
                }
            });
        }
        Ok(Consumer { records, finish, _tasks: tasks })
    }

    /// The next record of any shard; none after [`finish`](Self::finish), once all are read. Can be dropped and
    /// called again.
    ///
    /// # Errors
    /// When a shard can no longer be read.
    pub async fn next(&mut self) -> Result<Option<Landed>, DemoError> {
        self.records.recv().await.transpose()
    }

    /// Asks for the end: each shard is read until a page begun after this call is empty.
    pub fn finish(&self) {
        self.finish.send_replace(true);
    }
}

async fn list_shards(client: &aws_sdk_kinesis::Client, stream: &str) -> Result<Vec<String>, DemoError> {
    let doing = || format!("list the shards of {stream}");
    let mut shards = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let call = match next.take() {
            Some(token) => client.list_shards().next_token(token),
            None => client.list_shards().stream_name(stream),
        };
        let answer = call.send().await.map_err(|error| DemoError::sdk(doing(), &error))?;
        shards.extend(answer.shards().iter().map(|shard| shard.shard_id().to_owned()));
        next = answer.next_token().map(str::to_owned);
        if next.is_none() {
            return Ok(shards);
        }
    }
}

struct ShardReader {
    client: aws_sdk_kinesis::Client,
    stream: String,
    shard_id: String,
    finishing: watch::Receiver<bool>,
}

impl ShardReader {
    async fn run(&self, records: &mpsc::Sender<Result<Landed, DemoError>>) -> Result<(), DemoError> {
        let mut after: Option<String> = None;
        let mut iterator = self.iterator(after.as_deref()).await?;
        let mut failures = 0;
        loop {
            // Asked before the call, so that an empty page really was begun after the wish to finish.
            let finishing = *self.finishing.borrow();
            let answer = match self.client.get_records().shard_iterator(&iterator).send().await {
                Ok(answer) => answer,
                Err(error) => {
                    failures += 1;
                    if failures >= ATTEMPTS {
                        return Err(DemoError::sdk(self.doing(), &error));
                    }
                    tokio::time::sleep(POLL).await;
                    // Perhaps it has expired: go on after the last record with a new one.
                    iterator = self.iterator(after.as_deref()).await?;
                    continue;
                }
            };
            failures = 0;
            let at = Instant::now();
            let count = answer.records().len();
            for record in answer.records {
                after = Some(record.sequence_number.clone());
                let landed = Landed {
                    shard_id: self.shard_id.clone(),
                    partition_key: record.partition_key.unwrap_or_default(),
                    sequence_number: record.sequence_number,
                    data: record.data.into_inner(),
                    at,
                };
                if records.send(Ok(landed)).await.is_err() {
                    return Ok(());
                }
            }
            let Some(next) = answer.next_shard_iterator else { return Ok(()) };
            iterator = next;
            if count == 0 && finishing {
                return Ok(());
            }
            if count < LARGE {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    async fn iterator(&self, after: Option<&str>) -> Result<String, DemoError> {
        let call = self.client.get_shard_iterator().stream_name(&self.stream).shard_id(&self.shard_id);
        let call = match after {
            Some(number) => {
                let call = call.shard_iterator_type(ShardIteratorType::AfterSequenceNumber);
                call.starting_sequence_number(number)
            }
            None => call.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        let answer = call.send().await.map_err(|error| DemoError::sdk(self.doing(), &error))?;
        answer.shard_iterator.ok_or_else(|| DemoError::new(self.doing(), "the answer holds no iterator"))
    }

    fn doing(&self) -> String {
        format!("read {} of the Kinesis stream {}", self.shard_id, self.stream)
    }
}
