//! Values as text, in the styles of CONVERT.

use rusqlite::types::Value;

use crate::calendar::{self, TICKS_PER_DAY, TICKS_PER_SECOND};
use crate::convert::{integer, offset_parts, real, scale_of, unscaled};
use crate::decimal;
use crate::error::SqlError;
use crate::guid::guid_text;
use crate::sql_type::{Kind, SqlType};

/// A value as text in a CONVERT style.
pub fn display(value: &Value, from: SqlType, style: i64) -> Result<String, SqlError> {
    let bad_style = || {
        SqlError::new(
            281,
            16,
            1,
            format!("{style} is not a valid style number when converting from {} to a character string.", from.name()),
        )
    };
    Ok(match from.kind() {
        Kind::Integer => integer(value).to_string(),
        Kind::Decimal => {
            let number = unscaled(value);
            match from {
                SqlType::Money | SqlType::SmallMoney => match style {
                    0 => decimal::to_text(decimal::rescale(number, 4, 2).unwrap_or(number), 2),
                    2 | 126 => decimal::to_text(number, 4),
                    _ => return Err(bad_style()),
                },
                _ => decimal::to_text(number, scale_of(from)),
            }
        }
        Kind::Float => float_text(real(value), from, style),
        Kind::UniqueIdentifier => match value {
            Value::Blob(bytes) => guid_text(bytes),
            _ => String::new(),
        },
        Kind::Date => match style {
            0 | 20 | 21 | 23 | 25 | 120 | 121 | 126 | 127 => calendar::date_text(integer(value)),
            112 => calendar::date_text(integer(value)).replace('-', ""),
            _ => return Err(bad_style()),
        },
        Kind::Time => {
            let SqlType::Time(scale) = from else { return Err(bad_style()) };
            match style {
                0 | 21 | 25 | 121 | 126 | 127 | 114 => calendar::time_text(integer(value), scale),
                8 | 20 | 24 | 108 | 120 => calendar::time_text(integer(value), 0),
                _ => return Err(bad_style()),
            }
        }
        Kind::DateTime => {
            let ticks = integer(value);
            let (day, clock) = (ticks.div_euclid(TICKS_PER_DAY), ticks.rem_euclid(TICKS_PER_DAY));
            let date = calendar::date_text(day);
            let (clock, scale) = match from {
                SqlType::DateTime2(scale) => (clock, scale),
                SqlType::DateTime => (calendar::round_ticks(clock, 3), 3),
                _ => (clock, 0),
            };
            match (from, style) {
                (SqlType::DateTime | SqlType::SmallDateTime, 0) => {
                    let calendar::Day { year, month, day } = calendar::day_of(day);
                    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
                    let name = usize::try_from(month - 1).ok().and_then(|month| names.get(month)).unwrap_or(&"");
                    let minutes = clock / TICKS_PER_SECOND / 60;
                    let (hours, minutes) = (minutes / 60, minutes % 60);
                    let half = if hours < 12 { "AM" } else { "PM" };
                    let hours = if hours % 12 == 0 { 12 } else { hours % 12 };
                    format!("{name} {day:>2} {year} {hours:>2}:{minutes:02}{half}")
                }
                (_, 0 | 21 | 25 | 121) => {
                    let scale = if from == SqlType::SmallDateTime { 3 } else { scale };
                    format!("{date} {}", calendar::time_text(clock, scale))
                }
                (_, 20 | 120) => format!("{date} {}", calendar::time_text(clock, 0)),
                (_, 23) => date,
                (_, 112) => date.replace('-', ""),
                (_, 8 | 24 | 108) => calendar::time_text(clock, 0),
                (_, 126) => {
                    let fraction = clock % TICKS_PER_SECOND;
                    let scale = if from == SqlType::DateTime && fraction == 0 { 0 } else { scale };
                    format!("{date}T{}", calendar::time_text(clock, scale))
                }
                (_, 127) => format!("{date}T{}Z", calendar::time_text(clock, scale)),
                _ => return Err(bad_style()),
            }
        }
        Kind::DateTimeOffset => {
            let SqlType::DateTimeOffset(scale) = from else { return Err(bad_style()) };
            let (utc, offset) = offset_parts(value);
            let ticks = utc + offset * 60 * TICKS_PER_SECOND;
            let (day, clock) = (ticks.div_euclid(TICKS_PER_DAY), ticks.rem_euclid(TICKS_PER_DAY));
            let date = calendar::date_text(day);
            let sign = if offset < 0 { '-' } else { '+' };
            let zone = format!("{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60);
            match style {
                0 | 21 | 25 | 121 => format!("{date} {} {zone}", calendar::time_text(clock, scale)),
                20 | 120 => format!("{date} {} {zone}", calendar::time_text(clock, 0)),
                126 => format!("{date}T{}{zone}", calendar::time_text(clock, scale)),
                127 => {
                    let (day, clock) = (utc.div_euclid(TICKS_PER_DAY), utc.rem_euclid(TICKS_PER_DAY));
                    format!("{}T{}Z", calendar::date_text(day), calendar::time_text(clock, scale))
                }
                112 => date.replace('-', ""),
                23 => date,
                _ => return Err(bad_style()),
            }
        }
        Kind::String | Kind::Binary | Kind::Xml => String::new(),
    })
}

/// Style 0 has six digits, style 3 all seventeen.
fn float_text(number: f64, from: SqlType, style: i64) -> String {
    let scientific = |digits: usize| {
        let text = format!("{number:.digits$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:03}", exponent.abs())
    };
    match style {
        1 => scientific(7),
        2 => scientific(15),
        3 => scientific(if from == SqlType::Real { 8 } else { 16 }),
        _ => {
            if number == 0.0 {
                return "0".to_owned();
            }
            let exponent =
                format!("{number:.5e}").split_once('e').and_then(|(_, digits)| digits.parse().ok()).unwrap_or(0);
            if !(-5..6).contains(&exponent) {
                let text = scientific(5);
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "+000"));
                let mantissa = if mantissa.contains('.') {
                    mantissa.trim_end_matches('0').trim_end_matches('.')
                } else {
                    mantissa
                };
                return format!("{mantissa}e{exponent}");
            }
            let places = usize::try_from(5 - exponent).unwrap_or(0);
            let text = format!("{number:.places$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
    }
}
