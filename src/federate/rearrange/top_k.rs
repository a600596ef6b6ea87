//! Top-k above a join that keeps every row of its one side: only that side's own first rows can be among the first.
//!
//! A left join gives each left row at least once. Where the order speaks of left columns alone, the first k rows of the result
//! come from the first k left rows in that order; the sort above still decides which k there are.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, Projection, Sort, SortExpr};

use super::in_inputs;
use super::shape::{agency_of, only_columns};

/// Repeats a top-k on the kept side of a join between agencies.
pub(super) fn sort_early(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    if let LogicalPlan::Sort(Sort { expr, input, fetch: Some(fetch) }) = &plan
        && agency_of(input).is_none()
        && expr.iter().all(|key| matches!(key.expr, Expr::Column(_)))
        && let Some(input) = below(input, expr, *fetch)?
    {
        return Ok(LogicalPlan::Sort(Sort { expr: expr.clone(), input: Arc::new(input), fetch: Some(*fetch) }));
    }
    in_inputs(plan, sort_early)
}

fn below(plan: &LogicalPlan, keys: &[SortExpr], fetch: usize) -> Result<Option<LogicalPlan>, DataFusionError> {
    match plan {
        LogicalPlan::Projection(projection) if only_columns(&projection.expr) => {
            let Some(input) = below(&projection.input, keys, fetch)? else { return Ok(None) };
            Ok(Some(LogicalPlan::Projection(Projection::try_new(projection.expr.clone(), Arc::new(input))?)))
        }
        LogicalPlan::Join(join) => {
            let kept = match join.join_type {
                JoinType::Left => &join.left,
                JoinType::Right => &join.right,
                _ => return Ok(None),
            };
            let known = |key: &SortExpr| {
                key.expr.column_refs().iter().all(|column| kept.schema().maybe_index_of_column(column).is_some())
            };
            if !keys.iter().all(known) {
                return Ok(None);
            }
            let first = match below(kept, keys, fetch)? {
                Some(deeper) => deeper,
                None => LogicalPlan::Sort(Sort { expr: keys.to_vec(), input: Arc::clone(kept), fetch: Some(fetch) }),
            };
            let mut join: Join = join.clone();
            match join.join_type {
                JoinType::Left => join.left = Arc::new(first),
                _ => join.right = Arc::new(first),
            }
            Ok(Some(LogicalPlan::Join(join)))
        }
        _ => Ok(None),
    }
}
