//! What consent costs: a query under an agreement that asks a register, against the same query under one that asks none, with
//! the register's predicate written by hand in the SQL. Both go to the agency as one statement. Consent should cost at most
//! 5 % more; the bench says how much, and fails where the two answers differ or either is not one statement.

#![allow(clippy::expect_used, missing_debug_implementations, reason = "a benchmark stops where it fails")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use criterion::{Criterion, criterion_group, criterion_main};
use futures::TryStreamExt;
use wayleave::config::Config;
use wayleave::engine::Engine;
use wayleave::session::{Identity, Session};

const PERSONS: u32 = 200_000;

/// Name, the register's table and what an asker writes for its rule, and the query, `@` where that goes.
const DISSENT: &str = "NOT EXISTS (SELECT 1 FROM health.main.dissents d WHERE d.nhs_number = p.nhs_number)";
const DECISIONS: &str = "NOT EXISTS (SELECT 1 FROM health.main.consents c \
                         WHERE c.nhs_number = p.nhs_number AND c.status = 'refused')";
const COUNTED: &str = "SELECT p.gp_practice, count(*) AS persons FROM health.main.patients p \
                       WHERE p.born < 1960 AND p.nhs_number IS NOT NULL@ GROUP BY p.gp_practice ORDER BY p.gp_practice";
const LISTED: &str = "SELECT p.nhs_number, p.name, p.born FROM health.main.patients p \
                      WHERE p.gp_practice = 'GP 07' AND p.nhs_number IS NOT NULL@ ORDER BY p.nhs_number";

const AGREEMENT: &str = "[agreement]\nid = \"@role@\"\ntitle = \"T\"\nowner = \"dpo@county.example\"\nstarts = 2020-01-01\n\
    ends = 2099-12-31\nreview_by = 2099-12-31\n[basis]\npurpose = \"care\"\narticle_6 = \"e\"\n[[recipient]]\norganisation = \
    \"county\"\nroles = [\"@role@\"]\n[[share]]\ntable = \"health.main.patients\"\ncolumns = [\"nhs_number\", \"name\", \
    \"born\", \"gp_practice\"]\n";
/// What stands behind it where the asker writes the predicate.
const BY_HAND: &str = "[[share]]\ntable = \"health.main.dissents\"\ncolumns = [\"nhs_number\"]\n[[share]]\ntable = \
    \"health.main.consents\"\ncolumns = [\"nhs_number\", \"status\"]\n[consent]\nmode = \"not-required\"\n[require]\n\
    case_reference = true\nreason = true\n";

fn write_world(directory: &Path) {
    let database = rusqlite::Connection::open(directory.join("health.db")).expect("a database");
    let mut sql = "PRAGMA synchronous = OFF; BEGIN;\
        CREATE TABLE patients (nhs_number TEXT, name TEXT, born INTEGER, gp_practice TEXT);\
        CREATE TABLE dissents (nhs_number TEXT); CREATE TABLE consents (nhs_number TEXT, status TEXT);"
        .to_owned();
    for person in 0..PERSONS {
        let (born, practice) = (1930 + person % 90, person % 40);
        let _ =
            write!(sql, "INSERT INTO patients VALUES ('K{person:09}', 'Name {person}', {born}, 'GP {practice:02}');");
        if person % 20 == 3 {
            let _ = write!(sql, "INSERT INTO dissents VALUES ('K{person:09}');");
        }
        let status = if person % 25 == 4 { "refused" } else { "granted" };
        let _ = write!(sql, "INSERT INTO consents VALUES ('K{person:09}', '{status}');");
    }
    sql.push_str(
        "CREATE INDEX patients_practice ON patients (gp_practice); CREATE INDEX dissents_key ON dissents (nhs_number); \
         CREATE INDEX consents_key ON consents (nhs_number); COMMIT; ANALYZE;",
    );
    database.execute_batch(&sql).expect("tables");
    let subject = "subject = { column = \"nhs_number\", scheme = \"opaque\", assured = true }";
    let mut config =
        "policies = \"policies\"\n[audit]\ndirectory = \"audit\"\n[agency.health]\nconnector = \"sqlite\"\npath = \
                      \"health.db\"\n"
            .to_owned();
    for table in ["patients", "dissents", "consents"] {
        let _ = write!(config, "[agency.health.tables.\"main.{table}\"]\n{subject}\n");
    }
    std::fs::create_dir_all(directory.join("policies/agreements")).expect("a directory");
    std::fs::create_dir(directory.join("audit")).expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).expect("a file");
    write("wayleave.toml", &config);
    write("policies/purposes.toml", "[purpose.care]\ntitle = \"Care\"\n");
    write(
        "policies/registers.toml",
        &format!(
            "[register.dissents]\ntable = \"health.main.dissents\"\nkind = \"dissent\"\n{subject}\n[register.consents]\ntable = \
             \"health.main.consents\"\nkind = \"decisions\"\n{subject}\ndecision = {{ column = \"status\", permit = \
             [\"granted\"], deny = [\"refused\"] }}\n"
        ),
    );
    for role in ["dissents", "consents"] {
        let consent = format!("[consent]\nmode = \"opt-out\"\nregisters = [\"{role}\"]\nno_information = \"permit\"\n");
        write(&format!("policies/agreements/{role}.toml"), &(AGREEMENT.replace("@role@", role) + &consent));
    }
    write("policies/agreements/hand.toml", &(AGREEMENT.replace("@role@", "hand") + BY_HAND));
}

async fn rows(engine: &Engine, session: &Session, sql: &str) -> (Vec<RecordBatch>, usize) {
    let answer = engine.query(session, sql).await.expect("an answer");
    let fragments = answer.fragments.len();
    (answer.batches.try_collect().await.expect("rows"), fragments)
}

fn consent(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write_world(directory.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config::load(&directory.path().join("wayleave.toml")).expect("a configuration");
    let engine = runtime.block_on(Engine::open(config)).expect("an engine");
    let session = |role: &str| {
        let mut session = Session::new(Identity::parse(&format!("a@county/{role}")).expect("an identity"), "care");
        session.case_reference = Some("C-1".to_owned());
        session.reason = Some("bench".to_owned());
        session
    };
    for (register, predicate) in [("dissents", DISSENT), ("consents", DECISIONS)] {
        for (shape, query) in [("counted", COUNTED), ("listed", LISTED)] {
            let asked = query.replace('@', "");
            let written = query.replace('@', &format!(" AND {predicate}"));
            let of = |role: &str, sql: &str| {
                let (batches, fragments) = runtime.block_on(rows(&engine, &session(role), sql));
                assert_eq!(fragments, 1, "{sql} is not one statement");
                pretty_format_batches(&batches).expect("text").to_string()
            };
            assert_eq!(of(register, &asked), of("hand", &written), "{register} {shape}");
            let mut group = criterion.benchmark_group(format!("{register}, {shape}"));
            group.sample_size(60).measurement_time(Duration::from_secs(12));
            for (name, role, sql) in [("predicate by hand", "hand", &written), ("consent", register, &asked)] {
                let session = session(role);
                group.bench_function(name, |bencher| {
                    bencher.to_async(&runtime).iter(|| async { rows(&engine, &session, sql).await });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, consent);
criterion_main!(benches);
