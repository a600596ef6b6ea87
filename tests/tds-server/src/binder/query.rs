//! SELECT, set operations, ORDER BY, TOP and OFFSET.

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, LimitClause, OffsetRows, OrderByExpr, OrderByKind, Query, Select, SelectFlavor,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, TopQuantity, Value,
    WildcardAdditionalOptions, With,
};

use super::aggregate::contains_aggregate;
use super::from::renamed;
use super::order::{direction, no_order_twice, order_in_derived};
use super::scope::{Grouping, Place, Scope};
use super::{Binder, BoundQuery, CommonTable, OutputColumn, checked_name, not_run, not_tsql};
use crate::catalog::same_name;
use crate::error::SqlError;
use crate::sql_type::SqlType;
use crate::typed::{Form, Strength, Typed};

/// Where a query stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A statement.
    Statement,
    Derived,
    View,
    /// A value.
    Scalar,
    /// `IN (SELECT …)`
    Membership,
    /// `EXISTS (SELECT …)`
    Existence,
    /// `INSERT … SELECT`
    Insert,
}

impl Role {
    fn takes_order_alone(self) -> bool {
        matches!(self, Self::Statement | Self::Insert)
    }
}

/// A scalar subquery: a second row is error 512.
pub(super) fn at_most_one(bound: &BoundQuery) -> String {
    format!(
        "SELECT CASE WHEN count(*)>1 THEN tds_raise(512) ELSE max(c0) END FROM (SELECT c0 FROM ({}) LIMIT 2)",
        bound.sql
    )
}

/// A select list item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub name: Option<String>,
    pub value: Typed,
    pub table: Vec<String>,
}

impl Binder<'_> {
    pub(crate) fn bind_query(
        &self,
        query: &Query,
        outer: Option<&Scope<'_>>,
        role: Role,
    ) -> Result<BoundQuery, SqlError> {
        let known = self.common_tables.borrow().len();
        if let Some(with) = &query.with {
            if role != Role::Statement && role != Role::View && role != Role::Insert {
                return Err(not_tsql("WITH"));
            }
            self.bind_with(with)?;
        }
        let outcome = self.bind_query_body(query, outer, role);
        self.common_tables.borrow_mut().truncate(known);
        outcome
    }

    fn bind_with(&self, with: &With) -> Result<(), SqlError> {
        if with.recursive {
            return Err(not_tsql("RECURSIVE"));
        }
        for table in &with.cte_tables {
            if table.materialized.is_some() || table.from.is_some() {
                return Err(not_tsql("MATERIALIZED"));
            }
            let name = checked_name(&table.alias.name)?;
            let bound = self.bind_query(&table.query, None, Role::Derived).map_err(|error| {
                if error.number == 208 && error.message.contains(&format!("'{name}'")) {
                    not_run("a recursive common table expression")
                } else {
                    error
                }
            })?;
            let names: Vec<&Ident> = table.alias.columns.iter().map(|column| &column.name).collect();
            let query = renamed(bound, &names, name)?;
            self.common_tables.borrow_mut().push(CommonTable { name: name.to_owned(), query });
        }
        Ok(())
    }

    fn bind_query_body(&self, query: &Query, outer: Option<&Scope<'_>>, role: Role) -> Result<BoundQuery, SqlError> {
        if query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty()
            || !query.locks.is_empty()
        {
            return Err(not_tsql("FOR"));
        }
        if query.for_clause.is_some() {
            return Err(not_run("FOR XML and FOR JSON"));
        }
        let order = match &query.order_by {
            None => Vec::new(),
            Some(order) => match &order.kind {
                OrderByKind::Expressions(list) if order.interpolate.is_none() => list.iter().collect(),
                _ => return Err(not_tsql("ALL")),
            },
        };
        let paging = self.bind_paging(query, !order.is_empty(), outer)?;
        match query.body.as_ref() {
            SetExpr::Select(select) => self.bind_select(select, &order, paging, outer, role),
            SetExpr::Values(_) => Err(not_tsql("VALUES")),
            body => {
                if !order.is_empty() && paging.is_none() && !role.takes_order_alone() {
                    return Err(order_in_derived());
                }
                let bound = self.bind_set(body, outer)?;
                self.check_width(&bound, role)?;
                let mut sql = bound.sql;
                if !order.is_empty() {
                    sql.push_str(&format!(" ORDER BY {}", self.order_of_union(&order, &bound.columns)?));
                }
                if let Some(paging) = paging {
                    sql.push_str(&paging);
                }
                Ok(BoundQuery { sql, columns: bound.columns })
            }
        }
    }

    /// OFFSET … FETCH in SQLite's SQL.
    fn bind_paging(&self, query: &Query, ordered: bool, outer: Option<&Scope<'_>>) -> Result<Option<String>, SqlError> {
        let offset = match &query.limit_clause {
            None => None,
            Some(LimitClause::LimitOffset { limit: None, offset: Some(offset), limit_by }) if limit_by.is_empty() => {
                if offset.rows == OffsetRows::None {
                    return Err(not_tsql("OFFSET"));
                }
                Some(&offset.value)
            }
            Some(_) => return Err(not_tsql("LIMIT")),
        };
        let scope = Scope::with_parent(outer);
        let Some(offset) = offset else {
            return match query.fetch {
                None => Ok(None),
                Some(_) => Err(SqlError::new(153, 15, 2, "Invalid usage of the option FIRST in the FETCH statement.")),
            };
        };
        if !ordered {
            return Err(not_tsql("OFFSET"));
        }
        let skipped = self.row_count(offset, &scope)?;
        let taken = match &query.fetch {
            None => "-1".to_owned(),
            Some(fetch) if fetch.with_ties || fetch.percent => return Err(not_tsql("FETCH")),
            Some(fetch) => match &fetch.quantity {
                None => return Err(not_tsql("FETCH")),
                Some(Expr::Value(value)) if matches!(&value.value, Value::Number(digits, _) if digits == "0") => {
                    return Err(SqlError::new(
                        10744,
                        15,
                        1,
                        "The number of rows provided for a FETCH clause must be greater then zero.",
                    ));
                }
                Some(quantity) => self.row_count(quantity, &scope)?,
            },
        };
        Ok(Some(format!(" LIMIT {taken} OFFSET {skipped}")))
    }

    fn row_count(&self, expr: &Expr, scope: &Scope<'_>) -> Result<String, SqlError> {
        let bound = self.bind_value(expr, scope, Place::ALONE)?;
        if !matches!(bound.sql_type.kind(), crate::sql_type::Kind::Integer) {
            return Err(SqlError::new(
                10743,
                15,
                1,
                "The number of rows provided for a FETCH clause must be an integer.",
            ));
        }
        Ok(bound.sql)
    }

    fn bind_set(&self, body: &SetExpr, outer: Option<&Scope<'_>>) -> Result<BoundQuery, SqlError> {
        match body {
            SetExpr::Select(select) => self.bind_select(select, &[], None, outer, Role::Derived),
            SetExpr::Query(query) => self.bind_query(query, outer, Role::Derived),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let word = match (op, set_quantifier) {
                    (SetOperator::Union, SetQuantifier::All) => "UNION ALL",
                    (SetOperator::Union, SetQuantifier::None) => "UNION",
                    (SetOperator::Except, SetQuantifier::None) => "EXCEPT",
                    (SetOperator::Intersect, SetQuantifier::None) => "INTERSECT",
                    (_, quantifier) => return Err(not_tsql(quantifier)),
                };
                let left = self.bind_set(left, outer)?;
                let right = self.bind_set(right, outer)?;
                if left.columns.len() != right.columns.len() {
                    return Err(SqlError::new(
                        205,
                        16,
                        1,
                        "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.",
                    ));
                }
                let mut columns = Vec::new();
                for (a, b) in left.columns.iter().zip(&right.columns) {
                    let (a_typed, b_typed) = (as_typed(a, String::new()), as_typed(b, String::new()));
                    let (sql_type, strength) = self.unified(&[a_typed, b_typed], word)?;
                    if word != "UNION ALL" {
                        if !sql_type.is_comparable() {
                            return Err(not_distinct(sql_type));
                        }
                        if strength == Strength::Conflict {
                            return Err(SqlError::new(
                                468,
                                16,
                                9,
                                format!("Cannot resolve the collation conflict in the {word} operation."),
                            ));
                        }
                    }
                    columns.push(OutputColumn {
                        sql_type,
                        strength,
                        nullable: a.nullable || b.nullable,
                        is_null_literal: a.is_null_literal && b.is_null_literal,
                        ..a.clone()
                    });
                }
                let side = |bound: &BoundQuery| {
                    let alias = self.next_alias();
                    let items: Vec<String> = bound
                        .columns
                        .iter()
                        .zip(&columns)
                        .enumerate()
                        .map(|(position, (from, to))| {
                            let typed = as_typed(from, format!("{alias}.c{position}")).cast_to(to.sql_type);
                            let sql = if to.sql_type.is_string() { typed.key() } else { typed.sql };
                            format!("{sql} AS c{position}")
                        })
                        .collect();
                    format!("SELECT {} FROM ({}) AS {alias}", items.join(","), bound.sql)
                };
                let sql = format!("SELECT * FROM ({} {word} {})", side(&left), side(&right));
                Ok(BoundQuery { sql, columns })
            }
            SetExpr::Values(_) => Err(not_tsql("VALUES")),
            other => Err(not_tsql(other)),
        }
    }

    fn check_width(&self, bound: &BoundQuery, role: Role) -> Result<(), SqlError> {
        if matches!(role, Role::Scalar | Role::Membership) && bound.columns.len() != 1 {
            return Err(SqlError::new(
                116,
                16,
                1,
                "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.",
            ));
        }
        if bound.columns.len() > 4096 {
            return Err(SqlError::new(
                1056,
                15,
                1,
                "The number of elements in the select list exceeds the maximum allowed number of 4096 elements.",
            ));
        }
        Ok(())
    }

    fn bind_select(
        &self,
        select: &Select,
        order: &[&OrderByExpr],
        paging: Option<String>,
        outer: Option<&Scope<'_>>,
        role: Role,
    ) -> Result<BoundQuery, SqlError> {
        check_clauses(select)?;
        let distinct = match &select.distinct {
            None | Some(Distinct::All) => false,
            Some(Distinct::Distinct) => true,
            Some(Distinct::On(_)) => return Err(not_tsql("ON")),
        };
        if select.top_before_distinct && distinct {
            return Err(not_tsql("DISTINCT"));
        }
        if select.top.is_some() && paging.is_some() {
            return Err(SqlError::new(
                10741,
                15,
                2,
                "A TOP can not be used in the same query or sub-query as a OFFSET.",
            ));
        }
        if !order.is_empty() && select.top.is_none() && paging.is_none() && !role.takes_order_alone() {
            return Err(order_in_derived());
        }
        let from = self.bind_from(&select.from, outer)?;
        let mut scope = Scope::with_parent(outer);
        scope.sources = from.sources;
        let filter =
            select.selection.as_ref().map(|expr| self.bind_predicate(expr, &scope, Place::WHERE)).transpose()?;
        let keys = self.bind_grouping(&select.group_by, &scope)?;
        let aggregates = contains_aggregate(&select.projection)
            || contains_aggregate(&select.having)
            || order.iter().any(|item| contains_aggregate(&item.expr));
        if keys.is_some() || aggregates || select.having.is_some() {
            let keys = keys.iter().flatten().map(|key| key.sql.clone()).collect();
            scope.grouping.replace(Some(Grouping { keys }));
        }
        let items = self.bind_items(&select.projection, &scope)?;
        if role == Role::Existence && items.is_empty() {
            return Err(not_tsql("FROM"));
        }
        let having = select.having.as_ref().map(|expr| self.bind_predicate(expr, &scope, Place::HAVING)).transpose()?;
        if distinct && let Some(item) = items.iter().find(|item| !item.value.sql_type.is_comparable()) {
            return Err(not_distinct(item.value.sql_type));
        }
        let mut sorted = Vec::new();
        for item in order {
            let key = self.bind_order_item(item, &items, &scope, distinct)?;
            sorted.push(format!("{key}{}", direction(item)));
        }
        no_order_twice(&sorted)?;
        let columns: Vec<OutputColumn> = items
            .iter()
            .map(|item| OutputColumn {
                name: item.name.clone(),
                sql_type: item.value.sql_type,
                nullable: item.value.nullable,
                strength: item.value.strength,
                is_null_literal: item.value.form == Form::Null,
                table: item.table.clone(),
            })
            .collect();
        let grand_total = keys.as_ref().map_or(having.is_some(), Vec::is_empty);
        let listed: Vec<String> = items
            .iter()
            .enumerate()
            .map(|(position, item)| {
                // DISTINCT goes by the collation of what is selected.
                let sql =
                    if distinct && item.value.sql_type.is_string() { item.value.key() } else { item.value.sql.clone() };
                // SQLite takes HAVING alone only behind an aggregate in the select list.
                let sql = if grand_total && position == 0 { format!("iif(count(*)>=0,{sql},NULL)") } else { sql };
                format!("{sql} AS c{position}")
            })
            .collect();
        let mut sql = format!("SELECT {}{}", if distinct { "DISTINCT " } else { "" }, listed.join(","));
        if !from.sql.is_empty() {
            sql.push_str(&format!(" FROM {}", from.sql));
        }
        if let Some(filter) = filter {
            sql.push_str(&format!(" WHERE {filter}"));
        }
        match &keys {
            Some(keys) if !keys.is_empty() => {
                let keys: Vec<String> = keys.iter().map(Typed::key).collect();
                sql.push_str(&format!(" GROUP BY {}", keys.join(",")));
                if let Some(having) = having {
                    sql.push_str(&format!(" HAVING {having}"));
                }
            }
            Some(_) => sql.push_str(&format!(" HAVING count(*)>=0 AND {}", having.unwrap_or_else(|| "1".to_owned()))),
            None => {
                if let Some(having) = having {
                    sql.push_str(&format!(" HAVING count(*)>=0 AND {having}"));
                }
            }
        }
        if !sorted.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", sorted.join(",")));
        }
        if let Some(paging) = paging {
            sql.push_str(&paging);
        }
        if let Some(top) = &select.top {
            if top.percent || top.with_ties {
                if top.with_ties && order.is_empty() {
                    return Err(SqlError::new(
                        1062,
                        15,
                        1,
                        "The TOP N WITH TIES clause is not allowed without a corresponding ORDER BY clause.",
                    ));
                }
                return Err(not_run("TOP with PERCENT or TIES"));
            }
            let taken = match &top.quantity {
                Some(TopQuantity::Constant(rows)) => rows.to_string(),
                Some(TopQuantity::Expr(expr)) => {
                    let bound = self.bind_value(expr, &Scope::with_parent(None), Place::ALONE)?;
                    if bound.sql_type.kind() != crate::sql_type::Kind::Integer || bound.form == Form::Null {
                        return Err(SqlError::new(
                            1060,
                            15,
                            1,
                            "The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.",
                        ));
                    }
                    format!("max(0,{})", bound.sql)
                }
                None => return Err(not_tsql("TOP")),
            };
            sql.push_str(&format!(" LIMIT {taken}"));
        }
        let bound = BoundQuery { sql, columns };
        self.check_width(&bound, role)?;
        Ok(bound)
    }

    /// The grouping expressions; `None` without GROUP BY.
    fn bind_grouping(&self, group_by: &GroupByExpr, scope: &Scope<'_>) -> Result<Option<Vec<Typed>>, SqlError> {
        let GroupByExpr::Expressions(exprs, modifiers) = group_by else { return Err(not_tsql("ALL")) };
        if !modifiers.is_empty() {
            return Err(not_run("WITH ROLLUP and WITH CUBE"));
        }
        if exprs.is_empty() {
            return Ok(None);
        }
        if matches!(exprs.as_slice(), [Expr::Tuple(parts)] if parts.is_empty()) {
            return Ok(Some(Vec::new()));
        }
        let mut keys = Vec::new();
        for expr in exprs {
            if matches!(expr, Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_)) {
                return Err(not_run("GROUPING SETS"));
            }
            if contains_subquery(expr) {
                return Err(SqlError::new(
                    144,
                    15,
                    1,
                    "Cannot use an aggregate or a subquery in an expression used for the group by list of a GROUP BY clause.",
                ));
            }
            let key = self.bind_value(expr, scope, Place::GROUP_BY)?;
            if !names_a_column(expr) {
                return Err(SqlError::new(
                    164,
                    15,
                    1,
                    "Each GROUP BY expression must contain at least one column that is not an outer reference.",
                ));
            }
            if !key.sql_type.is_comparable() {
                return Err(SqlError::new(
                    306,
                    16,
                    2,
                    "The text, ntext, and image data types cannot be compared or sorted, except when using IS NULL or LIKE operator.",
                ));
            }
            keys.push(key);
        }
        Ok(Some(keys))
    }

    fn bind_items(&self, projection: &[SelectItem], scope: &Scope<'_>) -> Result<Vec<Item>, SqlError> {
        let mut items = Vec::new();
        let expand = |source: &super::scope::Source, items: &mut Vec<Item>| -> Result<(), SqlError> {
            for column in &source.columns {
                // Through the scope, so that a grouped query refuses what it must.
                let sql = format!("{}.{}", source.sqlite_alias, column.sqlite);
                if scope.grouping.borrow().is_some() && !scope.is_grouping_key(&sql) {
                    return Err(SqlError::new(
                        8120,
                        16,
                        1,
                        format!(
                            "Column '{}.{}' is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause.",
                            source.exposed, column.name
                        ),
                    ));
                }
                let value =
                    Typed { nullable: column.nullable, strength: column.strength, ..Typed::new(sql, column.sql_type) };
                items.push(Item { name: Some(column.name.clone()), value, table: column.table.clone() });
            }
            Ok(())
        };
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(Expr::BinaryOp { left, op: sqlparser::ast::BinaryOperator::Eq, right })
                    if matches!(left.as_ref(), Expr::Identifier(_)) =>
                {
                    // `name = expression`
                    let Expr::Identifier(name) = left.as_ref() else { return Err(not_tsql("=")) };
                    if name.value.starts_with('@') {
                        return Err(not_run("SELECT @variable = …"));
                    }
                    let value = self.bind_value(right, scope, Place::SELECT)?;
                    items.push(Item { name: Some(checked_name(name)?.to_owned()), value, table: Vec::new() });
                }
                SelectItem::UnnamedExpr(expr) => {
                    let value = self.bind_value(expr, scope, Place::SELECT)?;
                    items.push(Item { name: column_name(expr), table: table_of(expr, scope, &value), value });
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let value = self.bind_value(expr, scope, Place::SELECT)?;
                    items.push(Item {
                        name: Some(checked_name(alias)?.to_owned()),
                        table: table_of(expr, scope, &value),
                        value,
                    });
                }
                SelectItem::Wildcard(options) => {
                    check_wildcard(options)?;
                    if scope.sources.is_empty() {
                        return Err(SqlError::new(263, 16, 1, "Must specify table to select from."));
                    }
                    for source in &scope.sources {
                        expand(source, &mut items)?;
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    check_wildcard(options)?;
                    let parts = super::from::name_parts(name)?;
                    let Some(last) = parts.last() else { return Err(not_tsql("*")) };
                    let source = scope.sources.iter().find(|source| same_name(&source.exposed, &last.value));
                    let source = source.ok_or_else(|| SqlError::new(107, 15, 1, format!("The column prefix '{name}' does not match with a table name or alias name used in the query.")))?;
                    expand(source, &mut items)?;
                }
                other => return Err(not_tsql(other)),
            }
        }
        Ok(items)
    }
}

pub(super) fn as_typed(column: &OutputColumn, sql: String) -> Typed {
    let form = if column.is_null_literal { Form::Null } else { Form::Other };
    let sql = if column.is_null_literal { "NULL".to_owned() } else { sql };
    Typed { nullable: column.nullable, strength: column.strength, ..Typed::new(sql, column.sql_type).with_form(form) }
}

fn not_distinct(sql_type: SqlType) -> SqlError {
    SqlError::new(
        421,
        16,
        1,
        format!("The {} data type cannot be selected as DISTINCT because it is not comparable.", sql_type.name()),
    )
}

fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) if !ident.value.starts_with('@') => Some(ident.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.clone()),
        Expr::Nested(inner) => column_name(inner),
        _ => None,
    }
}

/// The table behind a plain column.
fn table_of(expr: &Expr, scope: &Scope<'_>, value: &Typed) -> Vec<String> {
    if !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
        return Vec::new();
    }
    let found = scope.sources.iter().flat_map(|source| source.columns.iter().map(move |column| (source, column)));
    let mut found = found.filter(|(source, column)| format!("{}.{}", source.sqlite_alias, column.sqlite) == value.sql);
    found.next().map(|(_, column)| column.table.clone()).unwrap_or_default()
}

fn check_wildcard(options: &WildcardAdditionalOptions) -> Result<(), SqlError> {
    if options.opt_ilike.is_some()
        || options.opt_exclude.is_some()
        || options.opt_except.is_some()
        || options.opt_replace.is_some()
        || options.opt_rename.is_some()
    {
        return Err(not_tsql("*"));
    }
    Ok(())
}

/// Clauses that other databases have.
fn check_clauses(select: &Select) -> Result<(), SqlError> {
    let foreign = [
        (!select.lateral_views.is_empty(), "LATERAL"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT"),
        (!select.cluster_by.is_empty(), "CLUSTER"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE"),
        (!select.sort_by.is_empty(), "SORT"),
        (select.qualify.is_some(), "QUALIFY"),
        (select.value_table_mode.is_some(), "AS"),
        (select.exclude.is_some(), "EXCLUDE"),
        (select.select_modifiers.is_some(), "SELECT"),
        (select.flavor != SelectFlavor::Standard, "FROM"),
        (select.projection.is_empty(), "FROM"),
    ];
    if let Some((_, word)) = foreign.iter().find(|(present, _)| *present) {
        return Err(not_tsql(word));
    }
    if !select.named_window.is_empty() {
        return Err(not_run("WINDOW"));
    }
    Ok(())
}

fn contains_subquery(expr: &Expr) -> bool {
    use std::ops::ControlFlow;
    sqlparser::ast::visit_expressions(expr, |inner| match inner {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

fn names_a_column(expr: &Expr) -> bool {
    use std::ops::ControlFlow;
    sqlparser::ast::visit_expressions(expr, |inner| match inner {
        Expr::Identifier(ident) if !ident.value.starts_with('@') => ControlFlow::Break(()),
        Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}
