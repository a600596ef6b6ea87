//! Arithmetic that overflows as SQL Server's does, rounding, and mathematics.

use rusqlite::functions::Context;
use rusqlite::types::Value;
use rusqlite::{Connection, Result};

use super::{PURE, type_argument};
use crate::convert;
use crate::decimal;
use crate::error::SqlError;
use crate::sql_type::{Kind, SqlType};

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("tds_int", 4, PURE, |ctx| {
        let operator: String = ctx.get(0)?;
        let (Some(left), Some(right)) = (ctx.get::<Option<i64>>(1)?, ctx.get::<Option<i64>>(2)?) else {
            return Ok(Value::Null);
        };
        let target = type_argument(ctx, 3)?;
        integer(&operator, left, right, target).map(Value::Integer).map_err(SqlError::into_sqlite)
    })?;
    connection.create_scalar_function("tds_float", 4, PURE, |ctx| {
        let operator: String = ctx.get(0)?;
        let (Some(left), Some(right)) = (ctx.get::<Option<f64>>(1)?, ctx.get::<Option<f64>>(2)?) else {
            return Ok(Value::Null);
        };
        let target = type_argument(ctx, 3)?;
        let result = match operator.as_str() {
            "+" => left + right,
            "-" => left - right,
            "*" => left * right,
            _ if right == 0.0 => return Err(SqlError::division_by_zero().into_sqlite()),
            _ => left / right,
        };
        convert::finite(result, target).map_err(SqlError::into_sqlite)
    })?;
    connection.create_scalar_function("tds_decimal", 6, PURE, |ctx| {
        let operator: String = ctx.get(0)?;
        let (Some(left), Some(right)) = (blob(ctx, 1)?, blob(ctx, 3)?) else { return Ok(Value::Null) };
        let (s1, s2): (u8, u8) = (ctx.get(2)?, ctx.get(4)?);
        let target = type_argument(ctx, 5)?;
        let (precision, scale) = target.precision_and_scale().unwrap_or((38, 0));
        let precision = if matches!(target, SqlType::Decimal { .. }) { precision } else { 38 };
        let operator = operator.chars().next().unwrap_or('+');
        let result = decimal::arithmetic(operator, (left, s1), (right, s2), (precision, scale))
            .map_err(SqlError::into_sqlite)?;
        let fits = match target {
            SqlType::Money => i64::try_from(result).is_ok(),
            SqlType::SmallMoney => i32::try_from(result).is_ok(),
            _ => true,
        };
        if fits {
            Ok(Value::Blob(decimal::to_blob(result)))
        } else {
            Err(SqlError::overflow(target.name()).into_sqlite())
        }
    })?;
    connection.create_scalar_function("tds_round", 5, PURE, |ctx| {
        let function: String = ctx.get(0)?;
        let target = type_argument(ctx, 2)?;
        let (Some(digits), Some(mode)) = (ctx.get::<Option<i64>>(3)?, ctx.get::<Option<i64>>(4)?) else {
            return Ok(Value::Null);
        };
        round(&function, ctx.get(1)?, target, digits, mode).map_err(SqlError::into_sqlite)
    })?;
    connection.create_scalar_function("tds_math", -1, PURE, |ctx| {
        let function: String = ctx.get(0)?;
        let mut numbers = Vec::new();
        for position in 1..ctx.len() {
            match ctx.get::<Option<f64>>(position)? {
                Some(number) => numbers.push(number),
                None => return Ok(Value::Null),
            }
        }
        let invalid = || SqlError::new(3623, 16, 1, "An invalid floating point operation occurred.").into_sqlite();
        let result = match (function.as_str(), numbers.as_slice()) {
            ("pi", []) => std::f64::consts::PI,
            ("power", [base, exponent]) => base.powf(*exponent),
            ("sqrt", [number]) if *number >= 0.0 => number.sqrt(),
            ("exp", [number]) => number.exp(),
            ("log", [number]) if *number > 0.0 => number.ln(),
            ("log10", [number]) if *number > 0.0 => number.log10(),
            ("square", [number]) => number * number,
            ("sin", [number]) => number.sin(),
            ("cos", [number]) => number.cos(),
            ("tan", [number]) => number.tan(),
            _ => return Err(invalid()),
        };
        if result.is_nan() {
            return Err(invalid());
        }
        convert::finite(result, SqlType::Float).map_err(SqlError::into_sqlite)
    })
}

fn blob(ctx: &Context<'_>, position: usize) -> Result<Option<i128>> {
    Ok(ctx.get::<Option<Vec<u8>>>(position)?.as_deref().and_then(decimal::from_blob))
}

fn integer(operator: &str, left: i64, right: i64, target: SqlType) -> Result<i64, SqlError> {
    let result = match operator {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        _ if right == 0 => return Err(SqlError::division_by_zero()),
        "%" => Some(left.wrapping_rem(right)),
        _ => left.checked_div(right),
    };
    let (least, greatest) = target.integer_range().unwrap_or((i64::MIN, i64::MAX));
    result.filter(|result| (least..=greatest).contains(result)).ok_or_else(|| SqlError::overflow(target.name()))
}

fn round(function: &str, value: Value, sql_type: SqlType, digits: i64, mode: i64) -> Result<Value, SqlError> {
    match value {
        Value::Integer(number) => {
            let (least, greatest) = sql_type.integer_range().unwrap_or((i64::MIN, i64::MAX));
            let result = match function {
                "abs" => number.checked_abs(),
                "sign" => Some(number.signum()),
                "round" if digits < 0 => {
                    let unit = 10i64.checked_pow(u32::try_from(-digits).unwrap_or(u32::MAX));
                    match unit {
                        None => Some(0),
                        Some(unit) if mode == 0 => {
                            let half = if number < 0 { -(unit / 2) } else { unit / 2 };
                            number.checked_add(half).map(|number| number / unit * unit)
                        }
                        Some(unit) => Some(number / unit * unit),
                    }
                }
                _ => Some(number),
            };
            let result = result.filter(|result| (least..=greatest).contains(result));
            result.map(Value::Integer).ok_or_else(|| SqlError::overflow(sql_type.name()))
        }
        Value::Real(number) => {
            let scale = 10f64.powi(i32::try_from(digits.clamp(-300, 300)).unwrap_or(0));
            let result = match function {
                "abs" => number.abs(),
                "sign" => {
                    if number == 0.0 {
                        0.0
                    } else {
                        number.signum()
                    }
                }
                "ceiling" => number.ceil(),
                "floor" => number.floor(),
                _ if mode == 0 => (number * scale).round() / scale,
                _ => (number * scale).trunc() / scale,
            };
            convert::finite(result, SqlType::Float)
        }
        Value::Blob(bytes) if sql_type.kind() == Kind::Decimal => {
            let number = decimal::from_blob(&bytes).unwrap_or(0);
            let (precision, scale) = sql_type.precision_and_scale().unwrap_or((38, 0));
            let is_money = !matches!(sql_type, SqlType::Decimal { .. });
            let unit = decimal::power_of_ten(scale);
            let whole = |number: i128| if is_money { number * unit } else { number };
            let result = match function {
                "abs" => number.abs(),
                "sign" => number.signum() * unit,
                "floor" => whole(number.div_euclid(unit)),
                "ceiling" => whole(-(-number).div_euclid(unit)),
                _ if digits >= i64::from(scale) => number,
                _ => {
                    let drop = u8::try_from((i64::from(scale) - digits).min(38)).unwrap_or(38);
                    let unit = decimal::power_of_ten(drop);
                    let half = if mode == 0 { unit / 2 * number.signum() } else { 0 };
                    (number + half) / unit * unit
                }
            };
            if decimal::fits(result, precision.max(1)) || is_money {
                Ok(Value::Blob(decimal::to_blob(result)))
            } else {
                Err(SqlError::overflow("numeric"))
            }
        }
        other => Ok(other),
    }
}
