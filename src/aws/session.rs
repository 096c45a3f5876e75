//! A session: credentials that end, asked for again before they do. It owns the ones held and the task that renews them.
//!
//! The SDK's own cache drops credentials some seconds before their end, lets the calls of that moment wait for new ones,
//! and fails them when none come, though the old ones were still good. Heartbeats would stop with STS, and the worker's
//! lease session with them. Here a task renews well ahead; calls take what is held for as long as it lives, and wait only
//! where nothing does.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::{Notify, watch};

use super::error::of_credentials;
use crate::error::ApiError;
use crate::machine::{self, Machine, Task};
use crate::ops::repeats::Repeats;
use crate::retry::Retry;

/// A session is renewed when this much of it is left, or a third where that is less. A host whose clock is behind by
/// less does not sign with an ended one, and one whose clock is further off cannot sign at all.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// A session counts as ended so long before its end: a request takes time to arrive.
const MARGIN: Duration = Duration::from_secs(2);

/// Credentials without an end are asked for again after this time: a process that is run for them may give others by then.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(15 * 60);

/// What one question may take; each source of credentials has shorter limits of its own, save a process that is run.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Where failures to renew are counted.
pub type Counting = Arc<dyn Fn(&ApiError) + Send + Sync>;

/// Whose credentials, for the log and the metrics.
#[derive(Debug, Clone)]
pub(super) struct Whose {
    /// The call that brings them.
    pub(super) api: &'static str,
    /// A role's ARN, or the process itself.
    pub(super) identity: String,
}

/// Credentials that are kept fresh.
pub(super) struct Session {
    seen: watch::Receiver<Seen>,
    /// Tells the task that what is held has ended before its time: the machine slept.
    ended: Arc<Notify>,
    machine: Arc<dyn Machine>,
    _renewal: Task,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// What the task has come to.
#[derive(Clone, Default)]
struct Seen {
    held: Option<Credentials>,
    /// Why the last question failed, until one succeeds.
    refusal: Option<Arc<CredentialsError>>,
}

impl Session {
    /// Begins to ask `source` at once.
    pub(super) fn begin(
        whose: Whose,
        source: SharedCredentialsProvider,
        machine: &Arc<dyn Machine>,
        counting: Counting,
    ) -> Session {
        let (seen, ended) = (watch::Sender::default(), Arc::new(Notify::new()));
        let held_by_calls = seen.subscribe();
        let renewal = Renewal {
            whose,
            source,
            machine: Arc::clone(machine),
            counting,
            seen,
            ended: Arc::clone(&ended),
            trouble: Repeats::default(),
        };
        let task = machine.spawn(Box::pin(renewal.keep()));
        Session { seen: held_by_calls, ended, machine: Arc::clone(machine), _renewal: task }
    }

    /// What is held while it lives; else what comes of the question under way, or came of the last one.
    async fn credentials(&self) -> provider::Result {
        let mut seen = self.seen.clone();
        loop {
            {
                let seen = seen.borrow_and_update();
                if let Some(held) = seen.held.as_ref().filter(|held| is_live(held, self.machine.wall_ms())) {
                    return Ok(held.clone());
                }
                if let Some(refusal) = &seen.refusal {
                    return Err(CredentialsError::provider_error(Refusal(Arc::clone(refusal))));
                }
                if seen.held.is_some() {
                    self.ended.notify_one();
                }
            }
            if seen.changed().await.is_err() {
                return Err(CredentialsError::unhandled("nobody renews these credentials any more"));
            }
        }
    }
}

impl ProvideCredentials for Session {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

/// One failed question, told to every call that waits for its answer.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Arc<CredentialsError>);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// The task.
struct Renewal {
    whose: Whose,
    source: SharedCredentialsProvider,
    machine: Arc<dyn Machine>,
    counting: Counting,
    seen: watch::Sender<Seen>,
    ended: Arc<Notify>,
    trouble: Repeats,
}

impl Renewal {
    async fn keep(mut self) {
        let mut retry = Retry::new(FIRST_RETRY, LONGEST_RETRY);
        loop {
            let pause = match self.ask().await {
                Ok(credentials) => {
                    if retry.attempts() > 0 {
                        tracing::info!(identity = self.whose.identity, "the session is renewed after all");
                    }
                    retry.succeeded();
                    let pause = left(&credentials, self.machine.wall_ms()).map_or(LOOK_AGAIN_AFTER, renew_in);
                    self.seen.send_replace(Seen { held: Some(credentials), refusal: None });
                    pause
                }
                Err(error) => {
                    self.failed(error);
                    retry.next(self.machine.random())
                }
            };
            self.rest(pause).await;
        }
    }

    /// Waits so long, or until a call found that what was held has ended: not only told so, since several calls tell it.
    async fn rest(&self, pause: Duration) {
        let until = self.machine.now() + pause;
        loop {
            tokio::select! {
                biased;
                () = self.ended.notified() => {
                    let seen = self.seen.borrow();
                    if seen.held.as_ref().is_some_and(|held| !is_live(held, self.machine.wall_ms())) {
                        return;
                    }
                }
                () = machine::sleep_until(&*self.machine, until) => return,
            }
        }
    }

    /// Asks once. What has ended is let go of before, so that calls do not report it again.
    async fn ask(&self) -> provider::Result {
        let now_ms = self.machine.wall_ms();
        self.seen.send_if_modified(|seen| seen.held.take_if(|held| !is_live(held, now_ms)).is_some());
        let question = self.source.provide_credentials();
        let answer = match machine::timeout(&*self.machine, ANSWER_LIMIT, question).await {
            Some(answer) => answer?,
            None => {
                let spare = self.source.fallback_on_interrupt();
                spare.ok_or_else(|| CredentialsError::provider_timed_out(ANSWER_LIMIT))?
            }
        };
        if is_live(&answer, self.machine.wall_ms()) {
            return Ok(answer);
        }
        Err(CredentialsError::unhandled(
            "the credentials that came have ended already; is the host's clock right?",
        ))
    }

    fn failed(&mut self, error: CredentialsError) {
        let told = of_credentials(self.whose.api, &error);
        (self.counting)(&told);
        let now_ms = self.machine.wall_ms();
        let held = self.seen.borrow().held.clone();
        let left_s = held.as_ref().and_then(|held| left(held, now_ms)).map(|left| left.as_secs());
        if self.trouble.happened(self.machine.now()).is_some() {
            let identity = &self.whose.identity;
            tracing::warn!(identity, error = %told, left_s, "the session is not renewed; what is left of it is used");
        }
        self.seen.send_modify(|seen| seen.refusal = Some(Arc::new(error)));
    }
}

/// How long the credentials still last; `None` where they do not end.
fn left(credentials: &Credentials, now_ms: u64) -> Option<Duration> {
    let end = credentials.expiry()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(end.saturating_sub(Duration::from_millis(now_ms)))
}

fn is_live(credentials: &Credentials, now_ms: u64) -> bool {
    left(credentials, now_ms).is_none_or(|left| left > MARGIN)
}

/// How long to wait with the next question, when so much is left.
fn renew_in(left: Duration) -> Duration {
    left.saturating_sub(AHEAD.min(left / 3)).max(SHORTEST_PAUSE)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
