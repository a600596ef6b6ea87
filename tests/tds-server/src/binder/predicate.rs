//! Predicates: what WHERE, ON, HAVING and CASE WHEN take, and nothing else does.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use super::scope::{Place, Scope};
use super::{Binder, Role, not_run, not_tsql};
use crate::collation::Collation;
use crate::error::SqlError;
use crate::options::Version;
use crate::sql_type::{Kind, SqlType};
use crate::typed::{Form, Typed, common_collation, common_type};

pub(super) fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

pub(super) fn is_logical(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::And | BinaryOperator::Or)
}

impl Binder<'_> {
    /// The predicate in SQLite's SQL.
    pub(crate) fn bind_predicate(&self, expr: &Expr, scope: &Scope<'_>, place: Place) -> Result<String, SqlError> {
        match expr {
            Expr::Nested(inner) => self.bind_predicate(inner, scope, place),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.bind_chain(left, "AND", right, scope, place)
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => self.bind_chain(left, "OR", right, scope, place),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                Ok(format!("(NOT {})", self.bind_predicate(expr, scope, place)?))
            }
            Expr::BinaryOp { left, op, right } if is_comparison(op) => {
                let left = self.bind_value(left, scope, place)?;
                let right = self.bind_value(right, scope, place)?;
                let symbol = match op {
                    BinaryOperator::Eq => "=",
                    BinaryOperator::NotEq => "<>",
                    BinaryOperator::Lt => "<",
                    BinaryOperator::LtEq => "<=",
                    BinaryOperator::Gt => ">",
                    _ => ">=",
                };
                self.compare(symbol, &left, &right)
            }
            Expr::IsNull(operand) => Ok(format!("({} IS NULL)", self.bind_value(operand, scope, place)?.sql)),
            Expr::IsNotNull(operand) => Ok(format!("({} IS NOT NULL)", self.bind_value(operand, scope, place)?.sql)),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                if self.version < Version::Sql2022 {
                    return Err(not_tsql("DISTINCT"));
                }
                let left = self.bind_value(left, scope, place)?;
                let right = self.bind_value(right, scope, place)?;
                let symbol = if matches!(expr, Expr::IsDistinctFrom(..)) { "IS NOT" } else { "IS" };
                self.compare(symbol, &left, &right)
            }
            Expr::Between { expr, negated, low, high } => {
                let operand = self.bind_value(expr, scope, place)?;
                let low = self.bind_value(low, scope, place)?;
                let high = self.bind_value(high, scope, place)?;
                let both =
                    format!("({} AND {})", self.compare(">=", &operand, &low)?, self.compare("<=", &operand, &high)?);
                Ok(if *negated { format!("(NOT {both})") } else { both })
            }
            Expr::InList { expr, list, negated } => {
                if list.is_empty() {
                    return Err(not_tsql(")"));
                }
                let operand = self.bind_value(expr, scope, place)?;
                let listed =
                    list.iter().map(|item| self.bind_value(item, scope, place)).collect::<Result<Vec<_>, _>>()?;
                self.bind_in_list(&operand, &listed, *negated)
            }
            Expr::InSubquery { expr, subquery, negated } => {
                let operand = self.bind_value(expr, scope, place)?;
                let bound = self.bind_query(subquery, Some(scope), Role::Membership)?;
                let column = bound.columns.first().ok_or_else(|| not_tsql(")"))?;
                let alias = self.next_alias();
                let form = if column.is_null_literal { Form::Null } else { Form::Other };
                let inner = Typed {
                    strength: column.strength,
                    ..Typed::new(format!("{alias}.c0"), column.sql_type).with_form(form)
                };
                let (left, right, collation) = self.comparable(&operand, &inner, "equal to")?;
                let not = if *negated { "NOT " } else { "" };
                let collate =
                    collation.map_or(String::new(), |collation| format!(" COLLATE {}", collation.sqlite_name()));
                Ok(format!("(({left}{collate}) {not}IN (SELECT {right} FROM ({}) AS {alias}))", bound.sql))
            }
            Expr::Exists { subquery, negated } => {
                let bound = self.bind_query(subquery, Some(scope), Role::Existence)?;
                let not = if *negated { "NOT " } else { "" };
                Ok(format!("({not}EXISTS ({}))", bound.sql))
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                let operand = self.bind_value(expr, scope, place)?;
                let pattern = self.bind_value(pattern, scope, place)?;
                let escape = match escape_char {
                    None => String::new(),
                    Some(value) => match &value.value {
                        sqlparser::ast::Value::SingleQuotedString(text)
                        | sqlparser::ast::Value::NationalStringLiteral(text)
                            if text.chars().count() == 1 =>
                        {
                            text.clone()
                        }
                        other => {
                            return Err(SqlError::new(
                                506,
                                16,
                                1,
                                format!("The invalid escape character {other} was specified in a LIKE predicate."),
                            ));
                        }
                    },
                };
                self.bind_like(&operand, &pattern, &escape, *negated)
            }
            Expr::AnyOp { .. } | Expr::AllOp { .. } => Err(not_run("ANY and ALL")),
            Expr::IsTrue(_) | Expr::IsNotTrue(_) | Expr::IsFalse(_) | Expr::IsNotFalse(_) => Err(not_tsql("IS")),
            other => {
                // A value where a condition is asked for.
                let _bound = self.bind_value(other, scope, place)?;
                Err(SqlError::new(
                    4145,
                    15,
                    1,
                    "An expression of non-boolean type specified in a context where a condition is expected.",
                ))
            }
        }
    }

    /// A long chain is bound in a loop: one level of the tree a link would be one frame of the stack each.
    fn bind_chain(
        &self,
        left: &Expr,
        word: &str,
        right: &Expr,
        scope: &Scope<'_>,
        place: Place,
    ) -> Result<String, SqlError> {
        let mut links = vec![right];
        let mut rest = left;
        while let Expr::BinaryOp { left, op, right } = rest
            && op.to_string() == word
        {
            links.push(right);
            rest = left;
        }
        links.push(rest);
        let bound =
            links.iter().rev().map(|link| self.bind_predicate(link, scope, place)).collect::<Result<Vec<_>, _>>()?;
        Ok(balanced(&bound, word))
    }

    pub(super) fn compare(&self, symbol: &str, left: &Typed, right: &Typed) -> Result<String, SqlError> {
        let operation = match symbol {
            "=" => "equal to",
            "<>" => "not equal to",
            "<" => "less than",
            "<=" => "less than or equal to",
            ">" => "greater than",
            ">=" => "greater than or equal to",
            _ => "is distinct from",
        };
        let (x, y, collation) = self.comparable(left, right, operation)?;
        match collation {
            Some(collation) => Ok(format!("(({x} COLLATE {}) {symbol} {y})", collation.sqlite_name())),
            None => Ok(format!("({x} {symbol} {y})")),
        }
    }

    /// Both sides as SQLite can compare them, and the collation for strings.
    fn comparable(
        &self,
        left: &Typed,
        right: &Typed,
        operation: &str,
    ) -> Result<(String, String, Option<Collation>), SqlError> {
        for side in [left, right] {
            if side.form != Form::Null && !side.sql_type.is_comparable() {
                let (a, b) = (left.sql_type.name(), right.sql_type.name());
                return Err(SqlError::new(
                    402,
                    16,
                    1,
                    format!("The data types {a} and {b} are incompatible in the {operation} operator."),
                ));
            }
        }
        let sql_type = common_type(left, right)?;
        let (left, right) = (left.clone(), right.clone());
        if sql_type.is_string() {
            let (collation, _) =
                common_collation(&left, &right, &format!("{operation} operation").replace(" operation", ""))?;
            // A collation with another code page changes what its varchar can hold; comparing does not.
            return Ok((left.sql, right.sql, Some(collation)));
        }
        let (x, y) = (left.cast_to(sql_type), right.cast_to(sql_type));
        // A lossless comparison of decimals whose common type has no room for both.
        Ok((x.key(), y.key(), None))
    }

    fn bind_in_list(&self, operand: &Typed, listed: &[Typed], negated: bool) -> Result<String, SqlError> {
        let mut all = vec![operand.clone()];
        all.extend(listed.iter().cloned());
        // The list has one type with what is looked for.
        let (sql_type, _) = self.unified(&all, "equal to")?;
        if sql_type.is_string() {
            for item in listed {
                common_collation(operand, item, "equal to")?;
            }
        }
        let not = if negated { "NOT " } else { "" };
        let cast = |side: &Typed| side.cast_to(if sql_type.is_string() { side.sql_type } else { sql_type });
        let items: Vec<String> =
            listed.iter().map(|item| if sql_type.is_string() { item.sql.clone() } else { cast(item).key() }).collect();
        let looked_for = if sql_type.is_string() {
            let collation = listed.iter().try_fold(operand.clone(), |merged, item| {
                let (collation, strength) = common_collation(&merged, item, "equal to")?;
                Ok::<_, SqlError>(Typed {
                    sql_type: SqlType::NVarChar(crate::sql_type::Length::Max, collation),
                    strength,
                    ..merged
                })
            })?;
            Typed { sql: operand.sql.clone(), ..collation }.key()
        } else {
            cast(operand).key()
        };
        Ok(format!("({looked_for} {not}IN ({}))", items.join(",")))
    }

    fn bind_like(&self, operand: &Typed, pattern: &Typed, escape: &str, negated: bool) -> Result<String, SqlError> {
        let as_text = |side: &Typed| -> Result<Typed, SqlError> {
            match side.sql_type.kind() {
                Kind::String => Ok(side.clone()),
                Kind::Xml | Kind::Binary => Err(super::expression::invalid_operand(side.sql_type, "like")),
                _ => Ok(side.cast_to(SqlType::VarChar(crate::sql_type::Length::Of(8000), self.collation()))),
            }
        };
        let (operand, pattern) = (as_text(operand)?, as_text(pattern)?);
        let (collation, _) = common_collation(&operand, &pattern, "like")?;
        let unicode = operand.sql_type.is_unicode() || pattern.sql_type.is_unicode();
        let sql = format!(
            "tds_like({},{},{},{},{})",
            operand.sql,
            pattern.sql,
            super::literal::quoted(escape),
            collation.code(),
            u8::from(unicode)
        );
        Ok(if negated { format!("(NOT {sql})") } else { sql })
    }
}

/// `a AND b AND c …` as a balanced tree: SQLite's parser has a depth limit.
fn balanced(links: &[String], word: &str) -> String {
    match links {
        [] => "1".to_owned(),
        [one] => one.clone(),
        _ => {
            let (left, right) = links.split_at(links.len() / 2);
            format!("({} {word} {})", balanced(left, word), balanced(right, word))
        }
    }
}
