//! The day that a text names, in the shapes of SQLite's own `date()`: <https://www.sqlite.org/lang_datefunc.html>, section 2.
//!
//! Unlike that, a text must begin with a calendar date: `now`, `2451545`, `12:00` and the 30th of February are none, and
//! there is no hour 24.

use chrono::{Datelike, Days, NaiveDate};

use crate::decode::moment::number;

const MINUTES_OF_DAY: i64 = 24 * 60;

/// The day as `YYYY-MM-DD`.
pub(super) fn iso_date(text: &str) -> Option<String> {
    match read(text)? {
        (_, 0) => Some(text.get(..10)?.to_owned()),
        (date, days) => shifted(date, days).map(|date| date.to_string()),
    }
}

pub(super) fn day(text: &str) -> Option<NaiveDate> {
    let (date, days) = read(text)?;
    shifted(date, days)
}

/// SQLite writes years from 0 to 9999 only.
fn shifted(date: NaiveDate, days: i64) -> Option<NaiveDate> {
    let distance = Days::new(days.unsigned_abs());
    let date = if days < 0 { date.checked_sub_days(distance) } else { date.checked_add_days(distance) };
    date.filter(|date| (0..=9999).contains(&date.year()))
}

/// The date as it is written, and how many days later it is in UTC.
fn read(text: &str) -> Option<(NaiveDate, i64)> {
    let (date, rest) = text.as_bytes().split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return None };
    let year = i32::try_from(number(&[*y1, *y2, *y3, *y4])?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&[*m1, *m2])?, number(&[*d1, *d2])?)?;
    let rest = after(rest, |byte| is_blank(byte) || byte == b'T');
    if rest.is_empty() {
        return Some((date, 0));
    }
    let (minutes, rest) = clock(rest)?;
    Some((date, (minutes - zone(rest)?).div_euclid(MINUTES_OF_DAY)))
}

/// `HH:MM[:SS[.f…]]` as minutes from midnight, and what follows it.
fn clock(text: &[u8]) -> Option<(i64, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let (hour, minute) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    if hour > 23 || minute > 59 {
        return None;
    }
    let rest = match rest {
        [b':', s1, s2, rest @ ..] => {
            number(&[*s1, *s2]).filter(|second| *second <= 59)?;
            match rest {
                [b'.', digit, rest @ ..] if digit.is_ascii_digit() => after(rest, |byte| byte.is_ascii_digit()),
                rest => rest,
            }
        }
        rest => rest,
    };
    Some((i64::from(hour * 60 + minute), rest))
}

/// `Z`, `±HH:MM` or nothing, as minutes east of Greenwich.
fn zone(text: &[u8]) -> Option<i64> {
    let (minutes, rest) = match after(text, is_blank) {
        [] => return Some(0),
        [b'Z' | b'z', rest @ ..] => (0, rest),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, rest @ ..] => {
            let hours = number(&[*h1, *h2]).filter(|hours| *hours <= 14)?;
            let minutes = number(&[*m1, *m2]).filter(|minutes| *minutes <= 59)?;
            let east = i64::from(hours * 60 + minutes);
            (if *sign == b'-' { -east } else { east }, rest)
        }
        _ => return None,
    };
    after(rest, is_blank).is_empty().then_some(minutes)
}

fn after(text: &[u8], skipped: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !skipped(*byte)).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

/// What C calls a blank, which has a vertical tab more than Rust's.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}
