//! A demo that anyone can run: five agencies as SQLite files, with made-up persons, and the example policies.
//!
//! In: a directory, a number of persons, a seed. Out: the files of a small deployment in that directory, the same for the
//! same seed. It is the one room that writes to a database, and only to files that it makes itself.

mod database;
mod deployment;
mod education;
mod health;
mod housing;
mod names;
mod police;
mod population;
mod random;
mod social;
mod written;

use std::path::PathBuf;

pub use database::AgencySummary;
pub use deployment::{CONFIGURATION_FILE, Deployment};
pub use population::{MOST_PERSONS, Person, Role};

/// What keeps the demo from being written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    #[error("`{path}` holds files that are not the demo's", path = path.display())]
    NotTheDemos { path: PathBuf },
    #[error("a demo has at most {MOST_PERSONS} persons")]
    TooManyPersons,
    #[error("`{path}` cannot be written: {source}", path = path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("`{path}` cannot be made: {source}", path = path.display())]
    Database { path: PathBuf, source: rusqlite::Error },
    #[error("a writer of the demo's files stopped before its end")]
    WriterStopped,
}

impl DemoError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotTheDemos { .. } => Some("choose another place with `--directory`"),
            Self::TooManyPersons => Some("ask for fewer with `--persons`"),
            Self::Write { .. } | Self::Database { .. } => {
                Some("is there room, and may you write there? `--directory` chooses another place")
            }
            Self::WriterStopped => None,
        }
    }
}
