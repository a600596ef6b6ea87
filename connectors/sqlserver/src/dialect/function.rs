//! Arithmetic, text functions and masks as SQL Server's SQL. None of the texts can raise an error, whatever row they meet.
//!
//! Text comes and goes as `nvarchar` under [`BINARY`](super::BINARY). Characters are counted under a collation that knows
//! those beyond the first 65,536; positions inside a text stay in units.

use arrow::datatypes::DataType;
use wayleave_connector_api::{ArithmeticOp, Support, TextFunction, TextPart, TrimSide};

use super::literal;
use super::text::{bare, by_units};

/// Counts a character beyond the first 65,536 as one.
const SUPPLEMENTARY: &str = "Latin1_General_100_CS_AS_KS_WS_SC";

/// To the end of whatever text.
const ALL: &str = "2147483647";

/// The longest text that is put together, well inside the 2^31 bytes of SQL Server's.
const LONGEST_TEXT_BYTES: u64 = 2_000_000_000;

/// The longest text that is looked for in another.
const LONGEST_SOUGHT: usize = 3_900;

/// SQL Server's own digits for a result: with more than 38 it would drop some after the point.
pub(super) fn decimal_support(op: ArithmeticOp, left: &DataType, right: &DataType) -> Support {
    const OTHER: Support = Support::Local { reason: "SQL Server rounds a decimal result in another way" };
    let digits = |data_type: &DataType| match data_type {
        DataType::Decimal128(precision, scale) => Some((i32::from(*precision), i32::from(*scale))),
        _ => None,
    };
    let (Some((left_precision, left_scale)), Some((right_precision, right_scale))) = (digits(left), digits(right))
    else {
        return OTHER;
    };
    let precision = match op {
        ArithmeticOp::Add | ArithmeticOp::Subtract => {
            left_scale.max(right_scale) + (left_precision - left_scale).max(right_precision - right_scale) + 1
        }
        ArithmeticOp::Multiply => left_precision + right_precision + 1,
        ArithmeticOp::Divide | ArithmeticOp::Modulo => return OTHER,
    };
    if precision <= 38 { Support::Exact } else { OTHER }
}

pub(super) fn concat(parts: &[TextPart]) -> String {
    // Beyond 4,000 characters `+` cuts off what is not declared as long.
    let joined: Vec<String> =
        parts.iter().map(|part| by_units(&format!("CAST({} AS nvarchar(max))", bare(&part.sql)))).collect();
    let joined = by_units(&format!("({})", joined.join(" + ")));
    // A byte of UTF-8 is two of UTF-16 at most.
    let bounded =
        parts.iter().filter_map(|part| part.most_bytes).fold(0_u64, |sum, bytes| sum.saturating_add(bytes * 2));
    let lengths: Vec<String> = parts
        .iter()
        .filter(|part| part.most_bytes.is_none())
        .map(|part| format!("CAST(DATALENGTH({}) AS bigint)", bare(&part.sql)))
        .collect();
    match (lengths.is_empty(), LONGEST_TEXT_BYTES.checked_sub(bounded)) {
        (true, Some(_)) => joined,
        (_, None) => by_units("CAST(NULL AS nvarchar(max))"),
        (false, Some(room)) => format!("(CASE WHEN {} <= {room} THEN {joined} END)", lengths.join(" + ")),
    }
}

pub(super) fn text_support(function: &TextFunction) -> Support {
    const NUL: Support = Support::Local { reason: "SQL Server finds no NUL character in a text" };
    const LONG: Support = Support::Local { reason: "SQL Server looks for no text of this length" };
    let sought = |text: &str| {
        if text.contains('\0') {
            NUL
        } else if text.encode_utf16().count() > LONGEST_SOUGHT {
            LONG
        } else {
            Support::Exact
        }
    };
    match function {
        TextFunction::Upper | TextFunction::Lower => {
            Support::Local { reason: "SQL Server folds case by the rules of a collation" }
        }
        TextFunction::Replace { from, to } => match sought(from) {
            Support::Exact => sought(to),
            other => other,
        },
        TextFunction::Position(text) => sought(text),
        TextFunction::Length
        | TextFunction::Substring { .. }
        | TextFunction::Left(_)
        | TextFunction::Right(_)
        | TextFunction::Trim(_) => Support::Exact,
    }
}

pub(super) fn of_text(function: &TextFunction, sql: &str) -> String {
    match function {
        TextFunction::Length => length(sql),
        TextFunction::Substring { start, length } => {
            let first = i64::from(*start).max(1);
            match length {
                None => substring(sql, &first.to_string(), ALL),
                Some(length) => {
                    let last = i64::from(*start) + i64::from(*length) - 1;
                    substring(sql, &first.to_string(), &(last - first + 1).max(0).to_string())
                }
            }
        }
        TextFunction::Left(count @ 0..) => substring(sql, "1", &count.to_string()),
        TextFunction::Left(count) => substring(sql, "1", &all_but(sql, count.unsigned_abs())),
        TextFunction::Right(count @ 0..) => by_units(&format!("RIGHT({}, {count})", by_characters(sql))),
        TextFunction::Right(count) => substring(sql, &(i64::from(count.unsigned_abs()) + 1).to_string(), ALL),
        TextFunction::Trim(side) => by_units(&trimmed(sql, *side)),
        TextFunction::Replace { from, to } => {
            by_units(&format!("REPLACE({sql}, {}, {})", literal::text(from), literal::text(to)))
        }
        TextFunction::Position(text) => {
            let place = format!("CHARINDEX({}, {sql})", literal::text(text));
            // The units before it, and then the characters before it: no length is ever negative.
            let before = format!("SUBSTRING({sql}, 1, {place} - (CASE WHEN {place} > 0 THEN 1 ELSE 0 END))");
            format!("(CASE WHEN {place} = 0 THEN 0 WHEN {place} > 0 THEN {} + 1 END)", length(&by_units(&before)))
        }
        TextFunction::Upper => by_units(&format!("UPPER({sql})")),
        TextFunction::Lower => by_units(&format!("LOWER({sql})")),
    }
}

fn trimmed(sql: &str, side: TrimSide) -> String {
    match side {
        TrimSide::Both => format!("LTRIM(RTRIM({sql}))"),
        TrimSide::Start => format!("LTRIM({sql})"),
        TrimSide::End => format!("RTRIM({sql})"),
    }
}

fn by_characters(sql: &str) -> String {
    format!("({} COLLATE {SUPPLEMENTARY})", bare(sql))
}

/// The number of characters. LEN alone would leave out the blanks at the end.
fn length(sql: &str) -> String {
    format!("CAST(LEN((CAST({} AS nvarchar(max)) + N'.') COLLATE {SUPPLEMENTARY}) - 1 AS int)", bare(sql))
}

fn substring(sql: &str, start: &str, length: &str) -> String {
    by_units(&format!("SUBSTRING({}, {start}, {length})", by_characters(sql)))
}

/// The number of characters less so many, and never less than none.
fn all_but(sql: &str, count: u32) -> String {
    let length = length(sql);
    format!("(CASE WHEN {length} > {count} THEN {length} - {count} ELSE 0 END)")
}

pub(super) fn last_characters(sql: &str, count: u32) -> String {
    let stars = by_units("N'***'");
    match i32::try_from(count) {
        Ok(count) => {
            let last = of_text(&TextFunction::Right(count), sql);
            format!(
                "(CASE WHEN {} > {count} THEN {} WHEN {sql} IS NOT NULL THEN {stars} END)",
                length(sql),
                by_units(&format!("(N'***' + {last})"))
            )
        }
        // No text has so many.
        Err(_) => format!("(CASE WHEN {sql} IS NOT NULL THEN {stars} END)"),
    }
}

/// The outward part stands before the blank, or before the last three characters.
pub(super) fn outward_postcode(sql: &str) -> String {
    let text = by_units(&trimmed(sql, TrimSide::Both));
    let blank = format!("CHARINDEX(N' ', {text})");
    let before = by_units(&format!("SUBSTRING({text}, 1, {blank} - (CASE WHEN {blank} > 0 THEN 1 ELSE 0 END))"));
    let (outward, all) = (length(&before), length(&text));
    let without = of_text(&TextFunction::Left(-3), &text);
    format!(
        "(CASE WHEN {blank} > 0 AND {outward} BETWEEN 1 AND 4 THEN {before} \
         WHEN {blank} = 0 AND {all} BETWEEN 5 AND 7 THEN {without} END)"
    )
}
