//! Comparisons. Where planning has widened a column to compare it with a constant (a count with 2.5, a date with a moment),
//! the constant is narrowed instead: the source then compares the column as it is, and its index serves.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use wayleave_connector_api as source;
use wayleave_connector_api::{CompareOp, Value};

use super::{KeptHere, same_type, translate, type_of};

const DAY_MICROSECONDS: i128 = 86_400_000_000;
const DAY_NANOSECONDS: i128 = 1_000 * DAY_MICROSECONDS;

pub(super) fn compare(op: CompareOp, left: &Expr, right: &Expr, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    same_type(left, right, schema)?;
    if let Some(narrow) = narrowed(op, left, right, schema)? {
        return Ok(narrow);
    }
    if let Some(narrow) = narrowed(mirrored(op), right, left, schema)? {
        return Ok(narrow);
    }
    Ok(source::Expr::compare(op, translate(left, schema)?, translate(right, schema)?))
}

/// `IS NOT DISTINCT FROM`, which is never NULL.
pub(super) fn same(left: &Expr, right: &Expr, schema: &DFSchema) -> Result<source::Expr, KeptHere> {
    let equal = compare(CompareOp::Equal, left, right, schema)?;
    let (left, right) = (translate(left, schema)?, translate(right, schema)?);
    let is_null = |expr: &source::Expr| source::Expr::IsNull(Box::new(expr.clone()));
    let is_not_null = |expr: &source::Expr| source::Expr::IsNotNull(Box::new(expr.clone()));
    Ok(source::Expr::Or(vec![
        source::Expr::And(vec![is_null(&left), is_null(&right)]),
        source::Expr::And(vec![is_not_null(&left), is_not_null(&right), equal]),
    ]))
}

fn mirrored(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Equal => CompareOp::Equal,
        CompareOp::NotEqual => CompareOp::NotEqual,
        CompareOp::Less => CompareOp::Greater,
        CompareOp::LessOrEqual => CompareOp::GreaterOrEqual,
        CompareOp::Greater => CompareOp::Less,
        CompareOp::GreaterOrEqual => CompareOp::LessOrEqual,
    }
}

/// `CAST(whole AS …) op constant` as a comparison of whole numbers (or days).
fn narrowed(op: CompareOp, cast: &Expr, constant: &Expr, schema: &DFSchema) -> Result<Option<source::Expr>, KeptHere> {
    let (Expr::Cast(cast), Expr::Literal(constant, _)) = (cast, constant) else { return Ok(None) };
    let whole = type_of(&cast.expr, schema)?;
    let Some((numerator, denominator)) = fraction(&whole, constant) else { return Ok(None) };
    let below = numerator.div_euclid(denominator);
    let is_whole = numerator.rem_euclid(denominator) == 0;
    let expr = translate(&cast.expr, schema)?;
    let of_itself = |op| source::Expr::compare(op, expr.clone(), expr.clone());
    // What holds of every number, and of none, is still unknown of NULL.
    let (always, never) = (of_itself(CompareOp::Equal), of_itself(CompareOp::NotEqual));
    let is_upper = matches!(op, CompareOp::Less | CompareOp::LessOrEqual | CompareOp::NotEqual);
    Ok(Some(match value_of(&whole, below) {
        None if below > 0 => {
            if is_upper {
                always
            } else {
                never
            }
        }
        None => match op {
            CompareOp::Greater | CompareOp::GreaterOrEqual | CompareOp::NotEqual => always,
            CompareOp::Equal | CompareOp::Less | CompareOp::LessOrEqual => never,
        },
        Some(value) => {
            let op = match (op, is_whole) {
                (op, true) => op,
                (CompareOp::Equal, false) => return Ok(Some(never)),
                (CompareOp::NotEqual, false) => return Ok(Some(always)),
                (CompareOp::Less | CompareOp::LessOrEqual, false) => CompareOp::LessOrEqual,
                (CompareOp::Greater | CompareOp::GreaterOrEqual, false) => CompareOp::Greater,
            };
            source::Expr::compare(op, expr, source::Expr::Literal(value))
        }
    }))
}

/// The constant in units of the whole type.
fn fraction(whole: &DataType, constant: &ScalarValue) -> Option<(i128, i128)> {
    match (whole, constant) {
        (DataType::Int16 | DataType::Int32 | DataType::Int64, ScalarValue::Decimal128(Some(unscaled), _, scale)) => {
            Some((*unscaled, 10_i128.checked_pow(u32::try_from(*scale).ok()?)?))
        }
        (DataType::Date32, ScalarValue::TimestampMicrosecond(Some(moment), None)) => {
            Some((i128::from(*moment), DAY_MICROSECONDS))
        }
        (DataType::Date32, ScalarValue::TimestampNanosecond(Some(moment), None)) => {
            Some((i128::from(*moment), DAY_NANOSECONDS))
        }
        _ => None,
    }
}

/// `None` where the type has no such number.
fn value_of(whole: &DataType, number: i128) -> Option<Value> {
    Some(match whole {
        DataType::Int16 => Value::Int16(i16::try_from(number).ok()?),
        DataType::Int32 => Value::Int32(i32::try_from(number).ok()?),
        DataType::Int64 => Value::Int64(i64::try_from(number).ok()?),
        DataType::Date32 => Value::Date(i32::try_from(number).ok()?),
        _ => return None,
    })
}
