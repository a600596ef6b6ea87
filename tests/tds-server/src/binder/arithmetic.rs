//! `+ - * / %` and the operators on bits: result types, overflow, and `+` of strings.

use sqlparser::ast::BinaryOperator;

use super::expression::invalid_operand;
use super::{Binder, not_run, not_tsql};
use crate::decimal;
use crate::error::SqlError;
use crate::options::Version;
use crate::sql_type::{Kind, Length, SqlType};
use crate::typed::{Form, Strength, Typed, clash, common_collation, is_implicit, string_length};

impl Binder<'_> {
    pub(super) fn bind_arithmetic(&self, op: &BinaryOperator, left: Typed, right: Typed) -> Result<Typed, SqlError> {
        let (symbol, word) = match op {
            BinaryOperator::Plus => ('+', "add"),
            BinaryOperator::Minus => ('-', "subtract"),
            BinaryOperator::Multiply => ('*', "multiply"),
            BinaryOperator::Divide => ('/', "divide"),
            BinaryOperator::Modulo => ('%', "modulo"),
            BinaryOperator::BitwiseAnd => ('&', "'&'"),
            BinaryOperator::BitwiseOr => ('|', "'|'"),
            BinaryOperator::BitwiseXor => ('^', "'^'"),
            BinaryOperator::StringConcat if self.version >= Version::Sql2025 => {
                if !left.sql_type.is_string() || !right.sql_type.is_string() {
                    return Err(invalid_operand(left.sql_type, "string concatenation"));
                }
                return self.concatenated(left, right);
            }
            other => return Err(not_tsql(other)),
        };
        let (left, right) = same_where_null(left, right);
        let form = if left.is_constant() && right.is_constant() { Form::Constant } else { Form::Other };
        let nullable = left.nullable || right.nullable;
        let (a, b) = (left.sql_type, right.sql_type);
        if a.is_string() && b.is_string() {
            if symbol != '+' {
                return Err(if matches!(a, SqlType::Text(_) | SqlType::NText(_)) {
                    incompatible(a, b, word)
                } else {
                    invalid_operand(a, word)
                });
            }
            return self.concatenated(left, right);
        }
        if a.kind() == Kind::Binary && b.kind() == Kind::Binary && symbol == '+' {
            let length = match (a.length(), b.length()) {
                (Some(x), Some(y)) => Length::Of(x.saturating_add(y).min(8000)),
                _ => Length::Max,
            };
            let sql = format!("tds_join({},{})", left.sql, right.sql);
            return Ok(Typed { nullable, form, ..Typed::new(sql, SqlType::VarBinary(length)) });
        }
        let (high, low) = if a.precedence() >= b.precedence() { (a, b) } else { (b, a) };
        if !high.is_numeric() {
            if matches!(high, SqlType::DateTime | SqlType::SmallDateTime) && matches!(symbol, '+' | '-') {
                return Err(not_run("arithmetic with datetime"));
            }
            return Err(
                if is_implicit(low, high) && !matches!(low.kind(), Kind::String) && high.kind() != low.kind() {
                    clash(low, high)
                } else if high.kind() == low.kind() || low.is_string() {
                    if a == b { invalid_operand(a, word) } else { incompatible(a, b, word) }
                } else {
                    clash(low, high)
                },
            );
        }
        if !is_implicit(low, high) {
            return Err(clash(low, high));
        }
        // What is no number becomes one of the other side's type.
        let left = if a.is_numeric() { left } else { left.cast_to(high) };
        let right = if b.is_numeric() { right } else { right.cast_to(high) };
        if matches!(symbol, '&' | '|' | '^') {
            return bits(symbol, word, &left, &right, high, nullable, form);
        }
        match high.kind() {
            Kind::Integer => {
                if high == SqlType::Bit {
                    return Err(incompatible(a, b, word));
                }
                let sql = format!("tds_int('{symbol}',{},{},{})", left.sql, right.sql, high.code());
                Ok(Typed { nullable, form, ..Typed::new(sql, high) })
            }
            Kind::Float => {
                if symbol == '%' {
                    return Err(incompatible(a, b, word));
                }
                let (x, y) = (left.converted(SqlType::Float, 0), right.converted(SqlType::Float, 0));
                Ok(Typed {
                    nullable,
                    form,
                    ..Typed::new(format!("tds_float('{symbol}',{x},{y},{})", high.code()), high)
                })
            }
            _ => {
                let (Some(x), Some(y)) = (left.digits(), right.digits()) else { return Err(clash(low, high)) };
                let result = match high {
                    SqlType::Decimal { .. } => {
                        let (precision, scale) = decimal::result_type(symbol, x, y);
                        SqlType::Decimal { precision, scale }
                    }
                    money => money,
                };
                let as_decimal = |side: &Typed, digits: (u8, u8)| match side.sql_type.kind() {
                    Kind::Decimal => (side.sql.clone(), digits.1),
                    _ => (side.converted(SqlType::Decimal { precision: 38, scale: 0 }, 0), 0),
                };
                let ((x, s1), (y, s2)) = (as_decimal(&left, x), as_decimal(&right, y));
                let sql = format!("tds_decimal('{symbol}',{x},{s1},{y},{s2},{})", result.code());
                Ok(Typed { nullable, form, ..Typed::new(sql, result) })
            }
        }
    }

    pub(super) fn concatenated(&self, left: Typed, right: Typed) -> Result<Typed, SqlError> {
        let (a, b) = (left.sql_type, right.sql_type);
        if !a.is_comparable() || !b.is_comparable() {
            return Err(incompatible(a, b, "add"));
        }
        let (collation, strength) = match common_collation(&left, &right, "add") {
            Ok(found) => found,
            Err(error) if left.strength == Strength::Explicit && right.strength == Strength::Explicit => {
                return Err(error);
            }
            Err(_) => (a.collation().unwrap_or(self.collation()), Strength::Conflict),
        };
        let unicode = a.is_unicode() || b.is_unicode();
        let greatest = if unicode { 4000 } else { 8000 };
        let (length, cut) = match (string_length(a), string_length(b)) {
            (Length::Of(x), Length::Of(y)) => {
                let sum = u32::from(x) + u32::from(y);
                (Length::Of(u16::try_from(sum.min(greatest)).unwrap_or(u16::MAX)), sum > greatest)
            }
            _ => (Length::Max, false),
        };
        let sql_type = if unicode { SqlType::NVarChar(length, collation) } else { SqlType::VarChar(length, collation) };
        let joined = format!("({}||{})", left.sql, right.sql);
        let sql = if cut {
            let long = if unicode {
                SqlType::NVarChar(Length::Max, collation)
            } else {
                SqlType::VarChar(Length::Max, collation)
            };
            format!("tds_cast({joined},{},{},0)", long.code(), sql_type.code())
        } else {
            joined
        };
        let form = if left.is_constant() && right.is_constant() { Form::Constant } else { Form::Other };
        Ok(Typed { sql, sql_type, nullable: left.nullable || right.nullable, strength, form })
    }

    pub(super) fn bind_negation(&self, operand: Typed) -> Result<Typed, SqlError> {
        match operand.sql_type {
            SqlType::Bit => Err(invalid_operand(operand.sql_type, "minus")),
            sql_type if sql_type.kind() == Kind::Integer => {
                let target = if sql_type == SqlType::TinyInt { SqlType::SmallInt } else { sql_type };
                match operand.form {
                    Form::Integer(_) => Ok(Typed { sql: format!("(-{})", operand.sql), ..operand }),
                    _ => Ok(Typed {
                        sql: format!("tds_int('-',0,{},{})", operand.sql, target.code()),
                        sql_type: target,
                        ..operand
                    }),
                }
            }
            sql_type if sql_type.kind() == Kind::Float => Ok(Typed { sql: format!("(-{})", operand.sql), ..operand }),
            sql_type if sql_type.kind() == Kind::Decimal => {
                let scale = sql_type.precision_and_scale().map_or(0, |(_, scale)| scale);
                let zero = super::literal::blob(&decimal::to_blob(0));
                let sql = format!("tds_decimal('-',{zero},{scale},{},{scale},{})", operand.sql, sql_type.code());
                Ok(Typed { sql, ..operand })
            }
            sql_type => Err(invalid_operand(sql_type, "minus")),
        }
    }
}

/// NULL takes the other side's type.
fn same_where_null(left: Typed, right: Typed) -> (Typed, Typed) {
    match (left.form, right.form) {
        (Form::Null, Form::Null) => (left, right),
        (Form::Null, _) => (Typed { sql_type: right.sql_type, ..left }, right),
        (_, Form::Null) => {
            let sql_type = left.sql_type;
            (left, Typed { sql_type, ..right })
        }
        _ => (left, right),
    }
}

fn bits(
    symbol: char,
    word: &str,
    left: &Typed,
    right: &Typed,
    high: SqlType,
    nullable: bool,
    form: Form,
) -> Result<Typed, SqlError> {
    if high.kind() != Kind::Integer {
        return Err(incompatible(left.sql_type, right.sql_type, word));
    }
    let (x, y) = (&left.sql, &right.sql);
    let sql = match symbol {
        '^' => format!("(({x}|{y})-({x}&{y}))"),
        _ => format!("({x}{symbol}{y})"),
    };
    Ok(Typed { nullable, form, ..Typed::new(sql, high) })
}

/// Error 402.
fn incompatible(a: SqlType, b: SqlType, word: &str) -> SqlError {
    SqlError::new(
        402,
        16,
        1,
        format!("The data types {} and {} are incompatible in the {word} operator.", a.name(), b.name()),
    )
}
