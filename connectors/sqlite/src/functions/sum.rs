//! Sums of integers, exact however large a part of them is.

use rusqlite::functions::{Aggregate, Context, FunctionFlags, WindowAggregate};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result};

/// `exact_sum(value)`: the sum of integers: an integer, or its digits where 64 bits do not hold it; NULL of none at all.
pub(crate) const EXACT_SUM: &str = "exact_sum";

/// `integer_sum(value)`: the same as a 64-bit integer, also over a window; fails where it is none, as `sum` does.
pub(crate) const INTEGER_SUM: &str = "integer_sum";

pub(super) fn register(connection: &Connection, flags: FunctionFlags) -> Result<()> {
    connection.create_aggregate_function(EXACT_SUM, 1, flags, ExactSum)?;
    connection.create_window_function(INTEGER_SUM, 1, flags, IntegerSum)
}

struct ExactSum;

struct IntegerSum;

/// A sum so far.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    total: i128,
    /// How many values there are that are not NULL, and how many of those are no integers.
    values: u64,
    others: u64,
}

impl Sum {
    fn add(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => return,
            // So many rows that this overflows are in no file.
            ValueRef::Integer(number) => self.total = self.total.saturating_add(i128::from(number)),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => self.others += 1,
        }
        self.values += 1;
    }

    fn remove(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => return,
            ValueRef::Integer(number) => self.total = self.total.saturating_sub(i128::from(number)),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => self.others = self.others.saturating_sub(1),
        }
        self.values = self.values.saturating_sub(1);
    }

    fn value(self) -> Value {
        match (self.values, self.others) {
            (0, _) => Value::Null,
            (_, 0) => i64::try_from(self.total).map_or_else(|_| Value::Text(self.total.to_string()), Value::Integer),
            // No number: whoever reads it refuses it, as the value itself would have been.
            _ => Value::Text("no integer".to_owned()),
        }
    }

    fn integer(self) -> Result<Value> {
        match i64::try_from(self.total) {
            // In the words of SQLite's own `sum`.
            Err(_) => Err(Error::UserFunctionError("integer overflow".into())),
            Ok(_) => Ok(self.value()),
        }
    }
}

impl Aggregate<Sum, Value> for ExactSum {
    fn init(&self, _: &mut Context<'_>) -> Result<Sum> {
        Ok(Sum::default())
    }

    fn step(&self, ctx: &mut Context<'_>, sum: &mut Sum) -> Result<()> {
        sum.add(ctx.get_raw(0));
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Sum>) -> Result<Value> {
        Ok(sum.unwrap_or_default().value())
    }
}

impl Aggregate<Sum, Value> for IntegerSum {
    fn init(&self, _: &mut Context<'_>) -> Result<Sum> {
        Ok(Sum::default())
    }

    fn step(&self, ctx: &mut Context<'_>, sum: &mut Sum) -> Result<()> {
        sum.add(ctx.get_raw(0));
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Sum>) -> Result<Value> {
        sum.unwrap_or_default().integer()
    }
}

impl WindowAggregate<Sum, Value> for IntegerSum {
    fn value(&self, sum: Option<&mut Sum>) -> Result<Value> {
        sum.map(|sum| *sum).unwrap_or_default().integer()
    }

    fn inverse(&self, ctx: &mut Context<'_>, sum: &mut Sum) -> Result<()> {
        sum.remove(ctx.get_raw(0));
        Ok(())
    }
}
