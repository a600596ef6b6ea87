//! What DataFusion's operators counted, by the logical operation that they carry out.
//!
//! The planner turns one logical operation into several operators, leaves some out and may turn a join's sides round. What
//! stays is which fragments lie below: operators over the same fragments stand in one chain, and in that chain the logical
//! operations come in the same order. What finds no match is not counted: no number is better than another's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};

use crate::federate::{FragmentExec, KeyedJoinExec};

/// What an operator counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Rows that came out of it.
    pub rows: u64,
    /// Time that it computed, over all threads, without its inputs'.
    pub compute: Option<Duration>,
}

/// What kind of logical operation an operator carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Filter,
    Projection,
    Join,
    Aggregate,
    Sort,
    Limit,
    Union,
    Window,
    Unnest,
    Recursive,
}

impl Class {
    fn of(plan: &dyn ExecutionPlan) -> Option<Self> {
        if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
            // The first half of a grouping has rows of its own, which are nobody's answer.
            return (!matches!(aggregate.mode(), AggregateMode::Partial)).then_some(Self::Aggregate);
        }
        Some(match plan.name() {
            "FilterExec" => Self::Filter,
            "ProjectionExec" => Self::Projection,
            "SortExec" => Self::Sort,
            "GlobalLimitExec" => Self::Limit,
            "UnionExec" | "InterleaveExec" => Self::Union,
            "WindowAggExec" | "BoundedWindowAggExec" => Self::Window,
            "UnnestExec" => Self::Unnest,
            "RecursiveQueryExec" => Self::Recursive,
            name if name.ends_with("JoinExec") => Self::Join,
            _ => return None,
        })
    }
}

/// The operators of a plan, from the top, by the fragments below them.
#[derive(Debug, Default)]
pub(super) struct Chains(BTreeMap<BTreeSet<u64>, VecDeque<(Class, Option<Counted>)>>);

impl Chains {
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let mut chains = Self::default();
        chains.collect(plan.as_ref());
        chains
    }

    /// The next operator of this class over these fragments.
    pub fn take(&mut self, fragments: &BTreeSet<u64>, class: Class) -> Option<Counted> {
        let chain = self.0.get_mut(fragments)?;
        let place = chain.iter().position(|(found, _)| *found == class)?;
        let (_, counted) = chain.drain(..=place).next_back()?;
        counted
    }

    fn collect(&mut self, plan: &dyn ExecutionPlan) {
        let fragments = fragments_below(plan);
        if let (Some(class), false) = (Class::of(plan), fragments.is_empty()) {
            self.0.entry(fragments).or_default().push_back((class, counted(plan)));
        }
        for child in plan.children() {
            self.collect(child.as_ref());
        }
    }
}

fn fragments_below(plan: &dyn ExecutionPlan) -> BTreeSet<u64> {
    if let Some(fragment) = plan.downcast_ref::<FragmentExec>() {
        return BTreeSet::from([fragment.id]);
    }
    let mut below: BTreeSet<u64> =
        plan.children().into_iter().flat_map(|child| fragments_below(child.as_ref())).collect();
    if let Some(keyed) = plan.downcast_ref::<KeyedJoinExec>() {
        below.insert(keyed.receiver().id);
    }
    below
}

fn counted(plan: &dyn ExecutionPlan) -> Option<Counted> {
    let metrics = plan.metrics()?;
    let rows = u64::try_from(metrics.output_rows()?).ok()?;
    let compute = metrics.elapsed_compute().and_then(|nanoseconds| u64::try_from(nanoseconds).ok());
    Some(Counted { rows, compute: compute.filter(|time| *time > 0).map(Duration::from_nanos) })
}
