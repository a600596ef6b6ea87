//! The join that spills as an operator, and the rule that puts it in the place of DataFusion's hash join.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, JoinSide, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use futures::{TryStreamExt, stream};

use super::collect::Collector;
use crate::execution::Stopwatch;
use crate::execution::padded::{PADDED_SIDES, physical_rules_as_meant};
use crate::execution::yielding::YieldingJoins;

/// The rules for physical plans, with joins that spill and let others run.
pub fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = physical_rules_as_meant();
    let place = rules.iter().position(|rule| rule.name() == PADDED_SIDES).map_or(0, |place| place + 1);
    rules.insert(place, Arc::new(SpillingJoins));
    rules.push(Arc::new(YieldingJoins));
    rules
}

#[derive(Debug)]
struct SpillingJoins;

impl PhysicalOptimizerRule for SpillingJoins {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        with_spilling_joins(plan)
    }

    fn name(&self) -> &'static str {
        "spilling_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn with_spilling_joins(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    plan.transform_up(|node| match node.downcast_ref::<HashJoinExec>() {
        Some(join) if spills(join) => {
            let spilling: Arc<dyn ExecutionPlan> = Arc::new(SpillingJoinExec::new(join)?);
            Ok(Transformed::yes(spilling))
        }
        _ => Ok(Transformed::no(node)),
    })
    .data()
}

/// NOT IN with a further condition looks at pairs of rows in a way of its own, which stays DataFusion's.
fn spills(join: &HashJoinExec) -> bool {
    match join.partition_mode() {
        PartitionMode::CollectLeft => !join.null_aware || join.filter().is_none(),
        PartitionMode::Partitioned => !join.null_aware,
        PartitionMode::Auto => false,
    }
}

/// A hash join whose left side is collected, in memory or on disk.
#[derive(Debug)]
pub struct SpillingJoinExec {
    /// What is joined and how; it is never run itself.
    template: Arc<HashJoinExec>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SpillingJoinExec {
    pub(super) fn new(join: &HashJoinExec) -> Result<Self, DataFusionError> {
        let template = Arc::new(join.builder().reset_state().build()?);
        // From disk, rows come in another order than the probe side's.
        let mut properties = PlanProperties::clone(template.properties());
        properties.eq_properties.clear_orderings();
        let properties = PlanProperties::new(
            properties.eq_properties,
            properties.partitioning,
            properties.emission_type,
            properties.boundedness,
        );
        Ok(Self { template, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() })
    }
}

impl DisplayAs for SpillingJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.template.on().iter().map(|(left, right)| format!("({left}, {right})")).collect();
        write!(f, "SpillingJoinExec: {}, on=[{}]", self.template.join_type(), keys.join(", "))
    }
}

impl ExecutionPlan for SpillingJoinExec {
    fn name(&self) -> &'static str {
        "SpillingJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.template.left(), self.template.right()]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        match self.template.partition_mode() {
            PartitionMode::Partitioned => self.template.input_distribution_requirements(),
            PartitionMode::CollectLeft | PartitionMode::Auto => {
                InputDistributionRequirements::new(vec![Distribution::SinglePartition, Distribution::SinglePartition])
            }
        }
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        self.template.apply_expressions(visit)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let join = self.template.builder().reset_state().with_new_children(children)?.recompute_properties().build()?;
        Ok(Arc::new(Self::new(&join)?))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let (left, right) = (self.template.left(), self.template.right());
        if left.properties().partitioning.partition_count() != right.properties().partitioning.partition_count() {
            return internal_err!("a join of sides that are partitioned differently");
        }
        let measured = BaselineMetrics::new(&self.metrics, partition);
        let watch = Stopwatch::new(&measured);
        let mut left = watch.input(left.execute(partition, Arc::clone(&context))?);
        let right = watch.input(right.execute(partition, Arc::clone(&context))?);
        let mut collector = Collector::new(Arc::clone(&self.template), JoinSide::Left, context)?;
        let joined = stream::once(async move {
            while let Some(batch) = left.try_next().await? {
                collector.push(batch)?;
            }
            drop(left);
            collector.finish()?.join(right)
        });
        let joined = watch.output(joined.try_flatten());
        let counted = joined.inspect_ok(move |batch| measured.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), counted)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.template.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>, DataFusionError> {
        self.template.statistics_from_inputs(input_stats, args)
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>, DataFusionError> {
        self.template.try_swapping_with_projection(projection)?.map(with_spilling_joins).transpose()
    }
}
