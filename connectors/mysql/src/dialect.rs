//! The SQL of MariaDB and MySQL, and what it declares of its own behaviour.
//!
//! Session settings that the text relies on (see `session`): literals and `CAST(… AS CHAR)` are UTF-8 in a collation that
//! compares code points, so that text is compared as we do as soon as it is read through that cast; the clock is UTC.
//! A SELECT raises no error over a row in either database but for arithmetic, which goes there only where
//! [`arithmetic_support`] has shown that no row's result is too large, and for collations of two columns that meet, which
//! the cast rules out.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::{
    Aggregate, AggregateFunction, Calculation, CompareOp, Comparison, DatePart, DateUnit, Dialect, Expr, Form,
    JoinKind, KeyFormat, KeyProbe, Mask, NullsOrder, OutputColumn, Scheme, SortDirection, Support, TextFunction,
    TextPart, TextUse, Value, WindowCall, WindowFunction, arithmetic_support,
};

mod function;
mod literal;
mod text;

pub(crate) use text::catalog_name;

use crate::session::LONGEST_SORTED_BYTES;
use crate::types::{base_name, most_bytes};

/// What follows is the end: `$` would also stand before a line's end. There is no `\` in it, which sessions read differently.
const END: &str = "(?![^a]|a)";

/// A calendar date of the years 0001 to 9999, alone or before a time of day that no zone but UTC's moves.
const ISO_DATE: &str = "^(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])\
    |(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))\
    |(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)\
    (?:[ T](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]+)?)?Z?)?(?![^a]|a)";

/// A pattern's wildcards are matched by recursion at the source.
const MOST_WILDCARDS: usize = 100;

const FLOATS: Support = Support::Local { reason: "floats are rounded and compared in another way at the source" };
const LONG_TEXT: Support = Support::Local { reason: "the source sorts and groups long values by their beginning" };

/// See the module's own text.
#[derive(Clone, Copy, Debug, Default)]
pub struct MysqlDialect;

impl Dialect for MysqlDialect {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn expr_support(&self, expr: &Expr, input: &[OutputColumn]) -> Support {
        match expr {
            Expr::Column(_) | Expr::Outer(_) | Expr::And(_) | Expr::Or(_) | Expr::Not(_) => Support::Exact,
            Expr::IsNull(_) | Expr::IsNotNull(_) => Support::Exact,
            Expr::Case { .. } | Expr::Coalesce(_) => text::bounded(expr, input),
            Expr::Literal(value) => literal::support(value),
            Expr::Compare { left, right, .. } => comparison_support(left, right, input),
            Expr::InList { expr, list, .. } => {
                let unsupported = list.iter().map(literal::support).find(|support| *support != Support::Exact);
                match unsupported {
                    Some(support) => support,
                    None => match expr.output(input).data_type {
                        DataType::Boolean => Support::Local { reason: "a list of booleans is compared here" },
                        DataType::Float32 | DataType::Float64 if !list.iter().all(is_plain_number) => FLOATS,
                        DataType::Float32 | DataType::Float64 => Support::Exact,
                        data_type => value_support(&data_type),
                    },
                }
            }
            Expr::Like { expr, pattern, .. } => match expr.output(input).data_type {
                DataType::Utf8 if pattern.matches('%').count() > MOST_WILDCARDS => {
                    Support::Local { reason: "so many wildcards are beyond the source" }
                }
                DataType::Utf8 => Support::Exact,
                _ => Support::Local { reason: "LIKE is for text" },
            },
            Expr::Widen { expr, to } => function::widen_support(&expr.output(input).data_type, to),
            Expr::Arithmetic { op, data_type, .. } => match function::digits_support(*op, data_type) {
                Support::Exact => arithmetic_support(expr, input),
                other => other,
            },
            Expr::Concat(parts) => {
                let texts = parts.iter().all(|part| part.output(input).data_type == DataType::Utf8);
                if texts { text::bounded(expr, input) } else { NO_TEXT }
            }
            Expr::OfText { function, expr: argument } => {
                match function::text_support(function, &argument.output(input)) {
                    Support::Exact => text::bounded(expr, input),
                    other => other,
                }
            }
            Expr::DatePart { part, expr } => function::date_part_support(*part, &expr.output(input)),
            Expr::Truncate { expr, .. } => function::truncate_support(&expr.output(input)),
            Expr::CanonicalKey { expr, .. } | Expr::WrittenKey { expr, .. } => text_support(expr, input),
            Expr::Mask { expr, mask: Mask::OutwardPostcode | Mask::LastCharacters(_) } => text_support(expr, input),
            Expr::Mask { expr, mask: Mask::YearOfDate } => match expr.output(input).data_type {
                DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
                _ => Support::Local { reason: "only dates and timestamps have a year" },
            },
            Expr::Released { value, .. } => self.expr_support(value, input),
            Expr::DateOf(expr) => match expr.output(input).data_type {
                DataType::Date32 | DataType::Utf8 | DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
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
        let argument = call.argument.as_ref().map(|expr| expr.output(input));
        match (call.function, argument) {
            (AggregateFunction::Count, None) => Support::Exact,
            (AggregateFunction::Count, Some(_)) if !call.distinct => Support::Exact,
            (AggregateFunction::Count, Some(output)) => ordered_support(&output),
            (AggregateFunction::Sum, Some(output)) => match output.data_type {
                DataType::Int16 | DataType::Int32 | DataType::Int64
                    if matches!(call.data_type, DataType::Int64 | DataType::Decimal128(_, 0)) =>
                {
                    Support::Exact
                }
                DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => Support::Exact,
                DataType::Float32 | DataType::Float64 => {
                    Support::Local { reason: "a sum of floats depends on the order of its rows" }
                }
                _ => Support::Local { reason: "the sum has another type there" },
            },
            (AggregateFunction::Sum, None) => Support::Local { reason: "a sum needs an argument" },
            (AggregateFunction::Min | AggregateFunction::Max, Some(output)) => value_support(&output.data_type),
            (AggregateFunction::Min | AggregateFunction::Max, None) => {
                Support::Local { reason: "min and max need an argument" }
            }
        }
    }

    fn sort_support(&self, output: &OutputColumn) -> Support {
        ordered_support(output)
    }

    fn group_support(&self, output: &OutputColumn) -> Support {
        ordered_support(output)
    }

    fn join_support(&self, kind: JoinKind) -> Support {
        match kind {
            JoinKind::Inner | JoinKind::Left | JoinKind::Right => Support::Exact,
            JoinKind::Full => Support::Local { reason: "MariaDB and MySQL have no full join" },
        }
    }

    fn quote_identifier(&self, name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }

    fn literal(&self, value: &Value) -> String {
        literal::write(value)
    }

    fn read_column(&self, quoted: &str, column: &OutputColumn) -> String {
        let source_type = column.source_type.as_deref().unwrap_or_default();
        match (&column.data_type, base_name(source_type)) {
            (DataType::Boolean | DataType::Int64, "bit") => format!("({quoted} + 0)"),
            (DataType::Decimal128(..), "bit") => format!("CAST(({quoted} + 0) AS DECIMAL(20, 0))"),
            // A year is compared with small numbers as if they were two digits of one.
            (DataType::Int16, "year") => format!("CAST({quoted} AS SIGNED)"),
            (DataType::Utf8, _) => text::read(quoted, column),
            // NULL for a zero date or one of no calendar, which compares like any other date as it stands.
            (DataType::Date32, _) => format!("({quoted} + INTERVAL 0 DAY)"),
            (DataType::Timestamp(..), _) => format!("({quoted} + INTERVAL 0 MICROSECOND)"),
            _ => quoted.to_owned(),
        }
    }

    fn column_in_texts(&self, quoted: &str, column: &OutputColumn, texts: &[String]) -> String {
        let read = self.read_column(quoted, column);
        match &column.data_type {
            DataType::Utf8 => text::column_in(quoted, &read, column, texts),
            DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                numbers_in(&read, texts, |text| text.parse::<i64>().is_ok_and(|number| number.to_string() == text))
            }
            DataType::Decimal128(20, 0) => {
                numbers_in(&read, texts, |text| text.parse::<u64>().is_ok_and(|number| number.to_string() == text))
            }
            DataType::Boolean => text::in_list(&function::widen(&read, &DataType::Boolean, &DataType::Utf8), texts),
            // As it is written without the zeros that a column may be filled with.
            decimal @ (DataType::Decimal128(..) | DataType::Decimal256(..)) => {
                text::in_list(&format!("CAST({} AS CHAR)", function::as_decimal(&read, decimal)), texts)
            }
            _ => text::in_list(&format!("CAST({read} AS CHAR)"), texts),
        }
    }

    /// Whatever its column's collation was, text has been read in the session's.
    fn text(&self, sql: &str, _output: &OutputColumn, _text_use: TextUse) -> String {
        sql.to_owned()
    }

    fn compare(&self, comparison: Comparison<'_>) -> String {
        let Comparison { op, left, right, left_operand, right_operand } = comparison;
        if left_operand.output.data_type == DataType::Boolean {
            return format!("{} {} {}", self.predicate_of(left), op.sql(), self.predicate_of(right));
        }
        let plain = format!("{left} {} {right}", op.sql());
        let by_index = match op {
            CompareOp::Equal => text::equal_by_index((left, left_operand), (right, right_operand)),
            _ => None,
        };
        by_index.map_or(plain.clone(), |found| format!("{found} AND {plain}"))
    }

    /// What is neither 0 nor 1 is true to the database. Here it is unknown, so that no row filter lets it through; as a
    /// value it is refused where it arrives.
    fn predicate_of(&self, value: &str) -> String {
        match value {
            "TRUE" | "FALSE" => value.to_owned(),
            _ => format!("(CASE {value} WHEN 0 THEN FALSE WHEN 1 THEN TRUE END)"),
        }
    }

    fn like(&self, text: &str, pattern: &str) -> String {
        text::like(text, pattern)
    }

    fn widen(&self, sql: &str, from: &DataType, to: &DataType) -> String {
        function::widen(sql, from, to)
    }

    fn arithmetic(&self, calculation: Calculation<'_>) -> String {
        function::arithmetic(calculation)
    }

    fn concat(&self, parts: &[TextPart]) -> String {
        let parts: Vec<&str> = parts.iter().map(|part| part.sql.as_str()).collect();
        format!("concat({})", parts.join(", "))
    }

    fn of_text(&self, function: &TextFunction, sql: &str) -> String {
        function::of_text(function, sql)
    }

    fn date_part(&self, part: DatePart, sql: &str, _input: &OutputColumn) -> String {
        function::date_part(part, sql)
    }

    fn truncate(&self, to: DateUnit, sql: &str, _input: &OutputColumn) -> String {
        function::truncate(to, sql)
    }

    fn canonical_key(&self, sql: &str, format: KeyFormat) -> String {
        match (format.scheme, format.assured) {
            (Scheme::Opaque, true) => sql.to_owned(),
            (Scheme::Opaque, false) => format!("nullif({sql}, '')"),
            (Scheme::NhsNumber, true) => without_separators(sql, format.form),
            (Scheme::NhsNumber, false) => {
                let separators: Vec<&str> =
                    format.form.single_forms().iter().filter_map(|form| form.separator()).collect();
                let shapes: Vec<String> = separators
                    .iter()
                    .map(|separator| format!("[0-9]{{3}}{separator}[0-9]{{3}}{separator}[0-9]{{4}}"))
                    .collect();
                let digits = without_separators(sql, format.form);
                // Where one separator is sure, the digits are weighed where they stand.
                let (weighed, gap) = match separators.as_slice() {
                    [only] => (sql, only.len()),
                    _ => (digits.as_str(), 0),
                };
                // Bytes do as well as digits, since 48 times the sum of the weights is a multiple of 11.
                let weighted: Vec<String> = (1..=10)
                    .map(|digit| {
                        let gaps = usize::from(digit > 3) + usize::from(digit > 6);
                        format!("ascii(substr({weighed}, {}, 1)) * {}", digit + gaps * gap, 11 - digit)
                    })
                    .collect();
                format!(
                    "(CASE WHEN {sql} REGEXP '^({}){END}' AND ({}) % 11 = 0 THEN {digits} END)",
                    shapes.join("|"),
                    weighted.join(" + ")
                )
            }
        }
    }

    fn written_key(&self, canonical_sql: &str, format: KeyFormat) -> String {
        match format.form.separator() {
            None | Some("") => canonical_sql.to_owned(),
            Some(separator) => format!(
                "concat(substr({canonical_sql}, 1, 3), '{separator}', substr({canonical_sql}, 4, 3), '{separator}', \
                 substr({canonical_sql}, 7, 4))"
            ),
        }
    }

    fn mask(&self, sql: &str, input: &OutputColumn, mask: Mask) -> String {
        match mask {
            Mask::OutwardPostcode => {
                let text = format!("trim(BOTH ' ' FROM {sql})");
                format!(
                    "(CASE WHEN locate(' ', {text}) BETWEEN 2 AND 5 THEN left({text}, locate(' ', {text}) - 1) \
                     WHEN locate(' ', {text}) = 0 AND char_length({text}) BETWEEN 5 AND 7 \
                     THEN left({text}, char_length({text}) - 3) END)"
                )
            }
            Mask::YearOfDate => match input.data_type {
                DataType::Date32 | DataType::Timestamp(_, _) => format!("year({sql})"),
                _ => "CAST(NULL AS SIGNED)".to_owned(),
            },
            Mask::LastCharacters(count) => format!(
                "(CASE WHEN char_length({sql}) > {count} THEN concat('***', right({sql}, {count})) \
                 WHEN {sql} IS NOT NULL THEN '***' END)"
            ),
        }
    }

    fn date_of(&self, sql: &str, column: &OutputColumn) -> String {
        match &column.data_type {
            DataType::Date32 => sql.to_owned(),
            DataType::Timestamp(_, _) => format!("CAST({sql} AS DATE)"),
            DataType::Utf8 => format!("(CASE WHEN {sql} REGEXP '{ISO_DATE}' THEN CAST(left({sql}, 10) AS DATE) END)"),
            _ => "CAST(NULL AS DATE)".to_owned(),
        }
    }

    fn aggregate(&self, call: &Aggregate, argument: Option<&str>) -> String {
        let name = self.aggregate_name(call.function);
        let sql = match (argument, call.distinct) {
            (None, _) => format!("{name}(*)"),
            (Some(argument), true) => format!("{name}(DISTINCT {argument})"),
            (Some(argument), false) => format!("{name}({argument})"),
        };
        match call.function {
            AggregateFunction::Sum => function::summed(&sql, &call.data_type),
            AggregateFunction::Count | AggregateFunction::Min | AggregateFunction::Max => sql,
        }
    }

    fn window_support(&self, call: &WindowCall, input: &[OutputColumn]) -> Support {
        if let WindowFunction::Lag { default: Some(_), .. } | WindowFunction::Lead { default: Some(_), .. } =
            call.function
        {
            return Support::Local { reason: "MariaDB's lag and lead take no value for where there is no row" };
        }
        let keys = call.partition_by.iter().chain(call.order_by.iter().map(|key| &key.expr));
        keys.map(|key| ordered_support(&key.output(input)))
            .find(|support| *support != Support::Exact)
            .unwrap_or(Support::Exact)
    }

    fn window(&self, call: &WindowCall, sql: &str) -> String {
        match call.function {
            WindowFunction::Aggregate(AggregateFunction::Sum) => function::summed(&format!("({sql})"), &call.data_type),
            _ => sql.to_owned(),
        }
    }

    /// MariaDB decides an EXISTS over computed keys row against row. Where the column is compared as it is, its index serves.
    fn key_probe(&self, inner: &OutputColumn, outer: &OutputColumn) -> KeyProbe {
        let stored = |column: &OutputColumn| column.source_type.is_some();
        let is_text = inner.data_type == DataType::Utf8;
        if stored(inner) && if is_text { text::share_an_index(inner, outer) } else { stored(outer) } {
            KeyProbe::Correlated
        } else {
            KeyProbe::DistinctKeys
        }
    }

    fn limit(&self, fetch: Option<u64>, skip: u64) -> String {
        match (fetch, skip) {
            (Some(fetch), 0) => format!(" LIMIT {fetch}"),
            (Some(fetch), _) => format!(" LIMIT {fetch} OFFSET {skip}"),
            (None, 0) => String::new(),
            // There is no OFFSET without a LIMIT.
            (None, _) => format!(" LIMIT {} OFFSET {skip}", u64::MAX),
        }
    }

    /// NULLs are the least of all there.
    fn sort_key(&self, sql: &str, direction: SortDirection, nulls: NullsOrder) -> String {
        match (direction, nulls) {
            (SortDirection::Ascending, NullsOrder::First) => format!("{sql} ASC"),
            (SortDirection::Descending, NullsOrder::Last) => format!("{sql} DESC"),
            (SortDirection::Ascending, NullsOrder::Last) => format!("({sql} IS NULL) ASC, {sql} ASC"),
            (SortDirection::Descending, NullsOrder::First) => format!("({sql} IS NULL) DESC, {sql} DESC"),
        }
    }

    fn deliver(&self, sql: &str, _output: &OutputColumn, _to: &DataType) -> String {
        // Reading goes by the schema, in whatever type a value arrives.
        sql.to_owned()
    }
}

const NO_TEXT: Support = Support::Local { reason: "the expression is for text" };

/// Whether comparisons of this type are ours.
fn value_support(data_type: &DataType) -> Support {
    match data_type {
        DataType::Null
        | DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _)
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Time64(TimeUnit::Microsecond)
        | DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
        DataType::Float32 | DataType::Float64 => FLOATS,
        _ => Support::Local { reason: "the source has no type that is compared in the same way" },
    }
}

/// Whether order and grouping are ours as well. What the source makes itself is never too long (see `text`).
fn ordered_support(output: &OutputColumn) -> Support {
    let by_length = matches!(output.data_type, DataType::Utf8 | DataType::Binary);
    match &output.source_type {
        Some(own) if by_length && most_bytes(own).is_none_or(|most| most > LONGEST_SORTED_BYTES) => LONG_TEXT,
        Some(_) | None => value_support(&output.data_type),
    }
}

fn comparison_support(left: &Expr, right: &Expr, input: &[OutputColumn]) -> Support {
    // An outer column does not say its type; the other side has the same.
    let typed = |expr: &Expr| (!matches!(expr, Expr::Outer(_))).then(|| expr.output(input).data_type);
    match typed(left).or_else(|| typed(right)) {
        Some(DataType::Float32 | DataType::Float64) => {
            let plain = |expr: &Expr| matches!(expr, Expr::Literal(value) if is_plain_number(value));
            if plain(left) || plain(right) { Support::Exact } else { FLOATS }
        }
        Some(data_type) => value_support(&data_type),
        None => Support::Local { reason: "a comparison of two outer columns belongs to the outer query" },
    }
}

/// A float that is compared the same way everywhere.
fn is_plain_number(value: &Value) -> bool {
    match value {
        Value::Float32(value) => value.is_finite() && *value != 0.0,
        Value::Float64(value) => value.is_finite() && *value != 0.0,
        _ => false,
    }
}

fn text_support(expr: &Expr, input: &[OutputColumn]) -> Support {
    if expr.output(input).data_type == DataType::Utf8 { Support::Exact } else { NO_TEXT }
}

fn without_separators(sql: &str, form: Form) -> String {
    match form {
        Form::Compact => sql.to_owned(),
        Form::Spaced => format!("replace({sql}, ' ', '')"),
        Form::Hyphenated => format!("replace({sql}, '-', '')"),
        Form::Mixed => format!("replace(replace({sql}, ' ', ''), '-', '')"),
    }
}

/// Only what a number would be written as can be equal to one.
fn numbers_in(operand: &str, texts: &[String], is_number: impl Fn(&str) -> bool) -> String {
    let numbers: Vec<&str> = texts.iter().map(String::as_str).filter(|text| is_number(text)).collect();
    if numbers.is_empty() { "FALSE".to_owned() } else { format!("{operand} IN ({})", numbers.join(", ")) }
}
