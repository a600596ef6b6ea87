//! Every way of making a query a little smaller.
//!
//! In: a query. Out: queries with one clause, output, join, operand or literal less. They need not be valid: whoever tries
//! them sees.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, GroupByExpr, Join, JoinConstraint, JoinOperator, LimitClause, OrderByKind, Query, Select,
    SelectItem, SetExpr, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::judge::parse;

pub fn reductions(query: &Query) -> Vec<Query> {
    let mut found = Vec::new();
    for target in 0.. {
        let mut smaller = query.clone();
        let mut nth = Nth { target, seen: 0, applied: false };
        let _ = VisitMut::visit(&mut smaller, &mut nth);
        if !nth.applied {
            return found;
        }
        // Parsed again, since an operand without its parentheses may bind in another way.
        if let Ok(smaller) = parse(&smaller.to_string())
            && smaller != *query
        {
            found.push(smaller);
        }
    }
    found
}

/// Applies one reduction, by its number.
struct Nth {
    target: usize,
    seen: usize,
    applied: bool,
}

impl Nth {
    fn try_each<T>(&mut self, node: &mut T, smaller: Vec<T>) -> ControlFlow<()> {
        let count = smaller.len();
        if let Some(chosen) = smaller.into_iter().nth(self.target.wrapping_sub(self.seen)) {
            *node = chosen;
            self.applied = true;
            return ControlFlow::Break(());
        }
        self.seen += count;
        ControlFlow::Continue(())
    }
}

impl VisitorMut for Nth {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let smaller = smaller_queries(query);
        self.try_each(query, smaller)
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let smaller = smaller_selects(select);
        self.try_each(select, smaller)
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let smaller = smaller_exprs(expr);
        self.try_each(expr, smaller)
    }
}

fn smaller_queries(query: &Query) -> Vec<Query> {
    let mut smaller = Vec::new();
    let mut push = |change: &dyn Fn(&mut Query)| {
        let mut changed = query.clone();
        change(&mut changed);
        smaller.push(changed);
    };
    if let SetExpr::SetOperation { left, right, .. } = query.body.as_ref() {
        push(&|query| query.body = left.clone());
        push(&|query| query.body = right.clone());
    }
    if let SetExpr::Query(inner) = query.body.as_ref() {
        push(&|query| *query = inner.as_ref().clone());
    }
    if let SetExpr::Select(select) = query.body.as_ref() {
        for table in &select.from {
            for factor in std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)) {
                if let TableFactor::Derived { subquery, .. } = factor {
                    push(&|query| *query = subquery.as_ref().clone());
                }
            }
        }
    }
    if let Some(with) = &query.with {
        push(&|query| query.with = None);
        for table in &with.cte_tables {
            push(&|query| *query = table.query.as_ref().clone());
        }
    }
    if query.limit_clause.is_some() {
        push(&|query| {
            query.limit_clause = None;
            query.order_by = None;
        });
        push(&|query| query.limit_clause = None);
        push(&|query| {
            if let Some(LimitClause::LimitOffset { offset, .. }) = &mut query.limit_clause {
                *offset = None;
            }
        });
    } else if query.order_by.is_some() {
        push(&|query| query.order_by = None);
    }
    if let Some(order) = &query.order_by
        && let OrderByKind::Expressions(keys) = &order.kind
        && keys.len() > 1
    {
        for position in 0..keys.len() {
            push(&|query| {
                if let Some(order) = &mut query.order_by
                    && let OrderByKind::Expressions(keys) = &mut order.kind
                {
                    keys.remove(position);
                }
            });
        }
    }
    // An output, on every side of a set operation, with its place in the order.
    let count = output_count(&query.body);
    if count > 1 {
        for position in 0..count {
            push(&|query| {
                let mut name = None;
                remove_output(&mut query.body, position, &mut name);
                if let (Some(order), Some(name)) = (&mut query.order_by, name)
                    && let OrderByKind::Expressions(keys) = &mut order.kind
                {
                    keys.retain(|key| key.expr.to_string() != name);
                    if keys.is_empty() {
                        query.order_by = None;
                    }
                }
            });
        }
    }
    smaller
}

fn output_count(body: &SetExpr) -> usize {
    match body {
        SetExpr::Select(select) => select.projection.len(),
        SetExpr::SetOperation { left, .. } => output_count(left),
        _ => 0,
    }
}

fn remove_output(body: &mut SetExpr, position: usize, name: &mut Option<String>) {
    match body {
        SetExpr::Select(select) if position < select.projection.len() => {
            if let SelectItem::ExprWithAlias { alias, .. } = select.projection.remove(position) {
                name.get_or_insert(alias.to_string());
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            remove_output(left, position, name);
            remove_output(right, position, name);
        }
        _ => {}
    }
}

fn smaller_selects(select: &Select) -> Vec<Select> {
    let mut smaller = Vec::new();
    let mut push = |change: &dyn Fn(&mut Select)| {
        let mut changed = select.clone();
        change(&mut changed);
        smaller.push(changed);
    };
    if select.distinct.is_some() {
        push(&|select| select.distinct = None);
    }
    if select.selection.is_some() {
        push(&|select| select.selection = None);
    }
    if select.having.is_some() {
        push(&|select| select.having = None);
    }
    for (position, table) in select.from.iter().enumerate() {
        for join in 0..table.joins.len() {
            push(&|select| {
                select.from[position].joins.remove(join);
            });
            push(&|select| {
                let joined = select.from[position].joins.remove(join);
                select.from[position].relation = joined.relation;
            });
            if let Some(constraint) = constraint(&table.joins[join]) {
                push(&|select| {
                    select.from[position].joins[join].join_operator = JoinOperator::Join(constraint.clone())
                });
            }
        }
    }
    if let GroupByExpr::Expressions(exprs, _) = &select.group_by
        && !exprs.is_empty()
    {
        push(&|select| select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new()));
        for position in 0..exprs.len() {
            push(&|select| {
                if let GroupByExpr::Expressions(exprs, _) = &mut select.group_by {
                    exprs.remove(position);
                }
            });
            if let Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) = &exprs[position] {
                let plain: Vec<Expr> = sets.iter().flatten().cloned().collect();
                push(&|select| select.group_by = GroupByExpr::Expressions(plain.clone(), Vec::new()));
            }
        }
    }
    smaller
}

/// The condition of an outer join.
fn constraint(join: &Join) -> Option<JoinConstraint> {
    match &join.join_operator {
        JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => Some(constraint.clone()),
        _ => None,
    }
}

fn smaller_exprs(expr: &Expr) -> Vec<Expr> {
    let mut smaller = operands(expr);
    let mut push = |changed: Expr| smaller.push(changed);
    match expr {
        Expr::Function(function) => {
            if function.filter.is_some() {
                let mut changed = function.clone();
                changed.filter = None;
                push(Expr::Function(changed));
            }
            if function.over.is_some() {
                let mut changed = function.clone();
                changed.over = None;
                push(Expr::Function(changed));
            }
            if let FunctionArguments::List(list) = &function.args {
                if list.duplicate_treatment.is_some() {
                    let mut changed = list.clone();
                    changed.duplicate_treatment = None;
                    push(Expr::Function(datafusion::sql::sqlparser::ast::Function {
                        args: FunctionArguments::List(changed),
                        ..function.clone()
                    }));
                }
                if list.args.len() > 1 {
                    for position in 0..list.args.len() {
                        let mut changed = list.clone();
                        changed.args.remove(position);
                        push(Expr::Function(datafusion::sql::sqlparser::ast::Function {
                            args: FunctionArguments::List(changed),
                            ..function.clone()
                        }));
                    }
                }
            }
        }
        Expr::Case { conditions, else_result, .. } => {
            if else_result.is_some() {
                let mut changed = expr.clone();
                if let Expr::Case { else_result, .. } = &mut changed {
                    *else_result = None;
                }
                push(changed);
            }
            if conditions.len() > 1 {
                for position in 0..conditions.len() {
                    let mut changed = expr.clone();
                    if let Expr::Case { conditions, .. } = &mut changed {
                        conditions.remove(position);
                    }
                    push(changed);
                }
            }
        }
        Expr::InList { list, .. } if list.len() > 1 => {
            for position in 0..list.len() {
                let mut changed = expr.clone();
                if let Expr::InList { list, .. } = &mut changed {
                    list.remove(position);
                }
                push(changed);
            }
        }
        Expr::Value(value) => {
            let texts: Vec<Value> = match &value.value {
                Value::Number(digits, long) if !["0", "1"].contains(&digits.as_str()) => {
                    vec![Value::Number("1".to_owned(), *long)]
                }
                Value::SingleQuotedString(text) => (0..text.chars().count())
                    .map(|skipped| {
                        let kept = text.chars().enumerate().filter(|(place, _)| *place != skipped);
                        Value::SingleQuotedString(kept.map(|(_, character)| character).collect())
                    })
                    .collect(),
                _ => Vec::new(),
            };
            for text in texts {
                let mut changed = value.clone();
                changed.value = text;
                push(Expr::Value(changed));
            }
        }
        _ => {}
    }
    smaller
}

/// The expressions directly below one, leaving subqueries alone.
fn operands(expr: &Expr) -> Vec<Expr> {
    struct Children {
        depth: usize,
        queries: usize,
        found: Vec<Expr>,
    }
    impl Visitor for Children {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.queries += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.queries -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if self.depth == 1 && self.queries == 0 {
                self.found.push(expr.clone());
            }
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
    }
    let mut children = Children { depth: 0, queries: 0, found: Vec::new() };
    let _ = Visit::visit(expr, &mut children);
    children.found
}

#[test]
fn each_reduction_is_another_query() {
    let query = parse("SELECT a + 1 AS o0, upper(b) AS o1 FROM t JOIN u ON t.x = u.x WHERE a > 2 AND NOT b IS NULL ORDER BY o0, o1 LIMIT 3").unwrap();
    let texts: Vec<String> = reductions(&query).iter().map(ToString::to_string).collect();
    for expected in [
        "SELECT a + 1 AS o0 FROM t JOIN u ON t.x = u.x WHERE a > 2 AND NOT b IS NULL ORDER BY o0 LIMIT 3",
        "SELECT a + 1 AS o0, upper(b) AS o1 FROM t WHERE a > 2 AND NOT b IS NULL ORDER BY o0, o1 LIMIT 3",
        "SELECT a + 1 AS o0, upper(b) AS o1 FROM t JOIN u ON t.x = u.x WHERE a > 2 ORDER BY o0, o1 LIMIT 3",
        "SELECT a AS o0, upper(b) AS o1 FROM t JOIN u ON t.x = u.x WHERE a > 2 AND NOT b IS NULL ORDER BY o0, o1 LIMIT 3",
        "SELECT a + 1 AS o0, upper(b) AS o1 FROM t JOIN u ON t.x = u.x WHERE a > 2 AND NOT b IS NULL",
    ] {
        assert!(texts.iter().any(|text| text == expected), "{expected} is not among\n{}", texts.join("\n"));
    }
    assert!(!texts.contains(&query.to_string()));
}
