//! Rough row counts: enough to choose which side of a join gives its keys. A source's own statistics where it has them.

use datafusion::logical_expr::{JoinType, LogicalPlan};
use wayleave_connector_api::{CompareOp, Expr, Relation};

use super::node::{FragmentNode, KeyedJoinNode};

/// What every table is taken to hold where a plan is chosen. A source's own figure counts withheld rows too, and a plan that
/// followed it would let an asker find it out through EXPLAIN: it scales what operators expect, and never chooses a plan.
pub(super) const TABLE_ROWS: f64 = 10_000.0;

/// How much larger than [`TABLE_ROWS`] a table is, by its source's statistics.
pub(super) fn scale_of_table(estimate: Option<u64>) -> f64 {
    estimate.map_or(1.0, |rows| u32::try_from(rows).map_or(f64::from(u32::MAX), f64::from) / TABLE_ROWS)
}

/// Rows that an operator should expect.
pub(super) fn expected(rows: f64, scale: f64) -> f64 {
    if rows <= 1.0 { 1.0 } else { (rows * scale).max(1.0) }
}

/// Shares of rows that conditions are taken to keep (PostgreSQL's defaults, `selfuncs.h`, rounded).
pub(super) mod share {
    pub const EQUAL: f64 = 0.05;
    pub const RANGE: f64 = 0.33;
    pub const LIKE: f64 = 0.1;
    pub const NULL: f64 = 0.05;
    pub const OTHER: f64 = 0.8;

    /// Of a list of so many constants.
    pub fn listed(constants: usize) -> f64 {
        (EQUAL * super::count(constants)).min(0.5)
    }
}

/// The share of rows that a predicate is taken to keep.
pub(super) fn selectivity(predicate: &Expr) -> f64 {
    match predicate {
        Expr::Compare { op: CompareOp::Equal, .. } => share::EQUAL,
        Expr::Compare { op: CompareOp::NotEqual, .. } => 1.0 - share::EQUAL,
        Expr::Compare { .. } => share::RANGE,
        Expr::And(parts) => parts.iter().map(selectivity).product(),
        Expr::Or(parts) => parts.iter().map(selectivity).sum::<f64>().min(1.0),
        Expr::Not(inner) => 1.0 - selectivity(inner),
        Expr::InList { list, negated: false, .. } => share::listed(list.len()),
        Expr::Like { negated: false, .. } => share::LIKE,
        Expr::IsNull(_) => share::NULL,
        _ => share::OTHER,
    }
}

/// The share of rows that a grouping is taken to have as groups.
const GROUPS: f64 = 0.1;

/// Rows of a grouping: at most its input's.
pub(super) fn grouped(rows: f64, group_count: usize) -> f64 {
    if group_count == 0 { 1.0 } else { (rows * GROUPS).max(1.0) }
}

/// Rows that a source need not read where keys narrow its relation: a grouping's input, not its groups.
pub(super) fn spared(relation: &Relation, rows: f64) -> f64 {
    match relation {
        Relation::Aggregate { groups, .. } if !groups.is_empty() => rows / GROUPS,
        Relation::Project { input, .. } | Relation::Filter { input, .. } => spared(input, rows),
        _ => rows,
    }
}

/// Rows of an equijoin on a key that one side has once.
pub(super) fn joined(left: f64, right: f64) -> f64 {
    (left * right / TABLE_ROWS).max(1.0)
}

/// Rows of what runs here, from the fragments below.
pub(super) fn rows_here(plan: &LogicalPlan) -> f64 {
    if let Some(fragment) = FragmentNode::of(plan) {
        return fragment.rows;
    }
    if let Some(keyed) = KeyedJoinNode::of(plan) {
        return rows_here(keyed.giver_plan());
    }
    let below = plan.inputs().into_iter().map(rows_here);
    match plan {
        LogicalPlan::Union(_) => below.sum(),
        LogicalPlan::Filter(_) => below.fold(0.0, f64::max) * 0.5,
        LogicalPlan::Aggregate(aggregate) => grouped(below.fold(1.0, f64::max), aggregate.group_expr.len()),
        LogicalPlan::Values(values) => count(values.values.len()),
        LogicalPlan::EmptyRelation(_) => 1.0,
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) => {
            rows_here(&join.left)
        }
        _ => below.fold(1.0, f64::max),
    }
}

/// A number of rows as the estimator counts: in floating point, where precision beyond 2^53 does not matter.
pub(super) fn count(rows: usize) -> f64 {
    u32::try_from(rows).map_or(f64::from(u32::MAX), f64::from)
}
