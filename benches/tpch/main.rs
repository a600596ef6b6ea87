//! TPC-H over three agencies, beside one PostgreSQL server that holds everything and DuckDB with the same databases attached.
//!
//! ```sh
//! python3 -m venv target/tpch
//! target/tpch/bin/pip install duckdb duckdb-extensions duckdb-extension-postgres-scanner duckdb-extension-sqlite-scanner
//! cargo bench --bench tpch -- --scale 1 --python target/tpch/bin/python
//! ```
//!
//! It needs PostgreSQL's programs, as the tests do. The agencies `orders` and `parts` have a PostgreSQL server each, `customers`
//! an SQLite file; with `--swapped` it is the other way round. Each engine answers each query once to warm up,
//! then `--runs` times (3); the table has medians. Every answer of ours is compared with the single server's, and a query
//! that differs is marked. What moved is what agencies sent: rows, and bytes as they arrived in Arrow. DuckDB's rows are
//! those that its scans of the attached databases gave.
//!
//! `--queries q03,q18` runs a choice, `--plans` prints the SQL that each agency receives as well. Without `--python`,
//! DuckDB's columns stay empty.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_debug_implementations,
    dead_code,
    reason = "a comparison stops where it fails, and shares a module with a test"
)]

#[path = "../../tests/it/tpch/agencies.rs"]
mod agencies;
#[path = "../../tests/it/tpch/equality.rs"]
mod equality;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::Parser;
use futures::TryStreamExt;
use tokio_postgres::{Client, NoTls};
use wayleave::config::Config;
use wayleave::engine::Engine;
use wayleave_connector_testkit::PostgresServer;

use agencies::{AGENCIES, CUSTOMERS_IN_POSTGRES, Database, ORDERS_AND_PARTS_IN_POSTGRES};

const WHOLE: &str = "tpch_whole";

#[derive(Parser)]
struct Options {
    /// The benchmark's scale factor; 1 is a gigabyte.
    #[arg(long, default_value_t = 0.1)]
    scale: f64,
    /// How often each query is answered, after a first time that does not count.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The queries to run, such as `q03,q18`.
    #[arg(long, value_delimiter = ',')]
    queries: Vec<String>,
    /// A Python that has DuckDB.
    #[arg(long)]
    python: Option<String>,
    /// Orders and parts in SQLite, customers in PostgreSQL.
    #[arg(long)]
    swapped: bool,
    /// Prints the SQL that each agency receives.
    #[arg(long)]
    plans: bool,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Each agency's kind of database, in DuckDB's words, and its URL or file.
type Locations = BTreeMap<&'static str, (&'static str, String)>;

/// What one query took and moved.
struct Measured {
    rows: usize,
    agrees: Option<String>,
    moved: BTreeMap<String, Moved>,
    ours: Duration,
    whole: Duration,
}

/// What one agency sent.
#[derive(Clone, Copy, Default)]
struct Moved {
    rows: u64,
}

/// What DuckDB took for a query, and the rows that it read from the attached databases.
struct Attached {
    seconds: f64,
    rows: u64,
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    let directory = tempfile::Builder::new().prefix("wayleave-tpch-").tempdir().unwrap();
    let root = directory.path();
    let queries: Vec<(String, String)> = agencies::queries()
        .into_iter()
        .filter(|(name, _)| options.queries.is_empty() || options.queries.contains(name))
        .collect();
    eprintln!("filling the databases at scale {}", options.scale);
    let layout = if options.swapped { CUSTOMERS_IN_POSTGRES } else { ORDERS_AND_PARTS_IN_POSTGRES };
    let whole = PostgresServer::start().unwrap();
    agencies::fill_whole(&whole, WHOLE, options.scale).await;
    // Kept to the end: a server goes with its value.
    let mut servers = Vec::new();
    let mut locations: Locations = BTreeMap::new();
    for (agency, database) in layout {
        let location = match database {
            Database::Postgres => {
                let server = PostgresServer::start().unwrap();
                agencies::fill_postgres(&server, agency, agency, options.scale).await;
                let url = server.url(agency);
                servers.push(server);
                ("postgres", url)
            }
            Database::Sqlite => {
                let file = root.join(format!("{agency}.db"));
                agencies::fill_sqlite(&file, agency, options.scale);
                ("sqlite", file.display().to_string())
            }
        };
        locations.insert(agency, location);
    }
    agencies::write_deployment(root, &layout, |agency| locations[agency].1.clone());
    let engine = Engine::open(Config::load(&root.join("wayleave.toml")).unwrap()).await.unwrap();

    let (client, connection) = tokio_postgres::connect(&whole.url(WHOLE), NoTls).await.unwrap();
    tokio::spawn(connection);
    let mut measured = Vec::new();
    for (name, sql) in &queries {
        eprintln!("{name}");
        measured.push((name.clone(), measure(&engine, &whole, &client, name, sql, &options).await));
    }
    let attached = options.python.as_deref().map(|python| duckdb(python, root, &locations, &queries, options.runs));
    println!("{}", table(&measured, &attached.unwrap_or_default()));
}

async fn measure(
    engine: &Engine,
    server: &PostgresServer,
    whole: &Client,
    name: &str,
    sql: &str,
    options: &Options,
) -> Measured {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..=options.runs {
        let started = Instant::now();
        let answer = engine.query(&agencies::session(), sql).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let (progress, fragments) = (answer.progress, answer.fragments);
        let batches: Vec<_> = answer.batches.try_collect().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        times.push(started.elapsed());
        last = Some((progress, fragments, batches));
    }
    let (progress, fragments, batches) = last.unwrap();
    if options.plans {
        for fragment in fragments {
            println!("-- {name}, {}\n{}\n", fragment.agency, fragment.sql);
        }
    }
    let moved = progress.rows().into_iter().map(|(agency, rows)| (agency, Moved { rows })).collect();
    let shown = FormatOptions::default().with_null("NULL");
    let mut rows: Vec<Vec<String>> = Vec::new();
    for batch in &batches {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &shown).unwrap()).collect();
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()));
    }
    let mut whole_times = Vec::new();
    for _ in 0..=options.runs {
        let started = Instant::now();
        whole.simple_query(sql).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        whole_times.push(started.elapsed());
    }
    let expected = server.query_rows(WHOLE, sql).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let agrees = equality::difference(&rows, &equality::shown(expected));
    Measured { rows: rows.len(), agrees, moved, ours: median(&times), whole: median(&whole_times) }
}

/// Without the first, which warms up.
fn median(times: &[Duration]) -> Duration {
    let mut counted = times.get(1..).filter(|counted| !counted.is_empty()).unwrap_or(times).to_vec();
    counted.sort();
    counted[counted.len() / 2]
}

fn duckdb(
    python: &str,
    root: &Path,
    locations: &Locations,
    queries: &[(String, String)],
    runs: usize,
) -> BTreeMap<String, Attached> {
    let request = serde_json::json!({ "databases": locations, "queries": queries, "runs": runs });
    let file = root.join("duckdb.json");
    std::fs::write(&file, request.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/tpch/duckdb_attached.py");
    let output = Command::new(python).arg(script).arg(file).output().unwrap();
    assert!(output.status.success(), "DuckDB: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let name = value["query"].as_str().unwrap().to_owned();
            let seconds = value["seconds"].as_f64().unwrap();
            (name, Attached { seconds, rows: value["rows"].as_u64().unwrap() })
        })
        .collect()
}

fn table(measured: &[(String, Measured)], attached: &BTreeMap<String, Attached>) -> String {
    let mut lines = vec![
        format!(
            "| query | rows | from {} | Wayleave s | one PostgreSQL s | DuckDB s | DuckDB reads |",
            AGENCIES.join(" | from ")
        ),
        format!("|---|---:|{}---:|---:|---:|---:|", "---:|".repeat(AGENCIES.len())),
    ];
    let mut notes = Vec::new();
    for (name, measured) in measured {
        let from = |agency: &&str| measured.moved.get(*agency).map_or("–".to_owned(), |moved| grouped(moved.rows));
        let seconds = |time: Duration| format!("{:.3}", time.as_secs_f64());
        let duckdb = attached.get(name);
        let mark = if measured.agrees.is_some() { " (differs)" } else { "" };
        lines.push(format!(
            "| {name}{mark} | {} | {} | {} | {} | {} | {} |",
            measured.rows,
            AGENCIES.iter().map(from).collect::<Vec<_>>().join(" | "),
            seconds(measured.ours),
            seconds(measured.whole),
            duckdb.map_or("–".to_owned(), |attached| format!("{:.3}", attached.seconds)),
            duckdb.map_or("–".to_owned(), |attached| grouped(attached.rows)),
        ));
        notes.extend(measured.agrees.iter().map(|difference| format!("{name}: {difference}")));
    }
    lines.push(String::new());
    lines.extend(notes);
    lines.join("\n")
}

/// Digits in groups of three: `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
