//! ORDER BY: positions, names of the select list, expressions; and what may not stand there.

use sqlparser::ast::{Expr, OrderByExpr, Value};

use super::query::{Item, as_typed};
use super::scope::{Place, Scope, invalid_column};
use super::{Binder, OutputColumn, not_tsql};
use crate::catalog::same_name;
use crate::error::SqlError;
use crate::sql_type::SqlType;

impl Binder<'_> {
    /// Items of ORDER BY behind a set operation: its columns, by name or by position.
    pub(super) fn order_of_union(&self, order: &[&OrderByExpr], columns: &[OutputColumn]) -> Result<String, SqlError> {
        let mut parts = Vec::new();
        for item in order {
            check_order_options(item)?;
            let position = match position_literal(&item.expr) {
                Some(position) => ordinal(position, columns.len())?,
                None => match &item.expr {
                    Expr::Identifier(name) => columns
                        .iter()
                        .position(|column| column.name.as_ref().is_some_and(|known| same_name(known, &name.value)))
                        .ok_or_else(|| invalid_column(&name.value))?,
                    _ => {
                        return Err(SqlError::new(
                            104,
                            16,
                            1,
                            "ORDER BY items must appear in the select list if the statement contains a UNION, INTERSECT or EXCEPT operator.",
                        ));
                    }
                },
            };
            let Some(column) = columns.get(position) else { continue };
            let key = as_typed(column, format!("c{position}")).key();
            parts.push(format!("{key}{}", direction(item)));
        }
        no_order_twice(&parts)?;
        Ok(parts.join(","))
    }

    pub(super) fn bind_order_item(
        &self,
        item: &OrderByExpr,
        items: &[Item],
        scope: &Scope<'_>,
        distinct: bool,
    ) -> Result<String, SqlError> {
        check_order_options(item)?;
        let refuse_unsortable = |sql_type: SqlType| {
            if sql_type.is_comparable() {
                Ok(())
            } else {
                Err(SqlError::new(
                    306,
                    16,
                    2,
                    "The text, ntext, and image data types cannot be compared or sorted, except when using IS NULL or LIKE operator.",
                ))
            }
        };
        if let Some(position) = position_literal(&item.expr) {
            let found = items.get(ordinal(position, items.len())?).ok_or_else(|| not_tsql(position))?;
            refuse_unsortable(found.value.sql_type)?;
            return Ok(found.value.key());
        }
        if let Expr::Identifier(name) = &item.expr {
            let mut named =
                items.iter().filter(|known| known.name.as_ref().is_some_and(|known| same_name(known, &name.value)));
            if let Some(found) = named.next() {
                if named.any(|other| other.value.sql != found.value.sql) {
                    return Err(SqlError::new(209, 16, 1, format!("Ambiguous column name '{}'.", name.value)));
                }
                refuse_unsortable(found.value.sql_type)?;
                return Ok(found.value.key());
            }
        }
        let bound = self.bind_value(&item.expr, scope, Place::ORDER_BY)?;
        refuse_unsortable(bound.sql_type)?;
        if bound.is_constant() && !matches!(item.expr, Expr::Subquery(_)) {
            return Err(SqlError::new(
                408,
                16,
                1,
                "A constant expression was encountered in the ORDER BY list, position 1.",
            ));
        }
        if distinct && !items.iter().any(|known| known.value.sql == bound.sql) {
            return Err(SqlError::new(
                145,
                15,
                1,
                "ORDER BY items must appear in the select list if SELECT DISTINCT is specified.",
            ));
        }
        Ok(bound.key())
    }
}

pub(super) fn order_in_derived() -> SqlError {
    SqlError::new(
        1033,
        15,
        1,
        "The ORDER BY clause is invalid in views, inline functions, derived tables, subqueries, and common table expressions, unless TOP, OFFSET or FOR XML is also specified.",
    )
}

fn check_order_options(item: &OrderByExpr) -> Result<(), SqlError> {
    if item.options.nulls_first.is_some() {
        return Err(not_tsql("NULLS"));
    }
    if item.with_fill.is_some() { Err(not_tsql("WITH")) } else { Ok(()) }
}

pub(super) fn direction(item: &OrderByExpr) -> &'static str {
    if item.options.asc == Some(false) { " DESC" } else { "" }
}

/// Error 169.
pub(super) fn no_order_twice(parts: &[String]) -> Result<(), SqlError> {
    let bare = |part: &String| part.strip_suffix(" DESC").unwrap_or(part).to_owned();
    let twice = parts
        .iter()
        .enumerate()
        .any(|(position, part)| parts.iter().skip(position + 1).any(|other| bare(other) == bare(part)));
    if twice {
        return Err(SqlError::new(
            169,
            15,
            1,
            "A column has been specified more than once in the order by list. Columns in the order by list must be unique.",
        ));
    }
    Ok(())
}

/// An integer literal, bare.
fn position_literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, false) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits),
            _ => None,
        },
        _ => None,
    }
}

fn ordinal(digits: &str, width: usize) -> Result<usize, SqlError> {
    match digits.parse::<usize>() {
        Ok(position) if (1..=width).contains(&position) => Ok(position - 1),
        _ => Err(SqlError::new(
            108,
            16,
            1,
            format!("The ORDER BY position number {digits} is out of range of the number of items in the select list."),
        )),
    }
}
