//! Where a plan's columns and rows come from: asked before keys of one agency may be sent to another.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, DataFusionError};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan};
use wayleave_connector_api::{KeyDisclosure, Scheme};

use super::node::{FragmentNode, KeyedJoinNode, Origin};
use super::piece::subject_scheme;

/// Every released table below a plan.
pub(super) fn origins(plan: &LogicalPlan) -> Option<Vec<Origin>> {
    let mut found = Vec::new();
    collect_origins(plan, &mut found).ok()?;
    Some(found)
}

/// Subqueries inside expressions count: what they find decides which rows there are.
fn collect_origins(plan: &LogicalPlan, found: &mut Vec<Origin>) -> Result<(), DataFusionError> {
    plan.apply_with_subqueries(|node| {
        if let Some(fragment) = FragmentNode::of(node) {
            found.extend(fragment.origins.iter().cloned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Whose keys a plan's rows would tell of, and as what they may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosing {
    /// Each with the agreements under which it discloses them.
    pub agencies: BTreeMap<String, BTreeSet<String>>,
    pub disclosure: KeyDisclosure,
}

impl Disclosing {
    pub(super) fn and(mut self, other: Self) -> Self {
        for (agency, agreements) in other.agencies {
            self.agencies.entry(agency).or_default().extend(agreements);
        }
        Self { disclosure: self.disclosure.min(other.disclosure), ..self }
    }
}

/// The agencies whose keys a plan's rows would tell of, where each of them discloses its keys to `receiver`.
///
/// INVARIANT: rows of a join tell of every agency in it, so every one must agree; `None` where one does not. They are sent as
/// the most reticent of them says.
pub(super) fn disclosing(plan: &LogicalPlan, receiver: &str) -> Option<Disclosing> {
    let mut disclosing = Disclosing { agencies: BTreeMap::new(), disclosure: KeyDisclosure::Plain };
    for origin in origins(plan)? {
        if origin.agency == receiver {
            continue;
        }
        disclosing.disclosure = disclosing.disclosure.min(*origin.disclose_keys_to.get(receiver)?);
        disclosing.agencies.entry(origin.agency).or_default().insert(origin.agreement);
    }
    Some(disclosing)
}

/// The scheme of the subject key that a plan's column holds unchanged, if it does.
pub(super) fn key_scheme(plan: &LogicalPlan, column: &Column) -> Option<Scheme> {
    let position = plan.schema().maybe_index_of_column(column)?;
    key_scheme_at(plan, position)
}

fn key_scheme_at(plan: &LogicalPlan, position: usize) -> Option<Scheme> {
    if let Some(fragment) = FragmentNode::of(plan) {
        return subject_scheme(&fragment.fragment.root, position);
    }
    if let Some(keyed) = KeyedJoinNode::of(plan) {
        return joined(&keyed.join.left, &keyed.join.right, keyed.join.join_type, position);
    }
    match plan {
        LogicalPlan::Filter(filter) => key_scheme_at(&filter.input, position),
        LogicalPlan::Sort(sort) => key_scheme_at(&sort.input, position),
        LogicalPlan::Limit(limit) => key_scheme_at(&limit.input, position),
        LogicalPlan::Repartition(repartition) => key_scheme_at(&repartition.input, position),
        LogicalPlan::SubqueryAlias(alias) => key_scheme_at(&alias.input, position),
        LogicalPlan::Projection(projection) => named(&projection.input, projection.expr.get(position)?),
        LogicalPlan::Aggregate(aggregate) => named(&aggregate.input, aggregate.group_expr.get(position)?),
        LogicalPlan::Join(join) => joined(&join.left, &join.right, join.join_type, position),
        LogicalPlan::Union(union) => {
            let mut schemes = union.inputs.iter().map(|input| key_scheme_at(input, position));
            let first = schemes.next()??;
            schemes.all(|scheme| scheme == Some(first)).then_some(first)
        }
        _ => None,
    }
}

fn named(input: &LogicalPlan, expr: &Expr) -> Option<Scheme> {
    match expr {
        Expr::Column(column) => key_scheme(input, column),
        Expr::Alias(alias) => named(input, &alias.expr),
        _ => None,
    }
}

fn joined(left: &LogicalPlan, right: &LogicalPlan, join_type: JoinType, position: usize) -> Option<Scheme> {
    let width = left.schema().fields().len();
    match join_type {
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => key_scheme_at(right, position),
        _ if position < width => key_scheme_at(left, position),
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => None,
        _ => key_scheme_at(right, position - width),
    }
}
