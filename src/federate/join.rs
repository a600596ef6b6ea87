//! Joins: inside one source where it can, with keys sent where an agreement discloses them, here otherwise.

use datafusion::common::NullEquality;
use datafusion::logical_expr::{Expr, Join, JoinType};

use super::key_slot::{Keys, with_input};
use super::lineage::key_scheme;
use super::node::{KeyedJoinNode, SentColumn, Side};
use super::piece::Carved;
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
            Some((giver.rows(), target.spared_rows(), keyed_towards(join, *receiver)?))
        })
        .collect();
    // Where both may give, the clearly smaller does; where one may, it does unless it is the larger.
    let clearly = if allowed.len() > 1 { 2.0 } else { 1.0 };
    allowed.retain(|(giver, target, _)| giver * clearly <= *target);
    allowed.into_iter().next().map(|(_, _, keyed)| keyed)
}

fn keyed_towards(join: &Join, receiver: Side) -> Option<KeyedJoinNode> {
    if join.on.iter().any(|(left, right)| !matches!((left, right), (Expr::Column(_), Expr::Column(_))))
        || join.filter.as_ref().is_some_and(holds_subquery)
        || join.null_equality != NullEquality::NullEqualsNothing
    {
        return None;
    }
    let (giver, target) = match receiver {
        Side::Left => (&join.right, &join.left),
        Side::Right => (&join.left, &join.right),
    };
    let mut plan = target.as_ref().clone();
    let mut sent = Vec::new();
    for (pair, (left, right)) in join.on.iter().enumerate() {
        let (Expr::Column(given), Expr::Column(received)) = (match receiver {
            Side::Left => (right, left),
            Side::Right => (left, right),
        }) else {
            return None;
        };
        // Other columns' values are no keys: they are compared here.
        let Some(scheme) = key_scheme(giver, given) else { continue };
        let keys = Keys { giver, scheme };
        let position = plan.schema().maybe_index_of_column(received);
        if let Some(waiting) = position.and_then(|position| keys.awaited_in(&plan, position)) {
            sent.push(SentColumn::new(pair, &waiting));
            plan = waiting.plan;
        }
    }
    (!sent.is_empty()).then(|| KeyedJoinNode::new(with_input(join, receiver, plan), receiver, sent))
}
