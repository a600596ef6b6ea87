//! One run of a query: its id, what it has read so far, and which keys it has sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::node::Counting;

/// Keys that a run sent from some agencies to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosed {
    pub from: BTreeSet<String>,
    pub to: String,
    /// Distinct keys.
    pub keys: u64,
}

/// Shared by every operator of one running query; reachable from the task's configuration.
#[derive(Debug, Default)]
pub struct QueryRun {
    pub query_id: String,
    rows: Mutex<BTreeMap<String, u64>>,
    shown: Mutex<BTreeMap<String, u64>>,
    disclosed: Mutex<Vec<Disclosed>>,
    statements: AtomicU64,
}

impl QueryRun {
    pub fn new(query_id: impl Into<String>) -> Self {
        Self { query_id: query_id.into(), ..Self::default() }
    }

    pub fn add_rows(&self, agency: &str, count: usize, counting: Counting) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let add = |rows: &Mutex<BTreeMap<String, u64>>| {
            let mut rows = lock(rows);
            let total = rows.entry(agency.to_owned()).or_default();
            *total = total.saturating_add(count);
        };
        add(&self.rows);
        if counting == Counting::Shown {
            add(&self.shown);
        }
    }

    pub fn add_statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    pub fn add_disclosure(&self, disclosed: Disclosed) {
        lock(&self.disclosed).push(disclosed);
    }

    /// Rows read so far by agency, of those fragments whose rows are all released: what the asker may be shown.
    pub fn shown_rows(&self) -> Vec<(String, u64)> {
        lock(&self.shown).iter().map(|(agency, rows)| (agency.clone(), *rows)).collect()
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
