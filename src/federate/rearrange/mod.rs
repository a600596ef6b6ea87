//! Rearranging an optimized plan, so that more of it becomes one agency's and less moves between agencies.
//!
//! In: an optimized plan over released relations. Out: a plan with the same answer, in which
//! - semi-joins go below the joins of other agencies (`narrow`);
//! - inner joins of several agencies' tables are regrouped, so that tables of one agency meet each other first (`order`);
//! - sums, counts and extremes are made below a join as far as its other side allows (`eager`);
//! - a semi-join asks its other agency for distinct keys only (`distinct`);
//! - a top-k above a join that keeps every row of one side is made on that side first (`top_k`).
//!
//! Each step is an equivalence of relational algebra. All of them follow the shape of the query and the declared keys of its
//! tables, never their rows: a plan that followed statistics would tell of withheld rows.

mod distinct;
mod eager;
mod narrow;
mod order;
mod shape;
mod top_k;

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::{OptimizerContext, OptimizerRule};

/// Applies every step, in subqueries as well.
pub(super) fn rearrange(plan: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let steps = [
        narrow::match_early,
        order::group_by_agency,
        eager::aggregate_early,
        distinct::ask_for_distinct_keys,
        top_k::sort_early,
    ];
    let mut plan = plan.clone();
    for step in steps {
        plan = step(plan)?;
    }
    // The steps carry every column along; here those that nobody asks for are dropped again.
    OptimizeProjections::new().rewrite(plan, &OptimizerContext::new()).map(|narrowed| narrowed.data)
}

/// Applies a step to the inputs of a node and to the plans inside its expressions.
fn in_inputs(
    plan: LogicalPlan,
    step: impl Fn(LogicalPlan) -> Result<LogicalPlan, DataFusionError>,
) -> Result<LogicalPlan, DataFusionError> {
    use datafusion::common::tree_node::TreeNode;
    let inputs = plan.map_children(|input| step(input).map(Transformed::yes))?.data;
    inputs.map_subqueries(|subquery| step(subquery).map(Transformed::yes)).map(|whole| whole.data)
}
