//! An agency that drops files into a folder, under the same policies as any other.

use std::fs;
use std::path::Path;

use chrono::NaiveDate;
use tempfile::TempDir;
use wayleave::config::Config;
use wayleave::engine::Engine;
use wayleave::federate::PushdownLevel;
use wayleave::policy::Clock;
use wayleave::session::{Identity, Session};

use crate::harness::rows_of;

const CONFIG: &str = r#"
policies = "policies"
[audit]
directory = "audit"
[agency.health]
connector = "files"
path = "drop"
csv_delimiter = ";"
[agency.health.tables."files.patients"]
subject = { column = "nhs_number", scheme = "nhs-number", form = "spaced" }
[agency.social]
connector = "sqlite"
path = "social.db"
[agency.social.tables."main.clients"]
subject = { column = "nhs_number", scheme = "nhs-number", form = "compact" }
"#;

const REGISTER: &str = r#"
[register.shared-care]
table = "health.files.consents"
kind = "decisions"
subject = { column = "nhs_number", scheme = "nhs-number", form = "hyphenated" }
purpose = { column = "purpose", codes = { care = ["direct_care"] } }
recipient = { column = "recipient", codes = { torbay-asc = ["TASC"] } }
decision = { column = "status", permit = ["granted"], deny = ["refused"] }
from = "valid_from"
until = "valid_to"
"#;

const AGREEMENT: &str = r#"
[agreement]
id = "TEST-FILES"
title = "Care"
owner = "dpo@torbay.example"
starts = 2026-04-01
ends = 2027-03-31
review_by = 2026-12-31
[basis]
purpose = "care"
article_6 = "e"
article_9 = "h"
[[recipient]]
organisation = "torbay-asc"
roles = ["social-worker"]
[consent]
mode = "opt-in"
registers = ["shared-care"]
no_information = "deny"
[[share]]
table = "health.files.patients"
columns = ["patient_id", "nhs_number", "born"]
rows = "NOT deceased"
mask.born = "year"
disclose_keys_to = ["social"]
[[share]]
table = "social.main.clients"
columns = ["client_id", "nhs_number"]
disclose_keys_to = ["health"]
"#;

const PATIENTS: &str = "patient_id;nhs_number;born;deceased;note\n\
    101;943 476 5919;1950-05-01;false;\"a; secret\"\n\
    102;987 654 3210;1961-06-02;false;\n\
    103;915 000 0152;1972-07-03;false;\n\
    104;917 000 0174;1983-08-04;true;\n";

/// Persons 102 and 104 agree; 101 did once, and 103 refuses.
const CONSENTS: &str = r#"{"nhs_number": "987-654-3210", "purpose": "direct_care", "recipient": "TASC", "status": "granted", "valid_from": "2026-01-01", "valid_to": null}
{"nhs_number": "917-000-0174", "purpose": "direct_care", "recipient": "TASC", "status": "granted", "valid_from": "2026-01-01", "valid_to": null}
{"nhs_number": "943-476-5919", "purpose": "direct_care", "recipient": "TASC", "status": "granted", "valid_from": "2025-01-01", "valid_to": "2025-12-31"}
{"nhs_number": "915-000-0152", "purpose": "direct_care", "recipient": "TASC", "status": "refused", "valid_from": "2026-01-01", "valid_to": null}
"#;

fn world() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("wayleave.toml", CONFIG);
    write("policies/purposes.toml", "[purpose.care]\ntitle = \"Care\"\n");
    write("policies/registers.toml", REGISTER);
    write("policies/agreements/care.toml", AGREEMENT);
    write("drop/patients.csv", PATIENTS);
    write("drop/consents.jsonl", CONSENTS);
    fs::create_dir(directory.path().join("audit")).unwrap();
    let social = rusqlite::Connection::open(directory.path().join("social.db")).unwrap();
    social
        .execute_batch(
            "CREATE TABLE clients (client_id TEXT, nhs_number TEXT); INSERT INTO clients VALUES \
             ('C1', '9434765919'), ('C2', '9876543210'), ('C3', '9150000152'), ('C4', '9170000174'), ('C5', NULL)",
        )
        .unwrap();
    directory
}

async fn open(root: &Path, level: PushdownLevel) -> Engine {
    let config = Config::load(&root.join("wayleave.toml")).unwrap();
    let today = NaiveDate::from_ymd_opt(2026, 7, 1).unwrap();
    Engine::with_clock(config, Clock::Fixed(today)).await.unwrap().with_pushdown(level)
}

fn session() -> Session {
    Session::new(Identity::parse("sam@torbay-asc/social-worker").unwrap(), "care".to_owned())
}

async fn rows(engine: &Engine, sql: &str) -> Vec<String> {
    let answer =
        engine.query(&session(), sql).await.unwrap_or_else(|error| panic!("{sql}: {error} {:?}", error.detail()));
    rows_of(answer).await.unwrap().into_iter().map(|row| row.join("|")).collect()
}

const PATIENTS_RELEASED: &str = "SELECT patient_id, nhs_number, born FROM health.files.patients ORDER BY patient_id";

const JOINED: &str = "SELECT p.patient_id, c.client_id FROM health.files.patients p JOIN social.main.clients c \
    ON p.nhs_number = c.nhs_number ORDER BY 1";

#[tokio::test]
async fn files_are_released_by_the_consent_that_other_files_hold() {
    for level in [PushdownLevel::Full, PushdownLevel::ReleasedRelations] {
        let directory = world();
        let engine = open(directory.path(), level).await;
        assert_eq!(rows(&engine, PATIENTS_RELEASED).await, ["102|9876543210|1961"], "{level:?}");
        assert_eq!(rows(&engine, JOINED).await, ["102|C2"], "{level:?}");
        assert_eq!(rows(&engine, "SELECT count(*) FROM health.files.patients").await, ["1"], "{level:?}");
        // The register is in a file of its own: another in its place counts from the next query on.
        let decided = CONSENTS.replacen("granted", "refused", 1);
        let drop = directory.path().join("drop");
        fs::write(drop.join("_new"), decided).unwrap();
        fs::rename(drop.join("_new"), drop.join("consents.jsonl")).unwrap();
        assert_eq!(rows(&engine, PATIENTS_RELEASED).await, [""; 0], "{level:?}");
        assert_eq!(rows(&engine, JOINED).await, [""; 0], "{level:?}");
    }
}

#[tokio::test]
async fn a_broken_file_fails_the_query_and_tells_no_value() {
    let directory = world();
    let engine = open(directory.path(), PushdownLevel::Full).await;
    let consents = directory.path().join("drop/consents.jsonl");
    fs::write(&consents, format!("{CONSENTS}{{\"nhs_number\": hunter2\n")).unwrap();
    let error = match engine.query(&session(), PATIENTS_RELEASED).await {
        Ok(answer) => rows_of(answer).await.unwrap_err(),
        Err(error) => error,
    };
    let told = format!("{error} {:?}", error.detail());
    assert!(told.contains("`consents.jsonl` cannot be read as JSON lines") && !told.contains("hunter2"), "{told}");
    fs::remove_file(&consents).unwrap();
    let gone = engine.query(&session(), PATIENTS_RELEASED).await;
    assert!(gone.is_err(), "a register that is gone permits nobody");
}
