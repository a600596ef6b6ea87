//! Functions of texts whose characters are Unicode code points, NUL among them.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};

use super::{LONGEST_TEXT_BYTES, text, with_text};

/// `text_length(value)`: the number of characters.
pub(crate) const TEXT_LENGTH: &str = "text_length";

/// `text_substring(value, start[, length])`: characters from `start` on, counted from 1; what lies outside is not there.
pub(crate) const TEXT_SUBSTRING: &str = "text_substring";

/// `text_left(value, count)`: the first characters; without the last ones where the count is negative.
pub(crate) const TEXT_LEFT: &str = "text_left";

/// `text_right(value, count)`: the last characters; without the first ones where the count is negative.
pub(crate) const TEXT_RIGHT: &str = "text_right";

/// `text_trim(value, side)`: without the blanks at its `'start'`, its `'end'` or `'both'`.
pub(crate) const TEXT_TRIM: &str = "text_trim";

/// `text_replace(value, from, to)`.
pub(crate) const TEXT_REPLACE: &str = "text_replace";

/// `text_position(value, part)`: where the part first begins, counted from 1; 0 where it does not.
pub(crate) const TEXT_POSITION: &str = "text_position";

/// `text_upper(value)` and `text_lower(value)`: by Unicode's mapping.
pub(crate) const TEXT_UPPER: &str = "text_upper";
pub(crate) const TEXT_LOWER: &str = "text_lower";

/// `text_concat(value, …)`: one after the other, NULL where one is no text.
pub(crate) const TEXT_CONCAT: &str = "text_concat";

/// `text_like(value, pattern)`: LIKE in which case counts, `\` escapes and a NUL is a character.
pub(crate) const TEXT_LIKE: &str = "text_like";

pub(super) fn register(connection: &Connection, flags: FunctionFlags) -> Result<()> {
    connection.create_scalar_function(TEXT_LENGTH, 1, flags, |ctx| {
        Ok(with_text(ctx, |text| i64::try_from(text.chars().count()).ok()))
    })?;
    connection.create_scalar_function(TEXT_LIKE, 2, flags, |ctx| {
        let pattern = ctx.get_raw(1).as_str().ok().map(elements);
        Ok(with_text(ctx, |text| Some(is_like(text, &pattern?))))
    })?;
    connection.create_scalar_function(TEXT_SUBSTRING, 2, flags, |ctx| {
        Ok(with_text(ctx, |text| Some(substring(text, number(ctx, 1)?, i64::MAX).to_owned())))
    })?;
    connection.create_scalar_function(TEXT_SUBSTRING, 3, flags, |ctx| {
        Ok(with_text(ctx, |text| Some(substring(text, number(ctx, 1)?, number(ctx, 2)?).to_owned())))
    })?;
    connection.create_scalar_function(TEXT_LEFT, 2, flags, |ctx| {
        Ok(with_text(ctx, |text| {
            let count = number(ctx, 1)?;
            Some(text.get(..first(text, count)).unwrap_or_default().to_owned())
        }))
    })?;
    connection.create_scalar_function(TEXT_RIGHT, 2, flags, |ctx| {
        Ok(with_text(ctx, |text| {
            let from = match number(ctx, 1)? {
                0 => text.len(),
                count => first(text, count.checked_neg()?),
            };
            Some(text.get(from..).unwrap_or_default().to_owned())
        }))
    })?;
    connection.create_scalar_function(TEXT_TRIM, 2, flags, |ctx| {
        Ok(with_text(ctx, |text| {
            Some(match ctx.get_raw(1).as_str().ok()? {
                "both" => text.trim_matches(' ').to_owned(),
                "start" => text.trim_start_matches(' ').to_owned(),
                "end" => text.trim_end_matches(' ').to_owned(),
                _ => return None,
            })
        }))
    })?;
    connection.create_scalar_function(TEXT_REPLACE, 3, flags, |ctx| {
        Ok(with_text(ctx, |text| {
            let (from, to) = (ctx.get_raw(1).as_str().ok()?, ctx.get_raw(2).as_str().ok()?);
            (!from.is_empty() && to.len() <= from.len()).then(|| text.replace(from, to))
        }))
    })?;
    connection.create_scalar_function(TEXT_POSITION, 2, flags, |ctx| {
        Ok(with_text(ctx, |text| {
            let part = ctx.get_raw(1).as_str().ok()?;
            match text.find(part) {
                Some(place) => i64::try_from(text.get(..place)?.chars().count()).ok()?.checked_add(1),
                None => Some(0),
            }
        }))
    })?;
    connection
        .create_scalar_function(TEXT_UPPER, 1, flags, |ctx| Ok(with_text(ctx, |text| bounded(text.to_uppercase()))))?;
    connection
        .create_scalar_function(TEXT_LOWER, 1, flags, |ctx| Ok(with_text(ctx, |text| bounded(text.to_lowercase()))))?;
    connection.create_scalar_function(TEXT_CONCAT, -1, flags, |ctx| Ok(concat(ctx)))
}

fn number(ctx: &Context<'_>, argument: usize) -> Option<i64> {
    match ctx.get_raw(argument) {
        ValueRef::Integer(number) => Some(number),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => None,
    }
}

fn bounded(text: String) -> Option<String> {
    (text.len() <= LONGEST_TEXT_BYTES).then_some(text)
}

fn concat(ctx: &Context<'_>) -> Option<String> {
    let mut whole = String::new();
    for argument in 0..ctx.len() {
        let part = text(ctx.get_raw(argument))?;
        if whole.len().saturating_add(part.len()) > LONGEST_TEXT_BYTES {
            return None;
        }
        whole.push_str(&part);
    }
    Some(whole)
}

/// Where the character of this number begins, counted from 0; the end of the text where there is none.
fn place(text: &str, number: i64) -> usize {
    let Ok(number) = usize::try_from(number) else { return 0 };
    text.char_indices().nth(number).map_or(text.len(), |(place, _)| place)
}

/// Where the first `count` characters end; without the last ones where the count is negative.
fn first(text: &str, count: i64) -> usize {
    if count >= 0 {
        return place(text, count);
    }
    let last = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX).saturating_sub(1);
    text.char_indices().rev().nth(last).map_or(0, |(place, _)| place)
}

fn substring(text: &str, start: i64, length: i64) -> &str {
    let start = start.saturating_sub(1);
    let end = start.saturating_add(length);
    let (start, end) = (place(text, start), place(text, end));
    text.get(start..end).unwrap_or_default()
}

/// One element of a pattern.
enum Element {
    /// `%`
    Any,
    /// `_`
    One,
    Character(char),
}

fn elements(pattern: &str) -> Vec<Element> {
    let mut characters = pattern.chars();
    let mut elements = Vec::new();
    while let Some(character) = characters.next() {
        elements.push(match character {
            '%' => Element::Any,
            '_' => Element::One,
            // A backslash with nothing after it stands for itself.
            '\\' => Element::Character(characters.next().unwrap_or('\\')),
            other => Element::Character(other),
        });
    }
    elements
}

/// Where a text does not go on as the pattern does, the last `%` takes one character more.
fn is_like(text: &str, pattern: &[Element]) -> bool {
    let (mut rest, mut left) = (text.chars(), pattern);
    let mut retry = None;
    loop {
        let after = left.get(1..).unwrap_or_default();
        let mut next = rest.clone();
        left = match (left.first(), next.next()) {
            (None, None) => return true,
            (Some(Element::Any), _) => {
                retry = Some((rest.clone(), after));
                after
            }
            (Some(Element::One), Some(_)) => {
                rest = next;
                after
            }
            (Some(Element::Character(wanted)), Some(found)) if *wanted == found => {
                rest = next;
                after
            }
            _ => {
                let Some((taken, after)) = &mut retry else { return false };
                if taken.next().is_none() {
                    return false;
                }
                rest = taken.clone();
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_a_text_is_not_there() {
        let cases = [
            (1, 2, "aé"),
            (0, 2, "a"),
            (-1, 2, ""),
            (-1, 3, "a"),
            (3, 1, "🦀"),
            (3, 9, "🦀"),
            (4, 1, ""),
            (2, 0, ""),
            (i64::MIN, i64::MAX, ""),
            (i64::MAX, i64::MAX, ""),
            (1, i64::MAX, "aé🦀"),
        ];
        for (start, length, expected) in cases {
            assert_eq!(substring("aé🦀", start, length), expected, "{start} {length}");
        }
    }

    #[test]
    fn a_negative_count_leaves_out_the_other_end() {
        let of = |count| &"aé🦀"[..first("aé🦀", count)];
        assert_eq!([0, 1, 3, 4].map(of), ["", "a", "aé🦀", "aé🦀"]);
        assert_eq!([-1, -2, -3, -4, i64::MIN].map(of), ["aé", "a", "", "", ""]);
    }
}
