//! SQL Server's SQL, and what it declares of its own behaviour: Transact-SQL of SQL Server 2016 and later.
//!
//! In: parts of a fragment. Out: SQL text, and what SQL Server answers as we would. Three things shape both.
//!
//! Text. Ours is compared byte by byte; SQL Server's by a collation that may ignore case and accents, and, whichever it is,
//! blanks at the end. A text column keeps its own type and collation as long as it is only passed on; wherever its value
//! matters it becomes `nvarchar` under [`BINARY`], and lengths are compared beside values, or a mark is put at the end of
//! both. A comparison that the column's own collation also answers, with a superset, says that too, so that its index
//! serves. Order stays here: UTF-16 and UTF-8 do not sort alike.
//!
//! Truth. There are no boolean values: a predicate becomes a `bit` by CASE, a `bit` a predicate by `= 1`.
//!
//! Errors. Nothing here raises one for any row: lengths are never negative, texts become dates by TRY_CONVERT, and sums
//! are made in a type that holds them.
//!
//! Session settings that the text relies on stand in `session`.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::{
    Aggregate, AggregateFunction, Calculation, CompareOp, Comparison, Cut, CutSql, DatePart, DateUnit, Dialect, Expr,
    Frame, FrameBound, FrameUnits, KeyFormat, Mask, NotIn, NullsOrder, OutputColumn, SortDirection, Support,
    TextFunction, TextPart, TextUse, Unknown, Value, WindowCall, WindowFunction, arithmetic_support, widens,
};

mod function;
mod key;
mod list;
mod literal;
mod moment;
mod pattern;
mod text;

use crate::types::{reading_cast, server_type};

/// Compares UTF-16 code units; nothing else that every server since 2016 has does.
pub(crate) const BINARY: &str = "Latin1_General_100_BIN2";

/// As many branches deep as an expression may be: SQL Server allows ten, and some of what is written takes two.
const DEEPEST_CASE: usize = 4;

/// From some thousands of values on SQL Server runs out of resources for a written list.
const LONGEST_LIST: usize = 1_000;

/// A chain of ANDs or ORs is a tree of that depth to SQL Server.
const LONGEST_CHAIN: usize = 400;

const FLOATS: Support = Support::Local { reason: "SQL Server and we round and order floats in ways that may differ" };
const TEXT_ORDER: Support =
    Support::Local { reason: "SQL Server orders text by UTF-16 units and ignores blanks at its end" };
const OTHERS: Support = Support::Local { reason: "SQL Server has no type that is compared in the same way" };
const LONG: Support = Support::Local { reason: "SQL Server refuses an expression of this size" };

/// See the module's own text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqlServerDialect;

impl Dialect for SqlServerDialect {
    fn name(&self) -> &'static str {
        "sqlserver"
    }

    fn expr_support(&self, expr: &Expr, input: &[OutputColumn]) -> Support {
        match expr {
            Expr::Column(_) | Expr::Outer(_) | Expr::Not(_) | Expr::IsNull(_) | Expr::IsNotNull(_) => Support::Exact,
            Expr::And(parts) | Expr::Or(parts) if parts.len() > LONGEST_CHAIN => LONG,
            Expr::And(_) | Expr::Or(_) => Support::Exact,
            Expr::Case { .. } | Expr::Coalesce(_) => {
                if case_depth(expr) > DEEPEST_CASE {
                    LONG
                } else {
                    Support::Exact
                }
            }
            Expr::Literal(value) => literal::support(value),
            Expr::Compare { op, left, right } => {
                let typed = |side: &Expr| (!matches!(side, Expr::Outer(_))).then(|| side.output(input).data_type);
                match typed(left).or_else(|| typed(right)) {
                    Some(data_type) => comparison_support(*op, &data_type),
                    None => Support::Local { reason: "a comparison of two outer columns belongs to the outer query" },
                }
            }
            Expr::InList { expr, list, .. } => {
                if list.len() > LONGEST_LIST {
                    return LONG;
                }
                let unwritable = list.iter().map(literal::support).find(|support| *support != Support::Exact);
                unwritable.unwrap_or_else(|| match expr.output(input).data_type {
                    DataType::Binary => OTHERS,
                    data_type => comparison_support(CompareOp::Equal, &data_type),
                })
            }
            Expr::Like { expr, pattern, negated } => match expr.output(input).data_type {
                DataType::Utf8 => pattern::support(pattern, *negated),
                _ => Support::Local { reason: "LIKE is for text" },
            },
            Expr::Widen { expr, to } => widen_support(&expr.output(input).data_type, to),
            Expr::Arithmetic { op, left, right, data_type } => match data_type {
                DataType::Decimal128(..) => {
                    let sides = (left.output(input).data_type, right.output(input).data_type);
                    match function::decimal_support(*op, &sides.0, &sides.1) {
                        Support::Exact => arithmetic_support(expr, input),
                        other => other,
                    }
                }
                _ => arithmetic_support(expr, input),
            },
            Expr::Concat(parts) => {
                let texts = parts.iter().all(|part| part.output(input).data_type == DataType::Utf8);
                if texts { Support::Exact } else { Support::Local { reason: "the expression is for text" } }
            }
            Expr::OfText { function, expr } => match expr.output(input).data_type {
                DataType::Utf8 => function::text_support(function),
                _ => Support::Local { reason: "the expression is for text" },
            },
            Expr::DatePart { part, expr } => match expr.output(input).data_type {
                DataType::Date32 if part.is_of_dates() => Support::Exact,
                DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _) => Support::Exact,
                _ => Support::Local { reason: "only dates and timestamps have such a part" },
            },
            Expr::Truncate { expr, .. } => match expr.output(input).data_type {
                DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _) => Support::Exact,
                _ => Support::Local { reason: "only timestamps are truncated at a source" },
            },
            Expr::CanonicalKey { expr, .. }
            | Expr::WrittenKey { expr, .. }
            | Expr::Mask { expr, mask: Mask::OutwardPostcode | Mask::LastCharacters(_) } => {
                match expr.output(input).data_type {
                    DataType::Utf8 => Support::Exact,
                    _ => Support::Local { reason: "the expression is for text" },
                }
            }
            Expr::Mask { expr, mask: Mask::YearOfDate } => match expr.output(input).data_type {
                DataType::Date32 | DataType::Timestamp(..) => Support::Exact,
                _ => Support::Local { reason: "only dates and timestamps have a year" },
            },
            Expr::Released { value, .. } => self.expr_support(value, input),
            Expr::DateOf(expr) => match expr.output(input).data_type {
                DataType::Date32 | DataType::Utf8 | DataType::Timestamp(..) => Support::Exact,
                _ => Support::Local { reason: "the type holds no date" },
            },
            Expr::Exists { probe, .. } => {
                let columns: Vec<OutputColumn> = probe.columns.iter().map(OutputColumn::from).collect();
                let exact = |predicate| self.support(predicate, &columns) == Support::Exact;
                if probe.predicates.iter().all(exact) {
                    Support::Exact
                } else {
                    Support::Local { reason: "a predicate of the probe cannot be answered exactly" }
                }
            }
        }
    }

    fn aggregate_support(&self, call: &Aggregate, input: &[OutputColumn]) -> Support {
        let argument = call.argument.as_ref().map(|expr| expr.output(input).data_type);
        match (call.function, argument) {
            (AggregateFunction::Count, None) => Support::Exact,
            (AggregateFunction::Count, Some(_)) if !call.distinct => Support::Exact,
            (AggregateFunction::Count, Some(data_type)) => group_support(&data_type),
            (AggregateFunction::Sum, Some(DataType::Int16 | DataType::Int32 | DataType::Int64))
                if matches!(call.data_type, DataType::Int64 | DataType::Decimal128(_, 0)) =>
            {
                Support::Exact
            }
            (AggregateFunction::Sum, Some(DataType::Decimal128(_, scale))) if matches!(call.data_type, DataType::Decimal128(_, sum_scale) if sum_scale == scale) => {
                Support::Exact
            }
            (AggregateFunction::Sum, Some(DataType::Float32 | DataType::Float64)) => {
                Support::Local { reason: "a sum of floats depends on the order of its rows" }
            }
            (AggregateFunction::Sum, _) => Support::Local { reason: "the sum has another type there" },
            (AggregateFunction::Min | AggregateFunction::Max, Some(data_type)) => order_support(&data_type),
            (AggregateFunction::Min | AggregateFunction::Max, None) => {
                Support::Local { reason: "min and max need an argument" }
            }
        }
    }

    fn sort_support(&self, output: &OutputColumn) -> Support {
        order_support(&output.data_type)
    }

    fn group_support(&self, output: &OutputColumn) -> Support {
        group_support(&output.data_type)
    }

    fn quote_identifier(&self, name: &str) -> String {
        format!("[{}]", name.replace(']', "]]"))
    }

    fn literal(&self, value: &Value) -> String {
        literal::write(value)
    }

    fn read_column(&self, quoted: &str, column: &OutputColumn) -> String {
        let words = column.source_type.as_deref().unwrap_or_default();
        let value = match reading_cast(words) {
            Some(read_as) => format!("CAST({quoted} AS {read_as})"),
            None => return quoted.to_owned(),
        };
        if column.data_type == DataType::Utf8 { text::by_units(&value) } else { value }
    }

    fn column_in_texts(&self, quoted: &str, column: &OutputColumn, texts: &[String]) -> String {
        list::column_in_texts(quoted, column, texts)
    }

    /// Comparisons say themselves what they need, see [`Dialect::compare`].
    fn text(&self, sql: &str, _output: &OutputColumn, _text_use: TextUse) -> String {
        sql.to_owned()
    }

    fn plain_text(&self, sql: &str, output: &OutputColumn) -> String {
        match output.data_type {
            DataType::Utf8 => text::value(sql, output),
            _ => sql.to_owned(),
        }
    }

    fn distinct_key(&self, sql: &str, output: &OutputColumn) -> Option<String> {
        (output.data_type == DataType::Utf8).then(|| text::distinct_key(sql, output))
    }

    fn of_distinct_key(&self, key: &str) -> String {
        text::of_distinct_key(key)
    }

    fn truth_of(&self, predicate: &str, unknown: Unknown) -> String {
        match unknown {
            Unknown::Possible => {
                format!("CAST(CASE WHEN {predicate} THEN 1 WHEN NOT {predicate} THEN 0 END AS bit)")
            }
            Unknown::Impossible => format!("CAST(CASE WHEN {predicate} THEN 1 ELSE 0 END AS bit)"),
        }
    }

    fn predicate_of(&self, value: &str) -> String {
        format!("({value} = 1)")
    }

    fn compare(&self, comparison: Comparison<'_>) -> String {
        let Comparison { op, left, right, left_operand, right_operand } = comparison;
        match (&left_operand.output.data_type, &right_operand.output.data_type) {
            (DataType::Utf8, _) | (_, DataType::Utf8) => text::compare(comparison),
            // Zeros at the end do not count, so the lengths have to.
            (DataType::Binary, _) | (_, DataType::Binary) => match op {
                CompareOp::NotEqual => format!("{left} <> {right} OR DATALENGTH({left}) <> DATALENGTH({right})"),
                _ => format!("{left} {} {right} AND DATALENGTH({left}) = DATALENGTH({right})", op.sql()),
            },
            _ => format!("{left} {} {right}", op.sql()),
        }
    }

    fn like(&self, text: &str, pattern: &str) -> String {
        pattern::like(text, pattern)
    }

    fn widen(&self, sql: &str, from: &DataType, to: &DataType) -> String {
        match (from, to) {
            (DataType::Boolean, DataType::Utf8) => {
                text::by_units(&format!("(CASE {sql} WHEN 1 THEN N'true' WHEN 0 THEN N'false' END)"))
            }
            (DataType::Utf8, DataType::Utf8) => sql.to_owned(),
            (_, DataType::Utf8) => text::by_units(&format!("CAST({sql} AS nvarchar(20))")),
            _ => cast(sql, to),
        }
    }

    fn arithmetic(&self, calculation: Calculation<'_>) -> String {
        let Calculation { op, left: (left, _), right: (right, _), data_type } = calculation;
        let plain = format!("{left} {} {right}", op.sql());
        match data_type {
            // Its own type for the result may be wider.
            DataType::Decimal128(..) => cast(&plain, data_type),
            _ => plain,
        }
    }

    fn concat(&self, parts: &[TextPart]) -> String {
        function::concat(parts)
    }

    fn of_text(&self, function: &TextFunction, sql: &str) -> String {
        function::of_text(function, sql)
    }

    fn date_part(&self, part: DatePart, sql: &str, input: &OutputColumn) -> String {
        moment::date_part(part, sql, input)
    }

    fn truncate(&self, to: DateUnit, sql: &str, input: &OutputColumn) -> String {
        moment::truncate(to, sql, input)
    }

    fn canonical_key(&self, sql: &str, format: KeyFormat) -> String {
        key::canonical(sql, format)
    }

    fn written_key(&self, canonical_sql: &str, format: KeyFormat) -> String {
        key::written(canonical_sql, format)
    }

    fn mask(&self, sql: &str, input: &OutputColumn, mask: Mask) -> String {
        match mask {
            Mask::OutwardPostcode => function::outward_postcode(sql),
            Mask::LastCharacters(count) => function::last_characters(sql, count),
            Mask::YearOfDate => moment::date_part(DatePart::Year, sql, input),
        }
    }

    fn date_of(&self, sql: &str, column: &OutputColumn) -> String {
        moment::date_of(sql, column)
    }

    fn aggregate_argument(&self, function: AggregateFunction, sql: &str, input: &OutputColumn) -> String {
        match (function, &input.data_type) {
            // The sum of int is int, which may be too small for it.
            (AggregateFunction::Sum, DataType::Int16 | DataType::Int32 | DataType::Int64) => {
                format!("CAST({sql} AS decimal(38,0))")
            }
            (AggregateFunction::Min | AggregateFunction::Max, DataType::Boolean) => format!("CAST({sql} AS tinyint)"),
            _ => sql.to_owned(),
        }
    }

    fn aggregate(&self, call: &Aggregate, argument: Option<&str>) -> String {
        let name = self.aggregate_name(call.function);
        let sql = match (argument, call.distinct) {
            (None, _) => format!("{name}(*)"),
            (Some(argument), true) => format!("{name}(DISTINCT {argument})"),
            (Some(argument), false) => format!("{name}({argument})"),
        };
        match (call.function, &call.data_type) {
            (AggregateFunction::Sum, _) | (AggregateFunction::Min | AggregateFunction::Max, DataType::Boolean) => {
                cast(&sql, &call.data_type)
            }
            _ => sql,
        }
    }

    fn aggregate_name(&self, function: AggregateFunction) -> &'static str {
        match function {
            // COUNT is an int.
            AggregateFunction::Count => "COUNT_BIG",
            AggregateFunction::Sum => "SUM",
            AggregateFunction::Min => "MIN",
            AggregateFunction::Max => "MAX",
        }
    }

    fn window_support(&self, call: &WindowCall, _input: &[OutputColumn]) -> Support {
        match (&call.function, call.order_by.is_empty()) {
            (WindowFunction::NthValue { .. }, _) => Support::Local { reason: "SQL Server has no such window function" },
            (WindowFunction::Aggregate(AggregateFunction::Min | AggregateFunction::Max), _)
                if call.data_type == DataType::Boolean =>
            {
                Support::Local { reason: "SQL Server has no min and max of booleans" }
            }
            (WindowFunction::Aggregate(_), false) => Support::Exact,
            (WindowFunction::Aggregate(_), true) if call.frame.is_none_or(is_whole_partition) => Support::Exact,
            // In whatever order: it can be said that there is none.
            (WindowFunction::RowNumber, true) => Support::Exact,
            (_, false) => Support::Exact,
            (_, true) => Support::Local { reason: "SQL Server wants an order for it" },
        }
    }

    fn frame(&self, call: &WindowCall) -> Option<String> {
        match (&call.function, call.order_by.is_empty()) {
            (WindowFunction::RowNumber, true) => Some("ORDER BY (SELECT NULL)".to_owned()),
            (_, true) => None,
            (_, false) => call.frame.map(Frame::sql),
        }
    }

    fn window(&self, call: &WindowCall, sql: &str) -> String {
        match call.function {
            WindowFunction::Aggregate(AggregateFunction::Sum) => cast(sql, &call.data_type),
            _ => sql.to_owned(),
        }
    }

    fn not_in(&self) -> NotIn {
        NotIn::NotExists
    }

    fn cut(&self, cut: Cut) -> CutSql {
        let number = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        match (cut.fetch, cut.skip) {
            // FETCH refuses to give no row at all.
            (Some(0), _) => CutSql { start: "TOP (0) ".to_owned(), end: String::new() },
            (Some(fetch), 0) => CutSql { start: format!("TOP ({}) ", number(fetch)), end: String::new() },
            (None, 0) => CutSql::default(),
            (fetch, skip) => {
                let order = if cut.ordered { "" } else { " ORDER BY (SELECT NULL)" };
                let fetch = fetch.map_or(String::new(), |fetch| format!(" FETCH NEXT {} ROWS ONLY", number(fetch)));
                CutSql { start: String::new(), end: format!("{order} OFFSET {} ROWS{fetch}", number(skip)) }
            }
        }
    }

    fn orders_derived_tables(&self) -> bool {
        false
    }

    fn sort_key(&self, sql: &str, direction: SortDirection, nulls: NullsOrder) -> String {
        // NULL is the least of all values there.
        match (direction, nulls) {
            (SortDirection::Ascending, NullsOrder::First) => format!("{sql} ASC"),
            (SortDirection::Descending, NullsOrder::Last) => format!("{sql} DESC"),
            (SortDirection::Ascending, NullsOrder::Last) => {
                format!("CASE WHEN {sql} IS NULL THEN 1 ELSE 0 END ASC, {sql} ASC")
            }
            (SortDirection::Descending, NullsOrder::First) => {
                format!("CASE WHEN {sql} IS NULL THEN 0 ELSE 1 END ASC, {sql} DESC")
            }
        }
    }

    fn delivers(&self, data_type: &DataType) -> bool {
        match data_type {
            DataType::Time64(TimeUnit::Nanosecond) => true,
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => zone.as_deref().is_none_or(|zone| zone == "UTC"),
            _ => false,
        }
    }

    fn deliver(&self, sql: &str, output: &OutputColumn, to: &DataType) -> String {
        match (to, &output.data_type) {
            (DataType::Utf8, DataType::Utf8) => text::delivered(sql, output),
            (to, from) if to == from => sql.to_owned(),
            (to, _) => cast(sql, to),
        }
    }
}

fn cast(sql: &str, to: &DataType) -> String {
    match server_type(to) {
        Some(name) => format!("CAST({sql} AS {name})"),
        // Nothing of such a type is ever asked for, and the decoder would refuse it.
        None => sql.to_owned(),
    }
}

/// Whether values of this type are told apart as we do.
fn group_support(data_type: &DataType) -> Support {
    match data_type {
        DataType::Utf8 => Support::Exact,
        other => order_support(other),
    }
}

/// Whether values of this type are in our order.
fn order_support(data_type: &DataType) -> Support {
    match data_type {
        DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Decimal128(..)
        | DataType::Date32
        | DataType::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond)
        | DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _) => Support::Exact,
        DataType::Utf8 => TEXT_ORDER,
        DataType::Float32 | DataType::Float64 => FLOATS,
        _ => OTHERS,
    }
}

fn comparison_support(op: CompareOp, data_type: &DataType) -> Support {
    match data_type {
        DataType::Utf8 | DataType::Binary if op.is_equality() => Support::Exact,
        other => order_support(other),
    }
}

fn widen_support(from: &DataType, to: &DataType) -> Support {
    let lossless = from == to || widens(from, to);
    match to {
        DataType::Decimal256(..) => Support::Local { reason: "SQL Server's decimals have at most 38 digits" },
        _ if lossless && server_type(to).is_some() => Support::Exact,
        _ => Support::Local { reason: "the cast could fail or lose digits, on a hidden row too" },
    }
}

/// How deep choices stand in each other.
fn case_depth(expr: &Expr) -> usize {
    let inner = expr.children().into_iter().map(case_depth).max().unwrap_or(0);
    match expr {
        Expr::Case { .. } => inner + 1,
        // Each further value is a CASE inside the ELSE of the one before it.
        Expr::Coalesce(values) => inner + values.len(),
        _ => inner,
    }
}

/// Whether the frame of a call without an order is its whole partition: all rows are equal in it.
fn is_whole_partition(frame: Frame) -> bool {
    match frame.units {
        FrameUnits::Range => true,
        FrameUnits::Rows => {
            (frame.start, frame.end) == (FrameBound::UnboundedPreceding, FrameBound::UnboundedFollowing)
        }
    }
}
