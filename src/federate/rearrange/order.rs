//! The order of inner joins: tables of one agency meet each other first, then agencies, the most selective first.
//!
//! Inner joins commute and associate. Columns that the query equates form classes; joining two sets of tables on one pair of
//! each class that both have equates them all, so conditions that only follow from the written ones count as well.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{Column, DFSchema, DataFusionError, ExprSchema, NullEquality};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, Join, JoinConstraint, JoinType, LogicalPlan, Operator, Projection,
};

use super::in_inputs;
use super::shape::{agency_of, only_columns, rows};
use crate::catalog::Agency;
use crate::expression::{cannot_fail, holds_subquery};

/// Regroups every tree of inner joins over more than one agency.
pub(super) fn group_by_agency(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    if let LogicalPlan::Join(join) = &plan
        && is_plain_inner(join)
    {
        let mut tree = JoinTree::default();
        if tree.take(&plan) && tree.spans_agencies() {
            for relation in &mut tree.relations {
                relation.plan = group_by_agency(relation.plan.clone())?;
            }
            return tree.rebuilt(&plan);
        }
    }
    in_inputs(plan, group_by_agency)
}

fn is_plain_inner(join: &Join) -> bool {
    join.join_type == JoinType::Inner && !join.null_aware && join.null_equality == NullEquality::NullEqualsNothing
}

/// A set of relations, by position.
type Members = BTreeSet<usize>;

struct Relation {
    plan: LogicalPlan,
    agency: Option<Arc<Agency>>,
    rows: f64,
}

/// A condition that is no equality of two columns of different relations.
struct Condition {
    expr: Expr,
    members: Members,
    /// The two sides of an equality, where each speaks of some relation.
    operands: Option<[Operand; 2]>,
    applied: bool,
}

struct Operand {
    expr: Expr,
    members: Members,
}

#[derive(Default)]
struct JoinTree {
    relations: Vec<Relation>,
    written: Vec<Expr>,
    /// Columns that are equal to each other in every row of the result.
    classes: Vec<Vec<(usize, Column)>>,
    conditions: Vec<Condition>,
}

/// Relations joined so far.
struct Joined {
    plan: LogicalPlan,
    members: Members,
    rows: f64,
}

impl JoinTree {
    /// Takes a tree of inner joins apart; false where something in it has to stay where it is.
    fn take(&mut self, plan: &LogicalPlan) -> bool {
        match plan {
            LogicalPlan::Join(join) if is_plain_inner(join) => {
                let equal = |(left, right): &(Expr, Expr)| left.clone().eq(right.clone());
                self.written.extend(join.on.iter().map(equal));
                self.written.extend(join.filter.iter().flat_map(split_conjunction).cloned());
                self.take(&join.left) && self.take(&join.right)
            }
            // Between joins the optimizer picks columns; they are picked again above the whole.
            LogicalPlan::Projection(projection)
                if only_columns(&projection.expr) && matches!(projection.input.as_ref(), LogicalPlan::Join(_)) =>
            {
                self.take(&projection.input)
            }
            LogicalPlan::Filter(filter) if matches!(filter.input.as_ref(), LogicalPlan::Join(_)) => {
                self.written.extend(split_conjunction(&filter.predicate).into_iter().cloned());
                self.take(&filter.input)
            }
            other => {
                self.relations.push(Relation { plan: other.clone(), agency: agency_of(other), rows: rows(other) });
                true
            }
        }
    }

    fn spans_agencies(&self) -> bool {
        let mut agencies = self.relations.iter().map(|relation| relation.agency.as_ref());
        let first = agencies.next().flatten();
        self.relations.len() > 2
            && !agencies.all(|agency| match (first, agency) {
                (Some(first), Some(agency)) => Arc::ptr_eq(first, agency),
                _ => false,
            })
    }

    fn rebuilt(mut self, original: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let restored = self.sort_out().then(|| self.joined()).transpose()?.flatten();
        let Some(joined) = restored else { return in_inputs(original.clone(), group_by_agency) };
        let columns = original.schema().columns();
        if joined.schema().columns() == columns {
            return Ok(joined);
        }
        let exprs = columns.into_iter().map(Expr::Column).collect();
        Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(joined))?))
    }

    /// Sorts the conditions into classes of equal columns and all others; false where one cannot be placed.
    fn sort_out(&mut self) -> bool {
        let Some(schema) = self.schema() else { return false };
        for expr in std::mem::take(&mut self.written) {
            // Elsewhere it would be evaluated on rows that never came where it stands.
            if expr.is_volatile() || holds_subquery(&expr) || !cannot_fail(&expr, &schema) {
                return false;
            }
            if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = &expr
                && let (Expr::Column(left), Expr::Column(right)) = (left.as_ref(), right.as_ref())
            {
                let (Some(owner), Some(other)) = (self.owner(left), self.owner(right)) else { return false };
                if owner != other && self.same_type((owner, left), (other, right)) {
                    self.equate((owner, left.clone()), (other, right.clone()));
                    continue;
                }
            }
            let Some(members) = self.members(&expr) else { return false };
            let operands = match &expr {
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                    let operand = |side: &Expr| Some(Operand { expr: side.clone(), members: self.members(side)? });
                    operand(left).zip(operand(right)).map(|(left, right)| [left, right])
                }
                _ => None,
            };
            self.conditions.push(Condition { expr, members, operands, applied: false });
        }
        true
    }

    /// The columns of all relations.
    fn schema(&self) -> Option<DFSchema> {
        self.relations.iter().try_fold(DFSchema::empty(), |all, relation| all.join(relation.plan.schema()).ok())
    }

    /// The relations that an expression speaks of; `None` where it speaks of none, or of something else.
    fn members(&self, expr: &Expr) -> Option<Members> {
        let members: Members =
            expr.column_refs().into_iter().map(|column| self.owner(column)).collect::<Option<_>>()?;
        (!members.is_empty()).then_some(members)
    }

    fn owner(&self, column: &Column) -> Option<usize> {
        let mut owners = self
            .relations
            .iter()
            .enumerate()
            .filter(|(_, relation)| relation.plan.schema().maybe_index_of_column(column).is_some())
            .map(|(index, _)| index);
        owners.next().filter(|_| owners.next().is_none())
    }

    fn same_type(&self, left: (usize, &Column), right: (usize, &Column)) -> bool {
        let data_type = |(owner, column): (usize, &Column)| {
            let relation = self.relations.get(owner)?;
            relation.plan.schema().data_type(column).ok().cloned()
        };
        matches!((data_type(left), data_type(right)), (Some(left), Some(right)) if left == right)
    }

    fn equate(&mut self, left: (usize, Column), right: (usize, Column)) {
        let (touched, mut others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.classes)
            .into_iter()
            .partition(|class| class.contains(&left) || class.contains(&right));
        let mut merged: Vec<(usize, Column)> = touched.into_iter().flatten().collect();
        for column in [left, right] {
            if !merged.contains(&column) {
                merged.push(column);
            }
        }
        others.push(merged);
        self.classes = others;
    }

    /// All relations joined; `None` where there is nothing to regroup.
    fn joined(&mut self) -> Result<Option<LogicalPlan>, DataFusionError> {
        let mut groups: Vec<Joined> = Vec::new();
        for members in self.components() {
            let mut pending: Vec<Joined> = Vec::with_capacity(members.len());
            for index in &members {
                pending.extend(self.alone(*index)?);
            }
            groups.extend(self.in_turn(pending, Pick::AsWritten)?);
        }
        Ok(self.in_turn(groups, Pick::Fewest)?.map(|joined| joined.plan))
    }

    /// Relations of one agency that are connected by equalities; every other relation is alone.
    fn components(&self) -> Vec<Members> {
        let mut components: Vec<Members> = Vec::new();
        for (index, relation) in self.relations.iter().enumerate() {
            let mut component = Members::from([index]);
            if let Some(agency) = &relation.agency {
                let joins = |other: &Members| {
                    let same = |member: &usize| {
                        let other = self.relations.get(*member).and_then(|relation| relation.agency.as_ref());
                        other.is_some_and(|other| Arc::ptr_eq(other, agency))
                    };
                    other.iter().all(same) && self.connected(&component, other)
                };
                let (near, far): (Vec<_>, Vec<_>) = components.into_iter().partition(joins);
                component.extend(near.into_iter().flatten());
                components = far;
            }
            components.push(component);
        }
        components.sort_by_key(|component| component.first().copied());
        components
    }

    fn connected(&self, left: &Members, right: &Members) -> bool {
        let in_class = |class: &Vec<(usize, Column)>| {
            class.iter().any(|(owner, _)| left.contains(owner)) && class.iter().any(|(owner, _)| right.contains(owner))
        };
        self.classes.iter().any(in_class) || self.conditions.iter().any(|c| c.as_pair(left, right).is_some())
    }

    /// One relation, with the conditions that are its own.
    fn alone(&mut self, index: usize) -> Result<Option<Joined>, DataFusionError> {
        let Some(relation) = self.relations.get(index) else { return Ok(None) };
        let (mut plan, rows) = (relation.plan.clone(), relation.rows);
        let mut own: Vec<Expr> = Vec::new();
        for condition in &mut self.conditions {
            if condition.members.iter().eq([&index]) {
                condition.applied = true;
                own.push(condition.expr.clone());
            }
        }
        for class in &self.classes {
            let mut mine = class.iter().filter(|(owner, _)| *owner == index).map(|(_, column)| column);
            if let Some(first) = mine.next() {
                own.extend(mine.map(|other| Expr::Column(first.clone()).eq(Expr::Column(other.clone()))));
            }
        }
        if let Some(predicate) = conjunction(own) {
            plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
        }
        Ok(Some(Joined { plan, members: Members::from([index]), rows }))
    }

    /// Joins all of these, each next one connected to those before where any is.
    fn in_turn(&mut self, mut pending: Vec<Joined>, pick: Pick) -> Result<Option<Joined>, DataFusionError> {
        let mut joined: Option<Joined> = None;
        while !pending.is_empty() {
            let connected =
                |next: &Joined| joined.as_ref().is_none_or(|joined| self.connected(&joined.members, &next.members));
            let any = pending.iter().any(connected);
            let best = pending
                .iter()
                .enumerate()
                .filter(|(_, next)| !any || connected(next))
                .min_by(|(_, left), (_, right)| match pick {
                    // The first of several that are alike: as it is written.
                    Pick::AsWritten => std::cmp::Ordering::Equal,
                    Pick::Fewest => left.rows.total_cmp(&right.rows),
                })
                .map(|(index, _)| index);
            let Some(best) = best else { break };
            let next = pending.remove(best);
            joined = Some(match joined {
                None => next,
                Some(left) => self.join(left, next)?,
            });
        }
        Ok(joined)
    }

    fn join(&mut self, left: Joined, right: Joined) -> Result<Joined, DataFusionError> {
        let mut on: Vec<(Expr, Expr)> = Vec::new();
        for class in &self.classes {
            let of =
                |side: &Joined| class.iter().find(|(owner, _)| side.members.contains(owner)).map(|(_, c)| c.clone());
            if let (Some(left), Some(right)) = (of(&left), of(&right)) {
                on.push((Expr::Column(left), Expr::Column(right)));
            }
        }
        let members: Members = left.members.union(&right.members).copied().collect();
        let mut filter: Vec<Expr> = Vec::new();
        for condition in &mut self.conditions {
            if condition.applied || !condition.members.is_subset(&members) {
                continue;
            }
            condition.applied = true;
            match condition.as_pair(&left.members, &right.members) {
                Some(pair) => on.push(pair),
                None => filter.push(condition.expr.clone()),
            }
        }
        let rows = left.rows * right.rows / crate::federate::estimate::TABLE_ROWS;
        let join = Join::try_new(
            Arc::new(left.plan),
            Arc::new(right.plan),
            on,
            conjunction(filter),
            JoinType::Inner,
            JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            false,
        )?;
        Ok(Joined { plan: LogicalPlan::Join(join), members, rows })
    }
}

/// Which of several relations is joined next.
#[derive(Clone, Copy)]
enum Pick {
    AsWritten,
    Fewest,
}

impl Condition {
    /// The condition as a pair of a join, where each operand of an equality speaks of one of the two sets alone.
    fn as_pair(&self, left: &Members, right: &Members) -> Option<(Expr, Expr)> {
        let [a, b] = self.operands.as_ref()?;
        if a.members.is_subset(left) && b.members.is_subset(right) {
            Some((a.expr.clone(), b.expr.clone()))
        } else if b.members.is_subset(left) && a.members.is_subset(right) {
            Some((b.expr.clone(), a.expr.clone()))
        } else {
            None
        }
    }
}
