//! Aggregate functions, grouped and over windows.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Visit, Visitor,
};

use super::expression::invalid_operand;
use super::scope::{Aggregates, Place, Scope};
use super::{Binder, not_run, not_tsql};
use crate::error::SqlError;
use crate::sql_type::{Kind, Length, SqlType};
use crate::typed::{Form, Strength, Typed};

const AGGREGATES: &[&str] =
    &["COUNT", "COUNT_BIG", "SUM", "AVG", "MIN", "MAX", "STDEV", "STDEVP", "VAR", "VARP", "STRING_AGG"];

pub(super) fn is_aggregate(name: &str) -> bool {
    AGGREGATES.contains(&name)
}

/// Whether an aggregate of this query, not of one inside or over a window, stands in the expression.
pub(super) fn contains_aggregate<T: Visit>(node: &T) -> bool {
    let mut search = Search { depth: 0 };
    node.visit(&mut search).is_break()
}

struct Search {
    depth: usize,
}

impl Visitor for Search {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function)
                if self.depth == 0
                    && function.over.is_none()
                    && is_aggregate(&function.name.to_string().to_ascii_uppercase()) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Binder<'_> {
    /// The call without OVER, and its result.
    pub(super) fn bind_aggregate(
        &self,
        name: &str,
        function: &Function,
        scope: &Scope<'_>,
        place: Place,
    ) -> Result<Typed, SqlError> {
        let windowed = function.over.is_some();
        if !windowed {
            match place.aggregates {
                Aggregates::Allowed => {}
                Aggregates::Inside => {
                    return Err(SqlError::new(
                        130,
                        15,
                        1,
                        "Cannot perform an aggregate function on an expression containing an aggregate or a subquery.",
                    ));
                }
                Aggregates::Refused if place.clause == "GROUP BY" => {
                    return Err(SqlError::new(
                        144,
                        15,
                        1,
                        "Cannot use an aggregate or a subquery in an expression used for the group by list of a GROUP BY clause.",
                    ));
                }
                Aggregates::Refused => {
                    return Err(SqlError::new(
                        147,
                        15,
                        1,
                        "An aggregate may not appear in the WHERE clause unless it is in a subquery contained in a HAVING clause or a select list, and the column being aggregated is an outer reference.",
                    ));
                }
            }
        }
        let FunctionArguments::List(list) = &function.args else { return Err(not_tsql(")")) };
        if !list.clauses.is_empty() {
            return Err(not_tsql("ORDER"));
        }
        let distinct = match list.duplicate_treatment {
            Some(DuplicateTreatment::Distinct) if windowed => {
                return Err(SqlError::new(10759, 15, 1, "Use of DISTINCT is not allowed with the OVER clause."));
            }
            Some(DuplicateTreatment::Distinct) => "DISTINCT ",
            Some(DuplicateTreatment::All) | None => "",
        };
        let inner = if windowed { place.inside_window() } else { place.inside_aggregate() };
        let count_type = if name == "COUNT" { SqlType::Int } else { SqlType::BigInt };
        let argument = match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] if name.starts_with("COUNT") && distinct.is_empty() => {
                return Ok(Typed::new("count(*)", count_type).not_null());
            }
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => self.bind_value(expr, scope, inner)?,
            [
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(separator)),
            ] if name == "STRING_AGG" => {
                let value = self.bind_value(expr, scope, inner)?;
                let separator = self.bind_value(separator, scope, inner)?;
                return self.bind_string_agg(function, value, &separator, scope, inner);
            }
            _ => {
                return Err(SqlError::new(
                    174,
                    15,
                    1,
                    format!("The {} function requires 1 argument(s).", name.to_lowercase()),
                ));
            }
        };
        if !function.within_group.is_empty() {
            return Err(not_tsql("WITHIN"));
        }
        let word = match name {
            "SUM" => "sum",
            "AVG" => "avg",
            "MIN" => "min",
            "MAX" => "max",
            "STDEV" => "stdev",
            "STDEVP" => "stdevp",
            "VAR" => "var",
            "VARP" => "varp",
            _ => "count",
        };
        let sql_type = argument.sql_type;
        if !sql_type.is_comparable() {
            return Err(invalid_operand(sql_type, word));
        }
        if argument.form == Form::Null && !name.starts_with("COUNT") {
            return Err(SqlError::new(8117, 16, 1, format!("Operand data type NULL is invalid for {word} operator.")));
        }
        match name {
            "COUNT" | "COUNT_BIG" => {
                Ok(Typed::new(format!("count({distinct}{})", argument.key()), count_type).not_null())
            }
            "MIN" | "MAX" => {
                if sql_type == SqlType::Bit {
                    return Err(invalid_operand(sql_type, word));
                }
                let strength = argument.strength;
                let operand = match sql_type.kind() {
                    Kind::String => argument.key(),
                    _ => argument.sql.clone(),
                };
                Ok(Typed { strength, ..Typed::new(format!("{word}({operand})"), sql_type) })
            }
            _ => {
                let (suffix, result) = match (sql_type.kind(), name) {
                    _ if sql_type == SqlType::Bit => return Err(invalid_operand(sql_type, word)),
                    (Kind::Integer | Kind::Float | Kind::Decimal, "STDEV" | "STDEVP" | "VAR" | "VARP") => {
                        let operand = argument.converted(SqlType::Float, 0);
                        return Ok(Typed::new(format!("tds_{word}({distinct}{operand})"), SqlType::Float));
                    }
                    (Kind::Integer, _) if sql_type == SqlType::BigInt => ("bigint".to_owned(), SqlType::BigInt),
                    (Kind::Integer, _) => ("int".to_owned(), SqlType::Int),
                    (Kind::Float, _) => ("float".to_owned(), SqlType::Float),
                    (Kind::Decimal, _) => {
                        let scale = sql_type.precision_and_scale().map_or(0, |(_, scale)| scale);
                        match sql_type {
                            SqlType::Decimal { .. } if name == "AVG" => {
                                (format!("decimal{scale}"), SqlType::Decimal { precision: 38, scale: scale.max(6) })
                            }
                            SqlType::Decimal { .. } => {
                                ("decimal".to_owned(), SqlType::Decimal { precision: 38, scale })
                            }
                            _ => ("money".to_owned(), SqlType::Money),
                        }
                    }
                    _ => return Err(invalid_operand(sql_type, word)),
                };
                Ok(Typed::new(format!("tds_{word}_{suffix}({distinct}{})", argument.sql), result))
            }
        }
    }

    fn bind_string_agg(
        &self,
        function: &Function,
        value: Typed,
        separator: &Typed,
        scope: &Scope<'_>,
        place: Place,
    ) -> Result<Typed, SqlError> {
        if function.over.is_some() {
            return Err(SqlError::new(
                4113,
                15,
                1,
                "The function 'STRING_AGG' is not a valid windowing function, and cannot be used with the OVER clause.",
            ));
        }
        if !separator.sql_type.is_string() {
            return Err(SqlError::new(
                8116,
                16,
                1,
                "Argument data type is invalid for argument 2 of string_agg function.",
            ));
        }
        let collation = value.sql_type.collation().unwrap_or(self.collation());
        let length = match value.sql_type {
            SqlType::VarChar(Length::Max, _) | SqlType::NVarChar(Length::Max, _) => Length::Max,
            _ if value.sql_type.is_unicode() || !value.sql_type.is_string() => Length::Of(4000),
            _ => Length::Of(8000),
        };
        let sql_type = if value.sql_type.is_unicode() || !value.sql_type.is_string() {
            SqlType::NVarChar(length, collation)
        } else {
            SqlType::VarChar(length, collation)
        };
        let strength = if value.sql_type.is_string() { value.strength } else { Strength::CoercibleDefault };
        let text = if value.sql_type.is_string() {
            value.sql
        } else {
            value.converted(SqlType::NVarChar(Length::Of(4000), collation), 0)
        };
        if function.within_group.len() > 1 {
            return Err(not_run("STRING_AGG ordered by several expressions"));
        }
        let order = match function.within_group.first() {
            None => String::new(),
            Some(order) => {
                if order.options.nulls_first.is_some() {
                    return Err(not_tsql("NULLS"));
                }
                let key = self.bind_value(&order.expr, scope, place)?;
                format!(" ORDER BY {}{}", key.key(), if order.options.asc == Some(false) { " DESC" } else { "" })
            }
        };
        Ok(Typed { strength, ..Typed::new(format!("group_concat({text},{}{order})", separator.sql), sql_type) })
    }
}
