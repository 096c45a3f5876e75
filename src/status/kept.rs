//! One status for many viewers: it is read when somebody asks, and kept for a while, so that a page open on a hundred
//! screens costs the lease table what one does, and nothing while nobody looks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::Reading;
use crate::machine::{Machine, MonoTime, timeout};

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::from_millis(1_500);
/// A fleet of thousands of shards takes long to read and costs accordingly: it is read a tenth of the time at most.
const KEPT_TIMES: u32 = 9;
/// More than any fleet takes; each call has a limit of its own.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// A status as JSON, or why there is none.
pub type Answer = Result<Bytes, Arc<str>>;

/// The status of these pipelines, read seldom.
pub struct Kept {
    machine: Arc<dyn Machine>,
    pipelines: Vec<String>,
    /// Who asks while it is being read waits for the same answer.
    state: Mutex<State>,
}

struct State {
    reading: Reading,
    last: Option<(Answer, MonoTime)>,
}

impl Kept {
    pub fn new(reading: Reading, pipelines: Vec<String>, machine: Arc<dyn Machine>) -> Self {
        Kept { machine, pipelines, state: Mutex::new(State { reading, last: None }) }
    }

    /// What `status --json` prints, at most a while ago.
    pub async fn json(&self) -> Answer {
        let mut state = self.state.lock().await;
        let began = self.machine.now();
        if let Some((answer, until)) = &state.last
            && began < *until
        {
            return answer.clone();
        }
        let answer = self.read(&mut state.reading).await;
        let ended = self.machine.now();
        let until = ended + KEPT_FOR.max(ended.since(began) * KEPT_TIMES);
        state.last = Some((answer.clone(), until));
        answer
    }

    async fn read(&self, reading: &mut Reading) -> Answer {
        match timeout(&*self.machine, READ_WITHIN, reading.now(&self.pipelines)).await {
            Some(Ok(status)) => match serde_json::to_vec(&status) {
                Ok(json) => Ok(Bytes::from(json)),
                Err(error) => Err(format!("the status cannot be written as JSON: {error}").into()),
            },
            Some(Err(error)) => Err(error.to_string().into()),
            None => {
                let seconds = READ_WITHIN.as_secs();
                Err(format!("[lease_table]: it could not be read within {seconds} s; is DynamoDB slow?")
                    .into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;
    use serde_dynamo::Item;

    use super::*;
    use crate::error::{ApiError, ErrorKind};
    use crate::lease::store::LeaseStore;
    use crate::lease::table::{LeaseTable, RowKey, RowWrite, RowsPage};
    use crate::machine::RealMachine;

    /// Empty; each query takes `takes`, and is refused where `denied`.
    #[derive(Default)]
    struct Empty {
        queries: AtomicU64,
        takes: Duration,
        denied: bool,
    }

    #[async_trait]
    impl LeaseTable for Empty {
        async fn restore(&self) -> Result<(), ApiError> {
            unreachable!("a status is only read")
        }

        async fn query(&self, _: &str, _: &str, _: Option<&str>) -> Result<RowsPage, ApiError> {
            self.queries.fetch_add(1, Ordering::Relaxed);
            RealMachine::new().sleep(self.takes).await;
            if self.denied {
                return Err(ApiError::new("Query", ErrorKind::Denied, "AccessDenied", "not you"));
            }
            Ok(RowsPage::default())
        }

        async fn get(&self, _: &RowKey) -> Result<Option<Item>, ApiError> {
            Ok(None)
        }

        async fn write(&self, _: &RowWrite) -> Result<Item, ApiError> {
            unreachable!("a status is only read")
        }

        async fn transact(&self, _: &[RowWrite]) -> Result<(), ApiError> {
            unreachable!("a status is only read")
        }
    }

    /// Of one pipeline, which takes three queries: sessions, shards, finished shards.
    fn kept(table: &Arc<Empty>) -> (Arc<RealMachine>, Kept) {
        let machine = Arc::new(RealMachine::new());
        let store = LeaseStore::new(Arc::<Empty>::clone(table), machine.clone());
        let reading = Reading::new(store, "leases", machine.clone(), Duration::from_secs(2));
        (machine.clone(), Kept::new(reading, vec!["orders".into()], machine))
    }

    #[tokio::test(start_paused = true)]
    async fn many_viewers_cost_what_one_does() {
        let table = Arc::new(Empty::default());
        let (machine, kept) = kept(&table);
        let queries = || table.queries.load(Ordering::Relaxed);
        let first = kept.json().await.expect("a status");
        assert!(first.starts_with(br#"{"schema_version":1,"#), "{first:?}");
        for _ in 0..100 {
            assert_eq!(kept.json().await.as_ref(), Ok(&first));
        }
        assert_eq!(queries(), 3);
        machine.sleep(KEPT_FOR).await;
        assert!(kept.json().await.is_ok());
        assert_eq!(queries(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_read_seldom() {
        let table = Arc::new(Empty { takes: Duration::from_secs(1), ..Empty::default() });
        let (machine, kept) = kept(&table);
        let queries = || table.queries.load(Ordering::Relaxed);
        assert!(kept.json().await.is_ok());
        machine.sleep(Duration::from_secs(26)).await;
        assert!(kept.json().await.is_ok());
        assert_eq!(queries(), 3);
        machine.sleep(Duration::from_secs(1)).await;
        assert!(kept.json().await.is_ok());
        assert_eq!(queries(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_said_and_kept_too() {
        let table = Arc::new(Empty { denied: true, ..Empty::default() });
        let (_, kept) = kept(&table);
        for _ in 0..2 {
            let why = kept.json().await.expect_err("denied");
            assert!(why.contains("dynamodb:Query on table `leases`"), "{why}");
        }
        assert_eq!(table.queries.load(Ordering::Relaxed), 1);
    }
}
