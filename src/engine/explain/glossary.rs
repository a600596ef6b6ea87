//! What the names in an optimized plan mean: which of them the query's author wrote, and what the others stand for.
//!
//! An optimizer names what it makes (`__common_expr_3`, `alias1`, `count(Int64(1))`), and counts those names across
//! queries. Where such a name turns up, EXPLAIN shows what it stands for.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, DataFusionError, JoinType};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::expression::unaliased;

/// What the author of a query wrote into it: read off the plan before anything has worked on it.
#[derive(Debug, Default)]
struct Written {
    aliases: BTreeSet<String>,
    /// Types that values are cast to.
    casts: BTreeSet<String>,
    tables: usize,
}

impl Written {
    fn of(plan: &LogicalPlan) -> Result<Self, DataFusionError> {
        let mut written = Self::default();
        plan.apply_with_subqueries(|node| {
            written.tables += usize::from(matches!(node, LogicalPlan::TableScan(_)));
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    match part {
                        Expr::Alias(alias) if !alias.name.contains('(') => {
                            written.aliases.insert(alias.name.clone());
                        }
                        Expr::Cast(cast) => {
                            written.casts.insert(cast.field.data_type().to_string());
                        }
                        _ => {}
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(written)
    }
}

/// What a made-up name stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    Expr(Expr),
    /// Whether another relation has a matching row.
    Match,
}

/// The names of one plan.
#[derive(Debug, Default)]
pub(super) struct Glossary {
    written: Written,
    meanings: BTreeMap<(Option<String>, String), Meaning>,
}

impl Glossary {
    /// `raw` is the plan as it was written, `stages` what it became; the earlier a stage, the nearer its meanings are to what
    /// the author wrote.
    pub fn of(raw: &LogicalPlan, stages: [&LogicalPlan; 2]) -> Self {
        // Names that cannot be explained are shown as they are: no reason to refuse a plan.
        let mut glossary = Self { written: Written::of(raw).unwrap_or_default(), meanings: BTreeMap::new() };
        for stage in stages {
            let _ = glossary.read(stage);
        }
        glossary
    }

    /// What a column of the plan stands for, where its name is not the author's.
    pub fn meaning(&self, column: &Column) -> Option<&Meaning> {
        self.meanings.get(&key(column))
    }

    /// What a name stands for in any relation.
    pub fn meaning_of_name(&self, name: &str) -> Option<&Meaning> {
        self.meanings.iter().find(|((_, known), _)| known == name).map(|(_, meaning)| meaning)
    }

    fn meaning_of(&self, expr: &Expr) -> Option<&Meaning> {
        match expr {
            Expr::Column(column) => self.meaning(column),
            _ => None,
        }
    }

    /// Whether the query reads one table only, so that its columns need no table before them.
    pub fn single_table(&self) -> bool {
        self.written.tables <= 1
    }

    /// Whether the author cast something to this type: other casts are the planner's.
    pub fn casts_to(&self, data_type: &DataType) -> bool {
        self.written.casts.contains(&data_type.to_string())
    }

    /// Whether a name is one that a person writes or a table has.
    pub fn is_plain(&self, name: &str) -> bool {
        self.written.aliases.contains(name) || (is_identifier(name) && !is_made_up(name))
    }

    fn read(&mut self, plan: &LogicalPlan) -> Result<(), DataFusionError> {
        for input in plan.inputs() {
            self.read(input)?;
        }
        plan.apply_subqueries(|subquery| {
            self.read(subquery)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        match plan {
            LogicalPlan::Projection(projection) => self.define_all(&projection.schema, 0, projection.expr.iter()),
            LogicalPlan::Aggregate(aggregate) => {
                let groups: Vec<&Expr> = match aggregate.group_expr.as_slice() {
                    [Expr::GroupingSet(sets)] => sets.distinct_expr(),
                    groups => groups.iter().collect(),
                };
                self.define_all(&aggregate.schema, 0, groups.into_iter());
                let calls = aggregate.schema.fields().len().saturating_sub(aggregate.aggr_expr.len());
                self.define_all(&aggregate.schema, calls, aggregate.aggr_expr.iter());
            }
            LogicalPlan::Window(window) => {
                let first = window.schema.fields().len().saturating_sub(window.window_expr.len());
                self.define_all(&window.schema, first, window.window_expr.iter());
            }
            LogicalPlan::SubqueryAlias(alias) if is_made_up(alias.alias.table()) => {
                let inner: Vec<Column> = alias.input.schema().columns();
                for (outer, inner) in alias.schema.columns().iter().zip(inner) {
                    self.define(outer, &Expr::Column(inner));
                }
            }
            LogicalPlan::Join(join) => {
                if matches!(join.join_type, JoinType::LeftMark | JoinType::RightMark)
                    && let Some(mark) = join.schema.columns().last()
                {
                    self.meanings.entry(key(mark)).or_insert(Meaning::Match);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn define_all<'e>(&mut self, schema: &DFSchemaRef, first: usize, exprs: impl Iterator<Item = &'e Expr>) {
        for (column, expr) in schema.columns().iter().skip(first).zip(exprs) {
            self.define(column, expr);
        }
    }

    fn define(&mut self, column: &Column, expr: &Expr) {
        let expr = unaliased(expr);
        let made_up_table = column.relation.as_ref().is_some_and(|relation| is_made_up(relation.table()));
        let same = matches!(expr, Expr::Column(inner) if inner == column);
        if same || (self.is_plain(&column.name) && !made_up_table) {
            return;
        }
        let expr = distinct_again(column, expr, self.meaning_of(expr));
        // The innermost meaning counts: further out the same name may stand for a value of the same kind, made from it.
        self.meanings.entry(key(column)).or_insert(Meaning::Expr(expr));
    }
}

/// `count(DISTINCT x)` is made by a grouping by x and a plain count above it, under the old name.
fn distinct_again(column: &Column, expr: &Expr, meaning: Option<&Meaning>) -> Expr {
    match meaning {
        Some(Meaning::Expr(Expr::AggregateFunction(call))) if column.name.contains("(DISTINCT ") => {
            let mut call = call.clone();
            call.params.distinct = true;
            Expr::AggregateFunction(call)
        }
        _ => expr.clone(),
    }
}

fn key(column: &Column) -> (Option<String>, String) {
    (column.relation.as_ref().map(ToString::to_string), column.name.clone())
}

/// Whether the planner, and not a person, has made a name.
pub(super) fn is_made_up(name: &str) -> bool {
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()))
    };
    name.starts_with("__") || numbered("alias") || numbered("group_alias_") || name.starts_with("register ")
}

pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_planner_are_told_from_those_of_people() {
        for name in ["__common_expr_12", "__correlated_sq_1", "alias1", "group_alias_0", "register 0"] {
            assert!(is_made_up(name), "{name}");
        }
        for name in ["alias", "aliases", "alias_1", "group_alias_x", "name", "registered"] {
            assert!(!is_made_up(name), "{name}");
        }
    }

    #[test]
    fn identifiers_need_no_quotes() {
        assert!(is_identifier("nhs_number") && is_identifier("_x1"));
        assert!(!is_identifier("Name") && !is_identifier("1x") && !is_identifier("a b") && !is_identifier(""));
    }
}
