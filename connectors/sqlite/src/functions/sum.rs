//! Sums of integers that never overflow.

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

/// `exact_sum(value)`: the sum of integers: an integer, or its digits where 64 bits do not hold it; NULL of none at all.
pub(crate) const EXACT_SUM: &str = "exact_sum";

pub(super) fn register(connection: &Connection, flags: FunctionFlags) -> Result<()> {
    connection.create_aggregate_function(EXACT_SUM, 1, flags, ExactSum)
}

struct ExactSum;

/// The sum so far; `None` once a value was no integer.
type Sum = Option<i128>;

impl Aggregate<(Sum, bool), Value> for ExactSum {
    fn init(&self, _: &mut Context<'_>) -> Result<(Sum, bool)> {
        Ok((Some(0), false))
    }

    fn step(&self, ctx: &mut Context<'_>, (sum, found): &mut (Sum, bool)) -> Result<()> {
        match ctx.get_raw(0) {
            ValueRef::Null => return Ok(()),
            // So many rows that this overflows are in no file.
            ValueRef::Integer(number) => *sum = sum.and_then(|sum| sum.checked_add(i128::from(number))),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => *sum = None,
        }
        *found = true;
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<(Sum, bool)>) -> Result<Value> {
        Ok(match state {
            None | Some((_, false)) => Value::Null,
            Some((Some(sum), true)) => i64::try_from(sum).map_or_else(|_| Value::Text(sum.to_string()), Value::Integer),
            // No number: whoever reads it refuses it, as the value itself would have been.
            Some((None, true)) => Value::Text("no integer".to_owned()),
        })
    }
}
