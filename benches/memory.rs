//! A million keys joined to ten million rows, exact, and how much memory that took.
//!
//! Two agencies, each in a PostgreSQL server of its own; the one discloses its keys to the other. The join's rows are counted
//! and summed here and compared with what they must be. Printed: rows, keys sent, statements' path, time, the process' peak.
//!
//! `cargo bench --bench memory`, with arguments after `--`: keys, rows, `limits.query_memory`, and every how many rows meet a
//! key (2: half of the rows). `cargo bench --profile dev --bench memory -- 10000 100000 8MB` is a quick look.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark stops where it fails, and prints")]

use std::path::Path;
use std::time::Instant;

use chrono::NaiveDate;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use futures::StreamExt;
use wayleave::config::Config;
use wayleave::engine::Engine;
use wayleave::policy::Clock;
use wayleave::session::{Identity, Session};
use wayleave_connector_testkit::PostgresServer;

const QUESTION: &str = "SELECT p.person_id, p.name, e.event_id, e.amount FROM register.public.persons p \
    JOIN events.public.events e ON e.person_key = p.person_key";

/// What the joined rows add up to, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    rows: i64,
    persons: i64,
    events: i64,
    amounts: i64,
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let number = |place: usize, default: i64| given.get(place).map_or(default, |text| text.parse().expect("a number"));
    let (keys, rows, every) = (number(0, 1_000_000), number(1, 10_000_000), number(3, 2));
    let query_memory = given.get(2).map_or("256MB", String::as_str);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(keys, rows, query_memory, every));
}

async fn measure(keys: i64, rows: i64, query_memory: &str, every: i64) {
    let register = PostgresServer::start().expect("a server");
    let events = PostgresServer::start().expect("another server");
    println!("writing {keys} persons and {rows} events …");
    let persons_sql = format!(
        "CREATE UNLOGGED TABLE persons AS SELECT n AS person_id, 'K' || lpad(((n * 7919) % {keys})::text, 9, '0') \
         AS person_key, 'Person number ' || n AS name FROM generate_series(0::bigint, {keys} - 1) AS n; ANALYZE persons"
    );
    // Every so many rows one of a key, the others of keys that nobody asks for.
    let events_sql = format!(
        "CREATE UNLOGGED TABLE events AS SELECT n AS event_id, \
         CASE WHEN n % {every} = 0 THEN 'K' ELSE 'X' END || lpad((n / {every} % {keys})::text, 9, '0') AS person_key, \
         n % 1000 AS amount FROM generate_series(0::bigint, {rows} - 1) AS n; \
         CREATE INDEX ON events (person_key); ANALYZE events"
    );
    let (one, other) =
        tokio::join!(register.execute("postgres", &persons_sql), events.execute("postgres", &events_sql));
    one.and(other).expect("the agencies' rows");
    let expected = expected(keys, rows, every);

    let directory = tempfile::tempdir().expect("a temporary directory");
    write_deployment(directory.path(), &register, &events, query_memory);
    let config = Config::load(&directory.path().join("wayleave.toml")).expect("a configuration");
    let today = NaiveDate::from_ymd_opt(2026, 6, 1).expect("a day");
    let engine = Engine::with_clock(config, Clock::Fixed(today)).await.expect("an engine");
    let identity = Identity::parse("ben@bench/analyst").expect("an identity");
    let mut session = Session::new(identity, "bench");
    session.case_reference = Some("BENCH".to_owned());
    session.reason = Some("a measurement".to_owned());

    let before = peak_kilobytes();
    let started = Instant::now();
    let mut answer = engine.query(&session, QUESTION).await.expect("an answer");
    let mut found = Sums::default();
    let mut first = None;
    while let Some(batch) = answer.batches.next().await {
        first.get_or_insert_with(|| started.elapsed());
        found.add(&batch.expect("rows"));
    }
    let time = started.elapsed();
    assert_eq!(found, expected, "the join is wrong");
    let sent: u64 = answer.progress.disclosed().iter().map(|sent| sent.keys).sum();
    let moved: Vec<String> = answer.progress.rows().iter().map(|(agency, rows)| format!("{agency} {rows}")).collect();
    println!("query_memory {query_memory}: {} rows, exact; first after {first:?}, all after {time:?}", found.rows);
    println!("keys sent {sent} (0: read whole); rows read: {}", moved.join(", "));
    println!("spilled {} MB", engine.memory_in_use().spill_written_bytes >> 20);
    println!("peak memory of this process {} MB, {} MB before the query", peak_kilobytes() >> 10, before >> 10);
}

impl Sums {
    fn add(&mut self, batch: &RecordBatch) {
        let sum = |column: usize| -> i64 { batch.column(column).as_primitive::<Int64Type>().values().iter().sum() };
        self.rows += i64::try_from(batch.num_rows()).expect("few rows");
        self.persons += sum(0);
        self.events += sum(2);
        self.amounts += sum(3);
    }
}

/// The same sums from how the rows were written.
fn expected(keys: i64, rows: i64, every: i64) -> Sums {
    let mut person_of = vec![0_i64; usize::try_from(keys).expect("few keys")];
    for person in 0..keys {
        let key = usize::try_from(person * 7919 % keys).expect("few keys");
        *person_of.get_mut(key).expect("a key") = person;
    }
    let mut sums = Sums::default();
    for event in (0..rows).filter(|event| event % every == 0) {
        let key = usize::try_from(event / every % keys).expect("few keys");
        sums.rows += 1;
        sums.persons += person_of.get(key).expect("a key");
        sums.events += event;
        sums.amounts += event % 1000;
    }
    sums
}

fn write_deployment(directory: &Path, register: &PostgresServer, events: &PostgresServer, query_memory: &str) {
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).expect("a file");
    std::fs::create_dir_all(directory.join("policies/agreements")).expect("a directory");
    std::fs::create_dir(directory.join("audit")).expect("a directory");
    write(
        "wayleave.toml",
        &format!(
            r#"policies = "policies"
[audit]
directory = "audit"
[limits]
query_memory = "{query_memory}"
spill_directory = "."
[agency.register]
connector = "postgres"
url = "{}"
statement_timeout_ms = 3600000
[agency.register.tables."public.persons"]
subject = {{ column = "person_key", scheme = "opaque" }}
[agency.events]
connector = "postgres"
url = "{}"
statement_timeout_ms = 3600000
[agency.events.tables."public.events"]
subject = {{ column = "person_key", scheme = "opaque" }}
"#,
            register.url("postgres"),
            events.url("postgres")
        ),
    );
    write("policies/purposes.toml", "[purpose.bench]\ntitle = \"A measurement\"\n");
    write(
        "policies/agreements/bench.toml",
        r#"[agreement]
id = "BENCH"
title = "A measurement"
owner = "dpo@bench.example"
starts = 2026-04-01
ends = 2027-03-31
review_by = 2026-12-31
[basis]
purpose = "bench"
article_6 = "e"
article_9 = "h"
[[recipient]]
organisation = "bench"
roles = ["analyst"]
[consent]
mode = "not-required"
[require]
case_reference = true
reason = true
[[share]]
table = "register.public.persons"
columns = ["person_id", "person_key", "name"]
disclose_keys_to = ["events"]
[[share]]
table = "events.public.events"
columns = ["event_id", "person_key", "amount"]
"#,
    );
}

/// The most memory that this process ever had (`VmHWM`), which no other counts in.
fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}
