//! Functions on strings and bytes. Lengths and positions count UTF-16 units, as without supplementary characters.

use std::cmp::Ordering;

use aws_lc_rs::digest;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use rusqlite::{Connection, Result};

use super::{PURE, type_argument};
use crate::collation::Collation;
use crate::convert;
use crate::error::SqlError;
use crate::guid::guid_stored;
use crate::sql_type::{Kind, SqlType};

pub(super) fn register(connection: &Connection) -> Result<()> {
    let one = |name: &'static str, function: fn(&str) -> Value| {
        connection.create_scalar_function(name, 1, PURE, move |ctx| {
            Ok(ctx.get::<Option<String>>(0)?.map_or(Value::Null, |text| function(&text)))
        })
    };
    connection.create_scalar_function("tds_len", 2, PURE, |ctx| {
        let counting = Counting::under(collation_argument(ctx.get(1)?));
        Ok(ctx.get::<Option<String>>(0)?.map(|text| counting.length(text.trim_end_matches(' '))))
    })?;
    one("tds_upper", |text| Value::Text(simple_case(text, char::to_uppercase)))?;
    one("tds_lower", |text| Value::Text(simple_case(text, char::to_lowercase)))?;
    one("tds_reverse", |text| Value::Text(text.chars().rev().collect()))?;
    one("tds_ascii", |text| {
        Collation::DEFAULT.encode(text).first().map_or(Value::Null, |byte| Value::Integer(i64::from(*byte)))
    })?;
    connection.create_scalar_function("tds_unicode", 2, PURE, |ctx| {
        let counting = Counting::under(collation_argument(ctx.get(1)?));
        Ok(ctx.get::<Option<String>>(0)?.and_then(|text| match counting {
            Counting::Units => text.encode_utf16().next().map(i64::from),
            Counting::Characters => text.chars().next().map(|character| i64::from(u32::from(character))),
        }))
    })?;
    one("tds_quotename", |text| Value::Text(format!("[{}]", text.replace(']', "]]"))))?;
    one("tds_isnumeric", |text| {
        let read = |target| convert::cast(Value::Text(text.to_owned()), convert_source(), target, 0);
        let numeric = !text.trim().is_empty() && (read(SqlType::Float).is_ok() || read(SqlType::Money).is_ok());
        Value::Integer(i64::from(numeric))
    })?;
    connection.create_scalar_function("tds_char", 1, PURE, |ctx| {
        Ok(match ctx.get::<Option<i64>>(0)?.and_then(|code| u8::try_from(code).ok()) {
            Some(byte) => Value::Text(Collation::DEFAULT.decode(&[byte])),
            None => Value::Null,
        })
    })?;
    connection.create_scalar_function("tds_nchar", 1, PURE, |ctx| {
        Ok(match ctx.get::<Option<i64>>(0)?.and_then(|code| u16::try_from(code).ok()) {
            Some(unit) => Value::Text(String::from_utf16_lossy(&[unit])),
            None => Value::Null,
        })
    })?;
    connection.create_scalar_function("tds_datalength", 2, PURE, |ctx| {
        let sql_type = type_argument(ctx, 1)?;
        Ok(match (ctx.get(0)?, sql_type.kind()) {
            (Value::Null, _) => Value::Null,
            (Value::Text(text), _) if sql_type.is_unicode() || sql_type.kind() == Kind::Xml => {
                Value::Integer(units(&text) * 2)
            }
            (Value::Text(text), _) => {
                Value::Integer(length(sql_type.collation().unwrap_or(Collation::DEFAULT).encode(&text).len()))
            }
            (Value::Blob(bytes), Kind::Binary) => Value::Integer(length(bytes.len())),
            _ => Value::Integer(sql_type.catalog_sizes().0),
        })
    })?;
    connection.create_scalar_function("tds_substring", 4, PURE, |ctx| {
        let (Some(text), Some(start), Some(count)) =
            (ctx.get::<Option<String>>(0)?, ctx.get::<Option<i64>>(1)?, ctx.get::<Option<i64>>(2)?)
        else {
            return Ok(Value::Null);
        };
        let (first, last) = span(start, count, "substring").map_err(SqlError::into_sqlite)?;
        Ok(Value::Text(Counting::under(collation_argument(ctx.get(3)?)).slice(&text, first, last)))
    })?;
    connection.create_scalar_function("tds_subbinary", 3, PURE, |ctx| {
        let (Some(bytes), Some(start), Some(count)) =
            (ctx.get::<Option<Vec<u8>>>(0)?, ctx.get::<Option<i64>>(1)?, ctx.get::<Option<i64>>(2)?)
        else {
            return Ok(Value::Null);
        };
        let (first, last) = span(start, count, "substring").map_err(SqlError::into_sqlite)?;
        let last = last.min(bytes.len());
        Ok(Value::Blob(bytes.get(first.min(last)..last).unwrap_or_default().to_vec()))
    })?;
    for (name, from_left) in [("tds_left", true), ("tds_right", false)] {
        connection.create_scalar_function(name, 3, PURE, move |ctx| {
            let (Some(text), Some(count)) = (ctx.get::<Option<String>>(0)?, ctx.get::<Option<i64>>(1)?) else {
                return Ok(Value::Null);
            };
            let Ok(count) = usize::try_from(count) else {
                let word = if from_left { "left" } else { "right" };
                return Err(SqlError::new(
                    536,
                    16,
                    4,
                    format!("Invalid length parameter passed to the {word} function."),
                )
                .into_sqlite());
            };
            let counting = Counting::under(collation_argument(ctx.get(2)?));
            let total = usize::try_from(counting.length(&text)).unwrap_or(0);
            let first = if from_left { 0 } else { total.saturating_sub(count) };
            Ok(Value::Text(counting.slice(&text, first, if from_left { count } else { total })))
        })?;
    }
    connection.create_scalar_function("tds_stuff", 5, PURE, |ctx| {
        let (Some(text), Some(start), Some(count)) =
            (ctx.get::<Option<String>>(0)?, ctx.get::<Option<i64>>(1)?, ctx.get::<Option<i64>>(2)?)
        else {
            return Ok(Value::Null);
        };
        let with = ctx.get::<Option<String>>(3)?.unwrap_or_default();
        let counting = Counting::under(collation_argument(ctx.get(4)?));
        let total = counting.length(&text);
        if start < 1 || start > total || count < 0 {
            return Ok(Value::Null);
        }
        let (first, last) = (usize::try_from(start - 1).unwrap_or(0), usize::try_from(start - 1 + count).unwrap_or(0));
        let total = usize::try_from(total).unwrap_or(0);
        Ok(Value::Text(format!("{}{with}{}", counting.slice(&text, 0, first), counting.slice(&text, last, total))))
    })?;
    connection.create_scalar_function("tds_replicate", 3, PURE, |ctx| {
        let (Some(text), Some(count)) = (ctx.get::<Option<String>>(0)?, ctx.get::<Option<i64>>(1)?) else {
            return Ok(Value::Null);
        };
        let target = type_argument(ctx, 2)?;
        match usize::try_from(count) {
            Ok(count) => {
                let room = target.length().map_or(usize::MAX, usize::from);
                let count =
                    count.min(room.checked_div(text.chars().count()).map_or(0, |count| count.saturating_add(1)));
                Ok(Value::Text(convert::fit(&text.repeat(count), target)))
            }
            Err(_) => Ok(Value::Null),
        }
    })?;
    connection.create_scalar_function("tds_charindex", 4, PURE, |ctx| {
        let (Some(needle), Some(hay)) = (ctx.get::<Option<String>>(0)?, ctx.get::<Option<String>>(1)?) else {
            return Ok(Value::Null);
        };
        let start = ctx.get::<Option<i64>>(2)?.unwrap_or(1).max(1);
        let collation = collation_argument(ctx.get(3)?);
        Ok(Value::Integer(
            find(&hay, &needle, usize::try_from(start - 1).unwrap_or(0), collation).map_or(0, |at| length(at) + 1),
        ))
    })?;
    connection.create_scalar_function("tds_replace", 4, PURE, |ctx| {
        let (Some(text), Some(from), Some(to)) =
            (ctx.get::<Option<String>>(0)?, ctx.get::<Option<String>>(1)?, ctx.get::<Option<String>>(2)?)
        else {
            return Ok(Value::Null);
        };
        let collation = collation_argument(ctx.get(3)?);
        Ok(Value::Text(replaced(&text, &from, &to, collation)))
    })?;
    connection.create_scalar_function("tds_like", 5, PURE, |ctx| {
        let (Some(text), Some(pattern)) = (ctx.get::<Option<String>>(0)?, ctx.get::<Option<String>>(1)?) else {
            return Ok(Value::Null);
        };
        let escape: String = ctx.get(2)?;
        let collation = collation_argument(ctx.get(3)?);
        let unicode: bool = ctx.get(4)?;
        let pattern = parse_pattern(&pattern, escape.chars().next());
        let Some(pattern) = pattern else { return Ok(Value::Integer(0)) };
        let characters: Vec<char> = text.chars().collect();
        let mut matched = like(&characters, &pattern, collation);
        if !matched && !unicode {
            // Blanks at the end of what is matched do not count where neither side is Unicode.
            let trimmed: Vec<char> = text.trim_end_matches(' ').chars().collect();
            matched = like(&trimmed, &pattern, collation);
        }
        Ok(Value::Integer(i64::from(matched)))
    })?;
    connection.create_scalar_function("tds_trim_zeros", 1, PURE, |ctx| {
        Ok(match ctx.get::<Option<Vec<u8>>>(0)? {
            None => Value::Null,
            Some(mut bytes) => {
                while bytes.last() == Some(&0) {
                    bytes.pop();
                }
                Value::Blob(bytes)
            }
        })
    })?;
    connection.create_scalar_function("tds_join", 2, PURE, |ctx| {
        Ok(match (ctx.get::<Option<Vec<u8>>>(0)?, ctx.get::<Option<Vec<u8>>>(1)?) {
            (Some(mut left), Some(right)) => {
                left.extend(right);
                Value::Blob(left)
            }
            _ => Value::Null,
        })
    })?;
    connection.create_scalar_function("tds_hashbytes", 2, PURE, |ctx| {
        let (Some(algorithm), Some(bytes)) = (ctx.get::<Option<String>>(0)?, ctx.get::<Option<Vec<u8>>>(1)?) else {
            return Ok(Value::Null);
        };
        let algorithm = match algorithm.to_ascii_uppercase().as_str() {
            "SHA2_256" => &digest::SHA256,
            "SHA2_512" => &digest::SHA512,
            "SHA" | "SHA1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            // MD2, MD4 and MD5 are not here; an algorithm that SQL Server does not know gives NULL.
            _ => return Ok(Value::Null),
        };
        Ok(Value::Blob(digest::digest(algorithm, &bytes).as_ref().to_vec()))
    })?;
    connection.create_scalar_function("tds_newid", 0, FunctionFlags::SQLITE_UTF8, |_| {
        let mut bytes = [0u8; 16];
        let filled = aws_lc_rs::rand::fill(&mut bytes);
        filled.map_err(|_| rusqlite::Error::UserFunctionError("no random numbers".into()))?;
        Ok(Value::Blob(guid_stored(&bytes)))
    })
}

fn convert_source() -> SqlType {
    SqlType::NVarChar(crate::sql_type::Length::Max, Collation::DEFAULT)
}

fn collation_argument(code: i64) -> Collation {
    Collation::from_code(u8::try_from(code).unwrap_or(0))
}

fn units(text: &str) -> i64 {
    length(text.encode_utf16().count())
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Windows maps one character to one: ß stays.
fn simple_case<I: Iterator<Item = char>>(text: &str, map: impl Fn(char) -> I) -> String {
    text.chars()
        .map(|character| {
            let mut mapped = map(character);
            match (mapped.next(), mapped.next()) {
                (Some(one), None) => one,
                _ => character,
            }
        })
        .collect()
}

/// Positions from 1 and a length into a range from 0.
fn span(start: i64, count: i64, function: &str) -> Result<(usize, usize), SqlError> {
    if count < 0 {
        return Err(SqlError::new(
            537,
            16,
            3,
            format!("Invalid length parameter passed to the LEFT or {} function.", function.to_uppercase()),
        ));
    }
    let first = start - 1;
    let last = first.saturating_add(count).max(0);
    Ok((usize::try_from(first.max(0)).unwrap_or(0), usize::try_from(last).unwrap_or(0)))
}

/// What lengths and positions count.
#[derive(Clone, Copy)]
enum Counting {
    Units,
    Characters,
}

impl Counting {
    fn under(collation: Collation) -> Self {
        if collation.counts_characters() { Self::Characters } else { Self::Units }
    }

    fn length(self, text: &str) -> i64 {
        match self {
            Self::Units => units(text),
            Self::Characters => length(text.chars().count()),
        }
    }

    /// What stands from `first` to before `last`.
    fn slice(self, text: &str, first: usize, last: usize) -> String {
        if text.is_ascii() {
            let last = last.min(text.len());
            return text.get(first.min(last)..last).unwrap_or_default().to_owned();
        }
        let count = last.saturating_sub(first);
        match self {
            Self::Units => {
                let units: Vec<u16> = text.encode_utf16().skip(first).take(count).collect();
                String::from_utf16_lossy(&units)
            }
            Self::Characters => text.chars().skip(first).take(count).collect(),
        }
    }
}

fn same(left: char, right: char, collation: Collation) -> bool {
    if left == right {
        return true;
    }
    if collation.is_binary() {
        return false;
    }
    let (mut a, mut b) = ([0; 4], [0; 4]);
    collation.compare(left.encode_utf8(&mut a), right.encode_utf8(&mut b)) == Ordering::Equal
}

/// Position of a part.
fn find(hay: &str, needle: &str, start: usize, collation: Collation) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    let hay: Vec<char> = hay.chars().collect();
    let needle: Vec<char> = needle.chars().collect();
    let counting = Counting::under(collation);
    let mut position = 0;
    for window in 0..hay.len() {
        if position >= start
            && let Some(part) = hay.get(window..window + needle.len())
            && part.iter().zip(&needle).all(|(left, right)| same(*left, *right, collation))
        {
            return Some(position);
        }
        position += match counting {
            Counting::Units => hay.get(window).map_or(0, |character| character.len_utf16()),
            Counting::Characters => 1,
        };
    }
    None
}

fn replaced(text: &str, from: &str, to: &str, collation: Collation) -> String {
    let from: Vec<char> = from.chars().collect();
    if from.is_empty() {
        return text.to_owned();
    }
    let text: Vec<char> = text.chars().collect();
    let mut result = String::new();
    let mut at = 0;
    while let Some(character) = text.get(at) {
        let part = text.get(at..at + from.len());
        if part.is_some_and(|part| part.iter().zip(&from).all(|(left, right)| same(*left, *right, collation))) {
            result.push_str(to);
            at += from.len();
        } else {
            result.push(*character);
            at += 1;
        }
    }
    result
}

#[derive(Clone, Debug)]
enum Piece {
    Any,
    One,
    Literal(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

/// `None`: a pattern that matches nothing (an escape at its end, a bracket that does not close).
fn parse_pattern(pattern: &str, escape: Option<char>) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            pieces.push(Piece::Literal(characters.next()?));
            continue;
        }
        match character {
            '%' => pieces.push(Piece::Any),
            '_' => pieces.push(Piece::One),
            '[' => {
                let negated = characters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                let mut first = true;
                loop {
                    let mut start = characters.next()?;
                    if start == ']' && !first {
                        break;
                    }
                    first = false;
                    if Some(start) == escape {
                        start = characters.next()?;
                    }
                    let mut end = start;
                    if characters.peek() == Some(&'-') {
                        let mut ahead = characters.clone();
                        ahead.next();
                        if ahead.peek().is_some_and(|next| *next != ']') {
                            characters.next();
                            end = characters.next()?;
                        }
                    }
                    ranges.push((start, end));
                }
                pieces.push(Piece::Set { negated, ranges });
            }
            other => pieces.push(Piece::Literal(other)),
        }
    }
    Some(pieces)
}

fn like(text: &[char], pattern: &[Piece], collation: Collation) -> bool {
    let (mut at, mut piece) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(piece), text.get(at)) {
            (None, None) => return true,
            (Some(Piece::Any), _) => {
                retry = Some((piece + 1, at));
                piece += 1;
                continue;
            }
            (Some(Piece::One), Some(_)) => true,
            (Some(Piece::Literal(wanted)), Some(found)) => same(*wanted, *found, collation),
            (Some(Piece::Set { negated, ranges }), Some(found)) => {
                let (mut buffer, mut low, mut high) = ([0; 4], [0; 4], [0; 4]);
                let found = found.encode_utf8(&mut buffer);
                let inside = ranges.iter().any(|(start, end)| {
                    collation.compare(start.encode_utf8(&mut low), found) != Ordering::Greater
                        && collation.compare(found, end.encode_utf8(&mut high)) != Ordering::Greater
                });
                inside != *negated
            }
            _ => false,
        };
        if step {
            at += 1;
            piece += 1;
        } else {
            match retry {
                Some((next_piece, start)) if start < text.len() => {
                    retry = Some((next_piece, start + 1));
                    piece = next_piece;
                    at = start + 1;
                }
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str, pattern: &str) -> bool {
        let characters: Vec<char> = text.chars().collect();
        parse_pattern(pattern, Some('!')).is_some_and(|pattern| like(&characters, &pattern, Collation::DEFAULT))
    }

    #[test]
    fn patterns_have_sets_and_escapes() {
        assert!(matches("Smith", "sm%H"));
        assert!(matches("a1", "[a-c][^a-z]"));
        assert!(!matches("d1", "[a-c]_"));
        assert!(matches("50%", "50!%"));
        assert!(!matches("50x", "50!%"));
        assert!(matches("a]", "a[]]"));
        assert!(matches("aXbXc", "a%x%c"));
        assert!(!matches("a", "[a"));
    }

    #[test]
    fn parts_are_found_without_regard_to_case() {
        assert_eq!(find("xÉy", "é", 0, Collation::DEFAULT), Some(1));
        assert_eq!(find("😀a", "A", 0, Collation::DEFAULT), Some(2));
        assert_eq!(replaced("aAb", "a", "-", Collation::DEFAULT), "--b");
    }
}
