//! Every answer must equal the same SQL over hand-filtered tables in memory.
//!
//! The oracle is a plain DataFusion session that knows nothing of Wayleave: the seed's own statements make its raw tables,
//! and `tests/seed/hand-filtered/<session>.sql` says, row by row, what that session may see of them. The engine must agree
//! with it, on both backends and at both levels of pushdown, over every case of `tests/slt` and over generated queries.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::DFParser;
use wayleave::engine::{as_meant, physical_rules_as_meant};
use wayleave::federate::PushdownLevel;
use wayleave::session::Session;

use crate::generator::{self, Generator, Table};
use crate::harness::{Backend, World, seed_directory, session, text_rows};
use crate::slt::case_queries;

const AGENCIES: [&str; 4] = ["health", "social", "housing", "police"];

/// Case files whose answers are no function of the hand-filtered tables alone.
const NOT_OVER_TABLES: [(&str, &str); 7] = [
    ("information_schema", "it lists what a session may name, which the oracle does not decide"),
    ("explain", "its text is our own"),
    ("explain_analyze", "its text is our own"),
    ("explain_tree", "its text is our own"),
    ("short_names", "they are our own, and the oracle has full names alone"),
    ("unified_clients", "the view is defined in our configuration"),
    ("output_rules", "suppression and rounding happen above the tables, and pseudonyms have a key"),
];

/// How many queries are generated for each session, and from where. `DIFFERENTIAL_QUERIES` and `DIFFERENTIAL_SEED` ask for others.
const GENERATED: u64 = 160;
const SEED: u64 = 20_260_601;

fn from_environment(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// A session's hand-filtered tables; `None` where nobody has written them down.
async fn oracle(name: &str) -> Option<SessionContext> {
    let filtered = std::fs::read_to_string(seed_directory().join(format!("hand-filtered/{name}.sql"))).ok()?;
    let mut config = SessionConfig::new();
    // SQL has to mean the same to both.
    config.options_mut().sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    config.options_mut().sql_parser.parse_float_as_decimal = true;
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let state = SessionStateBuilder::new_with_default_features().with_config(config);
    let state = state.with_physical_optimizer_rules(physical_rules_as_meant()).build();
    let context = SessionContext::new_with_state(state);
    let raw = Arc::new(MemoryCatalogProvider::new());
    for agency in AGENCIES {
        raw.register_schema(agency, Arc::new(MemorySchemaProvider::new())).unwrap();
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema("main", Arc::new(MemorySchemaProvider::new())).unwrap();
        context.register_catalog(agency, Arc::new(catalog));
    }
    context.register_catalog("raw", raw);
    for agency in AGENCIES {
        let seed = std::fs::read_to_string(seed_directory().join(format!("{agency}.sql"))).unwrap();
        let names = format!(" raw.{agency}.");
        run(&context, &seed.replace(" main.", &names).replace(" PRIMARY KEY", "")).await;
    }
    run(&context, &filtered).await;
    Some(context)
}

async fn run(context: &SessionContext, statements: &str) {
    for statement in DFParser::parse_sql(statements).unwrap() {
        let text = statement.to_string();
        if text.starts_with("CREATE INDEX") {
            continue;
        }
        let plan = context.state().statement_to_plan(statement).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        let frame = context.execute_logical_plan(plan).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        frame.collect().await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

/// The oracle's rows, or its error.
async fn expected(oracle: &SessionContext, sql: &str) -> Result<Vec<Vec<String>>, String> {
    let plan = oracle.state().create_logical_plan(sql).await.map_err(|error| error.strip_backtrace())?;
    let plan = as_meant(plan).map_err(|error| error.strip_backtrace())?;
    let frame = oracle.execute_logical_plan(plan).await.map_err(|error| error.strip_backtrace())?;
    let batches = frame.collect().await.map_err(|error| error.strip_backtrace())?;
    Ok(text_rows(&batches))
}

async fn worlds(edit: fn(&Path)) -> Vec<(String, World)> {
    let mut worlds = Vec::new();
    for backend in Backend::ALL {
        for level in [PushdownLevel::Full, PushdownLevel::ReleasedRelations] {
            worlds.push((format!("{backend:?}, {level:?}"), World::with_policies_at(backend, level, edit).await));
        }
    }
    worlds
}

fn as_they_are(_: &Path) {}

/// Lets every agency's keys go to every other, in every agreement: what is released stays the same, and how it is fetched
/// does not.
fn disclosing_all_keys(policies: &Path) {
    disclosing(policies, |others| format!("{others:?}"));
}

/// The same with pseudonyms in the keys' place.
pub fn disclosing_all_keys_as_pseudonyms(policies: &Path) {
    disclosing(policies, |others| {
        let entries: Vec<String> = others.iter().map(|agency| format!("{agency} = \"pseudonymised\"")).collect();
        format!("{{ {} }}", entries.join(", "))
    });
}

fn disclosing(policies: &Path, written: impl Fn(&[&str]) -> String) {
    for entry in std::fs::read_dir(policies.join("agreements")).unwrap() {
        let file = entry.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        let mut edited = String::new();
        for line in text.lines().filter(|line| !line.starts_with("disclose_keys_to")) {
            edited.push_str(line);
            edited.push('\n');
            if let Some(table) = line.strip_prefix("table = \"") {
                let others: Vec<&str> = AGENCIES.into_iter().filter(|agency| !table.starts_with(agency)).collect();
                edited.push_str(&format!("disclose_keys_to = {}\n", written(&others)));
            }
        }
        std::fs::write(file, edited).unwrap();
    }
}

/// Where a world's answer is not the oracle's, in words.
async fn differences(
    worlds: &[(String, World)],
    session: &Session,
    sql: &str,
    expected: &Result<Vec<Vec<String>>, String>,
    ordered: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for (name, world) in worlds {
        let told = match (world.rows(session, sql).await, expected) {
            (Ok(rows), Ok(expected)) => {
                let (mut rows, mut expected) = (rows, expected.clone());
                if !ordered {
                    rows.sort();
                    expected.sort();
                }
                if rows == expected {
                    continue;
                }
                format!("answers\n{}\n  where hand-filtered tables give\n{}", listed(&rows), listed(&expected))
            }
            (Err(_), Err(_)) => continue,
            (Err(error), Ok(_)) => format!("refuses: {error}"),
            (Ok(rows), Err(error)) => format!("answers {} rows where the oracle fails: {error}", rows.len()),
        };
        found.push(format!("  {name} {told}"));
    }
    found
}

fn listed(rows: &[Vec<String>]) -> String {
    let shown = rows.iter().take(40).map(|row| format!("    {}", row.join(" | "))).collect::<Vec<_>>();
    format!("{}\n    ({} rows)", shown.join("\n"), rows.len())
}

#[tokio::test]
async fn every_case_equals_the_same_sql_over_hand_filtered_tables() {
    let worlds = worlds(as_they_are).await;
    let mut oracles: BTreeMap<String, Option<SessionContext>> = BTreeMap::new();
    let (mut compared, mut failures) = (0, Vec::new());
    for case in case_queries() {
        if NOT_OVER_TABLES.iter().any(|(file, _)| *file == case.file) {
            continue;
        }
        // The text of a plan is our own.
        if case.sql.trim_start().to_ascii_uppercase().starts_with("EXPLAIN") {
            continue;
        }
        if !oracles.contains_key(&case.session) {
            oracles.insert(case.session.clone(), oracle(&case.session).await);
        }
        let Some(oracle) = &oracles[&case.session] else { continue };
        let expected = expected(oracle, &case.sql).await;
        let found = differences(&worlds, &session(&case.session), &case.sql, &expected, case.ordered).await;
        compared += 1;
        if let Err(error) = &expected {
            failures.push(format!("{}: the oracle fails: {error}", case.place));
        } else if !found.is_empty() {
            failures.push(format!("{} ({})\n{}\n{}", case.place, case.session, case.sql, found.join("\n")));
        }
    }
    assert!(compared > 100, "only {compared} cases");
    assert!(failures.is_empty(), "{} of {compared} cases differ:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// Compares generated queries of one session, and gives how many of them sent keys from one agency to another.
async fn compare_generated(name: &str, tables: &'static [Table], edit: fn(&Path)) -> usize {
    let worlds = worlds(edit).await;
    let oracle = oracle(name).await.unwrap();
    let session = session(name);
    let count = from_environment("DIFFERENTIAL_QUERIES", GENERATED);
    let first = from_environment("DIFFERENTIAL_SEED", SEED);
    let (mut refused, mut failures, mut empty, mut keyed) = (Vec::new(), Vec::new(), 0, 0);
    for seed in first..first + count {
        let query = Generator::new(tables, seed).query();
        let expected = expected(&oracle, &query.sql).await;
        match &expected {
            Err(error) => refused.push(format!("seed {seed}\n{}\n  {error}", query.sql)),
            Ok(rows) if rows.is_empty() => empty += 1,
            Ok(_) => {}
        }
        let found = differences(&worlds, &session, &query.sql, &expected, query.ordered).await;
        if !found.is_empty() {
            failures.push(format!("seed {seed}\n{}\n{}", query.sql, found.join("\n")));
        } else if expected.is_ok() {
            let (_, _, fragments) = worlds[0].1.answer(&session, &query.sql).await.unwrap();
            keyed += usize::from(fragments.iter().any(|fragment| !fragment.keys_from.is_empty()));
        }
    }
    assert!(failures.is_empty(), "{} of {count} differ:\n\n{}", failures.len(), failures.join("\n\n"));
    // A generator of queries that answer nothing would prove nothing.
    let few = usize::try_from(count / 50).unwrap();
    assert!(refused.len() <= few, "the oracle refuses {} of {count}:\n\n{}", refused.len(), refused.join("\n\n"));
    assert!(empty * 3 < count, "{empty} of {count} queries have an empty answer");
    keyed
}

#[tokio::test]
async fn generated_queries_under_consent_equal_the_same_sql_over_hand_filtered_tables() {
    let keyed = compare_generated("social_worker", generator::SOCIAL_WORKER, as_they_are).await;
    assert!(keyed > 3, "only {keyed} queries send keys");
}

#[tokio::test]
async fn generated_queries_that_send_keys_equal_the_same_sql_over_hand_filtered_tables() {
    let keyed = compare_generated("safeguarding_lead", generator::SAFEGUARDING_LEAD, disclosing_all_keys).await;
    assert!(keyed > 10, "only {keyed} queries send keys");
}

#[tokio::test]
async fn generated_queries_that_send_pseudonyms_equal_the_same_sql_over_hand_filtered_tables() {
    let keyed =
        compare_generated("safeguarding_lead", generator::SAFEGUARDING_LEAD, disclosing_all_keys_as_pseudonyms).await;
    assert!(keyed > 10, "only {keyed} queries send pseudonyms");
    let keyed = compare_generated("social_worker", generator::SOCIAL_WORKER, disclosing_all_keys_as_pseudonyms).await;
    assert!(keyed > 10, "only {keyed} queries send pseudonyms under consent");
}
