//! Names that DataFusion tells apart.
//!
//! The generator calls the outputs of every SELECT `c1`, `c2`, …, as SQL allows. DataFusion takes such a name in ORDER BY for one
//! of the SELECT list and of the relation below at once, and refuses. So each derived table's outputs get its own name in
//! front: `t1.c1` becomes `t1.t1_c1`. Nothing else of the statement changes.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, SelectItem, SetExpr, Statement, TableFactor, VisitMut, VisitorMut};

/// Renames the outputs of every derived table, and what refers to them.
pub(crate) fn rename(statement: &mut Statement) {
    let _ = statement.visit(&mut Rename);
}

struct Rename;

impl VisitorMut for Rename {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { subquery, alias: Some(alias), .. } = factor {
            outputs(&mut subquery.body, &alias.name.value);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [table, column] = parts.as_mut_slice()
            && is_derived(&table.value)
        {
            column.value = inner_name(&table.value, &column.value);
        }
        ControlFlow::Continue(())
    }
}

fn outputs(body: &mut SetExpr, table: &str) {
    match body {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::ExprWithAlias { alias, .. } = item {
                    alias.value = inner_name(table, &alias.value);
                }
            }
        }
        SetExpr::Query(query) => query_outputs(query, table),
        SetExpr::SetOperation { left, right, .. } => {
            outputs(left, table);
            outputs(right, table);
        }
        _ => {}
    }
}

fn query_outputs(query: &mut Query, table: &str) {
    outputs(&mut query.body, table);
}

fn inner_name(table: &str, column: &str) -> String {
    format!("{table}_{column}")
}

/// Base tables are `b`, and those of a probe `p1`: only derived ones are `t1`, `t2`, …
fn is_derived(table: &str) -> bool {
    table.strip_prefix('t').is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn only_derived_tables_and_what_refers_to_them_change() {
        let sql = r#"SELECT "t1"."c1" AS "c1" FROM (SELECT "b"."t1" AS "c1" FROM "files"."x" AS "b" UNION ALL SELECT 1 AS "c1" FROM "files"."t1" AS "b") AS "t1" WHERE EXISTS (SELECT 1 FROM (SELECT "b"."c1" AS "c1" FROM "files"."y" AS "b") AS "t2" WHERE "t2"."c1" = "t1"."c1") ORDER BY "t1"."c1""#;
        let mut statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        rename(&mut statements[0]);
        let expected = r#"SELECT "t1"."t1_c1" AS "c1" FROM (SELECT "b"."t1" AS "t1_c1" FROM "files"."x" AS "b" UNION ALL SELECT 1 AS "t1_c1" FROM "files"."t1" AS "b") AS "t1" WHERE EXISTS (SELECT 1 FROM (SELECT "b"."c1" AS "t2_c1" FROM "files"."y" AS "b") AS "t2" WHERE "t2"."t2_c1" = "t1"."t1_c1") ORDER BY "t1"."t1_c1""#;
        assert_eq!(statements[0].to_string(), expected);
    }
}
