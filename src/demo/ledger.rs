//! The ledger: one run's judge, shared by those who write changes and the one who reads the records, with the moment
//! each change was sent, so that its lag is known when it lands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::history::{Change, ItemKey};
use super::payload::Delivered;
use super::verify::{Arrival, Report, Verifier};

/// A handle; clones share one ledger.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    verifier: Verifier,
    /// When the changes under way were sent.
    sent: BTreeMap<(ItemKey, u64), Instant>,
}

/// A first or a repeated landing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landing {
    pub arrival: Arrival,
    /// From sending the write to seeing the record; only on a first landing whose payload tells its version.
    pub lag: Option<Duration>,
}

impl Ledger {
    pub fn new() -> Self {
        Self::default()
    }

    /// A ledger of its own with what this one holds now: for the same changes, carried to another stream.
    pub fn copied(&self) -> Self {
        let book = self.book();
        Ledger(Arc::new(Mutex::new(Book { verifier: book.verifier.clone(), sent: book.sent.clone() })))
    }

    /// A change that is sent now.
    pub fn sending(&self, change: &Change, at: Instant) {
        let mut book = self.book();
        book.verifier.expect(change);
        book.sent.insert((change.item.clone(), change.version), at);
    }

    /// A record's data, seen now.
    ///
    /// # Errors
    /// When it is no change in a known format; the ledger has noted that.
    pub fn landed(&self, data: &[u8], at: Instant) -> Result<(Delivered, Landing), String> {
        let mut book = self.book();
        let record = Delivered::parse(data).inspect_err(|why| book.verifier.undecodable(why))?;
        let arrival = book.verifier.deliver(&record);
        let sent = match (arrival, record.version) {
            (Arrival::First, Some(version)) => book.sent.remove(&(record.item.clone(), version)),
            _ => None,
        };
        let lag = sent.map(|sent| at.saturating_duration_since(sent));
        Ok((record, Landing { arrival, lag }))
    }

    /// Looks something up in the judge.
    pub fn ask<T>(&self, question: impl FnOnce(&Verifier) -> T) -> T {
        question(&self.book().verifier)
    }

    pub fn report(&self) -> Report {
        self.ask(Verifier::report)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing panics while it is held, and a count that is off by one would show in the report.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
