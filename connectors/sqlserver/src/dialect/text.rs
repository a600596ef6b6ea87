//! Text by its characters: how a column in a collation of its own becomes a value that is compared as ours are.

use arrow::datatypes::DataType;
use wayleave_connector_api::{CompareOp, Comparison, Operand, OutputColumn, Value};

use super::{BINARY, literal};
use crate::types::{Declared, Padding, TextColumn, Units};

/// Put at the end of a text it makes blanks there count, and itself never is one.
const MARK: &str = "N'.'";

/// The text, compared by its UTF-16 units.
pub(super) fn by_units(sql: &str) -> String {
    if bare(sql) == sql { format!("({sql} COLLATE {BINARY})") } else { sql.to_owned() }
}

/// The text without the collation that [`by_units`] gave it.
pub(super) fn bare(sql: &str) -> &str {
    let suffix = [" COLLATE ", BINARY, ")"].concat();
    // A parenthesis that closes elsewhere would leave half an expression.
    sql.strip_prefix('(')
        .and_then(|sql| sql.strip_suffix(suffix.as_str()))
        .filter(|sql| is_balanced(sql))
        .unwrap_or(sql)
}

/// Whether every parenthesis that opens in it closes in it; those in quotes are counted along, which errs on the safe side.
fn is_balanced(sql: &str) -> bool {
    let mut depth = 0_i32;
    for byte in sql.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

/// What is known of a text that is still in its column's own type.
fn column(output: &OutputColumn) -> Option<TextColumn<'_>> {
    if output.data_type != DataType::Utf8 {
        return None;
    }
    Declared::parse(output.source_type.as_deref()?).text()
}

/// The value as Unicode, without what fills a column of fixed length up.
fn unicode(sql: &str, column: Option<TextColumn<'_>>) -> String {
    let Some(column) = column else { return bare(sql).to_owned() };
    let text = match column.units {
        Units::Unicode => sql.to_owned(),
        Units::CodePage => format!("CAST({sql} AS {})", column.unicode_type()),
    };
    match column.padding {
        Padding::None => text,
        Padding::Blanks => format!("RTRIM({text})"),
    }
}

/// The value, compared by its UTF-16 units wherever it gets to.
pub(super) fn value(sql: &str, output: &OutputColumn) -> String {
    by_units(&unicode(sql, column(output)))
}

/// The value for a client, which compares for itself.
pub(super) fn delivered(sql: &str, output: &OutputColumn) -> String {
    unicode(sql, column(output))
}

/// Equal under [`BINARY`] for exactly those texts that are the same.
pub(super) fn distinct_key(sql: &str, output: &OutputColumn) -> String {
    let column = column(output);
    let text = unicode(sql, column);
    if let Some(constant) = constant(&text) {
        return by_units(&format!("N'{constant}.'"));
    }
    let has_room = column.is_some_and(TextColumn::has_room);
    // Beyond 4,000 characters `+` cuts off what is not declared as long.
    let text = if has_room { text } else { format!("CAST({text} AS nvarchar(max))") };
    by_units(&format!("({text} + {MARK})"))
}

/// What stands between the quotes of a constant.
fn constant(sql: &str) -> Option<&str> {
    let quoted = sql.strip_prefix("N'")?.strip_suffix('\'')?;
    (!quoted.replace("''", "").contains('\'')).then_some(quoted)
}

pub(super) fn of_distinct_key(key: &str) -> String {
    by_units(&format!("SUBSTRING({key}, 1, LEN({key}) - 1)"))
}

/// Two texts of which one may be NULL.
pub(super) fn compare(comparison: Comparison<'_>) -> String {
    let Comparison { op, left, right, left_operand, right_operand } = comparison;
    let (left_text, right_text) = (operand(left, left_operand), operand(right, right_operand));
    // One side that says its collation is enough.
    let right_text = if left_operand.literal.is_some() && right_operand.literal.is_some() {
        by_units(&right_text)
    } else {
        right_text
    };
    let lengths = |op: &str| {
        format!("{} {op} {}", byte_length(&left_text, left_operand), byte_length(&right_text, right_operand))
    };
    match op {
        CompareOp::Equal => {
            let exact = format!("{left_text} = {right_text} AND {}", lengths("="));
            match in_own_collation(left, left_operand, right, right_operand) {
                Some(superset) => format!("{superset} AND {exact}"),
                None => exact,
            }
        }
        CompareOp::NotEqual => format!("{left_text} <> {right_text} OR {}", lengths("<>")),
        // Kept here, see `order_support`.
        CompareOp::Less | CompareOp::LessOrEqual | CompareOp::Greater | CompareOp::GreaterOrEqual => {
            format!("{left_text} {} {right_text}", op.sql())
        }
    }
}

fn operand(sql: &str, operand: Operand<'_>) -> String {
    match operand.literal {
        Some(Value::Text(text)) => literal::text(text),
        _ => value(sql, operand.output),
    }
}

fn byte_length(sql: &str, operand: Operand<'_>) -> String {
    match operand.literal {
        Some(Value::Text(text)) => text.encode_utf16().count().saturating_mul(2).to_string(),
        _ => format!("DATALENGTH({})", bare(sql)),
    }
}

/// The same equality as the columns' own collation sees it: true wherever the texts are the same, and where else it likes.
/// An index in that collation serves it.
fn in_own_collation(left: &str, left_operand: Operand<'_>, right: &str, right_operand: Operand<'_>) -> Option<String> {
    match (column(left_operand.output), column(right_operand.output)) {
        (Some(column), None) => constant_in(column, right_operand.literal).map(|text| format!("{left} = {text}")),
        (None, Some(column)) => constant_in(column, left_operand.literal).map(|text| format!("{right} = {text}")),
        (Some(one), Some(other)) => {
            let alike = one.units == other.units && one.collation.is_some() && one.collation == other.collation;
            alike.then(|| format!("{left} = {right}"))
        }
        (None, None) => None,
    }
}

fn constant_in(column: TextColumn<'_>, literal: Option<&Value>) -> Option<String> {
    match literal {
        Some(Value::Text(text)) => own_literal(column.units, text),
        _ => None,
    }
}

/// A constant in the column's own kind of text. An `nvarchar` beside a `varchar` column would turn the column, and not the
/// constant, into the other; and what is not ASCII may have no place in its code page.
pub(super) fn own_literal(units: Units, text: &str) -> Option<String> {
    let is_plain = |text: &str| !text.contains('\0') && text.len() <= 4_000;
    match units {
        Units::Unicode => is_plain(text).then(|| literal::text(text)),
        Units::CodePage => {
            let unicode = literal::text(text);
            let code_page = unicode.strip_prefix('N').map(str::to_owned);
            code_page.filter(|_| text.is_ascii() && is_plain(text) && !unicode.contains("' + N'"))
        }
    }
}

pub(super) fn text_column(output: &OutputColumn) -> Option<TextColumn<'_>> {
    column(output)
}
