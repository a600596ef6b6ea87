//! One run of a query: its id, what it has read so far, and which keys it has sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use wayleave_connector_api::KeyDisclosure;

use super::meter::{Measured, Meter};

/// Keys that a run sent from some agencies to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosed {
    pub from: BTreeSet<String>,
    pub to: String,
    /// Distinct keys.
    pub keys: u64,
    pub disclosure: KeyDisclosure,
}

/// Shared by every operator of one running query; reachable from the task's configuration.
#[derive(Debug, Default)]
pub struct QueryRun {
    pub query_id: String,
    rows: Mutex<BTreeMap<String, u64>>,
    disclosed: Mutex<Vec<Disclosed>>,
    statements: AtomicU64,
    /// By the fragment's id.
    meters: Mutex<BTreeMap<u64, Meter>>,
    returned: AtomicU64,
    completed: OnceLock<Duration>,
}

impl QueryRun {
    pub fn new(query_id: impl Into<String>) -> Self {
        Self { query_id: query_id.into(), ..Self::default() }
    }

    pub fn add_rows(&self, agency: &str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let mut rows = lock(&self.rows);
        let total = rows.entry(agency.to_owned()).or_default();
        *total = total.saturating_add(count);
    }

    /// A statement of a fragment is about to be sent.
    pub fn add_statement(&self, fragment: u64) {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.meter(fragment, Meter::statement);
    }

    /// Keys are about to be sent with a fragment.
    pub fn add_disclosure(&self, fragment: u64, disclosed: Disclosed) {
        self.meter(fragment, |meter| meter.keys(disclosed.keys));
        lock(&self.disclosed).push(disclosed);
    }

    /// How a fragment is read has followed a source's statistics. They count withheld rows: what comes of it is no longer
    /// the asker's to know.
    pub fn decided_by_statistics(&self, fragment: u64) {
        self.meter(fragment, Meter::by_statistics);
    }

    /// Rows of the answer have left.
    pub fn add_returned(&self, count: usize) {
        self.returned.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Rows of the answer so far.
    pub fn returned(&self) -> u64 {
        self.returned.load(Ordering::Relaxed)
    }

    /// The answer has come to its end, after this long.
    pub fn complete(&self, after: Duration) {
        // An answer ends once.
        let _ = self.completed.set(after);
    }

    /// How long the answer took; `None` while it has not come to its end, and where it never did.
    pub fn completed(&self) -> Option<Duration> {
        self.completed.get().copied()
    }

    /// What a fragment has brought so far; `None` where it was never opened. It counts withheld rows, too.
    pub fn measured(&self, fragment: u64) -> Option<Measured> {
        lock(&self.meters).get(&fragment).map(Meter::measured)
    }

    pub(super) fn meter(&self, fragment: u64, note: impl FnOnce(&mut Meter)) {
        note(lock(&self.meters).entry(fragment).or_default());
    }

    /// Rows read so far, by agency: for the audit record.
    pub fn rows(&self) -> Vec<(String, u64)> {
        lock(&self.rows).iter().map(|(agency, rows)| (agency.clone(), *rows)).collect()
    }

    pub fn disclosed(&self) -> Vec<Disclosed> {
        lock(&self.disclosed).clone()
    }

    /// Statements sent to sources so far.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }
}

/// Counters stay right when a thread that held them has panicked: every update is a single step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
