//! A scan of a released relation, written out: what the source answers, and what is added here.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::NullEquality;
use datafusion::common::{Column, DFSchema, DataFusionError, TableReference, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Expr, Join, JoinConstraint, JoinType, LogicalPlan, Projection, ScalarUDF, TableScan, Union,
};
use wayleave_connector_api as source;
use wayleave_connector_api::{CompareOp, Relation, Scan, ScanReason, SemiKind, Value};

use super::carve::Carver;
use super::estimate;
use super::node::{Counting, Origin, Side};
use super::piece::{Carved, Piece};
use crate::policy::{ColumnValue, ElsewhereCheck, ReleasedTable};

/// The name under which a subject key travels that the user did not ask for.
const KEY_COLUMN: &str = "subject key";

impl Carver {
    /// Expands one scan of a released relation. Pseudonyms are computed and other agencies' registers are joined right
    /// above the source's rows, before anything of the user's sees them.
    pub(super) fn expand(&self, table: &ReleasedTable, scan: &TableScan) -> Result<Carved, DataFusionError> {
        let projection: Vec<usize> = match &scan.projection {
            Some(projection) => projection.clone(),
            None => (0..table.columns.len()).collect(),
        };
        let mut lookups = Vec::new();
        let mut rows = estimate::TABLE_ROWS;
        for filter in &scan.filters {
            let pushed = match table.push_predicate(filter) {
                Ok(crate::expression::Pushed::Exact(pushed) | crate::expression::Pushed::Superset(pushed)) => pushed,
                Err(kept) => return internal_err!("a filter was pushed that the source cannot take: {}", kept.0),
            };
            let written = written_form(table, &pushed);
            rows *= if written == pushed { estimate::selectivity(&pushed) } else { 0.0 };
            let predicate = over_base(table, &written);
            // What policy demands already need not be asked twice.
            if !table.policy.contains(&predicate) {
                lookups.push(predicate);
            }
        }
        rows = rows.max(1.0);

        let mut outputs = Vec::with_capacity(projection.len() + 1);
        let mut fields = Vec::with_capacity(projection.len() + 1);
        let mut pseudonyms = false;
        for position in &projection {
            let Some(column) = table.columns.get(*position) else {
                return internal_err!("a released column that is not there");
            };
            let expr = match &column.value {
                ColumnValue::Source(expr) => expr.clone(),
                ColumnValue::Pseudonym { raw, .. } => {
                    pseudonyms = true;
                    raw.clone()
                }
            };
            outputs.push(expr);
            let field = Field::new(&column.name, column.data_type.clone(), true);
            fields.push((Some(scan.table_name.clone()), Arc::new(field)));
        }
        let with_key = if table.elsewhere.is_empty() { None } else { table.subject };
        if let Some(subject) = with_key {
            outputs.push(source::Expr::CanonicalKey {
                expr: Box::new(source::Expr::Column(subject.base_column)),
                format: subject.format,
            });
            fields.push((None, Arc::new(Field::new(KEY_COLUMN, DataType::Utf8, true))));
        }
        let piece = Piece {
            agency: Arc::clone(&table.agency),
            relation: Relation::Scan(Box::new(Scan {
                table: table.name.table_name(),
                columns: table.base.clone(),
                outputs,
                policy: table.policy.clone(),
                lookups,
                keys: None,
                reason: ScanReason::Released { agreement: table.agreement.id.clone() },
            })),
            schema: Arc::new(DFSchema::new_with_metadata(fields, std::collections::HashMap::new())?),
            rows,
            scale: estimate::scale_of_table(table.row_estimate),
            sides: None,
            ordering: Vec::new(),
            origins: vec![Origin {
                agency: table.agency.name.clone(),
                table: table.name.table_name().to_string(),
                agreement: table.agreement.id.clone(),
                disclose_keys_to: table.disclose_keys_to.clone(),
                join_at_source_with: table.join_at_source_with.clone(),
            }],
            counting: if table.elsewhere.is_empty() && table.agreement.output.is_none() {
                Counting::Shown
            } else {
                Counting::Withheld
            },
        };
        let mut carved = Carved::Source(Box::new(piece));
        if table.elsewhere.is_empty() && !pseudonyms {
            return Ok(carved);
        }
        for (number, check) in table.elsewhere.iter().enumerate() {
            carved = self.check_elsewhere(carved, check, number, table, scan)?;
        }
        let input = Arc::new(self.close(carved)?);
        let exprs = projection
            .iter()
            .filter_map(|position| table.columns.get(*position))
            .map(|column| {
                let reference = Expr::Column(Column::new(Some(scan.table_name.clone()), &column.name));
                match &column.value {
                    ColumnValue::Source(_) => reference,
                    ColumnValue::Pseudonym { function, .. } => {
                        let udf = Arc::new(ScalarUDF::new_from_impl(function.clone()));
                        Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![reference]))
                            .alias_qualified(Some(scan.table_name.clone()), &column.name)
                    }
                }
            })
            .collect();
        Ok(Carved::Local(LogicalPlan::Projection(Projection::try_new(exprs, input)?)))
    }

    /// Joins the rows with another agency's register: those it denies go, or only those it permits stay.
    fn check_elsewhere(
        &self,
        rows: Carved,
        check: &ElsewhereCheck,
        number: usize,
        table: &ReleasedTable,
        scan: &TableScan,
    ) -> Result<Carved, DataFusionError> {
        let relation = TableReference::bare(format!("register {number}"));
        let mut sets = Vec::with_capacity(check.sets.len());
        for set in &check.sets {
            let mut keys = set.scan.clone();
            // What the user said of the key narrows the register as well: that tells its agency nothing of another's.
            let subject = table.subject.and_then(|subject| subject.released_column);
            for filter in &scan.filters {
                if let (Some(subject), Ok(crate::expression::Pushed::Exact(pushed))) =
                    (subject, table.push_predicate(filter))
                    && let Some(wanted) = keys_named(&pushed, subject)
                    && let Some(source::Expr::CanonicalKey { expr, format }) = keys.outputs.first().cloned()
                {
                    let list = wanted.iter().flat_map(|key| format.written(key)).map(Value::Text).collect();
                    keys.lookups.push(source::Expr::InList { expr, list, negated: false });
                }
            }
            let field = Field::new(KEY_COLUMN, DataType::Utf8, true);
            let schema = DFSchema::new_with_metadata(
                vec![(Some(relation.clone()), Arc::new(field))],
                std::collections::HashMap::new(),
            )?;
            let rows = if keys.lookups.is_empty() { estimate::TABLE_ROWS } else { 1.0 };
            sets.push(Piece {
                agency: Arc::clone(&set.agency),
                relation: Relation::Scan(Box::new(keys)),
                schema: Arc::new(schema),
                rows,
                scale: estimate::scale_of_table(set.row_estimate),
                sides: None,
                ordering: Vec::new(),
                origins: Vec::new(),
                counting: Counting::Withheld,
            });
        }
        let register = match (sets.pop(), sets.is_empty()) {
            (None, _) => return internal_err!("a register check without a register"),
            (Some(only), true) => Carved::Source(Box::new(only)),
            (Some(last), false) => {
                sets.push(last);
                let inputs = sets.into_iter().map(|set| set.close().map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
                Carved::Local(LogicalPlan::Union(Union::try_new(inputs)?))
            }
        };
        let (left, right) = (Arc::new(self.close(rows.clone())?), Arc::new(self.close(register.clone())?));
        let join_type = match check.kind {
            SemiKind::Matching => JoinType::LeftSemi,
            SemiKind::NotMatching => JoinType::LeftAnti,
        };
        let right_column = right
            .schema()
            .columns()
            .into_iter()
            .next()
            .ok_or_else(|| DataFusionError::Internal("a register without a key".to_owned()))?;
        let on = vec![(Expr::Column(Column::new_unqualified(KEY_COLUMN)), Expr::Column(right_column))];
        let join = Join::try_new(
            left,
            right,
            on,
            None,
            join_type,
            JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            false,
        )?;
        // The register never gives its keys: who refused or agreed is not for another agency to know.
        self.join_here(join, rows, register, &[Side::Right])
    }
}

/// A predicate over released columns as one over the base columns.
fn over_base(table: &ReleasedTable, predicate: &source::Expr) -> source::Expr {
    match predicate {
        source::Expr::InList { expr, list, negated: false } => {
            if let source::Expr::Outer(base) = expr.as_ref() {
                // Marked by `written_form`: already a base column.
                return source::Expr::InList {
                    expr: Box::new(source::Expr::Column(*base)),
                    list: list.clone(),
                    negated: false,
                };
            }
            substitute(table, predicate)
        }
        source::Expr::And(parts) => source::Expr::And(parts.iter().map(|part| over_base(table, part)).collect()),
        source::Expr::Or(parts) => source::Expr::Or(parts.iter().map(|part| over_base(table, part)).collect()),
        other => substitute(table, other),
    }
}

fn substitute(table: &ReleasedTable, predicate: &source::Expr) -> source::Expr {
    predicate.map_columns(&|position| match table.columns.get(position).map(|column| &column.value) {
        Some(ColumnValue::Source(expr)) => expr.clone(),
        // Neither occurs: `push_predicate` refuses pseudonyms, and positions come from the released schema.
        Some(ColumnValue::Pseudonym { .. }) | None => source::Expr::Literal(Value::Null(DataType::Null)),
    })
}

/// Turns `key = 'canonical'` and `key IN (…)` into the forms in which the source writes keys, so that its index serves.
///
/// Only where the predicate keeps a row by being true, through AND and OR: there a key in none of the forms and a key that is
/// NULL come to the same. A rewritten list is marked by [`source::Expr::Outer`], which no predicate of a user can hold.
fn written_form(table: &ReleasedTable, predicate: &source::Expr) -> source::Expr {
    let Some(subject) = table.subject else { return predicate.clone() };
    let Some(released) = subject.released_column else { return predicate.clone() };
    match predicate {
        source::Expr::And(parts) => source::Expr::And(parts.iter().map(|part| written_form(table, part)).collect()),
        source::Expr::Or(parts) => source::Expr::Or(parts.iter().map(|part| written_form(table, part)).collect()),
        other => match keys_named(other, released) {
            Some(keys) => source::Expr::InList {
                expr: Box::new(source::Expr::Outer(subject.base_column)),
                list: keys.iter().flat_map(|key| subject.format.written(key)).map(Value::Text).collect(),
                negated: false,
            },
            None => other.clone(),
        },
    }
}

/// The keys that a predicate names, where it is `column = 'key'` or `column IN ('key', …)`.
fn keys_named(predicate: &source::Expr, column: usize) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    match predicate {
        source::Expr::Compare { op: CompareOp::Equal, left, right } => match (left.as_ref(), right.as_ref()) {
            (source::Expr::Column(found), source::Expr::Literal(value))
            | (source::Expr::Literal(value), source::Expr::Column(found))
                if *found == column =>
            {
                Some(vec![text(value)?])
            }
            _ => None,
        },
        source::Expr::InList { expr, list, negated: false } if **expr == source::Expr::Column(column) => {
            list.iter().map(text).collect()
        }
        _ => None,
    }
}
