//! Output rules: some agreements release aggregates only, and none about few persons.
//!
//! In: a plan over released relations. Out: the same plan, in which the aggregate that ends the query also counts the
//! distinct persons behind each group and behind each value; a group of too few persons is left out, a value of too few is
//! NULL, and counts are rounded. What cannot be counted so is refused: an unknown shape releases nothing.
//!
//! The rule follows the usual disclosure control for frequency tables (threshold rule and conventional rounding; Hundepool
//! and others, *Statistical Disclosure Control*, 2012, chapters 4 and 5). It does not stop differencing over many queries:
//! the audit log shows those.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::default_table_source::{provider_as_source, source_as_provider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::functions_aggregate::expr_fn::count_distinct;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, Expr, Filter, Join, JoinType, LogicalPlan, Operator, Projection, SubqueryAlias, TableScan,
    TableScanBuilder, lit, when,
};

use super::ReleasedTable;
use crate::error::Error;
use crate::expression::{cannot_fail, unaliased};
use crate::policy::files::Agreement;

/// Applies the output rules of every released relation in the plan; a plan without any comes back as it is.
///
/// # Errors
/// [`Error::AggregatesOnly`] where the plan would release single rows or values, or has a shape in which persons cannot be
/// counted.
pub(super) fn apply_output_rules(plan: LogicalPlan) -> Result<LogicalPlan, Error> {
    let Some(rule) = Rule::of(&plan)? else { return Ok(plan) };
    let mut persons = 0;
    rule.above(&plan, &Positions::new(), &mut persons)
}

/// Columns of a plan, by where they stand in its schema.
type Positions = BTreeSet<usize>;

fn positions(expr: &Expr, schema: &DFSchema) -> Positions {
    expr.column_refs().into_iter().filter_map(|column| schema.maybe_index_of_column(column)).collect()
}

/// The strictest of the rules that a plan falls under.
struct Rule {
    agreement: String,
    minimum_persons: i64,
    round_to: Option<i64>,
    tables: usize,
}

impl Rule {
    fn of(plan: &LogicalPlan) -> Result<Option<Self>, Error> {
        let mut strictest: Option<Self> = None;
        plan.apply_with_subqueries(|node| {
            if let Some(agreement) = agreement_of(node)
                && let Some(output) = agreement.output.as_ref().filter(|output| output.aggregate_only)
            {
                let minimum_persons = i64::from(output.minimum_persons.persons());
                let round_to = output.round_to.map(i64::from);
                let rule = strictest.get_or_insert_with(|| Self {
                    agreement: agreement.id.clone(),
                    minimum_persons,
                    round_to,
                    tables: 0,
                });
                rule.minimum_persons = rule.minimum_persons.max(minimum_persons);
                rule.round_to = rule.round_to.max(round_to);
                rule.tables += 1;
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(|error| Error::Plan { message: error.strip_backtrace() })?;
        Ok(strictest)
    }

    fn refuse(&self, why: impl Into<String>) -> Error {
        Error::AggregatesOnly { agreement: self.agreement.clone(), why: why.into() }
    }

    fn failed(error: &DataFusionError) -> Error {
        Error::Plan { message: error.strip_backtrace() }
    }

    /// What stands between the answer and its aggregate: only operations on whole groups.
    ///
    /// `tested` are the plan's columns that conditions above it speak of. An optimizer writes a condition on a computed
    /// column in terms of the columns below, and evaluates it beside our own filter, on groups that are withheld, or even on
    /// single rows.
    fn above(&self, plan: &LogicalPlan, tested: &Positions, persons: &mut usize) -> Result<LogicalPlan, Error> {
        let rebuilt =
            |input: LogicalPlan| plan.with_new_exprs(plan.expressions(), vec![input]).map_err(|e| Self::failed(&e));
        match plan {
            LogicalPlan::Projection(projection) => {
                let mut below = Positions::new();
                for expr in tested.iter().filter_map(|position| projection.expr.get(*position)) {
                    self.check_cannot_fail(expr, projection.input.schema())?;
                    below.extend(positions(expr, projection.input.schema()));
                }
                rebuilt(self.above(&projection.input, &below, persons)?)
            }
            LogicalPlan::Filter(filter) => {
                self.check_cannot_fail(&filter.predicate, filter.input.schema())?;
                let tested = tested.union(&positions(&filter.predicate, filter.input.schema())).copied().collect();
                rebuilt(self.above(&filter.input, &tested, persons)?)
            }
            LogicalPlan::Sort(sort) => rebuilt(self.above(&sort.input, tested, persons)?),
            LogicalPlan::Limit(limit) => rebuilt(self.above(&limit.input, tested, persons)?),
            LogicalPlan::SubqueryAlias(alias) => rebuilt(self.above(&alias.input, tested, persons)?),
            LogicalPlan::Aggregate(aggregate) => {
                let released = self.aggregate(aggregate, persons)?;
                if *persons != self.tables {
                    return Err(self.refuse("a subquery beside the grouping would read single rows"));
                }
                Ok(released)
            }
            _ => Err(self.refuse("the answer must be one grouping, such as SELECT team, count(*) … GROUP BY team")),
        }
    }

    /// The aggregate itself, with the persons behind each group and each value counted and too few withheld.
    fn aggregate(&self, aggregate: &Aggregate, persons: &mut usize) -> Result<LogicalPlan, Error> {
        let (input, keys) = self.below(&aggregate.input, persons)?;
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return Err(self.refuse("ROLLUP, CUBE and GROUPING SETS are not released"));
        }
        for group in &aggregate.group_expr {
            self.check_cannot_fail(group, aggregate.input.schema())?;
        }
        let mut calls = aggregate.aggr_expr.clone();
        let add = |calls: &mut Vec<Expr>, expr: Expr, name: String| {
            calls.push(expr.alias(&name));
            Expr::Column(Column::new_unqualified(name))
        };
        let in_group: Vec<Expr> = keys
            .iter()
            .enumerate()
            .map(|(number, key)| add(&mut calls, count_distinct(key.clone()), format!("persons in group {number}")))
            .collect();
        let mut behind_values = Vec::with_capacity(aggregate.aggr_expr.len());
        for (position, call) in aggregate.aggr_expr.iter().enumerate() {
            let argument = self.released_argument(call, aggregate.input.schema())?;
            let mut behind = Vec::new();
            if let Some(argument) = argument {
                for (number, key) in keys.iter().enumerate() {
                    let with_value =
                        when(argument.clone().is_not_null(), key.clone()).end().map_err(|e| Self::failed(&e))?;
                    let name = format!("persons behind value {position} {number}");
                    behind.push(add(&mut calls, count_distinct(with_value), name));
                }
            }
            behind_values.push(behind);
        }
        let counted =
            Aggregate::try_new(Arc::new(input), aggregate.group_expr.clone(), calls).map_err(|e| Self::failed(&e))?;
        let enough = |counts: &[Expr]| {
            counts
                .iter()
                .map(|count| count.clone().gt_eq(lit(self.minimum_persons)))
                .reduce(Expr::and)
                .unwrap_or(lit(false))
        };
        let filtered = Filter::try_new(enough(&in_group), Arc::new(LogicalPlan::Aggregate(counted)))
            .map_err(|e| Self::failed(&e))?;
        let groups = aggregate.group_expr.len();
        let outputs = aggregate
            .schema
            .iter()
            .enumerate()
            .map(|(position, (qualifier, field))| {
                let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
                let Some(behind) = position.checked_sub(groups).and_then(|call| behind_values.get(call)) else {
                    return Ok(column);
                };
                let value = match field.data_type() {
                    DataType::Int64 if is_count(aggregate.aggr_expr.get(position - groups)) => self.rounded(column),
                    _ => column,
                };
                let value = if behind.is_empty() { value } else { when(enough(behind), value).end()? };
                Ok(value.alias_qualified(qualifier.cloned(), field.name()))
            })
            .collect::<Result<Vec<_>, DataFusionError>>()
            .map_err(|e| Self::failed(&e))?;
        let projection =
            Projection::try_new(outputs, Arc::new(LogicalPlan::Filter(filtered))).map_err(|e| Self::failed(&e))?;
        Ok(LogicalPlan::Projection(projection))
    }

    /// The argument whose persons must be counted, for a call whose value is safe over a large enough group.
    fn released_argument(&self, call: &Expr, schema: &DFSchema) -> Result<Option<Expr>, Error> {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = unaliased(call) else {
            return Err(self.refuse("only plain aggregate calls are released"));
        };
        if !matches!(func.name(), "count" | "sum" | "avg" | "stddev" | "stddev_pop" | "var" | "var_pop") {
            return Err(self.refuse(format!("`{}` would release the value of a single row", func.name())));
        }
        if params.filter.is_some() || !params.order_by.is_empty() {
            return Err(self.refuse("FILTER and ORDER BY inside an aggregate could pick out single rows"));
        }
        match params.args.as_slice() {
            // count(1) is a number of rows; sum(1) would be one that is not rounded.
            [Expr::Literal(..)] if func.name() == "count" => Ok(None),
            [argument @ Expr::Column(_)] => Ok(Some(argument.clone())),
            // The analyzer widens a column to the type that the sum is made in.
            [argument @ Expr::Cast(cast)]
                if matches!(cast.expr.as_ref(), Expr::Column(_)) && cannot_fail(argument, schema) =>
            {
                Ok(Some(argument.clone()))
            }
            _ => Err(self.refuse("an aggregate over an expression could pick out single rows: aggregate a column")),
        }
    }

    /// An expression that some row could make fail tells of that row by failing.
    fn check_cannot_fail(&self, expr: &Expr, schema: &DFSchema) -> Result<(), Error> {
        if cannot_fail(expr, schema) {
            Ok(())
        } else {
            Err(self.refuse(format!("`{expr}` could fail on a single row, and its failure would tell of that row")))
        }
    }

    fn rounded(&self, count: Expr) -> Expr {
        match self.round_to {
            None => count,
            Some(unit) => ((count + lit(unit / 2)) / lit(unit)) * lit(unit),
        }
    }

    /// What is aggregated: rows in which every governed relation's person travels along.
    fn below(&self, plan: &LogicalPlan, persons: &mut usize) -> Result<(LogicalPlan, Vec<Expr>), Error> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(plan, scan, persons),
            LogicalPlan::SubqueryAlias(alias) => {
                let (input, keys) = self.below(&alias.input, persons)?;
                let keys = keys
                    .into_iter()
                    .map(|key| match key {
                        Expr::Column(column) => Expr::Column(Column::new(Some(alias.alias.clone()), column.name)),
                        other => other,
                    })
                    .collect();
                let aliased =
                    SubqueryAlias::try_new(Arc::new(input), alias.alias.clone()).map_err(|e| Self::failed(&e))?;
                Ok((LogicalPlan::SubqueryAlias(aliased), keys))
            }
            LogicalPlan::Projection(projection) => {
                if !projection.expr.iter().all(|expr| matches!(unaliased(expr), Expr::Column(_))) {
                    return Err(
                        self.refuse("a value computed below the grouping could pick out single rows: group columns")
                    );
                }
                let (input, keys) = self.below(&projection.input, persons)?;
                let exprs = projection.expr.iter().cloned().chain(keys.iter().cloned()).collect();
                let projected = Projection::try_new(exprs, Arc::new(input)).map_err(|e| Self::failed(&e))?;
                Ok((LogicalPlan::Projection(projected), keys))
            }
            LogicalPlan::Filter(filter) => {
                self.check_cannot_fail(&filter.predicate, filter.input.schema())?;
                let (input, keys) = self.below(&filter.input, persons)?;
                let filtered =
                    Filter::try_new(filter.predicate.clone(), Arc::new(input)).map_err(|e| Self::failed(&e))?;
                Ok((LogicalPlan::Filter(filtered), keys))
            }
            LogicalPlan::Join(join) if matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::Right) => {
                let on_columns =
                    |(left, right): (&Expr, &Expr)| matches!((left, right), (Expr::Column(_), Expr::Column(_)));
                let equal_columns = |expr: &Expr| match expr {
                    Expr::BinaryExpr(binary) => binary.op == Operator::Eq && on_columns((&binary.left, &binary.right)),
                    _ => false,
                };
                let plain = join.on.iter().all(|(left, right)| on_columns((left, right)))
                    && join.filter.iter().flat_map(split_conjunction).all(equal_columns)
                    && !(join.on.is_empty() && join.filter.is_none());
                if !plain {
                    return Err(self.refuse("a join must equate columns: another condition could weigh single rows"));
                }
                let (left, mut keys) = self.below(&join.left, persons)?;
                let (right, right_keys) = self.below(&join.right, persons)?;
                if keys.is_empty() || right_keys.is_empty() {
                    return Err(self.refuse("a join with rows that are not governed alike could weigh single rows"));
                }
                keys.extend(right_keys);
                let joined = Join::try_new(
                    Arc::new(left),
                    Arc::new(right),
                    join.on.clone(),
                    join.filter.clone(),
                    join.join_type,
                    join.join_constraint,
                    join.null_equality,
                    join.null_aware,
                )
                .map_err(|e| Self::failed(&e))?;
                Ok((LogicalPlan::Join(joined), keys))
            }
            other => {
                if Self::of(other)?.is_some() {
                    return Err(self.refuse("below the grouping only joins, filters and projections can be counted"));
                }
                Ok((other.clone(), Vec::new()))
            }
        }
    }

    fn scan(
        &self,
        plan: &LogicalPlan,
        scan: &TableScan,
        persons: &mut usize,
    ) -> Result<(LogicalPlan, Vec<Expr>), Error> {
        let provider = source_as_provider(&scan.source).map_err(|e| Self::failed(&e))?;
        let Some(table) = provider.downcast_ref::<ReleasedTable>() else { return Ok((plan.clone(), Vec::new())) };
        if table.agreement.output.as_ref().is_none_or(|output| !output.aggregate_only) {
            return Ok((plan.clone(), Vec::new()));
        }
        // No user's SQL can mean this column: it comes to be after every name has been resolved.
        let name = format!("person behind governed relation {}", *persons);
        let Some(with_person) = table.with_person(&name) else {
            return Err(self.refuse(format!("`{}` has no subject column by which persons are counted", table.name)));
        };
        *persons += 1;
        let source = provider_as_source(Arc::new(with_person));
        let projection = scan.projection.clone().map(|mut columns| {
            columns.push(table.columns.len());
            columns
        });
        let scanned = TableScanBuilder::new(scan.table_name.clone(), source)
            .with_projection(projection)
            .with_filters(scan.filters.clone())
            .with_fetch(scan.fetch)
            .build()
            .map_err(|e| Self::failed(&e))?;
        let key = Expr::Column(Column::new(Some(scan.table_name.clone()), name));
        Ok((LogicalPlan::TableScan(scanned), vec![key]))
    }
}

fn agreement_of(plan: &LogicalPlan) -> Option<Arc<Agreement>> {
    let LogicalPlan::TableScan(scan) = plan else { return None };
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<ReleasedTable>().map(|table| Arc::clone(&table.agreement))
}

fn is_count(call: Option<&Expr>) -> bool {
    matches!(call.map(unaliased), Some(Expr::AggregateFunction(AggregateFunction { func, .. })) if func.name() == "count")
}
