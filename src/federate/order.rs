//! Orders and limits, as far as a source makes them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::logical_expr::{
    Expr, ExprSchemable, FetchType, Limit, LogicalPlan, Projection, SkipType, Sort, SortExpr,
};
use wayleave_connector_api as source;
use wayleave_connector_api::{NullsOrder, Relation, SortDirection};

use super::carve::{Carver, all, exact};
use super::estimate;
use super::kept::listed;
use super::node::OrderedBy;
use super::piece::{Carved, Piece};
use crate::expression::KeptHere;

impl Carver {
    pub(super) fn sort(&self, sort: &Sort) -> Result<Carved, DataFusionError> {
        let piece = match self.carve(&sort.input)? {
            Carved::Source(piece) if self.pushes() => *piece,
            other => {
                let input = self.close(other)?;
                return self.rebuilt(&LogicalPlan::Sort(sort.clone()), vec![input]);
            }
        };
        match sorted(sort, &piece) {
            Ok(Sorted::ByColumns(piece)) => Ok(Carved::Source(piece)),
            Ok(Sorted::ByExpressions(piece)) => {
                // What it is sorted by goes along as further columns, and ends here.
                let columns = sort.input.schema().columns().into_iter().map(Expr::Column).collect();
                let rows = Arc::new(piece.close()?);
                Ok(Carved::Local(LogicalPlan::Projection(Projection::try_new(columns, rows)?)))
            }
            Err(why) => {
                let what = format!("sort by {}", listed(sort.expr.iter().map(|key| &key.expr)));
                self.keep(Some(&piece.agency), what, &why);
                let input = piece.close()?;
                self.rebuilt(&LogicalPlan::Sort(sort.clone()), vec![input])
            }
        }
    }

    pub(super) fn limit(&self, limit: &Limit) -> Result<Carved, DataFusionError> {
        let wanted = match (limit.get_skip_type()?, limit.get_fetch_type()?) {
            (SkipType::Literal(skip), FetchType::Literal(fetch)) => Some((skip, fetch)),
            _ => None,
        };
        let piece = match self.carve(&limit.input)? {
            Carved::Source(piece) if self.pushes() => *piece,
            other => {
                let input = self.close(other)?;
                return self.rebuilt(&LogicalPlan::Limit(limit.clone()), vec![input]);
            }
        };
        match wanted.ok_or_else(|| KeptHere("its number is not known to the source".to_owned())) {
            Ok((skip, fetch)) if piece.ordering.is_empty() || keeps_its_order(&piece.relation) => {
                let rows = fetch.map_or(piece.rows, |fetch| piece.rows.min(estimate::count(fetch)));
                let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
                Ok(Carved::Source(Box::new(Piece {
                    rows,
                    relation: Relation::Limit {
                        input: Box::new(piece.relation),
                        skip: number(skip),
                        fetch: fetch.map(number),
                    },
                    ..piece
                })))
            }
            not_pushed => {
                let why = not_pushed.err().unwrap_or_else(|| KeptHere("it counts on an order made below".to_owned()));
                self.keep(Some(&piece.agency), "limit", &why);
                let input = piece.close()?;
                self.rebuilt(&LogicalPlan::Limit(limit.clone()), vec![input])
            }
        }
    }
}

/// Whether a limit above this is written into the SELECT that sorts: SQL promises no order of a derived table.
fn keeps_its_order(relation: &Relation) -> bool {
    match relation {
        Relation::Sort { .. } => true,
        Relation::Project { input, .. } | Relation::Limit { input, .. } => keeps_its_order(input),
        _ => false,
    }
}

enum Sorted {
    ByColumns(Box<Piece>),
    /// With further columns, behind its own.
    ByExpressions(Box<Piece>),
}

fn sorted(sort: &Sort, piece: &Piece) -> Result<Sorted, KeptHere> {
    let dialect = piece.agency.dialect();
    let outputs = piece.outputs();
    let keys = all(&sort.expr, |SortExpr { expr, .. }| {
        let pushed = piece.push_exact(expr)?;
        exact(dialect.sort_support(&pushed.output(&outputs)))?;
        Ok(pushed)
    })?;
    let mut computed: Vec<(source::Expr, DataType)> = Vec::new();
    let mut ordering = Vec::with_capacity(keys.len());
    for (key, SortExpr { expr, asc, nulls_first }) in keys.into_iter().zip(&sort.expr) {
        let column = match key {
            source::Expr::Column(column) => column,
            key => {
                let unknown = |_| KeptHere("its type is not known".to_owned());
                let data_type = expr.get_type(&piece.schema).map_err(unknown)?;
                if !piece.delivers(&data_type) {
                    return Err(KeptHere(format!("values of type {data_type} are sorted here")));
                }
                computed.push((key, data_type));
                outputs.len() + computed.len() - 1
            }
        };
        let direction = if *asc { SortDirection::Ascending } else { SortDirection::Descending };
        let nulls = if *nulls_first { NullsOrder::First } else { NullsOrder::Last };
        ordering.push(OrderedBy { column, direction, nulls });
    }
    let is_computed = !computed.is_empty();
    let mut piece = piece.clone();
    if is_computed {
        with_columns(&mut piece, computed)?;
    }
    let keys = ordering
        .iter()
        .map(|by| source::SortKey { expr: source::Expr::Column(by.column), direction: by.direction, nulls: by.nulls })
        .collect();
    let sorted = Box::new(Piece {
        rows: sort.fetch.map_or(piece.rows, |fetch| piece.rows.min(estimate::count(fetch))),
        relation: Relation::Sort {
            input: Box::new(piece.relation),
            keys,
            fetch: sort.fetch.and_then(|fetch| u64::try_from(fetch).ok()),
        },
        ordering,
        ..piece
    });
    Ok(if is_computed { Sorted::ByExpressions(sorted) } else { Sorted::ByColumns(sorted) })
}

/// Adds computed columns behind a piece's own.
fn with_columns(piece: &mut Piece, computed: Vec<(source::Expr, DataType)>) -> Result<(), KeptHere> {
    let width = piece.schema.fields().len();
    let mut fields: Vec<_> = piece.schema.iter().map(|(q, field)| (q.cloned(), Arc::clone(field))).collect();
    let mut exprs: Vec<_> = (0..width).map(source::Expr::Column).collect();
    for (number, (expr, data_type)) in computed.into_iter().enumerate() {
        let name = Column::new_unqualified(format!("sort key {}", number + 1));
        fields.push((None, Arc::new(Field::new(name.name, data_type, true))));
        exprs.push(expr);
    }
    let schema = DFSchema::new_with_metadata(fields, HashMap::new());
    piece.schema = Arc::new(schema.map_err(|_| KeptHere("its columns clash".to_owned()))?);
    let input = std::mem::replace(&mut piece.relation, Relation::Union { inputs: Vec::new() });
    piece.relation = Relation::Project { input: Box::new(input), exprs };
    Ok(())
}
