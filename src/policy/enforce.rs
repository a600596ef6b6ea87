//! The plan that policy has built: the only kind that the federation stage accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::execution::SessionState;
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use wayleave_connector_api::{Scan, ScanReason, TableName, render_policy_conjuncts};

use super::output::apply_output_rules;
use super::{PassedOver, ReleasedTable};
use crate::error::Error;
use crate::policy::files::Agreement;

/// A logical plan whose every leaf is a released relation, a constant, or the session's own listing of what it may see.
///
/// INVARIANT: only this module builds one, and each optimizer pass over it is checked again.
#[derive(Debug)]
pub struct EnforcedPlan {
    plan: LogicalPlan,
    leaves: Vec<Leaf>,
}

/// One scan of a released relation.
#[derive(Debug)]
struct Leaf {
    provider: Arc<dyn TableProvider>,
    /// Names of the columns that the plan reads.
    columns: BTreeSet<String>,
}

/// What must stand in the SQL that an agency receives, for one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obligation {
    pub agency: String,
    pub table: TableName,
    /// SQL conjuncts of the scan's own WHERE, in the agency's dialect.
    pub conjuncts: Vec<String>,
    /// Expressions in which policy looks into registers to compute released values; they may stand anywhere over the scan.
    pub guards: Vec<String>,
}

impl EnforcedPlan {
    /// Accepts a plan of the session's own catalog, and applies the output rules of its agreements.
    ///
    /// # Errors
    /// [`Error::NotAQuery`] for whatever is no query; [`Error::Plan`] for a leaf that is not released;
    /// [`Error::AggregatesOnly`] where an agreement releases aggregates only and the query asks for more.
    pub fn build(plan: LogicalPlan) -> Result<Self, Error> {
        released_leaves(&plan)?;
        Self::of_released(apply_output_rules(plan)?)
    }

    fn of_released(plan: LogicalPlan) -> Result<Self, Error> {
        let leaves = released_leaves(&plan)?;
        Ok(Self { plan, leaves })
    }

    /// Runs DataFusion's whole optimizer, and checks that what comes out is still made of released relations only.
    ///
    /// # Errors
    /// [`Error::Plan`] where a rule fails or the result is not of released relations.
    pub fn optimize(self, planner: &SessionState) -> Result<Self, Error> {
        let plan = planner.optimize(&self.plan).map_err(|error| Error::Plan { message: error.strip_backtrace() })?;
        Self::of_released(plan)
    }

    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// The released relations that the plan reads.
    pub fn released(&self) -> impl Iterator<Item = &ReleasedTable> {
        self.leaves.iter().filter_map(|leaf| leaf.provider.downcast_ref::<ReleasedTable>())
    }

    /// What is withheld from this plan, each thing once.
    pub fn notices(&self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for leaf in &self.leaves {
            let Some(table) = leaf.provider.downcast_ref::<ReleasedTable>() else { continue };
            for notice in &table.notices {
                let concerns = notice.column.as_ref().is_none_or(|column| leaf.columns.contains(column));
                if concerns && !texts.contains(&notice.text) {
                    texts.push(notice.text.clone());
                }
            }
        }
        texts
    }

    /// The agreements that the plan answers to, by id.
    pub fn agreements(&self) -> BTreeMap<String, Arc<Agreement>> {
        self.released().map(|table| (table.agreement.id.clone(), Arc::clone(&table.agreement))).collect()
    }

    /// The agreements whose consent is passed over, by id, and why.
    pub fn passed_over(&self) -> BTreeMap<String, PassedOver> {
        self.released().filter_map(|table| Some((table.agreement.id.clone(), table.passed_over.clone()?))).collect()
    }

    /// What the SQL of every source must carry, computed from policy alone and not from the generated query.
    pub fn obligations(&self) -> Vec<Obligation> {
        let mut obligations = Vec::new();
        for table in self.released() {
            let scan = Scan {
                table: table.name.table_name(),
                columns: table.base.clone(),
                outputs: Vec::new(),
                policy: table.policy.clone(),
                lookups: Vec::new(),
                keys: None,
                reason: ScanReason::Released { agreement: table.agreement.id.clone() },
            };
            let guarding = Scan { policy: table.guards.clone(), ..scan.clone() };
            obligations.push(Obligation {
                agency: table.agency.name.clone(),
                table: scan.table.clone(),
                conjuncts: render_policy_conjuncts(table.agency.dialect(), &scan),
                guards: render_policy_conjuncts(table.agency.dialect(), &guarding),
            });
            for set in table.elsewhere.iter().flat_map(|check| &check.sets) {
                obligations.push(Obligation {
                    agency: set.agency.name.clone(),
                    table: set.scan.table.clone(),
                    conjuncts: render_policy_conjuncts(set.agency.dialect(), &set.scan),
                    guards: Vec::new(),
                });
            }
        }
        obligations
    }
}

fn released_leaves(plan: &LogicalPlan) -> Result<Vec<Leaf>, Error> {
    let mut leaves = Vec::new();
    let mut refusal = None;
    let walked = plan.apply_with_subqueries(|node| match check_node(node, &mut leaves) {
        Ok(()) => Ok(TreeNodeRecursion::Continue),
        Err(error) => {
            refusal = Some(error);
            Ok(TreeNodeRecursion::Stop)
        }
    });
    if let Some(error) = refusal {
        return Err(error);
    }
    walked.map_err(|error| Error::Plan { message: error.strip_backtrace() })?;
    Ok(leaves)
}

fn check_node(node: &LogicalPlan, leaves: &mut Vec<Leaf>) -> Result<(), Error> {
    let not_a_query = |statement: &str| Err(Error::NotAQuery { statement: statement.to_owned() });
    match node {
        LogicalPlan::TableScan(scan) => check_leaf(scan, leaves),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => Ok(()),
        LogicalPlan::Statement(_) => not_a_query("this statement"),
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => not_a_query("EXPLAIN inside a query"),
        LogicalPlan::Extension(_) => not_a_query("an unknown operation"),
        LogicalPlan::Dml(_) => not_a_query("INSERT, UPDATE or DELETE"),
        LogicalPlan::Ddl(_) => not_a_query("CREATE or DROP"),
        LogicalPlan::Copy(_) => not_a_query("COPY"),
        LogicalPlan::DescribeTable(_) => not_a_query("DESCRIBE"),
    }
}

fn check_leaf(scan: &TableScan, leaves: &mut Vec<Leaf>) -> Result<(), Error> {
    let unreleased = || Error::Plan { message: format!("`{}` is not a released relation", scan.table_name) };
    let provider = source_as_provider(&scan.source).map_err(|_| unreleased())?;
    let harmless = provider.is::<CteWorkTable>()
        || provider.is::<GenerateSeriesTable>()
        // The session's own information_schema, filled from what it may see.
        || (provider.is::<StreamingTable>() && scan.table_name.schema() == Some("information_schema"));
    if provider.is::<ReleasedTable>() {
        let read = scan.projected_schema.fields().iter().map(|field| field.name().clone());
        let tested = scan.filters.iter().flat_map(Expr::column_refs).map(|column| column.name.clone());
        leaves.push(Leaf { columns: read.chain(tested).collect(), provider });
    } else if !harmless {
        return Err(unreleased());
    }
    Ok(())
}
