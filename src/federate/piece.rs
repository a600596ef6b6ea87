//! A fragment in the making: a subtree of one source that may still grow.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError};
use datafusion::logical_expr::{LogicalPlan, Sort, SortExpr};
use wayleave_connector_api::{Expr, Fragment, KeySlot, NullsOrder, OutputColumn, Relation, Scheme, SortDirection};

use super::estimate;
use super::node::{Counting, FragmentNode, OrderedBy, Origin};
use crate::catalog::Agency;

/// A carved subtree.
#[derive(Clone, Debug)]
pub(super) enum Carved {
    /// One source answers all of it.
    Source(Box<Piece>),
    /// It runs here.
    Local(LogicalPlan),
}

impl Carved {
    pub(super) fn rows(&self) -> f64 {
        match self {
            Self::Source(piece) => piece.rows,
            Self::Local(plan) => estimate::rows_here(plan),
        }
    }
}

/// A relation of one agency, with the logical schema that the rest of the plan knows it by.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub agency: Arc<Agency>,
    pub relation: Relation,
    pub schema: DFSchemaRef,
    /// Rows as far as the shape of the query tells.
    pub rows: f64,
    /// How much larger than assumed its largest table is.
    pub scale: f64,
    /// The order of the rows, where the relation's outermost operation sorts.
    pub ordering: Vec<OrderedBy>,
    pub origins: Vec<Origin>,
    pub counting: Counting,
}

impl Piece {
    pub fn outputs(&self) -> Vec<OutputColumn> {
        self.relation.outputs()
    }

    /// Ends the growth: a plan node that stands for this piece, in its order.
    pub fn close(self) -> Result<LogicalPlan, DataFusionError> {
        let schema = Arc::clone(&self.schema);
        let ordering = self.ordering.clone();
        let fetch = match &self.relation {
            Relation::Sort { fetch, .. } => fetch.and_then(|fetch| usize::try_from(fetch).ok()),
            _ => None,
        };
        let plan = self.into_node().into_plan();
        if ordering.is_empty() {
            return Ok(plan);
        }
        // The order is asked for again, so that no later rule may lose it; rows that arrive in it are not sorted again.
        let expr = ordering
            .iter()
            .map(|by| {
                let column = datafusion::logical_expr::Expr::Column(schema.columns().get(by.column)?.clone());
                Some(SortExpr::new(column, by.direction == SortDirection::Ascending, by.nulls == NullsOrder::First))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| DataFusionError::Internal("an order over a column that is not there".to_owned()))?;
        Ok(LogicalPlan::Sort(Sort { expr, input: Arc::new(plan), fetch }))
    }

    pub fn into_node(self) -> FragmentNode {
        let fragment = Fragment { root: self.relation, schema: Arc::clone(self.schema.inner()) };
        let mut node = FragmentNode::new(self.agency, fragment, self.schema, self.rows);
        node.scale = self.scale;
        node.ordering = self.ordering;
        node.origins = self.origins;
        node.counting = self.counting;
        node
    }

    /// The same rows with only these output columns.
    pub fn narrow(self, columns: &[usize]) -> Result<Self, DataFusionError> {
        if columns.len() == self.schema.fields().len() {
            return Ok(self);
        }
        let fields = columns
            .iter()
            .map(|column| {
                let (qualifier, field) = self.schema.qualified_field(*column);
                (qualifier.cloned(), Arc::clone(field))
            })
            .collect();
        let schema = DFSchema::new_with_metadata(fields, self.schema.metadata().clone())?;
        let exprs = columns.iter().map(|column| Expr::Column(*column)).collect();
        Ok(Self {
            relation: Relation::Project { input: Box::new(self.relation), exprs },
            schema: Arc::new(schema),
            ordering: Vec::new(),
            ..self
        })
    }
}

/// Whether a connector can deliver values of this type.
pub(super) fn deliverable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Time64(TimeUnit::Microsecond) => true,
        DataType::Timestamp(TimeUnit::Microsecond, zone) => zone.as_deref().is_none_or(|zone| zone == "UTC"),
        DataType::List(item) => !matches!(item.data_type(), DataType::List(_)) && deliverable(item.data_type()),
        _ => false,
    }
}

/// The scheme of the subject key that an output column holds unchanged, if it does.
pub(super) fn subject_scheme(relation: &Relation, output: usize) -> Option<Scheme> {
    match relation {
        Relation::Scan(scan) => match scan.outputs.get(output)? {
            Expr::CanonicalKey { format, .. } => Some(format.scheme),
            _ => None,
        },
        Relation::Filter { input, .. } | Relation::Sort { input, .. } | Relation::Limit { input, .. } => {
            subject_scheme(input, output)
        }
        Relation::Project { input, exprs } => subject_scheme(input, column_of(exprs.get(output)?)?),
        Relation::Join { left, right, .. } => {
            let width = left.outputs().len();
            if output < width { subject_scheme(left, output) } else { subject_scheme(right, output - width) }
        }
        Relation::SemiJoin { left, .. } => subject_scheme(left, output),
        Relation::Aggregate { input, groups, .. } => subject_scheme(input, column_of(groups.get(output)?)?),
        Relation::Union { inputs } => {
            let mut schemes = inputs.iter().map(|input| subject_scheme(input, output));
            let first = schemes.next()??;
            schemes.all(|scheme| scheme == Some(first)).then_some(first)
        }
    }
}

/// Puts a key slot under an output column, as deep as the scan that the column comes from.
///
/// Only through operations that keep the answer: narrowing a scan by values of this column must be the same as narrowing
/// the relation's own rows by them. A limit, or the side of an outer join that is filled with NULLs, is no such way.
pub(super) fn place_key_slot(relation: &mut Relation, output: usize) -> bool {
    use wayleave_connector_api::JoinKind;
    match relation {
        Relation::Scan(scan) => {
            if scan.keys.is_some() {
                return false;
            }
            let Some(Expr::CanonicalKey { expr, format }) = scan.outputs.get(output) else { return false };
            let Expr::Column(column) = expr.as_ref() else { return false };
            scan.keys = Some(KeySlot { column: *column, format: Some(*format) });
            true
        }
        Relation::Filter { input, .. } | Relation::Sort { input, fetch: None, .. } => place_key_slot(input, output),
        Relation::Project { input, exprs } => match exprs.get(output).and_then(column_of) {
            Some(column) => place_key_slot(input, column),
            None => false,
        },
        Relation::Join { left, right, kind, .. } => {
            let width = left.outputs().len();
            match kind {
                JoinKind::Inner | JoinKind::Left if output < width => place_key_slot(left, output),
                JoinKind::Inner | JoinKind::Right if output >= width => place_key_slot(right, output - width),
                JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full => false,
            }
        }
        Relation::SemiJoin { left, .. } => place_key_slot(left, output),
        Relation::Aggregate { input, groups, .. } => match groups.get(output).and_then(column_of) {
            Some(column) => place_key_slot(input, column),
            None => false,
        },
        Relation::Sort { .. } | Relation::Limit { .. } | Relation::Union { .. } => false,
    }
}

fn column_of(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column(column) => Some(*column),
        _ => None,
    }
}
