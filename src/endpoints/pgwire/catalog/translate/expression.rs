//! Expressions of a question, each with its type.

use datafusion::sql::sqlparser::ast;
use pgwire::api::Type;

use super::super::definitions::{type_named, type_of_sql};
use super::from::function_name;
use super::scope::{Scope, Typed, array_of, element_of, folded, is_array, is_number, is_reg};
use super::{Refusal, Shown, Translator, list};

impl Translator {
    pub(super) fn expression(&self, expr: &ast::Expr, scope: &Scope<'_>) -> Result<Typed, Refusal> {
        let inner = |expr: &ast::Expr| self.expression(expr, scope);
        let truth = |sql: String| Ok(Typed::new(sql, Type::BOOL));
        let tested =
            |expr: &ast::Expr, test: &str| truth(format!("({} {test})", inner(expr)?.into_type(&Type::BOOL).sql));
        match expr {
            ast::Expr::Identifier(name) => self.identifier(name, scope),
            ast::Expr::CompoundIdentifier(parts) => {
                let names: Vec<String> = parts.iter().map(folded).collect();
                let found = match names.as_slice() {
                    [.., table, column] => scope.column(Some(table), column),
                    _ => None,
                };
                found.ok_or_else(|| Refusal::new("42703", format!("there is no column `{}`", names.join("."))))
            }
            ast::Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain, scope),
            ast::Expr::Value(value) => self.literal(&value.value),
            ast::Expr::TypedString(typed) => {
                let text = typed.value.clone().into_string().unwrap_or_default();
                self.cast(Typed::text(&text), &typed.data_type)
            }
            ast::Expr::Nested(expr) => {
                let typed = inner(expr)?;
                Ok(Typed { sql: format!("({})", typed.sql), ..typed })
            }
            ast::Expr::Collate { expr, .. } | ast::Expr::AtTimeZone { timestamp: expr, .. } => inner(expr),
            ast::Expr::Cast { expr, data_type, .. } => {
                let of_parameter = match expr.as_ref() {
                    ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Placeholder(name), .. }) => number(name),
                    _ => None,
                };
                if let Some(number) = of_parameter {
                    self.parameters.borrow_mut().insert(number, type_meant(data_type)?);
                }
                self.cast(inner(expr)?, data_type)
            }
            ast::Expr::IsNull(expr) => truth(format!("({} IS NULL)", inner(expr)?.sql)),
            ast::Expr::IsNotNull(expr) => truth(format!("({} IS NOT NULL)", inner(expr)?.sql)),
            ast::Expr::IsTrue(expr) => tested(expr, "IS TRUE"),
            ast::Expr::IsNotTrue(expr) => tested(expr, "IS NOT TRUE"),
            ast::Expr::IsFalse(expr) => tested(expr, "IS FALSE"),
            ast::Expr::IsNotFalse(expr) => tested(expr, "IS NOT FALSE"),
            ast::Expr::IsDistinctFrom(left, right) => {
                let (left, right) = met(inner(left)?, inner(right)?);
                truth(format!("({} IS NOT {})", left.sql, right.sql))
            }
            ast::Expr::IsNotDistinctFrom(left, right) => {
                let (left, right) = met(inner(left)?, inner(right)?);
                truth(format!("({} IS {})", left.sql, right.sql))
            }
            ast::Expr::BinaryOp { left, op, right } => operation(inner(left)?, op, inner(right)?),
            ast::Expr::UnaryOp { op, expr } => {
                let typed = inner(expr)?;
                match op {
                    ast::UnaryOperator::Not => truth(format!("(NOT {})", typed.into_type(&Type::BOOL).sql)),
                    ast::UnaryOperator::Minus => Ok(Typed::new(format!("(-{})", typed.sql), typed.of)),
                    ast::UnaryOperator::Plus => Ok(typed),
                    _ => Err(Refusal::unsupported(format!("the operator {op}"))),
                }
            }
            ast::Expr::Between { expr, negated, low, high } => {
                let (low, high) = (inner(low)?, inner(high)?);
                let (value, low) = met(inner(expr)?, low);
                let high = high.into_type(&value.of);
                truth(format!("({} {}BETWEEN {} AND {})", value.sql, not(*negated), low.sql, high.sql))
            }
            ast::Expr::InList { expr, list: items, negated } => {
                let value = inner(expr)?;
                let items = items.iter().map(|item| Ok::<_, Refusal>(inner(item)?.into_type(&value.of)));
                let items = items.collect::<Result<Vec<_>, _>>()?;
                let of = items.first().map_or(Type::UNKNOWN, |item| item.of.clone());
                let value = value.into_type(&of);
                truth(format!("({} {}IN ({}))", value.sql, not(*negated), list(items.into_iter().map(|item| item.sql))))
            }
            ast::Expr::InSubquery { expr, subquery, negated } => {
                let (sql, columns) = self.query(subquery, scope, Shown::No)?;
                let value = inner(expr)?;
                let value = columns.first().map_or(value.clone(), |(_, of)| value.into_type(of));
                truth(format!("({} {}IN ({sql}))", value.sql, not(*negated)))
            }
            ast::Expr::Exists { subquery, negated } => {
                let (sql, _) = self.query(subquery, scope, Shown::No)?;
                truth(format!("({}EXISTS ({sql}))", not(*negated)))
            }
            ast::Expr::Subquery(subquery) => {
                let (sql, columns) = self.query(subquery, scope, Shown::No)?;
                let of = columns.first().map_or(Type::UNKNOWN, |(_, of)| of.clone());
                Ok(Typed::new(format!("({sql})"), of))
            }
            ast::Expr::AnyOp { left, compare_op, right, .. } => {
                self.quantified(inner(left)?, compare_op, right, scope, Quantifier::Any)
            }
            ast::Expr::AllOp { left, compare_op, right } => {
                self.quantified(inner(left)?, compare_op, right, scope, Quantifier::All)
            }
            ast::Expr::Like { negated, expr, pattern, escape_char, .. } => {
                truth(like(inner(expr)?, inner(pattern)?, escape_char.as_ref(), *negated, Case::Counts))
            }
            ast::Expr::ILike { negated, expr, pattern, escape_char, .. } => {
                truth(like(inner(expr)?, inner(pattern)?, escape_char.as_ref(), *negated, Case::Ignored))
            }
            ast::Expr::Case { operand, conditions, else_result, .. } => {
                let operand = operand.as_ref().map(|expr| inner(expr)).transpose()?;
                let mut results = Vec::with_capacity(conditions.len() + 1);
                let mut tests = Vec::with_capacity(conditions.len());
                for when in conditions {
                    let test = inner(&when.condition)?;
                    let of = operand.as_ref().map_or(Type::BOOL, |operand| operand.of.clone());
                    tests.push(test.into_type(&of).sql);
                    results.push(inner(&when.result)?);
                }
                results.extend(else_result.as_ref().map(|expr| inner(expr)).transpose()?);
                let (results, of) = unified(results);
                let operand = operand.map_or(String::new(), |operand| format!(" {}", operand.sql));
                let mut sql = format!("CASE{operand}");
                let mut results = results.into_iter();
                for (test, result) in tests.into_iter().zip(results.by_ref()) {
                    sql.push_str(&format!(" WHEN {test} THEN {}", result.sql));
                }
                sql.push_str(&results.next().map_or(" END".to_owned(), |last| format!(" ELSE {} END", last.sql)));
                Ok(Typed::new(sql, of))
            }
            ast::Expr::Array(array) => {
                let items = array.elem.iter().map(inner).collect::<Result<Vec<_>, _>>()?;
                let (items, of) = unified(items);
                let of = if of == Type::UNKNOWN { Type::TEXT } else { of };
                let items = list(items.into_iter().map(|item| item.sql));
                Ok(Typed::new(format!("json_array({items})"), array_of(&of)))
            }
            ast::Expr::Tuple(items) => {
                let items = items.iter().map(inner).collect::<Result<Vec<_>, _>>()?;
                Ok(Typed::new(format!("({})", list(items.into_iter().map(|item| item.sql))), Type::RECORD))
            }
            ast::Expr::Substring { expr, substring_from, substring_for, .. } => {
                let from = substring_from.as_ref().map_or(Ok(Typed::new("1", Type::INT4)), |expr| inner(expr))?;
                // SUBSTRING(text FROM pattern) is a search for it.
                if from.literal.is_some() {
                    return Ok(Typed::new(format!("wl_found({}, {})", inner(expr)?.sql, from.sql), Type::TEXT));
                }
                let count = substring_for.as_ref().map(|expr| inner(expr)).transpose()?;
                let count = count.map_or(String::new(), |count| format!(", {}", count.sql));
                Ok(Typed::new(format!("substr({}, {}{count})", inner(expr)?.sql, from.sql), Type::TEXT))
            }
            ast::Expr::Position { expr, r#in } => {
                Ok(Typed::new(format!("instr({}, {})", inner(r#in)?.sql, inner(expr)?.sql), Type::INT4))
            }
            ast::Expr::Trim { expr, trim_where, trim_what, .. } => {
                let function = match trim_where {
                    Some(ast::TrimWhereField::Leading) => "ltrim",
                    Some(ast::TrimWhereField::Trailing) => "rtrim",
                    Some(ast::TrimWhereField::Both) | None => "trim",
                };
                let what = trim_what.as_ref().map(|expr| inner(expr)).transpose()?;
                let what = what.map_or(String::new(), |what| format!(", {}", what.sql));
                Ok(Typed::new(format!("{function}({}{what})", inner(expr)?.sql), Type::TEXT))
            }
            ast::Expr::Function(function) => self.function(function, scope),
            other => Err(Refusal::unsupported(format!("`{other}`"))),
        }
    }

    fn identifier(&self, name: &ast::Ident, scope: &Scope<'_>) -> Result<Typed, Refusal> {
        let folded = folded(name);
        if let Some(found) = scope.column(None, &folded) {
            return Ok(found);
        }
        match folded.as_str() {
            "current_user" | "session_user" | "user" | "current_role" | "current_catalog" | "current_schema"
            | "current_timestamp" | "current_date"
                if name.quote_style.is_none() =>
            {
                self.called(&folded, &[])
            }
            _ => Err(Refusal::new("42703", format!("there is no column `{folded}`"))),
        }
    }

    fn literal(&self, value: &ast::Value) -> Result<Typed, Refusal> {
        Ok(match value {
            ast::Value::Number(number, _) => {
                let of = match number.parse::<i64>() {
                    Ok(whole) if i32::try_from(whole).is_ok() => Type::INT4,
                    Ok(_) => Type::INT8,
                    Err(_) => Type::FLOAT8,
                };
                Typed::new(number.clone(), of)
            }
            ast::Value::Boolean(truth) => Typed::new(if *truth { "1" } else { "0" }, Type::BOOL),
            ast::Value::Null => Typed::null(),
            ast::Value::Placeholder(name) => {
                let number = number(name).ok_or_else(|| Refusal::unsupported(format!("`{name}`")))?;
                self.parameters.borrow_mut().entry(number).or_insert(Type::UNKNOWN);
                Typed::null()
            }
            text => match text.clone().into_string() {
                Some(text) => Typed::text(&text),
                None => return Err(Refusal::unsupported(format!("`{text}`"))),
            },
        })
    }

    /// An element of an array, or a field of a pair.
    fn access(&self, root: &ast::Expr, chain: &[ast::AccessExpr], scope: &Scope<'_>) -> Result<Typed, Refusal> {
        // `con.conkey[1]` begins with a column that its table's name stands before.
        let (root, chain) = match (root, chain) {
            (ast::Expr::Identifier(table), [ast::AccessExpr::Dot(ast::Expr::Identifier(column)), rest @ ..]) => {
                (&ast::Expr::CompoundIdentifier(vec![table.clone(), column.clone()]), rest)
            }
            whole => whole,
        };
        let mut value = self.expression(root, scope)?;
        for access in chain {
            value = match access {
                ast::AccessExpr::Subscript(ast::Subscript::Index { index }) => {
                    let index = self.expression(index, scope)?.into_type(&Type::INT4).sql;
                    // Vectors count from 0, arrays from 1.
                    let first = i32::from(!matches!(value.of, Type::INT2_VECTOR | Type::OID_VECTOR));
                    let element = element_of(&value.of).unwrap_or(Type::TEXT);
                    Typed::new(format!("json_extract({}, '$[' || ({index} - {first}) || ']')", value.sql), element)
                }
                ast::AccessExpr::Dot(ast::Expr::Identifier(field)) if value.of == Type::RECORD => {
                    let path = super::scope::text_literal(&format!("$.{}", folded(field)));
                    Typed::new(format!("json_extract({}, {path})", value.sql), Type::INT4)
                }
                _ => return Err(Refusal::unsupported("this access to a part")),
            };
        }
        Ok(value)
    }

    fn quantified(
        &self,
        left: Typed,
        op: &ast::BinaryOperator,
        right: &ast::Expr,
        scope: &Scope<'_>,
        quantifier: Quantifier,
    ) -> Result<Typed, Refusal> {
        let name = self.fresh();
        let of_rows = match right {
            ast::Expr::Subquery(subquery) => Some(self.query(subquery, scope, Shown::No)?),
            _ => None,
        };
        let (rows, value) = match of_rows {
            Some((sql, columns)) if columns.first().is_none_or(|(_, of)| !is_array(of)) => {
                let (column, of) = columns.into_iter().next().unwrap_or(("?column?".to_owned(), Type::UNKNOWN));
                let column = format!("{name}.{}", super::scope::quoted(&column));
                (format!("({sql}) AS {name}"), Typed::new(column, of))
            }
            _ => {
                let array = self.expression(right, scope)?.into_type(&array_of(&left.of));
                let element = element_of(&array.of).unwrap_or(Type::TEXT);
                (format!("json_each({}) AS {name}", array.sql), Typed::new(format!("{name}.value"), element))
            }
        };
        let test = operation(left, op, value)?.sql;
        Ok(match quantifier {
            Quantifier::Any => Typed::new(format!("EXISTS (SELECT 1 FROM {rows} WHERE {test})"), Type::BOOL),
            Quantifier::All => Typed::new(format!("NOT EXISTS (SELECT 1 FROM {rows} WHERE NOT {test})"), Type::BOOL),
        })
    }

    /// A value as one of a type that SQL names.
    fn cast(&self, value: Typed, data_type: &ast::DataType) -> Result<Typed, Refusal> {
        let to = type_meant(data_type)?;
        if is_array(&to) {
            let value = value.into_type(&to);
            return Ok(Typed::new(value.sql, to));
        }
        let is_text = |of: &Type| !is_number(of) && *of != Type::BOOL && !is_array(of);
        Ok(match to {
            Type::BOOL if value.literal.is_some() => value.into_type(&to),
            Type::BOOL if is_text(&value.of) => Typed::new(format!("({} IN ('t', 'true'))", value.sql), to),
            Type::BOOL => Typed::new(format!("({} <> 0)", value.sql), to),
            _ if is_reg(&to) && is_text(&value.of) && value.sql != "NULL" => {
                Typed::new(format!("wl_{}({})", to.name(), value.sql), to)
            }
            Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => Typed::new(format!("CAST({} AS REAL)", value.sql), to),
            _ if is_number(&to) && is_text(&value.of) => Typed::new(format!("CAST({} AS INTEGER)", value.sql), to),
            _ if is_number(&to) => Typed::new(value.sql, to),
            _ => {
                let value = value.shown();
                let sql = match value.of {
                    Type::BOOL => format!("CASE {} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END", value.sql),
                    _ if is_array(&value.of) => format!("wl_array_text({})", value.sql),
                    _ if is_number(&value.of) => format!("CAST({} AS TEXT)", value.sql),
                    _ => value.sql,
                };
                Typed::new(sql, to)
            }
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    Any,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Counts,
    Ignored,
}

fn number(placeholder: &str) -> Option<usize> {
    placeholder.strip_prefix('$')?.parse().ok()
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

/// Two values that are compared: what was written without a type takes the other's.
fn met(left: Typed, right: Typed) -> (Typed, Typed) {
    let (of_left, of_right) = (left.of.clone(), right.of.clone());
    (left.into_type(&of_right), right.into_type(&of_left))
}

/// Values of which one is taken, and the type of all.
pub(super) fn unified(values: Vec<Typed>) -> (Vec<Typed>, Type) {
    let of = values.iter().map(|value| &value.of).find(|of| **of != Type::UNKNOWN).cloned().unwrap_or(Type::UNKNOWN);
    // Numbers that stand for names meet texts as names.
    let is_mixed = is_reg(&of) && values.iter().any(|value| value.of != of && value.of != Type::UNKNOWN);
    if is_mixed {
        return unified(values.into_iter().map(Typed::shown).collect());
    }
    (values.into_iter().map(|value| value.into_type(&of)).collect(), of)
}

fn like(value: Typed, pattern: Typed, escape: Option<&ast::ValueWithSpan>, negated: bool, case: Case) -> String {
    let escape = escape.and_then(|escape| escape.clone().into_string()).unwrap_or("\\".to_owned());
    // No character at all is none that escapes; SQLite wants one, which no text has.
    let escape = super::scope::text_literal(if escape.is_empty() { "\u{1}" } else { &escape });
    let (value, pattern) = match case {
        Case::Counts => (value.sql, pattern.sql),
        Case::Ignored => (format!("lower({})", value.sql), format!("lower({})", pattern.sql)),
    };
    format!("({value} {}LIKE {pattern} ESCAPE {escape})", not(negated))
}

fn operation(left: Typed, op: &ast::BinaryOperator, right: Typed) -> Result<Typed, Refusal> {
    use ast::BinaryOperator as Op;
    let truth = |sql: String| Ok(Typed::new(sql, Type::BOOL));
    let matches = |left: Typed, right: Typed, case: Case, negated: bool| {
        let case = if case == Case::Ignored { ", 1" } else { "" };
        truth(format!("({}wl_matches({}, {}{case}))", not(negated), left.sql, right.sql))
    };
    match op {
        // OPERATOR(pg_catalog.~), as clients write who trust no search path.
        Op::PGCustomBinaryOperator(parts) => {
            let op = match parts.last().map(String::as_str) {
                Some("~") => Op::PGRegexMatch,
                Some("~*") => Op::PGRegexIMatch,
                Some("!~") => Op::PGRegexNotMatch,
                Some("!~*") => Op::PGRegexNotIMatch,
                Some("~~") => Op::PGLikeMatch,
                Some("!~~") => Op::PGNotLikeMatch,
                Some("=") => Op::Eq,
                Some("<>") => Op::NotEq,
                Some("+") => Op::Plus,
                _ => return Err(Refusal::unsupported(format!("the operator {op}"))),
            };
            operation(left, &op, right)
        }
        Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq => {
            let (left, right) = met(left, right);
            truth(format!("({} {op} {})", left.sql, right.sql))
        }
        Op::And | Op::Or => {
            let (left, right) = (left.into_type(&Type::BOOL), right.into_type(&Type::BOOL));
            truth(format!("({} {op} {})", left.sql, right.sql))
        }
        Op::PGRegexMatch => matches(left, right, Case::Counts, false),
        Op::PGRegexIMatch => matches(left, right, Case::Ignored, false),
        Op::PGRegexNotMatch => matches(left, right, Case::Counts, true),
        Op::PGRegexNotIMatch => matches(left, right, Case::Ignored, true),
        Op::PGLikeMatch => truth(like(left, right, None, false, Case::Counts)),
        Op::PGILikeMatch => truth(like(left, right, None, false, Case::Ignored)),
        Op::PGNotLikeMatch => truth(like(left, right, None, true, Case::Counts)),
        Op::PGNotILikeMatch => truth(like(left, right, None, true, Case::Ignored)),
        Op::StringConcat if is_array(&left.of) || is_array(&right.of) => {
            let of = if is_array(&left.of) { left.of.clone() } else { right.of.clone() };
            Ok(Typed::new(format!("array_cat({}, {})", left.sql, right.sql), of))
        }
        Op::StringConcat => Ok(Typed::new(format!("({} || {})", left.shown().sql, right.shown().sql), Type::TEXT)),
        Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo => {
            let (left, right) = met(left, right);
            Ok(Typed::new(format!("({} {op} {})", left.sql, right.sql), left.of))
        }
        Op::BitwiseAnd | Op::BitwiseOr | Op::PGBitwiseShiftLeft | Op::PGBitwiseShiftRight => {
            Ok(Typed::new(format!("({} {op} {})", left.sql, right.sql), left.of))
        }
        Op::AtArrow | Op::ArrowAt => {
            let (whole, part) = if *op == Op::AtArrow { (left, right) } else { (right, left) };
            let (whole, part) = met(whole, part);
            truth(format!(
                "(NOT EXISTS (SELECT 1 FROM json_each({}) AS wl_part WHERE wl_part.value NOT IN (SELECT value FROM json_each({}))))",
                part.sql, whole.sql
            ))
        }
        _ => Err(Refusal::unsupported(format!("the operator {op}"))),
    }
}

/// The type that SQL names.
fn type_meant(data_type: &ast::DataType) -> Result<Type, Refusal> {
    let written = data_type.to_string();
    let plain = written.strip_prefix("pg_catalog.").unwrap_or(&written);
    if let Some(element) = plain.strip_suffix("[]") {
        return Ok(array_of(&named(element)));
    }
    Ok(named(plain))
}

fn named(written: &str) -> Type {
    let written = written.trim();
    if let Some(quoted) = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return type_named(quoted);
    }
    let lower = written.to_lowercase();
    let plain = lower.split('(').next().unwrap_or_default().trim();
    let plain = plain.strip_prefix("pg_catalog.").unwrap_or(plain);
    type_of_sql(plain).unwrap_or_else(|| match plain {
        "regnamespace" => Type::REGNAMESPACE,
        "regrole" => Type::REGROLE,
        "regprocedure" => Type::REGPROC,
        other => type_named(other.trim_matches('"')),
    })
}

/// What PostgreSQL calls a column that has no alias.
pub(super) fn name_of(expr: &ast::Expr) -> String {
    let none = || "?column?".to_owned();
    match expr {
        ast::Expr::Identifier(name) => folded(name),
        ast::Expr::CompoundIdentifier(parts) => parts.last().map_or_else(none, folded),
        ast::Expr::Function(function) => function_name(&function.name).unwrap_or_else(|_| none()),
        ast::Expr::Nested(inner) | ast::Expr::Collate { expr: inner, .. } => name_of(inner),
        ast::Expr::Cast { expr: inner, data_type, .. } => {
            let mut base = inner.as_ref();
            while let ast::Expr::Cast { expr: inner, .. } | ast::Expr::Nested(inner) = base {
                base = inner;
            }
            match (base, name_of(base)) {
                (ast::Expr::Value(_), _) => type_name(data_type),
                (_, name) if name == none() => type_name(data_type),
                (_, name) => name,
            }
        }
        ast::Expr::Position { .. } => "position".to_owned(),
        ast::Expr::Trim { trim_where, .. } => match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
            Some(ast::TrimWhereField::Both) | None => "btrim",
        }
        .to_owned(),
        ast::Expr::Case { .. } => "case".to_owned(),
        ast::Expr::Exists { .. } => "exists".to_owned(),
        ast::Expr::Array(_) => "array".to_owned(),
        ast::Expr::Substring { .. } => "substring".to_owned(),
        ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Boolean(_), .. }) => "bool".to_owned(),
        ast::Expr::CompoundFieldAccess { root, access_chain } => match access_chain.last() {
            Some(ast::AccessExpr::Dot(ast::Expr::Identifier(field))) => folded(field),
            _ => name_of(root),
        },
        ast::Expr::Subquery(subquery) => match subquery.body.as_ref() {
            ast::SetExpr::Select(select) => match select.projection.first() {
                Some(ast::SelectItem::UnnamedExpr(expr)) => name_of(expr),
                Some(ast::SelectItem::ExprWithAlias { alias, .. }) => folded(alias),
                _ => none(),
            },
            _ => none(),
        },
        _ => none(),
    }
}

/// A type's name as a column is called by it.
fn type_name(data_type: &ast::DataType) -> String {
    type_meant(data_type).map_or_else(|_| "?column?".to_owned(), |of| of.name().trim_start_matches('_').to_owned())
}
