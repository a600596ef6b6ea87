//! Groupings and their aggregates, as far as a source makes them.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::logical_expr::expr::AggregateFunction as AggregateCall;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use wayleave_connector_api as source;
use wayleave_connector_api::{AggregateFunction, OutputColumn, Relation};

use super::carve::{Carver, all, exact};
use super::estimate;
use super::grouping_sets::grouping_sets_at_source;
use super::kept::listed;
use super::piece::{Carved, Piece};
use crate::expression::{INTEGER_AS_DECIMAL, KeptHere, push_exact, unaliased};

impl Carver {
    pub(super) fn aggregate(&self, aggregate: &Aggregate) -> Result<Carved, DataFusionError> {
        let piece = match self.carve(&aggregate.input)? {
            Carved::Source(piece) if self.pushes() => *piece,
            other => {
                let input = self.close(other)?;
                return self.rebuilt(&LogicalPlan::Aggregate(aggregate.clone()), vec![input]);
            }
        };
        if matches!(aggregate.group_expr.first(), Some(Expr::GroupingSet(_))) {
            return match grouping_sets_at_source(aggregate, &piece) {
                Ok(grouped) => Ok(Carved::Source(Box::new(grouped))),
                Err(why) => {
                    self.keep(Some(&piece.agency), format!("group by {}", listed(&aggregate.group_expr)), &why);
                    let input = piece.close()?;
                    self.rebuilt(&LogicalPlan::Aggregate(aggregate.clone()), vec![input])
                }
            };
        }
        let outputs = piece.outputs();
        let dialect = piece.agency.dialect();
        let groups = all(&aggregate.group_expr, |expr| {
            let group = push_exact(expr, &piece.schema, &outputs, dialect)?;
            exact(dialect.group_support(&group.output(&outputs)))?;
            Ok(group)
        });
        let aggregates = all(&aggregate.aggr_expr, |expr| {
            let position = aggregate.group_expr.len() + aggregate.aggr_expr.iter().position(|e| e == expr).unwrap_or(0);
            let data_type = aggregate
                .schema
                .fields()
                .get(position)
                .map(|field| field.data_type().clone())
                .ok_or_else(|| KeptHere("its type is not known".to_owned()))?;
            aggregate_call(expr, &piece, &outputs, data_type)
        });
        let deliverable = aggregate.schema.fields().iter().all(|field| piece.delivers(field.data_type()));
        match (groups, aggregates) {
            (Ok(groups), Ok(aggregates)) if deliverable && !(groups.is_empty() && aggregates.is_empty()) => {
                Ok(Carved::Source(Box::new(Piece {
                    rows: estimate::grouped(piece.rows, groups.len()),
                    relation: Relation::Aggregate { input: Box::new(piece.relation), groups, aggregates },
                    schema: Arc::clone(&aggregate.schema),
                    ordering: Vec::new(),
                    ..piece
                })))
            }
            (groups, aggregates) => {
                if let Err(why) = &groups {
                    self.keep(Some(&piece.agency), format!("group by {}", listed(&aggregate.group_expr)), why);
                }
                if let Err(why) = &aggregates {
                    self.keep(Some(&piece.agency), format!("aggregate {}", listed(&aggregate.aggr_expr)), why);
                }
                let used = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
                let input = self.close_narrowed(piece, used)?;
                self.rebuilt(&LogicalPlan::Aggregate(aggregate.clone()), vec![input])
            }
        }
    }
}

pub(super) fn aggregate_call(
    expr: &Expr,
    piece: &Piece,
    outputs: &[OutputColumn],
    data_type: datafusion::arrow::datatypes::DataType,
) -> Result<source::Aggregate, KeptHere> {
    let dialect = piece.agency.dialect();
    let Expr::AggregateFunction(AggregateCall { func, params }) = unaliased(expr) else {
        return Err(KeptHere("only plain aggregate calls are pushed".to_owned()));
    };
    if !params.order_by.is_empty() || params.null_treatment.is_some() {
        return Err(KeptHere("an aggregate over an order is made here".to_owned()));
    }
    let function = match func.name() {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        // The least of booleans is whether all are true, the greatest whether any is.
        "bool_and" => AggregateFunction::Min,
        "bool_or" => AggregateFunction::Max,
        other => return Err(KeptHere(format!("aggregate `{other}` is made here"))),
    };
    let [argument] = params.args.as_slice() else {
        return Err(KeptHere("an aggregate of several arguments is made here".to_owned()));
    };
    let argument = match (function, argument) {
        (AggregateFunction::Count, Expr::Literal(value, _)) if !value.is_null() && !params.distinct => None,
        // A source sums integers as they are, into as many digits as it takes.
        (AggregateFunction::Sum, Expr::Cast(cast)) if *cast.field.data_type() == INTEGER_AS_DECIMAL => {
            match push_exact(&cast.expr, &piece.schema, outputs, dialect) {
                Ok(integer) if integer.output(outputs).data_type.is_integer() => Some(integer),
                _ => Some(push_exact(argument, &piece.schema, outputs, dialect)?),
            }
        }
        _ => Some(push_exact(argument, &piece.schema, outputs, dialect)?),
    };
    let filter =
        params.filter.as_deref().map(|filter| push_exact(filter, &piece.schema, outputs, dialect)).transpose()?;
    let call = source::Aggregate { function, argument, distinct: params.distinct, filter, data_type };
    exact(dialect.aggregate_support(&call, outputs))?;
    Ok(call)
}
