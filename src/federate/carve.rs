//! Carving: the walk that finds the largest subtrees of one source.
//!
//! Bottom-up. A node whose inputs are one agency's pieces, and whose expressions that agency answers exactly, makes a larger
//! piece; any other node stays here, over closed pieces. Every node kind is named: one that nobody has thought about is
//! refused.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, DataFusionError, plan_err};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, Projection, Union};
use wayleave_connector_api as source;
use wayleave_connector_api::{Relation, Support};

use super::estimate;
use super::exact_moments::moments_as_sums;
use super::join::{keyed_join, receivers};
use super::join_at_source::join_at_source;
use super::kept::{Kept, written};
use super::node::{Counting, FragmentNode, OrderedBy, Side};
use super::once::read_once;
use super::one_server::may_meet;
use super::piece::{Carved, Piece};
use super::rearrange::rearrange;
use super::scalar_subquery::joined_with_subqueries;
use crate::catalog::Agency;
use crate::error::Error;
use crate::expression::{KeptHere, Pushed};
use crate::policy::{EnforcedPlan, Obligation, ReleasedTable};

/// How much is pushed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PushdownLevel {
    /// The largest subtree of one source.
    #[default]
    Full,
    /// Released relations only; everything else runs here. The other half of every differential test.
    ReleasedRelations,
}

/// A plan whose leaves are fragments, and what policy demands of their SQL.
#[derive(Debug)]
pub struct FederatedPlan {
    pub plan: LogicalPlan,
    /// The whole plan as it was carved.
    pub whole: LogicalPlan,
    pub obligations: Vec<Obligation>,
    /// What could not go to a source, in the order in which it is done.
    pub kept: Vec<Kept>,
}

/// Carves an enforced plan into fragments.
///
/// # Errors
/// [`Error::Plan`] where the plan holds a node that may not be run.
pub fn federate(enforced: &EnforcedPlan, level: PushdownLevel) -> Result<FederatedPlan, Error> {
    let carver = Carver { level, kept: RefCell::default() };
    let failed = |error: DataFusionError| Error::Plan { message: error.strip_backtrace() };
    let whole = moments_as_sums(enforced.plan().clone())
        .and_then(|plan| match level {
            PushdownLevel::Full => rearrange(&plan),
            PushdownLevel::ReleasedRelations => Ok(plan),
        })
        .map_err(failed)?;
    let plan = carver.carve(&whole).and_then(|carved| carver.close(carved)).map_err(failed)?;
    let plan = match level {
        PushdownLevel::Full => read_once(plan).map_err(failed)?,
        PushdownLevel::ReleasedRelations => plan,
    };
    Ok(FederatedPlan { plan, whole, obligations: enforced.obligations(), kept: carver.kept.into_inner() })
}

pub(super) struct Carver {
    level: PushdownLevel,
    kept: RefCell<Vec<Kept>>,
}

impl Carver {
    /// Notes what stays here over rows of this agency, or of several.
    pub(super) fn keep(&self, agency: Option<&Agency>, what: impl Into<String>, why: &KeptHere) {
        let kept = Kept { agency: agency.map(|agency| agency.name.clone()), what: what.into(), why: why.0.clone() };
        let mut all = self.kept.borrow_mut();
        if !all.contains(&kept) {
            all.push(kept);
        }
    }

    pub(super) fn close(&self, carved: Carved) -> Result<LogicalPlan, DataFusionError> {
        match carved {
            Carved::Source(piece) => piece.close(),
            Carved::Local(plan) => Ok(plan),
        }
    }

    pub(super) fn carve(&self, plan: &LogicalPlan) -> Result<Carved, DataFusionError> {
        if self.pushes()
            && let Some(joined) = joined_with_subqueries(plan)?
        {
            return self.carve(&joined);
        }
        // Plans inside expressions (scalar subqueries) are carved on their own.
        let plan = plan
            .clone()
            .map_subqueries(|subquery| match subquery {
                LogicalPlan::Subquery(mut inner) => {
                    inner.subquery = Arc::new(self.close(self.carve(&inner.subquery)?)?);
                    Ok(Transformed::yes(LogicalPlan::Subquery(inner)))
                }
                other => Ok(Transformed::yes(self.close(self.carve(&other)?)?)),
            })?
            .data;
        match &plan {
            LogicalPlan::TableScan(scan) => {
                let provider = source_as_provider(&scan.source)?;
                match provider.downcast_ref::<ReleasedTable>() {
                    Some(table) => self.expand(table, scan),
                    None => Ok(Carved::Local(plan)),
                }
            }
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Join(join) => {
                let left = self.carve(&join.left)?;
                let right = self.carve(&join.right)?;
                self.join(join, left, right)
            }
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::SubqueryAlias(alias) => match self.carve(&alias.input)? {
                Carved::Source(piece) => {
                    Ok(Carved::Source(Box::new(Piece { schema: Arc::clone(&alias.schema), ..*piece })))
                }
                Carved::Local(input) => self.rebuilt(&plan, vec![input]),
            },
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Repartition(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Unnest(_)
            | LogicalPlan::RecursiveQuery(_)
            | LogicalPlan::Subquery(_) => {
                let inputs = plan.inputs().into_iter().map(|input| self.carve(input)).collect::<Result<Vec<_>, _>>()?;
                if let (Some((what, why)), [Carved::Source(piece)], true) =
                    (done_here(&plan), inputs.as_slice(), self.pushes())
                {
                    self.keep(Some(&piece.agency), what, &KeptHere(why.to_owned()));
                }
                let inputs = inputs.into_iter().map(|input| self.close(input)).collect::<Result<Vec<_>, _>>()?;
                self.rebuilt(&plan, inputs)
            }
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Ok(Carved::Local(plan)),
            LogicalPlan::Extension(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => plan_err!("only queries are run"),
        }
    }

    pub(super) fn rebuilt(&self, plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Result<Carved, DataFusionError> {
        Ok(Carved::Local(plan.with_new_exprs(plan.expressions(), inputs)?))
    }

    pub(super) fn pushes(&self) -> bool {
        self.level == PushdownLevel::Full
    }

    fn filter(&self, filter: &Filter) -> Result<Carved, DataFusionError> {
        let mut piece = match self.carve(&filter.input)? {
            Carved::Source(piece) if self.pushes() => piece,
            other => {
                let input = Arc::new(self.close(other)?);
                return Ok(Carved::Local(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), input)?)));
            }
        };
        let outputs = piece.outputs();
        let mut here: Vec<Expr> = Vec::new();
        for conjunct in split_conjunction(&filter.predicate) {
            match piece.push(conjunct) {
                Ok(Pushed::Exact(predicate)) => add_filter(&mut piece, predicate),
                Ok(Pushed::Superset(predicate)) => {
                    let why = match piece.agency.dialect().support(&predicate, &outputs) {
                        Support::Superset { reason } | Support::Local { reason } => reason,
                        Support::Exact => "the source's answer may hold more rows than ours",
                    };
                    let what = format!("filter {}, a second time", written(conjunct));
                    self.keep(Some(&piece.agency), what, &KeptHere(why.to_owned()));
                    add_filter(&mut piece, predicate);
                    here.push(conjunct.clone());
                }
                Err(why) => {
                    self.keep(Some(&piece.agency), format!("filter {}", written(conjunct)), &why);
                    here.push(conjunct.clone());
                }
            }
        }
        let Some(predicate) = here.into_iter().reduce(Expr::and) else { return Ok(Carved::Source(piece)) };
        let input = Arc::new(piece.close()?);
        Ok(Carved::Local(LogicalPlan::Filter(Filter::try_new(predicate, input)?)))
    }

    fn projection(&self, projection: &Projection) -> Result<Carved, DataFusionError> {
        let piece = match self.carve(&projection.input)? {
            Carved::Source(piece) if self.pushes() => *piece,
            other => {
                let input = Arc::new(self.close(other)?);
                return self.rebuilt(&LogicalPlan::Projection(projection.clone()), vec![input.as_ref().clone()]);
            }
        };
        let fields = projection.schema.fields();
        let mut exprs = Vec::with_capacity(fields.len());
        for (expr, field) in projection.expr.iter().zip(fields) {
            let pushed = if piece.delivers(field.data_type()) {
                piece.push_exact(expr)
            } else {
                Err(KeptHere(format!("values of type {} are made here", field.data_type())))
            };
            match pushed {
                Ok(expr) => exprs.push(expr),
                Err(why) => self.keep(Some(&piece.agency), format!("compute {}", written(expr)), &why),
            }
        }
        let exprs = if exprs.len() == fields.len() { Some(exprs) } else { None };
        // An order must not outlive the columns that it speaks of.
        let ordering = exprs.as_ref().and_then(|exprs| {
            piece
                .ordering
                .iter()
                .map(|by| {
                    let column = exprs.iter().position(|expr| *expr == source::Expr::Column(by.column))?;
                    Some(OrderedBy { column, ..*by })
                })
                .collect::<Option<Vec<_>>>()
        });
        match (exprs, ordering) {
            (Some(exprs), Some(ordering)) => Ok(Carved::Source(Box::new(Piece {
                relation: Relation::Project { input: Box::new(piece.relation), exprs },
                schema: Arc::clone(&projection.schema),
                ordering,
                ..piece
            }))),
            _ => {
                let input = self.close_narrowed(piece, projection.expr.iter())?;
                self.rebuilt(&LogicalPlan::Projection(projection.clone()), vec![input])
            }
        }
    }

    /// Closes a piece with the columns that these expressions use, and no others.
    pub(super) fn close_narrowed<'e>(
        &self,
        piece: Piece,
        exprs: impl Iterator<Item = &'e Expr>,
    ) -> Result<LogicalPlan, DataFusionError> {
        if !piece.ordering.is_empty() {
            return piece.close();
        }
        let mut used = BTreeSet::new();
        for expr in exprs {
            for column in expr.column_refs() {
                used.insert(piece.schema.index_of_column(column)?);
            }
        }
        let used: Vec<usize> = used.into_iter().collect();
        piece.narrow(&used)?.close()
    }

    fn union(&self, union: &Union) -> Result<Carved, DataFusionError> {
        let inputs = union.inputs.iter().map(|input| self.carve(input)).collect::<Result<Vec<_>, _>>()?;
        if let (Some(pieces), true) = (of_sources(&inputs), self.pushes())
            && let Some(first) = pieces.first()
            && pieces.iter().enumerate().all(|(n, piece)| pieces.iter().take(n).all(|other| may_meet(other, piece)))
            && pieces.iter().all(|piece| same_types(&piece.schema, &union.schema))
        {
            return Ok(Carved::Source(Box::new(Piece {
                agency: Arc::clone(&first.agency),
                relation: Relation::Union { inputs: pieces.iter().map(|piece| piece.relation.clone()).collect() },
                schema: Arc::clone(&union.schema),
                rows: pieces.iter().map(|piece| piece.rows).sum(),
                scale: pieces.iter().fold(1.0, |most, piece| piece.scale.max(most)),
                sides: None,
                ordering: Vec::new(),
                origins: pieces.iter().flat_map(|piece| piece.origins.clone()).collect(),
                counting: pieces.iter().fold(Counting::Shown, |all, piece| all.and(piece.counting)),
            })));
        }
        if let (Some(pieces), true) = (of_sources(&inputs), self.pushes()) {
            let one = pieces.first().filter(|first| pieces.iter().all(|piece| piece.agency.name == first.agency.name));
            let why = match one {
                Some(_) => "its parts have different types",
                None => "its parts are of different agencies",
            };
            self.keep(one.map(|piece| piece.agency.as_ref()), "union", &KeptHere(why.to_owned()));
        }
        let inputs = inputs.into_iter().map(|input| self.close(input)).collect::<Result<Vec<_>, _>>()?;
        self.rebuilt(&LogicalPlan::Union(union.clone()), inputs)
    }

    fn join(&self, join: &Join, left: Carved, right: Carved) -> Result<Carved, DataFusionError> {
        if let (Carved::Source(left), Carved::Source(right), true) = (&left, &right, self.pushes()) {
            if may_meet(left, right) {
                match join_at_source(join, left, right) {
                    Ok(piece) => return Ok(Carved::Source(Box::new(piece))),
                    Err(why) => self.keep(Some(&left.agency), shown_join(join), &why),
                }
            } else {
                let why = format!("its sides are of agencies `{}` and `{}`", left.agency.name, right.agency.name);
                self.keep(None, shown_join(join), &KeptHere(why));
            }
        }
        let mut here = join.clone();
        here.left = Arc::new(self.close(left.clone())?);
        here.right = Arc::new(self.close(right.clone())?);
        let sides = receivers(join.join_type, join.null_aware);
        self.join_here(here, left, right, &sides)
    }

    /// A join between sources. Where one side may give its keys to the other, and is the smaller, it does.
    ///
    /// `join` already stands over the closed sides.
    pub(super) fn join_here(
        &self,
        join: Join,
        left: Carved,
        right: Carved,
        receivers: &[Side],
    ) -> Result<Carved, DataFusionError> {
        if self.pushes()
            && let Some(keyed) = keyed_join(&join, receivers, &left, &right)
        {
            return Ok(Carved::Local(keyed.into_plan()));
        }
        Ok(Carved::Local(LogicalPlan::Join(join)))
    }
}

pub(super) fn exact(support: Support) -> Result<(), KeptHere> {
    match support {
        Support::Exact => Ok(()),
        Support::Superset { reason } | Support::Local { reason } => Err(KeptHere(reason.to_owned())),
    }
}

pub(super) fn all<T, U>(items: &[T], translate: impl Fn(&T) -> Result<U, KeptHere>) -> Result<Vec<U>, KeptHere> {
    items.iter().map(translate).collect()
}

fn add_filter(piece: &mut Piece, predicate: source::Expr) {
    piece.rows = (piece.rows * estimate::selectivity(&predicate)).max(1.0);
    let input = std::mem::replace(&mut piece.relation, Relation::Union { inputs: Vec::new() });
    piece.relation = Relation::Filter { input: Box::new(input), predicate };
    piece.ordering = Vec::new();
}

/// The pieces, where every input is one.
fn of_sources(inputs: &[Carved]) -> Option<Vec<&Piece>> {
    inputs
        .iter()
        .map(|input| match input {
            Carved::Source(piece) => Some(piece.as_ref()),
            Carved::Local(_) => None,
        })
        .collect()
}

/// A join in a few words.
fn shown_join(join: &Join) -> String {
    let pairs = join.on.iter().map(|(left, right)| format!("{} = {}", written(left), written(right)));
    let conditions: Vec<String> = pairs.chain(join.filter.iter().map(written)).collect();
    if conditions.is_empty() { "join".to_owned() } else { format!("join on {}", conditions.join(" AND ")) }
}

/// What a node does that no source is asked for, and why.
fn done_here(plan: &LogicalPlan) -> Option<(String, &'static str)> {
    match plan {
        LogicalPlan::Distinct(_) => Some(("distinct".to_owned(), "one row of each key is picked here")),
        LogicalPlan::Unnest(_) => Some(("unnest".to_owned(), "lists are taken apart here")),
        LogicalPlan::RecursiveQuery(_) => Some(("recursion".to_owned(), "a recursive query is run here")),
        _ => None,
    }
}

fn same_types(branch: &DFSchemaRef, union: &DFSchemaRef) -> bool {
    branch.fields().len() == union.fields().len()
        && branch.fields().iter().zip(union.fields()).all(|(left, right)| left.data_type() == right.data_type())
}

/// Walks every fragment of a federated plan, subqueries included.
pub(super) fn for_each_fragment(
    plan: &LogicalPlan,
    visit: &mut dyn FnMut(&FragmentNode),
) -> Result<(), DataFusionError> {
    plan.apply_with_subqueries(|node| {
        if let Some(fragment) = FragmentNode::of(node) {
            visit(fragment);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
