//! DataFusion's SQL over files, and what it declares of its own behaviour.
//!
//! What computes there is what computes here, so that little differs. Two things do: no expression may fail on a row, so what
//! DataFusion refuses beyond its calendar stays here; and its sums of integers are computed with more digits than they need.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::{
    Aggregate, AggregateFunction, DatePart, DateUnit, Dialect, Expr, Form, GroupingSets, KeyFormat, Mask, OutputColumn,
    Scheme, Support, TextFunction, TextPart, TextUse, TrimSide, Value, WindowCall, WindowFunction, arithmetic_support,
    widens,
};

use crate::functions::{ISO_DATE, NHS_NUMBER, TEXT_IN};

/// From this many texts on, a list is handed over as one JSON array.
const LONGEST_WRITTEN_LIST: usize = 50;

/// The most digits of a decimal whose sum over any file still has a place.
const MOST_SUMMED_DIGITS: u8 = 28;

const TEXTS: Support = Support::Local { reason: "the expression is for text" };

const FLOATS: Support = Support::Local { reason: "DataFusion's SQL takes negative zero for zero" };

/// DataFusion's SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilesDialect;

impl Dialect for FilesDialect {
    fn name(&self) -> &'static str {
        "datafusion"
    }

    fn expr_support(&self, expr: &Expr, input: &[OutputColumn]) -> Support {
        let text = |expr: &Expr| if expr.output(input).data_type == DataType::Utf8 { Support::Exact } else { TEXTS };
        match expr {
            Expr::Column(_)
            | Expr::Outer(_)
            | Expr::Literal(_)
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::Case { .. }
            | Expr::Coalesce(_) => Support::Exact,
            Expr::Compare { left: expr, .. } | Expr::InList { expr, .. } => {
                if expr.output(input).data_type.is_floating() { FLOATS } else { Support::Exact }
            }
            Expr::Like { expr, .. }
            | Expr::OfText { expr, .. }
            | Expr::CanonicalKey { expr, .. }
            | Expr::WrittenKey { expr, .. }
            | Expr::Mask { expr, mask: Mask::OutwardPostcode | Mask::LastCharacters(_) } => text(expr),
            Expr::Concat(parts) => {
                parts.iter().map(text).find(|support| *support != Support::Exact).unwrap_or(Support::Exact)
            }
            Expr::Widen { expr, to } => {
                let from = expr.output(input).data_type;
                if from == *to || widens(&from, to) {
                    Support::Exact
                } else {
                    Support::Local { reason: "the cast could fail or lose digits, on a hidden row too" }
                }
            }
            Expr::Arithmetic { .. } => arithmetic_support(expr, input),
            Expr::DatePart { expr, .. } | Expr::Mask { expr, mask: Mask::YearOfDate } => {
                match expr.output(input).data_type {
                    DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
                    _ => Support::Local { reason: "only dates and timestamps have such a part" },
                }
            }
            Expr::Truncate { .. } => Support::Local { reason: "a moment beyond the calendar would fail there" },
            Expr::Released { value, .. } => self.expr_support(value, input),
            Expr::DateOf(expr) => match expr.output(input).data_type {
                DataType::Utf8 | DataType::Date32 => Support::Exact,
                DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
                _ => Support::Local { reason: "the type holds no date" },
            },
            Expr::Exists { probe, .. } => {
                let columns: Vec<OutputColumn> = probe.columns.iter().map(OutputColumn::from).collect();
                if probe.predicates.iter().all(|predicate| self.support(predicate, &columns) == Support::Exact) {
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
            (AggregateFunction::Sum, Some(DataType::Int16 | DataType::Int32 | DataType::Int64)) => Support::Exact,
            (AggregateFunction::Sum, Some(DataType::Decimal128(digits, _))) if digits <= MOST_SUMMED_DIGITS => {
                Support::Exact
            }
            (AggregateFunction::Sum, Some(DataType::Float32 | DataType::Float64)) => {
                Support::Local { reason: "a sum of floats depends on the order of its rows" }
            }
            (AggregateFunction::Count, Some(DataType::Float32 | DataType::Float64)) if call.distinct => FLOATS,
            (AggregateFunction::Sum, _) => Support::Local { reason: "the sum could be too large for its type" },
            (AggregateFunction::Count | AggregateFunction::Min | AggregateFunction::Max, _) => Support::Exact,
        }
    }

    fn sort_support(&self, _output: &OutputColumn) -> Support {
        Support::Exact
    }

    fn group_support(&self, output: &OutputColumn) -> Support {
        if output.data_type.is_floating() { FLOATS } else { Support::Exact }
    }

    fn literal(&self, value: &Value) -> String {
        let typed = |text: String| cast(&quoted(&text), &value.data_type());
        match value {
            Value::Null(data_type) => cast("NULL", data_type),
            Value::Boolean(value) => value.to_string(),
            Value::Int16(number) => typed(number.to_string()),
            Value::Int32(number) => typed(number.to_string()),
            Value::Int64(number) => typed(number.to_string()),
            Value::Float32(number) => typed(format!("{number:?}")),
            Value::Float64(number) => typed(format!("{number:?}")),
            Value::Decimal128 { .. } | Value::Decimal256 { .. } => {
                value.decimal_digits().map_or_else(|| cast("NULL", &value.data_type()), typed)
            }
            Value::Text(text) => quoted(text),
            Value::Binary(bytes) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                cast(&format!("decode('{digits}', 'hex')"), &DataType::Binary)
            }
            // By number: no text of a date is read.
            Value::Date(days) => cast(&cast(&quoted(&days.to_string()), &DataType::Int32), &DataType::Date32),
            Value::Time(microseconds) | Value::Timestamp { microseconds, .. } => {
                cast(&cast(&quoted(&microseconds.to_string()), &DataType::Int64), &value.data_type())
            }
        }
    }

    fn read_column(&self, quoted: &str, _column: &OutputColumn) -> String {
        // The reader of the file gives it in its type.
        quoted.to_owned()
    }

    fn column_in_texts(&self, quoted_column: &str, column: &OutputColumn, texts: &[String]) -> String {
        match &column.data_type {
            DataType::Utf8 => in_texts(quoted_column, texts),
            // As it is written here: what is written otherwise equals none.
            _ => in_texts(&cast(quoted_column, &DataType::Utf8), texts),
        }
    }

    fn text(&self, sql: &str, _output: &OutputColumn, _text_use: TextUse) -> String {
        sql.to_owned()
    }

    fn like(&self, text: &str, pattern: &str) -> String {
        format!("{text} LIKE {}", quoted(pattern))
    }

    fn widen(&self, sql: &str, _from: &DataType, to: &DataType) -> String {
        cast(sql, to)
    }

    fn concat(&self, parts: &[TextPart]) -> String {
        let parts: Vec<&str> = parts.iter().map(|part| part.sql.as_str()).collect();
        format!("({})", parts.join(" || "))
    }

    fn of_text(&self, function: &TextFunction, sql: &str) -> String {
        match function {
            TextFunction::Length => format!("character_length({sql})"),
            TextFunction::Substring { start, length: None } => format!("substr({sql}, {start})"),
            TextFunction::Substring { start, length: Some(length) } => format!("substr({sql}, {start}, {length})"),
            TextFunction::Left(count) => format!("left({sql}, {count})"),
            TextFunction::Right(count) => format!("right({sql}, {count})"),
            TextFunction::Trim(TrimSide::Both) => format!("btrim({sql}, ' ')"),
            TextFunction::Trim(TrimSide::Start) => format!("ltrim({sql}, ' ')"),
            TextFunction::Trim(TrimSide::End) => format!("rtrim({sql}, ' ')"),
            TextFunction::Replace { from, to } => format!("replace({sql}, {}, {})", quoted(from), quoted(to)),
            TextFunction::Position(text) => format!("strpos({sql}, {})", quoted(text)),
            TextFunction::Upper => format!("upper({sql})"),
            TextFunction::Lower => format!("lower({sql})"),
        }
    }

    fn date_part(&self, part: DatePart, sql: &str, _input: &OutputColumn) -> String {
        let field = match part {
            DatePart::Year => "year",
            DatePart::Quarter => "quarter",
            DatePart::Month => "month",
            DatePart::Week => "week",
            DatePart::Day => "day",
            DatePart::DayOfWeek => "dow",
            // Its own `isodow` begins with 0.
            DatePart::IsoDayOfWeek => "isodow",
            DatePart::DayOfYear => "doy",
            DatePart::Hour => "hour",
            DatePart::Minute => "minute",
        };
        format!("date_part('{field}', {sql})")
    }

    /// Never asked for.
    fn truncate(&self, _to: DateUnit, _sql: &str, input: &OutputColumn) -> String {
        cast("NULL", &input.data_type)
    }

    fn canonical_key(&self, sql: &str, format: KeyFormat) -> String {
        match (format.scheme, format.assured, format.form) {
            (Scheme::Opaque, true, _) | (Scheme::NhsNumber, true, Form::Compact) => sql.to_owned(),
            (Scheme::Opaque, false, _) => format!("nullif({sql}, '')"),
            (Scheme::NhsNumber, true, Form::Spaced) => format!("replace({sql}, ' ', '')"),
            (Scheme::NhsNumber, true, Form::Hyphenated) => format!("replace({sql}, '-', '')"),
            (Scheme::NhsNumber, true, Form::Mixed) => format!("replace(replace({sql}, ' ', ''), '-', '')"),
            (Scheme::NhsNumber, false, form) => {
                let name = Form::NAMES.into_iter().find(|(_, known)| *known == form).map_or("", |(name, _)| name);
                format!("{NHS_NUMBER}{name}({sql})")
            }
        }
    }

    fn mask(&self, sql: &str, _input: &OutputColumn, mask: Mask) -> String {
        match mask {
            Mask::OutwardPostcode => {
                let text = format!("btrim({sql}, ' ')");
                format!(
                    "(CASE WHEN strpos({text}, ' ') BETWEEN 2 AND 5 THEN left({text}, strpos({text}, ' ') - 1) \
                     WHEN strpos({text}, ' ') = 0 AND character_length({text}) BETWEEN 5 AND 7 THEN left({text}, -3) END)"
                )
            }
            Mask::YearOfDate => format!("date_part('year', {sql})"),
            Mask::LastCharacters(count) => format!(
                "(CASE WHEN character_length({sql}) > {count} THEN '***' || right({sql}, {count}) \
                 WHEN {sql} IS NOT NULL THEN '***' END)"
            ),
        }
    }

    fn looks_up_in_values(&self) -> bool {
        false
    }

    fn date_of(&self, sql: &str, column: &OutputColumn) -> String {
        match &column.data_type {
            DataType::Date32 => sql.to_owned(),
            DataType::Utf8 => format!("{ISO_DATE}({sql})"),
            _ => cast(sql, &DataType::Date32),
        }
    }

    fn aggregate(&self, call: &Aggregate, argument: Option<&str>) -> String {
        let name = self.aggregate_name(call.function);
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        match (call.function, argument) {
            (_, None) => format!("{name}(*)"),
            // Its own sum of integers begins anew past 64 bits.
            (AggregateFunction::Sum, Some(argument)) => {
                let wide = match &call.data_type {
                    DataType::Decimal128(_, scale) => cast(argument, &DataType::Decimal128(38, *scale)),
                    _ => cast(argument, &DataType::Decimal128(38, 0)),
                };
                cast(&format!("{name}({distinct}{wide})"), &call.data_type)
            }
            (_, Some(argument)) => format!("{name}({distinct}{argument})"),
        }
    }

    fn window_support(&self, call: &WindowCall, _input: &[OutputColumn]) -> Support {
        match call.function {
            WindowFunction::Aggregate(AggregateFunction::Sum) => {
                Support::Local { reason: "a sum over a window could begin anew past 64 bits" }
            }
            _ => Support::Exact,
        }
    }

    fn window(&self, call: &WindowCall, sql: &str) -> String {
        match call.function {
            // They count without a sign.
            WindowFunction::RowNumber
            | WindowFunction::Rank
            | WindowFunction::DenseRank
            | WindowFunction::Ntile { .. } => cast(sql, &call.data_type),
            _ => sql.to_owned(),
        }
    }

    fn grouping_sets(&self) -> GroupingSets {
        GroupingSets::Native
    }

    fn mark_join_support(&self) -> Support {
        Support::Local { reason: "DataFusion's SQL has no EXISTS in a select list" }
    }

    fn deliver(&self, sql: &str, _output: &OutputColumn, _to: &DataType) -> String {
        // Batches are put into the promised schema when they arrive.
        sql.to_owned()
    }
}

fn cast(sql: &str, to: &DataType) -> String {
    format!("arrow_cast({sql}, {})", quoted(&to.to_string()))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn in_texts(operand: &str, texts: &[String]) -> String {
    if texts.is_empty() {
        return "false".to_owned();
    }
    if texts.len() <= LONGEST_WRITTEN_LIST {
        let list: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
        return format!("{operand} IN ({})", list.join(", "));
    }
    let array = serde_json::Value::Array(texts.iter().map(|text| text.as_str().into()).collect()).to_string();
    format!("{TEXT_IN}({operand}, {})", quoted(&array))
}
