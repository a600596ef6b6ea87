//! Where join keys arrive: the scan of a plan that they narrow.
//!
//! Narrowing that scan must be the same as narrowing the plan's own rows by the column that the join compares. So a slot goes
//! down only through operations that keep a row, with its key, or drop it, whatever other rows there are.

use std::sync::Arc;

use datafusion::logical_expr::{Expr as PlanExpr, Join, JoinType, LogicalPlan};
use wayleave_connector_api::{Dialect, Expr, JoinKind, KeyDisclosure, KeyFormat, KeySlot, Relation, Scheme};

use super::fragment_exec::without_key_slots;
use super::lineage::{Disclosing, disclosing};
use super::node::{FragmentNode, KeyedJoinNode, Side};
use super::piece::{column_of, subject_scheme};

/// A plan in which one fragment waits for keys.
pub(super) struct Waiting {
    pub plan: LogicalPlan,
    /// The id of that fragment.
    pub fragment: u64,
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
        let slot = place_key_slot(&mut node.fragment.root, position)?;
        disclose(slot, disclosing.disclosure, node.agency.dialect())?;
        // Several statements' rows come one after the other, each in its own order.
        node.ordering = Vec::new();
        Some(Waiting { fragment: node.id(), agency: node.agency.name.clone(), plan: node.into_plan(), disclosing })
    }

    /// Keys that narrow the giver of another keyed join speak through the keys that it gives: its receiver may be told them
    /// only where their agencies say so, and as what they say. Where they do not, that join is made without.
    fn awaited_in_keyed(&self, keyed: &KeyedJoinNode, position: usize) -> Option<Waiting> {
        let (side, position) = narrowed_side(&keyed.join, position)?;
        let waiting = self.awaited_in(input(&keyed.join, side), position)?;
        let join = with_input(&keyed.join, side, waiting.plan);
        let plan = if side == keyed.receiver {
            KeyedJoinNode { join, ..keyed.clone() }.into_plan()
        } else {
            let told = Disclosing { agencies: keyed.discloses.clone(), disclosure: keyed.disclosure };
            let more = disclosing(self.giver, &keyed.receives).map(|more| told.and(&more));
            let lessened = more.and_then(|all| {
                Some((with_disclosure(input(&join, keyed.receiver), keyed.slot, all.disclosure)?, all))
            });
            match lessened {
                Some((receiver, all)) => {
                    let join = with_input(&join, keyed.receiver, receiver);
                    let (discloses, disclosure) = (all.agencies, all.disclosure);
                    KeyedJoinNode { join, discloses, disclosure, ..keyed.clone() }.into_plan()
                }
                None => {
                    let unkeyed = without_slot(input(&join, keyed.receiver), keyed.slot)?;
                    LogicalPlan::Join(with_input(&join, keyed.receiver, unkeyed))
                }
            }
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

/// The plan in which this fragment waits for nothing.
fn without_slot(plan: &LogicalPlan, fragment: u64) -> Option<LogicalPlan> {
    with_root(plan, fragment, |node| Some(without_key_slots(&node.fragment.root)))
}

/// The plan in which this fragment waits for its keys as what they may be sent; `None` where it cannot.
fn with_disclosure(plan: &LogicalPlan, fragment: u64, disclosure: KeyDisclosure) -> Option<LogicalPlan> {
    with_root(plan, fragment, |node| disclosed(&node.fragment.root, disclosure, node.agency.dialect()))
}

/// The plan with another relation in this fragment, where there is one.
fn with_root(
    plan: &LogicalPlan,
    fragment: u64,
    root: impl Fn(&FragmentNode) -> Option<Relation>,
) -> Option<LogicalPlan> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let mut impossible = false;
    let replaced = plan.clone().transform_down(|node| {
        Ok(match FragmentNode::of(&node) {
            Some(found) if found.id() == fragment => match root(found) {
                Some(root) => {
                    let mut found = found.clone();
                    found.fragment.root = root;
                    Transformed::yes(found.into_plan())
                }
                None => {
                    impossible = true;
                    Transformed::no(node)
                }
            },
            _ => Transformed::no(node),
        })
    });
    replaced.ok().filter(|_| !impossible).map(|replaced| replaced.data)
}

/// The relation whose key slots take keys as what they may be sent.
fn disclosed(relation: &Relation, disclosure: KeyDisclosure, dialect: &dyn Dialect) -> Option<Relation> {
    let slots = relation.scans().into_iter().filter_map(|scan| scan.keys.as_ref());
    if !slots.into_iter().all(|slot| can_disclose(slot.format, disclosure, dialect)) {
        return None;
    }
    Some(with_slots_disclosed(relation, disclosure))
}

fn with_slots_disclosed(relation: &Relation, disclosure: KeyDisclosure) -> Relation {
    match relation.clone() {
        Relation::Scan(mut scan) => {
            if let Some(slot) = &mut scan.keys {
                slot.disclosure = disclosure;
            }
            Relation::Scan(scan)
        }
        other => other.map_inputs(&|input| with_slots_disclosed(input, disclosure)),
    }
}

/// Whether a source takes keys so: pseudonyms it must be able to make of its own.
fn can_disclose(format: Option<KeyFormat>, disclosure: KeyDisclosure, dialect: &dyn Dialect) -> bool {
    match disclosure {
        KeyDisclosure::Plain => true,
        KeyDisclosure::Pseudonymised => format.is_some_and(|format| dialect.in_pseudonyms("x", format, None).is_some()),
    }
}

fn disclose(slot: &mut KeySlot, disclosure: KeyDisclosure, dialect: &dyn Dialect) -> Option<()> {
    slot.disclosure = disclosure;
    can_disclose(slot.format, disclosure, dialect).then_some(())
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
            let slot = KeySlot { column: *column, format: Some(*format), disclosure: KeyDisclosure::Plain };
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
