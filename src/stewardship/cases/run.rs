//! Running cases: each in a world of its own, by the engine that answers queries.

use chrono::NaiveDate;
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;

use super::coverage::Coverage;
use super::read::{ANY, Asked, Case, Expected, compared};
use super::world::{CaseTable, Row, World, here, policies_here};
use super::{CaseFile, CaseResult, Rehearsal};
use crate::engine::Engine;
use crate::error::Error;
use crate::policy::Clock;
use crate::policy::files::PolicySet;

/// Runs every case of these files against a policy set.
///
/// # Errors
/// A throw-away world that cannot be made; what a case finds is in its result.
pub async fn rehearse(set: &PolicySet, files: &[CaseFile]) -> Result<Rehearsal, Error> {
    let policies = policies_here(set);
    let mut coverage = Coverage::of(set);
    let mut cases = Vec::new();
    for file in files {
        for case in &file.cases {
            let tables = with_additions(&file.tables, case);
            let world = World::make(set, &tables)?;
            let engine = open(&world, policies.clone(), case.on).await?;
            let answer = answer(&engine, case, &tables).await;
            let failures = compare(&case.expected, &answer);
            if failures.is_empty() {
                coverage.tried_by(&engine, case, &tables, &answer).await?;
            }
            cases.push(CaseResult { file: file.file.clone(), line: case.line, name: case.name.clone(), failures });
        }
    }
    Ok(Rehearsal { cases, coverage: coverage.finish() })
}

async fn open(world: &World, policies: PolicySet, on: NaiveDate) -> Result<Engine, Error> {
    Engine::with_policies(world.config.clone(), policies, Clock::Fixed(on)).await
}

fn with_additions(tables: &[CaseTable], case: &Case) -> Vec<CaseTable> {
    let mut tables = tables.to_vec();
    for (name, rows) in &case.add {
        for table in tables.iter_mut().filter(|table| table.name == *name) {
            table.rows.extend(rows.iter().cloned());
        }
    }
    tables
}

/// Column names, and rows as text; `None` is NULL.
pub(super) struct Answered {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

async fn answer(engine: &Engine, case: &Case, tables: &[CaseTable]) -> Result<Answered, Error> {
    let sql = match &case.asked {
        Asked::Table(table) => {
            let table = here(table);
            let quoted =
                [&table.agency, &table.schema, &table.table].map(|part| format!("\"{}\"", part.replace('"', "\"\"")));
            format!("SELECT * FROM {}", quoted.join("."))
        }
        Asked::Query(sql) => tables
            .iter()
            .filter(|table| here(&table.name) != table.name)
            .fold(sql.clone(), |sql, table| sql.replace(&table.name.to_string(), &here(&table.name).to_string())),
    };
    let answer = engine.query(&case.session, &sql).await?;
    let columns = answer.schema.fields().iter().map(|field| field.name().clone()).collect();
    let batches: Vec<RecordBatch> = answer.batches.try_collect().await?;
    let unreadable = |_| Error::Execution { message: "a value of the answer cannot be shown".to_owned() };
    let options = FormatOptions::new();
    let mut rows = Vec::new();
    for batch in &batches {
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).map(|shown| (column, shown)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        for row in 0..batch.num_rows() {
            let cells = formatters.iter().map(|(column, shown)| match column.is_null(row) {
                true => Ok(None),
                false => shown.value(row).try_to_string().map(Some).map_err(unreadable),
            });
            rows.push(cells.collect::<Result<Vec<_>, Error>>()?);
        }
    }
    Ok(Answered { columns, rows })
}

/// What is otherwise than expected.
fn compare(expected: &Expected, answer: &Result<Answered, Error>) -> Vec<String> {
    match (expected, answer) {
        (Expected::Answer { columns, rows }, Ok(answer)) => {
            let mut failures = Vec::new();
            if let Some(columns) = columns.as_ref().filter(|columns| **columns != answer.columns) {
                failures.push(format!(
                    "the columns are {}, and should be {}",
                    listed(&answer.columns),
                    listed(columns)
                ));
            }
            failures.extend(rows.iter().flat_map(|rows| compare_rows(rows, answer)));
            failures
        }
        (Expected::Answer { .. }, Err(error)) => vec![format!("it is refused: {}", told(error))],
        (Expected::Refusal { code, .. }, Ok(answer)) => {
            vec![format!("it is answered with {} rows, and should be refused as `{code}`", answer.rows.len())]
        }
        (Expected::Refusal { code, because }, Err(error)) => {
            let mut failures = Vec::new();
            if error.code() != code {
                failures.push(format!(
                    "it is refused as `{}`, and should be as `{code}`: {}",
                    error.code(),
                    told(error)
                ));
            }
            if let Some(because) = because.as_ref().filter(|because| !told(error).contains(because.as_str())) {
                failures.push(format!("the refusal does not say `{because}`: {}", told(error)));
            }
            failures
        }
    }
}

fn told(error: &Error) -> String {
    let parts = [Some(error.to_string()), error.operator_detail().map(str::to_owned)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

fn compare_rows(expected: &[Row], answer: &Answered) -> Vec<String> {
    let wanted = compared(expected);
    let unknown: Vec<String> =
        wanted.iter().filter(|name| !answer.columns.contains(name)).map(|name| format!("`{name}`")).collect();
    if !unknown.is_empty() {
        let released = listed(&answer.columns);
        return vec![format!("rows are expected with {}, and the columns are {released}", unknown.join(", "))];
    }
    let positions: Vec<(&String, usize)> = wanted
        .into_iter()
        .filter_map(|name| Some((name, answer.columns.iter().position(|column| column == name)?)))
        .collect();
    let cells = |row: &[Option<String>]| -> Vec<Option<String>> {
        positions.iter().map(|(_, position)| row.get(*position).cloned().flatten()).collect()
    };
    let expected_cells = |row: &Row| -> Vec<Option<String>> {
        positions.iter().map(|(name, _)| row.get(*name).map(ToString::to_string)).collect()
    };
    let mut left: Vec<Vec<Option<String>>> = answer.rows.iter().map(|row| cells(row)).collect();
    let mut expected: Vec<Vec<Option<String>>> = expected.iter().map(expected_cells).collect();
    // What fits one row alone is served before what fits any.
    expected.sort_by_key(|row| row.iter().filter(|cell| cell.as_deref() == Some(ANY)).count());
    let names: Vec<&str> = positions.iter().map(|(name, _)| name.as_str()).collect();
    let mut failures = Vec::new();
    for row in &expected {
        match left.iter().position(|found| fits(row, found)) {
            Some(position) => {
                left.remove(position);
            }
            None => failures.push(format!("missing: {}", row_words(&names, row))),
        }
    }
    failures.extend(left.iter().map(|row| format!("not expected: {}", row_words(&names, row))));
    failures
}

fn fits(expected: &[Option<String>], found: &[Option<String>]) -> bool {
    expected.iter().zip(found).all(|(expected, found)| match (expected.as_deref(), found) {
        (Some(ANY), found) => found.is_some(),
        (expected, found) => expected == found.as_deref(),
    })
}

fn row_words(names: &[&str], row: &[Option<String>]) -> String {
    if names.is_empty() {
        return "a row".to_owned();
    }
    let cells: Vec<String> =
        names.iter().zip(row).map(|(name, cell)| format!("{name} = {}", cell.as_deref().unwrap_or("NULL"))).collect();
    cells.join(", ")
}

fn listed(columns: &[String]) -> String {
    if columns.is_empty() { "none".to_owned() } else { columns.join(", ") }
}
