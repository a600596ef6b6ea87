//! From a federated logical plan to operators, and back to the list of what each agency will receive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session as PlannerSession;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DataFusionError, internal_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use wayleave_connector_api::{Audience, KeyDisclosure};

use super::carve::{FederatedPlan, for_each_fragment};
use super::fragment_exec::FragmentExec;
use super::keyed_join_exec::{KeyedJoin, KeyedJoinExec};
use super::node::{Counting, FragmentNode, KeyedJoinNode, Origin, agencies_of};
use super::proof::Prover;
use crate::error::Error;

/// What one agency will receive.
#[derive(Clone, Debug)]
pub struct PlannedFragment {
    /// The id of its [`FragmentNode`].
    pub id: u64,
    pub agency: String,
    /// The SQL as it runs; where join keys are still to come, a comment stands in their place.
    pub sql: String,
    /// The SQL as the asker may see it.
    pub asker_sql: String,
    /// What is sent in the place of `sql`, where it is a join that is made here: the SQL of its two sides.
    pub sides_sql: Vec<String>,
    pub origins: Vec<Origin>,
    /// Agencies whose keys this fragment receives, and as what.
    pub keys_from: BTreeMap<String, KeyDisclosure>,
    /// The agreements under which those agencies' keys are sent, by agency.
    pub keys_under: BTreeMap<String, BTreeSet<String>>,
    pub estimated_rows: f64,
    /// Whether its rows come in an order.
    pub sorted: bool,
    pub counting: Counting,
}

impl PlannedFragment {
    /// Every agency whose tables it reads, the one that it is sent to first.
    pub fn agencies(&self) -> Vec<String> {
        agencies_of(&self.agency, &self.origins)
    }
}

/// Plans the operators of a federated plan, after proving that every fragment's SQL carries what policy demands.
///
/// # Errors
/// [`Error::Unproven`] where one does not; [`Error::Plan`] where DataFusion cannot plan what stays here.
pub async fn plan_physical(federated: &FederatedPlan, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>, Error> {
    let failed = |error: DataFusionError| Error::Plan { message: error.strip_backtrace() };
    prove_fragments(federated)?;
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(FederationPlanner)]);
    planner.create_physical_plan(&federated.plan, state).await.map_err(failed)
}

fn prove_fragments(federated: &FederatedPlan) -> Result<(), Error> {
    let prover = Prover::new(&federated.obligations);
    let mut proven = Ok(());
    for_each_fragment(&federated.plan, &mut |node| {
        if proven.is_ok() {
            let exec = FragmentExec::new(node);
            let whole = std::iter::once(exec.sql(Audience::Source));
            let mut texts = whole.chain(exec.part_sql()).chain(exec.sides_sql());
            proven = texts.try_for_each(|sql| prover.prove(&sql, &node.agency, &node.origins));
        }
    })
    .map_err(|error| Error::Plan { message: error.strip_backtrace() })?;
    proven
}

/// What each agency will receive, in the order of the plan; in a keyed join, the side that is read first comes first.
///
/// # Errors
/// [`Error::Plan`] where the plan cannot be walked.
pub fn planned_fragments(plan: &LogicalPlan) -> Result<Vec<PlannedFragment>, Error> {
    let mut fragments = Vec::new();
    collect_fragments(plan, &mut Vec::new(), &mut fragments)
        .map_err(|error| Error::Plan { message: error.strip_backtrace() })?;
    Ok(fragments)
}

/// `receiving`: the keyed joins above, each with a fragment that waits for its keys.
fn collect_fragments<'a>(
    plan: &'a LogicalPlan,
    receiving: &mut Vec<&'a KeyedJoinNode>,
    found: &mut Vec<PlannedFragment>,
) -> Result<(), DataFusionError> {
    if let Some(node) = FragmentNode::of(plan) {
        // One that stands in several places is one statement.
        if !found.iter().any(|fragment| fragment.id == node.id()) {
            found.push(planned_fragment(node, receiving));
        }
        return Ok(());
    }
    receiving.extend(KeyedJoinNode::of(plan));
    for input in plan.inputs() {
        collect_fragments(input, receiving, found)?;
    }
    plan.apply_subqueries(|subquery| {
        collect_fragments(subquery, &mut Vec::new(), found)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn planned_fragment(node: &FragmentNode, receiving: &[&KeyedJoinNode]) -> PlannedFragment {
    let exec = FragmentExec::new(node);
    let mut keys_from: BTreeMap<String, KeyDisclosure> = BTreeMap::new();
    let mut keys_under: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for keyed in receiving {
        for column in keyed.sent.iter().filter(|column| column.slot == node.id()) {
            for (agency, agreements) in &column.told.agencies {
                // Of several the one that tells the most.
                let told = keys_from.entry(agency.clone()).or_insert(column.told.disclosure);
                *told = column.told.disclosure.max(*told);
                keys_under.entry(agency.clone()).or_default().extend(agreements.iter().cloned());
            }
        }
    }
    PlannedFragment {
        id: node.id(),
        agency: node.agency.name.clone(),
        sql: exec.sql(Audience::Source),
        asker_sql: exec.sql(Audience::Asker),
        sides_sql: exec.sides_sql(),
        origins: node.origins.clone(),
        keys_from,
        keys_under,
        estimated_rows: exec.rows(),
        sorted: !node.ordering.is_empty(),
        counting: node.counting,
    }
}

struct FederationPlanner;

#[async_trait]
impl ExtensionPlanner for FederationPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn PlannerSession,
        planning: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>, DataFusionError> {
        if let Some(fragment) = node.as_any().downcast_ref::<FragmentNode>() {
            return Ok(Some(Arc::new(FragmentExec::new(fragment))));
        }
        let Some(keyed) = node.as_any().downcast_ref::<KeyedJoinNode>() else { return Ok(None) };
        let [giver, receiver] = physical_inputs else {
            return internal_err!("a keyed join without its two sides");
        };
        let (left, right) = (keyed.join.left.schema(), keyed.join.right.schema());
        let on = keyed
            .join
            .on
            .iter()
            .map(|(left_key, right_key)| match (left_key, right_key) {
                (Expr::Column(left_key), Expr::Column(right_key)) => {
                    Ok((left.index_of_column(left_key)?, right.index_of_column(right_key)?))
                }
                _ => internal_err!("a keyed join over an expression"),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let filter = match &keyed.join.filter {
            Some(filter) => Some(join_filter(filter, left, right, planner, session, planning)?),
            None => None,
        };
        let join = KeyedJoin {
            receiver_side: keyed.receiver,
            on,
            filter,
            join_type: keyed.join.join_type,
            sent: keyed.sent.clone(),
            schema: Arc::clone(keyed.join.schema.inner()),
        };
        Ok(Some(Arc::new(KeyedJoinExec::try_new(Arc::clone(giver), Arc::clone(receiver), join)?)))
    }
}

/// A join's further condition over the columns that it uses, as DataFusion's hash join takes it.
fn join_filter(
    filter: &Expr,
    left: &DFSchema,
    right: &DFSchema,
    planner: &dyn PhysicalPlanner,
    session: &dyn PlannerSession,
    planning: &PhysicalPlanningContext,
) -> Result<JoinFilter, DataFusionError> {
    let columns = filter.column_refs();
    let positions = |schema: &DFSchema| -> Vec<usize> {
        let found: BTreeSet<usize> = columns.iter().filter_map(|column| schema.maybe_index_of_column(column)).collect();
        found.into_iter().collect()
    };
    let (left_positions, right_positions) = (positions(left), positions(right));
    let field = |schema: &DFSchema, position: usize| {
        let (qualifier, field) = schema.qualified_field(position);
        (qualifier.cloned(), Arc::clone(field))
    };
    let fields = left_positions
        .iter()
        .map(|position| field(left, *position))
        .chain(right_positions.iter().map(|position| field(right, *position)))
        .collect();
    let schema = DFSchema::new_with_metadata(fields, std::collections::HashMap::new())?;
    let expression = planner.create_physical_expr(filter, &schema, session, planning)?;
    let indices = JoinFilter::build_column_indices(left_positions, right_positions);
    Ok(JoinFilter::new(expression, indices, Arc::clone(schema.inner())))
}
