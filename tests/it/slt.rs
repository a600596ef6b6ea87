//! Runs `tests/slt/*.slt`: named cases in plain text, which anyone can add.
//!
//! The format is sqllogictest's. `connection NAME` picks who asks the next query, a name of `tests/seed/sessions.toml`.
//! Each file runs on SQLite, PostgreSQL, MariaDB, SQL Server and files and at both levels of pushdown; `onlyif sqlite`,
//! `onlyif postgres`, `onlyif mariadb`, `onlyif sqlserver` and `onlyif files`, `onlyif full` and `onlyif released-relations`
//! narrow a case. Over files every schema `main` is read as `files`. What differs from the usual:
//! - column types are checked: T text, I integer, R decimal or float, B boolean, D date, P timestamp, ? anything else;
//! - an error is matched as `code: message (detail)`;
//! - an empty text shows as `(empty)`, and a blank at either end of a text as `␣`;
//! - `<slt:ignore>` stands for any text.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::datatypes::DataType;
use async_trait::async_trait;
use futures::TryStreamExt;
use sqllogictest::{AsyncDB, ColumnType, Connection, DBOutput, QueryExpect, Record, Runner, SortMode};
use wayleave::error::Error;
use wayleave::federate::PushdownLevel;
use wayleave::session::Session;

use crate::dropped;
use crate::harness::{Backend, World, session, text_rows};

/// What a column's values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    Real,
    Boolean,
    Date,
    Timestamp,
    Other,
}

impl ColumnType for Kind {
    fn from_char(value: char) -> Option<Self> {
        Some(match value {
            'T' => Self::Text,
            'I' => Self::Integer,
            'R' => Self::Real,
            'B' => Self::Boolean,
            'D' => Self::Date,
            'P' => Self::Timestamp,
            '?' => Self::Other,
            _ => return None,
        })
    }

    fn to_char(&self) -> char {
        match self {
            Self::Text => 'T',
            Self::Integer => 'I',
            Self::Real => 'R',
            Self::Boolean => 'B',
            Self::Date => 'D',
            Self::Timestamp => 'P',
            Self::Other => '?',
        }
    }
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            integer if integer.is_integer() => Self::Integer,
            number if number.is_numeric() => Self::Real,
            DataType::Boolean => Self::Boolean,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(..) => Self::Timestamp,
            _ => Self::Other,
        }
    }
}

/// A query of a case file, for whoever runs the same queries another way.
pub struct CaseQuery {
    /// `file:line`.
    pub place: String,
    pub file: String,
    pub session: String,
    pub sql: String,
    /// Whether the case itself gives the rows in an order.
    pub ordered: bool,
}

/// Every query of every case file that expects rows.
pub fn case_queries() -> Vec<CaseQuery> {
    let mut queries = Vec::new();
    for path in case_files() {
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        for record in sqllogictest::parse_file::<Kind>(&path).unwrap() {
            if let Record::Query { loc, connection, sql, expected, .. } = record
                && let QueryExpect::Results { sort_mode, .. } = expected
            {
                let ordered = sort_mode.is_none_or(|mode| mode == SortMode::NoSort);
                let place = format!("{file}.slt:{}", loc.line());
                queries.push(CaseQuery { place, file: file.clone(), session: name_of(&connection), sql, ordered });
            }
        }
    }
    queries
}

fn case_files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no case files");
    files
}

fn name_of(connection: &Connection) -> String {
    match connection {
        Connection::Named(name) => name.clone(),
        Connection::Default => panic!("each case says who asks: write `connection NAME` above it"),
    }
}

/// One session's connection.
struct Asker {
    world: Arc<World>,
    session: Session,
}

/// An error as cases match it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error} ({})", error.code(), error.detail().unwrap_or_default())]
struct Refused {
    error: Error,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error }
    }
}

#[async_trait]
impl AsyncDB for Asker {
    type Error = Refused;
    type ColumnType = Kind;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Kind>, Refused> {
        let answer = self.world.engine.query(&self.session, sql).await?;
        let types = answer.schema.fields().iter().map(|field| Kind::of(field.data_type())).collect();
        let batches: Vec<_> = answer.batches.try_collect().await.map_err(Error::from)?;
        let rows = text_rows(&batches).into_iter().map(|row| row.iter().map(|value| shown(value)).collect());
        Ok(DBOutput::Rows { types, rows: rows.collect() })
    }

    async fn shutdown(&mut self) {}
}

pub fn shown(value: &str) -> String {
    if value.is_empty() {
        return "(empty)".to_owned();
    }
    let body = value.trim_matches(' ');
    if body.is_empty() {
        return "␣".repeat(value.len());
    }
    let start = value.len() - value.trim_start_matches(' ').len();
    let end = value.len() - value.trim_end_matches(' ').len();
    format!("{}{body}{}", "␣".repeat(start), "␣".repeat(end))
}

fn validate(_: fn(&String) -> String, actual: &[Vec<String>], expected: &[String]) -> bool {
    let actual: Vec<String> = actual.iter().map(|row| row.join(" ").trim_end().to_owned()).collect();
    let expected: Vec<&str> = expected.iter().map(|line| line.trim_end()).collect();
    if !expected.iter().any(|line| line.contains("<slt:ignore>")) {
        return actual == expected;
    }
    let (actual, expected) = (actual.join("\n"), expected.join("\n"));
    let mut parts = expected.split("<slt:ignore>");
    let mut rest = actual.as_str();
    match parts.next().and_then(|first| rest.strip_prefix(first)) {
        Some(after) => rest = after,
        None => return false,
    }
    let mut last = "";
    for part in parts {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
        last = part;
    }
    last.is_empty() || rest.is_empty()
}

async fn run_cases(backend: Backend, level: PushdownLevel) {
    let world = Arc::new(World::at_level(backend, level).await);
    let label = match level {
        PushdownLevel::Full => "full",
        PushdownLevel::ReleasedRelations => "released-relations",
    };
    let mut failures = Vec::new();
    let mut run = 0;
    for path in case_files() {
        // The runner asks for a connection without saying for whom; it is the one of the record at hand.
        let asking = Arc::new(Mutex::new(String::new()));
        let (world, name) = (Arc::clone(&world), Arc::clone(&asking));
        let mut runner = Runner::new(move || {
            let asker = Asker { world: Arc::clone(&world), session: session(&name.lock().unwrap()) };
            async move { Ok(asker) }
        });
        runner.with_validator(validate);
        runner.with_column_validator(sqllogictest::strict_column_validator);
        runner.add_label(backend.name());
        runner.add_label(label);
        let text = std::fs::read_to_string(&path).unwrap();
        let text = if backend == Backend::Files { dropped::in_files(&text) } else { text };
        let name: Arc<str> = path.display().to_string().into();
        for record in sqllogictest::parse_with_name::<Kind>(&text, name).unwrap_or_else(|error| panic!("{error}")) {
            if let Record::Query { connection, .. } | Record::Statement { connection, .. } = &record {
                *asking.lock().unwrap() = name_of(connection);
                run += 1;
            }
            if let Err(error) = runner.run_async(record).await {
                failures.push(error.to_string());
            }
        }
    }
    assert!(run > 100, "only {run} cases");
    let count = failures.len();
    assert!(failures.is_empty(), "{count} of {run} cases fail on {backend:?}, {level:?}:\n\n{}", failures.join("\n\n"));
}

#[tokio::test]
async fn cases_on_sqlite() {
    run_cases(Backend::Sqlite, PushdownLevel::Full).await;
}

#[tokio::test]
async fn cases_on_sqlite_with_released_relations_alone_pushed_down() {
    run_cases(Backend::Sqlite, PushdownLevel::ReleasedRelations).await;
}

#[tokio::test]
async fn cases_on_postgres() {
    run_cases(Backend::Postgres, PushdownLevel::Full).await;
}

#[tokio::test]
async fn cases_on_postgres_with_released_relations_alone_pushed_down() {
    run_cases(Backend::Postgres, PushdownLevel::ReleasedRelations).await;
}

#[tokio::test]
async fn cases_on_mariadb() {
    run_cases(Backend::Mariadb, PushdownLevel::Full).await;
}

#[tokio::test]
async fn cases_on_mariadb_with_released_relations_alone_pushed_down() {
    run_cases(Backend::Mariadb, PushdownLevel::ReleasedRelations).await;
}

#[tokio::test]
async fn cases_on_sql_server() {
    run_cases(Backend::SqlServer, PushdownLevel::Full).await;
}

#[tokio::test]
async fn cases_on_sql_server_with_released_relations_alone_pushed_down() {
    run_cases(Backend::SqlServer, PushdownLevel::ReleasedRelations).await;
}

#[test]
fn blanks_and_empty_texts_show() {
    assert_eq!(["", " ", "a ", " a b", "NULL"].map(shown), ["(empty)", "␣", "a␣", "␣a b", "NULL"]);
}

#[test]
fn ignored_text_is_any_text_and_nothing_else_is() {
    let holds = |actual: &str, expected: &str| {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = lines(actual).into_iter().map(|line| vec![line]).collect();
        validate(String::clone, &rows, &lines(expected))
    };
    assert!(holds("a\nb\nc", "a\n<slt:ignore>\nc"));
    assert!(holds("a\nb", "<slt:ignore>b"));
    assert!(!holds("a\nb", "<slt:ignore>a"));
    assert!(!holds("a\nb", "b<slt:ignore>"));
    assert!(!holds("a", "b"));
}

#[tokio::test]
async fn cases_on_files() {
    run_cases(Backend::Files, PushdownLevel::Full).await;
}

#[tokio::test]
async fn cases_on_files_with_released_relations_alone_pushed_down() {
    run_cases(Backend::Files, PushdownLevel::ReleasedRelations).await;
}
