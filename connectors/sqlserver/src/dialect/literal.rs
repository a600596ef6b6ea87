//! Constants as SQL Server writes them. Every one comes with the type that it has here.

use std::fmt::Write;

use arrow::datatypes::DataType;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime};
use wayleave_connector_api::{Support, Value};

use super::text::by_units;
use super::{FLOATS, OTHERS};
use crate::types::{MOST_BOUNDED_CHARACTERS, server_type};

/// Day 0 of Arrow's dates, counted as chrono counts days.
const EPOCH_DAY: i32 = 719_163;

const FAR: Support = Support::Local { reason: "the date or time lies outside the years 1 to 9999" };

/// Whether the constant means in SQL Server what it means here.
pub(super) fn support(value: &Value) -> Support {
    match value {
        Value::Null(data_type) if server_type(data_type).is_none() => OTHERS,
        Value::Float32(_) | Value::Float64(_) => FLOATS,
        Value::Decimal256 { .. } => Support::Local { reason: "SQL Server's decimals have at most 38 digits" },
        Value::Decimal128 { scale, .. } if *scale < 0 => OTHERS,
        Value::Date(days) if date(*days).is_none() => FAR,
        Value::Time(microseconds) if time(*microseconds).is_none() => FAR,
        Value::Timestamp { microseconds, .. } if timestamp(*microseconds).is_none() => FAR,
        Value::Null(_)
        | Value::Boolean(_)
        | Value::Int16(_)
        | Value::Int32(_)
        | Value::Int64(_)
        | Value::Decimal128 { .. }
        | Value::Text(_)
        | Value::Binary(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Timestamp { .. } => Support::Exact,
    }
}

/// The constant as an expression; NULL where [`support`] says that it cannot be written.
pub(super) fn write(value: &Value) -> String {
    let data_type = value.data_type();
    let of_type = |text: Option<String>| match text {
        Some(text) => format!("CAST({text} AS {})", server_type(&data_type).unwrap_or_default()),
        None => null(&data_type),
    };
    let quoted = |text: Option<String>| of_type(text.map(|text| format!("'{text}'")));
    match value {
        Value::Null(data_type) => null(data_type),
        Value::Boolean(value) => of_type(Some(if *value { "1" } else { "0" }.to_owned())),
        // A number past the range of int would be a decimal, and a bare one a position in GROUP BY and ORDER BY.
        Value::Int16(number) => of_type(Some(number.to_string())),
        Value::Int32(number) => of_type(Some(number.to_string())),
        Value::Int64(number) => of_type(Some(number.to_string())),
        Value::Float32(number) => of_type(number.is_finite().then(|| format!("{number:e}"))),
        Value::Float64(number) => of_type(number.is_finite().then(|| format!("{number:e}"))),
        Value::Decimal128 { .. } | Value::Decimal256 { .. } => {
            of_type(value.decimal_digits().filter(|_| server_type(&data_type).is_some()))
        }
        Value::Text(value) => by_units(&text(value)),
        Value::Binary(bytes) => {
            let mut digits = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                // Writing to a string cannot fail.
                let _ = write!(digits, "{byte:02X}");
            }
            of_type(Some(format!("0x{digits}")))
        }
        Value::Date(days) => quoted(date(*days)),
        Value::Time(microseconds) => quoted(time(*microseconds)),
        Value::Timestamp { microseconds, zoned: false } => quoted(timestamp(*microseconds)),
        Value::Timestamp { microseconds, zoned: true } => {
            quoted(timestamp(*microseconds).map(|text| format!("{text}+00:00")))
        }
    }
}

fn null(data_type: &DataType) -> String {
    match (data_type, server_type(data_type)) {
        (DataType::Utf8 | DataType::Null, _) | (_, None) => by_units("CAST(NULL AS nvarchar(1))"),
        (_, Some(name)) => format!("CAST(NULL AS {name})"),
    }
}

/// A text constant without a collation.
///
/// Two things in it would be read otherwise: a backslash at the end of a line joins it with the next one, and a NUL has no
/// place in a statement.
pub(super) fn text(value: &str) -> String {
    let mut pieces: Vec<String> = Vec::new();
    let mut piece = String::new();
    let mut after_backslash = false;
    for character in value.chars() {
        let breaks_line = matches!(character, '\n' | '\r') && after_backslash;
        if character == '\0' || breaks_line {
            pieces.push(quoted(&std::mem::take(&mut piece)));
        }
        if character == '\0' {
            pieces.push("NCHAR(0)".to_owned());
        } else {
            piece.push(character);
        }
        after_backslash = character == '\\';
    }
    if !piece.is_empty() || pieces.is_empty() {
        pieces.push(quoted(&piece));
    }
    pieces.retain(|piece| piece != "N''" || value.is_empty());
    match pieces.as_slice() {
        [only] => only.clone(),
        many => {
            let long = u32::try_from(value.encode_utf16().count()).is_ok_and(|count| count <= MOST_BOUNDED_CHARACTERS);
            let joined = many.join(" + ");
            // Beyond 4,000 characters `+` cuts off what is not declared as long.
            if long { format!("({joined})") } else { format!("(CAST(N'' AS nvarchar(max)) + {joined})") }
        }
    }
}

fn quoted(text: &str) -> String {
    format!("N'{}'", text.replace('\'', "''"))
}

fn date(days: i32) -> Option<String> {
    let date = NaiveDate::from_num_days_from_ce_opt(days.checked_add(EPOCH_DAY)?)?;
    (1..=9999).contains(&date.year()).then(|| date.format("%Y-%m-%d").to_string())
}

fn time(microseconds: i64) -> Option<String> {
    let seconds = u32::try_from(microseconds.checked_div(1_000_000)?).ok()?;
    let nanoseconds = u32::try_from(microseconds.checked_rem(1_000_000)?).ok()?.checked_mul(1_000)?;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanoseconds)?;
    Some(time.format("%H:%M:%S%.6f").to_string())
}

fn timestamp(microseconds: i64) -> Option<String> {
    let moment = DateTime::from_timestamp_micros(microseconds)?.naive_utc();
    (1..=9999).contains(&moment.year()).then(|| moment.format("%Y-%m-%dT%H:%M:%S%.6f").to_string())
}
