//! The functions that Wayleave brings along to every connection, so that the SQL it writes can be read.
//!
//! In: one value of any storage class. Out: the value in the form that is asked for, NULL where it has none. SQLite runs
//! inside this process, so that a rule is applied by the same code on both sides: `nhs_number` is [`KeyFormat::canonical`].
//!
//! INVARIANT: none of them fails, whatever it meets. A text that is not UTF-8, a blob or a float has no such form.

use std::borrow::Cow;

use chrono::Datelike;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};
use wayleave_connector_api::{Form, KeyFormat, Pseudonymiser, Scheme};

mod date;
mod sum;
mod text;

pub(crate) use sum::{EXACT_SUM, INTEGER_SUM};
pub(crate) use text::{
    TEXT_CONCAT, TEXT_LEFT, TEXT_LENGTH, TEXT_LIKE, TEXT_LOWER, TEXT_POSITION, TEXT_REPLACE, TEXT_RIGHT,
    TEXT_SUBSTRING, TEXT_TRIM, TEXT_UPPER,
};

/// `nhs_number(value, form)`: the ten digits of a valid number that is written in this form (`'spaced'`).
pub(crate) const NHS_NUMBER: &str = "nhs_number";

/// `written_nhs_number(digits, form)`: ten digits as this form writes them.
pub(crate) const WRITTEN_NHS_NUMBER: &str = "written_nhs_number";

/// `iso_date(value)`: the day of a date or a moment, by the clock of UTC where it names a zone, as `YYYY-MM-DD`.
pub(crate) const ISO_DATE: &str = "iso_date";

/// `year_of_date(value)`: the year of that day.
pub(crate) const YEAR_OF_DATE: &str = "year_of_date";

/// `outward_postcode(value)`: the first half of a United Kingdom postcode.
pub(crate) const OUTWARD_POSTCODE: &str = "outward_postcode";

/// `last_characters(value, count)`: three stars, and the last characters of a text that has more than so many.
pub(crate) const LAST_CHARACTERS: &str = "last_characters";

/// `as_boolean(value)`: 0 or 1, which are false and true; any other value is neither.
pub(crate) const AS_BOOLEAN: &str = "as_boolean";

/// `join_pseudonym(key, secret)`: the pseudonym of a canonical key under the secret of one join.
pub(crate) const JOIN_PSEUDONYM: &str = "join_pseudonym";

/// Makes the functions known to a connection.
pub(crate) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function(NHS_NUMBER, 2, flags, |ctx| Ok(with_form(ctx, canonical)))?;
    connection.create_scalar_function(WRITTEN_NHS_NUMBER, 2, flags, |ctx| Ok(with_form(ctx, written)))?;
    connection.create_scalar_function(ISO_DATE, 1, flags, |ctx| Ok(with_text(ctx, date::iso_date)))?;
    connection.create_scalar_function(YEAR_OF_DATE, 1, flags, |ctx| {
        Ok(with_text(ctx, |text| Some(date::day(text)?.year())))
    })?;
    connection.create_scalar_function(OUTWARD_POSTCODE, 1, flags, |ctx| Ok(with_text(ctx, outward_postcode)))?;
    connection.create_scalar_function(LAST_CHARACTERS, 2, flags, |ctx| {
        let ValueRef::Integer(count) = ctx.get_raw(1) else { return Ok(None) };
        let count = usize::try_from(count).ok();
        Ok(count.and_then(|count| with_text(ctx, |text| Some(last_characters(text, count)))))
    })?;
    connection.create_scalar_function(AS_BOOLEAN, 1, flags, |ctx| Ok(as_boolean(ctx.get_raw(0))))?;
    connection.create_scalar_function(JOIN_PSEUDONYM, 2, flags, |ctx| {
        let secret = match ctx.get_raw(1) {
            ValueRef::Blob(bytes) => bytes.try_into().ok().map(Pseudonymiser::new),
            _ => None,
        };
        Ok(secret.and_then(|pseudonymiser| with_text(ctx, |key| Some(pseudonymiser.of(key)))))
    })?;
    text::register(connection, flags)?;
    sum::register(connection, flags)
}

fn with_text<T>(ctx: &Context<'_>, work: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    work(&text(ctx.get_raw(0))?)
}

fn with_form(ctx: &Context<'_>, work: impl FnOnce(&str, Form) -> Option<String>) -> Option<String> {
    let name = ctx.get_raw(1).as_str().ok()?;
    let (_, form) = Form::NAMES.into_iter().find(|(known, _)| *known == name)?;
    with_text(ctx, |text| work(text, form))
}

/// The longest text that SQLite holds.
const LONGEST_TEXT_BYTES: usize = 1_000_000_000;

/// A text, or the digits of an integer: SQLite keeps numbers as numbers in columns of many a declared type.
fn text(value: ValueRef<'_>) -> Option<Cow<'_, str>> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        ValueRef::Integer(number) => Some(Cow::Owned(number.to_string())),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => None,
    }
}

fn canonical(text: &str, form: Form) -> Option<String> {
    KeyFormat { scheme: Scheme::NhsNumber, form, assured: false }.canonical(text)
}

/// The digits have been checked where they were read, or are assured: only their number counts here.
fn written(digits: &str, form: Form) -> Option<String> {
    KeyFormat { scheme: Scheme::NhsNumber, form, assured: true }.written(digits).pop()
}

fn outward_postcode(text: &str) -> Option<String> {
    let trimmed = text.trim_matches(' ');
    let outward = match trimmed.split_once(' ') {
        Some((outward, _)) => has_length(outward, 1, 4).then_some(outward)?,
        // Without a blank the inward part is the last three characters.
        None => {
            let (inward, _) = trimmed.char_indices().rev().nth(2)?;
            has_length(trimmed, 5, 7).then(|| trimmed.get(..inward)).flatten()?
        }
    };
    Some(outward.to_owned())
}

/// Looks at no more characters than it must.
fn has_length(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.chars().take(most.saturating_add(1)).count())
}

fn last_characters(text: &str, count: usize) -> String {
    let from = count.checked_sub(1).and_then(|before| text.char_indices().rev().nth(before));
    match from {
        // A text of exactly so many characters would be shown whole.
        None | Some((0, _)) => "***".to_owned(),
        Some((from, _)) => ["***", text.get(from..).unwrap_or_default()].concat(),
    }
}

fn as_boolean(value: ValueRef<'_>) -> Option<bool> {
    match value {
        ValueRef::Integer(0) | ValueRef::Real(0.0) => Some(false),
        ValueRef::Integer(1) | ValueRef::Real(1.0) => Some(true),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => None,
    }
}
