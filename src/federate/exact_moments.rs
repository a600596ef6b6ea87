//! Averages, variances and standard deviations become sums and counts, which a source can make and which are exact in any
//! order of the rows.
//!
//! In: an optimized plan, output rules applied. Out: the same plan with the same schema, in which `avg` of integers and
//! decimals is a quotient of `sum` and `count`, and `var` and `stddev` of such whose squares can be summed without an overflow
//! come of the sum, the sum of squares and the count. It is done at every level of pushdown, so that all of them agree.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DataFusionError, internal_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan, Projection, cast};

use crate::expression::{INTEGER_AS_DECIMAL, Spread, exact_sum, finished_average, finished_spread, unaliased};

pub(super) fn moments_as_sums(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    Ok(plan
        .transform_up_with_subqueries(|node| match node {
            LogicalPlan::Aggregate(aggregate) => rewritten(aggregate),
            other => Ok(Transformed::no(other)),
        })?
        .data)
}

fn rewritten(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>, DataFusionError> {
    let groups = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
    let mut calls: Vec<Expr> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    for call in &aggregate.aggr_expr {
        values.push(match summed(call, &aggregate)? {
            Some(Summed { sum, count, finish }) => Value::Moment {
                sum: position(&mut calls, sum),
                count: position(&mut calls, count),
                finish: match finish {
                    Finish::Average(data_type) => Finish::Average(data_type),
                    Finish::Spread { squares, spread } => {
                        Finish::Spread { squares: position(&mut calls, squares), spread }
                    }
                },
            },
            None => {
                calls.push(call.clone());
                Value::Call(calls.len() - 1)
            }
        });
    }
    if values.iter().all(|value| matches!(value, Value::Call(_))) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let Aggregate { input, group_expr, schema, .. } = aggregate;
    let inner = Aggregate::try_new(input, group_expr, calls)?;
    let columns: Vec<Column> = inner.schema.columns();
    let column = |position: usize| match columns.get(position) {
        Some(column) => Ok(Expr::Column(column.clone())),
        None => internal_err!("an aggregate without its columns"),
    };
    let mut exprs = (0..groups).map(column).collect::<Result<Vec<_>, _>>()?;
    for (value, (qualifier, field)) in values.into_iter().zip(schema.iter().skip(groups)) {
        exprs.push(match value {
            Value::Call(call) => column(groups + call)?,
            Value::Moment { sum, count, finish } => {
                let (sum, count) = (column(groups + sum)?, column(groups + count)?);
                let finished = match finish {
                    Finish::Average(data_type) => finished_average(sum, count, data_type),
                    Finish::Spread { squares, spread } => {
                        finished_spread(sum, column(groups + squares)?, count, spread)
                    }
                };
                finished.alias_qualified(qualifier.cloned(), field.name())
            }
        });
    }
    let input = Arc::new(LogicalPlan::Aggregate(inner));
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new_with_schema(exprs, input, schema)?)))
}

enum Value {
    /// A call that stays, by its position.
    Call(usize),
    /// What is made of calls at these positions.
    Moment { sum: usize, count: usize, finish: Finish<usize> },
}

struct Summed {
    sum: Expr,
    count: Expr,
    finish: Finish<Expr>,
}

/// What is made of a sum and a count.
enum Finish<Squares> {
    Average(DataType),
    Spread { squares: Squares, spread: Spread },
}

/// Where this call stands among the new ones; an average may share a sum that is asked for anyway.
fn position(calls: &mut Vec<Expr>, call: Expr) -> usize {
    match calls.iter().position(|known| *unaliased(known) == call) {
        Some(position) => position,
        None => {
            let name = format!("part of a moment {}", calls.len());
            calls.push(call.alias(name));
            calls.len() - 1
        }
    }
}

/// The exact parts of an average or a spread, where the call is one that has them.
fn summed(call: &Expr, aggregate: &Aggregate) -> Result<Option<Summed>, DataFusionError> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = unaliased(call) else { return Ok(None) };
    let [argument] = params.args.as_slice() else { return Ok(None) };
    if !params.order_by.is_empty() || params.null_treatment.is_some() {
        return Ok(None);
    }
    let schema = aggregate.input.schema();
    // What DataFusion has widened for its own way of computing.
    let value = match argument {
        Expr::Cast(widened) if *widened.field.data_type() == DataType::Float64 => widened.expr.as_ref(),
        exact => exact,
    };
    let value_type = value.get_type(schema)?;
    let addend = match &value_type {
        DataType::Int16 | DataType::Int32 | DataType::Int64 => cast(value.clone(), INTEGER_AS_DECIMAL),
        DataType::Decimal128(..) => value.clone(),
        _ => return Ok(None),
    };
    let of = |function: Arc<AggregateUDF>, argument: Expr| {
        let params = AggregateFunctionParams { args: vec![argument], ..params.clone() };
        Expr::AggregateFunction(AggregateFunction { func: function, params })
    };
    let spread = match func.name() {
        "avg" => {
            let data_type = call.get_type(schema)?;
            // An average of decimals is a decimal; as a float it would be another one's.
            if matches!(value_type, DataType::Decimal128(..)) && !matches!(data_type, DataType::Decimal128(..)) {
                return Ok(None);
            }
            let (sum, count) = (of(Arc::new(exact_sum()), addend), of(count_udaf(), value.clone()));
            return Ok(Some(Summed { sum, count, finish: Finish::Average(data_type) }));
        }
        "var" => Spread { sample: true, root: false },
        "var_pop" => Spread { sample: false, root: false },
        "stddev" => Spread { sample: true, root: true },
        "stddev_pop" => Spread { sample: false, root: true },
        _ => return Ok(None),
    };
    // Of distinct values, two may have one square.
    let Some(square) = squared(value, &value_type).filter(|_| !params.distinct) else { return Ok(None) };
    Ok(Some(Summed {
        sum: of(Arc::new(exact_sum()), addend),
        count: of(count_udaf(), value.clone()),
        finish: Finish::Spread { squares: of(Arc::new(exact_sum()), square), spread },
    }))
}

/// Most digits of a decimal whose squares can be summed over any number of rows.
const MOST_SQUARED_DIGITS: u8 = 9;

/// The square in a type that a sum of it never leaves.
fn squared(value: &Expr, data_type: &DataType) -> Option<Expr> {
    match data_type {
        DataType::Int16 | DataType::Int32 => {
            let wide = cast(value.clone(), DataType::Int64);
            Some(cast(wide.clone() * wide, INTEGER_AS_DECIMAL))
        }
        DataType::Decimal128(digits, scale) if *digits <= MOST_SQUARED_DIGITS && *scale >= 0 => {
            Some(value.clone() * value.clone())
        }
        _ => None,
    }
}
