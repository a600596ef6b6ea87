//! Constants as SQLite writes them.

use std::fmt::Write;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime};
use wayleave_connector_api::{Support, Value};

/// Day 0 of Arrow's dates, counted as chrono counts days.
const EPOCH_DAY: i32 = 719_163;

const UNWRITABLE_DATE: Support = Support::Local { reason: "SQLite writes years from 0000 to 9999" };
const UNWRITABLE_FLOAT: Support = Support::Local { reason: "SQLite has no value that is not a number" };

/// Whether the constant means in SQLite what it means here.
pub(super) fn support(value: &Value) -> Support {
    match value {
        Value::Float32(number) if number.is_nan() => UNWRITABLE_FLOAT,
        Value::Float64(number) if number.is_nan() => UNWRITABLE_FLOAT,
        Value::Date(days) if date(*days).is_none() => UNWRITABLE_DATE,
        Value::Timestamp { microseconds, .. } if timestamp(*microseconds).is_none() => UNWRITABLE_DATE,
        Value::Time(microseconds) if time(*microseconds).is_none() => UNWRITABLE_DATE,
        Value::Null(_)
        | Value::Boolean(_)
        | Value::Int16(_)
        | Value::Int32(_)
        | Value::Int64(_)
        | Value::Float32(_)
        | Value::Float64(_)
        | Value::Decimal128 { .. }
        | Value::Decimal256 { .. }
        | Value::Text(_)
        | Value::Binary(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Timestamp { .. } => Support::Exact,
    }
}

/// The constant as an expression; NULL where [`support`] says that it cannot be written.
pub(super) fn write(value: &Value) -> String {
    let quoted = |text: Option<String>| text.map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'"));
    match value {
        Value::Null(_) => "NULL".to_owned(),
        Value::Boolean(value) => if *value { "1" } else { "0" }.to_owned(),
        Value::Int16(number) => number.to_string(),
        Value::Int32(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::Float32(number) => float(f64::from(*number)),
        Value::Float64(number) => float(*number),
        // As text: a number with a point would become a binary float, and lose digits on its way here.
        Value::Decimal128 { .. } | Value::Decimal256 { .. } => quoted(value.decimal_digits()),
        Value::Text(value) => text(value),
        Value::Binary(bytes) => blob(bytes),
        Value::Date(days) => quoted(date(*days)),
        Value::Time(microseconds) => quoted(time(*microseconds)),
        Value::Timestamp { microseconds, .. } => quoted(timestamp(*microseconds)),
    }
}

/// A text constant. SQL text ends at a NUL character, so a text that has one goes as its bytes.
pub(super) fn text(value: &str) -> String {
    if value.contains('\0') {
        format!("(CAST({} AS TEXT))", blob(value.as_bytes()))
    } else {
        format!("'{}'", value.replace('\'', "''"))
    }
}

pub(super) fn blob(bytes: &[u8]) -> String {
    let mut sql = String::with_capacity(bytes.len() * 2 + 3);
    sql.push_str("x'");
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(sql, "{byte:02x}");
    }
    sql.push('\'');
    sql
}

fn float(number: f64) -> String {
    if number.is_nan() {
        "NULL".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "9e999" } else { "-9e999" }.to_owned()
    } else {
        // 17 significant digits mean one float only.
        format!("{number:.16e}")
    }
}

fn date(days: i32) -> Option<String> {
    let date = NaiveDate::from_num_days_from_ce_opt(days.checked_add(EPOCH_DAY)?)?;
    (0..=9999).contains(&date.year()).then(|| date.format("%Y-%m-%d").to_string())
}

fn time(microseconds: i64) -> Option<String> {
    let seconds = u32::try_from(microseconds.checked_div(1_000_000)?).ok()?;
    let nanoseconds = u32::try_from(microseconds.checked_rem(1_000_000)?).ok()?.checked_mul(1_000)?;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanoseconds)?;
    Some(time.format(if nanoseconds == 0 { "%H:%M:%S" } else { "%H:%M:%S%.6f" }).to_string())
}

fn timestamp(microseconds: i64) -> Option<String> {
    let moment = DateTime::from_timestamp_micros(microseconds)?.naive_utc();
    let whole = microseconds.rem_euclid(1_000_000) == 0;
    let format = if whole { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
    (0..=9999).contains(&moment.year()).then(|| moment.format(format).to_string())
}
