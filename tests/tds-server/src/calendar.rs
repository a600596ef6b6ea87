//! Days and times of day: the proleptic Gregorian calendar from 0001-01-01 to 9999-12-31.

pub const TICKS_PER_SECOND: i64 = 10_000_000;
pub const TICKS_PER_DAY: i64 = 86_400 * TICKS_PER_SECOND;
/// 1900-01-01, from which datetime and smalldatetime count.
pub const DAY_1900: i64 = 693_595;
/// 1753-01-01, where datetime starts.
pub const DAY_1753: i64 = 639_905;
/// 9999-12-31.
pub const LAST_DAY: i64 = 3_652_058;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    pub year: i64,
    pub month: i64,
    pub day: i64,
}

pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 0001-01-01, where there is such a day.
pub fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let before = year - 1;
    let mut number = before * 365 + before / 4 - before / 100 + before / 400;
    for earlier in 1..month {
        number += days_in_month(year, earlier);
    }
    Some(number + day - 1)
}

pub fn day_of(number: i64) -> Day {
    let mut year = number.div_euclid(366) + 1;
    let first_day = |year: i64| {
        let before = year - 1;
        before * 365 + before / 4 - before / 100 + before / 400
    };
    while first_day(year + 1) <= number {
        year += 1;
    }
    let mut rest = number - first_day(year);
    let mut month = 1;
    while rest >= days_in_month(year, month) {
        rest -= days_in_month(year, month);
        month += 1;
    }
    Day { year, month, day: rest + 1 }
}

/// Rounds ticks of 100 ns half up to a scale of 0 to 7 digits.
pub fn round_ticks(ticks: i64, scale: u8) -> i64 {
    let unit = 10i64.pow(u32::from(7 - scale.min(7)));
    (ticks + unit / 2).div_euclid(unit) * unit
}

/// The nearest instant that datetime knows: 1/300 of a second.
pub fn round_to_datetime(ticks: i64) -> i64 {
    let (days, rest) = (ticks.div_euclid(TICKS_PER_DAY), ticks.rem_euclid(TICKS_PER_DAY));
    let three_hundredths = datetime_units(rest);
    days * TICKS_PER_DAY + datetime_ticks(three_hundredths)
}

/// Ticks of a day to 1/300 of a second.
pub fn datetime_units(ticks: i64) -> i64 {
    (ticks * 3 + 50_000) / 100_000
}

/// 1/300 of a second to ticks of a day.
pub fn datetime_ticks(units: i64) -> i64 {
    (units * 100_000 + 1) / 3
}

pub fn date_text(number: i64) -> String {
    let Day { year, month, day } = day_of(number);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `hh:mm:ss` and the fraction at the scale.
pub fn time_text(ticks: i64, scale: u8) -> String {
    let seconds = ticks / TICKS_PER_SECOND;
    let text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if scale == 0 {
        return text;
    }
    let fraction = (ticks % TICKS_PER_SECOND) / 10i64.pow(u32::from(7 - scale.min(7)));
    format!("{text}.{fraction:0width$}", width = usize::from(scale))
}

/// What a text says of a day, a time of day and an offset, in the forms that mean the same in every language setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// Days since 0001-01-01; 1900-01-01 where the text has a time alone.
    pub day: i64,
    /// Ticks of 100 ns since midnight.
    pub ticks: i64,
    pub offset_minutes: Option<i64>,
}

/// `yyyy-mm-dd`, `yyyymmdd`, `hh:mm[:ss[.fffffff]]`, the two with a blank or `T` between, and `Z` or `+hh:mm` behind.
pub fn parse(text: &str) -> Option<Instant> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Instant { day: DAY_1900, ticks: 0, offset_minutes: None });
    }
    let (date, rest) = match text.find(['T', 't', ' ']) {
        Some(position) => (text.get(..position)?, text.get(position + 1..)?.trim_start()),
        None if text.contains(':') => ("", text),
        None => (text, ""),
    };
    let (date, rest) = if date.contains(':') { ("", text) } else { (date, rest) };
    let day = if date.is_empty() { DAY_1900 } else { parse_day(date)? };
    let (clock, offset_minutes) = split_offset(rest)?;
    let ticks = if clock.is_empty() { 0 } else { parse_clock(clock)? };
    Some(Instant { day, ticks, offset_minutes })
}

fn parse_day(text: &str) -> Option<i64> {
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return day_number(text.get(..4)?.parse().ok()?, text.get(4..6)?.parse().ok()?, text.get(6..)?.parse().ok()?);
    }
    let mut parts = text.split(['-', '/', '.']);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    day_number(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

fn split_offset(text: &str) -> Option<(&str, Option<i64>)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock.trim_end(), Some(0)));
    }
    let Some(position) = text.rfind(['+', '-']) else { return Some((text, None)) };
    let (hours, minutes) = text.get(position + 1..)?.split_once(':')?;
    let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    if minutes > 14 * 60 {
        return None;
    }
    let sign = if text.get(position..=position)? == "-" { -1 } else { 1 };
    Some((text.get(..position)?.trim_end(), Some(sign * minutes)))
}

fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let seconds = parts.next().unwrap_or("0");
    if parts.next().is_some() {
        return None;
    }
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let seconds: i64 = seconds.parse().ok()?;
    if !(0..24).contains(&hours) || !(0..60).contains(&minutes) || !(0..60).contains(&seconds) || fraction.len() > 9 {
        return None;
    }
    let mut ticks = 0;
    for position in 0..7 {
        let digit = match fraction.as_bytes().get(position) {
            Some(byte) if byte.is_ascii_digit() => i64::from(byte - b'0'),
            Some(_) => return None,
            None => 0,
        };
        ticks = ticks * 10 + digit;
    }
    Some(((hours * 60 + minutes) * 60 + seconds) * TICKS_PER_SECOND + ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_the_first() {
        assert_eq!(day_number(1, 1, 1), Some(0));
        assert_eq!(day_number(1753, 1, 1), Some(DAY_1753));
        assert_eq!(day_number(1900, 1, 1), Some(DAY_1900));
        assert_eq!(day_number(9999, 12, 31), Some(LAST_DAY));
        assert_eq!(day_number(1900, 2, 29), None);
        for number in [0, 58, 59, 60, 365, 366, 1460, 1461, DAY_1900, LAST_DAY] {
            let day = day_of(number);
            assert_eq!(day_number(day.year, day.month, day.day), Some(number));
        }
    }

    #[test]
    fn texts_are_read_in_the_forms_that_no_language_changes() {
        let noon = 12 * 3600 * TICKS_PER_SECOND;
        assert_eq!(parse("1900-01-01T12:00:00"), Some(Instant { day: DAY_1900, ticks: noon, offset_minutes: None }));
        assert_eq!(parse("19000101 12:00"), Some(Instant { day: DAY_1900, ticks: noon, offset_minutes: None }));
        assert_eq!(parse("12:00:00.5 +02:30").and_then(|read| read.offset_minutes), Some(150));
        assert_eq!(parse("1900-13-01"), None);
        assert_eq!(parse("24:00"), None);
    }

    #[test]
    fn datetime_rounds_to_a_three_hundredth() {
        assert_eq!(round_to_datetime(9_990_000), 9_966_667 + 33_333);
        assert_eq!(datetime_units(datetime_ticks(299)), 299);
        assert_eq!(time_text(datetime_ticks(1), 3), "00:00:00.003");
        assert_eq!(time_text(datetime_ticks(2), 3), "00:00:00.006");
    }
}
