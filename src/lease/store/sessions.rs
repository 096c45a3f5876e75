//! The sessions' rows: which writes begin a session, keep it alive and end it.

use std::time::Duration;

use super::{CALL_TIMEOUT, LeaseStore, keyed};
use crate::error::ApiError;
use crate::lease::row::{BadRow, Owner, SessionRow, WORKERS, attribute, decode, encode, sort_key};
use crate::lease::table::{Clause, Effect, RowKey, RowWrite};

/// All sessions, as read.
#[derive(Debug, Default)]
pub struct Sessions {
    /// By worker id.
    pub rows: Vec<(String, SessionRow)>,
    /// Ids whose rows do not read: they cannot be judged, so nothing is taken from them.
    pub unreadable: Vec<String>,
}

impl LeaseStore {
    /// All sessions.
    pub async fn sessions(&self) -> Result<Sessions, ApiError> {
        let mut sessions = Sessions::default();
        for item in self.query(WORKERS, "").await? {
            let id = sort_key(&item).to_owned();
            match decode::<SessionRow>(&item) {
                Ok(row) => sessions.rows.push((id, row)),
                Err(_) => sessions.unreadable.push(id),
            }
        }
        Ok(sessions)
    }

    /// One session.
    pub async fn session(&self, id: &str) -> Result<Option<Result<SessionRow, BadRow>>, ApiError> {
        self.get(&session_key(id)).await
    }

    /// Stores a new session. `over` is the row of an earlier session under this id, seen to stand still.
    pub async fn begin_session(
        &self,
        id: &str,
        row: &SessionRow,
        over: Option<&SessionRow>,
    ) -> Result<(), ApiError> {
        let key = session_key(id);
        let conditions = match over {
            None => vec![Clause::RowAbsent],
            Some(seen) => same_heartbeat(seen),
        };
        let effect = Effect::Put(keyed(&key, encode(row)));
        self.write(RowWrite { key, effect, conditions }, CALL_TIMEOUT).await.map(drop)
    }

    /// A heartbeat: the row's figures with a counter not used before. Fails with `ConditionFailed` when the session is
    /// over: declared dead, or its id seized.
    pub async fn heartbeat(&self, id: &str, row: &SessionRow, limit: Duration) -> Result<(), ApiError> {
        let set = vec![
            ("counter", attribute(&row.counter)),
            ("load", attribute(&row.load)),
            ("loads", attribute(&row.loads)),
            ("pipelines", attribute(&row.pipelines)),
            ("discovers", attribute(&row.discovers)),
            ("draining", attribute(&row.draining)),
            ("ownership_version", attribute(&row.ownership_version)),
        ];
        let conditions = vec![
            Clause::Equals("incarnation", attribute(&row.incarnation)),
            Clause::Below("counter", row.counter),
        ];
        let effect = Effect::Update { set, remove: vec![] };
        self.write(RowWrite { key: session_key(id), effect, conditions }, limit).await.map(drop)
    }

    /// Ends one's own session.
    pub async fn end_session(&self, me: &Owner) -> Result<(), ApiError> {
        let conditions = vec![Clause::Equals("incarnation", attribute(&me.incarnation))];
        self.write(RowWrite { key: session_key(&me.id), effect: Effect::Delete, conditions }, CALL_TIMEOUT)
            .await
            .map(drop)
    }

    /// Declares a session dead whose counter stood still: its next heartbeat will fail.
    pub async fn declare_dead(&self, id: &str, seen: &SessionRow) -> Result<(), ApiError> {
        let conditions = same_heartbeat(seen);
        self.write(RowWrite { key: session_key(id), effect: Effect::Delete, conditions }, CALL_TIMEOUT)
            .await
            .map(drop)
    }
}

pub(super) fn session_key(id: &str) -> RowKey {
    RowKey { pk: WORKERS.into(), sk: id.into() }
}

fn same_heartbeat(seen: &SessionRow) -> Vec<Clause> {
    vec![
        Clause::Equals("incarnation", attribute(&seen.incarnation)),
        Clause::Equals("counter", attribute(&seen.counter)),
    ]
}
