//! Reads a status out of the lease table: queries and single reads only, so that a permission to read the table is enough.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::of_rows::{PipelineRows, Rows};
use super::{Heartbeat, Status};
use crate::error::{ApiError, ErrorKind};
use crate::lease::row::SessionRow;
use crate::lease::store::{LeaseStore, Sessions};
use crate::machine::{Machine, MonoTime};

/// Between two looks at heartbeats that are being waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A pipeline's rows are read again while shards finish between the reads, but not for ever.
const READS_AT_MOST: u32 = 5;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(
        "[lease_table]: table `{0}` does not exist: no worker has run with this configuration yet, or `name`, `region` or \
         the account of the credentials is another"
    )]
    NoTable(String),
    #[error(
        "[lease_table]: access denied: dynamodb:{} on table `{table}` ({}); status needs dynamodb:GetItem and \
         dynamodb:Query on it, and nothing else", error.api, error.message
    )]
    Denied { table: String, error: ApiError },
    #[error("[lease_table]: table `{table}`: {error}")]
    Api { table: String, error: ApiError },
}

/// Reads again and again, and remembers whose heartbeat it saw move.
pub struct Reading {
    store: LeaseStore,
    table: String,
    machine: Arc<dyn Machine>,
    heartbeat_interval: Duration,
    seen: BTreeMap<String, Seen>,
}

/// The last counter that was seen of a session.
struct Seen {
    incarnation: String,
    counter: u64,
    since: MonoTime,
    /// It was seen to change, in this incarnation or from another one to this.
    has_moved: bool,
}

impl Reading {
    pub fn new(
        store: LeaseStore,
        table: impl Into<String>,
        machine: Arc<dyn Machine>,
        heartbeat_interval: Duration,
    ) -> Self {
        Reading { store, table: table.into(), machine, heartbeat_interval, seen: BTreeMap::new() }
    }

    /// The status of these pipelines. Waits until every heartbeat has moved or stood still for two of them; for three at
    /// most, where sessions come and go.
    pub async fn watched(&mut self, pipelines: &[String]) -> Result<Status, ReadError> {
        let mut sessions = self.sessions().await?;
        let pipelines = self.pipelines(pipelines).await?;
        // From here on: however long those reads took, heartbeats are watched.
        let began = self.machine.now();
        while sessions.rows.iter().any(|(id, _)| self.heartbeat(id) == Heartbeat::NotWatched)
            && self.machine.now().since(began) <= 3 * self.heartbeat_interval
        {
            self.machine.sleep(LOOK_EVERY).await;
            sessions = self.sessions().await?;
        }
        Ok(self.status(sessions, pipelines))
    }

    /// The same at once: of heartbeats it says what earlier reads saw.
    pub async fn now(&mut self, pipelines: &[String]) -> Result<Status, ReadError> {
        let sessions = self.sessions().await?;
        let pipelines = self.pipelines(pipelines).await?;
        Ok(self.status(sessions, pipelines))
    }

    fn status(&self, sessions: Sessions, pipelines: Vec<(String, PipelineRows)>) -> Status {
        let with_heartbeat = |(id, row): (String, SessionRow)| {
            let heartbeat = self.heartbeat(&id);
            (id, row, heartbeat)
        };
        let rows = Rows {
            sessions: sessions.rows.into_iter().map(with_heartbeat).collect(),
            unreadable_sessions: sessions.unreadable,
            pipelines,
        };
        Status::of(&self.table, rows, self.machine.wall_ms())
    }

    fn heartbeat(&self, id: &str) -> Heartbeat {
        let Some(seen) = self.seen.get(id) else { return Heartbeat::NotWatched };
        let still = self.machine.now().since(seen.since);
        if still >= 2 * self.heartbeat_interval {
            Heartbeat::Still { still_for_ms: u64::try_from(still.as_millis()).unwrap_or(u64::MAX) }
        } else if seen.has_moved {
            Heartbeat::Moving
        } else {
            Heartbeat::NotWatched
        }
    }

    async fn sessions(&mut self) -> Result<Sessions, ReadError> {
        let sessions = self.store.sessions().await.map_err(|error| self.failed(error))?;
        let now = self.machine.now();
        let mut seen = BTreeMap::new();
        for (id, row) in &sessions.rows {
            let before = self.seen.remove(id);
            let is_same = before
                .as_ref()
                .is_some_and(|seen| (&seen.incarnation, seen.counter) == (&row.incarnation, row.counter));
            let since = before.as_ref().filter(|_| is_same).map_or(now, |seen| seen.since);
            let has_moved = before.is_some_and(|seen| seen.has_moved || !is_same);
            let (incarnation, counter) = (row.incarnation.clone(), row.counter);
            seen.insert(id.clone(), Seen { incarnation, counter, since, has_moved });
        }
        self.seen = seen;
        Ok(sessions)
    }

    async fn pipelines(&self, names: &[String]) -> Result<Vec<(String, PipelineRows)>, ReadError> {
        let mut pipelines = Vec::new();
        for name in names {
            let rows = self.pipeline(name).await.map_err(|error| self.failed(error))?;
            pipelines.push((name.clone(), rows));
        }
        Ok(pipelines)
    }

    async fn pipeline(&self, name: &str) -> Result<PipelineRows, ApiError> {
        let mut reads = 0;
        loop {
            let rows = self.read_pipeline(name).await?;
            reads += 1;
            // One that finished in between has children by now that the first read lacks.
            let is_torn = rows.shards.keys().any(|key| rows.finished.contains_key(key));
            if !is_torn || reads == READS_AT_MOST {
                return Ok(rows);
            }
        }
    }

    async fn read_pipeline(&self, name: &str) -> Result<PipelineRows, ApiError> {
        let mut rows = PipelineRows::default();
        match self.store.stream_row(name).await? {
            Some(Ok(row)) => rows.stream = Some(row),
            Some(Err(bad)) => rows.unreadable.push(bad.to_string()),
            None => {}
        }
        for (key, row) in self.store.shards(name).await? {
            match row {
                Ok(row) => drop(rows.shards.insert(key, row)),
                Err(bad) => rows.unreadable.push(bad.to_string()),
            }
        }
        rows.finished = self.store.finished_shards(name).await?.into_iter().collect();
        Ok(rows)
    }

    fn failed(&self, error: ApiError) -> ReadError {
        let table = self.table.clone();
        match error.kind {
            ErrorKind::NotFound => ReadError::NoTable(table),
            ErrorKind::Denied => ReadError::Denied { table, error },
            _ => ReadError::Api { table, error },
        }
    }
}
