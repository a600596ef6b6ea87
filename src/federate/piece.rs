//! A fragment in the making: a subtree of one source that may still grow.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, Projection, Sort, SortExpr};
use wayleave_connector_api::{
    Dialect, Expr, Fragment, NullsOrder, OutputColumn, Relation, Scheme, SetKind, SortDirection,
};

use super::estimate;
use super::node::{Counting, FragmentNode, OrderedBy, Origin};
use crate::catalog::Agency;
use crate::expression::{KeptHere, Pushed, push, push_exact};

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

    /// Rows that need not be read where keys narrow it.
    pub(super) fn spared_rows(&self) -> f64 {
        match self {
            Self::Source(piece) => estimate::spared(&piece.relation, piece.rows),
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
    /// Where it is a join as it stands: rows to expect of its left side and of its right side, by the source's statistics.
    pub sides: Option<[f64; 2]>,
    /// The order of the rows, where the relation's outermost operation sorts.
    pub ordering: Vec<OrderedBy>,
    pub origins: Vec<Origin>,
    pub counting: Counting,
}

impl Piece {
    pub fn outputs(&self) -> Vec<OutputColumn> {
        self.relation.outputs()
    }

    /// An expression over this piece's columns, for its source.
    pub fn push(&self, expr: &PlanExpr) -> Result<Pushed, KeptHere> {
        let schema = signed(&self.schema)?;
        push(&signed_constants(expr), &schema, &self.outputs(), self.agency.dialect())
    }

    /// [`Piece::push`], where only an exact answer will do.
    pub fn push_exact(&self, expr: &PlanExpr) -> Result<Expr, KeptHere> {
        push_over(expr, &self.schema, &self.outputs(), self.agency.dialect())
    }

    /// Whether its source's connector can deliver values of this type, or of the one in which they travel.
    pub fn delivers(&self, data_type: &DataType) -> bool {
        is_common(data_type) || self.agency.dialect().delivers(data_type)
    }

    /// Ends the growth: a plan node that stands for this piece, in its order.
    pub fn close(self) -> Result<LogicalPlan, DataFusionError> {
        let schema = Arc::clone(&self.schema);
        let ordering = self.ordering.clone();
        let fetch = match &self.relation {
            Relation::Sort { fetch, .. } => fetch.and_then(|fetch| usize::try_from(fetch).ok()),
            _ => None,
        };
        let is_unsigned = self.is_unsigned();
        let mut plan = self.into_node()?.into_plan();
        if !ordering.is_empty() {
            // The order is asked for again, so that no later rule may lose it; rows that arrive in it are not sorted again.
            let expr = ordering
                .iter()
                .map(|by| {
                    let column = PlanExpr::Column(schema.columns().get(by.column)?.clone());
                    Some(SortExpr::new(column, by.direction == SortDirection::Ascending, by.nulls == NullsOrder::First))
                })
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| DataFusionError::Internal("an order over a column that is not there".to_owned()))?;
            plan = LogicalPlan::Sort(Sort { expr, input: Arc::new(plan), fetch });
        }
        if !is_unsigned {
            return Ok(plan);
        }
        let exprs = schema
            .iter()
            .zip(schema.columns())
            .map(|((qualifier, field), column)| {
                let column = PlanExpr::Column(column);
                if !is_unsigned_type(field.data_type()) {
                    return column;
                }
                let cast = PlanExpr::Cast(Cast::new(Box::new(column), field.data_type().clone()));
                cast.alias_qualified(qualifier.cloned(), field.name())
            })
            .collect();
        let cast = Projection::try_new_with_schema(exprs, Arc::new(plan), schema)?;
        Ok(LogicalPlan::Projection(cast))
    }

    /// Whether some of its columns arrive as another type than the plan knows them by: [`Piece::close`] adds the cast.
    pub fn is_unsigned(&self) -> bool {
        self.schema.fields().iter().any(|field| is_unsigned_type(field.data_type()))
    }

    pub fn into_node(self) -> Result<FragmentNode, DataFusionError> {
        let schema = signed(&self.schema).map_err(|why| DataFusionError::Internal(why.0))?;
        let fragment = Fragment { root: self.relation, schema: Arc::clone(schema.inner()) };
        let mut node = FragmentNode::new(self.agency, fragment, schema, self.rows);
        node.scale = self.scale;
        node.sides = self.sides;
        node.ordering = self.ordering;
        node.origins = self.origins;
        node.counting = self.counting;
        Ok(node)
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

/// An expression over columns of several pieces of one source; only an exact answer will do.
pub(super) fn push_over(
    expr: &PlanExpr,
    schema: &DFSchemaRef,
    outputs: &[OutputColumn],
    dialect: &dyn Dialect,
) -> Result<Expr, KeptHere> {
    let schema = signed(schema)?;
    push_exact(&signed_constants(expr), &schema, outputs, dialect)
}

/// No database that we know has unsigned integers of its own that would come to be here. Numbers of rows, ranks and groupings
/// are unsigned to DataFusion, stay far below the limit of either, and travel signed.
fn is_unsigned_type(data_type: &DataType) -> bool {
    matches!(data_type, DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64)
}

/// The type of such a value at its source.
pub(super) fn at_source(data_type: &DataType) -> DataType {
    if is_unsigned_type(data_type) { DataType::Int64 } else { data_type.clone() }
}

/// The schema in which values arrive.
fn signed(schema: &DFSchemaRef) -> Result<DFSchemaRef, KeptHere> {
    if !schema.fields().iter().any(|field| is_unsigned_type(field.data_type())) {
        return Ok(Arc::clone(schema));
    }
    let fields = schema
        .iter()
        .map(|(qualifier, field)| {
            let arriving = field.as_ref().clone().with_data_type(at_source(field.data_type()));
            (qualifier.cloned(), Arc::new(arriving))
        })
        .collect();
    let signed = DFSchema::new_with_metadata(fields, schema.metadata().clone());
    Ok(Arc::new(signed.map_err(|_| KeptHere("its columns clash".to_owned()))?))
}

fn signed_constants(expr: &PlanExpr) -> PlanExpr {
    let signed = |value: &ScalarValue| match value {
        ScalarValue::UInt8(number) => Some(number.map(i64::from)),
        ScalarValue::UInt16(number) => Some(number.map(i64::from)),
        ScalarValue::UInt32(number) => Some(number.map(i64::from)),
        ScalarValue::UInt64(None) => Some(None),
        ScalarValue::UInt64(Some(number)) => i64::try_from(*number).ok().map(Some),
        _ => None,
    };
    let transformed = expr.clone().transform(|part| {
        let constant = match &part {
            PlanExpr::Literal(value, metadata) => signed(value).map(|value| (value, metadata.clone())),
            _ => None,
        };
        Ok(match constant {
            Some((value, metadata)) => Transformed::yes(PlanExpr::Literal(ScalarValue::Int64(value), metadata)),
            None => Transformed::no(part),
        })
    });
    transformed.map_or_else(|_| expr.clone(), |transformed| transformed.data)
}

/// Whether every connector can deliver values of this type, or of the one in which they travel.
pub(super) fn is_common(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
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
        DataType::List(item) => !matches!(item.data_type(), DataType::List(_)) && is_common(item.data_type()),
        _ => false,
    }
}

/// Whether a relation has one row, or none.
pub(super) fn at_most_one_row(relation: &Relation) -> bool {
    match relation {
        Relation::Aggregate { groups, .. } => groups.is_empty(),
        Relation::Sort { fetch: Some(..=1), .. } | Relation::Limit { fetch: Some(..=1), .. } => true,
        Relation::Filter { input, .. }
        | Relation::Project { input, .. }
        | Relation::Window { input, .. }
        | Relation::Sort { input, .. }
        | Relation::Limit { input, .. } => at_most_one_row(input),
        Relation::SemiJoin { left, .. }
        | Relation::NotIn { left, .. }
        | Relation::MarkJoin { left, .. }
        | Relation::SetOperation { left, .. } => at_most_one_row(left),
        Relation::Join { left, right, kind, .. } => {
            *kind != wayleave_connector_api::JoinKind::Full && at_most_one_row(left) && at_most_one_row(right)
        }
        Relation::Scan(_) | Relation::GroupingSets { .. } | Relation::Union { .. } => false,
    }
}

/// Whether no two rows of a relation are the same.
pub(super) fn is_distinct(relation: &Relation) -> bool {
    match relation {
        Relation::Aggregate { .. } | Relation::SetOperation { .. } => true,
        Relation::Filter { input, .. } | Relation::Sort { input, .. } | Relation::Limit { input, .. } => {
            is_distinct(input)
        }
        Relation::SemiJoin { left, .. } | Relation::NotIn { left, .. } => is_distinct(left),
        Relation::Project { input, exprs } => {
            let width = input.outputs().len();
            (0..width).all(|column| exprs.contains(&Expr::Column(column))) && is_distinct(input)
        }
        Relation::Scan(_)
        | Relation::Join { .. }
        | Relation::MarkJoin { .. }
        | Relation::GroupingSets { .. }
        | Relation::Window { .. }
        | Relation::Union { .. } => false,
    }
}

/// Whether an output column surely holds no NULL.
pub(super) fn never_null(relation: &Relation, output: usize) -> bool {
    use wayleave_connector_api::JoinKind;
    let through = |input: &Relation, expr: Option<&Expr>| {
        expr.and_then(column_of).is_some_and(|column| never_null(input, column))
    };
    match relation {
        Relation::Scan(scan) => {
            let column = scan.outputs.get(output).and_then(column_of);
            column.and_then(|column| scan.columns.get(column)).is_some_and(|column| !column.nullable)
        }
        Relation::Filter { input, .. } | Relation::Sort { input, .. } | Relation::Limit { input, .. } => {
            never_null(input, output)
        }
        Relation::Project { input, exprs } => through(input, exprs.get(output)),
        Relation::Aggregate { input, groups, .. } => through(input, groups.get(output)),
        Relation::Window { input, .. } => never_null(input, output),
        Relation::SemiJoin { left, .. } | Relation::NotIn { left, .. } | Relation::SetOperation { left, .. } => {
            never_null(left, output)
        }
        Relation::MarkJoin { left, .. } => output == left.outputs().len() || never_null(left, output),
        Relation::Join { left, right, kind, .. } => {
            let width = left.outputs().len();
            match kind {
                JoinKind::Inner | JoinKind::Left if output < width => never_null(left, output),
                JoinKind::Inner | JoinKind::Right if output >= width => never_null(right, output - width),
                JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full => false,
            }
        }
        Relation::Union { inputs } => inputs.iter().all(|input| never_null(input, output)),
        Relation::GroupingSets { .. } => false,
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
        Relation::SemiJoin { left, .. } | Relation::NotIn { left, .. } => subject_scheme(left, output),
        Relation::MarkJoin { left, .. } => {
            if output < left.outputs().len() {
                subject_scheme(left, output)
            } else {
                None
            }
        }
        Relation::Aggregate { input, groups, .. } | Relation::GroupingSets { input, groups, .. } => {
            subject_scheme(input, column_of(groups.get(output)?)?)
        }
        Relation::Window { input, .. } => {
            if output < input.outputs().len() {
                subject_scheme(input, output)
            } else {
                None
            }
        }
        Relation::SetOperation { left, right, kind } => {
            let scheme = subject_scheme(left, output)?;
            (*kind == SetKind::Except || subject_scheme(right, output) == Some(scheme)).then_some(scheme)
        }
        Relation::Union { inputs } => {
            let mut schemes = inputs.iter().map(|input| subject_scheme(input, output));
            let first = schemes.next()??;
            schemes.all(|scheme| scheme == Some(first)).then_some(first)
        }
    }
}

pub(super) fn column_of(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column(column) => Some(*column),
        _ => None,
    }
}
