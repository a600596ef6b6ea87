//! Dates and moments by the calendar.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Timelike};
use wayleave_connector_api::{DatePart, DateUnit};

/// The moments of a column as the calendar has them; `None` where it has none.
pub fn of(array: &ArrayRef) -> Vec<Option<NaiveDateTime>> {
    if *array.data_type() == DataType::Date32 {
        let days = array.as_primitive::<Date32Type>();
        return days
            .iter()
            .map(|days| Some(DateTime::from_timestamp(i64::from(days?).checked_mul(86_400)?, 0)?.naive_utc()))
            .collect();
    }
    let moments = array.as_primitive::<TimestampMicrosecondType>();
    moments.iter().map(|moment| Some(DateTime::from_timestamp_micros(moment?)?.naive_utc())).collect()
}

pub fn year(moment: NaiveDateTime) -> i32 {
    moment.year()
}

pub fn days(date: NaiveDate) -> Option<i32> {
    date.num_days_from_ce().checked_sub(719_163)
}

pub fn part(moment: NaiveDateTime, part: DatePart) -> i32 {
    let number = |value: u32| i32::try_from(value).unwrap();
    match part {
        DatePart::Year => moment.year(),
        DatePart::Quarter => number((moment.month() - 1) / 3 + 1),
        DatePart::Month => number(moment.month()),
        DatePart::Week => number(moment.iso_week().week()),
        DatePart::Day => number(moment.day()),
        DatePart::DayOfWeek => number(moment.weekday().num_days_from_sunday()),
        DatePart::IsoDayOfWeek => number(moment.weekday().number_from_monday()),
        DatePart::DayOfYear => number(moment.ordinal()),
        DatePart::Hour => number(moment.hour()),
        DatePart::Minute => number(moment.minute()),
    }
}

pub fn truncated(moment: NaiveDateTime, to: DateUnit) -> NaiveDateTime {
    let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0).unwrap();
    let first = |month: u32| midnight(moment.date().with_day(1).unwrap().with_month(month).unwrap());
    match to {
        DateUnit::Year => first(1),
        DateUnit::Quarter => first((moment.month() - 1) / 3 * 3 + 1),
        DateUnit::Month => first(moment.month()),
        DateUnit::Week => {
            let days = Days::new(u64::from(moment.weekday().num_days_from_monday()));
            midnight(moment.date().checked_sub_days(days).unwrap())
        }
        DateUnit::Day => midnight(moment.date()),
        DateUnit::Hour => moment.date().and_hms_opt(moment.hour(), 0, 0).unwrap(),
        DateUnit::Minute => moment.date().and_hms_opt(moment.hour(), moment.minute(), 0).unwrap(),
        DateUnit::Second => moment.with_nanosecond(0).unwrap(),
    }
}

/// The date that a text is, alone or before a time of day in no zone but UTC's.
pub fn iso_date(text: &str) -> Option<NaiveDate> {
    let (date, rest) = text.split_at_checked(10)?;
    let shape = date.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect::<Vec<_>>();
    if shape != *b"0000-00-00" || date.starts_with("0000") {
        return None;
    }
    let parsed = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let time = rest.strip_prefix(['T', ' ']).map(|time| time.strip_suffix('Z').unwrap_or(time));
    match time {
        None => rest.is_empty().then_some(parsed),
        Some(time) if time.starts_with(|c: char| c.is_ascii_digit()) && time.len() >= 5 && time.is_ascii() => {
            let known = ["%H:%M", "%H:%M:%S", "%H:%M:%S%.f"];
            let two =
                time.split([':', '.']).take(3).all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()));
            (two && known.iter().any(|format| chrono::NaiveTime::parse_from_str(time, format).is_ok()))
                .then_some(parsed)
        }
        Some(_) => None,
    }
}

/// Whether databases may read a date into this text or not: a year 0, or a date with something after it that is neither a
/// time of day nor nothing.
pub fn is_open_to_debate(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else { return false };
    iso_date(text).is_none() && (date.starts_with("0000") || iso_date(date).is_some() && !rest.is_empty())
}
