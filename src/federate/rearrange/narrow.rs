//! Semi-joins and anti-joins made before the joins below them, where both of their sides are one agency's.
//!
//! Whether a row has a match is told by its own columns: a row that a later join repeats or drops would have been kept or
//! dropped alike. So `(A ⋈ B) ⋉ C` is `(A ⋉ C) ⋈ B` where the match looks at columns of A alone; the same for an anti-join,
//! and for the kept side of an outer join.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{Column, DataFusionError};
use datafusion::logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan, Projection};

use super::in_inputs;
use super::shape::{agency_of, only_columns};
use crate::catalog::Agency;
use crate::expression::{cannot_fail, holds_subquery};

/// Moves each such join down to the subtree of its own agency.
pub(super) fn match_early(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    // From the bottom up, so that one that stands on another finds it where it belongs.
    let plan = in_inputs(plan, match_early)?;
    let LogicalPlan::Join(join) = &plan else { return Ok(plan) };
    let is_semi = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti);
    let schema = join.left.schema().join(join.right.schema())?;
    // Further down it meets rows that the joins between would have dropped: nothing may fail over those.
    let movable = |expr: &Expr| !expr.is_volatile() && !holds_subquery(expr) && cannot_fail(expr, &schema);
    let all_movable = join.on.iter().flat_map(|(left, right)| [left, right]).chain(&join.filter).all(movable);
    if !is_semi || join.null_aware || !all_movable {
        return Ok(plan);
    }
    let Some(agency) = agency_of(&join.right).filter(|_| agency_of(&join.left).is_none()) else { return Ok(plan) };
    let looked_at: BTreeSet<Column> = join
        .on
        .iter()
        .map(|(left, _)| left)
        .chain(&join.filter)
        .flat_map(|expr| expr.column_refs())
        .filter(|column| join.left.schema().maybe_index_of_column(column).is_some())
        .cloned()
        .collect();
    Ok(Moved { join, agency, looked_at }.made_in(&join.left)?.unwrap_or(plan))
}

/// A semi-join on its way down.
struct Moved<'a> {
    join: &'a Join,
    agency: Arc<Agency>,
    /// The columns of its left side by which it matches.
    looked_at: BTreeSet<Column>,
}

impl Moved<'_> {
    /// This plan with the join made inside it; `None` where no subtree of its agency has all that it looks at.
    fn made_in(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>, DataFusionError> {
        if !self.looked_at.iter().all(|column| plan.schema().maybe_index_of_column(column).is_some()) {
            return Ok(None);
        }
        if let Some(agency) = agency_of(plan) {
            return if Arc::ptr_eq(&agency, &self.agency) { self.over(plan).map(Some) } else { Ok(None) };
        }
        match plan {
            LogicalPlan::Projection(projection) if only_columns(&projection.expr) => {
                let Some(input) = self.made_in(&projection.input)? else { return Ok(None) };
                Ok(Some(LogicalPlan::Projection(Projection::try_new(projection.expr.clone(), Arc::new(input))?)))
            }
            LogicalPlan::Filter(filter) => {
                let Some(input) = self.made_in(&filter.input)? else { return Ok(None) };
                Ok(Some(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?)))
            }
            LogicalPlan::Join(below) if !below.null_aware => {
                let (left, right) = match below.join_type {
                    JoinType::Inner => (true, true),
                    JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => (true, false),
                    JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => (false, true),
                    JoinType::Full | JoinType::LeftMark | JoinType::RightMark => (false, false),
                };
                let mut made = below.clone();
                if left && let Some(input) = self.made_in(&below.left)? {
                    made.left = Arc::new(input);
                } else if right && let Some(input) = self.made_in(&below.right)? {
                    made.right = Arc::new(input);
                } else {
                    return Ok(None);
                }
                Ok(Some(LogicalPlan::Join(made)))
            }
            _ => Ok(None),
        }
    }

    fn over(&self, left: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let join = Join::try_new(
            Arc::new(left.clone()),
            Arc::clone(&self.join.right),
            self.join.on.clone(),
            self.join.filter.clone(),
            self.join.join_type,
            self.join.join_constraint,
            self.join.null_equality,
            false,
        )?;
        Ok(LogicalPlan::Join(join))
    }
}
