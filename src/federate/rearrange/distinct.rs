//! Semi-joins and anti-joins between agencies: whether a row has a match is told by the distinct keys of the other side.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{Column, DataFusionError};
use datafusion::logical_expr::{Aggregate, JoinType, LogicalPlan};

use super::in_inputs;
use super::shape::{agency_of, names_a_row, rows};
use crate::federate::estimate::TABLE_ROWS;

/// Groups the side that is only looked into by all of its columns, where that is one agency's and they name no row.
pub(super) fn ask_for_distinct_keys(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let plan = in_inputs(plan, ask_for_distinct_keys)?;
    let LogicalPlan::Join(mut join) = plan else { return Ok(plan) };
    let one_agency = match (agency_of(&join.left), agency_of(&join.right)) {
        (Some(left), Some(right)) => Arc::ptr_eq(&left, &right),
        _ => false,
    };
    // With a condition beside the keys there are more columns than keys, and hardly two rows are the same.
    if one_agency || join.filter.is_some() {
        return Ok(LogicalPlan::Join(join));
    }
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            join.right = Arc::new(distinct(join.right.as_ref())?);
        }
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            join.left = Arc::new(distinct(join.left.as_ref())?);
        }
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {}
    }
    Ok(LogicalPlan::Join(join))
}

fn distinct(plan: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let columns = plan.schema().columns();
    let names: BTreeSet<Column> = columns.iter().cloned().collect();
    // Rows that were picked by some value of theirs mostly have each key once.
    let picked = rows(plan) < 0.3 * TABLE_ROWS;
    if agency_of(plan).is_none() || names_a_row(plan, &names) || columns.is_empty() || picked {
        return Ok(plan.clone());
    }
    let groups = columns.into_iter().map(datafusion::logical_expr::Expr::Column).collect();
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(plan.clone()), groups, Vec::new())?))
}
