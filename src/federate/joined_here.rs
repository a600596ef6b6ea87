//! A join of two of an agency's tables, made here where its database would look up each row's partners.
//!
//! A database without hash joins (SQLite) goes through one table and looks into an index of the other for every row. Where both
//! tables are large, reading each of them once and joining here takes a fraction of that. Both are read in one state of the
//! database, so that the answer is that of the one statement. Whether it is done follows the tables' sizes, and nobody who asks
//! is told: EXPLAIN shows the one statement, and its rows are those that come out of the join.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DataFusionError, JoinSide, JoinType, NullEquality, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::joins::utils::JoinOn;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};
use wayleave_connector_api::{
    Audience, BatchStream, CompareOp, Dialect, Expr, Fragment, JoinKind, Relation, Statement, render_fragment,
};

use super::fragment_exec::{FragmentExec, failed, without_key_slots};
use super::node::FragmentNode;
use super::piece::{column_of, is_common};
use super::run::QueryRun;
use crate::catalog::Agency;
use crate::execution::Collector;

/// Below this many rows on either side, looking up is as good.
const ALWAYS_LOOKED_UP: f64 = 1_000.0;

/// The share of the larger side's rows above which it is read whole: a look-up costs about ten rows of a scan.
const SCAN_SHARE: f64 = 0.1;

/// The two sides of a join, each a fragment of its own.
#[derive(Clone, Debug)]
pub(super) struct JoinedHere {
    left: Fragment,
    right: Fragment,
    /// Positions on the left and on the right that must be equal.
    on: Vec<(usize, usize)>,
    /// Positions among the left columns, then the right ones, of what the join gives.
    outputs: Vec<usize>,
    /// The side that is read first.
    first: JoinSide,
}

impl JoinedHere {
    /// The join that a fragment is, where it is one of two large tables.
    pub fn where_it_pays(node: &FragmentNode) -> Option<Self> {
        let [left, right] = node.sides?;
        let (fewer, more) = (left.min(right), left.max(right));
        let pays = fewer > ALWAYS_LOOKED_UP && fewer > more * SCAN_SHARE;
        // What several places read once, they read as it is.
        if !pays || node.places > 1 || !node.agency.connector.joins_by_lookup() {
            return None;
        }
        Self::of(node, if right < left { JoinSide::Right } else { JoinSide::Left })
    }

    /// The join that a fragment is, where it is one of equal columns and nothing more.
    fn of(node: &FragmentNode, first: JoinSide) -> Option<Self> {
        let shared = node.origins.iter().any(|origin| origin.agency != node.agency.name);
        let root = &node.fragment.root;
        if shared || !node.ordering.is_empty() || without_key_slots(root) != *root {
            return None;
        }
        let (join, outputs) = match root {
            Relation::Project { input, exprs } => {
                (input.as_ref(), exprs.iter().map(column_of).collect::<Option<Vec<_>>>()?)
            }
            other => (other, (0..other.outputs().len()).collect()),
        };
        let Relation::Join { left, right, kind: JoinKind::Inner, on } = join else { return None };
        let (left_types, right_types) = (types(left)?, types(right)?);
        let width = left_types.len();
        let on = on.iter().map(|condition| equal_columns(condition, width)).collect::<Option<Vec<_>>>()?;
        let comparable = |(one, other): &(usize, usize)| {
            let types = left_types.get(*one).zip(right_types.get(*other));
            types.is_some_and(|(one, other)| {
                one == other && matches!(one, DataType::Utf8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
            })
        };
        let delivered = outputs.iter().map(|output| left_types.iter().chain(&right_types).nth(*output));
        let same = delivered.eq(node.fragment.schema.fields().iter().map(|field| Some(field.data_type())));
        if on.is_empty() || outputs.is_empty() || !on.iter().all(comparable) || !same {
            return None;
        }
        Some(Self { left: side(left, &left_types), right: side(right, &right_types), on, outputs, first })
    }

    /// What the agency receives in the place of the one statement.
    pub fn sql(&self, dialect: &dyn Dialect) -> [String; 2] {
        self.in_turn().map(|side| render_fragment(dialect, side, None, Audience::Source))
    }

    fn in_turn(&self) -> [&Fragment; 2] {
        match self.first {
            JoinSide::Right => [&self.right, &self.left],
            JoinSide::Left | JoinSide::None => [&self.left, &self.right],
        }
    }

    /// The rows of the join.
    pub fn open(
        self: Arc<Self>,
        fragment: &FragmentExec,
        run: Arc<QueryRun>,
        context: &Arc<TaskContext>,
    ) -> SendableRecordBatchStream {
        let schema = Arc::clone(&fragment.fragment().schema);
        let (agency, id) = (Arc::clone(&fragment.agency), fragment.id);
        let (delivered, context) = (Arc::clone(&schema), Arc::clone(context));
        let joined = stream::once(async move {
            let texts = self.sql(agency.dialect());
            let statements = zipped(texts, self.in_turn()).map(|(sql, side)| {
                run.add_statement(id);
                Statement { sql, schema: Arc::clone(&side.schema), query_id: run.query_id.clone() }
            });
            let rows = agency.connector.query_in_turn(statements).await.map_err(|error| failed(&agency, error))?;
            let [first, second] =
                zipped(rows, self.in_turn()).map(|(rows, side)| counted(rows, Arc::clone(&side.schema), &agency, &run));
            let mut collector = Collector::new(Arc::new(self.template()?), self.first, context)?;
            let mut first = first;
            while let Some(batch) = first.try_next().await? {
                collector.push(batch)?;
            }
            drop(first);
            let joined = collector.finish()?.join(second)?;
            let given = joined.map(move |batch| {
                let batch = batch?.project(&self.outputs)?;
                Ok::<_, DataFusionError>(RecordBatch::try_new(Arc::clone(&delivered), batch.columns().to_vec())?)
            });
            Ok::<_, DataFusionError>(given)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, joined.try_flatten()))
    }

    /// How the two sides join, whatever their rows come from.
    fn template(&self) -> Result<HashJoinExec, DataFusionError> {
        let column = |side: &Fragment, position: usize| -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
            let field = side.schema.fields().get(position);
            let field = field.ok_or_else(|| internal_datafusion_err!("a join key that is not there"))?;
            Ok(Arc::new(Column::new(field.name(), position)))
        };
        let on: JoinOn = self
            .on
            .iter()
            .map(|(left, right)| Ok((column(&self.left, *left)?, column(&self.right, *right)?)))
            .collect::<Result<_, DataFusionError>>()?;
        HashJoinExec::try_new(
            Arc::new(EmptyExec::new(Arc::clone(&self.left.schema))),
            Arc::new(EmptyExec::new(Arc::clone(&self.right.schema))),
            on,
            None,
            &JoinType::Inner,
            None,
            PartitionMode::CollectLeft,
            NullEquality::NullEqualsNothing,
            false,
        )
    }
}

/// Rows of one side as they come. Those are on the record; EXPLAIN ANALYZE tells what comes out of the join.
fn counted(
    rows: BatchStream,
    schema: SchemaRef,
    agency: &Arc<Agency>,
    run: &Arc<QueryRun>,
) -> SendableRecordBatchStream {
    let (agency, run) = (Arc::clone(agency), Arc::clone(run));
    let rows = rows.map(move |batch| {
        let batch = batch.map_err(|error| failed(&agency, error))?;
        run.add_rows(&agency.name, batch.num_rows());
        Ok(batch)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

fn zipped<T, U>(one: [T; 2], other: [U; 2]) -> [(T, U); 2] {
    let ([a, b], [c, d]) = (one, other);
    [(a, c), (b, d)]
}

/// The types in which a side's columns arrive; `None` where one cannot.
fn types(side: &Relation) -> Option<Vec<DataType>> {
    let types: Vec<DataType> = side.outputs().into_iter().map(|output| output.data_type).collect();
    (!types.is_empty() && types.iter().all(is_common)).then_some(types)
}

fn side(relation: &Relation, types: &[DataType]) -> Fragment {
    let fields = types
        .iter()
        .enumerate()
        .map(|(position, data_type)| Field::new(format!("c{}", position.saturating_add(1)), data_type.clone(), true));
    Fragment { root: relation.clone(), schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())) }
}

/// The positions of the two columns that a condition demands to be equal, on the left and on the right.
fn equal_columns(condition: &Expr, width: usize) -> Option<(usize, usize)> {
    let Expr::Compare { op: CompareOp::Equal, left, right } = condition else { return None };
    let (one, other) = (column_of(left)?, column_of(right)?);
    let (left, right) = if one < other { (one, other) } else { (other, one) };
    (left < width).then_some((left, right.checked_sub(width)?))
}
