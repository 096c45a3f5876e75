//! One PutRecords call, or one PutRecord, and what became of each of its records. A PutRecords call that no retry can mend
//! is halved until the record that spoils it stands alone, so that one record never holds up the others (DESIGN, "unmendable
//! whole call").

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::sink::{EntryError, KinesisSink, Placement, PutEntry};
use crate::error::{ApiError, ErrorKind};
use crate::machine::{Machine, MonoTime, timeout};
use crate::stream::SequenceNumber;

/// The longest a call may take.
const PUT_TIMEOUT: Duration = Duration::from_secs(5);
/// With less time than this before the session's deadline no call is begun: one that is cut off is sent twice.
const LEAST_TIME: Duration = Duration::from_millis(200);

/// The code of a record whose shard had taken its limit. A whole PutRecords call may fail with it too: that tells of no
/// shard.
const SHARD_IS_FULL: &str = "ProvisionedThroughputExceededException";

/// What became of one record.
#[derive(Debug)]
pub enum Outcome {
    /// Kinesis has it.
    Placed(Placement),
    /// It is to be sent again.
    Failed(ApiError),
    /// The shard that it belongs to had taken its limit; it is to be sent again.
    Throttled(ApiError),
    /// Kinesis refuses this very record, and would again.
    Refused(ApiError),
    /// The session's deadline came first; it was not sent.
    NotSent,
}

/// What became of a PutRecord.
#[derive(Debug)]
pub struct Ordered {
    pub outcome: Outcome,
    /// Why the record went without a SequenceNumberForOrdering: with it, Kinesis had refused it.
    pub number_refused: Option<ApiError>,
}

/// What a call needs.
#[derive(Clone)]
pub struct Putter {
    pub sink: Arc<dyn KinesisSink>,
    pub machine: Arc<dyn Machine>,
    /// Until when this worker may send (P4); moves on with each heartbeat.
    pub deadline: watch::Receiver<MonoTime>,
}

impl Putter {
    /// How long a call begun now may take; `None` when none may be begun.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.deadline.borrow().since(self.machine.now());
        (left >= LEAST_TIME).then(|| left.min(PUT_TIMEOUT))
    }

    /// Sends the records; one outcome each, in order.
    pub async fn put(&self, entries: &[PutEntry]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(entries.len());
        // Parts still to be sent, the first on top: outcomes come out in the entries' order. A record that stands alone
        // and is refused is sent once more: one odd answer must not cost its images, or halt its shard.
        let mut parts = vec![(entries, false)];
        while let Some((part, was_refused)) = parts.pop() {
            let Some(limit) = self.time_left() else {
                outcomes.extend(part.iter().map(|_| Outcome::NotSent));
                continue;
            };
            match self.call(part, limit).await {
                Ok(results) => outcomes.extend(results),
                Err(error) if error.kind == ErrorKind::Invalid && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push((second, false));
                    parts.push((first, false));
                }
                Err(error) if error.kind == ErrorKind::Invalid && was_refused => {
                    outcomes.push(Outcome::Refused(error))
                }
                Err(error) if error.kind == ErrorKind::Invalid => parts.push((part, true)),
                Err(error) => outcomes.extend(part.iter().map(|_| Outcome::Failed(error.clone()))),
            }
        }
        outcomes
    }

    /// Sends one record by PutRecord, behind the one that stands at `after`. One that is refused is sent once more, without
    /// that number: Kinesis may not know it any more after a reshard.
    pub async fn put_after(&self, entry: &PutEntry, after: Option<&SequenceNumber>) -> Ordered {
        const API: &str = "PutRecord";
        let (mut after, mut was_refused, mut number_refused) = (after, false, None);
        let outcome = loop {
            let Some(limit) = self.time_left() else { break Outcome::NotSent };
            let call = self.sink.put_record(entry, after, limit);
            let result = timeout(&*self.machine, limit, call).await;
            match result.unwrap_or_else(|| Err(ApiError::timeout(API, limit))) {
                Ok(placement) => break Outcome::Placed(placement),
                Err(error) if error.kind == ErrorKind::Invalid && was_refused => {
                    break Outcome::Refused(error);
                }
                Err(error) if error.kind == ErrorKind::Invalid => {
                    was_refused = true;
                    number_refused = after.take().map(|_| error);
                }
                Err(error) if error.code == SHARD_IS_FULL => break Outcome::Throttled(error),
                Err(error) => break Outcome::Failed(error),
            }
        };
        // Refused without it as well: it was not the number.
        let number_refused = number_refused.filter(|_| matches!(outcome, Outcome::Placed(_)));
        Ordered { outcome, number_refused }
    }

    async fn call(&self, part: &[PutEntry], limit: Duration) -> Result<Vec<Outcome>, ApiError> {
        const API: &str = "PutRecords";
        let results = timeout(&*self.machine, limit, self.sink.put_records(part, limit))
            .await
            .unwrap_or_else(|| Err(ApiError::timeout(API, limit)))?;
        if results.len() != part.len() {
            let message = format!("{} results for {} records", results.len(), part.len());
            return Err(ApiError::new(API, ErrorKind::Transient, "UnexpectedAnswer", message));
        }
        let outcome = |result| match result {
            Ok(placement) => Outcome::Placed(placement),
            Err(EntryError { kind, code, message }) => {
                let is_full = code == SHARD_IS_FULL;
                let error = ApiError::new(API, kind, code, message);
                if is_full { Outcome::Throttled(error) } else { Outcome::Failed(error) }
            }
        };
        Ok(results.into_iter().map(outcome).collect())
    }
}
