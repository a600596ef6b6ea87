//! Queries made up from a seed over released tables.
//!
//! A query is a tree of selects: joins, subqueries, groups, windows, set operations and common table expressions, over
//! expressions of every type (`scalars`). Where a LIMIT or a window looks at the order of rows, the order is total.

use super::chance::Chance;
use super::release::Released;
use super::scalars::{Class, Scalars, Scope, ScopeColumn};
use super::stage::quoted;

pub struct Queries<'a> {
    pub scalars: Scalars<'a>,
    next_alias: usize,
}

/// A select that is not finished: its text without ORDER BY, and its outputs.
struct Select {
    sql: String,
    outputs: Vec<(String, Class)>,
    /// Whether the ORDER BY may name outputs alone.
    by_outputs: bool,
}

impl<'a> Queries<'a> {
    pub fn new(released: &'a [Released], seed: u64) -> Self {
        Self { scalars: Scalars { released, chance: Chance::new(seed) }, next_alias: 0 }
    }

    fn chance(&mut self) -> &mut Chance {
        &mut self.scalars.chance
    }

    fn alias(&mut self) -> String {
        self.next_alias += 1;
        format!("q{}", self.next_alias)
    }

    pub fn query(&mut self) -> String {
        if self.chance().once_in(9) {
            let name = self.alias();
            let (inner, outputs) = self.finished(1);
            let scope = derived_scope(&name, &outputs);
            let select = self.over(&name, &scope, 1);
            let body = self.ordered(select);
            return format!("WITH {name} AS ({inner}) {body}");
        }
        self.finished(2).0
    }

    /// A whole query and its outputs.
    fn finished(&mut self, depth: usize) -> (String, Vec<(String, Class)>) {
        let select = self.select(depth);
        let outputs = select.outputs.clone();
        (self.ordered(select), outputs)
    }

    fn ordered(&mut self, select: Select) -> String {
        if self.chance().once_in(3) {
            return select.sql;
        }
        let mut keys: Vec<String> = select.outputs.iter().map(|(name, _)| name.clone()).collect();
        for position in (1..keys.len()).rev() {
            let other = self.chance().below(position + 1);
            keys.swap(position, other);
        }
        let mut keys: Vec<String> = keys.into_iter().map(|key| format!("{key}{}", self.direction())).collect();
        if select.by_outputs && self.chance().once_in(6) {
            keys.truncate(1);
            return format!("{} ORDER BY {}", select.sql, keys.join(", "));
        }
        let limit = match self.chance().below(5) {
            0 => format!(" LIMIT {}", self.chance().pick(&[1, 1, 2, 3, 5, 8, 13, 20, 0])),
            1 => format!(" LIMIT {} OFFSET {}", self.chance().pick(&[1, 2, 5, 20]), self.chance().pick(&[0, 1, 2, 5])),
            _ => String::new(),
        };
        format!("{} ORDER BY {}{limit}", select.sql, keys.join(", "))
    }

    fn direction(&mut self) -> &'static str {
        self.chance().pick(&[" NULLS LAST", " DESC NULLS FIRST", " DESC NULLS LAST", " NULLS FIRST", "", " DESC"])
    }

    fn select(&mut self, depth: usize) -> Select {
        if depth > 0 && self.chance().once_in(8) {
            return self.set_operation(depth);
        }
        let (from, scope) = self.from(depth);
        self.over(&from, &scope, depth)
    }

    /// A select over a FROM clause.
    fn over(&mut self, from: &str, scope: &Scope, depth: usize) -> Select {
        match self.chance().below(10) {
            0..=3 => self.plain(from, scope, depth),
            4 => self.distinct(from, scope, depth),
            5..=7 => self.grouped(from, scope, depth),
            8 => self.whole(from, scope, depth),
            _ => self.windowed(from, scope, depth),
        }
    }

    fn plain(&mut self, from: &str, scope: &Scope, depth: usize) -> Select {
        let count = self.chance().between(1, 4);
        let outputs: Vec<(String, Class)> = (0..count).map(|_| self.output(scope, 2)).collect();
        let filter = self.filter(scope, depth);
        self.listed("SELECT", outputs, &format!(" FROM {from}{filter}"), true)
    }

    fn distinct(&mut self, from: &str, scope: &Scope, depth: usize) -> Select {
        let count = self.chance().between(1, 3);
        let outputs: Vec<(String, Class)> = (0..count).map(|_| self.output(scope, 1)).collect();
        let filter = self.filter(scope, depth);
        self.listed("SELECT DISTINCT", outputs, &format!(" FROM {from}{filter}"), false)
    }

    fn output(&mut self, scope: &Scope, depth: usize) -> (String, Class) {
        if self.chance().once_in(2) {
            let column = self.scalars.column(scope, None);
            return column.unwrap_or(("1".to_owned(), Class::Integer));
        }
        if scope.tables.len() == 1 && self.chance().once_in(14) {
            return (self.scalar_subquery(scope), Class::Integer);
        }
        let class = self.scalars.class(scope);
        (self.scalars.expr(scope, class, depth), class)
    }

    fn listed(&mut self, word: &str, outputs: Vec<(String, Class)>, rest: &str, by_outputs: bool) -> Select {
        let named: Vec<String> =
            outputs.iter().enumerate().map(|(number, (sql, _))| format!("{sql} AS o{number}")).collect();
        let outputs =
            outputs.into_iter().enumerate().map(|(number, (_, class))| (format!("o{number}"), class)).collect();
        Select { sql: format!("{word} {}{rest}", named.join(", ")), outputs, by_outputs }
    }

    fn filter(&mut self, scope: &Scope, depth: usize) -> String {
        if self.chance().once_in(2) {
            return String::new();
        }
        let mut parts = Vec::new();
        if depth > 0 && self.chance().once_in(4) {
            parts.push(self.membership(scope));
        }
        if parts.is_empty() || self.chance().once_in(3) {
            parts.push(self.scalars.predicate(scope, 2));
        }
        format!(" WHERE {}", parts.join(" AND "))
    }

    /// IN, EXISTS and their negations over another table; at times inside another condition.
    fn membership(&mut self, scope: &Scope) -> String {
        let (from, inner) = self.one_table();
        let not = if self.chance().once_in(2) { "NOT " } else { "" };
        let inside = self.scalars.predicate(&inner, 1);
        let condition = match (self.chance().below(4), self.scalars.pair(scope, &inner)) {
            (0, Some((outer, inner_column, _))) => {
                format!("{outer} {not}IN (SELECT {inner_column} FROM {from} WHERE {inside})")
            }
            (1, Some((outer, inner_column, _))) => {
                format!("{not}EXISTS (SELECT 1 FROM {from} WHERE {inner_column} = {outer} AND {inside})")
            }
            (2, Some((outer, inner_column, class))) if class.is_ordered() => {
                let function = self.chance().pick(&["min", "max"]);
                let op = self.chance().pick(&["=", "<", ">=", "<>"]);
                format!("{outer} {op} (SELECT {function}({inner_column}) FROM {from} WHERE {inside})")
            }
            _ => format!("{not}EXISTS (SELECT 1 FROM {from} WHERE {inside})"),
        };
        if self.chance().once_in(5) {
            return format!("({condition} OR {})", self.scalars.predicate(scope, 0));
        }
        condition
    }

    fn scalar_subquery(&mut self, scope: &Scope) -> String {
        let (from, inner) = self.one_table();
        match self.scalars.pair(scope, &inner) {
            Some((outer, inner_column, _)) if self.chance().once_in(2) => {
                format!("(SELECT count(*) FROM {from} WHERE {inner_column} = {outer})")
            }
            _ => format!("(SELECT count(*) FROM {from} WHERE {})", self.scalars.predicate(&inner, 1)),
        }
    }

    fn grouped(&mut self, from: &str, scope: &Scope, depth: usize) -> Select {
        let mut groups: Vec<(String, Class)> = Vec::new();
        // DataFusion takes a grouping expression that folds to a constant for one in every grouping set, where it is NULL.
        let in_sets = scope.columns.iter().all(|column| column.place.is_some()) && self.chance().once_in(4);
        for _ in 0..self.chance().between(1, 2) {
            let group = match self.scalars.column(scope, None) {
                Some(column) if in_sets || !self.chance().once_in(3) => column,
                _ => {
                    let class = self.scalars.class(scope);
                    (self.scalars.expr(scope, class, 1), class)
                }
            };
            if !groups.iter().any(|(known, _)| *known == group.0) {
                groups.push(group);
            }
        }
        let filter = self.filter(scope, depth);
        let list = groups.iter().map(|(sql, _)| sql.clone()).collect::<Vec<_>>().join(", ");
        let by = match self.chance().below(3) {
            0 if in_sets => format!("ROLLUP ({list})"),
            1 if in_sets && groups.len() == 2 => format!("CUBE ({list})"),
            2 if in_sets && groups.len() == 2 => format!("GROUPING SETS (({list}), ({}), ())", groups[1].0),
            _ => list,
        };
        let having = match self.chance().below(5) {
            0 => " HAVING count(*) > 1".to_owned(),
            1 => {
                let (aggregate, class) = self.scalars.aggregate(scope);
                let constant = self.scalars.constant(class);
                format!(" HAVING {aggregate} {} {constant}", self.chance().pick(&["<>", ">", "<="]))
            }
            _ => String::new(),
        };
        let mut outputs = groups;
        for _ in 0..self.chance().between(0, 3) {
            let aggregate = self.scalars.aggregate(scope);
            outputs.push(aggregate);
        }
        self.listed("SELECT", outputs, &format!(" FROM {from}{filter} GROUP BY {by}{having}"), false)
    }

    /// Aggregates over everything.
    fn whole(&mut self, from: &str, scope: &Scope, depth: usize) -> Select {
        let count = self.chance().between(1, 4);
        let outputs: Vec<(String, Class)> = (0..count).map(|_| self.scalars.aggregate(scope)).collect();
        let filter = self.filter(scope, depth);
        self.listed("SELECT", outputs, &format!(" FROM {from}{filter}"), false)
    }

    fn windowed(&mut self, from: &str, scope: &Scope, depth: usize) -> Select {
        let unique: Vec<String> = scope.tables.iter().filter_map(|table| table.unique.clone()).collect();
        let total = (unique.len() == scope.tables.len()).then(|| {
            let keys: Vec<String> = unique.iter().map(|column| format!("{column}{}", self.direction())).collect();
            keys.join(", ")
        });
        let mut outputs: Vec<(String, Class)> = unique.iter().map(|column| (column.clone(), Class::Integer)).collect();
        for _ in 0..self.chance().between(1, 2) {
            let partition = match self.scalars.column(scope, None) {
                Some((column, _)) if !self.chance().once_in(3) => format!("PARTITION BY {column}"),
                _ => String::new(),
            };
            let prefix = match self.scalars.column(scope, None) {
                Some((column, class)) if class.is_ordered() && self.chance().once_in(2) => {
                    format!("{column}{}, ", self.direction())
                }
                _ => String::new(),
            };
            let output = match (&total, self.chance().below(7)) {
                (Some(total), 0) => {
                    (format!("row_number() OVER ({partition} ORDER BY {prefix}{total})"), Class::Integer)
                }
                (Some(total), 1) => {
                    let (column, class) = self.scalars.column(scope, None).unwrap_or(("1".to_owned(), Class::Integer));
                    let function = self.chance().pick(&["lag", "lead", "first_value", "last_value"]);
                    (format!("{function}({column}) OVER ({partition} ORDER BY {prefix}{total})"), class)
                }
                (Some(total), 2) => {
                    let (aggregate, class) = self.scalars.plain_aggregate(scope);
                    let frame = self.chance().pick(&[
                        "",
                        " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                        " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
                    ]);
                    (format!("{aggregate} OVER ({partition} ORDER BY {prefix}{total}{frame})"), class)
                }
                (_, 3) if !prefix.is_empty() => {
                    let function = self.chance().pick(&["rank", "dense_rank"]);
                    (
                        format!("{function}() OVER ({partition} ORDER BY {})", prefix.trim_end_matches(", ")),
                        Class::Integer,
                    )
                }
                _ => {
                    let (aggregate, class) = self.scalars.plain_aggregate(scope);
                    (format!("{aggregate} OVER ({partition})"), class)
                }
            };
            outputs.push(output);
        }
        let filter = self.filter(scope, depth);
        self.listed("SELECT", outputs, &format!(" FROM {from}{filter}"), false)
    }

    fn set_operation(&mut self, depth: usize) -> Select {
        let word = self.chance().pick(&[
            "UNION ALL",
            "UNION ALL",
            "UNION",
            "INTERSECT",
            "EXCEPT",
            "INTERSECT ALL",
            "EXCEPT ALL",
        ]);
        let (left_from, left) = self.one_table();
        let (right_from, right) = self.one_table();
        let mut columns: Vec<(String, String, Class)> = Vec::new();
        for _ in 0..self.chance().between(1, 3) {
            // DataFusion refuses its own plan where one column stands twice below a sorted union.
            let pair = self.scalars.pair(&left, &right);
            if let Some((one, other, class)) = pair
                && !columns.iter().any(|(left, right, _)| *left == one || *right == other)
            {
                columns.push((one, other, class));
            }
        }
        if columns.is_empty() {
            columns.push(("1".to_owned(), "2".to_owned(), Class::Integer));
        }
        let (left_columns, right_columns): (Vec<_>, Vec<_>) =
            columns.iter().map(|(left, right, class)| ((left.clone(), *class), (right.clone(), *class))).unzip();
        let (left_filter, right_filter) = (self.filter(&left, 0), self.filter(&right, 0));
        let left = self.listed("SELECT", left_columns, &format!(" FROM {left_from}{left_filter}"), false);
        let right = self.listed("SELECT", right_columns, &format!(" FROM {right_from}{right_filter}"), false);
        let sql = format!("{} {word} {}", left.sql, right.sql);
        if depth > 1 && self.chance().once_in(3) {
            let name = self.alias();
            let scope = derived_scope(&name, &left.outputs);
            return self.over(&format!("({sql}) AS {name}"), &scope, 0);
        }
        Select { sql, outputs: left.outputs, by_outputs: false }
    }

    fn one_table(&mut self) -> (String, Scope) {
        let tables = self.scalars.released.len();
        let position = self.chance().below(tables);
        let alias = self.alias();
        let table = &self.scalars.released[position];
        let sql = format!("{}.{}.{} AS {alias}", table.agency, quoted(&table.schema), quoted(&table.table));
        (sql, table_scope(&alias, position, table))
    }

    /// One to three tables or derived tables, joined.
    fn from(&mut self, depth: usize) -> (String, Scope) {
        let (mut sql, mut scope) = self.item(depth);
        let more = self.chance().pick(&[0, 0, 0, 1, 1, 1, 1, 2]);
        for _ in 0..more {
            let (right, right_scope) = self.item(if depth > 0 { depth - 1 } else { 0 });
            let kind = self.chance().pick(&[
                "JOIN",
                "JOIN",
                "LEFT JOIN",
                "LEFT JOIN",
                "RIGHT JOIN",
                "FULL JOIN",
                "CROSS JOIN",
            ]);
            let keys = (scope.tables.last().and_then(|table| table.key.clone()), right_scope.tables[0].key.clone());
            let mut on_keys = false;
            let equal = match keys {
                (Some(left), Some(right)) if !self.chance().once_in(6) => {
                    on_keys = true;
                    Some(format!("{left} = {right}"))
                }
                _ => self.scalars.pair(&scope, &right_scope).map(|(left, right, _)| format!("{left} = {right}")),
            };
            let both = scope.and(&right_scope);
            // Columns that are no keys seldom meet.
            let kind = match kind {
                "JOIN" if !on_keys && !self.chance().once_in(4) => "LEFT JOIN",
                kind => kind,
            };
            sql = match (kind, equal) {
                ("CROSS JOIN", _) if more == 1 => format!("{sql} CROSS JOIN {right}"),
                (_, None) => format!("{sql} CROSS JOIN {right}"),
                ("CROSS JOIN", Some(equal)) => format!("{sql} JOIN {right} ON {equal}"),
                // A full join is on equal columns alone: what else it may be on, DataFusion refuses.
                (kind, Some(equal)) if kind == "FULL JOIN" || !self.chance().once_in(4) => {
                    format!("{sql} {kind} {right} ON {equal}")
                }
                (kind, Some(equal)) => {
                    let also = self.scalars.predicate(&both, 0);
                    format!("{sql} {kind} {right} ON {equal} AND {also}")
                }
            };
            scope = both;
        }
        (sql, scope)
    }

    fn item(&mut self, depth: usize) -> (String, Scope) {
        if depth < 2 || !self.chance().once_in(6) {
            return self.one_table();
        }
        let (inner, outputs) = self.finished(0);
        let name = self.alias();
        let scope = derived_scope(&name, &outputs);
        (format!("({inner}) AS {name}"), scope)
    }
}

fn table_scope(alias: &str, position: usize, table: &Released) -> Scope {
    let sql = |name: &String| format!("{alias}.{}", quoted(name));
    Scope {
        tables: vec![super::scalars::ScopeTable {
            unique: table.unique.as_ref().map(sql),
            key: table.key.as_ref().map(sql),
        }],
        columns: table
            .columns
            .iter()
            .enumerate()
            .map(|(column, (name, data_type))| ScopeColumn {
                sql: sql(name),
                class: Class::of(data_type),
                place: Some((position, column)),
            })
            .collect(),
    }
}

fn derived_scope(name: &str, outputs: &[(String, Class)]) -> Scope {
    Scope {
        tables: vec![super::scalars::ScopeTable { unique: None, key: None }],
        columns: outputs
            .iter()
            .map(|(output, class)| ScopeColumn { sql: format!("{name}.{output}"), class: *class, place: None })
            .collect(),
    }
}
