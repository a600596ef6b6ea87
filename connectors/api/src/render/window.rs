//! Window functions as SQL.

use super::{Renderer, Scope};
use crate::{AggregateFunction, TextUse, WindowCall, WindowFunction};

impl Renderer<'_> {
    pub(super) fn window_call(&self, call: &WindowCall, scope: &Scope) -> String {
        let types = scope.types();
        let literal = |value: &Option<crate::Value>| value.as_ref().map(|value| self.dialect.literal(value));
        let (name, further) = match &call.function {
            WindowFunction::RowNumber => ("row_number", Vec::new()),
            WindowFunction::Rank => ("rank", Vec::new()),
            WindowFunction::DenseRank => ("dense_rank", Vec::new()),
            WindowFunction::Ntile { buckets } => ("ntile", vec![buckets.to_string()]),
            WindowFunction::Lag { offset, default } => {
                ("lag", std::iter::once(offset.to_string()).chain(literal(default)).collect())
            }
            WindowFunction::Lead { offset, default } => {
                ("lead", std::iter::once(offset.to_string()).chain(literal(default)).collect())
            }
            WindowFunction::FirstValue => ("first_value", Vec::new()),
            WindowFunction::LastValue => ("last_value", Vec::new()),
            WindowFunction::NthValue { n } => ("nth_value", vec![n.to_string()]),
            WindowFunction::Aggregate(function) => (self.dialect.aggregate_name(*function), Vec::new()),
        };
        let counts_rows = call.function == WindowFunction::Aggregate(AggregateFunction::Count);
        let argument = call.argument.as_ref().map(|expr| {
            let output = expr.output(&types);
            let sql = self.dialect.plain_text(&self.expr(expr, scope), &output);
            match call.function {
                WindowFunction::Aggregate(function @ (AggregateFunction::Min | AggregateFunction::Max)) => {
                    let ordered = self.dialect.text(&sql, &output, TextUse::Order);
                    self.dialect.aggregate_argument(function, &ordered, &output)
                }
                WindowFunction::Aggregate(function) => self.dialect.aggregate_argument(function, &sql, &output),
                _ => sql,
            }
        });
        let argument = match (&call.filter, argument) {
            (None, None) if counts_rows => Some("*".to_owned()),
            (None, argument) => argument,
            (Some(filter), argument) => {
                let value = argument.unwrap_or_else(|| "1".to_owned());
                Some(format!("CASE WHEN {} THEN {value} END", self.predicate(filter, scope)))
            }
        };
        let arguments: Vec<String> = argument.into_iter().chain(further).collect();
        let mut over = Vec::new();
        if !call.partition_by.is_empty() {
            let keys: Vec<String> = call
                .partition_by
                .iter()
                .map(|key| self.distinct(&self.expr(key, scope), &key.output(&types)))
                .collect();
            over.push(format!("PARTITION BY {}", keys.join(", ")));
        }
        if !call.order_by.is_empty() {
            let keys = self.sort_keys(&call.order_by, scope);
            over.push(format!("ORDER BY {}", keys.join(", ")));
        }
        over.extend(self.dialect.frame(call));
        let sql = format!("{name}({}) OVER ({})", arguments.join(", "), over.join(" "));
        self.dialect.window(call, &sql)
    }
}
