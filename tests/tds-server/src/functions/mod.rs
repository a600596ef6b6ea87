//! Functions that SQLite calls for the SQL that `binder` writes. All of them raise SQL Server's errors.

mod aggregate;
mod json;
mod moment;
mod number;
mod text;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::Value;
use rusqlite::{Connection, Result};

use crate::convert;
use crate::error::SqlError;
use crate::sql_type::SqlType;

const PURE: FunctionFlags = FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC);

/// Registers everything but what needs the session.
pub fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("tds_cast", 4, PURE, |ctx| {
        let (value, from, to, style) = cast_arguments(ctx)?;
        convert::cast(value, from, to, style).map_err(SqlError::into_sqlite)
    })?;
    connection.create_scalar_function("tds_try_cast", 4, PURE, |ctx| {
        let (value, from, to, style) = cast_arguments(ctx)?;
        Ok(convert::cast(value, from, to, style).unwrap_or(Value::Null))
    })?;
    // What a column has no room for is error 2628; blanks at the end may go.
    connection.create_scalar_function("tds_store", 3, PURE, |ctx| {
        let (value, from, to): (Value, _, _) = (ctx.get(0)?, type_argument(ctx, 1)?, type_argument(ctx, 2)?);
        let cut = convert::cast(value.clone(), from, to, 0).map_err(SqlError::into_sqlite)?;
        let lost = match (&value, &cut) {
            (Value::Text(whole), Value::Text(cut)) => {
                whole.trim_end_matches(' ').chars().count() > cut.trim_end_matches(' ').chars().count()
            }
            (Value::Blob(whole), Value::Blob(cut)) => whole.len() > cut.len(),
            _ => false,
        };
        if lost {
            return Err(SqlError::new(2628, 16, 1, "String or binary data would be truncated.").into_sqlite());
        }
        Ok(cut)
    })?;
    connection.create_scalar_function("tds_raise", 1, PURE, |ctx| -> Result<Value> {
        let number: i32 = ctx.get(0)?;
        let message = match number {
            512 => "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , >, >= or when the subquery is used as an expression.",
            _ => "An error was raised.",
        };
        Err(SqlError::new(number, 16, 1, message).into_sqlite())
    })?;
    text::register(connection)?;
    number::register(connection)?;
    moment::register(connection)?;
    json::register(connection)?;
    aggregate::register(connection)
}

fn cast_arguments(ctx: &Context<'_>) -> Result<(Value, SqlType, SqlType, i64)> {
    Ok((ctx.get(0)?, type_argument(ctx, 1)?, type_argument(ctx, 2)?, ctx.get(3)?))
}

fn type_argument(ctx: &Context<'_>, position: usize) -> Result<SqlType> {
    SqlType::from_code(ctx.get(position)?)
        .ok_or_else(|| rusqlite::Error::UserFunctionError("a type that is not known".into()))
}
