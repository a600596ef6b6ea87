//! SUM, AVG and the deviations, grouped and over windows.

use std::panic::{RefUnwindSafe, UnwindSafe};

use rusqlite::functions::{Aggregate, Context, WindowAggregate};
use rusqlite::types::Value;
use rusqlite::{Connection, Result};

use super::PURE;
use crate::decimal;
use crate::error::SqlError;

pub(super) fn register(connection: &Connection) -> Result<()> {
    for (name, average, number) in [
        ("tds_sum_int", Operation::Sum, Number::Int),
        ("tds_avg_int", Operation::Average, Number::Int),
        ("tds_sum_bigint", Operation::Sum, Number::BigInt),
        ("tds_avg_bigint", Operation::Average, Number::BigInt),
        ("tds_sum_float", Operation::Sum, Number::Float),
        ("tds_avg_float", Operation::Average, Number::Float),
        ("tds_sum_decimal", Operation::Sum, Number::Decimal),
        ("tds_sum_money", Operation::Sum, Number::Money),
        ("tds_avg_money", Operation::Average, Number::Money),
    ] {
        connection.create_window_function(name, 1, PURE, Totals { operation: average, number, scale: 0 })?;
    }
    for scale in 0..=38u8 {
        let totals = Totals { operation: Operation::Average, number: Number::Decimal, scale };
        connection.create_window_function(format!("tds_avg_decimal{scale}").as_str(), 1, PURE, totals)?;
    }
    for (name, population, root) in
        [("tds_var", false, false), ("tds_varp", true, false), ("tds_stdev", false, true), ("tds_stdevp", true, true)]
    {
        connection.create_aggregate_function(name, 1, PURE, Deviation { population, root })?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Sum,
    Average,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Int,
    BigInt,
    Float,
    Decimal,
    Money,
}

struct Totals {
    operation: Operation,
    number: Number,
    scale: u8,
}

#[derive(Default)]
struct Total {
    exact: i128,
    float: f64,
    count: i128,
    overflowed: bool,
}

impl Totals {
    fn add(&self, total: &mut Total, value: Value, sign: i128) {
        match value {
            Value::Null => return,
            Value::Integer(number) if self.number != Number::Float => total.exact += sign * i128::from(number),
            Value::Integer(number) => total.float += sign as f64 * number as f64,
            Value::Real(number) => total.float += sign as f64 * number,
            Value::Blob(bytes) => match total.exact.checked_add(sign * decimal::from_blob(&bytes).unwrap_or(0)) {
                Some(sum) => total.exact = sum,
                None => total.overflowed = true,
            },
            Value::Text(_) => return,
        }
        total.count += sign;
    }

    fn result(&self, total: &Total) -> Result<Value> {
        if total.count == 0 {
            return Ok(Value::Null);
        }
        let overflow = |name: &str| Err(SqlError::overflow(name).into_sqlite());
        let average = self.operation == Operation::Average;
        match self.number {
            Number::Float => {
                let number = if average { total.float / total.count as f64 } else { total.float };
                if number.is_finite() { Ok(Value::Real(number)) } else { overflow("float") }
            }
            Number::Int => match i32::try_from(total.exact) {
                Ok(sum) if !average => Ok(Value::Integer(i64::from(sum))),
                Ok(sum) => Ok(Value::Integer((i128::from(sum) / total.count) as i64)),
                // The sum behind an average overflows too.
                Err(_) => overflow("int"),
            },
            Number::BigInt => match i64::try_from(total.exact) {
                Ok(sum) if !average => Ok(Value::Integer(sum)),
                Ok(sum) => Ok(Value::Integer((i128::from(sum) / total.count) as i64)),
                Err(_) => overflow("bigint"),
            },
            Number::Money => match i64::try_from(total.exact) {
                Ok(sum) => {
                    let number = if average { i128::from(sum) / total.count } else { i128::from(sum) };
                    Ok(Value::Blob(decimal::to_blob(number)))
                }
                Err(_) => overflow("money"),
            },
            Number::Decimal => {
                if total.overflowed || !decimal::fits(total.exact, 38) {
                    return overflow("numeric");
                }
                if !average {
                    return Ok(Value::Blob(decimal::to_blob(total.exact)));
                }
                let quotient =
                    decimal::arithmetic('/', (total.exact, self.scale), (total.count, 0), (38, self.scale.max(6)));
                quotient.map(|number| Value::Blob(decimal::to_blob(number))).map_err(SqlError::into_sqlite)
            }
        }
    }
}

impl Aggregate<Total, Value> for Totals
where
    Total: RefUnwindSafe + UnwindSafe,
{
    fn init(&self, _: &mut Context<'_>) -> Result<Total> {
        Ok(Total::default())
    }

    fn step(&self, ctx: &mut Context<'_>, total: &mut Total) -> Result<()> {
        self.add(total, ctx.get(0)?, 1);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, total: Option<Total>) -> Result<Value> {
        self.result(&total.unwrap_or_default())
    }
}

impl WindowAggregate<Total, Value> for Totals {
    fn value(&self, total: Option<&mut Total>) -> Result<Value> {
        total.map_or(Ok(Value::Null), |total| self.result(total))
    }

    fn inverse(&self, ctx: &mut Context<'_>, total: &mut Total) -> Result<()> {
        self.add(total, ctx.get(0)?, -1);
        Ok(())
    }
}

struct Deviation {
    population: bool,
    root: bool,
}

/// Welford's sums.
#[derive(Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Aggregate<Spread, Value> for Deviation {
    fn init(&self, _: &mut Context<'_>) -> Result<Spread> {
        Ok(Spread::default())
    }

    fn step(&self, ctx: &mut Context<'_>, spread: &mut Spread) -> Result<()> {
        if let Some(number) = ctx.get::<Option<f64>>(0)? {
            spread.count += 1.0;
            let distance = number - spread.mean;
            spread.mean += distance / spread.count;
            spread.squares += distance * (number - spread.mean);
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, spread: Option<Spread>) -> Result<Value> {
        let spread = spread.unwrap_or_default();
        let divisor = if self.population { spread.count } else { spread.count - 1.0 };
        if divisor <= 0.0 {
            return Ok(Value::Null);
        }
        let variance = spread.squares / divisor;
        Ok(Value::Real(if self.root { variance.sqrt() } else { variance }))
    }
}
