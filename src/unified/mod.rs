//! The unified client view: one row a person over many agencies, with the agency that each value came from.
//!
//! In: a view of the configuration, and which of its tables and columns are released to the asker. Out: SQL over released
//! relations, which policy and federation then treat like any other query. It reads nothing itself.

use std::collections::BTreeSet;

use crate::config::ViewConfig;
use crate::names::{QualifiedTable, quoted_identifier};
use crate::policy::ReleasedTable;

/// The SQL of a view for one asker, and what is missing from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnifiedSql {
    pub sql: String,
    pub notices: Vec<String>,
}

/// Writes a view over the released tables; `None` where none of its sources is released with its subject key.
///
/// Each source gives its rows with the columns that it contributes; grouping by the key makes them a row a person, so that
/// a lookup by key reaches every source as a lookup, and no agency's keys are sent to another. Where one agency has several
/// rows of a person, the greatest value stands: one and the same on every run.
pub fn unified_sql(view: &ViewConfig, released: &[(QualifiedTable, Option<&ReleasedTable>)]) -> Option<UnifiedSql> {
    let mut sources: Vec<(&QualifiedTable, &ReleasedTable, String)> = Vec::new();
    let mut missing = BTreeSet::new();
    for (name, table) in released {
        let key = table.and_then(|table| {
            let subject = table.subject?;
            let column = table.base.get(subject.base_column)?;
            table.columns.iter().any(|released| released.name == column.name).then(|| (table, column.name.clone()))
        });
        match key {
            Some((table, key)) => sources.push((name, table, key)),
            None => {
                missing.insert(name.agency.clone());
            }
        }
    }
    if sources.is_empty() {
        return None;
    }
    let mut values: Vec<(&QualifiedTable, &str)> = Vec::new();
    let mut outputs = Vec::new();
    for (column, candidates) in &view.columns {
        let mut present = Vec::new();
        for candidate in candidates {
            let source = sources.iter().find(|(name, ..)| **name == candidate.table);
            let Some((name, table, _)) = source else { continue };
            if table.columns.iter().any(|released| released.name == candidate.column) {
                present.push((values.len(), name.agency.as_str()));
                values.push((name, &candidate.column));
            }
        }
        if present.is_empty() {
            continue;
        }
        let choices: Vec<String> = present.iter().map(|(value, _)| format!("max(v{value})")).collect();
        let from: Vec<String> = present
            .iter()
            .map(|(value, agency)| format!("WHEN max(v{value}) IS NOT NULL THEN '{}'", agency.replace('\'', "''")))
            .collect();
        outputs.push(format!("coalesce({}) AS {}", choices.join(", "), quoted_identifier(column)));
        outputs.push(format!("CASE {} END AS {}", from.join(" "), quoted_identifier(&format!("{column}_source"))));
    }
    let branches: Vec<String> = sources
        .iter()
        .map(|(name, _, key)| {
            let columns: Vec<String> = values
                .iter()
                .enumerate()
                .map(|(number, (owner, column))| {
                    if owner == name {
                        format!("{} AS v{number}", quoted_identifier(column))
                    } else {
                        format!("NULL AS v{number}")
                    }
                })
                .collect();
            let columns = if columns.is_empty() { String::new() } else { format!(", {}", columns.join(", ")) };
            let table = [&name.agency, &name.schema, &name.table].map(|part| quoted_identifier(part)).join(".");
            format!("SELECT {} AS k{columns} FROM {table}", quoted_identifier(key))
        })
        .collect();
    let outputs = if outputs.is_empty() { String::new() } else { format!(", {}", outputs.join(", ")) };
    let sql = format!(
        "SELECT k AS {}{outputs} FROM ({}) AS sources WHERE k IS NOT NULL GROUP BY k",
        quoted_identifier(&view.key),
        branches.join(" UNION ALL ")
    );
    let notices = missing
        .into_iter()
        .filter(|agency| !sources.iter().any(|(name, ..)| name.agency == *agency))
        .map(|agency| format!("`unified.{}` leaves out agency `{agency}`: no agreement releases it to you", view.name))
        .collect();
    Some(UnifiedSql { sql, notices })
}
