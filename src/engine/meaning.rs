//! What DataFusion reads otherwise than SQL means it, put right or refused before anything else looks at a plan.
//!
//! - `INTERSECT ALL` and `EXCEPT ALL` compare rows by their copies: the standard (ISO/IEC 9075-2, 7.17) keeps the least of the
//!   two numbers of copies, and the difference of them. DataFusion makes a semi- or anti-join of them, which knows no number.
//! - `IN` with a query is unknown where NULL might be the match. DataFusion keeps that where it is a condition of its own; as a
//!   part of another expression it is true or false, and a NOT above it would let rows through that SQL leaves out.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, NullEquality, plan_err};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprFunctionExt, ExprSchemable, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator,
};

use crate::error::Error;
use crate::expression::holds_subquery;

/// The plan as its SQL is meant.
///
/// # Errors
/// Where an IN with a query would be decided otherwise than SQL does.
pub fn as_meant(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let meant = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if compares_copies(&join) => Ok(Transformed::yes(by_copies(join)?)),
        LogicalPlan::Filter(filter) if holds_subquery(&filter.predicate) => {
            let predicate = negations_inwards(filter.predicate, Negated::No);
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    meant.data.apply_with_subqueries(|node| {
        let schemas = node.inputs().into_iter().map(LogicalPlan::schema);
        let schema = schemas.fold(DFSchema::empty(), |mut all, schema| {
            all.merge(schema);
            all
        });
        match node {
            LogicalPlan::Filter(filter) => {
                for conjunct in split_conjunction(&filter.predicate) {
                    if !matches!(conjunct, Expr::InSubquery(_)) {
                        check(conjunct, &schema, Unknown::IsFalse)?;
                    }
                }
            }
            other => {
                other.apply_expressions(|expr| {
                    check(expr, &schema, Unknown::Matters)?;
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(meant.data)
}

/// Whether a join is what became of INTERSECT ALL or EXCEPT ALL. Where the left rows differ from each other, copies are none.
fn compares_copies(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_))
}

/// The same join, in which the first of equal rows meets the first, and the second the second.
fn by_copies(join: Join) -> Result<LogicalPlan, DataFusionError> {
    let columns: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let (left, right) = (numbered(&join.left, "copy")?, numbered(&join.right, "other copy")?);
    let mut on = join.on;
    on.push((Expr::Column(Column::from_name("copy")), Expr::Column(Column::from_name("other copy"))));
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(columns)?.build()
}

/// A plan with one column more: how many of equal rows came before, and this one.
fn numbered(plan: &LogicalPlan, name: &str) -> Result<LogicalPlan, DataFusionError> {
    let columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let number = row_number().partition_by(columns.clone()).build()?;
    let counted = LogicalPlanBuilder::from(plan.clone()).window(vec![number])?.build()?;
    let Some(number) = counted.schema().columns().pop() else { return plan_err!("a row has no number") };
    let outputs = columns.into_iter().chain([Expr::Column(number).alias(name)]);
    LogicalPlanBuilder::from(counted).project(outputs)?.build()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Negated {
    Yes,
    No,
}

/// The same condition with NOT at nothing larger than an IN (De Morgan).
fn negations_inwards(expr: Expr, negated: Negated) -> Expr {
    match (expr, negated) {
        (Expr::Not(inner), Negated::Yes) => negations_inwards(*inner, Negated::No),
        (Expr::Not(inner), Negated::No) => negations_inwards(*inner, Negated::Yes),
        (Expr::BinaryExpr(BinaryExpr { left, op, right }), negated) if matches!(op, Operator::And | Operator::Or) => {
            let op = match (op, negated) {
                (op, Negated::No) => op,
                (Operator::And, Negated::Yes) => Operator::Or,
                (_, Negated::Yes) => Operator::And,
            };
            let both = [left, right].map(|side| Box::new(negations_inwards(*side, negated)));
            let [left, right] = both;
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        (Expr::InSubquery(within), Negated::Yes) => Expr::InSubquery(InSubquery { negated: !within.negated, ..within }),
        (other, Negated::Yes) => Expr::Not(Box::new(other)),
        (other, Negated::No) => other,
    }
}

/// What becomes of an expression that is unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// It leaves a row out, as false does.
    IsFalse,
    Matters,
}

fn check(expr: &Expr, schema: &DFSchema, unknown: Unknown) -> Result<(), DataFusionError> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            check(left, schema, unknown)?;
            check(right, schema, unknown)
        }
        Expr::Alias(alias) => check(&alias.expr, schema, unknown),
        Expr::InSubquery(within) => {
            let decided = unknown == Unknown::IsFalse && !within.negated;
            if decided || !may_be_unknown(within, schema) {
                return Ok(());
            }
            let message = "`IN` with a query is answered inside OR, NOT, CASE or a select list only where neither side can be \
                           NULL: write `EXISTS (SELECT 1 FROM … WHERE …)` or `NOT EXISTS (…)` instead";
            Err(DataFusionError::External(Box::new(Error::Plan { message: message.to_owned() })))
        }
        other => {
            other.apply_children(|child| {
                check(child, schema, Unknown::Matters)?;
                Ok(TreeNodeRecursion::Continue)
            })?;
            Ok(())
        }
    }
}

fn may_be_unknown(within: &InSubquery, schema: &DFSchema) -> bool {
    within.expr.nullable(schema).unwrap_or(true)
        || within.subquery.subquery.schema().fields().iter().any(|field| field.is_nullable())
}
