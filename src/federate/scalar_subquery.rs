//! Scalar subqueries that depend on no row: one row beside every other, where one agency has both.
//!
//! DataFusion would run such a subquery first and hold its value against rows that have arrived. Where the same agency
//! answers the rest, a join with the one row keeps the comparison there.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{Expr, Filter, JoinType, LogicalPlan, LogicalPlanBuilder, Projection};

use crate::policy::ReleasedTable;

/// The same filter or projection over its input joined with its scalar subqueries; `None` where there are none that one
/// agency answers beside it.
pub(super) fn joined_with_subqueries(plan: &LogicalPlan) -> Result<Option<LogicalPlan>, DataFusionError> {
    let (exprs, input) = match plan {
        LogicalPlan::Filter(filter) => (vec![filter.predicate.clone()], &filter.input),
        LogicalPlan::Projection(projection) => (projection.expr.clone(), &projection.input),
        _ => return Ok(None),
    };
    let Some(agency) = only_agency(input)? else { return Ok(None) };
    let mut joined = input.as_ref().clone();
    let mut number = 0;
    let mut rewritten = Vec::with_capacity(exprs.len());
    for expr in exprs {
        let replaced = expr.transform(|part| match part {
            Expr::ScalarSubquery(subquery) if is_one_row_of(&subquery, &agency)? => {
                number += 1;
                let name = format!("scalar subquery {number}");
                let (_, field) = subquery.subquery.schema().qualified_field(0);
                let column = Expr::Column(Column::new(Some(name.as_str()), field.name()));
                let beside = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).alias(name)?.build()?;
                let both = LogicalPlanBuilder::from(joined.clone());
                joined = both.join_on(beside, JoinType::Inner, Vec::<Expr>::new())?.build()?;
                Ok(Transformed::yes(column))
            }
            other => Ok(Transformed::no(other)),
        })?;
        rewritten.push((replaced.transformed, replaced.data));
    }
    if number == 0 {
        return Ok(None);
    }
    let joined = Arc::new(joined);
    Ok(Some(match plan {
        LogicalPlan::Projection(projection) => {
            let exprs =
                rewritten.into_iter().zip(projection.schema.iter()).map(|((changed, expr), (qualifier, field))| {
                    if changed { expr.unalias().alias_qualified(qualifier.cloned(), field.name()) } else { expr }
                });
            LogicalPlan::Projection(Projection::try_new(exprs.collect(), joined)?)
        }
        _ => {
            let Some((_, predicate)) = rewritten.into_iter().next() else { return Ok(None) };
            let columns = input.schema().columns().into_iter().map(Expr::Column).collect();
            let filtered = LogicalPlan::Filter(Filter::try_new(predicate, joined)?);
            LogicalPlan::Projection(Projection::try_new(columns, Arc::new(filtered))?)
        }
    }))
}

fn is_one_row_of(subquery: &Subquery, agency: &str) -> Result<bool, DataFusionError> {
    Ok(subquery.outer_ref_columns.is_empty()
        && subquery.subquery.schema().fields().len() == 1
        && is_one_row(&subquery.subquery)
        && only_agency(&subquery.subquery)?.as_deref() == Some(agency))
}

/// Whether a plan surely gives one row, and no more.
fn is_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => is_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_one_row(&alias.input),
        LogicalPlan::Subquery(subquery) => is_one_row(&subquery.subquery),
        _ => false,
    }
}

/// The agency of every released relation below a plan, where there is one.
fn only_agency(plan: &LogicalPlan) -> Result<Option<String>, DataFusionError> {
    let mut agencies = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(table) = source_as_provider(&scan.source)?.downcast_ref::<ReleasedTable>()
        {
            agencies.insert(table.agency.name.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let only = if agencies.len() == 1 { agencies.pop_first() } else { None };
    Ok(only)
}
