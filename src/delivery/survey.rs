//! Asking for the target stream's shards: at the writer's start and whenever what Kinesis says does not fit what is known.
//! Sending waits for none of it; without an answer nothing is known of the shards, and each key waits for itself.

use std::sync::Arc;
use std::time::Duration;

use super::put::Putter;
use super::sink::TargetShard;
use crate::error::ApiError;
use crate::machine::{BoxFuture, MonoTime, timeout};
use crate::retry::Retry;

const API: &str = "ListShards";
/// The longest that the listing may take.
const LIMIT: Duration = Duration::from_secs(10);
/// At least so long from one question to the next.
const APART: Duration = Duration::from_secs(5);

/// What came of a question.
pub(super) type Answer = Result<Vec<TargetShard>, ApiError>;

/// The questions. `wanted` feeds it; `begin` and `answer` run it.
pub(super) struct Survey {
    wanted: bool,
    not_before: MonoTime,
    under_way: Option<BoxFuture<Answer>>,
    retry: Retry,
    pipeline: Arc<str>,
}

impl Survey {
    pub(super) fn new(pipeline: Arc<str>) -> Self {
        let retry = Retry::new(APART, Duration::from_secs(300));
        Survey { wanted: true, not_before: MonoTime::default(), under_way: None, retry, pipeline }
    }

    /// What is known does not fit.
    pub(super) fn wanted(&mut self) {
        self.wanted = true;
    }

    /// Begins the question that is due. Gives the moment of the next, when one is wanted.
    pub(super) fn begin(&mut self, putter: &Putter) -> Option<MonoTime> {
        let now = putter.machine.now();
        if !self.wanted || self.under_way.is_some() {
            return None;
        }
        if now < self.not_before {
            return Some(self.not_before);
        }
        self.wanted = false;
        self.not_before = now + APART;
        let Putter { sink, machine, .. } = putter.clone();
        self.under_way = Some(Box::pin(async move {
            let answer = timeout(&*machine, LIMIT, sink.list_shards(LIMIT)).await;
            answer.unwrap_or_else(|| Err(ApiError::timeout(API, LIMIT)))
        }));
        None
    }

    /// Waits for the answer under way; for ever when there is none.
    pub(super) async fn answer(&mut self) -> Answer {
        match &mut self.under_way {
            Some(question) => {
                let answer = question.await;
                self.under_way = None;
                answer
            }
            None => std::future::pending().await,
        }
    }

    /// The answer was of use.
    pub(super) fn succeeded(&mut self) {
        if self.retry.attempts() > 0 {
            tracing::info!(pipeline = &*self.pipeline, "the target stream's shards are known again");
        }
        self.retry.succeeded();
    }

    /// It was of none: it is asked again after a while, and said once.
    pub(super) fn failed(&mut self, now: MonoTime, random: u64, error: &str) {
        if self.retry.attempts() == 0 {
            tracing::warn!(
                pipeline = &*self.pipeline,
                "the target stream's shards are not known: a shard at its limit is not paced, each key waits for itself; \
                 allow kinesis:ListShards on the stream: {error}"
            );
        }
        self.wanted = true;
        self.not_before = now + self.retry.next(random);
    }
}
