//! What the shape of a plan tells: whose it is, how many rows to expect, which columns name a row.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::Column;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, FetchType, JoinType, LogicalPlan, Operator, SubqueryAlias, TableScan};

use crate::catalog::Agency;
use crate::federate::estimate::{TABLE_ROWS, count, share};
use crate::policy::{ColumnValue, ReleasedTable};

/// The one agency that could answer all of a plan: every leaf is a released table of its, with nothing to be done here.
pub(super) fn agency_of(plan: &LogicalPlan) -> Option<Arc<Agency>> {
    let mut found: Option<Arc<Agency>> = None;
    let mut alone = true;
    let _ = plan.apply_with_subqueries(|node| {
        let agency = match node {
            LogicalPlan::TableScan(scan) => with_table(scan, |table| {
                let here = table.columns.iter().any(|column| matches!(column.value, ColumnValue::Pseudonym { .. }));
                (table.elsewhere.is_empty() && !here).then(|| Arc::clone(&table.agency))
            }),
            leaf if leaf.inputs().is_empty() => None,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        alone &= match (&found, &agency) {
            (None, Some(_)) => true,
            (Some(found), Some(agency)) => Arc::ptr_eq(found, agency),
            (_, None) => false,
        };
        found = agency.or(found.take());
        Ok(if alone { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    found.filter(|_| alone)
}

fn with_table<T>(scan: &TableScan, look: impl FnOnce(&ReleasedTable) -> Option<T>) -> Option<T> {
    let provider = source_as_provider(&scan.source).ok()?;
    look(provider.downcast_ref::<ReleasedTable>()?)
}

/// Rows that a plan is taken to have, every table being alike.
pub(super) fn rows(plan: &LogicalPlan) -> f64 {
    let below = || plan.inputs().into_iter().map(rows).fold(1.0, f64::max);
    match plan {
        LogicalPlan::TableScan(scan) => scan.filters.iter().map(kept).product::<f64>() * TABLE_ROWS,
        LogicalPlan::Filter(filter) => rows(&filter.input) * kept(&filter.predicate),
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => 1.0,
        LogicalPlan::Aggregate(_) => below() * 0.1,
        LogicalPlan::Limit(limit) => match limit.get_fetch_type() {
            Ok(FetchType::Literal(Some(fetch))) => below().min(count(fetch)),
            _ => below(),
        },
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => rows(&join.left) * 0.5,
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => rows(&join.right) * 0.5,
            _ => rows(&join.left) * rows(&join.right) / TABLE_ROWS,
        },
        LogicalPlan::Union(union) => union.inputs.iter().map(|input| rows(input)).sum(),
        _ => below(),
    }
}

/// The share of rows that a predicate is taken to keep.
fn kept(predicate: &Expr) -> f64 {
    split_conjunction(predicate)
        .into_iter()
        .map(|conjunct| match conjunct {
            Expr::BinaryExpr(binary) => match binary.op {
                Operator::Eq => share::EQUAL,
                Operator::NotEq => 1.0 - share::EQUAL,
                Operator::Or => (kept(&binary.left) + kept(&binary.right)).min(1.0),
                _ => share::RANGE,
            },
            Expr::InList(list) if !list.negated => share::listed(list.list.len()),
            Expr::Like(like) if !like.negated => share::LIKE,
            Expr::IsNull(_) => share::NULL,
            _ => share::OTHER,
        })
        .product()
}

/// Whether no two rows of a plan are the same in these columns, as far as the tables' declared keys say.
pub(super) fn names_a_row(plan: &LogicalPlan, columns: &BTreeSet<Column>) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => with_table(scan, |table| {
            let named = |key: &BTreeSet<String>| {
                key.iter().all(|name| columns.contains(&Column::new(Some(scan.table_name.clone()), name)))
            };
            Some(table.unique.iter().any(named))
        })
        .unwrap_or(false),
        LogicalPlan::Filter(filter) => names_a_row(&filter.input, columns),
        LogicalPlan::SubqueryAlias(alias) => names_a_row(&alias.input, &below(alias, columns)),
        LogicalPlan::Projection(projection) if only_columns(&projection.expr) => {
            names_a_row(&projection.input, columns)
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => names_a_row(&join.left, columns),
            JoinType::RightSemi | JoinType::RightAnti => names_a_row(&join.right, columns),
            _ => names_a_row(&join.left, columns) && names_a_row(&join.right, columns),
        },
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.iter().all(|group| match group {
            Expr::Column(column) => columns.contains(column),
            _ => false,
        }),
        _ => false,
    }
}

/// Whether hardly two rows are the same in these columns: they are the subject key of a table that is joined by a declared key
/// of its own. Such a table has a row for each person, or little more, and the others hang on it.
pub(super) fn hardly_repeats(plan: &LogicalPlan, columns: &BTreeSet<Column>) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => hardly_repeats(&filter.input, columns),
        LogicalPlan::SubqueryAlias(alias) => hardly_repeats(&alias.input, &below(alias, columns)),
        LogicalPlan::Projection(projection) if only_columns(&projection.expr) => {
            hardly_repeats(&projection.input, columns)
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let keys = |pick: fn(&(Expr, Expr)) -> &Expr| -> BTreeSet<Column> {
                join.on.iter().filter_map(|pair| pick(pair).try_as_col().cloned()).collect()
            };
            [(&join.left, keys(|pair| &pair.0)), (&join.right, keys(|pair| &pair.1))].iter().any(|(side, keys)| {
                columns.iter().all(|column| side.schema().maybe_index_of_column(column).is_some())
                    && (lists_persons(side, columns, keys) || hardly_repeats(side, columns))
            })
        }
        _ => false,
    }
}

/// Whether a plan is one table whose subject key these columns are, and of which the keys hold a declared key.
fn lists_persons(plan: &LogicalPlan, columns: &BTreeSet<Column>, keys: &BTreeSet<Column>) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => with_table(scan, |table| {
            let named = |name: &str| Column::new(Some(scan.table_name.clone()), name);
            let position = table.subject.and_then(|subject| subject.released_column);
            let subject = position.and_then(|position| table.columns.get(position))?;
            let is_subject = columns.iter().eq([&named(&subject.name)]);
            Some(is_subject && table.unique.iter().any(|key| key.iter().all(|name| keys.contains(&named(name)))))
        })
        .unwrap_or(false),
        LogicalPlan::Filter(filter) => lists_persons(&filter.input, columns, keys),
        LogicalPlan::SubqueryAlias(alias) => lists_persons(&alias.input, &below(alias, columns), &below(alias, keys)),
        LogicalPlan::Projection(projection) if only_columns(&projection.expr) => {
            lists_persons(&projection.input, columns, keys)
        }
        _ => false,
    }
}

/// Columns under the names that they have below an alias; those that are not its own are left out.
fn below(alias: &SubqueryAlias, columns: &BTreeSet<Column>) -> BTreeSet<Column> {
    let renamed = alias.schema.columns().into_iter().zip(alias.input.schema().columns());
    renamed.filter(|(above, _)| columns.contains(above)).map(|(_, below)| below).collect()
}

/// Whether a projection only picks columns, under the names that they have.
pub(super) fn only_columns(exprs: &[Expr]) -> bool {
    exprs.iter().all(|expr| matches!(expr, Expr::Column(_)))
}
