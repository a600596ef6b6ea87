//! What is done here, as a tree in plain words, with the fragments as its leaves.

use std::collections::BTreeSet;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, FetchType, Join, Limit, LogicalPlan, SkipType, Sort};

use super::counted::{Chains, Class, Counted};
use super::expression::{LONGEST, cut, identifier, listed, order, words};
use super::glossary::{Glossary, is_made_up};
use crate::expression::unaliased;
use crate::federate::{FragmentNode, KeyedJoinNode, PlannedFragment};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Does {
    Answer,
    /// An agency's part of the query: a leaf.
    Fragment,
    Filter,
    Compute,
    Join,
    /// A join whose first input is read first; its keys go with the fragment that is the second.
    KeyedJoin,
    /// A join with another agency's consent register, with or without keys sent: released rows come out of it.
    ConsentCheck,
    Group,
    Sort,
    Limit,
    Union,
    Window,
    Unnest,
    Repeat,
    /// Rows of the query's own, or of the session's own listings.
    Rows,
    /// The value of a subquery, for an expression of the operation that it stands under.
    Subquery,
}

/// How far down an operation reads what lies below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    ToTheEnd,
    /// It may have enough before the end: how much was read then follows from times and sizes.
    UntilEnough,
}

/// One operation, with those that it takes its rows from.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub does: Does,
    pub words: String,
    pub inputs: Vec<Operator>,
    /// The id of the fragment that this is.
    pub fragment: Option<u64>,
    pub reads: Reads,
    /// Whether a pseudonym is made of what comes from below: the length of the real value is not to be told.
    pub makes_pseudonyms: bool,
    pub counted: Option<Counted>,
    pub order: ReadingOrder,
}

/// Which of an operation's inputs is read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadingOrder {
    /// Whichever DataFusion takes for the smaller, by the sources' statistics.
    Any,
    /// The first, whose keys go with the second.
    Keyed,
}

impl Operator {
    pub(super) fn new(does: Does, words: impl Into<String>, inputs: Vec<Self>) -> Self {
        Self {
            does,
            words: words.into(),
            inputs,
            fragment: None,
            reads: Reads::ToTheEnd,
            makes_pseudonyms: false,
            counted: None,
            order: ReadingOrder::Any,
        }
    }

    /// The ids of the fragments below, subqueries' included.
    pub fn fragments(&self) -> BTreeSet<u64> {
        let below = self.inputs.iter().flat_map(Self::fragments);
        self.fragment.into_iter().chain(below).collect()
    }
}

/// Plants the tree of a federated plan.
pub(super) struct Planter<'a> {
    pub glossary: &'a Glossary,
    pub fragments: &'a [PlannedFragment],
    /// What operators have counted, where the plan has been run.
    pub chains: Option<Chains>,
}

impl Planter<'_> {
    /// The whole tree, with the answer as its root.
    pub fn tree(&mut self, plan: &LogicalPlan) -> Operator {
        let columns = plan.schema().columns();
        let named = |column: &Column| match self.glossary.is_plain(&column.name) {
            true => identifier(&column.name),
            false => words(&Expr::Column(column.clone()), self.glossary),
        };
        let said = format!("answer: {}", cut(&columns.iter().map(named).collect::<Vec<_>>().join(", "), LONGEST));
        Operator::new(Does::Answer, said, vec![self.plant(plan)])
    }

    fn plant(&mut self, plan: &LogicalPlan) -> Operator {
        match plan {
            LogicalPlan::Projection(projection) => {
                let computed: Vec<&Expr> = projection.expr.iter().filter(|expr| self.is_computed(expr)).collect();
                let pseudonyms = computed.iter().any(|expr| makes_pseudonyms(expr));
                let (persons, plain): (Vec<&Expr>, Vec<&Expr>) =
                    computed.into_iter().partition(|expr| of_persons(expr));
                let mut said = Vec::new();
                if !plain.is_empty() {
                    said.push(format!("compute {}", self.named(&plain)));
                }
                if !persons.is_empty() {
                    said.push("leave out values of too few persons".to_owned());
                }
                if said.is_empty() {
                    // Columns that are dropped, renamed or put in another order are no work.
                    return self.plant(&projection.input);
                }
                let mut operator = self.over(plan, Does::Compute, Some(Class::Projection), said.join("; "));
                operator.makes_pseudonyms = pseudonyms;
                operator
            }
            LogicalPlan::Filter(filter) => {
                let (persons, plain): (Vec<&Expr>, Vec<&Expr>) =
                    split_conjunction(&filter.predicate).into_iter().partition(|expr| of_persons(expr));
                let mut said = Vec::new();
                if !plain.is_empty() {
                    let predicate = plain.into_iter().cloned().reduce(Expr::and);
                    let text = predicate.map(|predicate| words(&predicate, self.glossary)).unwrap_or_default();
                    said.push(format!("keep rows where {text}"));
                }
                if !persons.is_empty() {
                    said.push("leave out groups of too few persons".to_owned());
                }
                self.over(plan, Does::Filter, Some(Class::Filter), said.join("; "))
            }
            LogicalPlan::Aggregate(aggregate) => {
                let said = self.grouping(aggregate);
                self.over(plan, Does::Group, Some(Class::Aggregate), said)
            }
            LogicalPlan::Distinct(distinct) => {
                let said = match distinct {
                    Distinct::All(_) => "distinct rows".to_owned(),
                    Distinct::On(on) => format!("one row for each {}", listed(&on.on_expr, self.glossary)),
                };
                self.over(plan, Does::Group, Some(Class::Aggregate), said)
            }
            LogicalPlan::Sort(sort) => self.sort(plan, sort),
            LogicalPlan::Limit(limit) => {
                let mut operator = self.over(plan, Does::Limit, Some(Class::Limit), limit_words(limit));
                operator.reads = Reads::UntilEnough;
                operator
            }
            LogicalPlan::Join(join) => self.join(plan, join),
            LogicalPlan::Union(_) => self.over(plan, Does::Union, Some(Class::Union), "all rows of these"),
            LogicalPlan::Window(window) => {
                let said = format!("for each row {}", listed(&window.window_expr, self.glossary));
                self.over(plan, Does::Window, Some(Class::Window), said)
            }
            LogicalPlan::Unnest(unnest) => {
                let columns = unnest.exec_columns.iter().map(|column| Expr::Column(column.clone())).collect::<Vec<_>>();
                let said = format!("one row for each item of {}", listed(&columns, self.glossary));
                self.over(plan, Does::Unnest, Some(Class::Unnest), said)
            }
            LogicalPlan::RecursiveQuery(query) => {
                let said = format!("repeat {} until nothing is added", identifier(&query.name));
                let mut operator = self.over(plan, Does::Repeat, Some(Class::Recursive), said);
                operator.reads = Reads::UntilEnough;
                operator
            }
            LogicalPlan::Values(values) => {
                Operator::new(Does::Rows, format!("{} written in the query", rows(values.values.len())), Vec::new())
            }
            LogicalPlan::EmptyRelation(empty) => {
                let said = if empty.produce_one_row { "one row of no table" } else { "no rows: nothing can match" };
                Operator::new(Does::Rows, said, Vec::new())
            }
            LogicalPlan::TableScan(scan) => Operator::new(Does::Rows, scan.table_name.to_string(), Vec::new()),
            LogicalPlan::SubqueryAlias(alias) => self.plant(&alias.input),
            LogicalPlan::Subquery(subquery) => self.plant(&subquery.subquery),
            LogicalPlan::Repartition(repartition) => self.plant(&repartition.input),
            LogicalPlan::Extension(_) => {
                if let Some(node) = FragmentNode::of(plan) {
                    return self.fragment(node);
                }
                match KeyedJoinNode::of(plan) {
                    Some(keyed) => self.keyed(plan, keyed),
                    None => self.over(plan, Does::Compute, None, "an operation of no name"),
                }
            }
            // Policy refuses all of these: no plan holds one.
            LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => Operator::new(Does::Rows, "no query", Vec::new()),
        }
    }

    /// An operation over all inputs of a plan node, and over the subqueries that its expressions ask.
    fn over(&mut self, plan: &LogicalPlan, does: Does, class: Option<Class>, said: impl Into<String>) -> Operator {
        let counted = class.and_then(|class| self.count(plan, class));
        let mut inputs: Vec<Operator> = plan.inputs().into_iter().map(|input| self.plant(input)).collect();
        inputs.extend(self.subqueries(plan));
        Operator { counted, ..Operator::new(does, said, inputs) }
    }

    fn subqueries(&mut self, plan: &LogicalPlan) -> Vec<Operator> {
        let mut found = Vec::new();
        // Only a failing visitor fails a walk, and this one does not.
        let _ = plan.apply_subqueries(|subquery| {
            let inner = self.plant(subquery);
            found.push(Operator::new(Does::Subquery, "the subquery's value", vec![inner]));
            Ok(TreeNodeRecursion::Continue)
        });
        found
    }

    fn count(&mut self, plan: &LogicalPlan, class: Class) -> Option<Counted> {
        self.chains.as_mut()?.take(&leaves(plan), class)
    }

    fn fragment(&self, node: &FragmentNode) -> Operator {
        let mut tables: Vec<String> = node.origins.iter().map(|origin| origin.table.clone()).collect();
        tables.dedup();
        let tables = if tables.is_empty() { "a consent register".to_owned() } else { tables.join(", ") };
        let once = if node.places > 1 { format!(", read once for {} places", node.places) } else { String::new() };
        let said = format!("{}: {tables}{once}", node.agencies().join(", "));
        Operator { fragment: Some(node.id()), ..Operator::new(Does::Fragment, said, Vec::new()) }
    }

    fn sort(&mut self, plan: &LogicalPlan, sort: &Sort) -> Operator {
        if FragmentNode::of(&sort.input).is_some_and(|node| !node.ordering.is_empty()) {
            // The agency has sorted already.
            return self.plant(&sort.input);
        }
        let first = sort.fetch.map_or(String::new(), |fetch| format!(", first {}", rows(fetch)));
        let said = format!("sort by {}{first}", order(&sort.expr, self.glossary));
        let mut operator = self.over(plan, Does::Sort, Some(Class::Sort), said);
        if let (Some(counted), Some(fetch)) = (&mut operator.counted, sort.fetch) {
            counted.rows = counted.rows.min(u64::try_from(fetch).unwrap_or(u64::MAX));
        }
        // The first rows of what is sorted already can be had without reading the rest.
        let below = leaves(plan);
        let sorted = self.fragments.iter().any(|fragment| fragment.sorted && below.contains(&fragment.id));
        if sort.fetch.is_some() && sorted {
            operator.reads = Reads::UntilEnough;
        }
        operator
    }

    fn grouping(&self, aggregate: &Aggregate) -> String {
        let told = |exprs: &[Expr]| {
            let exprs: Vec<&Expr> = exprs.iter().filter(|expr| !of_persons(expr)).map(unaliased).collect();
            listed(exprs, self.glossary)
        };
        let (groups, calls) = (told(&aggregate.group_expr), told(&aggregate.aggr_expr));
        match (groups.is_empty(), aggregate.aggr_expr.is_empty(), calls.is_empty()) {
            (true, _, true) => "count persons".to_owned(),
            (true, _, false) => format!("over all rows {calls}"),
            (false, true, _) => format!("distinct {groups}"),
            (false, false, true) => format!("group by {groups}"),
            (false, false, false) => format!("group by {groups}: {calls}"),
        }
    }

    fn join(&mut self, plan: &LogicalPlan, join: &Join) -> Operator {
        let check = self.consent_check(join);
        let (does, said) = match check {
            Some(said) => (Does::ConsentCheck, said.to_owned()),
            None => (Does::Join, self.join_words(join)),
        };
        let mut operator = self.over(plan, does, Some(Class::Join), said);
        if matches!(join.join_type, JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark) {
            // The rows that are kept come first.
            operator.inputs.swap(0, 1);
        }
        operator
    }

    fn keyed(&mut self, plan: &LogicalPlan, keyed: &KeyedJoinNode) -> Operator {
        let counted = self.count(plan, Class::Join);
        let (does, said) = match self.consent_check(&keyed.join) {
            Some(said) => (Does::ConsentCheck, said.to_owned()),
            None => (Does::KeyedJoin, self.join_words(&keyed.join)),
        };
        let keys = keyed.words();
        let giver = self.plant(keyed.giver_plan());
        let receiver = self.plant(keyed.receiver_plan());
        let order = ReadingOrder::Keyed;
        Operator { counted, order, ..Operator::new(does, format!("{said}; {keys}"), vec![giver, receiver]) }
    }

    /// What a join with another agency's register does. Who it matches is policy's to know.
    fn consent_check(&self, join: &Join) -> Option<&'static str> {
        let below = leaves(&join.right);
        let register =
            |id: &u64| self.fragments.iter().any(|fragment| fragment.id == *id && fragment.origins.is_empty());
        if below.is_empty() || !below.iter().all(register) {
            return None;
        }
        match join.join_type {
            JoinType::LeftAnti => Some("check consent: leave out rows of persons who refused"),
            JoinType::LeftSemi => Some("check consent: keep rows of persons who consented"),
            _ => None,
        }
    }

    fn join_words(&self, join: &Join) -> String {
        let pairs = join
            .on
            .iter()
            .map(|(left, right)| format!("{} = {}", words(left, self.glossary), words(right, self.glossary)));
        let filter = join.filter.iter().map(|filter| words(filter, self.glossary));
        let on = pairs.chain(filter).collect::<Vec<_>>().join(" AND ");
        let joined = |kind: &str| {
            if on.is_empty() { format!("{kind}, every row with every other") } else { format!("{kind} on {on}") }
        };
        let matched = |kind: &str| if on.is_empty() { format!("{kind} at all") } else { format!("{kind}: {on}") };
        match join.join_type {
            JoinType::Inner => joined("join"),
            JoinType::Left => joined("left join"),
            JoinType::Right => joined("right join"),
            JoinType::Full => joined("full join"),
            JoinType::LeftSemi | JoinType::RightSemi => matched("keep rows that have a match"),
            JoinType::LeftAnti | JoinType::RightAnti => matched("keep rows that have no match"),
            JoinType::LeftMark | JoinType::RightMark => matched("look whether each row has a match"),
        }
    }

    fn is_computed(&self, expr: &Expr) -> bool {
        match unaliased(expr) {
            Expr::Column(_) | Expr::Literal(..) => false,
            // What is computed once for several uses is shown where it is used.
            _ if matches!(expr, Expr::Alias(alias) if is_made_up(&alias.name)) => false,
            // The two sides of a union or comparison come to have one type by casts that nobody wrote.
            Expr::Cast(cast) => self.glossary.casts_to(cast.field.data_type()) || self.is_computed(&cast.expr),
            _ => true,
        }
    }

    /// Computed values, with the names that their author gave them.
    fn named(&self, exprs: &[&Expr]) -> String {
        let named = |expr: &&Expr| {
            let text = words(expr, self.glossary);
            match expr {
                Expr::Alias(alias) if self.glossary.is_plain(&alias.name) => {
                    format!("{text} AS {}", identifier(&alias.name))
                }
                _ => text,
            }
        };
        exprs.iter().map(named).collect::<Vec<_>>().join(", ")
    }
}

/// The ids of the fragments that a plan takes its rows from; those of subqueries in expressions are not among them.
fn leaves(plan: &LogicalPlan) -> BTreeSet<u64> {
    if let Some(node) = FragmentNode::of(plan) {
        return BTreeSet::from([node.id()]);
    }
    plan.inputs().into_iter().flat_map(leaves).collect()
}

/// Whether an expression is one that an output rule has added to count persons.
fn of_persons(expr: &Expr) -> bool {
    const NAMES: [&str; 3] = ["persons in group ", "persons behind value ", "person behind governed relation "];
    let named = |name: &str| NAMES.iter().any(|prefix| name.starts_with(prefix));
    matches!(expr, Expr::Alias(alias) if named(&alias.name))
        || expr.column_refs().iter().any(|column| named(&column.name))
}

fn makes_pseudonyms(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    expr.exists(|part| Ok(matches!(part, Expr::ScalarFunction(function) if function.name() == "pseudonym")))
        .unwrap_or(true)
}

fn limit_words(limit: &Limit) -> String {
    let skip = match limit.get_skip_type() {
        Ok(SkipType::Literal(skip)) => skip,
        _ => 0,
    };
    match (limit.get_fetch_type(), skip) {
        (Ok(FetchType::Literal(Some(fetch))), 0) => format!("first {}", rows(fetch)),
        (Ok(FetchType::Literal(Some(fetch))), skip) => format!("leave out {}, then first {}", rows(skip), rows(fetch)),
        (Ok(FetchType::Literal(None)), skip) => format!("leave out first {}", rows(skip)),
        _ => "a number of rows".to_owned(),
    }
}

pub(super) fn rows(count: usize) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}
