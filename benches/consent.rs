//! What consent costs: a query under an agreement that asks a register, against the same query under one that asks none, with
//! the register's predicate written by hand in the SQL. Both go to the agency as one statement. Consent should cost at most
//! 5 % more; the bench says how much, and fails where the two answers differ or either is not one statement.

#![allow(clippy::expect_used, missing_debug_implementations, reason = "a benchmark stops where it fails")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use wayleave::config::Config;
use wayleave::engine::Engine;
use wayleave::session::{Identity, Session};

const PERSONS: u32 = 200_000;
const ROUNDS: usize = 41;

/// What an asker writes for each register's rule, and the queries, `@` where that goes.
const DISSENT: &str = "NOT EXISTS (SELECT 1 FROM health.main.dissents d WHERE d.nhs_number = p.nhs_number)";
const DECISIONS: &str = "NOT EXISTS (SELECT 1 FROM health.main.consents c \
                         WHERE c.nhs_number = p.nhs_number AND (c.status = 'refused' OR c.status IS NULL))";
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

/// NHS numbers in order: nine digits and the one that checks them.
fn nhs_numbers() -> impl Iterator<Item = String> {
    (400_000_000_u32..).filter_map(|first| {
        let digits = first.to_string();
        let weighted: u32 =
            digits.bytes().map(|digit| u32::from(digit - b'0')).zip((2..=10).rev()).map(|(a, b)| a * b).sum();
        let check = (11 - weighted % 11) % 11;
        (check < 10).then(|| format!("{digits}{check}"))
    })
}

fn write_world(directory: &Path) {
    let mut database = rusqlite::Connection::open(directory.join("health.db")).expect("a database");
    let rows = database.transaction().expect("a transaction");
    rows.execute_batch(
        "CREATE TABLE patients (nhs_number TEXT, name TEXT, born INTEGER, gp_practice TEXT);\
         CREATE TABLE dissents (nhs_number TEXT); CREATE TABLE consents (nhs_number TEXT, status TEXT);",
    )
    .expect("tables");
    {
        let mut prepared = ["patients VALUES (?, ?, ?, ?)", "dissents VALUES (?)", "consents VALUES (?, ?)"]
            .map(|into| rows.prepare(&format!("INSERT INTO {into}")).expect("a statement"));
        let [patient, dissent, decision] = &mut prepared;
        for (person, key) in (0..PERSONS).zip(nhs_numbers()) {
            let name = format!("Name {person}");
            let practice = format!("GP {:02}", person % 40);
            patient.execute((&key, name, 1930 + person % 90, practice)).expect("a row");
            if person % 20 == 3 {
                dissent.execute([&key]).expect("a row");
            }
            let status = if person % 25 == 4 { "refused" } else { "granted" };
            decision.execute((&key, status)).expect("a row");
        }
    }
    rows.execute_batch(
        "CREATE INDEX patients_practice ON patients (gp_practice); CREATE INDEX dissents_key ON dissents (nhs_number);\
         CREATE INDEX consents_key ON consents (nhs_number); ANALYZE;",
    )
    .expect("indexes");
    rows.commit().expect("a database");
    let subject = "subject = { column = \"nhs_number\", scheme = \"nhs-number\", form = \"compact\", assured = true }";
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

fn main() {
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
            let by_hand = (session("hand"), written);
            let by_policy = (session(register), asked);
            let told = |(session, sql): &(Session, String)| {
                let (batches, fragments) = runtime.block_on(rows(&engine, session, sql));
                assert_eq!(fragments, 1, "{sql} is not one statement");
                pretty_format_batches(&batches).expect("text").to_string()
            };
            assert_eq!(told(&by_policy), told(&by_hand), "{register} {shape}");
            // In turns, so that what else the machine does meets both.
            let (mut hand, mut policy) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                for (times, (session, sql)) in [(&mut hand, &by_hand), (&mut policy, &by_policy)] {
                    let started = Instant::now();
                    runtime.block_on(rows(&engine, session, sql));
                    times.push(started.elapsed());
                }
            }
            let (hand, policy) = (median(hand), median(policy));
            println!(
                "{register}, {shape}: by hand {hand:.2?}, consent {policy:.2?}: {:.3}",
                policy.as_secs_f64() / hand.as_secs_f64()
            );
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
