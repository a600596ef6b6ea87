//! `wayleave query`: runs SQL and writes the answer.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt;

use super::identity::IdentityArgs;
use super::output::{Destination, Format};
use super::progress::{ProgressLine, Visibility};
use super::table::printable;
use super::{Failure, interruptible, open_engine, shell};
use crate::engine::{Answer, Engine};
use crate::error::Error;
use crate::session::Session;
use crate::statements::Statements;

/// Run SQL across agencies; without SQL, an interactive shell
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct QueryArgs {
    /// The SQL to run; several statements are separated by `;`
    #[arg(value_name = "SQL")]
    sql: Option<String>,
    /// Read the SQL from a file
    #[arg(long, short, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,
    /// How the answer is written; by default what --output's ending says, else a table
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write the answer to a file, which appears only when it is complete
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show no progress line
    #[arg(long)]
    no_progress: bool,
    /// Print the SQL that each agency receives, on standard error
    #[arg(long)]
    show_sql: bool,
    #[command(flatten)]
    identity: IdentityArgs,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave query \"SELECT * FROM health.public.patients WHERE nhs_number = '9434765919'\" \\
      --as alice@torbay-asc/social-worker --purpose joint-needs-assessment --case C-1042
  wayleave query -f report.sql --format csv > report.csv
  wayleave query 'SELECT * FROM unified.clients' --output clients.parquet
  wayleave query 'SELECT count(*) FROM social.main.clients' --show-sql
  echo 'SELECT 1; SELECT 2' | wayleave query
  wayleave query                         # an interactive shell; \\? lists its commands";

/// How an answer is shown.
#[derive(Clone, Debug)]
pub struct Display {
    pub format: Format,
    pub output: Option<PathBuf>,
    pub progress: Visibility,
    pub source_sql: SourceSql,
}

/// Whether the agencies' SQL is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSql {
    Shown,
    Hidden,
}

pub async fn run(config: PathBuf, args: QueryArgs) -> Result<(), Failure> {
    let session = args.identity.session()?;
    let format = args.format.or_else(|| args.output.as_deref().and_then(Format::of_file)).unwrap_or(Format::Table);
    let display = Display {
        format,
        output: args.output,
        progress: if args.no_progress { Visibility::Hidden } else { Visibility::of_standard_error() },
        source_sql: if args.show_sql { SourceSql::Shown } else { SourceSql::Hidden },
    };
    match (args.sql, args.file) {
        (None, None) if io::stdin().is_terminal() => shell::run(config, session, display).await,
        (sql, file) => interruptible(run_all(config, session, display, sql, file)).await,
    }
}

async fn run_all(
    config: PathBuf,
    session: Session,
    display: Display,
    sql: Option<String>,
    file: Option<PathBuf>,
) -> Result<(), Failure> {
    let sql = match (sql, file) {
        (Some(sql), _) => sql,
        (None, Some(file)) => read_file(&file)?,
        (None, None) => read_standard_input().await?,
    };
    let statements = Statements::split(&sql).all();
    if statements.is_empty() {
        return Err(Failure::usage("there is no statement to run", "write a SELECT"));
    }
    if statements.len() > 1 && (display.output.is_some() || display.format.is_binary()) {
        return Err(Failure::usage(
            format!("{} statements cannot share one file", statements.len()),
            "run them one by one, or write csv, jsonl or a table to standard output",
        ));
    }
    let engine = open_engine(&config).await?;
    for statement in &statements {
        run_statement(&engine, &session, statement, &display).await?;
    }
    Ok(())
}

fn read_file(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|source| {
        Failure::Wayleave(Error::File {
            action: format!("`{}` cannot be read", file.display()),
            source: Arc::new(source),
        })
    })
}

async fn read_standard_input() -> Result<String, Failure> {
    let read = tokio::task::spawn_blocking(|| {
        let mut sql = String::new();
        io::stdin().lock().read_to_string(&mut sql).map(|_| sql)
    });
    Ok(read.await.map_err(io::Error::other)??)
}

/// Runs one statement and writes its answer; returns the time it took.
///
/// # Errors
/// The engine refused or failed, or the answer could not be written. Nothing is left half-written in a file.
pub async fn run_statement(
    engine: &Engine,
    session: &Session,
    sql: &str,
    display: &Display,
) -> Result<Duration, Failure> {
    let started = Instant::now();
    let destination = Destination::open(display.format, display.output.as_deref())?;
    let mut progress = ProgressLine::new(display.progress);

    let answer = progress.watch(|| 0, engine.query(session, sql)).await?;
    let Answer { schema, notices, mut batches, progress: read, fragments, .. } = answer;
    progress.erase();
    let mut stderr = io::stderr();
    if display.source_sql == SourceSql::Shown {
        for fragment in &fragments {
            let _ = writeln!(stderr, "-- {}\n{}\n", fragment.agency, fragment.sql);
        }
    }
    for notice in &notices {
        let _ = writeln!(stderr, "notice: {}", printable(&notice.to_string()));
    }

    let mut output = destination.begin(&schema)?;
    while let Some(batch) = progress.watch(|| read.returned(), batches.next()).await {
        let batch = batch.map_err(Error::from)?;
        progress.erase();
        output.write(&batch)?;
    }
    progress.erase();
    output.finish()?;
    Ok(started.elapsed())
}
