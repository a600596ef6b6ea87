//! Window functions, as far as a source makes them.

use std::sync::Arc;

use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::{NullTreatment, Sort as SortExpr, WindowFunction as Call, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, LogicalPlan, Window, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};
use wayleave_connector_api as source;
use wayleave_connector_api::{
    Aggregate, AggregateFunction, Frame, FrameBound, FrameUnits, NullsOrder, OutputColumn, Relation, SortDirection,
    WindowCall, WindowFunction,
};

use super::carve::{Carver, all, exact};
use super::kept::written;
use super::piece::{Carved, Piece, at_source};
use crate::expression::{KeptHere, unaliased};

impl Carver {
    pub(super) fn window(&self, window: &Window) -> Result<Carved, DataFusionError> {
        let piece = match self.carve(&window.input)? {
            Carved::Source(piece) if self.pushes() => *piece,
            other => {
                let input = self.close(other)?;
                return self.rebuilt(&LogicalPlan::Window(window.clone()), vec![input]);
            }
        };
        let outputs = piece.outputs();
        let added = window.schema.fields().iter().skip(outputs.len());
        let mut calls = Vec::with_capacity(window.window_expr.len());
        for (expr, field) in window.window_expr.iter().zip(added) {
            let call = if piece.delivers(field.data_type()) {
                window_call(expr, &piece, &outputs, at_source(field.data_type()))
            } else {
                Err(KeptHere(format!("values of type {} are made here", field.data_type())))
            };
            match call {
                Ok(call) => calls.push(call),
                Err(why) => self.keep(Some(&piece.agency), format!("compute {}", written(expr)), &why),
            }
        }
        if calls.len() < window.window_expr.len() {
            let input = piece.close()?;
            return self.rebuilt(&LogicalPlan::Window(window.clone()), vec![input]);
        }
        Ok(Carved::Source(Box::new(Piece {
            relation: Relation::Window { input: Box::new(piece.relation), calls },
            schema: Arc::clone(&window.schema),
            ordering: Vec::new(),
            ..piece
        })))
    }
}

fn kept<T>(why: &str) -> Result<T, KeptHere> {
    Err(KeptHere(why.to_owned()))
}

fn window_call(
    expr: &Expr,
    piece: &Piece,
    outputs: &[OutputColumn],
    data_type: datafusion::arrow::datatypes::DataType,
) -> Result<WindowCall, KeptHere> {
    let dialect = piece.agency.dialect();
    let Expr::WindowFunction(call) = unaliased(expr) else { return kept("only plain window calls are pushed") };
    let Call { fun, params } = call.as_ref();
    if params.distinct {
        return kept("DISTINCT over a window is made here");
    }
    if params.null_treatment == Some(NullTreatment::IgnoreNulls) {
        return kept("IGNORE NULLS is done here");
    }
    let push = |expr: &Expr| piece.push_exact(expr);
    let (function, takes_argument) = function_of(fun, params)?;
    let argument = match (params.args.first(), takes_argument) {
        (Some(Expr::Literal(value, _)), true)
            if function == WindowFunction::Aggregate(AggregateFunction::Count) && !value.is_null() =>
        {
            None
        }
        (Some(argument), true) => Some(push(argument)?),
        (None, true) => return kept("a call without its argument is made here"),
        (_, false) => None,
    };
    let partition_by = all(&params.partition_by, |key| {
        let key = push(key)?;
        exact(dialect.group_support(&key.output(outputs)))?;
        Ok(key)
    })?;
    let order_by = all(&params.order_by, |SortExpr { expr, asc, nulls_first }| {
        let expr = push(expr)?;
        exact(dialect.sort_support(&expr.output(outputs)))?;
        Ok(source::SortKey {
            expr,
            direction: if *asc { SortDirection::Ascending } else { SortDirection::Descending },
            nulls: if *nulls_first { NullsOrder::First } else { NullsOrder::Last },
        })
    })?;
    let filter = params.filter.as_deref().map(push).transpose()?;
    let function = with_default_of(function, argument.as_ref(), params, piece)?;
    let frame = match function {
        WindowFunction::FirstValue
        | WindowFunction::LastValue
        | WindowFunction::NthValue { .. }
        | WindowFunction::Aggregate(_) => Some(frame_of(&params.window_frame)?),
        WindowFunction::RowNumber
        | WindowFunction::Rank
        | WindowFunction::DenseRank
        | WindowFunction::Ntile { .. }
        | WindowFunction::Lag { .. }
        | WindowFunction::Lead { .. } => None,
    };
    if let WindowFunction::Aggregate(function) = &function {
        let alone = Aggregate {
            function: *function,
            argument: argument.clone(),
            distinct: false,
            filter: filter.clone(),
            data_type: data_type.clone(),
        };
        exact(dialect.aggregate_support(&alone, outputs))?;
    } else if filter.is_some() {
        return kept("FILTER is for aggregates");
    }
    let call = WindowCall { function, argument, partition_by, order_by, frame, filter, data_type };
    exact(dialect.window_support(&call, outputs))?;
    Ok(call)
}

/// The function, and whether its first argument is a value of the row.
fn function_of(
    definition: &WindowFunctionDefinition,
    params: &WindowFunctionParams,
) -> Result<(WindowFunction, bool), KeptHere> {
    let positive = |place: usize| {
        let number = match params.args.get(place) {
            Some(Expr::Literal(ScalarValue::Int64(Some(number)), _)) => u32::try_from(*number).ok(),
            Some(Expr::Literal(ScalarValue::UInt64(Some(number)), _)) => u32::try_from(*number).ok(),
            _ => None,
        };
        number.filter(|number| i32::try_from(*number).is_ok_and(|number| number > 0))
    };
    let offset = || match params.args.get(1) {
        None => Some(1),
        Some(Expr::Literal(ScalarValue::Int64(Some(0)), _)) => Some(0),
        Some(_) => positive(1),
    };
    let number = |number: Option<u32>| number.ok_or_else(|| KeptHere("its number is no constant above 0".to_owned()));
    Ok(match definition {
        WindowFunctionDefinition::WindowUDF(function) => match function.name() {
            "row_number" => (WindowFunction::RowNumber, false),
            "rank" => (WindowFunction::Rank, false),
            "dense_rank" => (WindowFunction::DenseRank, false),
            "ntile" => (WindowFunction::Ntile { buckets: number(positive(0))? }, false),
            "lag" => (WindowFunction::Lag { offset: number(offset())?, default: None }, true),
            "lead" => (WindowFunction::Lead { offset: number(offset())?, default: None }, true),
            "first_value" => (WindowFunction::FirstValue, true),
            "last_value" => (WindowFunction::LastValue, true),
            "nth_value" => (WindowFunction::NthValue { n: number(positive(1))? }, true),
            other => return Err(KeptHere(format!("window function `{other}` is computed here"))),
        },
        WindowFunctionDefinition::AggregateUDF(function) => {
            if params.args.len() > 1 {
                return kept("an aggregate of several arguments is made here");
            }
            match function.name() {
                "count" => (WindowFunction::Aggregate(AggregateFunction::Count), true),
                "sum" => (WindowFunction::Aggregate(AggregateFunction::Sum), true),
                "min" => (WindowFunction::Aggregate(AggregateFunction::Min), true),
                "max" => (WindowFunction::Aggregate(AggregateFunction::Max), true),
                other => return Err(KeptHere(format!("`{other}` over a window is computed here"))),
            }
        }
    })
}

/// Lag and lead with what they give where there is no such row: a constant of the argument's own type.
fn with_default_of(
    function: WindowFunction,
    argument: Option<&source::Expr>,
    params: &WindowFunctionParams,
    piece: &Piece,
) -> Result<WindowFunction, KeptHere> {
    let Some(default) = params.args.get(2) else { return Ok(function) };
    let (Expr::Literal(value, _), Some(argument)) = (default, argument) else {
        return kept("a default that is not constant is computed here");
    };
    if value.is_null() {
        return Ok(function);
    }
    let other_type = || KeptHere("a default of another type is computed here".to_owned());
    let value = value.cast_to(&argument.output(&piece.outputs()).data_type).map_err(|_| other_type())?;
    let source::Expr::Literal(value) = piece.push_exact(&Expr::Literal(value, None))? else {
        return Err(other_type());
    };
    Ok(match function {
        WindowFunction::Lag { offset, .. } => WindowFunction::Lag { offset, default: Some(value) },
        WindowFunction::Lead { offset, .. } => WindowFunction::Lead { offset, default: Some(value) },
        other => other,
    })
}

fn frame_of(frame: &WindowFrame) -> Result<Frame, KeptHere> {
    let units = match frame.units {
        WindowFrameUnits::Rows => FrameUnits::Rows,
        WindowFrameUnits::Range => FrameUnits::Range,
        WindowFrameUnits::Groups => return kept("a frame of groups is made here"),
    };
    let number = |value: &ScalarValue| match (value, units) {
        (ScalarValue::UInt64(Some(rows)), FrameUnits::Rows) => Ok(*rows),
        _ => kept("a frame by distance of values is made here"),
    };
    let bound = |bound: &WindowFrameBound| {
        Ok(match bound {
            WindowFrameBound::Preceding(value) if value.is_null() => FrameBound::UnboundedPreceding,
            WindowFrameBound::Preceding(value) => FrameBound::Preceding(number(value)?),
            WindowFrameBound::CurrentRow => FrameBound::CurrentRow,
            WindowFrameBound::Following(value) if value.is_null() => FrameBound::UnboundedFollowing,
            WindowFrameBound::Following(value) => FrameBound::Following(number(value)?),
        })
    };
    Ok(Frame { units, start: bound(&frame.start_bound)?, end: bound(&frame.end_bound)? })
}
