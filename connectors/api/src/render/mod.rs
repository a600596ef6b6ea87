//! The canonical SQL generator.
//!
//! Every relation is one SELECT over derived tables with fresh aliases (`t1`, `t2`, …) and outputs `c1`, `c2`, …; two are
//! merged only by the few rules of [`Select`], each of which keeps the answer:
//! a filter joins the WHERE of a SELECT that neither groups, sorts nor limits; a projection replaces the outputs of a
//! SELECT; an aggregate groups a SELECT that does none of these. A [`Scan`] is never merged into: its own SELECT holds the
//! base table (`b`) and every predicate that policy demands, which the engine checks again in the finished text.

mod expr;
mod select;
mod window;

use std::collections::BTreeMap;

use crate::divisible::{Slice, sliced_scan};
use crate::{
    AggregateFunction, Dialect, Expr, Fragment, JoinKind, KeyDisclosure, KeySlot, OutputColumn, Relation, Scan,
    SemiKind, SetKind, TextUse, Unknown, Value,
};

use self::select::{Computed, Select, column_name};

/// What stands in the place of join keys before they are known.
pub const AWAITED_KEYS: &str = "/* join keys, known when the query runs */";

/// What stands in the place of pseudonyms before they are made.
pub const AWAITED_PSEUDONYMS: &str = "/* pseudonyms of join keys, made when the query runs */";

/// Whose eyes the SQL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The source itself, the audit log and the operator: the SQL as it runs.
    Source,
    /// The asker: policy's predicates are named by their agreement and not shown, since they tell of hidden columns.
    Asker,
}

/// Writes a fragment as SQL. `keys` are canonical join keys, or their pseudonyms, for the scan that has a key slot; without
/// them the place is marked by a comment, and such text is for reading, not for running.
pub fn render_fragment(
    dialect: &dyn Dialect,
    fragment: &Fragment,
    keys: Option<&[String]>,
    audience: Audience,
) -> String {
    let keys = keys.map_or(SlotKeys::Awaited, SlotKeys::Only);
    write(Renderer { dialect, keys, audience, slice: None, next_alias: 1 }, fragment)
}

/// Writes a fragment for its source, with keys for its slots by their numbers. A slot without any narrows nothing.
pub fn render_keyed_fragment(dialect: &dyn Dialect, fragment: &Fragment, keys: &BTreeMap<u32, Vec<String>>) -> String {
    let audience = Audience::Source;
    write(Renderer { dialect, keys: SlotKeys::Numbered(keys), audience, slice: None, next_alias: 1 }, fragment)
}

/// What stands in the places of join keys.
#[derive(Clone, Copy)]
enum SlotKeys<'a> {
    /// A comment.
    Awaited,
    /// These keys in the one place that there is.
    Only(&'a [String]),
    Numbered(&'a BTreeMap<u32, Vec<String>>),
}

/// The same text for the source, over one slice of the fragment's divided table; the whole where it has none.
pub(crate) fn render_slice(dialect: &dyn Dialect, fragment: &Fragment, slice: Slice) -> String {
    let slice = sliced_scan(&fragment.root).map(|scan| (scan, slice));
    write(Renderer { dialect, keys: SlotKeys::Awaited, audience: Audience::Source, slice, next_alias: 1 }, fragment)
}

fn write(mut renderer: Renderer<'_>, fragment: &Fragment) -> String {
    let dialect = renderer.dialect;
    let select = renderer.relation(&fragment.root);
    let outputs = fragment.root.outputs();
    let delivered: Vec<String> = select
        .outputs
        .iter()
        .zip(&outputs)
        .zip(fragment.schema.fields())
        .map(|((sql, output), field)| dialect.deliver(sql, output, field.data_type()))
        .collect();
    Select { outputs: delivered, ..select }.sql(dialect)
}

/// What policy demands of a scan, each conjunct as the SQL text that must stand in the scan's own WHERE.
pub fn render_policy_conjuncts(dialect: &dyn Dialect, scan: &Scan) -> Vec<String> {
    let renderer =
        Renderer { dialect, keys: SlotKeys::Awaited, audience: Audience::Source, slice: None, next_alias: 1 };
    let scope = renderer.scan_scope(scan);
    scan.policy.iter().map(|predicate| renderer.predicate(predicate, &scope)).collect()
}

/// What a column position means in the place being written: its SQL and its type.
struct Scope {
    columns: Vec<(String, OutputColumn)>,
    /// Quoted base columns, where a position is a base column whose own index may serve.
    base: Option<Vec<String>>,
    outer: Vec<(String, OutputColumn)>,
    depth: usize,
}

impl Scope {
    fn types(&self) -> Vec<OutputColumn> {
        self.columns.iter().map(|(_, output)| output.clone()).collect()
    }
}

struct Renderer<'a> {
    dialect: &'a dyn Dialect,
    keys: SlotKeys<'a>,
    audience: Audience,
    /// The scan of which only one slice is read.
    slice: Option<(&'a Scan, Slice)>,
    next_alias: usize,
}

impl Renderer<'_> {
    fn relation(&mut self, relation: &Relation) -> Select {
        match relation {
            Relation::Scan(scan) => {
                let select = self.scan(scan);
                self.derived(select, scan.outputs.len())
            }
            Relation::Filter { input, predicate } => {
                let mut select = self.filterable(input);
                let scope = scope_of(&select, input);
                select.conjuncts.push(self.predicate(predicate, &scope));
                select
            }
            Relation::Project { input, exprs } => {
                let mut select = self.relation(input);
                // What makes the one row of an aggregate over everything is the aggregate: without it there would be many.
                if select.is_one_row() && !exprs.iter().any(uses_column) {
                    select = self.derived(select, input.outputs().len());
                }
                let scope = scope_of(&select, input);
                let outputs = exprs.iter().map(|expr| self.expr(expr, &scope)).collect();
                Select { outputs, ..select }
            }
            Relation::Join { left, right, kind, on } => {
                let (left_from, left_columns) = self.joined(left);
                let (right_from, right_columns) = self.joined(right);
                let word = match (kind, on.is_empty()) {
                    (JoinKind::Inner, true) => "CROSS JOIN",
                    (JoinKind::Inner, false) => "JOIN",
                    (JoinKind::Left, _) => "LEFT JOIN",
                    (JoinKind::Right, _) => "RIGHT JOIN",
                    (JoinKind::Full, _) => "FULL JOIN",
                };
                let outputs: Vec<String> = left_columns.into_iter().chain(right_columns).collect();
                let mut select = Select::over(String::new(), outputs);
                let scope = scope_of(&select, relation);
                let condition = match (kind, on.is_empty()) {
                    (JoinKind::Inner, true) => String::new(),
                    (_, true) => " ON 1 = 1".to_owned(),
                    (_, false) => {
                        let conjuncts: Vec<String> = on.iter().map(|expr| self.predicate(expr, &scope)).collect();
                        format!(" ON {}", conjuncts.join(" AND "))
                    }
                };
                select.from = format!("{left_from} {word} {right_from}{condition}");
                select
            }
            Relation::SemiJoin { left, right, kind, on } => {
                let mut select = self.filterable(left);
                let exists = self.exists(left, &select, right, on);
                select.conjuncts.push(match kind {
                    SemiKind::Matching => exists,
                    SemiKind::NotMatching => format!("NOT {exists}"),
                });
                select
            }
            Relation::MarkJoin { left, right, on } => {
                let mut select = self.filterable(left);
                let exists = self.exists(left, &select, right, on);
                select.outputs.push(self.dialect.truth_of(&exists, Unknown::Impossible));
                select.computed = Computed::Subqueries;
                select
            }
            Relation::NotIn { left, right, left_key, right_key } => {
                let mut select = self.filterable(left);
                let left_scope = scope_of(&select, left);
                let (right_from, right_columns) = self.joined(right);
                let right_scope = scope_of(&Select::over(String::new(), right_columns), right);
                let left_key = self.equal_operand(left_key, &left_scope);
                let right_key = self.equal_operand(right_key, &right_scope);
                select.conjuncts.push(format!("({left_key} NOT IN (SELECT {right_key} FROM {right_from}))"));
                select
            }
            Relation::Aggregate { input, groups, aggregates } => {
                let select = self.groupable(input);
                let scope = scope_of(&select, input);
                let grouped: Vec<Grouped> = groups.iter().map(|group| self.group(group, &scope)).collect();
                // A constant in GROUP BY is a position to many databases; it makes no group of its own anyway.
                let is_constant = |group: &Expr, sql: &str| matches!(group, Expr::Literal(_)) || is_position(sql);
                let varying =
                    groups.iter().zip(&grouped).filter(|(group, grouped)| !is_constant(group, &grouped.value));
                let group_by: Vec<String> = varying.map(|(_, grouped)| grouped.key().to_owned()).collect();
                // A grouping by constants alone has a group only where there are rows.
                let count = format!("{}(*)", self.dialect.aggregate_name(AggregateFunction::Count));
                let having = (group_by.is_empty() && !groups.is_empty()).then(|| format!("{count} > 0"));
                let mut outputs: Vec<String> = groups
                    .iter()
                    .zip(grouped)
                    .map(
                        |(group, grouped)| {
                            if is_constant(group, &grouped.value) { grouped.value } else { grouped.output() }
                        },
                    )
                    .collect();
                outputs.extend(aggregates.iter().map(|call| self.aggregate(call, &scope)));
                if having.is_some() && aggregates.is_empty() {
                    // Without an aggregate among its outputs a SELECT is no grouping to every database.
                    let one_row = Select { outputs: vec![count], group_by: Some(group_by), ..select };
                    let counted = self.derived(one_row, 1);
                    let rows = counted.outputs.first().cloned().unwrap_or_default();
                    return Select { outputs, conjuncts: vec![format!("({rows} > 0)")], ..counted };
                }
                Select { outputs, group_by: Some(group_by), having, ..select }
            }
            Relation::GroupingSets { input, groups, sets, aggregates } => {
                let select = self.groupable(input);
                let scope = scope_of(&select, input);
                let grouped: Vec<Grouped> = groups.iter().map(|group| self.group(group, &scope)).collect();
                let keys: Vec<String> = grouped.iter().map(|grouped| grouped.key().to_owned()).collect();
                let sets: Vec<String> = sets
                    .iter()
                    .map(|set| {
                        let named: Vec<&str> = set.iter().filter_map(|n| keys.get(*n)).map(String::as_str).collect();
                        format!("({})", named.join(", "))
                    })
                    .collect();
                let mut outputs: Vec<String> = grouped.into_iter().map(Grouped::output_of_set).collect();
                outputs.push(format!("grouping({})", keys.join(", ")));
                outputs.extend(aggregates.iter().map(|call| self.aggregate(call, &scope)));
                let group_by = Some(vec![format!("GROUPING SETS ({})", sets.join(", "))]);
                Select { outputs, group_by, ..select }
            }
            Relation::Window { input, calls } => {
                let mut select = self.groupable(input);
                let scope = scope_of(&select, input);
                select.outputs.extend(calls.iter().map(|call| self.window_call(call, &scope)));
                select.computed = Computed::Windows;
                select
            }
            Relation::Sort { input, keys, fetch } => {
                // Sorting a grouped SELECT in place would order by its grouping text: one more level keeps it plain.
                let mut select = self.groupable(input);
                let scope = scope_of(&select, input);
                // Nor does a constant, which a projection below may have put there, order anything.
                let varying = keys.iter().filter(|key| !is_position(&self.expr(&key.expr, &scope)));
                select.order_by = self.sort_keys(varying, &scope);
                select.limit = *fetch;
                select
            }
            Relation::Limit { input, skip, fetch } => {
                let mut select = self.relation(input);
                select.cut(*skip, *fetch);
                select
            }
            Relation::SetOperation { left, right, kind } => {
                let word = match kind {
                    SetKind::Intersect => " INTERSECT ",
                    SetKind::Except => " EXCEPT ",
                };
                self.set_operation(&[left, right], word, Some(TextUse::Equality))
            }
            Relation::Union { inputs } => self.set_operation(&inputs.iter().collect::<Vec<_>>(), " UNION ALL ", None),
        }
    }

    /// A relation as a SELECT whose own WHERE takes conditions over its outputs.
    fn filterable(&mut self, relation: &Relation) -> Select {
        let select = self.relation(relation);
        if select.takes_filter() { select } else { self.derived(select, relation.outputs().len()) }
    }

    /// A relation as a SELECT that may group, number or order its rows.
    fn groupable(&mut self, relation: &Relation) -> Select {
        let select = self.relation(relation);
        let width = relation.outputs().len();
        // A number in GROUP BY or ORDER BY is a position: it must stand behind a name there.
        let is_constant = (0..width).any(|column| is_constant(relation, column));
        if select.takes_grouping() && !is_constant { select } else { self.derived(select, width) }
    }

    /// Whether a row of `select`, which is `left`, has a match in `right`.
    fn exists(&mut self, left: &Relation, select: &Select, right: &Relation, on: &[Expr]) -> String {
        let (right_from, right_columns) = self.joined(right);
        let mut columns: Vec<_> = select.outputs.iter().cloned().zip(left.outputs()).collect();
        columns.extend(right_columns.into_iter().zip(right.outputs()));
        let scope = Scope { columns, base: None, outer: Vec::new(), depth: 0 };
        let conjuncts: Vec<String> = on.iter().map(|expr| self.predicate(expr, &scope)).collect();
        let condition =
            if conjuncts.is_empty() { String::new() } else { format!(" WHERE {}", conjuncts.join(" AND ")) };
        format!("EXISTS (SELECT 1 FROM {right_from}{condition})")
    }

    fn group(&self, group: &Expr, scope: &Scope) -> Grouped {
        let (sql, output) = (self.expr(group, scope), group.output(&scope.types()));
        let distinct_key = self.dialect.distinct_key(&sql, &output);
        let value = match distinct_key {
            Some(_) => sql,
            None => self.dialect.text(&sql, &output, TextUse::Equality),
        };
        Grouped { value, distinct_key }
    }

    fn set_operation(&mut self, inputs: &[&Relation], word: &str, text_use: Option<TextUse>) -> Select {
        let count = inputs.first().map_or(0, |input| input.outputs().len());
        let branches: Vec<String> = inputs
            .iter()
            .map(|input| {
                let select = self.relation(input);
                let mut select = if select.ends_unordered() { select } else { self.derived(select, count) };
                let columns = select.outputs.iter().zip(input.outputs());
                select.outputs = columns
                    .map(|(sql, output)| match text_use {
                        Some(_) => self.distinct(sql, &output),
                        None => self.dialect.plain_text(sql, &output),
                    })
                    .collect();
                select.sql(self.dialect)
            })
            .collect();
        let alias = self.alias();
        let mut columns = self.alias_columns(&alias, count);
        if text_use.is_some() {
            let outputs = inputs.first().map_or_else(Vec::new, |input| input.outputs());
            for (column, output) in columns.iter_mut().zip(outputs) {
                if self.dialect.distinct_key(column, &output).is_some() {
                    *column = self.dialect.of_distinct_key(column);
                }
            }
        }
        Select::over(format!("({}) AS {alias}", branches.join(word)), columns)
    }

    /// A relation as one side of a join: its FROM item, and the SQL of its columns.
    fn joined(&mut self, relation: &Relation) -> (String, Vec<String>) {
        let mut select = self.relation(relation);
        if !matches!(relation, Relation::Scan(_)) {
            select = self.derived(select, relation.outputs().len());
        }
        (select.from, select.outputs)
    }

    fn derived(&mut self, mut select: Select, count: usize) -> Select {
        if !select.is_limited() && !self.dialect.orders_derived_tables() {
            select.order_by.clear();
        }
        let alias = self.alias();
        let columns = self.alias_columns(&alias, count);
        Select::over(format!("({}) AS {alias}", select.sql(self.dialect)), columns)
    }

    fn alias(&mut self) -> String {
        let alias = format!("t{}", self.next_alias);
        self.next_alias += 1;
        self.dialect.quote_identifier(&alias)
    }

    fn alias_columns(&self, alias: &str, count: usize) -> Vec<String> {
        (0..count).map(|index| format!("{alias}.{}", self.dialect.quote_identifier(&column_name(index)))).collect()
    }

    fn table(&self, name: &crate::TableName, alias: &str) -> String {
        let schema = self.dialect.quote_identifier(&name.schema);
        let table = self.dialect.quote_identifier(&name.table);
        format!("{schema}.{table} AS {}", self.dialect.quote_identifier(alias))
    }

    fn scan_scope(&self, scan: &Scan) -> Scope {
        self.base_scope("b", &scan.columns, Vec::new(), 0)
    }

    fn base_scope(
        &self,
        alias: &str,
        columns: &[crate::Column],
        outer: Vec<(String, OutputColumn)>,
        depth: usize,
    ) -> Scope {
        let alias = self.dialect.quote_identifier(alias);
        let base: Vec<String> =
            columns.iter().map(|column| format!("{alias}.{}", self.dialect.quote_identifier(&column.name))).collect();
        let columns = columns
            .iter()
            .zip(&base)
            .map(|(column, quoted)| {
                let output = OutputColumn::from(column);
                (self.dialect.read_column(quoted, &output), output)
            })
            .collect();
        Scope { columns, base: Some(base), outer, depth }
    }

    fn scan(&self, scan: &Scan) -> Select {
        let scope = self.scan_scope(scan);
        let outputs = scan.outputs.iter().map(|expr| self.expr(expr, &scope)).collect();
        let mut select = Select::over(self.table(&scan.table, "b"), outputs);
        match (self.audience, &scan.reason) {
            (Audience::Source, _) => {
                select.conjuncts.extend(scan.policy.iter().map(|predicate| self.predicate(predicate, &scope)));
            }
            (Audience::Asker, crate::ScanReason::Released { agreement }) => {
                select.conjuncts.push(format!("released({})", self.dialect.literal(&Value::Text(agreement.clone()))));
            }
            (Audience::Asker, crate::ScanReason::Register { register }) => {
                select.conjuncts.push(format!("register({})", self.dialect.literal(&Value::Text(register.clone()))));
            }
        }
        select.conjuncts.extend(scan.lookups.iter().map(|predicate| self.predicate(predicate, &scope)));
        if let Some((sliced, slice)) = self.slice
            && std::ptr::eq(sliced, scan)
        {
            select.conjuncts.extend(self.dialect.slice(&self.dialect.quote_identifier("b"), slice));
        }
        if let Some(slot) = &scan.keys {
            let quoted = scope.base.as_ref().and_then(|base| base.get(slot.column));
            let output = scope.columns.get(slot.column).map(|(_, output)| output);
            if let (Some(quoted), Some(output)) = (quoted, output) {
                select.conjuncts.extend(self.keyed(slot, quoted, output));
            }
        }
        select
    }

    /// The condition of a key slot; `None` where it narrows nothing.
    fn keyed(&self, slot: &KeySlot, quoted: &str, output: &OutputColumn) -> Option<String> {
        let keys = match self.keys {
            SlotKeys::Awaited => None,
            SlotKeys::Only(keys) => Some(keys),
            SlotKeys::Numbered(keys) => Some(keys.get(&slot.number)?.as_slice()),
        };
        Some(match (slot.disclosure, slot.format) {
            (KeyDisclosure::Plain, format) => match keys {
                Some(keys) => {
                    let written: Vec<String> = match format {
                        Some(format) => keys.iter().flat_map(|key| format.written(key)).collect(),
                        None => keys.to_vec(),
                    };
                    self.dialect.column_in_texts(quoted, output, &written)
                }
                None => format!("{quoted} IN ({AWAITED_KEYS})"),
            },
            (KeyDisclosure::Pseudonymised, Some(format)) => {
                let canonical = self.dialect.canonical_key(&self.dialect.read_column(quoted, output), format);
                let condition = self.dialect.in_pseudonyms(&canonical, format, keys);
                // A slot that cannot be is refused by the parser of the proof, and by the source.
                condition.unwrap_or_else(|| "/* no pseudonyms are made here */".to_owned())
            }
            (KeyDisclosure::Pseudonymised, None) => "/* no pseudonyms without a format */".to_owned(),
        })
    }
}

/// A grouping expression as the value that it is, which a select list must repeat to the letter, and what stands for it
/// where the database takes values for equal that differ.
struct Grouped {
    value: String,
    distinct_key: Option<String>,
}

impl Grouped {
    /// What GROUP BY says.
    fn key(&self) -> &str {
        self.distinct_key.as_deref().unwrap_or(&self.value)
    }

    /// The value of a group. All rows of one key have the same.
    fn output(self) -> String {
        if self.distinct_key.is_some() { format!("min({})", self.value) } else { self.value }
    }

    /// The same where a row may be of a grouping without this expression, in which it is NULL.
    fn output_of_set(self) -> String {
        match &self.distinct_key {
            Some(key) => format!("CASE WHEN grouping({key}) = 0 THEN min({}) END", self.value),
            None => self.value,
        }
    }
}

/// Whether a database would read this text as the position of a column in GROUP BY and ORDER BY.
fn is_position(sql: &str) -> bool {
    let digits = sql.trim_start_matches('-');
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn scope_of(select: &Select, input: &Relation) -> Scope {
    Scope {
        columns: select.outputs.iter().cloned().zip(input.outputs()).collect(),
        base: None,
        outer: Vec::new(),
        depth: 0,
    }
}

fn uses_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_)) || expr.children().into_iter().any(uses_column)
}

/// Whether an output column is a constant where it is written.
fn is_constant(relation: &Relation, column: usize) -> bool {
    match relation {
        Relation::Project { input, exprs } => match exprs.get(column) {
            Some(Expr::Literal(_)) => true,
            Some(Expr::Column(inner)) => is_constant(input, *inner),
            Some(_) | None => false,
        },
        Relation::Filter { input, .. }
        | Relation::Window { input, .. }
        | Relation::Sort { input, .. }
        | Relation::Limit { input, .. } => is_constant(input, column),
        Relation::SemiJoin { left, .. } | Relation::NotIn { left, .. } | Relation::MarkJoin { left, .. } => {
            is_constant(left, column)
        }
        Relation::Scan(_)
        | Relation::Join { .. }
        | Relation::Aggregate { .. }
        | Relation::GroupingSets { .. }
        | Relation::SetOperation { .. }
        | Relation::Union { .. } => false,
    }
}
