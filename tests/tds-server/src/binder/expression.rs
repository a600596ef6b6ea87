//! Values: everything that may stand in a select list. A predicate is no value in T-SQL.

use sqlparser::ast::{CastKind, CeilFloorKind, DataType, Expr, UnaryOperator};

use super::scope::{Aggregates, Place, Scope};
use super::{Binder, Role, not_tsql};
use crate::collation::Collation;
use crate::convert;
use crate::error::SqlError;
use crate::sql_type::{Kind, Position, SqlType};
use crate::typed::{Form, Strength, Typed, common_collation, common_type};

impl Binder<'_> {
    pub(crate) fn bind_value(&self, expr: &Expr, scope: &Scope<'_>, place: Place) -> Result<Typed, SqlError> {
        // An expression that is grouped by may stand as it is; what it is made of may not.
        if place.aggregates == Aggregates::Allowed && scope.has_grouping_keys() && !matches!(expr, Expr::Value(_)) {
            let grouping = scope.grouping.replace(None);
            let bound = self.bind_ungrouped(expr, scope, Place { aggregates: Aggregates::Refused, ..place });
            scope.grouping.replace(grouping);
            if let Ok(bound) = bound
                && scope.is_grouping_key(&bound.sql)
            {
                return Ok(bound);
            }
        }
        self.bind_ungrouped(expr, scope, place)
    }

    fn bind_ungrouped(&self, expr: &Expr, scope: &Scope<'_>, place: Place) -> Result<Typed, SqlError> {
        match expr {
            Expr::Nested(inner) => self.bind_value(inner, scope, place),
            Expr::Value(value) => self.bind_literal(&value.value),
            Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.starts_with('@') => {
                self.bind_variable(&ident.value)
            }
            // Functions without parentheses.
            Expr::Identifier(ident)
                if ident.quote_style.is_none()
                    && ["CURRENT_USER", "SESSION_USER", "SYSTEM_USER"]
                        .iter()
                        .any(|word| ident.value.eq_ignore_ascii_case(word)) =>
            {
                self.bind_named(&ident.value.to_ascii_uppercase(), &[], scope, place)
            }
            Expr::Identifier(ident) => scope.resolve(std::slice::from_ref(ident), place),
            Expr::CompoundIdentifier(parts) => scope.resolve(parts, place),
            Expr::UnaryOp { op, expr } => {
                let operand = self.bind_value(expr, scope, place)?;
                match op {
                    UnaryOperator::Minus => self.bind_negation(operand),
                    UnaryOperator::Plus => Ok(operand),
                    UnaryOperator::BitwiseNot => {
                        if operand.sql_type.kind() != Kind::Integer {
                            return Err(invalid_operand(operand.sql_type, "'~'"));
                        }
                        let sql = match operand.sql_type {
                            SqlType::Bit => format!("(1-{})", operand.sql),
                            SqlType::TinyInt => format!("(255-{})", operand.sql),
                            _ => format!("(~{})", operand.sql),
                        };
                        Ok(Typed { sql, form: Form::Other, ..operand })
                    }
                    other => Err(not_tsql(other)),
                }
            }
            Expr::BinaryOp { left, op, right }
                if super::predicate::is_comparison(op) || super::predicate::is_logical(op) =>
            {
                let _bound = self.bind_predicate(expr, scope, place)?;
                let _sides = (left, right);
                Err(not_tsql(op))
            }
            Expr::BinaryOp { left, op, right } => {
                let left = self.bind_value(left, scope, place)?;
                let right = self.bind_value(right, scope, place)?;
                self.bind_arithmetic(op, left, right)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.bind_case(operand.as_deref(), conditions, else_result.as_deref(), scope, place)
            }
            Expr::Cast { kind, expr, data_type, array: false, format: None } => {
                let operand = self.bind_value(expr, scope, place)?;
                match kind {
                    CastKind::Cast => self.bind_cast(operand, data_type, 0, Attempt::Cast),
                    CastKind::TryCast => self.bind_cast(operand, data_type, 0, Attempt::Try),
                    CastKind::SafeCast | CastKind::DoubleColon => Err(not_tsql(kind_name(kind))),
                }
            }
            Expr::Convert {
                is_try,
                expr,
                data_type: Some(data_type),
                charset: None,
                target_before_value: true,
                styles,
            } => {
                let operand = self.bind_value(expr, scope, place)?;
                let style = match styles.as_slice() {
                    [] => 0,
                    [style] => self
                        .bind_value(style, scope, place)?
                        .sql
                        .parse()
                        .map_err(|_| super::not_run("a style that is no literal"))?,
                    _ => return Err(not_tsql(",")),
                };
                self.bind_cast(operand, data_type, style, if *is_try { Attempt::Try } else { Attempt::Cast })
            }
            Expr::Collate { expr, collation } => {
                let operand = self.bind_value(expr, scope, place)?;
                let name = collation.to_string();
                let collation = Collation::named(&name)
                    .ok_or_else(|| SqlError::new(448, 16, 2, format!("Invalid collation '{name}'.")))?;
                if !operand.sql_type.is_string() {
                    return Err(SqlError::new(
                        447,
                        16,
                        0,
                        format!("Expression type {} is invalid for COLLATE clause.", operand.sql_type.name()),
                    ));
                }
                let target = operand.sql_type.with_collation(collation);
                let bound = operand.cast_to(target);
                Ok(Typed { strength: Strength::Explicit, ..bound })
            }
            Expr::Function(function) => self.bind_function(function, scope, place),
            Expr::Substring {
                expr,
                substring_from: Some(from),
                substring_for: Some(length),
                special: true,
                shorthand: false,
            } => self.bind_named("SUBSTRING", &[expr, from, length], scope, place),
            Expr::Substring { shorthand: true, .. } => Err(SqlError::unknown_function("substr")),
            Expr::Substring { .. } => Err(SqlError::new(174, 15, 1, "The substring function requires 3 argument(s).")),
            Expr::Trim { trim_where: None, trim_what: None, expr, trim_characters: None } => {
                self.bind_named("TRIM", &[expr], scope, place)
            }
            Expr::Floor { expr, field: CeilFloorKind::Scale(_) } => Err(not_tsql(expr)),
            Expr::Floor { expr, .. } => self.bind_named("FLOOR", &[expr], scope, place),
            Expr::Subquery(query) => {
                let bound = self.bind_query(query, Some(scope), Role::Scalar)?;
                let column = bound.columns.first().ok_or_else(|| not_tsql(")"))?;
                let form = if column.is_null_literal { Form::Null } else { Form::Other };
                Ok(Typed {
                    strength: column.strength,
                    ..Typed::new(format!("({})", super::query::at_most_one(&bound)), column.sql_type).with_form(form)
                })
            }
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::Exists { .. } => {
                // Valid as a predicate, so that the error is that it stands here.
                let _bound = self.bind_predicate(expr, scope, place)?;
                Err(not_tsql(predicate_word(expr)))
            }
            other => Err(not_tsql(other)),
        }
    }

    fn bind_variable(&self, name: &str) -> Result<Typed, SqlError> {
        let known = self.variables.iter().position(|variable| variable.name.eq_ignore_ascii_case(name));
        if let Some(position) = known
            && let Some(variable) = self.variables.get(position)
        {
            return Ok(Typed::new(format!("?{}", position + 1), variable.sql_type).with_form(Form::Constant));
        }
        if let Some(bound) = self.bind_global_variable(name) {
            return Ok(bound);
        }
        Err(SqlError::new(137, 15, 2, format!("Must declare the scalar variable \"{name}\".")))
    }

    fn bind_cast(&self, operand: Typed, data_type: &DataType, style: i64, attempt: Attempt) -> Result<Typed, SqlError> {
        let target = SqlType::from_ast(data_type, self.collation(), Position::Cast)?;
        // A cast between strings keeps the collation of what is cast.
        let target = match operand.sql_type.collation() {
            Some(collation) => target.with_collation(collation),
            None => target,
        };
        if operand.form != Form::Null && !convert::is_allowed(operand.sql_type, target) {
            return Err(SqlError::new(
                529,
                16,
                2,
                format!(
                    "Explicit conversion from data type {} to {} is not allowed.",
                    operand.sql_type.name(),
                    target.name()
                ),
            ));
        }
        let form = match operand.form {
            Form::Other => Form::Other,
            _ => Form::Constant,
        };
        let strength = if operand.sql_type.is_string() { operand.strength } else { Strength::CoercibleDefault };
        if operand.form == Form::Null {
            return Ok(Typed { form: Form::Constant, ..Typed::new("NULL", target) });
        }
        match attempt {
            Attempt::Cast => {
                let sql = operand.converted(target, style);
                Ok(Typed { sql, sql_type: target, nullable: operand.nullable, strength, form })
            }
            Attempt::Try => {
                let sql =
                    format!("tds_try_cast({},{},{},{style})", operand.sql, operand.sql_type.code(), target.code());
                Ok(Typed { sql, sql_type: target, nullable: true, strength, form })
            }
        }
    }

    fn bind_case(
        &self,
        operand: Option<&Expr>,
        conditions: &[sqlparser::ast::CaseWhen],
        otherwise: Option<&Expr>,
        scope: &Scope<'_>,
        place: Place,
    ) -> Result<Typed, SqlError> {
        let operand = operand.map(|operand| self.bind_value(operand, scope, place)).transpose()?;
        let mut tests = Vec::new();
        let mut results = Vec::new();
        for when in conditions {
            tests.push(match &operand {
                Some(operand) => {
                    let value = self.bind_value(&when.condition, scope, place)?;
                    self.compare("=", operand, &value)?
                }
                None => self.bind_predicate(&when.condition, scope, place)?,
            });
            results.push(self.bind_value(&when.result, scope, place)?);
        }
        let otherwise = otherwise.map(|value| self.bind_value(value, scope, place)).transpose()?;
        let mut branches = results.clone();
        branches.push(otherwise.clone().unwrap_or_else(Typed::null));
        if branches.iter().all(|branch| branch.form == Form::Null) {
            return Err(SqlError::new(
                8133,
                16,
                1,
                "At least one of the result expressions in a CASE specification must be an expression other than the NULL constant.",
            ));
        }
        let (sql_type, strength) = self.unified(&branches, "CASE")?;
        let mut sql = "CASE".to_owned();
        for (test, result) in tests.iter().zip(&results) {
            sql.push_str(&format!(" WHEN {test} THEN {}", result.converted(sql_type, 0)));
        }
        if let Some(otherwise) = &otherwise {
            sql.push_str(&format!(" ELSE {}", otherwise.converted(sql_type, 0)));
        }
        sql.push_str(" END");
        let nullable = branches.iter().any(|branch| branch.nullable);
        Ok(Typed { sql: format!("({sql})"), sql_type, nullable, strength, form: Form::Other })
    }

    /// The one type and collation of several expressions.
    pub(super) fn unified(&self, branches: &[Typed], operation: &str) -> Result<(SqlType, Strength), SqlError> {
        let mut branches = branches.iter();
        let mut merged = branches.next().cloned().unwrap_or_else(Typed::null);
        for branch in branches {
            let mut sql_type = common_type(&merged, branch)?;
            let strings = merged.sql_type.is_string() && branch.sql_type.is_string();
            let strength = if merged.form == Form::Null {
                branch.strength
            } else if strings && branch.form != Form::Null {
                let (collation, strength) = match common_collation(&merged, branch, operation) {
                    Ok(found) => found,
                    // The conflict counts only where the result is compared.
                    Err(_) => (merged.sql_type.collation().unwrap_or(Collation::DEFAULT), Strength::Conflict),
                };
                sql_type = sql_type.with_collation(collation);
                strength
            } else {
                merged.strength
            };
            let form = if merged.form == Form::Null && branch.form == Form::Null { Form::Null } else { Form::Other };
            // The first integer literal's digits count as long as nothing else is there.
            merged = Typed { sql_type, strength, form, ..merged };
        }
        Ok((merged.sql_type, merged.strength))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Cast,
    Try,
}

fn kind_name(kind: &CastKind) -> &'static str {
    match kind {
        CastKind::DoubleColon => "::",
        _ => "SAFE_CAST",
    }
}

fn predicate_word(expr: &Expr) -> &'static str {
    match expr {
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => "IS",
        Expr::InList { .. } | Expr::InSubquery { .. } => "IN",
        Expr::Between { .. } => "BETWEEN",
        Expr::Like { .. } => "LIKE",
        _ => "EXISTS",
    }
}

/// Error 8117.
pub(super) fn invalid_operand(sql_type: SqlType, operator: &str) -> SqlError {
    SqlError::new(8117, 16, 1, format!("Operand data type {} is invalid for {operator} operator.", sql_type.name()))
}
