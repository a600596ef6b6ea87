//! Arithmetic in the connectors' terms. Whether it may go to a source is the dialect's to say, by the ranges of its operands.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Expr, Operator};
use wayleave_connector_api as source;
use wayleave_connector_api::{ArithmeticOp, Value};

use super::{KeptHere, translate, type_of};

pub(super) fn translate_arithmetic(binary: &BinaryExpr, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let op = match binary.op {
        Operator::Plus => ArithmeticOp::Add,
        Operator::Minus => ArithmeticOp::Subtract,
        Operator::Multiply => ArithmeticOp::Multiply,
        Operator::Divide => ArithmeticOp::Divide,
        Operator::Modulo => ArithmeticOp::Modulo,
        other => return Err(KeptHere::because(format!("operator {other} is evaluated here"))),
    };
    let (left, right) = (type_of(&binary.left, schema)?, type_of(&binary.right, schema)?);
    if left.is_temporal() || right.is_temporal() {
        return Err(KeptHere::because("a date that is moved could leave the calendar, on a hidden row too"));
    }
    let data_type = type_of(&Expr::BinaryExpr(binary.clone()), schema)?;
    let alike = match (&left, &right, &data_type) {
        (DataType::Decimal128(..), DataType::Decimal128(..), DataType::Decimal128(..)) => true,
        _ => left == right && left == data_type,
    };
    if !alike {
        return Err(KeptHere::because("its two sides have different types"));
    }
    Ok(source::Expr::Arithmetic {
        op,
        left: Box::new(translate(&binary.left, schema)?),
        right: Box::new(translate(&binary.right, schema)?),
        data_type,
    })
}

/// Zero minus the number.
pub(super) fn negated(expr: &Expr, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let data_type = type_of(expr, schema)?;
    let zero = match &data_type {
        DataType::Int16 => Value::Int16(0),
        DataType::Int32 => Value::Int32(0),
        DataType::Int64 => Value::Int64(0),
        DataType::Decimal128(precision, scale) => {
            Value::Decimal128 { unscaled: 0, precision: *precision, scale: *scale }
        }
        other => return Err(KeptHere::because(format!("a negated {other} is computed here"))),
    };
    let (left, right) = (Box::new(source::Expr::Literal(zero)), Box::new(translate(expr, schema)?));
    Ok(source::Expr::Arithmetic { op: ArithmeticOp::Subtract, left, right, data_type })
}
