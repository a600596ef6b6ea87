//! How fast each connector reads one large table, and in how much memory, beside what else would read it.
//!
//! ```sh
//! python3 -m venv target/readers && target/readers/bin/pip install connectorx pyarrow duckdb arrow-odbc
//! cargo bench --bench readers --features odbc -- --python target/readers/bin/python
//! ```
//!
//! The same rows are written to PostgreSQL, MariaDB, SQLite, Parquet, CSV and the test server for SQL Server, each a server or
//! a file of its own. Every reading is a process of its own, so that its peak memory is its own, and reads every column of
//! every row; ours and those that give Arrow add up one column, which must come to what was written. Ours
//! is timed from the statement on, and a program of somebody else's from its start. A connector streams, and so keeps a few
//! batches; connectorx collects the whole answer.
//!
//! Peers are `psql` (`COPY` in binary form, bytes alone), `mariadb --quick`, `sqlite3` (text, thrown away), and from PyPI
//! connectorx, DuckDB and arrow-odbc; one that is not there is left out. SQL Server's rows come from our own test server, so
//! its figures compare readers and say nothing of SQL Server. Without `--features odbc` there is no ODBC.
//!
//! `--rows N` (5,000,000), `--sources postgres,csv` a choice, `--runs N` (3) the best of so many.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_debug_implementations,
    reason = "a measurement stops where it fails, and prints"
)]

mod reading;
mod sources;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use serde::{Deserialize, Serialize};

use sources::{Kind, Source};

#[derive(Parser)]
struct Options {
    #[arg(long, default_value_t = 5_000_000)]
    rows: u64,
    /// How often each reader reads; the fastest counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    #[arg(long, value_enum, value_delimiter = ',')]
    sources: Vec<Kind>,
    /// A Python that has the peers of PyPI.
    #[arg(long, default_value = "python3")]
    python: String,
    /// Reads one source, whose place is given, in a process of its own.
    #[arg(long, hide = true)]
    read: Option<Kind>,
    #[arg(long, hide = true, default_value = "")]
    place: String,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one reading tells, ours or a peer's.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Measured {
    rows: u64,
    /// What the first column adds up to; `None` where only bytes were read.
    sum: Option<i64>,
    seconds: f64,
    peak_bytes: u64,
}

fn main() {
    let options = Options::parse();
    if let Some(kind) = options.read {
        let measured = reading::read(kind, &options.place);
        println!("{}", serde_json::to_string(&measured).unwrap());
        return;
    }
    let directory = tempfile::Builder::new().prefix("wayleave-readers-").tempdir().unwrap();
    let kinds = if options.sources.is_empty() { Kind::ALL.to_vec() } else { options.sources.clone() };
    println!("{} rows of {} columns, the best of {} runs", options.rows, sources::COLUMNS, options.runs);
    println!("{:<12} {:<28} {:>9} {:>12} {:>10}", "source", "reader", "seconds", "rows/s", "peak MB");
    for kind in kinds {
        let Some(source) = Source::fill(kind, directory.path(), options.rows) else { continue };
        let expected =
            Measured { rows: options.rows, sum: Some(sources::sum_of_ids(options.rows)), seconds: 0.0, peak_bytes: 0 };
        let ours = std::env::current_exe().unwrap();
        let ours = [ours.to_str().unwrap(), "--read", kind.name(), "--place", &source.place];
        report(kind, "wayleave", best(options.runs, &ours), &expected);
        for peer in kind.peers() {
            let script = peers_script();
            let command = [&options.python, script.to_str().unwrap(), peer, &source.place];
            report(kind, peer, best(options.runs, &command), &expected);
        }
    }
}

fn peers_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/readers/peers.py")
}

/// The fastest of some runs, or why there is none.
fn best(runs: usize, command: &[&str]) -> Result<Measured, String> {
    let mut best: Option<Measured> = None;
    let (program, arguments) = command.split_first().unwrap();
    for _ in 0..runs.max(1) {
        let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = answer.lines().last().unwrap_or_default();
        let measured: Measured = serde_json::from_str(last).map_err(|_| {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            told.lines().last().unwrap_or("it says nothing").to_owned()
        })?;
        if best.as_ref().is_none_or(|best| measured.seconds < best.seconds) {
            best = Some(measured);
        }
    }
    best.ok_or_else(|| "it never ran".to_owned())
}

fn report(kind: Kind, reader: &str, outcome: Result<Measured, String>, expected: &Measured) {
    match outcome {
        Ok(measured) => {
            assert_eq!(measured.rows, expected.rows, "{reader} reads another number of rows of {kind:?}");
            assert!(measured.sum.is_none() || measured.sum == expected.sum, "{reader} reads other rows of {kind:?}");
            // Every figure here is far below 2^52.
            let rows = f64::from(u32::try_from(measured.rows).unwrap());
            let peak = f64::from(u32::try_from(measured.peak_bytes >> 10).unwrap()) / 1024.0;
            println!(
                "{:<12} {reader:<28} {:>9.2} {:>12.0} {peak:>10.0}",
                kind.name(),
                measured.seconds,
                rows / measured.seconds
            );
        }
        Err(why) => println!("{:<12} {reader:<28} not measured: {why}", kind.name()),
    }
}
