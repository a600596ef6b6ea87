//! Attempts to get at what is withheld, each proven futile by non-interference: in a twin world, which differs only in what
//! the session may not see, the same query must have the same answer, error, notices and plan.
//!
//! Cases are `tests/adversarial/cases/*.toml`, twins `tests/adversarial/twins.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use wayleave::session::Session;

use crate::differential::disclosing_all_keys_as_pseudonyms;
use crate::harness::{Backend, World};

/// What no session may ever be told, whatever it asks.
const NEVER: [&str; 6] = ["postgres://", "password", "wayleave-world-", ".db", "127.0.0.1", "a key of the tests"];

/// Aliases that DataFusion numbers.
const ALIASES: [&str; 3] = ["__common_expr_", "__correlated_sq_", "__scalar_sq_"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    case: Vec<Case>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    session: String,
    sql: String,
    /// The answer, its rows sorted unless the SQL orders them.
    rows: Option<Vec<Vec<String>>>,
    /// The code of the refusal.
    error: Option<String>,
    /// Words that may not be told, beside the session's own.
    #[serde(default)]
    never: Vec<String>,
    /// Another SQL, a name in this one and the name in that one: the errors may differ in the name alone.
    like: Option<[String; 3]>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TwinFile {
    twin: Vec<Twin>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Twin {
    session: String,
    name: String,
    #[serde(default)]
    never: Vec<String>,
    health: Option<String>,
    social: Option<String>,
    housing: Option<String>,
    police: Option<String>,
}

/// All that a session is told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Rows { rows: Vec<Vec<String>>, notices: Vec<String> },
    Refused { code: String, text: String },
}

impl Told {
    fn text(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Rows { rows, notices } => {
                for row in rows {
                    let _ = writeln!(text, "{}", row.join(" | "));
                }
                for notice in notices {
                    let _ = writeln!(text, "notice: {notice}");
                }
            }
            Self::Refused { code, text: refusal } => {
                let _ = writeln!(text, "refused ({code}): {refusal}");
            }
        }
        text
    }
}

async fn told(world: &World, session: &Session, sql: &str) -> Told {
    match world.answer(session, sql).await {
        Ok((rows, notices, _)) => {
            let mut rows: Vec<Vec<String>> =
                rows.into_iter().map(|row| row.iter().map(|value| settled(value)).collect()).collect();
            // A plan's lines and what the SQL orders come in their order.
            let upper = sql.trim_start().to_ascii_uppercase();
            if !upper.contains("ORDER BY") && !upper.starts_with("EXPLAIN") {
                rows.sort();
            }
            Told::Rows { rows, notices }
        }
        Err(error) => {
            let text = format!("{error}\n{}\n{}", error.detail().unwrap_or_default(), error.hint().unwrap_or_default());
            Told::Refused { code: error.code().to_owned(), text: settled(&text) }
        }
    }
}

/// A text without what differs between any two runs of DataFusion: the numbers of its aliases, and which functions it
/// thinks an unknown name might have meant.
fn settled(text: &str) -> String {
    let text = match text.find("Did you mean") {
        Some(place) => format!("{}{}", &text[..place], text[place..].split_once('?').map_or("", |(_, rest)| rest)),
        None => text.to_owned(),
    };
    let mut settled = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(place) = ALIASES.iter().filter_map(|alias| Some(rest.find(alias)? + alias.len())).min() {
        settled.push_str(&rest[..place]);
        settled.push('N');
        rest = rest[place..].trim_start_matches(|digit: char| digit.is_ascii_digit());
    }
    settled.push_str(rest);
    settled
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adversarial")
}

fn cases() -> Vec<Case> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory().join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let read: CaseFile = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        cases.extend(read.case);
    }
    cases
}

fn twins() -> Vec<Twin> {
    let text = std::fs::read_to_string(directory().join("twins.toml")).unwrap();
    let read: TwinFile = toml::from_str(&text).unwrap_or_else(|error| panic!("twins.toml: {error}"));
    read.twin
}

async fn twin_world(backend: Backend, twin: &Twin, policies: fn(&Path)) -> World {
    let world = World::with_policies(backend, policies).await;
    let edits =
        [("health", &twin.health), ("social", &twin.social), ("housing", &twin.housing), ("police", &twin.police)];
    for (agency, sql) in edits {
        if let Some(sql) = sql {
            world.agency_execute(agency, sql).await;
        }
    }
    world
}

/// What is wrong with what the session was told, seen on its own.
fn faults(case: &Case, told: &Told, never: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    match (told, &case.rows, &case.error) {
        (Told::Rows { rows, .. }, Some(wanted), _) if rows != wanted => {
            faults.push(format!("expected {wanted:?}"));
        }
        (Told::Rows { .. }, _, Some(code)) => faults.push(format!("expected the refusal `{code}`")),
        (Told::Refused { .. }, Some(wanted), _) => faults.push(format!("expected {wanted:?}")),
        (Told::Refused { code, .. }, _, Some(wanted)) if code != wanted => {
            faults.push(format!("expected the refusal `{wanted}`"));
        }
        _ => {}
    }
    let text = told.text();
    for word in
        NEVER.iter().copied().chain(never.iter().map(String::as_str)).chain(case.never.iter().map(String::as_str))
    {
        if text.contains(word) && !case.sql.contains(word) {
            faults.push(format!("tells of {word:?}"));
        }
    }
    faults
}

async fn attack(backend: Backend, policies: fn(&Path)) {
    let mut by_session: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in cases() {
        by_session.entry(case.session.clone()).or_default().push(case);
    }
    let count: usize = by_session.values().map(Vec::len).sum();
    assert!(count >= 60, "{count} cases");
    let base = World::with_policies(backend, policies).await;
    let mut failures = Vec::new();
    let mut comparisons = 0;
    for (name, cases) in &by_session {
        let session = base.session(name);
        let twins: Vec<Twin> = twins().into_iter().filter(|twin| twin.session == *name).collect();
        let never: Vec<String> = twins.iter().flat_map(|twin| twin.never.clone()).collect();
        let mut answers = Vec::with_capacity(cases.len());
        for case in cases {
            let told = told(&base, &session, &case.sql).await;
            for fault in faults(case, &told, &never) {
                failures.push(format!("{}: {fault}\n  {}\n{}", case.name, case.sql, told.text()));
            }
            if let Some([sql, here, there]) = &case.like {
                let other = self::told(&base, &session, sql).await;
                if told.text().replace(here, "…") != other.text().replace(there, "…") {
                    failures.push(format!("{}: can be told apart\n{}\n{}", case.name, told.text(), other.text()));
                }
            }
            if std::env::var_os("WAYLEAVE_SHOW").is_some() {
                println!("== {} [{name}]\n{}\n{}", case.name, case.sql, told.text());
            }
            answers.push(told);
        }
        for twin in &twins {
            let world = twin_world(backend, twin, policies).await;
            for (case, answer) in cases.iter().zip(&answers) {
                comparisons += 1;
                let other = told(&world, &session, &case.sql).await;
                if other != *answer {
                    let texts = format!("{}\n  in the twin:\n{}", answer.text(), other.text());
                    failures.push(format!("{}: twin {:?} differs\n  {}\n{texts}", case.name, twin.name, case.sql));
                }
            }
        }
    }
    println!("{}: {count} cases, {comparisons} comparisons with twins", backend.name());
    assert!(failures.is_empty(), "{} failures on {}:\n\n{}", failures.len(), backend.name(), failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_withheld_is_told_on_sqlite() {
    attack(Backend::Sqlite, |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_withheld_is_told_on_postgres() {
    attack(Backend::Postgres, |_| {}).await;
}

/// The same where every agency discloses its keys to every other as pseudonyms.
#[tokio::test(flavor = "multi_thread")]
async fn pseudonyms_tell_nothing_that_is_withheld() {
    for backend in Backend::ALL {
        attack(backend, disclosing_all_keys_as_pseudonyms).await;
    }
}

#[test]
fn numbered_aliases_are_settled() {
    assert_eq!(settled("__common_expr_46 + __correlated_sq_7.x"), "__common_expr_N + __correlated_sq_N.x");
    assert_eq!(settled("Invalid function 'f'.\nDid you mean 'power'?\nno"), "Invalid function 'f'.\n\nno");
}

/// A statement of any depth has an answer or a refusal: it may not take the process down.
#[tokio::test(flavor = "multi_thread")]
async fn deep_and_long_statements_are_answered_or_refused() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let session = world.session("social_worker");
        let or = |count: usize| {
            let parts: Vec<String> = (0..count).map(|n| format!("name = 'n{n}' OR postcode LIKE '%{n}'")).collect();
            format!("SELECT count(*) FROM health.main.patients WHERE {}", parts.join(" OR "))
        };
        let statements = [
            format!("SELECT {}1{}", "(".repeat(3_000), ")".repeat(3_000)),
            format!("SELECT {}TRUE", "NOT ".repeat(3_000)),
            format!("SELECT {}1", "- ".repeat(3_000)),
            format!("SELECT 1{}", " + 1".repeat(5_000)),
            format!("SELECT {}1{}", "abs(".repeat(2_000), ")".repeat(2_000)),
            format!("SELECT {}1{}", "CASE WHEN TRUE THEN ".repeat(1_000), " END".repeat(1_000)),
            format!("SELECT * FROM {}health.main.patients{}", "(SELECT * FROM ".repeat(500), ")".repeat(500)),
            format!("SELECT count(*) FROM health.main.patients WHERE {}", vec!["name <> 'x'"; 5_000].join(" AND ")),
            or(5_000),
            format!(
                "SELECT count(*) FROM health.main.patients WHERE name IN ({})",
                (0..50_000).map(|n| format!("'n{n}'")).collect::<Vec<_>>().join(",")
            ),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(1_500)),
            format!("SELECT '{}'", "x".repeat(1_000_000)),
            format!("SELECT 1 AS \"{}\"", "x".repeat(100_000)),
            format!("SELECT * FROM health.main.\"{}\"", "x".repeat(100_000)),
            "(".repeat(100_000),
            "SELECT ".repeat(10_000),
        ];
        let wanted = [["0"]];
        for (number, sql) in statements.iter().enumerate() {
            let answer = world.rows(&session, sql).await;
            if let (8, Ok(rows)) | (9, Ok(rows)) = (number, &answer) {
                assert!(number == 8 || rows == &wanted, "{backend:?}: statement {number}: {rows:?}");
            }
        }
        // The engine still answers.
        let rows = world.rows(&session, "SELECT name FROM health.main.patients WHERE patient_id = 105").await.unwrap();
        assert_eq!(rows, [["O'Brien, Siân"]]);
    }
}

/// What a session says of itself is text and no more, in whatever it ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_cannot_be_written_into_sql() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let sql = "SELECT patient_id FROM health.main.patients WHERE patient_id IN (103, 104, 128)";
        let hostile = "x' OR '1'='1' --\n\"; DROP TABLE main.patients; \0 \u{202e}";
        let honest = world.session("social_worker");
        let strangers = [
            Session { purpose: hostile.to_owned(), ..honest.clone() },
            Session { organisation: hostile.to_owned(), ..honest.clone() },
            Session { role: hostile.to_owned(), ..honest.clone() },
            Session { purpose: "*".to_owned(), ..honest.clone() },
            Session { organisation: "*".to_owned(), ..honest.clone() },
            Session { role: String::new(), ..honest.clone() },
            Session { purpose: "joint-needs-assessment ".to_owned(), ..honest.clone() },
            Session { purpose: "JOINT-NEEDS-ASSESSMENT".to_owned(), ..honest.clone() },
        ];
        for stranger in strangers {
            let refusal = world.rows(&stranger, sql).await.unwrap_err();
            assert_eq!(refusal.code(), "table-not-released", "{stranger:?}");
        }
        let odd = Session {
            user: hostile.to_owned(),
            case_reference: Some(hostile.to_owned()),
            reason: Some(hostile.to_owned()),
            ..honest
        };
        assert!(world.rows(&odd, sql).await.unwrap().is_empty());
        wayleave::audit::verify(&world.audit_directory()).unwrap();
    }
}

/// Numbers on the way of an answer are told to the asker as it runs: they may count nothing that is withheld.
#[tokio::test(flavor = "multi_thread")]
async fn progress_does_not_tell_who_has_refused() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let session = world.session("coordinator");
        let mut told = Vec::new();
        // The first has dissented in the police's register; nobody has the second number.
        for key in ["9010001016", "9990000018"] {
            let sql = format!("SELECT name FROM health.main.patients WHERE nhs_number = '{key}'");
            let answer = world.engine.query(&session, &sql).await.unwrap();
            let progress = std::sync::Arc::clone(&answer.progress);
            assert!(crate::harness::rows_of(answer).await.unwrap().is_empty());
            told.push(progress.returned());
        }
        assert_eq!(told[0], told[1], "{backend:?}");
    }
}
