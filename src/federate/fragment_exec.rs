//! The operator that runs a fragment at its source and streams what comes back.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use wayleave_connector_api::{
    Audience, ConnectorError, Divisible, Expr, Fragment, NullsOrder, Relation, Slice, SortDirection, Statement, Value,
    render_fragment, render_keyed_fragment,
};

use super::estimate;
use super::joined_here::JoinedHere;
use super::keys::SentKeys;
use super::meter::metered;
use super::node::{FragmentNode, Origin, agencies_of};
use super::once::SharedReads;
use super::run::QueryRun;
use crate::catalog::Agency;
use crate::error::Error;

/// A fragment, ready to run: one partition, opened when it is first polled.
#[derive(Debug)]
pub struct FragmentExec {
    /// The id of the [`FragmentNode`] that it runs.
    pub id: u64,
    pub agency: Arc<Agency>,
    pub origins: Vec<Origin>,
    fragment: Fragment,
    rows: f64,
    /// See [`FragmentNode::places`].
    places: usize,
    /// Its two sides, where it is a join that is made here.
    joined_here: Option<Arc<JoinedHere>>,
    /// Join keys that narrow it, by the numbers of its slots; none reads it whole.
    keys: BTreeMap<u32, SentKeys>,
    properties: Arc<PlanProperties>,
}

impl FragmentExec {
    pub(super) fn new(node: &FragmentNode) -> Self {
        let schema = Arc::clone(node.schema.inner());
        let ordering: Vec<PhysicalSortExpr> = node
            .ordering
            .iter()
            .filter_map(|by| {
                let field = schema.fields().get(by.column)?;
                Some(PhysicalSortExpr {
                    expr: Arc::new(Column::new(field.name(), by.column)),
                    options: SortOptions {
                        descending: by.direction == SortDirection::Descending,
                        nulls_first: by.nulls == NullsOrder::First,
                    },
                })
            })
            .collect();
        let mut equivalence = EquivalenceProperties::new(Arc::clone(&schema));
        if ordering.len() == node.ordering.len() && !ordering.is_empty() {
            equivalence.add_ordering(ordering);
        }
        let properties = Arc::new(PlanProperties::new(
            equivalence,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Self {
            id: node.id(),
            agency: Arc::clone(&node.agency),
            origins: node.origins.clone(),
            fragment: node.fragment.clone(),
            rows: estimate::expected(node.rows, node.scale),
            places: node.places,
            joined_here: JoinedHere::where_it_pays(node).map(Arc::new),
            keys: BTreeMap::new(),
            properties,
        }
    }

    pub fn fragment(&self) -> &Fragment {
        &self.fragment
    }

    /// Rows expected.
    pub fn rows(&self) -> f64 {
        self.rows
    }

    /// The SQL that the source receives, or what the asker may see of it.
    pub fn sql(&self, audience: Audience) -> String {
        render_fragment(self.agency.dialect(), &counted(&self.fragment), None, audience)
    }

    /// The SQL of one part, where the source may read the fragment in parts: they differ in the numbers of pages alone.
    pub(super) fn part_sql(&self) -> Option<String> {
        let dialect = self.agency.dialect();
        let divisible = Divisible::new(dialect, &whole(&counted(&self.fragment)))?;
        Some(divisible.sql(dialect, Slice::FIRST_PAGE))
    }

    /// The SQL that the source receives instead, where the fragment is a join that is made here.
    pub(super) fn sides_sql(&self) -> Vec<String> {
        let dialect = self.agency.dialect();
        self.joined_here.as_ref().map(|join| join.sql(dialect).to_vec()).unwrap_or_default()
    }

    /// The keys that narrow it by now, by the numbers of its slots.
    pub(super) fn keys(&self) -> &BTreeMap<u32, SentKeys> {
        &self.keys
    }

    /// The same fragment once join keys are known for one of its slots. Where there is no key, no statement is sent, and there
    /// are no rows.
    pub(super) fn narrowed(&self, number: u32, keys: SentKeys) -> Self {
        let mut all = self.keys.clone();
        all.insert(number, keys);
        Self {
            id: self.id,
            agency: Arc::clone(&self.agency),
            origins: self.origins.clone(),
            fragment: self.fragment.clone(),
            rows: self.rows,
            places: self.places,
            joined_here: self.joined_here.clone(),
            keys: all,
            properties: Arc::clone(&self.properties),
        }
    }

    /// The slot whose keys are divided between statements, and what each statement takes of them.
    fn statements(&self) -> (Option<u32>, Vec<Option<Range<usize>>>) {
        if self.keys.values().any(|keys| keys.len() == 0) {
            return (None, Vec::new());
        }
        let statements = self.keys.iter().map(|(number, keys)| (*number, keys.statements()));
        match statements.max_by_key(|(_, statements)| statements.len()) {
            None => (None, vec![None]),
            Some((number, statements)) => (Some(number), statements.into_iter().map(Some).collect()),
        }
    }

    fn open(&self, run: Arc<QueryRun>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.fragment.schema);
        let fragment = counted(&self.fragment);
        let (chunked, chunks) = self.statements();
        let sent = Arc::new(self.keys.clone());
        let agency = Arc::clone(&self.agency);
        let delivered = Arc::clone(&schema);
        let id = self.id;
        let read = Arc::new(agencies_of(&self.agency.name, &self.origins));
        let batches = stream::iter(chunks)
            .then(move |chunk| {
                let sent = Arc::clone(&sent);
                let agency = Arc::clone(&agency);
                let read = Arc::clone(&read);
                let run = Arc::clone(&run);
                let fragment = if sent.is_empty() { whole(&fragment) } else { fragment.clone() };
                let delivered = Arc::clone(&delivered);
                async move {
                    let keys: BTreeMap<u32, Vec<String>> = sent
                        .iter()
                        .map(|(number, keys)| {
                            let some = chunk.clone().filter(|_| chunked == Some(*number));
                            (*number, keys.texts(some.unwrap_or(0..keys.len())))
                        })
                        .collect();
                    let sql = render_keyed_fragment(agency.dialect(), &fragment, &keys);
                    let statement =
                        Statement { sql, schema: Arc::clone(&fragment.schema), query_id: run.query_id.clone() };
                    // Parts are the one statement that they are parts of: their number would tell of the table's size.
                    run.add_statement(id);
                    let divisible = Divisible::new(agency.dialect(), &fragment).filter(|_| keys.is_empty());
                    let batches = match (divisible, sent.values().find_map(SentKeys::pseudonymiser)) {
                        (Some(divisible), _) => agency.connector.query_parts(statement, divisible).await,
                        (None, Some(secret)) => agency.connector.query_pseudonymised(statement, secret).await,
                        (None, None) => agency.connector.query(statement).await,
                    };
                    let batches = batches.map_err(|error| failed(&agency, error))?;
                    Ok::<_, DataFusionError>(batches.map(move |batch| {
                        let batch = batch.map_err(|error| failed(&agency, error))?;
                        for agency in read.iter() {
                            run.add_rows(agency, batch.num_rows());
                        }
                        as_delivered(&batch, &delivered)
                    }))
                }
            })
            .try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

/// The run that a task belongs to.
pub(super) fn run_of(context: &TaskContext) -> Result<Arc<QueryRun>, DataFusionError> {
    context
        .session_config()
        .get_extension::<QueryRun>()
        .ok_or_else(|| DataFusionError::Internal("a fragment runs outside of a query".to_owned()))
}

pub(super) fn failed(agency: &Agency, error: ConnectorError) -> DataFusionError {
    DataFusionError::External(Box::new(Error::Source { agency: agency.name.clone(), source: Arc::new(error) }))
}

/// A result of no columns is counted by a constant: databases have no SELECT of nothing.
fn counted(fragment: &Fragment) -> Fragment {
    if !fragment.schema.fields().is_empty() {
        return fragment.clone();
    }
    let one = Expr::Literal(Value::Int32(1));
    Fragment {
        root: Relation::Project { input: Box::new(fragment.root.clone()), exprs: vec![one] },
        schema: Arc::new(Schema::new(vec![Field::new("row", DataType::Int32, false)])),
    }
}

/// The fragment without places for join keys.
fn whole(fragment: &Fragment) -> Fragment {
    Fragment { root: without_key_slots(&fragment.root), schema: Arc::clone(&fragment.schema) }
}

fn as_delivered(batch: &RecordBatch, schema: &Arc<Schema>) -> Result<RecordBatch, DataFusionError> {
    if schema.fields().is_empty() {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        return Ok(RecordBatch::try_new_with_options(Arc::clone(schema), Vec::new(), &options)?);
    }
    Ok(batch.clone().with_schema(Arc::clone(schema))?)
}

pub(super) fn without_key_slots(relation: &Relation) -> Relation {
    match relation.clone() {
        Relation::Scan(mut scan) => {
            scan.keys = None;
            Relation::Scan(scan)
        }
        other => other.map_inputs(&without_key_slots),
    }
}

impl DisplayAs for FragmentExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FragmentExec: agency={}", self.agency.name)
    }
}

impl ExecutionPlan for FragmentExec {
    fn name(&self) -> &'static str {
        "FragmentExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        if children.is_empty() { Ok(self) } else { internal_err!("a fragment has no children") }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        if partition != 0 {
            return internal_err!("a fragment has one partition");
        }
        let run = run_of(&context)?;
        let read = || {
            let rows = match &self.joined_here {
                Some(join) => Arc::clone(join).open(self, Arc::clone(&run), &context),
                None => self.open(Arc::clone(&run)),
            };
            metered(Arc::clone(&run), self.id, rows)
        };
        if self.places < 2 {
            return Ok(read());
        }
        let rows = SharedReads::of(&context)?.rows(self.id, self.places, &context, read);
        // Each place knows the columns by names of its own.
        let schema = Arc::clone(&self.fragment.schema);
        let named = {
            let schema = Arc::clone(&schema);
            rows.map(move |batch| as_delivered(&batch?, &schema))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, named)))
    }

    fn partition_statistics(&self, _partition: Option<usize>) -> Result<Arc<Statistics>, DataFusionError> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(rounded(self.rows));
        Ok(Arc::new(statistics))
    }
}

/// An estimate as a whole number of rows.
pub(super) fn rounded(rows: f64) -> usize {
    // Formatting is the one conversion from floating point that cannot overflow silently.
    format!("{:.0}", rows.max(0.0)).parse().unwrap_or(usize::MAX)
}
