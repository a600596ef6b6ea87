//! OVER: ranking, offset and aggregate functions over windows.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value, WindowFrameBound, WindowFrameUnits,
    WindowType,
};

use super::aggregate::is_aggregate;
use super::scope::{Place, Scope, Windows};
use super::{Binder, not_run, not_tsql};
use crate::error::SqlError;
use crate::sql_type::SqlType;
use crate::typed::{Form, Typed};

const RANKING: &[&str] = &["ROW_NUMBER", "RANK", "DENSE_RANK", "NTILE", "PERCENT_RANK", "CUME_DIST"];
const OFFSET: &[&str] = &["LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE"];

pub(super) fn is_window_function(name: &str) -> bool {
    RANKING.contains(&name) || OFFSET.contains(&name)
}

impl Binder<'_> {
    pub(super) fn bind_over(
        &self,
        name: &str,
        function: &Function,
        over: &WindowType,
        scope: &Scope<'_>,
        place: Place,
    ) -> Result<Typed, SqlError> {
        if place.windows == Windows::Refused {
            return Err(SqlError::new(
                4108,
                15,
                1,
                "Windowed functions can only appear in the SELECT or ORDER BY clauses.",
            ));
        }
        let WindowType::WindowSpec(window) = over else { return Err(not_run("a named window")) };
        if window.window_name.is_some() {
            return Err(not_run("a named window"));
        }
        let inner = place.inside_window();
        let call = if is_aggregate(name) {
            self.bind_aggregate(name, function, scope, place)?
        } else if is_window_function(name) {
            self.bind_window_function(name, function, scope, inner)?
        } else {
            return Err(SqlError::new(
                4113,
                15,
                1,
                format!(
                    "The function '{name}' is not a valid windowing function, and cannot be used with the OVER clause."
                ),
            ));
        };
        let needs_order = is_window_function(name);
        if needs_order && window.order_by.is_empty() {
            return Err(SqlError::new(
                4112,
                15,
                1,
                format!("The function '{name}' must have an OVER clause with ORDER BY."),
            ));
        }
        let mut parts = Vec::new();
        let partition = window
            .partition_by
            .iter()
            .map(|expr| self.bind_value(expr, scope, inner).map(|bound| bound.key()))
            .collect::<Result<Vec<_>, _>>()?;
        if !partition.is_empty() {
            parts.push(format!("PARTITION BY {}", partition.join(",")));
        }
        let mut order = Vec::new();
        for item in &window.order_by {
            if item.options.nulls_first.is_some() || item.with_fill.is_some() {
                return Err(not_tsql("NULLS"));
            }
            if matches!(&item.expr, Expr::Value(value) if matches!(value.value, Value::Number(..))) {
                return Err(SqlError::new(
                    5308,
                    16,
                    1,
                    "Windowed functions, aggregates and NEXT VALUE FOR functions do not support integer indices as ORDER BY clause expressions.",
                ));
            }
            let bound = self.bind_value(&item.expr, scope, inner)?;
            if matches!(bound.form, Form::Literal | Form::Integer(_))
                || bound.form == Form::Null && !matches!(item.expr, Expr::Subquery(_))
            {
                return Err(SqlError::new(
                    5309,
                    16,
                    1,
                    "Windowed functions, aggregates and NEXT VALUE FOR functions do not support constants as ORDER BY clause expressions.",
                ));
            }
            order.push(format!("{}{}", bound.key(), if item.options.asc == Some(false) { " DESC" } else { "" }));
        }
        if !order.is_empty() {
            parts.push(format!("ORDER BY {}", order.join(",")));
        }
        if let Some(frame) = &window.window_frame {
            if RANKING.contains(&name) || matches!(name, "LAG" | "LEAD") {
                return Err(SqlError::new(10752, 15, 1, format!("The function '{name}' may not have a window frame.")));
            }
            if order.is_empty() {
                return Err(SqlError::new(
                    10756,
                    15,
                    1,
                    "Window frame with ROWS or RANGE must have an ORDER BY clause.",
                ));
            }
            let units = match frame.units {
                WindowFrameUnits::Rows => "ROWS",
                WindowFrameUnits::Range => "RANGE",
                WindowFrameUnits::Groups => return Err(not_tsql("GROUPS")),
            };
            let bound = |bound: &WindowFrameBound| -> Result<String, SqlError> {
                Ok(match bound {
                    WindowFrameBound::CurrentRow => "CURRENT ROW".to_owned(),
                    WindowFrameBound::Preceding(None) => "UNBOUNDED PRECEDING".to_owned(),
                    WindowFrameBound::Following(None) => "UNBOUNDED FOLLOWING".to_owned(),
                    WindowFrameBound::Preceding(Some(_)) | WindowFrameBound::Following(Some(_)) if units == "RANGE" => {
                        return Err(SqlError::new(
                            4194,
                            16,
                            1,
                            "RANGE is only supported with UNBOUNDED and CURRENT ROW window frame delimiters.",
                        ));
                    }
                    WindowFrameBound::Preceding(Some(rows)) => format!("{} PRECEDING", frame_rows(rows)?),
                    WindowFrameBound::Following(Some(rows)) => format!("{} FOLLOWING", frame_rows(rows)?),
                })
            };
            let start = bound(&frame.start_bound)?;
            match &frame.end_bound {
                Some(end) => parts.push(format!("{units} BETWEEN {start} AND {}", bound(end)?)),
                None if start.ends_with("FOLLOWING") => return Err(not_tsql("FOLLOWING")),
                None => parts.push(format!("{units} {start}")),
            }
        }
        Ok(Typed { sql: format!("({} OVER ({}))", call.sql, parts.join(" ")), form: Form::Other, ..call })
    }

    fn bind_window_function(
        &self,
        name: &str,
        function: &Function,
        scope: &Scope<'_>,
        place: Place,
    ) -> Result<Typed, SqlError> {
        let FunctionArguments::List(list) = &function.args else { return Err(not_tsql(")")) };
        if list.duplicate_treatment.is_some() || function.null_treatment.is_some() || !list.clauses.is_empty() {
            return Err(not_run("IGNORE NULLS"));
        }
        let mut args = Vec::new();
        for arg in &list.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else { return Err(not_tsql(arg)) };
            args.push(self.bind_value(expr, scope, place)?);
        }
        let wrong = || SqlError::new(174, 15, 1, format!("The function {name} has a wrong number of arguments."));
        let lower = name.to_ascii_lowercase();
        match (name, args.as_slice()) {
            ("ROW_NUMBER" | "RANK" | "DENSE_RANK", []) => Ok(Typed::new(format!("{lower}()"), SqlType::BigInt)),
            ("PERCENT_RANK" | "CUME_DIST", []) => Ok(Typed::new(format!("{lower}()"), SqlType::Float)),
            ("NTILE", [groups]) => {
                Ok(Typed::new(format!("ntile({})", groups.converted(SqlType::BigInt, 0)), SqlType::BigInt))
            }
            ("FIRST_VALUE" | "LAST_VALUE", [value]) => {
                Ok(Typed { strength: value.strength, ..Typed::new(format!("{lower}({})", value.sql), value.sql_type) })
            }
            ("LAG" | "LEAD", [value, rest @ ..]) if rest.len() <= 2 => {
                let mut sql = format!("{lower}({}", value.sql);
                if let Some(offset) = rest.first() {
                    sql.push_str(&format!(",{}", offset.converted(SqlType::BigInt, 0)));
                }
                if let Some(default) = rest.get(1) {
                    sql.push_str(&format!(",{}", default.converted(value.sql_type, 0)));
                }
                Ok(Typed { strength: value.strength, ..Typed::new(sql + ")", value.sql_type) })
            }
            _ => Err(wrong()),
        }
    }
}

fn frame_rows(expr: &Expr) -> Result<u64, SqlError> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, false) => digits.parse().map_err(|_| not_tsql(digits)),
            other => Err(not_tsql(other)),
        },
        other => Err(not_tsql(other)),
    }
}
