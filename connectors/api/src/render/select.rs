//! A SELECT in the making, and when something may be merged into it.

use crate::{Cut, CutSql, Dialect};

#[derive(Default)]
pub(super) struct Select {
    pub outputs: Vec<String>,
    pub from: String,
    pub conjuncts: Vec<String>,
    pub group_by: Option<Vec<String>>,
    pub having: Option<String>,
    pub order_by: Vec<String>,
    pub limit: Option<u64>,
    pub offset: u64,
    pub computed: Computed,
}

/// What its outputs are made of, which decides where they may be repeated.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Computed {
    #[default]
    Expressions,
    /// EXISTS among them, which a WHERE may repeat and a GROUP BY may not.
    Subqueries,
    /// Window functions, which neither may.
    Windows,
}

impl Select {
    pub fn over(from: String, outputs: Vec<String>) -> Self {
        Self { outputs, from, ..Self::default() }
    }

    /// Whether a condition over its outputs may stand in its own WHERE.
    pub fn takes_filter(&self) -> bool {
        self.is_open() && self.computed != Computed::Windows
    }

    /// Whether it may group, number or order its own rows.
    pub fn takes_grouping(&self) -> bool {
        self.is_open() && self.computed == Computed::Expressions
    }

    /// Whether it can be one branch of a set operation as it is.
    pub fn ends_unordered(&self) -> bool {
        self.order_by.is_empty() && !self.is_limited()
    }

    pub fn is_limited(&self) -> bool {
        self.limit.is_some() || self.offset > 0
    }

    /// Whether only the aggregates among its outputs make it one row.
    pub fn is_one_row(&self) -> bool {
        self.group_by.as_ref().is_some_and(Vec::is_empty) && self.having.is_none()
    }

    fn is_open(&self) -> bool {
        self.group_by.is_none() && self.ends_unordered()
    }

    /// Takes so many of its rows, in its own order where it has one.
    pub fn cut(&mut self, skip: u64, fetch: Option<u64>) {
        let left = self.limit.map(|limit| limit.saturating_sub(skip));
        self.limit = match (left, fetch) {
            (Some(left), Some(fetch)) => Some(left.min(fetch)),
            (left, fetch) => left.or(fetch),
        };
        self.offset = self.offset.saturating_add(skip);
    }

    pub fn sql(self, dialect: &dyn Dialect) -> String {
        let cut = if self.is_limited() {
            dialect.cut(Cut { fetch: self.limit, skip: self.offset, ordered: !self.order_by.is_empty() })
        } else {
            CutSql::default()
        };
        let outputs: Vec<String> = if self.outputs.is_empty() {
            // A SELECT of no columns is refused by most databases: one constant stands for the row.
            vec![format!("1 AS {}", dialect.quote_identifier("c1"))]
        } else {
            self.outputs
                .iter()
                .enumerate()
                .map(|(index, sql)| format!("{sql} AS {}", dialect.quote_identifier(&column_name(index))))
                .collect()
        };
        let mut sql = format!("SELECT {}{} FROM {}", cut.start, outputs.join(", "), self.from);
        if !self.conjuncts.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&self.conjuncts.join(" AND "));
        }
        match self.group_by {
            Some(groups) if !groups.is_empty() => {
                sql.push_str(" GROUP BY ");
                sql.push_str(&groups.join(", "));
            }
            Some(_) | None => {}
        }
        if let Some(having) = self.having {
            sql.push_str(" HAVING ");
            sql.push_str(&having);
        }
        if !self.order_by.is_empty() {
            sql.push_str(" ORDER BY ");
            sql.push_str(&self.order_by.join(", "));
        }
        sql.push_str(&cut.end);
        sql
    }
}

pub(super) fn column_name(index: usize) -> String {
    format!("c{}", index + 1)
}
