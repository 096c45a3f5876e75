//! The largest record that the target stream takes. It is read at the start; whoever raises MaxRecordSizeInKiB afterwards
//! wants it to count, so it is read again every hour, when Kinesis refused a record, and before images are left out.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::delivery::sink::KinesisSink;
use crate::error::ApiError;
use crate::machine::{Machine, MonoTime, timeout};
use crate::ops::repeats::Repeats;
use crate::stream::json::Json;
use crate::stream::page::StreamRecord;

const API: &str = "DescribeStreamSummary";
/// Reading waits for the answer, so not for long.
const PATIENCE: Duration = Duration::from_secs(3);
/// With a reason to ask, it is asked so often at the most.
const APART: Duration = Duration::from_secs(10);
const WITHOUT_REASON: Duration = Duration::from_secs(3_600);
/// What a payload has around its images and keys, at the most.
const ENVELOPE_BYTES: usize = 4_096;

/// What is known of the limit. One for a pipeline.
#[derive(Debug)]
pub struct RecordLimit {
    bytes: AtomicUsize,
    /// Kinesis refused a record that was within the limit.
    is_doubted: AtomicBool,
    /// Held while it is asked for.
    questions: Mutex<Questions>,
}

#[derive(Debug)]
struct Questions {
    asked: Asked,
    failures: Repeats,
}

/// When it was asked for last.
#[derive(Debug)]
enum Asked {
    /// Before the first shard was read: about when the machine's clock began.
    AtStart,
    At(MonoTime),
}

/// What came of a question.
#[derive(Debug)]
pub enum Answer {
    Same,
    /// It was so many bytes before.
    Changed(usize),
    /// With how often that is to be said now.
    Failed(ApiError, Option<u64>),
}

impl RecordLimit {
    /// As the start found it.
    pub fn new(bytes: usize) -> Self {
        let questions = Questions { asked: Asked::AtStart, failures: Repeats::default() };
        RecordLimit { bytes: bytes.into(), is_doubted: false.into(), questions: Mutex::new(questions) }
    }

    /// The most bytes of a record, its partition key included.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Kinesis refused a record: the limit may have been lowered.
    pub fn doubt(&self) {
        self.is_doubted.store(true, Ordering::Release);
    }

    /// Asks for the limit when it is time, before these changes are written: those that may be too large wait for an answer
    /// that another shard asked for. `None` when it was not asked.
    pub async fn renew(
        &self,
        sink: &dyn KinesisSink,
        machine: &dyn Machine,
        records: &[StreamRecord<'_>],
    ) -> Option<Answer> {
        let mut questions = match self.questions.try_lock() {
            Ok(questions) => questions,
            Err(_) if self.may_be_too_small(records) => self.questions.lock().await,
            Err(_) => return None,
        };
        let now = machine.now();
        let has_reason = self.is_doubted.load(Ordering::Acquire) || self.may_be_too_small(records);
        if !questions.asked.is_due(now, has_reason) {
            return None;
        }
        questions.asked = Asked::At(now);
        self.is_doubted.store(false, Ordering::Release);
        let answer = timeout(machine, PATIENCE, sink.describe()).await;
        Some(match answer.unwrap_or_else(|| Err(ApiError::timeout(API, PATIENCE))) {
            Err(error) => Answer::Failed(error, questions.failures.happened(now)),
            Ok(told) => match self.bytes.swap(told.max_record_bytes, Ordering::AcqRel) {
                before if before == told.max_record_bytes => Answer::Same,
                before => Answer::Changed(before),
            },
        })
    }

    /// Whether one of them may not fit, as far as can be told before it is written.
    fn may_be_too_small(&self, records: &[StreamRecord<'_>]) -> bool {
        let limit = self.bytes();
        records.iter().any(|record| {
            let image = |image: Option<Json<'_>>| image.map_or(0, |image| image.get().len());
            let parts = record.keys.get().len() + image(record.new_image) + image(record.old_image);
            parts + ENVELOPE_BYTES > limit
        })
    }
}

impl Asked {
    fn is_due(&self, now: MonoTime, has_reason: bool) -> bool {
        match self {
            Asked::AtStart => has_reason || now.since(MonoTime::default()) >= WITHOUT_REASON,
            Asked::At(at) => now.since(*at) >= if has_reason { APART } else { WITHOUT_REASON },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_for_at_once_with_the_first_reason_then_now_and_then() {
        let at = |seconds| MonoTime::from_origin(Duration::from_secs(seconds));
        let start = Asked::AtStart;
        assert!(
            start.is_due(at(1), true) && !start.is_due(at(3_599), false) && start.is_due(at(3_600), false)
        );
        let asked = Asked::At(at(100));
        assert!(!asked.is_due(at(109), true) && asked.is_due(at(110), true));
        assert!(!asked.is_due(at(3_699), false) && asked.is_due(at(3_700), false));
    }
}
