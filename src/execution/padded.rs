//! The side of an outer join whose rows may be NULL in the join's.
//!
//! DataFusion takes what is constant or equal among a side's rows for constant or equal in the join's, and leaves out a sort
//! by it, or a grouping's look for equal values. Where a partner is missing, the join has NULL there, so that is not so:
//! of `(SELECT count(*) AS n FROM a) FULL JOIN b`, `n` is constant to it.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, Statistics, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PiecewiseMergeJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};

/// DataFusion's rules for physical plans, with outer joins that claim nothing of what they pad.
pub fn physical_rules_as_meant() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::default().rules;
    // After the rule that settles which side is collected, before those that see to partitions and order.
    let place = rules.iter().position(|rule| rule.name() == "join_selection").map_or(0, |place| place + 1);
    rules.insert(place, Arc::new(PaddedSides));
    rules
}

/// The name of the rule that sees to it.
pub(super) const PADDED_SIDES: &str = "padded_sides";

#[derive(Debug)]
struct PaddedSides;

impl PhysicalOptimizerRule for PaddedSides {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let [left, right] = node.children()[..] else { return Ok(Transformed::no(node)) };
            let (pads_left, pads_right) = padded(node.as_ref());
            let sides = [(left, pads_left), (right, pads_right)];
            if !sides.iter().any(|(side, pads)| *pads && says_too_much(side)) {
                return Ok(Transformed::no(node));
            }
            let sides = sides.map(|(side, pads)| -> Arc<dyn ExecutionPlan> {
                match pads && says_too_much(side) {
                    true => Arc::new(PaddedSideExec::new(Arc::clone(side))),
                    false => Arc::clone(side),
                }
            });
            let recomputed = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            Ok(Transformed::yes(node.replace_children(sides.into(), recomputed)?))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        PADDED_SIDES
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether a join has rows without a left and without a right one.
fn padded(node: &dyn ExecutionPlan) -> (bool, bool) {
    let kind = if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        *join.join_type()
    } else if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        *join.join_type()
    } else if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
        join.join_type()
    } else if let Some(join) = node.downcast_ref::<PiecewiseMergeJoinExec>() {
        join.join_type()
    } else {
        return (false, false);
    };
    (matches!(kind, JoinType::Right | JoinType::Full), matches!(kind, JoinType::Left | JoinType::Full))
}

fn says_too_much(side: &Arc<dyn ExecutionPlan>) -> bool {
    let known = &side.properties().eq_properties;
    !known.eq_group().is_empty() || !known.oeq_class().is_empty()
}

/// Passes its input's rows on, and nothing that is known of them.
#[derive(Debug)]
struct PaddedSideExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl PaddedSideExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let mut properties = PlanProperties::clone(input.properties());
        properties.eq_properties = EquivalenceProperties::new(input.schema());
        Self {
            properties: Arc::new(PlanProperties::new(
                properties.eq_properties,
                properties.partitioning,
                properties.emission_type,
                properties.boundedness,
            )),
            input,
        }
    }
}

impl DisplayAs for PaddedSideExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaddedSideExec")
    }
}

impl ExecutionPlan for PaddedSideExec {
    fn name(&self) -> &'static str {
        "PaddedSideExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| internal_datafusion_err!("a padded side without rows"))?;
        Ok(Arc::new(Self::new(input)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        input_stats: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let [statistics] = input_stats else { return Ok(Arc::new(Statistics::new_unknown(&self.schema()))) };
        Ok(Arc::clone(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(child_pushdown_result))
    }
}
