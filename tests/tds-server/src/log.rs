//! What clients have sent: every statement and every login, in the order in which it came.

use std::sync::{Mutex, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    Batch,
    /// `sp_executesql` and its like, with their number of parameters.
    Procedure {
        parameters: usize,
    },
    TransactionManager,
    Attention,
    Reset,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub session: u16,
    pub kind: RequestKind,
    /// T-SQL, or what is asked of the transaction manager.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginEntry {
    pub session: u16,
    pub user: String,
    pub application: String,
    pub database: String,
    pub read_only_intent: bool,
    pub encrypted: bool,
}

#[derive(Debug, Default)]
pub struct Log {
    requests: Mutex<Vec<LogEntry>>,
    logins: Mutex<Vec<LoginEntry>>,
}

impl Log {
    pub(crate) fn request(&self, entry: LogEntry) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    pub(crate) fn login(&self, entry: LoginEntry) {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    pub fn requests(&self) -> Vec<LogEntry> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn logins(&self) -> Vec<LoginEntry> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The texts alone.
    pub fn statements(&self) -> Vec<String> {
        self.requests().into_iter().map(|entry| entry.text).collect()
    }

    pub fn clear(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
