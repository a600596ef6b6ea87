//! What stays here and why, in an analyst's words: gathered while a plan is carved, for EXPLAIN.
//!
//! It speaks of the user's own query and of what databases can do, never of rows.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;
use datafusion::sql::unparser::Unparser;

/// One thing that could not go to a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The agency over whose rows it is done; `None` where rows of several meet.
    pub agency: Option<String>,
    /// What is done here: `filter upper(name) = 'SMITH'`.
    pub what: String,
    pub why: String,
}

/// An expression as its user wrote it, more or less: no qualifiers, no names that the planner made up.
pub(super) fn written(expr: &Expr) -> String {
    let plain = expr
        .clone()
        .transform(|part| {
            Ok(match part {
                Expr::Column(column) if column.relation.is_some() => {
                    Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
                }
                Expr::Alias(alias) => Transformed::yes(*alias.expr),
                Expr::ScalarSubquery(_) => Transformed::yes(Expr::Column(Column::new_unqualified("subquery"))),
                other => Transformed::no(other),
            })
        })
        .map_or_else(|_| expr.clone(), |plain| plain.data);
    let unparser = Unparser::default().with_pretty(true);
    unparser.expr_to_sql(&plain).map_or_else(|_| plain.human_display().to_string(), |sql| sql.to_string())
}

/// Several expressions, with commas between them.
pub(super) fn listed<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> String {
    exprs.into_iter().map(written).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn expressions_are_shown_without_qualifiers_and_aliases() {
        let expr = col("health.main.patients.name").alias("n").eq(lit("O'Brien"));
        assert_eq!(written(&expr), "\"name\" = 'O''Brien'");
        assert_eq!(listed(&[col("a.x"), lit(5)]), "x, 5");
    }
}
