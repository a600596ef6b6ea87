//! Averages become sums and counts, which a source can make and which are exact in any order of the rows.
//!
//! In: an optimized plan, output rules applied. Out: the same plan with the same schema, in which `avg` of integers and
//! decimals is a quotient of `sum` and `count`. It is done at every level of pushdown, so that all of them agree.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DataFusionError, internal_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan, Projection, cast};

use crate::expression::{INTEGER_AS_DECIMAL, exact_sum, finished_average, unaliased};

pub(super) fn averages_as_sums(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
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
            Some(summed) => Value::Average {
                sum: position(&mut calls, summed.sum),
                count: position(&mut calls, summed.count),
                data_type: summed.data_type,
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
            Value::Average { sum, count, data_type } => {
                finished_average(column(groups + sum)?, column(groups + count)?, data_type)
                    .alias_qualified(qualifier.cloned(), field.name())
            }
        });
    }
    let input = Arc::new(LogicalPlan::Aggregate(inner));
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new_with_schema(exprs, input, schema)?)))
}

enum Value {
    /// A call that stays, by its position.
    Call(usize),
    Average {
        sum: usize,
        count: usize,
        data_type: DataType,
    },
}

struct Summed {
    sum: Expr,
    count: Expr,
    data_type: DataType,
}

/// Where this call stands among the new ones; an average may share a sum that is asked for anyway.
fn position(calls: &mut Vec<Expr>, call: Expr) -> usize {
    match calls.iter().position(|known| *unaliased(known) == call) {
        Some(position) => position,
        None => {
            let name = format!("part of an average {}", calls.len());
            calls.push(call.alias(name));
            calls.len() - 1
        }
    }
}

/// The exact parts of an average, where the call is one that has them.
fn summed(call: &Expr, aggregate: &Aggregate) -> Result<Option<Summed>, DataFusionError> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = unaliased(call) else { return Ok(None) };
    let [argument] = params.args.as_slice() else { return Ok(None) };
    if func.name() != "avg" || !params.order_by.is_empty() || params.null_treatment.is_some() {
        return Ok(None);
    }
    let schema = aggregate.input.schema();
    let data_type = call.get_type(aggregate.input.schema())?;
    let (value, addend) = match (argument, &data_type) {
        (Expr::Cast(widened), DataType::Float64) => match widened.expr.get_type(schema)? {
            DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                (widened.expr.as_ref().clone(), cast(widened.expr.as_ref().clone(), INTEGER_AS_DECIMAL))
            }
            _ => return Ok(None),
        },
        (exact, DataType::Decimal128(..)) if matches!(exact.get_type(schema)?, DataType::Decimal128(..)) => {
            (exact.clone(), exact.clone())
        }
        _ => return Ok(None),
    };
    let of = |function: Arc<AggregateUDF>, argument: Expr| {
        let params = AggregateFunctionParams { args: vec![argument], ..params.clone() };
        Expr::AggregateFunction(AggregateFunction { func: function, params })
    };
    Ok(Some(Summed { sum: of(Arc::new(exact_sum()), addend), count: of(count_udaf(), value), data_type }))
}
