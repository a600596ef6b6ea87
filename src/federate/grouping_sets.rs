//! GROUPING SETS, ROLLUP and CUBE, as far as a source makes them.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet};
use wayleave_connector_api as source;
use wayleave_connector_api::{AggregateFunction, GroupingSets, Relation, Value};

use super::aggregate::aggregate_call;
use super::carve::{all, exact};
use super::estimate;
use super::piece::{Piece, at_source};
use crate::expression::KeptHere;

/// Where every grouping reads its rows anew, more than these would read them too often.
const MOST_GROUPINGS: usize = 16;

/// The grouping as one piece of the source.
///
/// # Errors
/// [`KeptHere`] with the reason.
pub(super) fn grouping_sets_at_source(aggregate: &Aggregate, piece: &Piece) -> Result<Piece, KeptHere> {
    let dialect = piece.agency.dialect();
    let outputs = piece.outputs();
    let unreadable = |_| KeptHere("its grouping cannot be read".to_owned());
    let listed = grouping_set_to_exprlist(&aggregate.group_expr).map_err(unreadable)?;
    let [Expr::GroupingSet(set)] = aggregate.group_expr.as_slice() else {
        return Err(KeptHere("several grouping sets side by side are made here".to_owned()));
    };
    let sets = positions(set, &listed)?;
    let groups = all(&listed, |expr| {
        let group = piece.push_exact(expr)?;
        if matches!(group, source::Expr::Literal(_)) {
            return Err(KeptHere("grouping sets over a constant are made here".to_owned()));
        }
        exact(dialect.group_support(&group.output(&outputs)))?;
        Ok(group)
    })?;
    let fields = aggregate.schema.fields();
    if !fields.iter().all(|field| piece.delivers(field.data_type())) {
        return Err(KeptHere("values of its type are made here".to_owned()));
    }
    let typed = aggregate.aggr_expr.iter().zip(fields.iter().skip(listed.len() + 1));
    let aggregates = typed
        .map(|(call, field)| aggregate_call(call, piece, &outputs, field.data_type().clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let input = piece.relation.clone();
    let relation = match dialect.grouping_sets() {
        GroupingSets::Native => Relation::GroupingSets { input: Box::new(input), groups, sets, aggregates },
        GroupingSets::UnionAll if sets.len() > MOST_GROUPINGS => {
            return Err(KeptHere("so many groupings would read the rows once each".to_owned()));
        }
        GroupingSets::UnionAll => {
            let types = fields.iter().map(|field| at_source(field.data_type())).collect::<Vec<_>>();
            let inputs = sets.iter().map(|set| one_of(&input, &groups, set, &aggregates, &types)).collect();
            Relation::Union { inputs }
        }
    };
    Ok(Piece {
        agency: Arc::clone(&piece.agency),
        relation,
        schema: Arc::clone(&aggregate.schema),
        rows: estimate::grouped(piece.rows, listed.len()),
        scale: piece.scale,
        sides: None,
        ordering: Vec::new(),
        origins: piece.origins.clone(),
        counting: piece.counting,
    })
}

/// For each set, which of the listed expressions are in it.
fn positions(set: &GroupingSet, listed: &[&Expr]) -> Result<Vec<Vec<usize>>, KeptHere> {
    let place = |expr: &Expr| {
        let found = listed.iter().position(|other| *other == expr);
        found.ok_or_else(|| KeptHere("its grouping cannot be read".to_owned()))
    };
    let sets: Vec<Vec<usize>> = match set {
        GroupingSet::GroupingSets(sets) => sets
            .iter()
            .map(|set| {
                let mut places = set.iter().map(place).collect::<Result<Vec<_>, _>>()?;
                places.sort_unstable();
                places.dedup();
                Ok(places)
            })
            .collect::<Result<_, KeptHere>>()?,
        GroupingSet::Rollup(exprs) => {
            let places = exprs.iter().map(place).collect::<Result<Vec<_>, _>>()?;
            (0..=places.len()).rev().map(|count| places.iter().take(count).copied().collect()).collect()
        }
        GroupingSet::Cube(exprs) => {
            let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
            for expr in exprs {
                let place = place(expr)?;
                let with: Vec<Vec<usize>> =
                    sets.iter().map(|set| set.iter().copied().chain([place]).collect()).collect();
                sets.extend(with);
            }
            sets
        }
    };
    // The number of a set says which expressions it lacks; two of one kind need more than that.
    let twice = sets.iter().enumerate().any(|(n, set)| sets.iter().take(n).any(|other| other == set));
    let repeated = listed.iter().enumerate().any(|(n, expr)| listed.iter().take(n).any(|other| other == expr));
    if twice || repeated {
        return Err(KeptHere("the same grouping set twice is made here".to_owned()));
    }
    Ok(sets)
}

/// One set's grouping, with the columns of all of them.
fn one_of(
    input: &Relation,
    groups: &[source::Expr],
    set: &[usize],
    aggregates: &[source::Aggregate],
    types: &[DataType],
) -> Relation {
    let by: Vec<source::Expr> = set.iter().filter_map(|place| groups.get(*place).cloned()).collect();
    let mut calls = aggregates.to_vec();
    if by.is_empty() && calls.is_empty() {
        // One row, of nothing: a SELECT needs something to make it of.
        calls.push(source::Aggregate {
            function: AggregateFunction::Count,
            argument: None,
            distinct: false,
            filter: None,
            data_type: DataType::Int64,
        });
    }
    let grouped = by.len();
    let mut exprs: Vec<source::Expr> = (0..groups.len())
        .map(|place| match set.iter().position(|other| *other == place) {
            Some(column) => source::Expr::Column(column),
            None => source::Expr::Literal(Value::Null(types.get(place).cloned().unwrap_or(DataType::Null))),
        })
        .collect();
    let lacking = (0..groups.len()).fold(0_i64, |bits, place| (bits << 1) | i64::from(!set.contains(&place)));
    exprs.push(source::Expr::Literal(Value::Int64(lacking)));
    exprs.extend((0..aggregates.len()).map(|call| source::Expr::Column(grouped + call)));
    let aggregate = Relation::Aggregate { input: Box::new(input.clone()), groups: by, aggregates: calls };
    Relation::Project { input: Box::new(aggregate), exprs }
}
