//! Where join keys arrive: the scan of a plan that they narrow.
//!
//! Narrowing that scan must be the same as narrowing the plan's own rows by the column that the join compares. So a slot goes
//! down only through operations that keep a row, with its key, or drop it, whatever other rows there are.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr as PlanExpr, Join, JoinType, LogicalPlan};
use wayleave_connector_api::{Dialect, Expr, JoinKind, KeyDisclosure, KeySlot, Relation, Scan, Scheme};

use super::lineage::{Disclosing, disclosing};
use super::node::{FragmentNode, KeyedJoinNode, SentColumn, Side};
use super::piece::{column_of, subject_scheme};

/// A plan in which one fragment waits for keys.
pub(super) struct Waiting {
    pub plan: LogicalPlan,
    /// The id of that fragment.
    pub fragment: u64,
    /// The number of its key slot.
    pub number: u32,
    pub agency: String,
    /// Whose keys it may be told, and as what.
    pub disclosing: Disclosing,
}

/// What is on its way to a scan.
pub(super) struct Keys<'a> {
    /// The plan that they come from.
    pub giver: &'a LogicalPlan,
    pub scheme: Scheme,
}

impl Keys<'_> {
    /// The plan with a place for these keys under this column; `None` where there is none, or where an agency behind the keys
    /// does not disclose them to the one that would receive them.
    pub(super) fn awaited_in(&self, plan: &LogicalPlan, position: usize) -> Option<Waiting> {
        if let Some(node) = FragmentNode::of(plan) {
            return self.awaited_by(node, position);
        }
        if let Some(keyed) = KeyedJoinNode::of(plan) {
            return self.awaited_in_keyed(keyed, position);
        }
        match plan {
            LogicalPlan::Filter(filter) => self.below(plan, &filter.input, position),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.below(plan, &sort.input, position),
            LogicalPlan::SubqueryAlias(alias) => self.below(plan, &alias.input, position),
            LogicalPlan::Projection(projection) => {
                self.below(plan, &projection.input, named(&projection.input, projection.expr.get(position)?)?)
            }
            LogicalPlan::Aggregate(aggregate) => {
                self.below(plan, &aggregate.input, named(&aggregate.input, aggregate.group_expr.get(position)?)?)
            }
            LogicalPlan::Join(join) => {
                let (side, position) = narrowed_side(join, position)?;
                let waiting = self.awaited_in(input(join, side), position)?;
                Some(Waiting { plan: LogicalPlan::Join(with_input(join, side, waiting.plan)), ..waiting })
            }
            _ => None,
        }
    }

    fn below(&self, plan: &LogicalPlan, input: &LogicalPlan, position: usize) -> Option<Waiting> {
        let waiting = self.awaited_in(input, position)?;
        let plan = plan.with_new_exprs(plan.expressions(), vec![waiting.plan]).ok()?;
        Some(Waiting { plan, ..waiting })
    }

    fn awaited_by(&self, node: &FragmentNode, position: usize) -> Option<Waiting> {
        if subject_scheme(&node.fragment.root, position) != Some(self.scheme) {
            return None;
        }
        // Keys would reach every agency in the server.
        if node.origins.iter().any(|origin| origin.agency != node.agency.name) {
            return None;
        }
        let disclosing = disclosing(self.giver, &node.agency.name)?;
        let mut node = node.clone();
        let taken = node.fragment.root.scans().into_iter().filter_map(|scan| scan.keys.as_ref());
        let number = taken.map(|slot| slot.number.saturating_add(1)).max().unwrap_or(0);
        let slot = place_key_slot(&mut node.fragment.root, position)?;
        slot.number = number;
        slot.disclosure = disclosing.disclosure;
        can_disclose(slot, node.agency.dialect()).then_some(())?;
        // Several statements' rows come one after the other, each in its own order.
        node.ordering = Vec::new();
        Some(Waiting {
            fragment: node.id(),
            number,
            agency: node.agency.name.clone(),
            plan: node.into_plan(),
            disclosing,
        })
    }

    /// Keys that narrow the giver of another keyed join speak through the keys that it gives: its receivers may be told them
    /// only where their agencies say so, and as what they say. Where they do not, that join is made without.
    fn awaited_in_keyed(&self, keyed: &KeyedJoinNode, position: usize) -> Option<Waiting> {
        let (side, position) = narrowed_side(&keyed.join, position)?;
        let waiting = self.awaited_in(input(&keyed.join, side), position)?;
        let join = with_input(&keyed.join, side, waiting.plan);
        if side == keyed.receiver {
            let plan = KeyedJoinNode { join, ..keyed.clone() }.into_plan();
            return Some(Waiting { plan, ..waiting });
        }
        let mut receiver = input(&join, keyed.receiver).clone();
        let mut sent = Vec::new();
        for column in &keyed.sent {
            // What that receiver gives on in its turn would speak of these keys too.
            let more = disclosing(self.giver, &column.receives).filter(|_| !gives_on(&receiver, column.slot));
            let told = more.map(|more| column.told.clone().and(more));
            let lessened = told.and_then(|told| Some((with_disclosure(&receiver, column, told.disclosure)?, told)));
            match lessened {
                Some((plan, told)) => {
                    receiver = plan;
                    sent.push(SentColumn { told, ..column.clone() });
                }
                None => receiver = without_slot(&receiver, column)?,
            }
        }
        let join = with_input(&join, keyed.receiver, receiver);
        let plan = if sent.is_empty() {
            LogicalPlan::Join(join)
        } else {
            KeyedJoinNode { join, sent, ..keyed.clone() }.into_plan()
        };
        Some(Waiting { plan, ..waiting })
    }
}

/// The side of a join that may be narrowed by one of its output columns, and that column's position there.
fn narrowed_side(join: &Join, position: usize) -> Option<(Side, usize)> {
    if join.null_aware {
        return None;
    }
    let width = join.left.schema().fields().len();
    let (left, right) = match join.join_type {
        JoinType::Inner => (true, true),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
        JoinType::Right => (false, true),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            let kept = position < join.right.schema().fields().len();
            return kept.then_some((Side::Right, position));
        }
        JoinType::Full => (false, false),
    };
    match position.checked_sub(width) {
        None => left.then_some((Side::Left, position)),
        Some(position) => right.then_some((Side::Right, position)),
    }
}

fn input(join: &Join, side: Side) -> &LogicalPlan {
    match side {
        Side::Left => &join.left,
        Side::Right => &join.right,
    }
}

pub(super) fn with_input(join: &Join, side: Side, plan: LogicalPlan) -> Join {
    let mut join = join.clone();
    match side {
        Side::Left => join.left = Arc::new(plan),
        Side::Right => join.right = Arc::new(plan),
    }
    join
}

/// Whether keys of rows that this fragment brings are sent further on inside a plan.
fn gives_on(plan: &LogicalPlan, fragment: u64) -> bool {
    let brings = |plan: &LogicalPlan| {
        plan.exists(|node| Ok(FragmentNode::of(node).is_some_and(|found| found.id() == fragment))).unwrap_or(true)
    };
    plan.exists(|node| Ok(KeyedJoinNode::of(node).is_some_and(|keyed| brings(keyed.giver_plan())))).unwrap_or(true)
}

/// The plan in which nothing waits for this column's keys.
fn without_slot(plan: &LogicalPlan, column: &SentColumn) -> Option<LogicalPlan> {
    with_slot(plan, column, &|_, scan| {
        scan.keys = None;
        Some(())
    })
}

/// The plan in which this column's keys are awaited as what they may be sent; `None` where they cannot be.
fn with_disclosure(plan: &LogicalPlan, column: &SentColumn, disclosure: KeyDisclosure) -> Option<LogicalPlan> {
    with_slot(plan, column, &|dialect, scan| {
        let slot = scan.keys.as_mut()?;
        slot.disclosure = disclosure;
        can_disclose(slot, dialect).then_some(())
    })
}

/// The plan with another scan where this column's keys are awaited; `None` where it cannot be changed so.
fn with_slot(
    plan: &LogicalPlan,
    column: &SentColumn,
    change: &impl Fn(&dyn Dialect, &mut Scan) -> Option<()>,
) -> Option<LogicalPlan> {
    let refused = Cell::new(false);
    let changed = plan.clone().transform_down(|node| {
        Ok(match FragmentNode::of(&node) {
            Some(found) if found.id() == column.slot => {
                let mut found = found.clone();
                let change = |scan: &mut Scan| {
                    if change(found.agency.dialect(), scan).is_none() {
                        refused.set(true);
                    }
                };
                found.fragment.root = with_scan(&found.fragment.root, column.number, &change);
                Transformed::yes(found.into_plan())
            }
            _ => Transformed::no(node),
        })
    });
    changed.ok().filter(|_| !refused.get()).map(|changed| changed.data)
}

/// The relation with another scan in the place of the one that has this slot.
fn with_scan(relation: &Relation, number: u32, change: &impl Fn(&mut Scan)) -> Relation {
    match relation.clone() {
        Relation::Scan(mut scan) => {
            if scan.keys.as_ref().is_some_and(|slot| slot.number == number) {
                change(&mut scan);
            }
            Relation::Scan(scan)
        }
        other => other.map_inputs(&|input| with_scan(input, number, change)),
    }
}

/// Whether a source takes keys so: pseudonyms it must be able to make of its own.
fn can_disclose(slot: &KeySlot, dialect: &dyn Dialect) -> bool {
    match slot.disclosure {
        KeyDisclosure::Plain => true,
        KeyDisclosure::Pseudonymised => {
            slot.format.is_some_and(|format| dialect.in_pseudonyms("x", format, None).is_some())
        }
    }
}

fn named(input: &LogicalPlan, expr: &PlanExpr) -> Option<usize> {
    match expr {
        PlanExpr::Column(column) => input.schema().maybe_index_of_column(column),
        PlanExpr::Alias(alias) => named(input, &alias.expr),
        _ => None,
    }
}

/// Puts a key slot under an output column, as deep as the scan that the column comes from; `None` where it has no place.
///
/// Only through operations that keep the answer: narrowing a scan by values of this column must be the same as narrowing
/// the relation's own rows by them. A limit, or the side of an outer join that is filled with NULLs, is no such way.
fn place_key_slot(relation: &mut Relation, output: usize) -> Option<&mut KeySlot> {
    match relation {
        Relation::Scan(scan) => {
            if scan.keys.is_some() {
                return None;
            }
            let Some(Expr::CanonicalKey { expr, format }) = scan.outputs.get(output) else { return None };
            let Expr::Column(column) = expr.as_ref() else { return None };
            let slot = KeySlot { column: *column, format: Some(*format), disclosure: KeyDisclosure::Plain, number: 0 };
            Some(scan.keys.insert(slot))
        }
        Relation::Filter { input, .. } | Relation::Sort { input, fetch: None, .. } => place_key_slot(input, output),
        Relation::Project { input, exprs } => match exprs.get(output).and_then(column_of) {
            Some(column) => place_key_slot(input, column),
            None => None,
        },
        Relation::Join { left, right, kind, .. } => {
            let width = left.outputs().len();
            match kind {
                JoinKind::Inner | JoinKind::Left if output < width => place_key_slot(left, output),
                JoinKind::Inner | JoinKind::Right if output >= width => place_key_slot(right, output - width),
                JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full => None,
            }
        }
        Relation::SemiJoin { left, .. } | Relation::NotIn { left, .. } | Relation::MarkJoin { left, .. } => {
            if output < left.outputs().len() { place_key_slot(left, output) } else { None }
        }
        // Whole partitions go or stay.
        Relation::Window { input, calls } => {
            let whole = calls.iter().all(|call| call.partition_by.contains(&Expr::Column(output)));
            if whole && output < input.outputs().len() { place_key_slot(input, output) } else { None }
        }
        Relation::Aggregate { input, groups, .. } => match groups.get(output).and_then(column_of) {
            Some(column) => place_key_slot(input, column),
            None => None,
        },
        Relation::Sort { .. }
        | Relation::Limit { .. }
        | Relation::GroupingSets { .. }
        | Relation::SetOperation { .. }
        | Relation::Union { .. } => None,
    }
}
