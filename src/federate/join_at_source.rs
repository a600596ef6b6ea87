//! Joins inside one source.

use std::sync::Arc;

use datafusion::common::{JoinSide, NullEquality, ScalarValue};
use datafusion::logical_expr::{Expr, Join, JoinType};
use wayleave_connector_api as source;
use wayleave_connector_api::{Dialect, JoinKind, NotIn, OutputColumn, Relation, SemiKind, SetKind, Support};

use super::carve::exact;
use super::estimate;
use super::piece::{Piece, at_most_one_row, is_distinct, never_null, push_over};
use crate::expression::KeptHere;

/// The join as one piece of the source.
///
/// # Errors
/// [`KeptHere`] where the source does not make it as we do, or its parts move less than it does.
pub(super) fn join_at_source(join: &Join, left: &Piece, right: &Piece) -> Result<Piece, KeptHere> {
    let (relation, rows) = match join.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => plain(join, left, right)?,
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => existence(join, left, right, JoinSide::Left)?,
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            existence(join, right, left, JoinSide::Right)?
        }
    };
    Ok(Piece {
        agency: Arc::clone(&left.agency),
        relation,
        schema: Arc::clone(&join.schema),
        rows,
        scale: left.scale.max(right.scale),
        sides: Some([left, right].map(|side| estimate::expected(side.rows, side.scale))),
        ordering: Vec::new(),
        origins: left.origins.iter().chain(&right.origins).cloned().collect(),
        counting: left.counting.and(right.counting),
    })
}

/// A join whose rows are of both sides.
fn plain(join: &Join, left: &Piece, right: &Piece) -> Result<(Relation, f64), KeptHere> {
    let pairs = pairs(join, left, right, JoinSide::Left)?;
    let is_product = pairs.is_empty() && join.filter.as_ref().is_none_or(is_true);
    let kind = match join.join_type {
        JoinType::Left => JoinKind::Left,
        JoinType::Right => JoinKind::Right,
        JoinType::Full => JoinKind::Full,
        _ => JoinKind::Inner,
    };
    if let Support::Local { reason } | Support::Superset { reason } = left.agency.dialect().join_support(kind) {
        return Err(KeptHere(reason.to_owned()));
    }
    if is_product {
        let grows = match kind {
            JoinKind::Inner => !at_most_one_row(&left.relation) && !at_most_one_row(&right.relation),
            JoinKind::Left => !at_most_one_row(&right.relation),
            JoinKind::Right => !at_most_one_row(&left.relation),
            JoinKind::Full => true,
        };
        if grows {
            return Err(KeptHere("a product of two tables would move more rows than its parts".to_owned()));
        }
    }
    let mut on = Vec::with_capacity(pairs.len() + 1);
    let mut hashed = false;
    for pair in pairs {
        hashed |= pair.is_plain;
        on.push(pair.condition);
    }
    // Databases merge or hash full joins, and refuse one that they cannot.
    if kind == JoinKind::Full && !hashed {
        return Err(KeptHere("a full join without an equality is made here".to_owned()));
    }
    on.extend(filter(join, left, right, JoinSide::Left)?);
    let rows = if is_product { left.rows.max(right.rows) } else { estimate::joined(left.rows, right.rows) };
    let relation =
        Relation::Join { left: Box::new(left.relation.clone()), right: Box::new(right.relation.clone()), kind, on };
    Ok((relation, rows))
}

/// A join whose rows are those of `kept`, which is the join's side `side`.
fn existence(join: &Join, kept: &Piece, other: &Piece, side: JoinSide) -> Result<(Relation, f64), KeptHere> {
    let pairs = pairs(join, kept, other, side)?;
    let (left, right) = (Box::new(kept.relation.clone()), Box::new(other.relation.clone()));
    if join.null_aware {
        return match (pairs.as_slice(), &join.filter, join.join_type) {
            ([pair], None, JoinType::LeftAnti) => {
                let relation = match kept.agency.dialect().not_in() {
                    NotIn::NotIn => {
                        let (left_key, right_key) = (pair.kept.clone(), pair.other.clone());
                        Relation::NotIn { left, right, left_key, right_key }
                    }
                    NotIn::NotExists => not_in_by_existence(kept, other, pair),
                };
                Ok((relation, kept.rows * 0.5))
            }
            _ => Err(KeptHere("NOT IN with a further condition is decided here".to_owned())),
        };
    }
    let kind = match join.join_type {
        JoinType::LeftMark | JoinType::RightMark => None,
        JoinType::LeftAnti | JoinType::RightAnti => Some(SemiKind::NotMatching),
        _ => Some(SemiKind::Matching),
    };
    if let (Some(kind), true) = (kind, is_set_operation(join, kept, other, &pairs)) {
        let kind = match kind {
            SemiKind::Matching => SetKind::Intersect,
            SemiKind::NotMatching => SetKind::Except,
        };
        return Ok((Relation::SetOperation { left, right, kind }, kept.rows * 0.5));
    }
    let mut on: Vec<_> = pairs.into_iter().map(|pair| pair.condition).collect();
    on.extend(filter(join, kept, other, side)?);
    Ok(match kind {
        Some(kind) => (Relation::SemiJoin { left, right, kind, on }, kept.rows * 0.5),
        None => match kept.agency.dialect().mark_join_support() {
            Support::Exact => (Relation::MarkJoin { left, right, on }, kept.rows),
            Support::Superset { reason } | Support::Local { reason } => return Err(KeptHere(reason.to_owned())),
        },
    })
}

/// `NOT IN` as what it means: no equal key; and either nothing to be in at all, or no NULL on either side.
fn not_in_by_existence(kept: &Piece, other: &Piece, pair: &Pair) -> Relation {
    let is_null = |expr: &source::Expr| source::Expr::IsNull(Box::new(expr.clone()));
    let width = kept.outputs().len();
    let (left, right) = (Box::new(kept.relation.clone()), Box::new(other.relation.clone()));
    let unmatched = Relation::SemiJoin {
        left,
        right: right.clone(),
        kind: SemiKind::NotMatching,
        on: vec![pair.condition.clone()],
    };
    let any = Relation::MarkJoin { left: Box::new(unmatched), right: right.clone(), on: Vec::new() };
    let nulls = Relation::Filter { input: right, predicate: is_null(&pair.other) };
    let marked = Relation::MarkJoin { left: Box::new(any), right: Box::new(nulls), on: Vec::new() };
    let not = |expr| source::Expr::Not(Box::new(expr));
    let known = source::Expr::And(vec![not(is_null(&pair.kept)), not(source::Expr::Column(width + 1))]);
    let open = source::Expr::Or(vec![not(source::Expr::Column(width)), known]);
    let decided = Relation::Filter { input: Box::new(marked), predicate: open };
    Relation::Project { input: Box::new(decided), exprs: (0..width).map(source::Expr::Column).collect() }
}

/// Whether a semi join compares distinct rows as wholes: what INTERSECT and EXCEPT do, and databases do well.
fn is_set_operation(join: &Join, kept: &Piece, other: &Piece, pairs: &[Pair]) -> bool {
    let width = kept.outputs().len();
    join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && width > 0
        && width == pairs.len()
        && width == other.outputs().len()
        && pairs.iter().enumerate().all(|(position, pair)| {
            let column = source::Expr::Column(position);
            pair.kept == column && pair.other == column
        })
        && is_distinct(&kept.relation)
}

/// One pair of a join's keys, each over its own side.
struct Pair {
    kept: source::Expr,
    other: source::Expr,
    /// Over the columns of the kept side, then the other's.
    condition: source::Expr,
    /// Whether it is an equality, and nothing else.
    is_plain: bool,
}

fn pairs(join: &Join, kept: &Piece, other: &Piece, side: JoinSide) -> Result<Vec<Pair>, KeptHere> {
    let dialect = kept.agency.dialect();
    let (kept_outputs, other_outputs) = (kept.outputs(), other.outputs());
    let width = kept_outputs.len();
    let outputs = both(&kept_outputs, &other_outputs);
    join.on
        .iter()
        .map(|(left, right)| {
            let (kept_key, other_key) = if side == JoinSide::Left { (left, right) } else { (right, left) };
            let kept_key = kept.push_exact(kept_key)?;
            let other_key = other.push_exact(other_key)?;
            let placed = other_key.map_columns(&|column| source::Expr::Column(column + width));
            let equal = source::Expr::equal(kept_key.clone(), placed.clone());
            let is_plain = join.null_equality == NullEquality::NullEqualsNothing
                || is_never_null(&kept_key, &kept.relation)
                || is_never_null(&other_key, &other.relation);
            let condition = if is_plain {
                equal
            } else {
                let is_null = |expr: &source::Expr| source::Expr::IsNull(Box::new(expr.clone()));
                source::Expr::Or(vec![equal, source::Expr::And(vec![is_null(&kept_key), is_null(&placed)])])
            };
            exact(dialect.support(&condition, &outputs))?;
            Ok(Pair { kept: kept_key, other: other_key, condition, is_plain })
        })
        .collect()
}

fn is_never_null(key: &source::Expr, relation: &Relation) -> bool {
    matches!(key, source::Expr::Column(column) if never_null(relation, *column))
}

/// The join's further condition, over the columns of the kept side, then the other's.
fn filter(join: &Join, kept: &Piece, other: &Piece, side: JoinSide) -> Result<Option<source::Expr>, KeptHere> {
    let Some(filter) = join.filter.as_ref().filter(|filter| !is_true(filter)) else { return Ok(None) };
    let dialect: &dyn Dialect = kept.agency.dialect();
    let (left, right) = if side == JoinSide::Left { (kept, other) } else { (other, kept) };
    let schema = left.schema.join(&right.schema).map_err(|_| KeptHere("its columns clash".to_owned()))?;
    let (left_outputs, right_outputs) = (left.outputs(), right.outputs());
    let pushed = push_over(filter, &Arc::new(schema), &both(&left_outputs, &right_outputs), dialect)?;
    if side == JoinSide::Left {
        return Ok(Some(pushed));
    }
    let (left_width, right_width) = (left_outputs.len(), right_outputs.len());
    Ok(Some(pushed.map_columns(&|column| {
        source::Expr::Column(if column < left_width { column + right_width } else { column - left_width })
    })))
}

fn both(left: &[OutputColumn], right: &[OutputColumn]) -> Vec<OutputColumn> {
    left.iter().chain(right).cloned().collect()
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}
