//! Attempts to get at what is withheld, each proven futile by non-interference: in a twin world, which differs only in what
//! the session may not see, the same query must have the same answer, error, notices and plan.
//!
//! Cases are `tests/adversarial/cases/*.toml`, twins `tests/adversarial/twins.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wayleave::error::Error;
use wayleave::session::Session;
use wayleave_connector_api::Audience;

use crate::harness::{Backend, World};

/// What no session may ever be told, whatever it asks.
const NEVER: [&str; 6] = ["postgres://", "password", "wayleave-world-", ".db", "127.0.0.1", "a key of the tests"];

/// What stands for an outcome in which nothing was asked of a plan.
const NO_PLAN: &str = "";

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
struct Told {
    outcome: Outcome,
    plan: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Rows { rows: Vec<Vec<String>>, notices: Vec<String> },
    Refused { code: String, text: String },
}

impl Told {
    fn text(&self) -> String {
        let mut text = String::new();
        match &self.outcome {
            Outcome::Rows { rows, notices } => {
                for row in rows {
                    let _ = writeln!(text, "{row:?}");
                }
                for notice in notices {
                    let _ = writeln!(text, "notice: {notice}");
                }
            }
            Outcome::Refused { code, text: refusal } => {
                let _ = writeln!(text, "refused ({code}): {refusal}");
            }
        }
        if !self.plan.is_empty() {
            let _ = writeln!(text, "plan:\n{}", self.plan);
        }
        text
    }
}

fn refused(error: &Error) -> Outcome {
    let text = format!("{error}\n{}\n{}", error.detail().unwrap_or_default(), error.hint().unwrap_or_default());
    Outcome::Refused { code: error.code().to_owned(), text }
}

async fn told(world: &World, session: &Session, sql: &str) -> Told {
    let outcome = match world.answer(session, sql).await {
        Ok((mut rows, notices, _)) => {
            if !sql.to_ascii_lowercase().contains("order by") && !is_explain(sql) {
                rows.sort();
            }
            Outcome::Rows { rows, notices }
        }
        Err(error) => refused(&error),
    };
    let plan = if is_explain(sql) {
        NO_PLAN.to_owned()
    } else {
        match world.engine.explain(session, sql, Audience::Asker).await {
            Ok(plan) => plan,
            Err(error) => format!("{:?}", refused(&error)),
        }
    };
    Told { outcome, plan }
}

fn is_explain(sql: &str) -> bool {
    sql.trim_start().to_ascii_uppercase().starts_with("EXPLAIN")
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

async fn twin_world(backend: Backend, twin: &Twin) -> World {
    let world = World::new(backend).await;
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
    match (&told.outcome, &case.rows, &case.error) {
        (Outcome::Rows { rows, .. }, Some(wanted), _) if rows != wanted => {
            faults.push(format!("expected {wanted:?}"));
        }
        (Outcome::Rows { .. }, _, Some(code)) => faults.push(format!("expected the refusal `{code}`")),
        (Outcome::Refused { .. }, Some(wanted), _) => faults.push(format!("expected {wanted:?}")),
        (Outcome::Refused { code, .. }, _, Some(wanted)) if code != wanted => {
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

async fn attack(backend: Backend) {
    let mut by_session: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in cases() {
        by_session.entry(case.session.clone()).or_default().push(case);
    }
    let count: usize = by_session.values().map(Vec::len).sum();
    assert!(count >= 60, "{count} cases");
    let base = World::new(backend).await;
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
            let world = twin_world(backend, twin).await;
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
    attack(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_withheld_is_told_on_postgres() {
    attack(Backend::Postgres).await;
}
