//! Constants as SQL.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{Days, NaiveDate};
use wayleave_connector_api::{Support, Value};

const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// Decimals of MySQL's end here; MariaDB's have a few more digits after the point.
pub(super) const MOST_DIGITS: u8 = 65;
pub(super) const MOST_SCALE: i8 = 30;

pub(super) fn support(value: &Value) -> Support {
    const FAR: Support = Support::Local { reason: "the date or time lies outside the years 1 to 9999" };
    const NO_NUMBER: Support = Support::Local { reason: "the source has no NaN, no infinity and no negative zero" };
    let is_number = |number: f64| number.is_finite() && !(number == 0.0 && number.is_sign_negative());
    match value {
        Value::Null(data_type) if null_type(data_type).is_none() => {
            Support::Local { reason: "the source has no such type" }
        }
        Value::Float32(number) if !is_number(f64::from(*number)) => NO_NUMBER,
        Value::Float64(number) if !is_number(*number) => NO_NUMBER,
        Value::Decimal128 { precision, scale, .. } | Value::Decimal256 { precision, scale, .. }
            if *precision > MOST_DIGITS || *scale > MOST_SCALE =>
        {
            Support::Local { reason: "the number has more digits than the source's decimals" }
        }
        Value::Date(days) if !is_near(i64::from(*days)) => FAR,
        Value::Time(microseconds) if !(0..DAY_MICROSECONDS).contains(microseconds) => FAR,
        Value::Timestamp { microseconds, .. } if !is_near(microseconds.div_euclid(DAY_MICROSECONDS)) => FAR,
        _ => Support::Exact,
    }
}

pub(super) fn write(value: &Value) -> String {
    match value {
        Value::Null(data_type) => match null_type(data_type) {
            Some(name) => format!("CAST(NULL AS {name})"),
            None => "NULL".to_owned(),
        },
        Value::Boolean(true) => "TRUE".to_owned(),
        Value::Boolean(false) => "FALSE".to_owned(),
        Value::Int16(number) => number.to_string(),
        Value::Int32(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        // As the columns' own values are, which are widened where they are compared.
        Value::Float32(number) => float(f64::from(*number)),
        Value::Float64(number) => float(*number),
        Value::Decimal128 { .. } | Value::Decimal256 { .. } => {
            value.decimal_digits().unwrap_or_else(|| "CAST(NULL AS DECIMAL(65, 0))".to_owned())
        }
        Value::Text(text) => self::text(text),
        Value::Binary(bytes) => format!("X'{}'", hexadecimal(bytes)),
        Value::Date(days) => date(i64::from(*days)).map_or_else(null_moment, |date| format!("DATE'{date}'")),
        Value::Time(microseconds) => format!("TIME'{}'", time(*microseconds)),
        Value::Timestamp { microseconds, .. } => {
            let day = date(microseconds.div_euclid(DAY_MICROSECONDS));
            let time = time(microseconds.rem_euclid(DAY_MICROSECONDS));
            day.map_or_else(null_moment, |day| format!("TIMESTAMP'{day} {time}'"))
        }
    }
}

/// A text in quotes; in hexadecimal where a session's settings or a terminal could read it as something else.
pub(super) fn text(text: &str) -> String {
    if is_plain(text) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        format!("CAST(_utf8mb4 X'{}' AS CHAR)", hexadecimal(text.as_bytes()))
    }
}

/// Whether [`text`] writes it in quotes.
pub(super) fn is_plain(text: &str) -> bool {
    !text.chars().any(|character| character == '\\' || character.is_control())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn float(number: f64) -> String {
    if number.is_finite() { format!("{number:e}") } else { "CAST(NULL AS DOUBLE)".to_owned() }
}

/// Nothing equals it: nothing is let through by mistake.
fn null_moment() -> String {
    "CAST(NULL AS DATETIME(6))".to_owned()
}

fn null_type(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Null | DataType::Utf8 => "CHAR".to_owned(),
        DataType::Boolean | DataType::Int16 | DataType::Int32 | DataType::Int64 => "SIGNED".to_owned(),
        DataType::Float32 | DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)
            if *precision <= MOST_DIGITS && (0..=MOST_SCALE).contains(scale) =>
        {
            format!("DECIMAL({precision}, {scale})")
        }
        DataType::Binary => "BINARY".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Time64(TimeUnit::Microsecond) => "TIME(6)".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "DATETIME(6)".to_owned(),
        _ => return None,
    })
}

/// Whether a day lies in the years 0001 to 9999.
fn is_near(days: i64) -> bool {
    (-719_162..=2_932_896).contains(&days)
}

fn date(days: i64) -> Option<String> {
    let (epoch, offset) = (NaiveDate::default(), Days::new(days.unsigned_abs()));
    let date = if days < 0 { epoch.checked_sub_days(offset) } else { epoch.checked_add_days(offset) }?;
    is_near(days).then(|| date.format("%Y-%m-%d").to_string())
}

fn time(microseconds: i64) -> String {
    let (seconds, fraction) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
    let (minutes, second) = (seconds.div_euclid(60), seconds.rem_euclid(60));
    format!("{:02}:{:02}:{second:02}.{fraction:06}", minutes.div_euclid(60), minutes.rem_euclid(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_of_a_session_changes_what_a_text_means() {
        assert_eq!(text("O'Brien"), "'O''Brien'");
        assert_eq!(text("日本"), "'日本'");
        assert_eq!(text(r"a\' OR 1=1 --"), "CAST(_utf8mb4 X'615C27204F5220313D31202D2D' AS CHAR)");
        assert_eq!(text("a\0"), "CAST(_utf8mb4 X'6100' AS CHAR)");
    }

    #[test]
    fn moments_are_written_in_the_calendar_that_both_have() {
        assert_eq!(write(&Value::Date(0)), "DATE'1970-01-01'");
        assert_eq!(write(&Value::Date(-719_162)), "DATE'0001-01-01'");
        assert_ne!(support(&Value::Date(-719_163)), Support::Exact);
        let moment = Value::Timestamp { microseconds: -1, zoned: true };
        assert_eq!(write(&moment), "TIMESTAMP'1969-12-31 23:59:59.999999'");
    }

    #[test]
    fn a_float_is_written_so_that_it_is_read_as_one() {
        assert_eq!(write(&Value::Float64(1.5)), "1.5e0");
        assert_eq!(write(&Value::Float64(-1e300)), "-1e300");
        assert_eq!(write(&Value::Float32(0.1)), "1.0000000149011612e-1");
    }
}
