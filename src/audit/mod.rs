//! The audit log: who asked what, under which agreements, and what every agency was sent for it.
//!
//! In: intents, outcomes and refusals from the engine. Out: one append-only file, `audit.jsonl`, in the audit directory,
//! one JSON object a line, each holding the hash of the one before, so that a changed, removed, moved or inserted line
//! shows; `head.json` beside it says how far the chain has come, so that a cut-off end shows as well.
//!
//! INVARIANT: when an append returns `Ok`, its record is on the disk. A log that cannot be written is an error, and the
//! engine refuses the query. Nothing here ever rewrites a record, and a line that a crash left unfinished is moved aside
//! and recorded, never dropped.

mod asked;
mod latest;
mod log;
mod read;
mod record;
mod reviews;
mod store;
mod verify;

use std::path::{Path, PathBuf};

pub use asked::{AskedQuery, recent_queries};
pub use latest::latest_time;
pub use log::AuditLog;
pub use record::{
    AgreementRef, ConsentPassedOver, Disclosure, FailedLogin, Head, Intent, KeyCount, Outcome, PassedOverBy, Piece,
    Recovered, Refusal, Review, ReviewFinding, SourceStatement, Status,
};
pub use reviews::{Emergency, emergencies};
pub use verify::{Verified, verify};

/// Why the audit log cannot be written or trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    #[error("the audit directory `{}` does not exist", directory.display())]
    NoDirectory { directory: PathBuf },
    #[error("the audit file `{}` cannot be {action}", path.display())]
    Io { action: &'static str, path: PathBuf, reason: String },
    #[error("the audit log in `{}` stayed locked by another process for {waited_ms} ms", directory.display())]
    Locked { directory: PathBuf, waited_ms: u128 },
    #[error("the audit log is broken: {0}")]
    Broken(Break),
    #[error("the audit writer has stopped")]
    Stopped,
}

impl AuditError {
    /// The stable code of the cause, the same in every surface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoDirectory { .. } | Self::Io { .. } | Self::Stopped => "audit-unwritable",
            Self::Locked { .. } => "audit-locked",
            Self::Broken(_) => "audit-broken",
        }
    }

    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Io { reason, .. } => Some(reason.clone()),
            Self::NoDirectory { .. } | Self::Locked { .. } | Self::Broken(_) | Self::Stopped => None,
        }
    }

    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoDirectory { directory } => {
                Some(format!("make it (`mkdir -p {}`), writable for this user alone", directory.display()))
            }
            Self::Io { .. } => Some("no query runs until the audit log can be written".to_owned()),
            Self::Locked { .. } => Some("look for a process that hangs on the audit directory".to_owned()),
            Self::Broken(_) => {
                Some("keep the directory as it is for an inquiry, and name a new one in the configuration".to_owned())
            }
            Self::Stopped => None,
        }
    }

    fn io(action: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), reason: error.to_string() }
    }

    fn broken(file: &Path, line: u64, what: BreakKind) -> Self {
        Self::Broken(Break { file: file.to_owned(), line, what })
    }
}

/// The first place where the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` line {line}: {what}", file.display())]
pub struct Break {
    pub file: PathBuf,
    /// Counted from 1; record n stands in line n.
    pub line: u64,
    pub what: BreakKind,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BreakKind {
    #[error("the line is not an audit record")]
    NotARecord,
    #[error("the content does not have the hash that the record states")]
    Hash,
    #[error("record {expected} should stand here, not record {found}")]
    Sequence { expected: u64, found: u64 },
    #[error("the record does not follow the one before it")]
    Previous,
    #[error("the line has no end: a crash or an edit cut it short")]
    Torn,
    #[error("the log ends at record {last}, but `head.json` knows of record {head}")]
    CutOff { last: u64, head: u64 },
    #[error("`head.json` states another hash for this record")]
    Head,
    #[error("`head.json` is missing or cannot be read")]
    NoHead,
    #[error("the log is missing")]
    NoLog,
    #[error("the unfinished line that was kept in `{file}` is missing or has changed")]
    Piece { file: String },
}
