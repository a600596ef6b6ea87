//! Joins: inside one source where it can, with keys sent where an agreement discloses them, here otherwise.

use std::sync::Arc;

use datafusion::common::NullEquality;
use datafusion::logical_expr::{Expr, Join, JoinType};

use super::lineage::{disclosing_agencies, key_scheme};
use super::node::{KeyedJoinNode, Side};
use super::piece::{Carved, place_key_slot, subject_scheme};
use crate::expression::holds_subquery;

/// The sides that may be narrowed by the other's keys without changing the answer: rows of that side that match nothing
/// must not appear in it.
pub(super) fn receivers(join_type: JoinType, null_aware: bool) -> Vec<Side> {
    if null_aware {
        return Vec::new();
    }
    match join_type {
        JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => vec![Side::Right, Side::Left],
        JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => vec![Side::Right],
        JoinType::Right | JoinType::RightAnti | JoinType::RightMark => vec![Side::Left],
        JoinType::Full => Vec::new(),
    }
}

/// The join with keys sent, where governance allows a direction and the shape of the query speaks for it. How many keys
/// there really are decides at run time whether they are sent.
pub(super) fn keyed_join(join: &Join, receivers: &[Side], left: &Carved, right: &Carved) -> Option<KeyedJoinNode> {
    let mut allowed: Vec<(f64, f64, KeyedJoinNode)> = receivers
        .iter()
        .filter_map(|receiver| {
            let (giver, target) = match receiver {
                Side::Left => (right, left),
                Side::Right => (left, right),
            };
            Some((giver.rows(), target.rows(), keyed_towards(join, *receiver, target)?))
        })
        .collect();
    // Where both may give, the clearly smaller does; where one may, it does unless it is the larger.
    let clearly = if allowed.len() > 1 { 2.0 } else { 1.0 };
    allowed.retain(|(giver, target, _)| giver * clearly <= *target);
    allowed.into_iter().next().map(|(_, _, keyed)| keyed)
}

fn keyed_towards(join: &Join, receiver: Side, target: &Carved) -> Option<KeyedJoinNode> {
    let Carved::Source(target) = target else { return None };
    if target.is_unsigned() {
        return None;
    }
    if join.on.iter().any(|(left, right)| !matches!((left, right), (Expr::Column(_), Expr::Column(_))))
        || join.filter.as_ref().is_some_and(holds_subquery)
        || join.null_equality != NullEquality::NullEqualsNothing
    {
        return None;
    }
    let (giver_plan, _) = match receiver {
        Side::Left => (&join.right, &join.left),
        Side::Right => (&join.left, &join.right),
    };
    let discloses = disclosing_agencies(giver_plan, &target.agency.name)?;
    for (pair, (left, right)) in join.on.iter().enumerate() {
        let (Expr::Column(given), Expr::Column(received)) = (match receiver {
            Side::Left => (right, left),
            Side::Right => (left, right),
        }) else {
            continue;
        };
        let Some(output) = target.schema.maybe_index_of_column(received) else { continue };
        let Some(scheme) = subject_scheme(&target.relation, output) else { continue };
        if key_scheme(giver_plan, given) != Some(scheme) {
            continue;
        }
        let mut narrowed = target.as_ref().clone();
        if !place_key_slot(&mut narrowed.relation, output) {
            continue;
        }
        narrowed.ordering = Vec::new();
        let narrowed = Arc::new(narrowed.into_node().ok()?.into_plan());
        let mut join = join.clone();
        match receiver {
            Side::Left => join.left = narrowed,
            Side::Right => join.right = narrowed,
        }
        return Some(KeyedJoinNode::new(join, receiver, pair, discloses));
    }
    None
}
