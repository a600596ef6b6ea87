//! The keyed join: reads its smaller side first, then asks the other only for the keys found there.
//!
//! Exact for any number of keys: they go in as many statements as it takes, and the join itself still compares every row.
//! Where there turn out to be so many that a scan is cheaper, the other side is read whole and no key leaves: from that moment
//! on, beside the rest of the first. Rows of the first side that do not fit into memory wait on disk.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
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
use wayleave_connector_api::KeyDisclosure;

use super::estimate::count;
use super::fragment_exec::{FragmentExec, run_of};
use super::keys::{Held, KeyCollector, PSEUDONYMS_SENT, SentKeys};
use super::node::{SentColumn, Side};
use super::run::{Disclosed, QueryRun};
use crate::execution::{Collector, Pace, Spool, Stopwatch};

/// Below this many keys they are always sent: no scan is cheaper.
const ALWAYS_SENT: f64 = 1_000.0;

/// The share of the receiver's rows above which it is read whole: a look-up by index costs about ten rows of a scan.
const SCAN_SHARE: f64 = 0.1;

/// The same share for pseudonyms: the receiver reads every row in any case, and what is saved is the rows that do not leave it.
/// (Of 10 million rows in PostgreSQL, 21 s for one thread to make all pseudonyms, 4.5 s to send all rows to this machine.)
const PSEUDONYM_SHARE: f64 = 0.5;

/// How many times the keys that would still be sent must be expected before a scan begins without having seen them.
const CLEARLY: f64 = 2.0;

#[derive(Debug)]
pub struct KeyedJoinExec {
    giver: Arc<dyn ExecutionPlan>,
    /// The plan in which fragments wait for the keys.
    receiver: Arc<dyn ExecutionPlan>,
    /// Rows expected, without keys, of the fragment that waits for each column's.
    waiting: Vec<f64>,
    join: KeyedJoin,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What does not change when its inputs are replanned.
#[derive(Clone, Debug)]
pub(super) struct KeyedJoin {
    pub receiver_side: Side,
    /// In the order (left, right) of the logical join.
    pub on: Vec<(usize, usize)>,
    pub filter: Option<JoinFilter>,
    pub join_type: JoinType,
    pub sent: Vec<SentColumn>,
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
        let waiting = join.sent.iter().map(|column| fragment(&receiver, column.slot).map(FragmentExec::rows));
        let Some(waiting) = waiting.collect::<Option<Vec<f64>>>() else {
            return internal_err!("a keyed join without a fragment that waits for its keys");
        };
        Ok(Self { giver, receiver, waiting, join, properties, metrics: ExecutionPlanMetricsSet::new() })
    }
}

fn fragment(plan: &Arc<dyn ExecutionPlan>, id: u64) -> Option<&FragmentExec> {
    if let Some(fragment) = plan.downcast_ref::<FragmentExec>() {
        return (fragment.id == id).then_some(fragment);
    }
    plan.children().into_iter().find_map(|child| fragment(child, id))
}

/// The receiving plan, its waiting fragment narrowed by the keys.
fn narrowed(
    receiver: Arc<dyn ExecutionPlan>,
    column: &SentColumn,
    keys: &SentKeys,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let told = receiver.transform_down(|plan| {
        Ok(match plan.downcast_ref::<FragmentExec>() {
            Some(fragment) if fragment.id == column.slot => {
                let told: Arc<dyn ExecutionPlan> = Arc::new(fragment.narrowed(column.number, keys.clone()));
                Transformed::yes(told)
            }
            _ => Transformed::no(plan),
        })
    })?;
    Ok(told.data)
}

/// The two sides.
struct Sides {
    giver: Arc<dyn ExecutionPlan>,
    receiver: Arc<dyn ExecutionPlan>,
    /// Rows expected, without keys, of the fragment that waits for each column's.
    waiting: Vec<f64>,
}

/// Keys of one column while they are being found.
struct Finding {
    column: SentColumn,
    /// Its position among the giver's.
    given: usize,
    giver_rows: f64,
    receiver_rows: f64,
    /// `None` once they are not to be sent.
    keys: Option<KeyCollector>,
}

impl Sides {
    /// Rows expected of the giver, as its largest fragment has them.
    fn giver_rows(&self) -> f64 {
        fragments(&self.giver).iter().map(|fragment| fragment.rows()).fold(0.0, f64::max)
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
        watch: Stopwatch,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let run = run_of(&context)?;
        let given_side = match self.receiver_side {
            Side::Left => JoinSide::Right,
            Side::Right => JoinSide::Left,
        };
        let mut collector = Collector::new(Arc::new(self.template(&sides)?), given_side, Arc::clone(&context))?;
        let mut finding = self.finding(&sides, &context)?;
        let mut giver = giver;
        let mut ahead = None;
        while let Some(batch) = giver.try_next().await? {
            for column in &mut finding {
                column.add(&batch, &run, &mut collector)?;
            }
            let none_is_sent = finding.iter().all(|column| column.keys.is_none());
            if none_is_sent && ahead.is_none() && sides.may_be_read_at_once() {
                let whole = Arc::clone(&sides.receiver).execute(0, Arc::clone(&context))?;
                ahead = Spool::new(whole, 1, Pace::AtOnce, &context).reader();
            }
            collector.push(batch)?;
        }
        drop(giver);
        let collected = collector.finish()?;
        let received = match ahead {
            Some(received) => received,
            None => send(sides.receiver, finding, &run)?.execute(0, context)?,
        };
        let joined = collected.join(watch.input(received))?;
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema, joined)))
    }

    fn finding(&self, sides: &Sides, context: &TaskContext) -> Result<Vec<Finding>, DataFusionError> {
        let columns = self.sent.iter().zip(&sides.waiting).map(|(column, receiver_rows)| {
            let given = match (self.receiver_side, self.on.get(column.pair)) {
                (Side::Left, Some((_, right))) => *right,
                (Side::Right, Some((left, _))) => *left,
                (_, None) => return internal_err!("a keyed join without its key"),
            };
            let keys = Some(KeyCollector::new(context.memory_pool()));
            Ok(Finding {
                column: column.clone(),
                given,
                giver_rows: sides.giver_rows(),
                receiver_rows: *receiver_rows,
                keys,
            })
        });
        columns.collect()
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

impl Finding {
    fn add(&mut self, batch: &RecordBatch, run: &QueryRun, collector: &mut Collector) -> Result<(), DataFusionError> {
        let Some(found) = &mut self.keys else { return Ok(()) };
        found.add(batch, self.given)?;
        if is_many(found.len()) {
            run.decided_by_statistics(self.column.slot);
        }
        let scan = Scan { rows: self.receiver_rows, disclosure: self.column.told.disclosure };
        if scan.is_cheaper(found.len()) || scan.will_be_cheaper(found.len(), self.giver_rows) {
            self.keys = None;
        } else if found.hold() == Held::No {
            // The rows can wait on disk, the keys cannot; and where they do not fit either, a scan needs none.
            collector.spill()?;
            if found.hold() == Held::No {
                self.keys = None;
            }
        }
        Ok(())
    }
}

/// Reading the receiver whole, in place of telling it keys.
struct Scan {
    rows: f64,
    disclosure: KeyDisclosure,
}

impl Scan {
    /// As many keys as cost the receiver what a scan does.
    fn worth(&self) -> f64 {
        match self.disclosure {
            KeyDisclosure::Plain => self.rows * SCAN_SHARE,
            KeyDisclosure::Pseudonymised => self.rows * PSEUDONYM_SHARE,
        }
    }

    /// Whether so many keys cost the receiver more. More of them only make it worse.
    fn is_cheaper(&self, keys: usize) -> bool {
        let too_many = self.disclosure == KeyDisclosure::Pseudonymised && keys > PSEUDONYMS_SENT;
        too_many || (is_many(keys) && count(keys) > self.worth())
    }

    /// Whether there are many keys already, and so many more expected that the receiver will be read whole in the end.
    fn will_be_cheaper(&self, keys: usize, giver_rows: f64) -> bool {
        is_many(keys) && giver_rows > CLEARLY * self.worth()
    }
}

/// The receiving plan, told the keys. The fewest go first; a column whose keys would take statements of their own is left out
/// where its fragment is narrowed by others already, and where one column has no key at all, no other is told.
fn send(
    receiver: Arc<dyn ExecutionPlan>,
    finding: Vec<Finding>,
    run: &QueryRun,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let mut found = Vec::with_capacity(finding.len());
    for column in finding {
        if let Some(keys) = column.keys {
            found.push((column.column, keys.finish()?));
        }
    }
    found.sort_by_key(|(_, keys)| keys.len());
    let mut receiver = receiver;
    for (column, keys) in found {
        let Some(fragment) = fragment(&receiver, column.slot) else {
            return internal_err!("a fragment that waits for keys has gone");
        };
        let beside = fragment.keys().values().find_map(SentKeys::pseudonymiser);
        let keys = SentKeys::new(keys, column.told.disclosure, beside)?;
        if keys.statements().len() > 1 && !fragment.keys().is_empty() {
            continue;
        }
        if keys.len() == 0 {
            // No row of the giver's can have a match, so no row of the receiver's is asked for.
            return narrowed(receiver, &column, &keys);
        }
        let disclosed = Disclosed {
            from: column.told.agencies.keys().cloned().collect(),
            to: column.receives.clone(),
            keys: u64::try_from(keys.len()).unwrap_or(u64::MAX),
            disclosure: column.told.disclosure,
        };
        run.add_disclosure(column.slot, disclosed);
        receiver = narrowed(receiver, &column, &keys)?;
    }
    Ok(receiver)
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
        let sent: Vec<String> = self.join.sent.iter().map(SentColumn::words).collect();
        write!(f, "KeyedJoinExec: {}, {}", self.join.join_type, sent.join(", "))
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
        let watch = Stopwatch::new(&measured);
        let giver = watch.input(giver);
        let joined = watch.output(stream::once(join.run(sides, giver, watch.clone(), context)).try_flatten());
        let joined = joined.inspect_ok(move |batch| measured.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, joined)))
    }
}
