//! Sessions on a clock that stands still until all wait.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use futures_util::FutureExt;

use super::*;
use crate::machine::{BoxFuture, MonoTime};

/// Tokio's paused clock, and a wall clock that goes with it and can be put forward.
struct PausedMachine {
    origin: tokio::time::Instant,
    ahead_ms: AtomicU64,
}

#[expect(clippy::disallowed_methods, reason = "the paused clock is the test's")]
impl Machine for PausedMachine {
    fn now(&self) -> MonoTime {
        MonoTime::from_origin(self.origin.elapsed())
    }
    fn wall_ms(&self) -> u64 {
        let elapsed_ms = u64::try_from(self.origin.elapsed().as_millis()).expect("a short test");
        1_000_000 + elapsed_ms + self.ahead_ms.load(Ordering::SeqCst)
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }
    fn spawn(&self, task: BoxFuture<()>) -> Task {
        Task::new(tokio::spawn(task))
    }
    fn random(&self) -> u64 {
        u64::MAX
    }
}

/// What a question comes to.
#[derive(Clone, Copy)]
enum Answer {
    /// A session that lasts so many seconds.
    Lasts(u64),
    Endless,
    Fails,
    Hangs,
}

/// Answers in turn; the last again and again. Its credentials are numbered.
struct Source {
    machine: Arc<PausedMachine>,
    answers: Mutex<VecDeque<Answer>>,
    asked: AtomicUsize,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl Source {
    async fn answer(&self) -> provider::Result {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = {
            let mut answers = self.answers.lock().expect("no panic");
            let answer = *answers.front().expect("an answer");
            if answers.len() > 1 {
                answers.pop_front();
            }
            answer
        };
        let named =
            |end: Option<SystemTime>| Ok(Credentials::new(number.to_string(), "s", None, end, "test"));
        match answer {
            Answer::Lasts(seconds) => {
                let end_ms = self.machine.wall_ms() + seconds * 1_000;
                named(Some(UNIX_EPOCH + Duration::from_millis(end_ms)))
            }
            Answer::Endless => named(None),
            Answer::Fails => Err(CredentialsError::provider_error("refused")),
            Answer::Hangs => std::future::pending().await,
        }
    }
}

#[derive(Debug, Clone)]
struct Asked(Arc<Source>);

impl ProvideCredentials for Asked {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.0.answer())
    }
}

struct Stage {
    machine: Arc<PausedMachine>,
    source: Arc<Source>,
    session: Session,
    counted: Arc<AtomicUsize>,
}

#[expect(clippy::disallowed_methods, reason = "the paused clock is the test's")]
impl Stage {
    fn new(answers: &[Answer]) -> Stage {
        let machine =
            Arc::new(PausedMachine { origin: tokio::time::Instant::now(), ahead_ms: AtomicU64::new(0) });
        let answers = Mutex::new(answers.iter().copied().collect());
        let source = Arc::new(Source { machine: Arc::clone(&machine), answers, asked: AtomicUsize::new(0) });
        let counted = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&counted);
        let session = Session::begin(
            Whose { api: "AssumeRole", identity: "a role".to_owned() },
            SharedCredentialsProvider::new(Asked(Arc::clone(&source))),
            &(Arc::clone(&machine) as Arc<dyn Machine>),
            Arc::new(move |_| {
                counting.fetch_add(1, Ordering::SeqCst);
            }),
        );
        Stage { machine, source, session, counted }
    }

    async fn at(&self, seconds: u64) {
        tokio::time::sleep_until(self.machine.origin + Duration::from_secs(seconds)).await;
    }

    fn asked(&self) -> usize {
        self.source.asked.load(Ordering::SeqCst)
    }

    /// Which credentials a call gets that does not wait; `None` where it would.
    fn held(&self) -> Option<Result<String, String>> {
        let answer = self.session.credentials().now_or_never()?;
        let told = |error| of_credentials("GetItem", &error).to_string();
        Some(answer.map(|held| held.access_key_id().to_owned()).map_err(told))
    }
}

fn holds(number: &str) -> Option<Result<String, String>> {
    Some(Ok(number.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn renewed_five_minutes_before_the_end_or_at_a_third() {
    use Answer::{Endless, Lasts};
    for (answer, renewed_s) in [(Lasts(3_600), 3_300), (Lasts(900), 600), (Lasts(15), 10), (Endless, 900)] {
        let stage = Stage::new(&[answer]);
        stage.at(renewed_s - 1).await;
        assert_eq!((stage.held(), stage.asked()), (holds("0"), 1));
        stage.at(renewed_s + 1).await;
        assert_eq!((stage.held(), stage.asked()), (holds("1"), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_question_hangs_calls_take_what_is_held_to_its_end() {
    let stage = Stage::new(&[Answer::Lasts(60), Answer::Hangs]);
    stage.at(57).await;
    assert_eq!((stage.held(), stage.asked()), (holds("0"), 2), "asked at 40 s");
    stage.at(59).await;
    assert_eq!(stage.held(), None, "two seconds before the end a request might arrive behind it");
    stage.at(71).await;
    let told = stage.held().expect("the question took too long").expect_err("nothing is held");
    assert!(told.starts_with("GetItem: CredentialsTimeout"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_and_paced_and_told_to_calls_once_nothing_is_held() {
    let stage = Stage::new(&[Answer::Lasts(600), Answer::Fails]);
    stage.at(597).await;
    assert_eq!(stage.held(), holds("0"));
    let failed = stage.counted.load(Ordering::SeqCst);
    assert!((15..30).contains(&failed), "{failed} failures from 400 s on, ten seconds apart at most");
    stage.at(599).await;
    assert_eq!(stage.held(), Some(Err("GetItem: CredentialsFailed: refused".to_owned())));
    let before = stage.asked();
    for _ in 0..1_000 {
        assert!(stage.held().is_some_and(|held| held.is_err()));
    }
    stage.at(600).await;
    assert!(stage.asked() <= before + 1, "calls do not make it ask");
    stage.source.answers.lock().expect("no panic").push_back(Answer::Lasts(600));
    stage.at(625).await;
    assert!(matches!(stage.held(), Some(Ok(_))), "asked again within ten seconds, twice");
}

#[tokio::test(start_paused = true)]
async fn a_first_session_that_is_refused_is_told_at_once() {
    let stage = Stage::new(&[Answer::Fails, Answer::Lasts(600)]);
    let error = stage.session.credentials().await.expect_err("refused");
    assert_eq!(of_credentials("GetItem", &error).message, "refused");
    stage.at(1).await;
    assert_eq!(stage.held(), holds("1"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_past_the_end_asks_at_once_and_once() {
    let stage = Stage::new(&[Answer::Lasts(3_600)]);
    stage.at(10).await;
    assert_eq!(stage.held(), holds("0"));
    stage.machine.ahead_ms.store(7_200_000, Ordering::SeqCst);
    assert_eq!(stage.held(), None, "never with what has ended");
    let held = stage.session.credentials().await.expect("renewed");
    assert_eq!((held.access_key_id(), stage.machine.now().as_millis()), ("1", 10_000));
    stage.at(20).await;
    assert_eq!(stage.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_come_ended_blame_the_clock() {
    let stage = Stage::new(&[Answer::Lasts(0)]);
    let error = stage.session.credentials().await.expect_err("they have ended");
    assert!(of_credentials("GetItem", &error).message.contains("clock"), "{error:?}");
}
