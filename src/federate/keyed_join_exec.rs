//! The keyed join: reads its smaller side first, then asks the other only for the keys found there.
//!
//! Exact for any number of keys: they go in as many statements as it takes, and the join itself still compares every row.
//! Where there turn out to be so many that a scan is cheaper, the other side is read whole and no key leaves: from that moment
//! on, beside the rest of the first. Rows of the first side that do not fit into memory wait on disk.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, JoinSide, JoinType, NullEquality, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::joins::utils::{JoinFilter, JoinOn};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use futures::{TryStreamExt, stream};

use super::estimate::count;
use super::fragment_exec::{FragmentExec, run_of};
use super::keys::{Held, KeyCollector, KeySet};
use super::node::Side;
use super::run::Disclosed;
use crate::execution::{Collector, Pace, Spool};

/// Below this many keys they are always sent: no scan is cheaper.
const ALWAYS_SENT: f64 = 1_000.0;

/// The share of the receiver's rows above which it is read whole: a look-up by index costs about ten rows of a scan.
const SCAN_SHARE: f64 = 0.1;

/// How many times the keys that would still be sent must be expected before a scan begins without having seen them.
const CLEARLY: f64 = 2.0;

#[derive(Debug)]
pub struct KeyedJoinExec {
    giver: Arc<dyn ExecutionPlan>,
    /// The plan in which a fragment waits for the keys.
    receiver: Arc<dyn ExecutionPlan>,
    waiting: Waiting,
    join: KeyedJoin,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What does not change when its inputs are replanned.
#[derive(Clone, Debug)]
pub(super) struct KeyedJoin {
    pub receiver_side: Side,
    /// The id of the fragment that waits for the keys.
    pub slot: u64,
    /// In the order (left, right) of the logical join.
    pub on: Vec<(usize, usize)>,
    pub pair: usize,
    pub filter: Option<JoinFilter>,
    pub join_type: JoinType,
    pub discloses: BTreeSet<String>,
    pub schema: SchemaRef,
}

impl KeyedJoinExec {
    pub(super) fn try_new(
        giver: Arc<dyn ExecutionPlan>,
        receiver: Arc<dyn ExecutionPlan>,
        join: KeyedJoin,
    ) -> Result<Self, DataFusionError> {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&join.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        let Some(waiting) = waiting(&receiver, join.slot) else {
            return internal_err!("a keyed join without a fragment that waits for its keys");
        };
        Ok(Self { giver, receiver, waiting, join, properties, metrics: ExecutionPlanMetricsSet::new() })
    }
}

/// The fragment that waits for keys.
#[derive(Clone, Debug)]
struct Waiting {
    agency: String,
    /// Rows expected of it without keys.
    rows: f64,
}

fn waiting(plan: &Arc<dyn ExecutionPlan>, slot: u64) -> Option<Waiting> {
    if let Some(fragment) = plan.downcast_ref::<FragmentExec>() {
        let found = Waiting { agency: fragment.agency.name.clone(), rows: fragment.rows() };
        return (fragment.id == slot).then_some(found);
    }
    plan.children().into_iter().find_map(|child| waiting(child, slot))
}

/// The receiving plan, its waiting fragment narrowed by the keys.
fn narrowed(
    receiver: Arc<dyn ExecutionPlan>,
    slot: u64,
    keys: Option<&Arc<KeySet>>,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let told = receiver.transform_down(|plan| {
        Ok(match plan.downcast_ref::<FragmentExec>() {
            Some(fragment) if fragment.id == slot => {
                let told: Arc<dyn ExecutionPlan> = Arc::new(fragment.narrowed(keys.cloned()));
                Transformed::yes(told)
            }
            _ => Transformed::no(plan),
        })
    })?;
    Ok(told.data)
}

/// The two sides, and the fragment of the second that waits for keys of the first.
struct Sides {
    giver: Arc<dyn ExecutionPlan>,
    receiver: Arc<dyn ExecutionPlan>,
    waiting: Waiting,
}

impl Sides {
    /// Whether there are many keys already, and so many more expected that the receiver will be read whole in the end.
    fn scan_will_be_cheaper(&self, keys: usize) -> bool {
        let expected: f64 = fragments(&self.giver).iter().map(|fragment| fragment.rows()).fold(0.0, f64::max);
        is_many(keys) && expected > CLEARLY * self.waiting.rows * SCAN_SHARE
    }

    /// Whether the receiver may be opened while the giver is read. Each must be one statement, of another agency's: who holds
    /// a place in one agency's budget and waits for a second one could wait for another query that does the same.
    fn may_be_read_at_once(&self) -> bool {
        match (fragments(&self.giver).as_slice(), fragments(&self.receiver).as_slice()) {
            ([giver], [receiver]) => {
                !giver.agency.shares_source_with(&receiver.agency) && giver.agency.name != receiver.agency.name
            }
            _ => false,
        }
    }
}

fn fragments(plan: &Arc<dyn ExecutionPlan>) -> Vec<&FragmentExec> {
    match plan.downcast_ref::<FragmentExec>() {
        Some(fragment) => vec![fragment],
        None => plan.children().into_iter().flat_map(fragments).collect(),
    }
}

impl KeyedJoin {
    async fn run(
        self,
        sides: Sides,
        giver: SendableRecordBatchStream,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let run = run_of(&context)?;
        let (given_side, given_column) = match (self.receiver_side, self.on.get(self.pair)) {
            (Side::Left, Some((_, right))) => (JoinSide::Right, *right),
            (Side::Right, Some((left, _))) => (JoinSide::Left, *left),
            (_, None) => return internal_err!("a keyed join without its key"),
        };
        let mut collector = Collector::new(Arc::new(self.template(&sides)?), given_side, Arc::clone(&context))?;
        let mut keys = Some(KeyCollector::new(context.memory_pool()));
        let mut giver = giver;
        let mut ahead = None;
        while let Some(batch) = giver.try_next().await? {
            if let Some(found) = &mut keys {
                found.add(&batch, given_column)?;
                if is_many(found.len()) {
                    run.decided_by_statistics(self.slot);
                }
                if scan_is_cheaper(found.len(), sides.waiting.rows) || sides.scan_will_be_cheaper(found.len()) {
                    keys = None;
                } else if found.hold() == Held::No {
                    // The rows can wait on disk, the keys cannot; and where they do not fit either, a scan needs none.
                    collector.spill()?;
                    if found.hold() == Held::No {
                        keys = None;
                    }
                }
            }
            if keys.is_none() && ahead.is_none() && sides.may_be_read_at_once() {
                let whole = narrowed(Arc::clone(&sides.receiver), self.slot, None)?.execute(0, Arc::clone(&context))?;
                ahead = Spool::new(whole, 1, Pace::AtOnce, &context).reader();
            }
            collector.push(batch)?;
        }
        drop(giver);
        let collected = collector.finish()?;
        let keys = keys.map(KeyCollector::finish).transpose()?.map(Arc::new);
        if let Some(keys) = keys.as_ref().filter(|keys| keys.len() > 0) {
            let disclosed = Disclosed {
                from: self.discloses.clone(),
                to: sides.waiting.agency.clone(),
                keys: u64::try_from(keys.len()).unwrap_or(u64::MAX),
            };
            run.add_disclosure(self.slot, disclosed);
        }
        let received = match ahead {
            Some(received) => received,
            None => narrowed(sides.receiver, self.slot, keys.as_ref())?.execute(0, context)?,
        };
        let joined = collected.join(received)?;
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema, joined)))
    }

    /// How the two sides join, whatever their rows come from.
    fn template(&self, sides: &Sides) -> Result<HashJoinExec, DataFusionError> {
        let (giver, receiver) = (Arc::clone(&sides.giver), Arc::clone(&sides.receiver));
        let (left, right) = match self.receiver_side {
            Side::Left => (receiver, giver),
            Side::Right => (giver, receiver),
        };
        let on: JoinOn = self
            .on
            .iter()
            .map(|(left_column, right_column)| Ok((column(&left, *left_column)?, column(&right, *right_column)?)))
            .collect::<Result<_, DataFusionError>>()?;
        HashJoinExec::try_new(
            left,
            right,
            on,
            self.filter.clone(),
            &self.join_type,
            None,
            PartitionMode::CollectLeft,
            NullEquality::NullEqualsNothing,
            false,
        )
    }
}

/// Whether so many keys cost the receiver more than reading it whole. More of them only make it worse.
fn scan_is_cheaper(keys: usize, receiver_rows: f64) -> bool {
    is_many(keys) && count(keys) > receiver_rows * SCAN_SHARE
}

/// Whether there are so many keys that the receiver's size decides what is done with them.
fn is_many(keys: usize) -> bool {
    count(keys) > ALWAYS_SENT
}

fn column(plan: &Arc<dyn ExecutionPlan>, position: usize) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let schema = plan.schema();
    let Some(field) = schema.fields().get(position) else {
        return internal_err!("a join key that is not there");
    };
    Ok(Arc::new(Column::new(field.name(), position)))
}

impl DisplayAs for KeyedJoinExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from: Vec<&str> = self.join.discloses.iter().map(String::as_str).collect();
        write!(f, "KeyedJoinExec: {}, keys of {} to {}", self.join.join_type, from.join(", "), self.waiting.agency)
    }
}

impl ExecutionPlan for KeyedJoinExec {
    fn name(&self) -> &'static str {
        "KeyedJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.giver, &self.receiver]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition, Distribution::SinglePartition])
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let mut children = children.into_iter();
        match (children.next(), children.next(), children.next()) {
            (Some(giver), Some(receiver), None) => Ok(Arc::new(Self::try_new(giver, receiver, self.join.clone())?)),
            _ => internal_err!("a keyed join has two children"),
        }
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        if partition != 0 {
            return internal_err!("a keyed join has one partition");
        }
        let giver = self.giver.execute(0, Arc::clone(&context))?;
        let sides = Sides {
            giver: Arc::clone(&self.giver),
            receiver: Arc::clone(&self.receiver),
            waiting: self.waiting.clone(),
        };
        let join = self.join.clone();
        let schema = Arc::clone(&join.schema);
        let measured = BaselineMetrics::new(&self.metrics, partition);
        let joined = stream::once(join.run(sides, giver, context)).try_flatten().inspect_ok(move |batch| {
            measured.record_output(batch.num_rows());
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, joined)))
    }
}
