//! What another policy set would do to what is really asked: recent queries of the audit log, asked again under both sets, and
//! the rows and persons of the tables that they read.
//!
//! Every replay is a query like any other: policy decides, the agencies are read live, and it is on the record, under a name
//! that says what it was. Only numbers are kept of the answers. For operators: the numbers tell of what askers do not see.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, Int64Array, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use wayleave_connector_api::Audience;

use super::render::{Document, Grid};
use crate::audit::AskedQuery;
use crate::engine::{Engine, Role, Run};
use crate::error::Error;
use crate::names::{QualifiedTable, quoted_identifier};
use crate::policy::ColumnValue;
use crate::session::Session;

/// How the user of a replayed query begins on the record.
pub const REPLAYED: &str = "wayleave policy diff, replaying ";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayEffect {
    /// It was answered, and would be refused or fail.
    Fails,
    /// It would be answered, and was not.
    Answered,
    MoreRows,
    FewerRows,
    /// As many rows, with other values.
    OtherValues,
    /// Refused before and after, for another reason perhaps.
    Refused,
    Same,
}

impl ReplayEffect {
    pub fn words(self) -> &'static str {
        match self {
            Self::Fails => "would be refused",
            Self::Answered => "would be answered",
            Self::MoreRows => "more rows",
            Self::FewerRows => "fewer rows",
            Self::OtherValues => "other values",
            Self::Refused => "refused as before",
            Self::Same => "the same",
        }
    }
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replayed {
    Rows(u64),
    /// The error's code and message.
    Refused {
        code: String,
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayedQuery {
    pub effect: ReplayEffect,
    /// `role of organisation`.
    pub who: String,
    pub purpose: String,
    pub sql: String,
    pub before: Replayed,
    pub after: Replayed,
}

/// What a recipient sees of a table that some of the queries read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayedTable {
    pub who: String,
    pub purpose: String,
    pub table: String,
    pub before: Extent,
    pub after: Extent,
}

/// How much of a table is released; `None` where that is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Extent {
    pub rows: Option<u64>,
    /// Different subject keys, or pseudonyms of them.
    pub persons: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// What fails first.
    pub queries: Vec<ReplayedQuery>,
    /// Tables of which more, fewer or none are released.
    pub tables: Vec<ReplayedTable>,
}

/// Asks queries again under two sets.
///
/// # Errors
/// [`Error::Audit`] where a replay cannot be recorded. What else goes wrong is an outcome.
pub async fn replay(before: &Engine, after: &Engine, asked: &[AskedQuery]) -> Result<Replay, Error> {
    let mut replay = Replay::default();
    let mut tables: BTreeMap<(String, String, QualifiedTable), Session> = BTreeMap::new();
    for query in asked {
        let session = Session {
            user: format!("{REPLAYED}{}", query.user),
            organisation: query.organisation.clone(),
            role: query.role.clone(),
            purpose: query.purpose.clone(),
            case_reference: query.case_reference.clone(),
            reason: query.reason.clone(),
            beyond_consent: None,
        };
        let who = format!("{} of {}", query.role, query.organisation);
        for engine in [before, after] {
            for table in tables_of(engine, &session, &query.sql).await {
                tables.insert((who.clone(), query.purpose.clone(), table), session.clone());
            }
        }
        let ((was, digest_before), (will_be, digest_after)) =
            (ask(before, &session, &query.sql).await?, ask(after, &session, &query.sql).await?);
        replay.queries.push(ReplayedQuery {
            effect: effect(&was, &will_be, digest_before == digest_after),
            who,
            purpose: query.purpose.clone(),
            sql: query.sql.clone(),
            before: was,
            after: will_be,
        });
    }
    replay.queries.sort_by_key(|query| query.effect);
    for ((who, purpose, table), session) in tables {
        let (was, will_be) = (extent(before, &session, &table).await?, extent(after, &session, &table).await?);
        if was != will_be {
            replay.tables.push(ReplayedTable { who, purpose, table: table.to_string(), before: was, after: will_be });
        }
    }
    Ok(replay)
}

fn effect(before: &Replayed, after: &Replayed, same_values: bool) -> ReplayEffect {
    match (before, after) {
        (Replayed::Rows(_), Replayed::Refused { .. }) => ReplayEffect::Fails,
        (Replayed::Refused { .. }, Replayed::Rows(_)) => ReplayEffect::Answered,
        (Replayed::Refused { .. }, Replayed::Refused { .. }) => ReplayEffect::Refused,
        (Replayed::Rows(before), Replayed::Rows(after)) if after > before => ReplayEffect::MoreRows,
        (Replayed::Rows(before), Replayed::Rows(after)) if after < before => ReplayEffect::FewerRows,
        (Replayed::Rows(_), Replayed::Rows(_)) if same_values => ReplayEffect::Same,
        (Replayed::Rows(_), Replayed::Rows(_)) => ReplayEffect::OtherValues,
    }
}

/// The released tables that a query reads; none where it is refused.
async fn tables_of(engine: &Engine, session: &Session, sql: &str) -> Vec<QualifiedTable> {
    let Ok(explanation) = engine.explanation(session, sql, Audience::Source, Run::Planned).await else {
        return Vec::new();
    };
    let released = explanation.fragments.into_iter().filter(|fragment| fragment.role == Role::Released);
    released
        .flat_map(|fragment| {
            let agency = fragment.agency;
            fragment.tables.into_iter().map(move |table| QualifiedTable::parse(&format!("{agency}.{table}")))
        })
        .filter_map(Result::ok)
        .collect()
}

/// What came of a query, and a digest of its rows that does not depend on their order.
async fn ask(engine: &Engine, session: &Session, sql: &str) -> Result<(Replayed, [u8; 32]), Error> {
    let refused = |error: Error| match error {
        // Nothing is asked that cannot be recorded.
        error @ Error::Audit(_) => Err(error),
        error => Ok((Replayed::Refused { code: error.code().to_owned(), message: error.to_string() }, [0; 32])),
    };
    let mut batches = match engine.query(session, sql).await {
        Ok(answer) => answer.batches,
        Err(error) => return refused(error),
    };
    let (mut rows, mut digest) = (0, [0; 32]);
    loop {
        match batches.try_next().await {
            Ok(Some(batch)) => {
                rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
                add_rows(&batch, &mut digest);
            }
            Ok(None) => return Ok((Replayed::Rows(rows), digest)),
            Err(error) => return refused(error.into()),
        }
    }
}

fn add_rows(batch: &RecordBatch, digest: &mut [u8; 32]) {
    let options = FormatOptions::new().with_null("∅");
    let columns: Vec<ArrayFormatter<'_>> =
        batch.columns().iter().filter_map(|column| ArrayFormatter::try_new(column.as_ref(), &options).ok()).collect();
    for row in 0..batch.num_rows() {
        let mut of_row = Sha256::new();
        for column in &columns {
            let value = column.value(row).to_string();
            of_row.update(value.len().to_string());
            of_row.update(":");
            of_row.update(value);
        }
        for (total, byte) in digest.iter_mut().zip(of_row.finalize()) {
            *total = total.wrapping_add(byte);
        }
    }
}

/// Counts what a session is released of a table, unless it may count only persons in groups.
async fn extent(engine: &Engine, session: &Session, table: &QualifiedTable) -> Result<Extent, Error> {
    let examination = engine.examine(session, table, None).await?;
    let released = match (examination.decision, examination.released) {
        (Ok(_), Some(Ok(released))) => released,
        (Err(_), _) => return Ok(Extent { rows: Some(0), persons: Some(0) }),
        (Ok(_), _) => return Ok(Extent::default()),
    };
    if released.agreement.output.is_some() {
        return Ok(Extent::default());
    }
    // As it is, or as a pseudonym, which tells persons apart as well; a mask does not.
    let subject = released.subject.and_then(|subject| released.base.get(subject.base_column));
    let key = subject.and_then(|subject| released.columns.iter().find(|column| column.name == subject.name)).filter(
        |column| {
            let plain =
                released.subject.and_then(|subject| subject.released_column.and_then(|at| released.columns.get(at)));
            plain.is_some() || matches!(column.value, ColumnValue::Pseudonym { .. })
        },
    );
    let counted =
        key.map_or_else(|| "NULL".to_owned(), |column| format!("count(DISTINCT {})", quoted_identifier(&column.name)));
    let name = [&table.agency, &table.schema, &table.table].map(|part| quoted_identifier(part)).join(".");
    let sql = format!("SELECT count(*), {counted} FROM {name}");
    let answer = match engine.query(session, &sql).await {
        Ok(answer) => answer,
        Err(error @ Error::Audit(_)) => return Err(error),
        Err(_) => return Ok(Extent::default()),
    };
    let Ok(batches) = answer.batches.try_collect::<Vec<RecordBatch>>().await else { return Ok(Extent::default()) };
    let number = |column: usize| {
        let batch = batches.iter().find(|batch| batch.num_rows() > 0)?;
        let numbers = batch.columns().get(column)?.as_any().downcast_ref::<Int64Array>()?;
        (!numbers.is_null(0)).then(|| u64::try_from(numbers.value(0)).ok()).flatten()
    };
    Ok(Extent { rows: number(0), persons: number(1) })
}

impl Replay {
    /// Adds what was found to the report on the difference.
    pub fn add_to(&self, document: &mut Document) {
        document.heading(2, "What recent queries would get");
        if self.queries.is_empty() {
            document.paragraph("The audit log holds no query to ask again.");
            return;
        }
        let mut counts: BTreeMap<ReplayEffect, usize> = BTreeMap::new();
        for query in &self.queries {
            *counts.entry(query.effect).or_default() += 1;
        }
        let counted: Vec<String> = counts.iter().map(|(effect, count)| format!("{count} {}", effect.words())).collect();
        document.paragraph(format!("Of {} recent queries: {}.", self.queries.len(), counted.join(", ")));
        let mut grid = Grid::new(&["effect", "who", "purpose", "before", "after", "query"]);
        for query in self.queries.iter().filter(|query| query.effect != ReplayEffect::Same) {
            grid.push([
                query.effect.words().to_owned(),
                query.who.clone(),
                query.purpose.clone(),
                query.before.words(),
                query.after.words(),
                query.sql.split_whitespace().collect::<Vec<_>>().join(" "),
            ]);
        }
        if !grid.rows().is_empty() {
            document.table(grid);
        }
        if self.tables.is_empty() {
            return;
        }
        document.heading(2, "What is released of the tables that they read");
        let mut grid = Grid::new(&["who", "purpose", "table", "rows before", "after", "persons before", "after"]);
        let shown = |count: Option<u64>| count.map_or_else(|| "not counted".to_owned(), |count| count.to_string());
        for table in &self.tables {
            grid.push([
                table.who.clone(),
                table.purpose.clone(),
                table.table.clone(),
                shown(table.before.rows),
                shown(table.after.rows),
                shown(table.before.persons),
                shown(table.after.persons),
            ]);
        }
        document.table(grid);
    }
}

impl Replayed {
    fn words(&self) -> String {
        match self {
            Self::Rows(1) => "1 row".to_owned(),
            Self::Rows(rows) => format!("{rows} rows"),
            Self::Refused { message, .. } => message.clone(),
        }
    }
}
