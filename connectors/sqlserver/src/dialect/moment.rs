//! Dates and moments as SQL Server's SQL. Its calendar is ours, from the year 1 to 9999, so that none of this can fail.

use arrow::datatypes::DataType;
use wayleave_connector_api::{DatePart, DateUnit, OutputColumn};

use super::text::{bare, by_units};

/// A Monday.
const FIRST_DAY: &str = "CAST('0001-01-01' AS date)";

pub(super) fn date_part(part: DatePart, sql: &str, input: &OutputColumn) -> String {
    let moment = by_utc(sql, input);
    // Days since a Monday: what a week begins with is a setting there.
    let weekday = |shift: u8| format!("((DATEDIFF(day, {FIRST_DAY}, {moment}) + {shift}) % 7)");
    let name = match part {
        DatePart::Year => "year",
        DatePart::Quarter => "quarter",
        DatePart::Month => "month",
        DatePart::Week => "iso_week",
        DatePart::Day => "day",
        DatePart::DayOfYear => "dayofyear",
        DatePart::Hour => "hour",
        DatePart::Minute => "minute",
        DatePart::DayOfWeek => return weekday(1),
        DatePart::IsoDayOfWeek => return format!("({} + 1)", weekday(0)),
    };
    format!("DATEPART({name}, {moment})")
}

pub(super) fn truncate(to: DateUnit, sql: &str, input: &OutputColumn) -> String {
    let moment = by_utc(sql, input);
    let part = |name: &str| format!("DATEPART({name}, {moment})");
    let since = |month: &str, day: &str| format!("DATEFROMPARTS({}, {month}, {day})", part("year"));
    let clock = |minute: &str, second: &str| {
        let (year, month, day, hour) = (part("year"), part("month"), part("day"), part("hour"));
        format!("DATETIME2FROMPARTS({year}, {month}, {day}, {hour}, {minute}, {second}, 0, 6)")
    };
    let began = match to {
        DateUnit::Year => since("1", "1"),
        DateUnit::Quarter => since(&format!("{} * 3 - 2", part("quarter")), "1"),
        DateUnit::Month => since(&part("month"), "1"),
        DateUnit::Week => {
            format!("DATEADD(day, -(DATEDIFF(day, {FIRST_DAY}, {moment}) % 7), CAST({moment} AS date))")
        }
        DateUnit::Day => format!("CAST({moment} AS date)"),
        DateUnit::Hour => clock("0", "0"),
        DateUnit::Minute => clock(&part("minute"), "0"),
        DateUnit::Second => clock(&part("minute"), &part("second")),
    };
    let digits = match input.data_type {
        DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, _) => 7,
        _ => 6,
    };
    let began = format!("CAST({began} AS datetime2({digits}))");
    if is_zoned(input) { format!("TODATETIMEOFFSET({began}, '+00:00')") } else { began }
}

/// A date, moment or text as a date; NULL where it is none.
pub(super) fn date_of(sql: &str, column: &OutputColumn) -> String {
    match &column.data_type {
        DataType::Date32 => sql.to_owned(),
        DataType::Timestamp(..) => format!("CAST({} AS date)", by_utc(sql, column)),
        DataType::Utf8 => {
            const DATE: &str = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]";
            let like = |shape: &str| format!("{sql} LIKE N'{DATE}{shape}'");
            let mut shapes = vec![like("")];
            for hour in ["[01][0-9]", "2[0-3]"] {
                let minute = format!("[ T]{hour}:[0-5][0-9]");
                let second = format!("{minute}:[0-5][0-9]");
                shapes.extend([&minute, &second].iter().flat_map(|time| [like(time), like(&format!("{time}Z"))]));
                // Any number of digits of a second, and what may end them.
                let rest = by_units(&format!("SUBSTRING({}, 21, 2147483647)", bare(sql)));
                shapes.push(format!(
                    "({} AND {rest} NOT LIKE N'%[^0-9Z]%' AND {rest} NOT LIKE N'%Z_%')",
                    like(&format!("{second}.[0-9]%"))
                ));
            }
            format!(
                "(CASE WHEN {} THEN TRY_CONVERT(date, SUBSTRING({}, 1, 10), 23) END)",
                shapes.join(" OR "),
                bare(sql)
            )
        }
        _ => "CAST(NULL AS date)".to_owned(),
    }
}

/// By the clock of UTC, without a zone.
fn by_utc(sql: &str, input: &OutputColumn) -> String {
    if is_zoned(input) { format!("CAST(SWITCHOFFSET({sql}, '+00:00') AS datetime2(7))") } else { sql.to_owned() }
}

fn is_zoned(input: &OutputColumn) -> bool {
    matches!(input.data_type, DataType::Timestamp(_, Some(_)))
}
