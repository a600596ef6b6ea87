//! Functions on dates and times.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use rusqlite::{Connection, Result};

use super::{PURE, type_argument};
use crate::calendar::{self, DAY_1900, Day, LAST_DAY, TICKS_PER_DAY, TICKS_PER_SECOND};
use crate::convert::{offset_blob, offset_parts};
use crate::error::SqlError;
use crate::sql_type::{Kind, SqlType};

/// 1970-01-01 in days since 0001-01-01.
const DAY_1970: i64 = 719_162;

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("tds_utc", 1, PURE, |ctx| {
        Ok(match ctx.get(0)? {
            Value::Null => Value::Null,
            value => Value::Integer(offset_parts(&value).0),
        })
    })?;
    connection.create_scalar_function("tds_switchoffset", 2, PURE, |ctx| {
        let (value, zone) = (ctx.get::<Value>(0)?, ctx.get::<Option<String>>(1)?);
        let (false, Some(zone)) = (value == Value::Null, zone) else { return Ok(Value::Null) };
        Ok(offset_blob(offset_parts(&value).0, zone_minutes(&zone).map_err(SqlError::into_sqlite)?))
    })?;
    connection.create_scalar_function("tds_todatetimeoffset", 2, PURE, |ctx| {
        let (Some(ticks), Some(zone)) = (ctx.get::<Option<i64>>(0)?, ctx.get::<Option<String>>(1)?) else {
            return Ok(Value::Null);
        };
        let minutes = zone_minutes(&zone).map_err(SqlError::into_sqlite)?;
        Ok(offset_blob(ticks - minutes * 60 * TICKS_PER_SECOND, minutes))
    })?;
    connection.create_scalar_function("tds_now", 1, FunctionFlags::SQLITE_UTF8, |ctx| {
        let scale: i64 = ctx.get(0)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ticks = DAY_1970 * TICKS_PER_DAY + i64::try_from(since.as_nanos() / 100).unwrap_or(0);
        Ok(if scale == 3 { calendar::round_to_datetime(ticks) } else { ticks })
    })?;
    connection.create_scalar_function("tds_datepart", 3, PURE, |ctx| {
        let part: String = ctx.get(0)?;
        let value: Value = ctx.get(1)?;
        if value == Value::Null {
            return Ok(Value::Null);
        }
        let sql_type = type_argument(ctx, 2)?;
        date_part(&part, &value, sql_type).map(Value::Integer).map_err(SqlError::into_sqlite)
    })?;
    connection.create_scalar_function("tds_datename", 2, PURE, |ctx| {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
        let part: String = ctx.get(0)?;
        let Some(number) = ctx.get::<Option<i64>>(1)? else { return Ok(None) };
        let position = usize::try_from(number - 1).unwrap_or(usize::MAX);
        Ok(Some(match part.as_str() {
            "month" => MONTHS.get(position).map(|name| (*name).to_owned()).unwrap_or_default(),
            "weekday" => DAYS.get(position).map(|name| (*name).to_owned()).unwrap_or_default(),
            _ => number.to_string(),
        }))
    })?;
    connection.create_scalar_function("tds_dateadd", 4, PURE, |ctx| {
        let part: String = ctx.get(0)?;
        let (Some(number), value) = (ctx.get::<Option<i64>>(1)?, ctx.get::<Value>(2)?) else { return Ok(Value::Null) };
        if value == Value::Null {
            return Ok(Value::Null);
        }
        date_add(&part, number, &value, type_argument(ctx, 3)?).map_err(SqlError::into_sqlite)
    })?;
    connection.create_scalar_function("tds_datediff", 6, PURE, |ctx| {
        let part: String = ctx.get(0)?;
        let (start, end): (Value, Value) = (ctx.get(1)?, ctx.get(3)?);
        if start == Value::Null || end == Value::Null {
            return Ok(Value::Null);
        }
        let target = type_argument(ctx, 5)?;
        let (start, end) = (instant(&start, type_argument(ctx, 2)?, Clock::Utc), instant(&end, type_argument(ctx, 4)?, Clock::Utc));
        let count = date_diff(&part, start, end).map_err(SqlError::into_sqlite)?;
        let (least, greatest) = target.integer_range().unwrap_or((i64::MIN, i64::MAX));
        if (least..=greatest).contains(&count) {
            Ok(Value::Integer(count))
        } else {
            Err(SqlError::new(535, 16, 0, "The datediff function resulted in an overflow. The number of dateparts separating two date/time instances is too large. Try to use datediff with a less precise datepart.").into_sqlite())
        }
    })?;
    connection.create_scalar_function("tds_datetrunc", 3, PURE, |ctx| {
        let part: String = ctx.get(0)?;
        let value: Value = ctx.get(1)?;
        if value == Value::Null {
            return Ok(Value::Null);
        }
        let sql_type = type_argument(ctx, 2)?;
        date_truncated(&part, &value, sql_type).map_err(SqlError::into_sqlite)
    })?;
    connection.create_scalar_function("tds_datefromparts", 3, PURE, |ctx| {
        let (Some(year), Some(month), Some(day)) =
            (ctx.get::<Option<i64>>(0)?, ctx.get::<Option<i64>>(1)?, ctx.get::<Option<i64>>(2)?)
        else {
            return Ok(Value::Null);
        };
        calendar::day_number(year, month, day).map(Value::Integer).ok_or_else(|| {
            SqlError::new(
                289,
                16,
                1,
                "Cannot construct data type date, some of the arguments have values which are not valid.",
            )
            .into_sqlite()
        })
    })?;
    connection.create_scalar_function("tds_datetime2fromparts", 8, PURE, |ctx| {
        let mut parts = Vec::new();
        for position in 0..7 {
            match ctx.get::<Option<i64>>(position)? {
                Some(part) => parts.push(part),
                None => return Ok(Value::Null),
            }
        }
        let scale: u8 = ctx.get(7)?;
        let invalid = || {
            let text = "Cannot construct data type datetime2, some of the arguments have values which are not valid.";
            SqlError::new(289, 16, 5, text).into_sqlite()
        };
        let [year, month, day, hour, minute, second, fraction] = *parts.as_slice() else { return Err(invalid()) };
        let whole = 10i64.pow(u32::from(scale));
        if !(0..24).contains(&hour)
            || !(0..60).contains(&minute)
            || !(0..60).contains(&second)
            || !(0..whole).contains(&fraction)
        {
            return Err(invalid());
        }
        let day = calendar::day_number(year, month, day).ok_or_else(invalid)?;
        let clock =
            ((hour * 60 + minute) * 60 + second) * TICKS_PER_SECOND + fraction * 10i64.pow(u32::from(7 - scale));
        Ok(Value::Integer(day * TICKS_PER_DAY + clock))
    })?;
    connection.create_scalar_function("tds_eomonth", 2, PURE, |ctx| {
        let (Some(day), Some(months)) = (ctx.get::<Option<i64>>(0)?, ctx.get::<Option<i64>>(1)?) else {
            return Ok(Value::Null);
        };
        let moved = add_months(day, months).ok_or_else(|| out_of_range("date").into_sqlite())?;
        let Day { year, month, .. } = calendar::day_of(moved);
        Ok(calendar::day_number(year, month, calendar::days_in_month(year, month)).map_or(Value::Null, Value::Integer))
    })
}

/// The minutes of an offset that is written as `+05:30`.
fn zone_minutes(zone: &str) -> std::result::Result<i64, SqlError> {
    let wrong = || SqlError::new(9812, 16, 0, "The timezone provided to builtin function is invalid.");
    let (sign, rest) = match (zone.strip_prefix('+'), zone.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, Some(rest)) => (-1, rest),
        (None, None) => return Err(wrong()),
    };
    let (hours, minutes) = rest.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<i64>().ok().filter(|_| text.len() == 2).ok_or_else(wrong);
    let total = number(hours)? * 60 + number(minutes)?;
    if total > 14 * 60 { Err(wrong()) } else { Ok(sign * total) }
}

#[derive(Clone, Copy)]
enum Clock {
    Local,
    Utc,
}

/// Ticks since 0001-01-01; a time alone is on 1900-01-01.
fn instant(value: &Value, sql_type: SqlType, clock: Clock) -> i64 {
    let number = match value {
        Value::Integer(number) => *number,
        _ => 0,
    };
    match sql_type.kind() {
        Kind::Date => number * TICKS_PER_DAY,
        Kind::Time => DAY_1900 * TICKS_PER_DAY + number,
        Kind::DateTimeOffset => {
            let (utc, offset) = offset_parts(value);
            match clock {
                Clock::Utc => utc,
                Clock::Local => utc + offset * 60 * TICKS_PER_SECOND,
            }
        }
        _ => number,
    }
}

fn not_supported(part: &str, function: &str, sql_type: SqlType) -> SqlError {
    SqlError::new(
        9810,
        16,
        1,
        format!("The datepart {part} is not supported by date function {function} for data type {}.", sql_type.name()),
    )
}

fn date_part(part: &str, value: &Value, sql_type: SqlType) -> Result<i64, SqlError> {
    let is_clock = matches!(part, "hour" | "minute" | "second" | "millisecond" | "microsecond" | "nanosecond");
    if sql_type == SqlType::Date && is_clock || matches!(sql_type, SqlType::Time(_)) && !is_clock {
        return Err(not_supported(part, "datepart", sql_type));
    }
    let ticks = instant(value, sql_type, Clock::Local);
    let (number, clock) = (ticks.div_euclid(TICKS_PER_DAY), ticks.rem_euclid(TICKS_PER_DAY));
    let clock =
        if sql_type == SqlType::DateTime { calendar::round_ticks(clock, 3).min(TICKS_PER_DAY - 1) } else { clock };
    let Day { year, month, day } = calendar::day_of(number);
    let first = calendar::day_number(year, 1, 1).unwrap_or(0);
    // 0001-01-01 was a Monday; the week starts on Sunday (DATEFIRST 7).
    let weekday = |number: i64| (number + 1).rem_euclid(7) + 1;
    Ok(match part {
        "year" => year,
        "quarter" => (month - 1) / 3 + 1,
        "month" => month,
        "day" => day,
        "dayofyear" => number - first + 1,
        "week" => (number - first + weekday(first) - 1) / 7 + 1,
        "weekday" => weekday(number),
        "iso_week" => {
            let thursday = number - number.rem_euclid(7) + 3;
            let first = calendar::day_number(calendar::day_of(thursday).year, 1, 1).unwrap_or(0);
            (thursday - first) / 7 + 1
        }
        "hour" => clock / TICKS_PER_SECOND / 3600,
        "minute" => clock / TICKS_PER_SECOND / 60 % 60,
        "second" => clock / TICKS_PER_SECOND % 60,
        "millisecond" => clock % TICKS_PER_SECOND / 10_000,
        "microsecond" => clock % TICKS_PER_SECOND / 10,
        "nanosecond" => clock % TICKS_PER_SECOND * 100,
        "tzoffset" if sql_type.kind() == Kind::DateTimeOffset => offset_parts(value).1,
        other => return Err(not_supported(other, "datepart", sql_type)),
    })
}

fn add_months(day: i64, months: i64) -> Option<i64> {
    let Day { year, month, day } = calendar::day_of(day);
    let total = year.checked_mul(12)?.checked_add(month - 1)?.checked_add(months)?;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
    calendar::day_number(year, month, day.min(calendar::days_in_month(year, month)))
}

fn out_of_range(name: &str) -> SqlError {
    SqlError::new(517, 16, 1, format!("Adding a value to a '{name}' column caused an overflow."))
}

/// Ticks of 100 ns that a part of fixed length has.
fn part_ticks(part: &str) -> Option<i64> {
    Some(match part {
        "day" | "dayofyear" | "weekday" => TICKS_PER_DAY,
        "week" => 7 * TICKS_PER_DAY,
        "hour" => 3600 * TICKS_PER_SECOND,
        "minute" => 60 * TICKS_PER_SECOND,
        "second" => TICKS_PER_SECOND,
        "millisecond" => 10_000,
        "microsecond" => 10,
        _ => return None,
    })
}

fn date_add(part: &str, number: i64, value: &Value, sql_type: SqlType) -> Result<Value, SqlError> {
    let is_clock = matches!(part, "hour" | "minute" | "second" | "millisecond" | "microsecond" | "nanosecond");
    if sql_type == SqlType::Date && is_clock || matches!(sql_type, SqlType::Time(_)) && !is_clock {
        return Err(not_supported(part, "dateadd", sql_type));
    }
    let overflow = || out_of_range(sql_type.name());
    let ticks = instant(value, sql_type, Clock::Local);
    let months = match part {
        "year" => Some(12),
        "quarter" => Some(3),
        "month" => Some(1),
        _ => None,
    };
    let moved = match months {
        Some(months) => {
            let moved =
                number.checked_mul(months).and_then(|months| add_months(ticks.div_euclid(TICKS_PER_DAY), months));
            moved.map(|day| day * TICKS_PER_DAY + ticks.rem_euclid(TICKS_PER_DAY))
        }
        None if part == "nanosecond" => ticks.checked_add(number / 100),
        None => {
            let unit = part_ticks(part).ok_or_else(|| not_supported(part, "dateadd", sql_type))?;
            number.checked_mul(unit).and_then(|change| ticks.checked_add(change))
        }
    };
    let moved = moved.ok_or_else(overflow)?;
    if let SqlType::Time(_) = sql_type {
        return Ok(Value::Integer(moved.rem_euclid(TICKS_PER_DAY)));
    }
    if !(0..(LAST_DAY + 1) * TICKS_PER_DAY).contains(&moved) {
        return Err(overflow());
    }
    Ok(match sql_type {
        SqlType::Date => Value::Integer(moved.div_euclid(TICKS_PER_DAY)),
        SqlType::DateTime => Value::Integer(calendar::round_to_datetime(moved)),
        SqlType::DateTimeOffset(_) => {
            let (_, offset) = offset_parts(value);
            offset_blob(moved - offset * 60 * TICKS_PER_SECOND, offset)
        }
        _ => Value::Integer(moved),
    })
}

/// Boundaries of the part between the two.
fn date_diff(part: &str, start: i64, end: i64) -> Result<i64, SqlError> {
    let months = |ticks: i64| {
        let Day { year, month, .. } = calendar::day_of(ticks.div_euclid(TICKS_PER_DAY));
        year * 12 + month - 1
    };
    Ok(match part {
        "year" => months(end).div_euclid(12) - months(start).div_euclid(12),
        "quarter" => months(end).div_euclid(3) - months(start).div_euclid(3),
        "month" => months(end) - months(start),
        // Weeks start on Sunday whatever DATEFIRST says.
        "week" => {
            (end.div_euclid(TICKS_PER_DAY) + 1).div_euclid(7) - (start.div_euclid(TICKS_PER_DAY) + 1).div_euclid(7)
        }
        "nanosecond" => (end - start).checked_mul(100).unwrap_or(i64::MAX),
        _ => {
            let unit = part_ticks(part).ok_or_else(|| {
                SqlError::new(9806, 16, 1, format!("The datepart {part} is not supported by date function datediff."))
            })?;
            end.div_euclid(unit) - start.div_euclid(unit)
        }
    })
}

fn date_truncated(part: &str, value: &Value, sql_type: SqlType) -> Result<Value, SqlError> {
    let ticks = instant(value, sql_type, Clock::Local);
    let Day { year, month, .. } = calendar::day_of(ticks.div_euclid(TICKS_PER_DAY));
    let start = match part {
        "year" => calendar::day_number(year, 1, 1).map(|day| day * TICKS_PER_DAY),
        "quarter" => calendar::day_number(year, (month - 1) / 3 * 3 + 1, 1).map(|day| day * TICKS_PER_DAY),
        "month" => calendar::day_number(year, month, 1).map(|day| day * TICKS_PER_DAY),
        "week" => {
            let day = ticks.div_euclid(TICKS_PER_DAY);
            Some((day - (day + 1).rem_euclid(7)) * TICKS_PER_DAY)
        }
        _ => part_ticks(part).map(|unit| ticks.div_euclid(unit) * unit),
    };
    let start = start.ok_or_else(|| not_supported(part, "datetrunc", sql_type))?;
    Ok(match sql_type {
        SqlType::Date => Value::Integer(start.div_euclid(TICKS_PER_DAY)),
        SqlType::Time(_) => Value::Integer(start.rem_euclid(TICKS_PER_DAY)),
        SqlType::DateTimeOffset(_) => {
            let (_, offset) = offset_parts(value);
            offset_blob(start - offset * 60 * TICKS_PER_SECOND, offset)
        }
        _ => Value::Integer(start),
    })
}
