//! Aggregates made below a join between agencies (eager aggregation: Yan and Larson, "Eager Aggregation and Lazy
//! Aggregation", VLDB 1995).
//!
//! Rows of one side that agree in the columns that the rest of the query looks at meet the same rows of the other side, so a
//! group of them may be made first: sums of sums, sums of counts, extremes of extremes. Calls that ignore duplicates may
//! speak of the other side. Whatever else would have to weigh the other side's values by a count stays as it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, DataFusionError, ScalarValue};

use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Filter, Join, JoinType, LogicalPlan, Projection, cast, when,
};

use super::in_inputs;
use super::shape::{agency_of, hardly_repeats, names_a_row, only_columns, rows};
use crate::expression::{INTEGER_AS_DECIMAL, cannot_fail, exact_sum, holds_subquery, sum_of_sums, unaliased};

/// A sum of decimals has ten digits more than they, up to 38: those of so many have room for as many rows as there are.
const ROOMY_DIGITS: u8 = 28;

/// The relation name of partial aggregates.
const PARTIAL: &str = "partial aggregate";

/// Makes a part of every aggregate over several agencies at the agency whose values it aggregates.
pub(super) fn aggregate_early(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let plan = in_inputs(plan, aggregate_early)?;
    let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(plan) };
    Ok(split(aggregate)?.unwrap_or(plan))
}

/// One aggregate call, taken apart.
enum Call {
    /// The same whether or not duplicates are there.
    Whole(Expr),
    /// A part below, and what joins the parts.
    Parts { below: Expr, above: Above },
}

#[derive(Clone, Copy)]
enum Above {
    /// The call itself over the parts: `sum` of decimals, `min`, `max`.
    Again,
    /// The sum of integers' sums, which are of a wider type: a part may go beyond 64 bits where the whole does not, or where
    /// the join drops it.
    Sum,
    /// The sum of counts, which over no parts is zero.
    Count,
}

fn split(aggregate: &Aggregate) -> Result<Option<LogicalPlan>, DataFusionError> {
    if agency_of(&aggregate.input).is_some() || aggregate.group_expr.iter().any(|group| !plain(group)) {
        return Ok(None);
    }
    for extremes in [Extremes::InParts, Extremes::Whole] {
        if let Some(made) = split_with(aggregate, extremes)? {
            return Ok(Some(made));
        }
    }
    Ok(None)
}

/// What is done with `min` and `max`, which may be made early but need not be: duplicates do not change them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extremes {
    InParts,
    Whole,
}

fn split_with(aggregate: &Aggregate, extremes: Extremes) -> Result<Option<LogicalPlan>, DataFusionError> {
    let schema = aggregate.input.schema();
    let calls: Option<Vec<Call>> =
        aggregate.aggr_expr.iter().map(|call| take_apart(call, schema.as_ref(), extremes)).collect();
    let Some(calls) = calls else { return Ok(None) };
    let mut wanted = Wanted::default();
    wanted.keep.extend(aggregate.group_expr.iter().flat_map(columns_of));
    for call in &calls {
        match call {
            Call::Whole(call) => wanted.keep.extend(columns_of(call)),
            Call::Parts { below, .. } => {
                wanted.arguments.extend(columns_of(below));
                wanted.parts.push(below.clone());
            }
        }
    }
    if wanted.parts.is_empty() {
        return Ok(None);
    }
    let Some(input) = place(&aggregate.input, &wanted, true)? else { return Ok(None) };
    let mut part = 0;
    let mut above = Vec::with_capacity(calls.len());
    for (call, original) in calls.iter().zip(&aggregate.aggr_expr) {
        above.push(match call {
            Call::Whole(call) => call.clone(),
            Call::Parts { above, .. } => {
                let argument = Expr::Column(part_column(part));
                part += 1;
                let Expr::AggregateFunction(function) = unaliased(original) else { return Ok(None) };
                let func = match above {
                    Above::Again => Arc::clone(&function.func),
                    Above::Sum => Arc::new(sum_of_sums()),
                    Above::Count => Arc::new(exact_sum()),
                };
                Expr::AggregateFunction(AggregateFunction::new_udf(func, vec![argument], false, None, Vec::new(), None))
            }
        });
    }
    let outer = Aggregate::try_new(Arc::new(input), aggregate.group_expr.clone(), above)?;
    restored(aggregate, &calls, LogicalPlan::Aggregate(outer)).map(Some)
}

/// The columns of the original aggregate, by name and by type.
fn restored(aggregate: &Aggregate, calls: &[Call], outer: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let groups = aggregate.group_expr.len();
    let mut exprs = Vec::with_capacity(aggregate.schema.fields().len());
    for (position, (qualifier, field)) in aggregate.schema.iter().enumerate() {
        let made = Expr::Column(Column::from(outer.schema().qualified_field(position)));
        let call = position.checked_sub(groups).and_then(|call| calls.get(call));
        let value = match call {
            Some(Call::Parts { above: Above::Count, .. }) => {
                let zero = Expr::Literal(ScalarValue::Int64(Some(0)), None);
                when(made.clone().is_not_null(), made).otherwise(zero)?
            }
            _ => made,
        };
        let value = if value.get_type(outer.schema().as_ref())? == *field.data_type() {
            value
        } else {
            cast(value, field.data_type().clone())
        };
        let same = matches!(&value, Expr::Column(column) if column.relation.as_ref() == qualifier && column.name == *field.name());
        exprs.push(if same { value } else { value.alias_qualified(qualifier.cloned(), field.name()) });
    }
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(outer))?))
}

fn take_apart(call: &Expr, schema: &DFSchema, extremes: Extremes) -> Option<Call> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = unaliased(call) else { return None };
    let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = params;
    let whole = args.iter().chain(filter.as_deref());
    if !order_by.is_empty() || null_treatment.is_some() || whole.clone().any(|expr| !plain(expr)) {
        return None;
    }
    let argument = match args.as_slice() {
        [argument] => argument,
        _ => return None,
    };
    // Below the join there are rows that it would have dropped: nothing may fail over those.
    if !whole.clone().all(|expr| cannot_fail(expr, schema)) {
        return None;
    }
    let as_it_is = |above| Some(Call::Parts { below: unaliased(call).clone(), above });
    match func.name() {
        "count" | "sum" if *distinct => Some(Call::Whole(unaliased(call).clone())),
        "min" | "max" if extremes == Extremes::Whole => Some(Call::Whole(unaliased(call).clone())),
        "min" | "max" => as_it_is(Above::Again),
        "count" => as_it_is(Above::Count),
        "sum" => match argument.get_type(schema).ok()? {
            DataType::Int64 => {
                let wide = cast(argument.clone(), INTEGER_AS_DECIMAL);
                let sum = Arc::new(exact_sum());
                let below = AggregateFunction::new_udf(sum, vec![wide], false, filter.clone(), Vec::new(), None);
                Some(Call::Parts { below: Expr::AggregateFunction(below), above: Above::Sum })
            }
            DataType::Decimal128(digits, _) if digits <= ROOMY_DIGITS => as_it_is(Above::Again),
            // A sum of floating-point numbers depends on how it is grouped.
            _ => None,
        },
        _ => None,
    }
}

/// What a partial aggregate has to give.
#[derive(Clone, Default)]
struct Wanted {
    parts: Vec<Expr>,
    /// The columns that the parts speak of.
    arguments: BTreeSet<Column>,
    /// The columns that the rest of the query looks at.
    keep: BTreeSet<Column>,
    /// Those of them by which joins are made.
    keys: BTreeSet<Column>,
}

/// The plan with the parts made as deep as the one agency that has all their arguments; `None` where there is no such.
fn place(plan: &LogicalPlan, wanted: &Wanted, root: bool) -> Result<Option<LogicalPlan>, DataFusionError> {
    if !root && agency_of(plan).is_some() {
        return grouped(plan, wanted);
    }
    match plan {
        LogicalPlan::Projection(projection) if only_columns(&projection.expr) => {
            let Some(input) = place(&projection.input, wanted, root)? else { return Ok(None) };
            let still_there = |expr: &&Expr| {
                expr.column_refs().iter().all(|column| input.schema().maybe_index_of_column(column).is_some())
            };
            let mut exprs: Vec<Expr> = projection.expr.iter().filter(still_there).cloned().collect();
            exprs.extend((0..wanted.parts.len()).map(|part| Expr::Column(part_column(part))));
            Ok(Some(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?)))
        }
        LogicalPlan::Filter(filter) if plain(&filter.predicate) => {
            let mut wanted = wanted.clone();
            wanted.keep.extend(columns_of(&filter.predicate));
            let Some(input) = place(&filter.input, &wanted, false)? else { return Ok(None) };
            Ok(Some(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?)))
        }
        LogicalPlan::Join(join) => place_below(join, wanted),
        _ => Ok(None),
    }
}

fn place_below(join: &Join, wanted: &Wanted) -> Result<Option<LogicalPlan>, DataFusionError> {
    let conditions = join.on.iter().flat_map(|(left, right)| [left, right]).chain(&join.filter);
    if join.null_aware || conditions.clone().any(|expr| !plain(expr)) {
        return Ok(None);
    }
    let has_all = |side: &LogicalPlan| {
        wanted.arguments.iter().all(|column| side.schema().maybe_index_of_column(column).is_some())
    };
    // A side that is filled with NULLs may be grouped for calls that ignore such a row, not for those that take it for a value.
    let counts_rows = !wanted.parts.iter().all(ignores_nulls);
    let (left, right) = match join.join_type {
        JoinType::Inner => (has_all(&join.left), has_all(&join.right)),
        JoinType::Left => (has_all(&join.left), !counts_rows && has_all(&join.right)),
        JoinType::Right => (!counts_rows && has_all(&join.left), has_all(&join.right)),
        // A semi-join repeats no row, so that there is little to be made smaller; and a full join keeps both sides.
        JoinType::LeftSemi
        | JoinType::LeftAnti
        | JoinType::LeftMark
        | JoinType::RightSemi
        | JoinType::RightAnti
        | JoinType::RightMark
        | JoinType::Full => (false, false),
    };
    let take_left = match (left, right) {
        (false, false) => return Ok(None),
        // Only rows are counted: those of the side that has more of them.
        (true, true) => rows(&join.left) > rows(&join.right),
        (left, _) => left,
    };
    let mut wanted = wanted.clone();
    wanted.keys.extend(join.on.iter().flat_map(|(left, right)| [left, right]).flat_map(columns_of));
    wanted.keep.extend(join.on.iter().flat_map(|(left, right)| [left, right]).flat_map(columns_of));
    // A condition beside the keys would split the groups by columns of its own, until hardly two rows are alike.
    let known = |column: &Column| wanted.keep.contains(column) || schema_lacks(made_side(join, take_left), column);
    if !join.filter.iter().flat_map(columns_of).all(|column| known(&column)) {
        return Ok(None);
    }
    let side = made_side(join, take_left);
    let Some(made) = place(side, &wanted, false)? else { return Ok(None) };
    let (left, right) =
        if take_left { (Arc::new(made), Arc::clone(&join.right)) } else { (Arc::clone(&join.left), Arc::new(made)) };
    let joined = Join::try_new(
        left,
        right,
        join.on.clone(),
        join.filter.clone(),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        false,
    )?;
    Ok(Some(LogicalPlan::Join(joined)))
}

/// Whether a call does not count a row of NULLs.
fn ignores_nulls(call: &Expr) -> bool {
    fn is_null_of_null(argument: &Expr) -> bool {
        match argument {
            Expr::Column(_) => true,
            Expr::Cast(cast) => is_null_of_null(&cast.expr),
            Expr::Alias(alias) => is_null_of_null(&alias.expr),
            _ => false,
        }
    }
    matches!(call, Expr::AggregateFunction(call) if call.params.args.iter().any(is_null_of_null))
}

fn made_side(join: &Join, left: bool) -> &LogicalPlan {
    if left { &join.left } else { &join.right }
}

fn schema_lacks(plan: &LogicalPlan, column: &Column) -> bool {
    plan.schema().maybe_index_of_column(column).is_none()
}

/// The parts by the columns that are looked at; `None` where each group would be one row.
fn grouped(plan: &LogicalPlan, wanted: &Wanted) -> Result<Option<LogicalPlan>, DataFusionError> {
    let groups: Vec<Column> =
        plan.schema().columns().into_iter().filter(|column| wanted.keep.contains(column)).collect();
    let named: BTreeSet<Column> = groups.iter().cloned().collect();
    let known = wanted.arguments.iter().all(|column| plan.schema().maybe_index_of_column(column).is_some());
    // With each column beside the join's keys there are more groups, until they are hardly fewer than rows.
    let fine = !named.is_subset(&wanted.keys);
    if !known || groups.is_empty() || fine || names_a_row(plan, &named) || hardly_repeats(plan, &named) {
        return Ok(None);
    }
    let group_exprs: Vec<Expr> = groups.into_iter().map(Expr::Column).collect();
    let count = group_exprs.len();
    // Two calls that are the same would be two columns of one name.
    let parts = wanted.parts.iter().enumerate().map(|(part, call)| call.clone().alias(part_name(part))).collect();
    let made = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(plan.clone()), group_exprs, parts)?);
    let exprs = made
        .schema()
        .columns()
        .into_iter()
        .enumerate()
        .map(|(position, column)| match position.checked_sub(count) {
            None => Expr::Column(column),
            Some(part) => Expr::Column(column).alias_qualified(Some(PARTIAL), part_name(part)),
        })
        .collect();
    Ok(Some(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(made))?)))
}

fn part_name(part: usize) -> String {
    format!("part {}", part + 1)
}

fn part_column(part: usize) -> Column {
    Column::new(Some(PARTIAL), part_name(part))
}

/// Whether an expression may be evaluated elsewhere in the plan.
fn plain(expr: &Expr) -> bool {
    !expr.is_volatile() && !holds_subquery(expr) && !matches!(expr, Expr::GroupingSet(_))
}

fn columns_of(expr: &Expr) -> Vec<Column> {
    expr.column_refs().into_iter().cloned().collect()
}
