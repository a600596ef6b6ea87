//! The differential certificate: made-up worlds, policies and queries, each answered four ways.
//!
//! A world (`worlds`) has agencies on SQLite, PostgreSQL, MariaDB and SQL Server with nasty values in them; a policy (`policies`)
//! says what is shared; a query (`queries`, `scalars`) asks. The answer with everything pushed down, the answer with the released
//! relations alone, the oracle's over rows that a reading of the policy lets through (`release`, `oracle`) and, where the SQL
//! means the same there, the source's own (`portable`) must agree (`judge`). What does not is shrunk to a minimal case
//! (`shrink`), which goes to `tests/certificate` and is replayed with every run. `tests/certify` runs as many as one likes.

mod case;
pub mod chance;
mod judge;
mod kind;
mod oracle;
mod policies;
mod portable;
mod queries;
mod reductions;
mod release;
mod run;
mod scalars;
mod shrink;
mod stage;
mod worlds;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use arrow::datatypes::Schema;
use case::{Case, Connector, World};
use judge::{Asked, Verdict, compare, judge};
use oracle::Answer;
use release::{Released, released};
use run::{Settings, certify};
use stage::Stage;

const QUERIES: u64 = 2_000;
const SEED: u64 = 20_260_601;

#[test]
fn made_up_queries_have_one_answer_however_they_are_answered() {
    let settings = Settings::from_environment(QUERIES, SEED);
    let (queries, has_all) = (settings.queries, settings.connectors == Connector::ALL);
    let report = certify(settings);
    let summary = report.counts.told(queries, report.took);
    println!("{summary}");
    for (kind, (times, first)) in &report.refusals {
        println!("refused {times} times: {kind}\n  {first}");
    }
    let told: Vec<String> = report
        .findings
        .iter()
        .map(|(kind, found)| {
            let case = found.case.as_ref().map(|shrunk| shrunk.case().write()).unwrap_or_default();
            format!("{} ({} times, {kind})\n{case}", found.place, found.times)
        })
        .collect();
    assert!(told.is_empty(), "{} kinds of differences:\n\n{}\n{summary}", told.len(), told.join("\n\n"));
    // A generator of queries that answer nothing would prove nothing.
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    if queries >= QUERIES {
        assert!(count(&report.counts.answered) * 10 > queries * 8, "{summary}");
        assert!(count(&report.counts.empty) * 2 < queries, "{summary}");
        // MariaDB and SQL Server give no answer of their own.
        assert!(!has_all || count(&report.counts.source) * 25 > queries, "{summary}");
    }
}

fn case_files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificate");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no case files");
    files
}

#[tokio::test]
async fn every_case_file_has_its_expected_answer() {
    let mut failures = Vec::new();
    for file in case_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let case = Case::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if let Err(why) = replay(&case).await {
            failures.push(format!("{}: {}\n{why}", file.display(), case.query));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

async fn replay(case: &Case) -> Result<(), String> {
    let stage = Stage::build(&case.world, released).await?;
    let verdict = judge(&stage, &case.query, Asked::Everybody).await;
    stage.end().await;
    match verdict {
        Verdict::Agree { answer, .. } if !case.fails => {
            let rows = case.expected.iter().map(|row| row.iter().map(|cell| cell.text().map(str::to_owned)).collect());
            let schema: &Schema = answer.schema.as_ref();
            let expected = Answer { schema: schema.clone().into(), rows: rows.collect() };
            let ordered = case.query.to_uppercase().contains("ORDER BY");
            compare(judge::Side::Local, &answer, &expected, ordered).map_or(Ok(()), |finding| Err(finding.told))
        }
        Verdict::Refused(_) if case.fails => Ok(()),
        Verdict::Differ { findings, .. } => Err(findings
            .iter()
            .map(|finding| format!("{:?} {:?}: {}", finding.side, finding.difference, finding.told))
            .collect::<Vec<_>>()
            .join("\n")),
        other => Err(format!("{other:?}")),
    }
}

/// A reading of the policy that forgets row filters.
fn forgetting_row_filters(world: &World) -> Vec<Released> {
    let mut world = world.clone();
    for agreement in &mut world.agreement {
        for share in &mut agreement.share {
            share.rows = None;
        }
    }
    released(&world)
}

#[tokio::test]
async fn a_wrong_reading_is_found_and_shrunk_to_a_few_rows() {
    // A world in which some filter keeps rows of a table back.
    let (world, table) = (0..)
        .find_map(|seed| {
            let world = worlds::world(seed);
            let pairs = released(&world).into_iter().zip(forgetting_row_filters(&world));
            let table = pairs.into_iter().find(|(right, wrong)| right.rows.len() < wrong.rows.len())?.0;
            Some((world, table))
        })
        .unwrap();
    let name = format!("{}.{}.{}", table.agency, stage::quoted(&table.schema), stage::quoted(&table.table));
    let unique = stage::quoted(table.unique.as_ref().unwrap());
    let query = format!(
        "SELECT x.{unique} AS o0, count(*) AS o1, max(y.{unique} + 1) AS o2 FROM {name} AS x JOIN {name} AS y \
         ON x.{unique} = y.{unique} WHERE x.{unique} IS NOT NULL AND (y.{unique} > -5 OR y.{unique} = -7) \
         GROUP BY x.{unique} ORDER BY o0 DESC, o1, o2 LIMIT 100"
    );
    let stage = Stage::build(&world, forgetting_row_filters).await.unwrap();
    let verdict = judge(&stage, &query, Asked::Everybody).await;
    stage.end().await;
    let Verdict::Differ { mut findings, expected } = verdict else { panic!("{verdict:?}") };
    let found = shrink::shrink(&world, &query, findings.swap_remove(0), expected, forgetting_row_filters).await;
    let case = found.case();
    assert_eq!(Case::parse(&case.write()).unwrap(), case);
    // One table, its filter, and a row that the filter keeps back.
    let tables: Vec<_> = case.world.agency.iter().flat_map(|agency| &agency.table).collect();
    assert_eq!(tables.len(), 1, "{}", case.write());
    assert_eq!(tables[0].rows.len(), 1, "{}", case.write());
    assert!(case.world.register.is_empty() && case.world.agreement[0].consent.is_none(), "{}", case.write());
    assert!(case.world.agreement[0].share[0].rows.is_some(), "{}", case.write());
    let reduced = ["JOIN", "WHERE", "GROUP", "ORDER", "LIMIT"].iter().all(|word| !case.query.contains(word));
    assert!(reduced, "{}", case.query);
}

#[test]
fn most_released_tables_have_rows() {
    let tables: Vec<Released> = (0..40).flat_map(|seed| released(&worlds::world(seed))).collect();
    let rows: Vec<usize> = tables.iter().map(|table| table.rows.len()).collect();
    let empty = rows.iter().filter(|count| **count == 0).count();
    assert!(empty * 5 < tables.len(), "{empty} of {} tables release nothing: {rows:?}", tables.len());
}
