//! Arithmetic and functions as SQL. None of the texts can raise an error, whatever row they meet.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::{
    ArithmeticOp, Calculation, DatePart, DateUnit, OutputColumn, Support, TextFunction, TrimSide, widens,
};

use super::literal::{self, MOST_DIGITS, MOST_SCALE};

pub(super) fn widen_support(from: &DataType, to: &DataType) -> Support {
    if !(from == to || widens(from, to)) {
        return Support::Local { reason: "the cast could fail or lose digits, on a hidden row too" };
    }
    match to {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)
            if *precision > MOST_DIGITS || *scale > MOST_SCALE =>
        {
            Support::Local { reason: "the number has more digits than the source's decimals" }
        }
        _ => Support::Exact,
    }
}

pub(super) fn widen(sql: &str, from: &DataType, to: &DataType) -> String {
    match (from, to) {
        (from, to) if from == to => sql.to_owned(),
        (DataType::Boolean, DataType::Utf8) => {
            format!("(CASE {sql} WHEN TRUE THEN 'true' WHEN FALSE THEN 'false' END)")
        }
        // Without the zeros that a column may be filled with.
        (_, DataType::Utf8) => format!("CAST(CAST({sql} AS SIGNED) AS CHAR)"),
        (_, DataType::Float32 | DataType::Float64) => format!("CAST({sql} AS DOUBLE)"),
        (_, decimal @ (DataType::Decimal128(..) | DataType::Decimal256(..))) => as_decimal(sql, decimal),
        // Every integer has 64 bits in a calculation.
        _ => sql.to_owned(),
    }
}

pub(super) fn as_decimal(sql: &str, to: &DataType) -> String {
    match to {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("CAST({sql} AS DECIMAL({precision}, {scale}))")
        }
        _ => sql.to_owned(),
    }
}

/// Which calculations end in the digits that we would have.
pub(super) fn digits_support(op: ArithmeticOp, data_type: &DataType) -> Support {
    match data_type {
        DataType::Decimal128(..) | DataType::Decimal256(..) if op == ArithmeticOp::Divide => {
            Support::Local { reason: "the source rounds a quotient of decimals, to a scale of its own" }
        }
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) if *scale > MOST_SCALE => {
            Support::Local { reason: "the number has more digits than the source's decimals" }
        }
        _ => Support::Exact,
    }
}

pub(super) fn arithmetic(calculation: Calculation<'_>) -> String {
    let Calculation { op, left, right, data_type } = calculation;
    let operand = |(sql, own): (&str, &DataType)| match own {
        _ if is_number(sql) => sql.to_owned(),
        DataType::Decimal128(..) | DataType::Decimal256(..) => as_decimal(sql, own),
        // With an unsigned column the whole would be unsigned, and fail below zero.
        _ => format!("CAST({sql} AS SIGNED)"),
    };
    let (left, right) = (operand(left), operand(right));
    match (op, data_type) {
        (ArithmeticOp::Divide, DataType::Int16 | DataType::Int32 | DataType::Int64) => format!("{left} DIV {right}"),
        _ => format!("{left} {} {right}", op.sql()),
    }
}

fn is_number(sql: &str) -> bool {
    let digits = sql.strip_prefix('-').unwrap_or(sql);
    digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// A sum in the type that was promised: one of integers is a decimal there, and an error where it is too large for us.
pub(super) fn summed(sql: &str, to: &DataType) -> String {
    if *to == DataType::Int64 { format!("({sql} DIV 1)") } else { sql.to_owned() }
}

pub(super) fn text_support(function: &TextFunction, argument: &OutputColumn) -> Support {
    if argument.data_type != DataType::Utf8 {
        return super::NO_TEXT;
    }
    match function {
        TextFunction::Upper | TextFunction::Lower => {
            Support::Local { reason: "the source folds case by tables of its own" }
        }
        _ => Support::Exact,
    }
}

pub(super) fn of_text(function: &TextFunction, sql: &str) -> String {
    match function {
        TextFunction::Length => format!("char_length({sql})"),
        TextFunction::Substring { start, length } => substring(sql, *start, *length),
        TextFunction::Left(count) => match u32::try_from(*count) {
            Ok(count) => format!("left({sql}, {count})"),
            Err(_) => format!("left({sql}, greatest(char_length({sql}) - {}, 0))", count.unsigned_abs()),
        },
        TextFunction::Right(count) => match u32::try_from(*count) {
            Ok(count) => format!("right({sql}, {count})"),
            Err(_) => format!("right({sql}, greatest(char_length({sql}) - {}, 0))", count.unsigned_abs()),
        },
        TextFunction::Trim(side) => {
            let side = match side {
                TrimSide::Both => "BOTH",
                TrimSide::Start => "LEADING",
                TrimSide::End => "TRAILING",
            };
            format!("trim({side} ' ' FROM {sql})")
        }
        TextFunction::Replace { from, to } => {
            format!("replace({sql}, {}, {})", literal::text(from), literal::text(to))
        }
        TextFunction::Position(text) => format!("locate({}, {sql})", literal::text(text)),
        // Never asked for: case is folded here.
        TextFunction::Upper | TextFunction::Lower => "CAST(NULL AS CHAR)".to_owned(),
    }
}

/// To the source a start of 0 is nowhere and a negative one counts from the end.
fn substring(sql: &str, start: i32, length: Option<i32>) -> String {
    let first = start.max(1);
    match length {
        None => format!("substr({sql}, {first})"),
        Some(length) => {
            let end = i64::from(start) + i64::from(length.max(0));
            format!("substr({sql}, {first}, {})", (end - i64::from(first)).max(0))
        }
    }
}

pub(super) fn date_part_support(part: DatePart, input: &OutputColumn) -> Support {
    match input.data_type {
        DataType::Date32 if part.is_of_dates() => Support::Exact,
        DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
        _ => Support::Local { reason: "only dates and timestamps have such a part" },
    }
}

pub(super) fn date_part(part: DatePart, sql: &str) -> String {
    match part {
        DatePart::Year => format!("year({sql})"),
        DatePart::Quarter => format!("quarter({sql})"),
        DatePart::Month => format!("month({sql})"),
        DatePart::Week => format!("week({sql}, 3)"),
        DatePart::Day => format!("dayofmonth({sql})"),
        DatePart::DayOfWeek => format!("(dayofweek({sql}) - 1)"),
        DatePart::IsoDayOfWeek => format!("(weekday({sql}) + 1)"),
        DatePart::DayOfYear => format!("dayofyear({sql})"),
        DatePart::Hour => format!("hour({sql})"),
        DatePart::Minute => format!("minute({sql})"),
    }
}

pub(super) fn truncate_support(input: &OutputColumn) -> Support {
    match input.data_type {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Support::Exact,
        _ => Support::Local { reason: "only timestamps are truncated at a source" },
    }
}

pub(super) fn truncate(to: DateUnit, sql: &str) -> String {
    let written = |format: &str| format!("date_format({sql}, '{format}')");
    let begun = match to {
        DateUnit::Year => written("%Y-01-01"),
        DateUnit::Quarter => format!("concat(date_format({sql}, '%Y-'), quarter({sql}) * 3 - 2, '-01')"),
        DateUnit::Month => written("%Y-%m-01"),
        DateUnit::Week => format!("from_days(to_days({sql}) - weekday({sql}))"),
        DateUnit::Day => format!("CAST({sql} AS DATE)"),
        DateUnit::Hour => written("%Y-%m-%d %H:00:00"),
        DateUnit::Minute => written("%Y-%m-%d %H:%i:00"),
        DateUnit::Second => written("%Y-%m-%d %H:%i:%s"),
    };
    format!("CAST({begun} AS DATETIME(6))")
}
