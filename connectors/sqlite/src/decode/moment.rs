//! Dates and times as SQLite keeps them: ISO 8601 text, in the shapes of <https://www.sqlite.org/lang_datefunc.html>,
//! section 2, that name a date.

use chrono::{Datelike, NaiveDate};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Day 0 of Arrow's dates, counted as chrono counts days.
const EPOCH_DAY: i32 = 719_163;

/// A date, a time of that day and perhaps a zone, as they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// From 1970-01-01.
    pub(super) days: i32,
    /// From midnight.
    pub(super) microseconds: i64,
    /// East of Greenwich; `None` where nothing was written.
    pub(super) offset_minutes: Option<i32>,
}

impl Moment {
    /// `YYYY-MM-DD`, `YYYY-MM-DD HH:MM[:SS[.ffffff]]`, with `T` for the blank, and with `Z` or `±HH[[:]MM]` behind.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (date, rest) = bytes.split_at_checked(10)?;
        let days = parse_date(date)?;
        let time_and_zone = match rest.split_first() {
            None => return Some(Self { days, microseconds: 0, offset_minutes: None }),
            Some((b' ' | b'T', rest)) => rest,
            Some(_) => return None,
        };
        let (time, offset_minutes) = split_zone(time_and_zone)?;
        Some(Self { days, microseconds: parse_time(time)?, offset_minutes })
    }

    /// Microseconds from 1970-01-01T00:00 UTC, or of that clock where no zone was written.
    pub(super) fn instant(self) -> i64 {
        i64::from(self.days) * DAY + self.microseconds - i64::from(self.offset_minutes.unwrap_or(0)) * MINUTE
    }
}

fn parse_date(bytes: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else { return None };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, number(&[*m1, *m2])?, number(&[*d1, *d2])?)?;
    Some(date.num_days_from_ce() - EPOCH_DAY)
}

/// `HH:MM[:SS[.f…]]` as microseconds from midnight; a fraction finer than that must be zeros.
pub(super) fn parse_time(bytes: &[u8]) -> Option<i64> {
    let (clock, fraction) = match bytes.iter().position(|byte| *byte == b'.') {
        Some(point) => {
            let (clock, rest) = bytes.split_at_checked(point)?;
            (clock, Some(rest.get(1..)?))
        }
        None => (bytes, None),
    };
    let (hour, minute, second) = match clock {
        [h1, h2, b':', m1, m2] if fraction.is_none() => (number(&[*h1, *h2])?, number(&[*m1, *m2])?, 0),
        [h1, h2, b':', m1, m2, b':', s1, s2] => (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?),
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let microsecond = fraction.map_or(Some(0), parse_fraction)?;
    Some(i64::from((hour * 60 + minute) * 60 + second) * 1_000_000 + i64::from(microsecond))
}

fn parse_fraction(digits: &[u8]) -> Option<u32> {
    let (kept, finer) = digits.split_at_checked(6).unwrap_or((digits, &[]));
    if kept.is_empty() || finer.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let missing = u32::try_from(6 - kept.len()).ok()?;
    Some(number(kept)? * 10_u32.pow(missing))
}

/// What stands before the zone, and the zone in minutes.
fn split_zone(bytes: &[u8]) -> Option<(&[u8], Option<i32>)> {
    if let Some((b'Z', time)) = bytes.split_last() {
        return Some((time, Some(0)));
    }
    let Some(sign) = bytes.iter().position(|byte| matches!(byte, b'+' | b'-')) else { return Some((bytes, None)) };
    let (time, zone) = bytes.split_at_checked(sign)?;
    let (hours, minutes) = match zone {
        [_, h1, h2] => (number(&[*h1, *h2])?, 0),
        [_, h1, h2, m1, m2] | [_, h1, h2, b':', m1, m2] => (number(&[*h1, *h2])?, number(&[*m1, *m2])?),
        _ => return None,
    };
    // The widest offset in use is 14 hours.
    if hours > 15 || minutes > 59 {
        return None;
    }
    let offset = i32::try_from(hours * 60 + minutes).ok()?;
    Some((time, Some(if zone.first() == Some(&b'-') { -offset } else { offset })))
}

/// At most nine digits as a number.
pub(crate) fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Option<i64> {
        Moment::parse(text.as_bytes()).map(Moment::instant)
    }

    #[test]
    fn moments_are_counted_from_the_epoch() {
        for (text, expected) in [
            ("1970-01-01", 0),
            ("1970-01-02 00:00", DAY),
            ("1969-12-31T23:59:59.999999", -1),
            ("1970-01-01 00:00:00.5", 500_000),
            ("1970-01-01 00:00:00.123456000", 123_456),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1970-01-01T00:00:00-0130", 90 * MINUTE),
            ("1970-01-01T00:00:00Z", 0),
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
            ("0001-01-01", -719_162 * DAY),
        ] {
            assert_eq!(instant(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "1970",
            "1970-1-1",
            "1970-02-30",
            "1970-13-01",
            "1970-01-01x",
            "1970-01-01 ",
            "1970-01-01 24:00",
            "1970-01-01 23:59:60",
            "1970-01-01 1:00",
            "1970-01-01 00:00:00.",
            "1970-01-01 00:00:00.1234567",
            "1970-01-01 00:00:00+",
            "1970-01-01 00:00:00+1",
            "1970-01-01 00:00:00+99:00",
            "١٩٧٠-01-01",
            "now",
            "2451545",
            "1970-01-01 00:00.5",
            "1970-01-01Z",
            "+197-01-01",
        ] {
            assert_eq!(Moment::parse(text.as_bytes()), None, "{text}");
        }
    }
}
