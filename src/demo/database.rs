//! Writes the agencies' SQLite files.
//!
//! In: persons. Out: one file an agency, whole or not at all: it is filled under another name and then renamed.

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::population::Person;
use super::random::Random;
use super::{DemoError, education, health, housing, police, social};

/// How one agency's file is made.
#[derive(Debug)]
pub struct Agency {
    /// Its catalog name, and its file's name without `.db`.
    pub name: &'static str,
    pub tables: &'static str,
    /// Made after the rows, which is quicker than with them.
    pub indexes: &'static str,
    pub fill: fn(&Transaction<'_>, &[Person], &mut Random) -> rusqlite::Result<()>,
}

pub const AGENCIES: [&Agency; 5] =
    [&health::AGENCY, &social::AGENCY, &housing::AGENCY, &education::AGENCY, &police::AGENCY];

/// The tables of one agency's file with their numbers of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgencySummary {
    pub name: &'static str,
    pub tables: Vec<(String, u64)>,
}

/// Writes all five files at once, a thread each: they share nothing.
///
/// # Errors
/// The first file that cannot be written.
pub fn write_agencies(directory: &Path, persons: &[Person], seed: u64) -> Result<Vec<AgencySummary>, DemoError> {
    std::thread::scope(|scope| {
        let writers = AGENCIES.map(|agency| scope.spawn(move || write_agency(agency, directory, persons, seed)));
        writers.into_iter().map(|writer| writer.join().unwrap_or(Err(DemoError::WriterStopped))).collect()
    })
}

fn write_agency(
    agency: &'static Agency,
    directory: &Path,
    persons: &[Person],
    seed: u64,
) -> Result<AgencySummary, DemoError> {
    let finished = directory.join(agency.name).with_extension("db");
    let unfinished = finished.with_extension("db.unfinished");
    remove_if_there(&unfinished)?;
    let tables = fill(agency, &unfinished, persons, seed)
        .map_err(|source| DemoError::Database { path: unfinished.clone(), source })?;
    // A journal left by a crash would be played into the new file.
    for suffix in ["db-journal", "db-wal", "db-shm"] {
        remove_if_there(&finished.with_extension(suffix))?;
    }
    std::fs::rename(&unfinished, &finished).map_err(|source| DemoError::Write { path: finished, source })?;
    Ok(AgencySummary { name: agency.name, tables })
}

fn fill(agency: &Agency, path: &Path, persons: &[Person], seed: u64) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut connection = Connection::open(path)?;
    // Nothing is lost with a half-written file: it is made anew, so it needs neither journal nor sync.
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(agency.tables)?;
    (agency.fill)(&transaction, persons, &mut Random::stream(seed, agency.name))?;
    transaction.execute_batch(agency.indexes)?;
    transaction.execute_batch("ANALYZE;")?;
    transaction.commit()?;
    row_counts(&connection)
}

fn row_counts(connection: &Connection) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut names =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let count = |name: String| {
        let sql = format!("SELECT count(*) FROM \"{name}\"");
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        Ok((name, u64::try_from(rows).unwrap_or_default()))
    };
    names.into_iter().map(count).collect()
}

fn remove_if_there(path: &Path) -> Result<(), DemoError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(DemoError::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
