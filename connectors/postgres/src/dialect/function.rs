//! Arithmetic and functions as PostgreSQL's SQL. None of the texts can raise an error, whatever row they meet.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::{
    ArithmeticOp, Calculation, DatePart, DateUnit, Expr, OutputColumn, Support, TextFunction, TextPart, TrimSide,
    widens,
};

use super::{NUL, by_bytes, cast, quoted};

/// The longest text that is put together; past 2^30 bytes PostgreSQL has no text, nor a row that holds its parts.
const LONGEST_TEXT_BYTES: u64 = 1_000_000_000;

/// The days on which our calendar and PostgreSQL's agree: all but its infinities and its farthest future.
const FIRST_DAY: &str = "4714-11-24 BC";
const LAST_DAY: &str = "262142-12-31";

/// The first year that begins where PostgreSQL has timestamps at all.
const FIRST_WHOLE_YEAR: &str = "4713-01-01 BC";

pub(super) fn widen_support(from: &DataType, to: &DataType) -> Support {
    if from == to || widens(from, to) {
        Support::Exact
    } else {
        Support::Local { reason: "the cast could fail or lose digits, on a hidden row too" }
    }
}

pub(super) fn widen(sql: &str, from: &DataType, to: &DataType) -> String {
    match (from, to) {
        // A boolean becomes an int4 and nothing else.
        (DataType::Boolean, DataType::Int16 | DataType::Int64) => cast(&cast(sql, &DataType::Int32), to),
        _ => cast(sql, to),
    }
}

pub(super) fn arithmetic(calculation: Calculation<'_>) -> String {
    let Calculation { op, left: (left, _), right: (right, _), data_type } = calculation;
    match (op, data_type) {
        // Its own `/` rounds, and to as many digits as it likes: ours cuts off at the result's scale.
        (ArithmeticOp::Divide, DataType::Decimal128(_, scale)) => {
            format!("div({left} * 1e{scale}::numeric, {right}) * 1e-{scale}::numeric")
        }
        _ => format!("{left} {} {right}", op.sql()),
    }
}

pub(super) fn concat(parts: &[TextPart]) -> String {
    let joined: Vec<&str> = parts.iter().map(|part| part.sql.as_str()).collect();
    // Columns of two collations have none in common.
    let joined = by_bytes(&format!("({})", joined.join(" || ")));
    let bounded: u64 = parts.iter().filter_map(|part| part.most_bytes).sum();
    let lengths: Vec<String> = parts
        .iter()
        .filter(|part| part.most_bytes.is_none())
        .map(|part| format!("octet_length({})::int8", part.sql))
        .collect();
    match (lengths.is_empty(), LONGEST_TEXT_BYTES.checked_sub(bounded)) {
        (true, Some(_)) => joined,
        (_, None) => "NULL::text".to_owned(),
        (false, Some(room)) => format!("(CASE WHEN {} <= {room} THEN {joined} END)", lengths.join(" + ")),
    }
}

pub(super) fn text_support(function: &TextFunction, expr: &Expr, input: &[OutputColumn]) -> Support {
    if expr.output(input).data_type != DataType::Utf8 {
        return Support::Local { reason: "the expression is for text" };
    }
    match function {
        TextFunction::Upper | TextFunction::Lower => {
            Support::Local { reason: "PostgreSQL folds case by the rules of the column's language" }
        }
        TextFunction::Replace { from, to } if from.contains('\0') || to.contains('\0') => NUL,
        TextFunction::Position(text) if text.contains('\0') => NUL,
        TextFunction::Length
        | TextFunction::Substring { .. }
        | TextFunction::Left(_)
        | TextFunction::Right(_)
        | TextFunction::Trim(_)
        | TextFunction::Replace { .. }
        | TextFunction::Position(_) => Support::Exact,
    }
}

pub(super) fn of_text(function: &TextFunction, sql: &str) -> String {
    match function {
        TextFunction::Length => format!("length({sql})"),
        TextFunction::Substring { start, length: None } => format!("substr({sql}, {start})"),
        TextFunction::Substring { start, length: Some(length) } => format!("substr({sql}, {start}, {length})"),
        TextFunction::Left(count) => format!("left({sql}, {count})"),
        TextFunction::Right(count) => format!("right({sql}, {count})"),
        TextFunction::Trim(side) => {
            let name = match side {
                TrimSide::Both => "btrim",
                TrimSide::Start => "ltrim",
                TrimSide::End => "rtrim",
            };
            format!("{name}({}, ' ')", by_bytes(sql))
        }
        TextFunction::Replace { from, to } => {
            format!("replace({}, {}::text, {}::text)", by_bytes(sql), quoted(from), quoted(to))
        }
        TextFunction::Position(text) => format!("strpos({}, {}::text)", by_bytes(sql), quoted(text)),
        TextFunction::Upper => format!("upper({sql})"),
        TextFunction::Lower => format!("lower({sql})"),
    }
}

pub(super) fn date_part_support(part: DatePart, expr: &Expr, input: &[OutputColumn]) -> Support {
    match expr.output(input).data_type {
        DataType::Date32 if part.is_of_dates() => Support::Exact,
        DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
        _ => Support::Local { reason: "only dates and timestamps have such a part" },
    }
}

pub(super) fn date_part(part: DatePart, sql: &str, input: &OutputColumn) -> String {
    let field = match part {
        DatePart::Year => "year",
        DatePart::Quarter => "quarter",
        DatePart::Month => "month",
        DatePart::Week => "week",
        DatePart::Day => "day",
        DatePart::DayOfWeek => "dow",
        DatePart::IsoDayOfWeek => "isodow",
        DatePart::DayOfYear => "doy",
        DatePart::Hour => "hour",
        DatePart::Minute => "minute",
    };
    let (moment, within) = near(sql, input, FIRST_DAY);
    let value = format!("extract({field} FROM {moment})::int4");
    // There is no year 0 in PostgreSQL: the year before 1 is -1 there and 0 here.
    let value = if part == DatePart::Year { format!("{value} + ({value} < 0)::int4") } else { value };
    format!("(CASE WHEN {within} THEN {value} END)")
}

pub(super) fn truncate_support(expr: &Expr, input: &[OutputColumn]) -> Support {
    match expr.output(input).data_type {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
        _ => Support::Local { reason: "only timestamps are truncated at a source" },
    }
}

pub(super) fn truncate(to: DateUnit, sql: &str, input: &OutputColumn) -> String {
    let unit = match to {
        DateUnit::Year => "year",
        DateUnit::Quarter => "quarter",
        DateUnit::Month => "month",
        DateUnit::Week => "week",
        DateUnit::Day => "day",
        DateUnit::Hour => "hour",
        DateUnit::Minute => "minute",
        DateUnit::Second => "second",
    };
    let (moment, within) = near(sql, input, FIRST_WHOLE_YEAR);
    let zone = if is_zoned(input) { " AT TIME ZONE 'UTC'" } else { "" };
    format!("(CASE WHEN {within} THEN date_trunc('{unit}', {moment}){zone} END)")
}

/// The date or moment by the clock of UTC, and the condition that it lies in both calendars.
fn near(sql: &str, input: &OutputColumn, first: &str) -> (String, String) {
    if input.data_type == DataType::Date32 {
        return (sql.to_owned(), format!("{sql} BETWEEN '{first}'::date AND '{LAST_DAY}'::date"));
    }
    let moment = if is_zoned(input) { format!("({sql} AT TIME ZONE 'UTC')") } else { sql.to_owned() };
    let (era, first) = first.split_once(' ').map_or(("", first), |(day, era)| (era, day));
    let within =
        format!("{moment} BETWEEN '{first} 00:00:00 {era}'::timestamp AND '{LAST_DAY} 23:59:59.999999'::timestamp");
    (moment, within)
}

fn is_zoned(input: &OutputColumn) -> bool {
    matches!(input.data_type, DataType::Timestamp(_, Some(_)))
}
