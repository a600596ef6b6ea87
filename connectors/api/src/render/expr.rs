//! Expressions as SQL: each comes in parentheses of its own where it is not atomic.

use std::collections::BTreeSet;

use super::{Renderer, Scope};
use crate::{
    Aggregate, Calculation, CompareOp, Comparison, Existence, Expr, KeyProbe, Operand, OutputColumn, Probe, SortKey,
    TextPart, TextUse, Unknown, Value,
};

impl Renderer<'_> {
    pub(super) fn probe(&self, probe: &Probe, existence: Existence, enclosing: &Scope) -> String {
        let alias = format!("p{}", enclosing.depth + 1);
        let outer = enclosing.columns.clone();
        let scope = self.base_scope(&alias, &probe.columns, outer, enclosing.depth + 1);
        if let Some(exists) = self.probe_of_distinct_keys(probe, existence, &alias, &scope) {
            return exists;
        }
        let conjuncts: Vec<String> =
            probe.predicates.iter().map(|predicate| self.predicate(predicate, &scope)).collect();
        let word = match existence {
            Existence::Required => "EXISTS",
            Existence::Forbidden => "NOT EXISTS",
        };
        let condition =
            if conjuncts.is_empty() { String::new() } else { format!(" WHERE {}", conjuncts.join(" AND ")) };
        format!("{word} (SELECT 1 FROM {}{condition})", self.table(&probe.table, &alias))
    }

    /// The same over the distinct keys of the probe's table, where the dialect asks for that and each predicate is either of
    /// that table alone or equates one of its keys with one of the enclosing row's.
    fn probe_of_distinct_keys(
        &self,
        probe: &Probe,
        existence: Existence,
        alias: &str,
        scope: &Scope,
    ) -> Option<String> {
        let (mut keys, mut own) = (Vec::new(), Vec::new());
        for predicate in &probe.predicates {
            match (sides(predicate), predicate) {
                (Sides::Own, _) => own.push(predicate),
                (Sides::Both, Expr::Compare { op: CompareOp::Equal, left, right }) => {
                    match (sides(left), sides(right)) {
                        (Sides::Own, Sides::Enclosing) => keys.push((left.as_ref(), right.as_ref())),
                        (Sides::Enclosing, Sides::Own) => keys.push((right.as_ref(), left.as_ref())),
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
        let asked = |(inner, outer): &(&Expr, &Expr)| {
            self.dialect.key_probe(&output_of(inner, scope), &output_of(outer, scope)) == KeyProbe::DistinctKeys
        };
        if keys.is_empty() || !keys.iter().all(asked) {
            return None;
        }
        let derived = self.dialect.quote_identifier(&format!("q{alias}"));
        let (mut made, mut equal) = (Vec::new(), Vec::new());
        for (index, (inner, outer)) in keys.into_iter().enumerate() {
            let name = self.dialect.quote_identifier(&format!("k{}", index + 1));
            let (inner_output, outer_output) = (output_of(inner, scope), output_of(outer, scope));
            let inner_output = OutputColumn { source_type: None, ..inner_output };
            made.push(format!("{} AS {name}", self.operand(inner, scope, TextUse::Equality)));
            let comparison = Comparison {
                op: CompareOp::Equal,
                left: &format!("{derived}.{name}"),
                right: &self.operand(outer, scope, TextUse::Equality),
                left_operand: Operand { output: &inner_output, literal: None },
                right_operand: Operand { output: &outer_output, literal: None },
            };
            equal.push(format!("({})", self.dialect.compare(comparison)));
        }
        let own: Vec<String> = own.into_iter().map(|predicate| self.predicate(predicate, scope)).collect();
        let condition = if own.is_empty() { String::new() } else { format!(" WHERE {}", own.join(" AND ")) };
        let word = match existence {
            Existence::Required => "EXISTS",
            Existence::Forbidden => "NOT EXISTS",
        };
        Some(format!(
            "{word} (SELECT 1 FROM (SELECT DISTINCT {} FROM {}{condition}) AS {derived} WHERE {})",
            made.join(", "),
            self.table(&probe.table, alias),
            equal.join(" AND ")
        ))
    }

    pub(super) fn aggregate(&self, call: &Aggregate, scope: &Scope) -> String {
        let types = scope.types();
        let argument = call.argument.as_ref().map(|expr| {
            let output = expr.output(&types);
            let sql = self.expr(expr, scope);
            let sql = match (call.function, call.distinct) {
                (crate::AggregateFunction::Min | crate::AggregateFunction::Max, _) => {
                    self.dialect.text(&self.dialect.plain_text(&sql, &output), &output, TextUse::Order)
                }
                (_, true) => self.distinct(&sql, &output),
                (crate::AggregateFunction::Count | crate::AggregateFunction::Sum, false) => sql,
            };
            self.dialect.aggregate_argument(call.function, &sql, &output)
        });
        let argument = match (&call.filter, argument) {
            (None, argument) => argument,
            (Some(filter), argument) => {
                let value = argument.unwrap_or_else(|| "1".to_owned());
                Some(format!("CASE WHEN {} THEN {value} END", self.predicate(filter, scope)))
            }
        };
        self.dialect.aggregate(call, argument.as_deref())
    }

    /// Keys of an order, without those that an earlier one leaves nothing to decide: SQL Server refuses them.
    pub(super) fn sort_keys<'k>(&self, keys: impl IntoIterator<Item = &'k SortKey>, scope: &Scope) -> Vec<String> {
        let mut decided = BTreeSet::new();
        keys.into_iter()
            .filter_map(|key| {
                let sql = self.expr(&key.expr, scope);
                let output = key.expr.output(&scope.types());
                let text = self.dialect.text(&sql, &output, TextUse::Order);
                decided.insert(sql).then(|| self.dialect.sort_key(&text, key.direction, key.nulls))
            })
            .collect()
    }

    /// An expression as a value; what is not atomic comes in parentheses of its own.
    pub(super) fn expr(&self, expr: &Expr, scope: &Scope) -> String {
        let sql = self.written(expr, scope);
        match unknown(expr) {
            Some(unknown) => self.dialect.truth_of(&sql, unknown),
            None => sql,
        }
    }

    /// A boolean expression as a condition.
    pub(super) fn predicate(&self, expr: &Expr, scope: &Scope) -> String {
        let sql = self.written(expr, scope);
        if unknown(expr).is_some() { sql } else { self.dialect.predicate_of(&sql) }
    }

    /// An expression as part of another one.
    fn part(&self, expr: &Expr, scope: &Scope) -> String {
        self.dialect.plain_text(&self.expr(expr, scope), &output_of(expr, scope))
    }

    fn written(&self, expr: &Expr, scope: &Scope) -> String {
        let all = |exprs: &[Expr], word: &str, empty: &str| {
            if exprs.is_empty() {
                return empty.to_owned();
            }
            let parts: Vec<String> = exprs.iter().map(|part| self.predicate(part, scope)).collect();
            format!("({})", parts.join(word))
        };
        match expr {
            Expr::Column(index) => scope.columns.get(*index).map_or_else(|| "NULL".to_owned(), |(sql, _)| sql.clone()),
            Expr::Outer(index) => scope.outer.get(*index).map_or_else(|| "NULL".to_owned(), |(sql, _)| sql.clone()),
            Expr::Literal(value) => self.dialect.literal(value),
            Expr::Compare { op, left, right } => {
                let text_use = if op.is_equality() { TextUse::Equality } else { TextUse::Order };
                let (left_output, right_output) = (output_of(left, scope), output_of(right, scope));
                let comparison = Comparison {
                    op: *op,
                    left: &self.operand(left, scope, text_use),
                    right: &self.operand(right, scope, text_use),
                    left_operand: Operand { output: &left_output, literal: literal(left) },
                    right_operand: Operand { output: &right_output, literal: literal(right) },
                };
                format!("({})", self.dialect.compare(comparison))
            }
            Expr::And(exprs) => all(exprs, " AND ", "(1 = 1)"),
            Expr::Or(exprs) => all(exprs, " OR ", "(1 = 0)"),
            Expr::Not(inner) => format!("(NOT {})", self.predicate(inner, scope)),
            Expr::IsNull(inner) => format!("({} IS NULL)", self.expr(inner, scope)),
            Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", self.expr(inner, scope)),
            Expr::InList { expr, list, negated } => {
                if list.is_empty() {
                    return if *negated { "(1 = 1)".to_owned() } else { "(1 = 0)".to_owned() };
                }
                if let (Expr::Column(index), Some(base), Some(texts)) = (expr.as_ref(), &scope.base, texts_of(list)) {
                    let place = base.get(*index).zip(scope.columns.get(*index));
                    if let (Some((quoted, (_, output))), false) = (place, *negated) {
                        return format!("({})", self.dialect.column_in_texts(quoted, output, &texts));
                    }
                }
                let operand = self.equal_operand(expr, scope);
                let values: Vec<String> = list
                    .iter()
                    .map(|value| {
                        let sql = self.dialect.literal(value);
                        let output = OutputColumn::computed(value.data_type());
                        self.dialect.distinct_key(&sql, &output).unwrap_or(sql)
                    })
                    .collect();
                let word = if *negated { "NOT IN" } else { "IN" };
                format!("({operand} {word} ({}))", values.join(", "))
            }
            Expr::Like { expr, pattern, negated } => {
                let text =
                    self.dialect.plain_text(&self.operand(expr, scope, TextUse::Equality), &output_of(expr, scope));
                let like = self.dialect.like(&text, pattern);
                if *negated { format!("(NOT ({like}))") } else { format!("({like})") }
            }
            Expr::Case { branches, otherwise } => {
                let mut sql = "(CASE".to_owned();
                for (when, then) in branches {
                    sql.push_str(&format!(" WHEN {} THEN {}", self.predicate(when, scope), self.part(then, scope)));
                }
                if let Some(otherwise) = otherwise {
                    sql.push_str(&format!(" ELSE {}", self.part(otherwise, scope)));
                }
                sql.push_str(" END)");
                sql
            }
            Expr::Coalesce(exprs) => match exprs.as_slice() {
                [] => "NULL".to_owned(),
                [only] => self.part(only, scope),
                many => {
                    let parts: Vec<String> = many.iter().map(|part| self.part(part, scope)).collect();
                    format!("coalesce({})", parts.join(", "))
                }
            },
            Expr::Widen { expr, to } => {
                let from = expr.output(&scope.types()).data_type;
                self.dialect.widen(&self.expr(expr, scope), &from, to)
            }
            Expr::Arithmetic { op, left, right, data_type } => {
                let types = scope.types();
                let (left_type, right_type) = (left.output(&types).data_type, right.output(&types).data_type);
                let (left, right) = (self.expr(left, scope), self.expr(right, scope));
                let calculation =
                    Calculation { op: *op, left: (&left, &left_type), right: (&right, &right_type), data_type };
                format!("({})", self.dialect.arithmetic(calculation))
            }
            Expr::Concat(parts) => {
                let types = scope.types();
                let parts: Vec<TextPart> = parts
                    .iter()
                    .map(|part| TextPart { sql: self.part(part, scope), most_bytes: part.most_bytes(&types) })
                    .collect();
                self.dialect.concat(&parts)
            }
            Expr::OfText { function, expr } => self.dialect.of_text(function, &self.part(expr, scope)),
            Expr::DatePart { part, expr } => {
                self.dialect.date_part(*part, &self.expr(expr, scope), &expr.output(&scope.types()))
            }
            Expr::Truncate { to, expr } => {
                self.dialect.truncate(*to, &self.expr(expr, scope), &expr.output(&scope.types()))
            }
            // The column need not be one that the asker sees, nor is its written form.
            Expr::CanonicalKey { .. } if self.audience == crate::Audience::Asker => {
                format!("subject_key({})", self.dialect.quote_identifier("b"))
            }
            Expr::CanonicalKey { expr, format } => self.dialect.canonical_key(&self.part(expr, scope), *format),
            Expr::WrittenKey { expr, format } => self.dialect.written_key(&self.part(expr, scope), *format),
            Expr::Released { column, .. } if self.audience == crate::Audience::Asker => {
                let (scan, column) = (self.dialect.quote_identifier("b"), self.dialect.quote_identifier(column));
                format!("released({scan}.{column})")
            }
            Expr::Released { value, .. } => self.expr(value, scope),
            Expr::Mask { expr, mask } => {
                let output = expr.output(&scope.types());
                self.dialect.mask(&self.part(expr, scope), &output, *mask)
            }
            Expr::DateOf(inner) => {
                let output = output_of(inner, scope);
                self.dialect.date_of(&self.part(inner, scope), &output)
            }
            Expr::Exists { probe, existence } => self.probe(probe, *existence, scope),
        }
    }

    pub(super) fn operand(&self, expr: &Expr, scope: &Scope, text_use: TextUse) -> String {
        let sql = self.expr(expr, scope);
        match expr {
            // One collated side is enough, and literals have none of their own.
            Expr::Literal(_) | Expr::Outer(_) => sql,
            _ => self.dialect.text(&sql, &expr.output(&scope.types()), text_use),
        }
    }

    /// An operand of which only equality with others matters.
    pub(super) fn equal_operand(&self, expr: &Expr, scope: &Scope) -> String {
        self.dialect
            .distinct_key(&self.expr(expr, scope), &output_of(expr, scope))
            .unwrap_or_else(|| self.operand(expr, scope, TextUse::Equality))
    }

    /// A value by which rows are told apart.
    pub(super) fn distinct(&self, sql: &str, output: &OutputColumn) -> String {
        self.dialect.distinct_key(sql, output).unwrap_or_else(|| self.dialect.text(sql, output, TextUse::Equality))
    }
}

/// For what is a predicate rather than a value: whether it may be neither true nor false.
fn unknown(expr: &Expr) -> Option<Unknown> {
    match expr {
        Expr::Compare { .. } | Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::InList { .. } | Expr::Like { .. } => {
            Some(Unknown::Possible)
        }
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::Exists { .. } => Some(Unknown::Impossible),
        Expr::Column(_)
        | Expr::Outer(_)
        | Expr::Literal(_)
        | Expr::Case { .. }
        | Expr::Coalesce(_)
        | Expr::Widen { .. }
        | Expr::Arithmetic { .. }
        | Expr::Concat(_)
        | Expr::OfText { .. }
        | Expr::DatePart { .. }
        | Expr::Truncate { .. }
        | Expr::CanonicalKey { .. }
        | Expr::WrittenKey { .. }
        | Expr::Mask { .. }
        | Expr::Released { .. }
        | Expr::DateOf(_) => None,
    }
}

/// Whose columns an expression inside a probe is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sides {
    /// The probe's own table, or no column at all.
    Own,
    Enclosing,
    Both,
}

fn sides(expr: &Expr) -> Sides {
    match expr {
        Expr::Outer(_) => Sides::Enclosing,
        // What a probe inside a probe speaks of is not looked into.
        Expr::Exists { .. } => Sides::Both,
        _ => {
            let mut found: Option<Sides> = matches!(expr, Expr::Column(_)).then_some(Sides::Own);
            for part in expr.children() {
                let part = match part {
                    Expr::Literal(_) => continue,
                    part => sides(part),
                };
                found = Some(match found {
                    None => part,
                    Some(found) if found == part => found,
                    Some(_) => Sides::Both,
                });
            }
            found.unwrap_or(Sides::Own)
        }
    }
}

/// As [`Expr::output`], and an enclosing column as it is where it stands.
fn output_of(expr: &Expr, scope: &Scope) -> OutputColumn {
    match expr {
        Expr::Outer(index) => scope.outer.get(*index).map_or_else(|| expr.output(&[]), |(_, output)| output.clone()),
        _ => expr.output(&scope.types()),
    }
}

fn literal(expr: &Expr) -> Option<&Value> {
    match expr {
        Expr::Literal(value) => Some(value),
        _ => None,
    }
}

fn texts_of(list: &[Value]) -> Option<Vec<String>> {
    list.iter()
        .map(|value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })
        .collect()
}
