//! Equal fragments of one plan, read once.
//!
//! Two places of a plan that ask one agency for the same rows, under the same obligations and with no keys to wait for, become
//! one fragment: one statement, one entry of the audit record, one state of the source. Each place still has all its rows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DataFusionError, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use wayleave_connector_api::Relation;

use super::carve::for_each_fragment;
use super::fragment_exec::without_key_slots;
use super::node::FragmentNode;
use crate::execution::{Pace, Spool};

/// Gives equal fragments one id, and each of them the number of its places.
pub(super) fn read_once(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let mut distinct: Vec<(FragmentNode, usize)> = Vec::new();
    for_each_fragment(&plan, &mut |node| match distinct.iter_mut().find(|(known, _)| are_equal(known, node)) {
        Some((_, places)) => *places = places.saturating_add(1),
        None => distinct.push((node.clone(), 1)),
    })?;
    if distinct.iter().all(|(_, places)| *places == 1) {
        return Ok(plan);
    }
    plan.transform_down_with_subqueries(|node| {
        let Some(fragment) = FragmentNode::of(&node) else { return Ok(Transformed::no(node)) };
        let known = distinct.iter().find(|(known, places)| *places > 1 && are_equal(known, fragment));
        Ok(match known {
            Some((known, places)) => {
                let mut fragment = fragment.clone();
                (fragment.id, fragment.places) = (known.id, *places);
                Transformed::yes(fragment.into_plan())
            }
            None => Transformed::no(node),
        })
    })
    .data()
}

/// Whether two fragments ask the same of the same agency. What waits for keys is like no other.
fn are_equal(one: &FragmentNode, other: &FragmentNode) -> bool {
    let types = |node: &FragmentNode| {
        node.fragment.schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>()
    };
    Arc::ptr_eq(&one.agency, &other.agency)
        && one.fragment.root == other.fragment.root
        && types(one) == types(other)
        && one.ordering == other.ordering
        && one.origins == other.origins
        && one.counting == other.counting
        && !awaits_keys(&one.fragment.root)
}

fn awaits_keys(relation: &Relation) -> bool {
    without_key_slots(relation) != *relation
}

/// The fragments of one running query that are read for several places; reachable from the task's configuration, and gone with
/// it.
#[derive(Debug, Default)]
pub struct SharedReads(Mutex<HashMap<u64, Arc<Spool>>>);

impl SharedReads {
    pub(super) fn of(context: &TaskContext) -> Result<Arc<Self>, DataFusionError> {
        context
            .session_config()
            .get_extension::<Self>()
            .ok_or_else(|| internal_datafusion_err!("a fragment runs outside of a query"))
    }

    /// The rows of a fragment for one of its places. A place that asks a second time, as inside a recursion, reads anew.
    pub(super) fn rows(
        &self,
        fragment: u64,
        places: usize,
        context: &TaskContext,
        read: impl Fn() -> SendableRecordBatchStream,
    ) -> SendableRecordBatchStream {
        // A map of handles: whatever panicked, each of them is whole.
        let mut spools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spool = spools.entry(fragment).or_insert_with(|| Spool::new(read(), places, Pace::AsWanted, context));
        spool.reader().unwrap_or_else(read)
    }
}
