//! SQL as clients of PostgreSQL ask its catalogs, as SQLite understands it.
//!
//! Every name is resolved here, so that each expression's type is known and nothing is asked for that is not there. Arrays are
//! JSON texts, truth values 0 and 1, and `regclass` and its like numbers that are named where they are shown.

mod calls;
mod expression;
mod from;
mod scope;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use datafusion::sql::sqlparser::ast;
use pgwire::api::Type;

pub(super) use from::{function_name, relation_name};
use scope::{Columns, Scope, Typed, quoted};
pub(super) use scope::{folded, is_array};

/// A question to the catalogs, as SQLite understands it.
#[derive(Clone, Debug)]
pub(super) struct Translated {
    pub sql: String,
    pub columns: Columns,
    /// Schema and name of every relation that it reads.
    pub relations: BTreeSet<(&'static str, &'static str)>,
    /// Types of parameters, by number, as far as the question says them.
    pub parameters: BTreeMap<usize, Type>,
}

/// Why something cannot be asked of the catalogs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The SQLSTATE.
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new("0A000", format!("the catalogs cannot be asked with {what}"))
    }
}

/// # Errors
/// It names what is not there, or says what is not understood here.
pub(super) fn translate(query: &ast::Query) -> Result<Translated, Refusal> {
    let translator = Translator::default();
    let (sql, columns) = translator.query(query, &Scope::outermost(), Shown::Yes)?;
    Ok(Translated {
        sql,
        columns,
        relations: translator.relations.into_inner(),
        parameters: translator.parameters.into_inner(),
    })
}

#[derive(Default)]
struct Translator {
    relations: RefCell<BTreeSet<(&'static str, &'static str)>>,
    parameters: RefCell<BTreeMap<usize, Type>>,
    names: Cell<usize>,
}

/// Whether a query's columns are for the client: then what stands for a name is shown as that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
}

impl Translator {
    /// A name that nothing else has.
    fn fresh(&self) -> String {
        self.names.set(self.names.get() + 1);
        format!("wl_{}", self.names.get())
    }

    fn query(&self, query: &ast::Query, outer: &Scope<'_>, shown: Shown) -> Result<(String, Columns), Refusal> {
        let mut scope = outer.inside();
        let mut sql = String::new();
        if let Some(with) = &query.with {
            let tables = with.cte_tables.iter().map(|table| self.common_table(table, with.recursive, &mut scope));
            let tables = tables.collect::<Result<Vec<_>, _>>()?;
            sql = format!("WITH {}{} ", if with.recursive { "RECURSIVE " } else { "" }, tables.join(", "));
        }
        if query.for_clause.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty() {
            return Err(Refusal::unsupported("this form of a query"));
        }
        let order = match &query.order_by {
            None => &[][..],
            Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(order), .. }) => order,
            Some(_) => return Err(Refusal::unsupported("ORDER BY ALL")),
        };
        let (body, columns) = self.body(&query.body, order, &scope, shown)?;
        sql.push_str(&body);
        sql.push_str(&self.limit(query, &scope)?);
        Ok((sql, columns))
    }

    fn common_table(&self, table: &ast::Cte, recursive: bool, scope: &mut Scope<'_>) -> Result<String, Refusal> {
        let name = folded(&table.alias.name);
        let renamed = |mut columns: Columns| {
            for (column, alias) in columns.iter_mut().zip(&table.alias.columns) {
                column.0 = folded(&alias.name);
            }
            columns
        };
        if let (true, ast::SetExpr::SetOperation { left, .. }) = (recursive, table.query.body.as_ref()) {
            // What the first part has is what the whole has.
            let (_, columns) = self.body(left, &[], scope, Shown::No)?;
            scope.tables.push((name.clone(), renamed(columns)));
        }
        let (sql, columns) = self.query(&table.query, scope, Shown::No)?;
        let columns = renamed(columns);
        let names: Vec<String> = columns.iter().map(|(column, _)| quoted(column)).collect();
        scope.tables.retain(|(known, _)| *known != name);
        scope.tables.push((name.clone(), columns));
        Ok(format!("{}({}) AS ({sql})", quoted(&name), names.join(", ")))
    }

    fn limit(&self, query: &ast::Query, scope: &Scope<'_>) -> Result<String, Refusal> {
        let (limit, offset) = match &query.limit_clause {
            Some(ast::LimitClause::LimitOffset { limit, offset, .. }) => {
                (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
            }
            Some(ast::LimitClause::OffsetCommaLimit { offset, limit }) => (Some(limit), Some(offset)),
            None => (None, None),
        };
        let limit = limit.or(query.fetch.as_ref().and_then(|fetch| fetch.quantity.as_ref()));
        let number = |expr: &ast::Expr| Ok(self.expression(expr, scope)?.into_type(&Type::INT8).sql);
        Ok(match (limit.map(number).transpose()?, offset.map(number).transpose()?) {
            (None, None) => String::new(),
            // SQLite has an offset behind a limit only; a negative one is none, and so is NULL in PostgreSQL.
            (limit, offset) => {
                let limit = limit.map_or("-1".to_owned(), |limit| format!("coalesce({limit}, -1)"));
                format!(" LIMIT {limit} OFFSET {}", offset.unwrap_or("0".to_owned()))
            }
        })
    }

    fn body(
        &self,
        body: &ast::SetExpr,
        order: &[ast::OrderByExpr],
        scope: &Scope<'_>,
        shown: Shown,
    ) -> Result<(String, Columns), Refusal> {
        match body {
            ast::SetExpr::Select(select) => self.select(select, order, scope, shown),
            ast::SetExpr::Query(query) => {
                let (sql, columns) = self.query(query, scope, shown)?;
                let order = self.order(order, scope, &columns)?;
                Ok((format!("SELECT * FROM ({sql}){order}"), columns))
            }
            ast::SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let (left, columns) = self.operand(left, scope, shown)?;
                let (right, others) = self.operand(right, scope, shown)?;
                let op = match op {
                    ast::SetOperator::Union => "UNION",
                    ast::SetOperator::Intersect => "INTERSECT",
                    ast::SetOperator::Except | ast::SetOperator::Minus => "EXCEPT",
                };
                let all = match set_quantifier {
                    ast::SetQuantifier::All if op == "UNION" => " ALL",
                    ast::SetQuantifier::None | ast::SetQuantifier::Distinct => "",
                    _ => return Err(Refusal::unsupported(format!("{op} ALL"))),
                };
                let both = columns.into_iter().zip(others);
                let columns = both.map(|((name, of), (_, other))| (name, if of == Type::UNKNOWN { other } else { of }));
                let columns: Columns = columns.collect();
                let order = self.order(order, scope, &columns)?;
                Ok((format!("{left} {op}{all} {right}{order}"), columns))
            }
            ast::SetExpr::Values(values) => {
                let mut columns: Columns = Vec::new();
                let mut rows = Vec::with_capacity(values.rows.len());
                for row in &values.rows {
                    let row = row.content.iter().map(|expr| self.expression(expr, scope));
                    let row = row.collect::<Result<Vec<_>, _>>()?;
                    if columns.is_empty() {
                        let types = row.iter().enumerate();
                        columns.extend(types.map(|(at, typed)| (format!("column{}", at + 1), typed.of.clone())));
                    }
                    rows.push(format!("({})", list(row.into_iter().map(|typed| typed.sql))));
                }
                Ok((format!("VALUES {}", rows.join(", ")), columns))
            }
            _ => Err(Refusal::unsupported("this form of a query")),
        }
    }

    /// One side of a set operation: SQLite takes no parentheses there.
    fn operand(&self, body: &ast::SetExpr, scope: &Scope<'_>, shown: Shown) -> Result<(String, Columns), Refusal> {
        let (sql, columns) = self.body(body, &[], scope, shown)?;
        Ok(match body {
            ast::SetExpr::Select(_) | ast::SetExpr::Query(_) => (sql, columns),
            _ => (format!("SELECT * FROM ({sql})"), columns),
        })
    }

    fn select(
        &self,
        select: &ast::Select,
        order: &[ast::OrderByExpr],
        outer: &Scope<'_>,
        shown: Shown,
    ) -> Result<(String, Columns), Refusal> {
        let distinct = match &select.distinct {
            None | Some(ast::Distinct::All) => "",
            Some(ast::Distinct::Distinct) => "DISTINCT ",
            Some(ast::Distinct::On(_)) => return Err(Refusal::unsupported("DISTINCT ON")),
        };
        if select.into.is_some() || select.qualify.is_some() || !select.named_window.is_empty() {
            return Err(Refusal::unsupported("INTO, QUALIFY and WINDOW"));
        }
        let mut scope = outer.inside();
        let mut from = Vec::with_capacity(select.from.len());
        for tables in &select.from {
            from.push(self.joined(tables, &mut scope)?);
        }
        let selection =
            select.selection.as_ref().map(|expr| Ok(self.expression(expr, &scope)?.into_type(&Type::BOOL).sql));
        let selection = selection.transpose()?;
        let mut columns: Columns = Vec::new();
        let mut items = Vec::new();
        for item in &select.projection {
            for (name, typed) in self.items(item, &scope)? {
                let typed = if shown == Shown::Yes { typed.shown() } else { typed };
                items.push(format!("{} AS {}", typed.sql, quoted(&name)));
                columns.push((name, typed.of));
            }
        }
        let group = match &select.group_by {
            ast::GroupByExpr::Expressions(by, modifiers) if modifiers.is_empty() => {
                let by = by.iter().map(|expr| match (expr, position(expr, &columns)) {
                    // A name is a column's before it is an answer's.
                    (ast::Expr::Identifier(name), Some(_)) if scope.column(None, &folded(name)).is_some() => {
                        Ok(self.expression(expr, &scope)?.sql)
                    }
                    (_, Some(position)) => Ok(position),
                    (_, None) => Ok(self.expression(expr, &scope)?.sql),
                });
                by.collect::<Result<Vec<_>, Refusal>>()?
            }
            _ => return Err(Refusal::unsupported("GROUP BY ALL, ROLLUP and CUBE")),
        };
        let having = select.having.as_ref().map(|expr| Ok::<_, Refusal>(self.expression(expr, &scope)?.sql));
        let having = having.transpose()?;
        let order = self.order(order, &scope, &columns)?;
        from.extend(scope.sets.borrow().iter().map(|set| set.sql.clone()));
        // A row of no columns is valid in PostgreSQL alone.
        let mut sql = format!("SELECT {distinct}{}", if items.is_empty() { "1".to_owned() } else { items.join(", ") });
        for (word, list) in [(" FROM ", from), (" WHERE ", Vec::from_iter(selection)), (" GROUP BY ", group)] {
            if !list.is_empty() {
                sql.push_str(word);
                sql.push_str(&list.join(", "));
            }
        }
        if let Some(having) = having {
            sql.push_str(&format!(" HAVING {having}"));
        }
        sql.push_str(&order);
        Ok((sql, columns))
    }

    /// What one item of a projection stands for, by name.
    fn items(&self, item: &ast::SelectItem, scope: &Scope<'_>) -> Result<Vec<(String, Typed)>, Refusal> {
        Ok(match item {
            ast::SelectItem::UnnamedExpr(expr) => vec![(expression::name_of(expr), self.expression(expr, scope)?)],
            ast::SelectItem::ExprWithAlias { expr, alias } => vec![(folded(alias), self.expression(expr, scope)?)],
            ast::SelectItem::Wildcard(_) => scope.all(None),
            ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let table = name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
                let all = scope.all(Some(&table));
                if all.is_empty() {
                    return Err(Refusal::new("42P01", format!("nothing here is called `{table}`")));
                }
                all
            }
            _ => return Err(Refusal::unsupported("this form of a column")),
        })
    }

    /// ` ORDER BY …`, with NULLs where PostgreSQL has them.
    fn order(&self, order: &[ast::OrderByExpr], scope: &Scope<'_>, columns: &Columns) -> Result<String, Refusal> {
        let keys = order.iter().map(|key| {
            let sql = match position(&key.expr, columns) {
                Some(position) => position,
                None => self.expression(&key.expr, scope)?.sql,
            };
            let ascending = key.options.asc.unwrap_or(true);
            let nulls_first = key.options.nulls_first.unwrap_or(!ascending);
            let (direction, nulls) =
                (if ascending { "ASC" } else { "DESC" }, if nulls_first { "FIRST" } else { "LAST" });
            Ok(format!("{sql} {direction} NULLS {nulls}"))
        });
        let keys = keys.collect::<Result<Vec<_>, Refusal>>()?;
        Ok(if keys.is_empty() { String::new() } else { format!(" ORDER BY {}", keys.join(", ")) })
    }
}

/// The place of an answer's column that an expression names, by its number or by its name.
fn position(expr: &ast::Expr, columns: &Columns) -> Option<String> {
    match expr {
        ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Number(number, _), .. }) => Some(number.clone()),
        ast::Expr::Identifier(name) => {
            let name = folded(name);
            let at = columns.iter().position(|(column, _)| *column == name)?;
            Some((at + 1).to_string())
        }
        _ => None,
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
