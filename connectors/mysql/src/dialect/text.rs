//! Text: how it is read, bounded, matched and looked up.
//!
//! Every text is read in the session's collation, in which it is compared as we do. An index of the column's own collation
//! serves nevertheless where the column is also asked in that one: what is the same text is equal in any collation.
//!
//! INVARIANT: a text that is made at the source has at most [`LONGEST_SORTED_BYTES`], so that sorting and grouping look at
//! all of it. A column that may hold longer ones is read, compared and searched there, and nothing else.

use arrow::datatypes::DataType;
use wayleave_connector_api::{Collation, Expr, Mask, OutputColumn, Support, TextFunction, Value};

use super::literal::{self, is_plain};
use crate::session::LONGEST_SORTED_BYTES;
use crate::types::{base_name, character_set, is_plain_text, most_bytes};

const BYTES_OF_A_CHARACTER: u64 = 4;

/// What [`Expr::CanonicalKey`] makes of a number with separators, and the longest written form.
const KEY_BYTES: u64 = 14;

pub(super) fn read(quoted: &str, column: &OutputColumn) -> String {
    let stored_as_text = column.source_type.as_deref().is_some_and(|own| is_plain_text(base_name(own)));
    match (column.collation, stored_as_text) {
        (Collation::Binary, true) => quoted.to_owned(),
        (_, true) => format!("CAST({quoted} AS CHAR)"),
        // Labels, addresses: as text first, so that nobody takes it for a column of text (see `equal_by_index`).
        (_, false) => format!("CAST(concat({quoted}) AS CHAR)"),
    }
}

/// Whether a text or binary value that the source makes keeps to the module's invariant.
pub(super) fn bounded(expr: &Expr, input: &[OutputColumn]) -> Support {
    if !matches!(expr.output(input).data_type, DataType::Utf8 | DataType::Binary) {
        return Support::Exact;
    }
    match longest(expr, input) {
        Some(most) if most <= LONGEST_SORTED_BYTES => Support::Exact,
        Some(_) | None => Support::Local { reason: "what is made of a long text could be too long for the source" },
    }
}

/// How many bytes a value has at most; `None` where nothing tells.
fn longest(expr: &Expr, input: &[OutputColumn]) -> Option<u64> {
    let characters = |count: i32| u64::try_from(count).ok().map(|count| count * BYTES_OF_A_CHARACTER);
    match expr {
        Expr::Column(index) => match &input.get(*index)?.source_type {
            Some(own) => most_bytes(own),
            None => Some(LONGEST_SORTED_BYTES),
        },
        Expr::Literal(Value::Text(text)) => u64::try_from(text.len()).ok(),
        Expr::Literal(Value::Binary(bytes)) => u64::try_from(bytes.len()).ok(),
        Expr::Literal(_) => Some(0),
        Expr::Case { branches, otherwise } => {
            longest_of(branches.iter().map(|(_, value)| value).chain(otherwise.as_deref()), input)
        }
        Expr::Coalesce(parts) => longest_of(parts.iter(), input),
        Expr::Concat(parts) => parts.iter().try_fold(0, |sum: u64, part| sum.checked_add(longest(part, input)?)),
        Expr::Widen { .. } => Some(32),
        Expr::OfText { function, expr } => match function {
            TextFunction::Left(count) | TextFunction::Right(count) if *count >= 0 => characters(*count),
            TextFunction::Substring { length: Some(length), .. } => characters(*length),
            TextFunction::Left(_)
            | TextFunction::Right(_)
            | TextFunction::Substring { .. }
            | TextFunction::Trim(_)
            | TextFunction::Replace { .. } => longest(expr, input),
            TextFunction::Length | TextFunction::Position(_) => Some(0),
            TextFunction::Upper | TextFunction::Lower => None,
        },
        Expr::CanonicalKey { .. } | Expr::WrittenKey { .. } => Some(KEY_BYTES),
        Expr::Mask { expr, mask } => match mask {
            Mask::OutwardPostcode => Some(4 * BYTES_OF_A_CHARACTER),
            Mask::LastCharacters(count) => Some(3 + u64::from(*count) * BYTES_OF_A_CHARACTER),
            Mask::YearOfDate => longest(expr, input),
        },
        _ => None,
    }
}

fn longest_of<'a>(mut exprs: impl Iterator<Item = &'a Expr>, input: &[OutputColumn]) -> Option<u64> {
    exprs.try_fold(0, |most: u64, part| Some(most.max(longest(part, input)?)))
}

/// A column of the server's own catalog, whose collations ignore case, compared with a name by its bytes. Where the name
/// can stand in quotes, the catalog finds it without looking at all others.
pub(crate) fn catalog_name(column: &str, name: &str) -> String {
    let literal = literal::text(name);
    let exact = format!("CAST({column} AS CHAR) = {literal}");
    if is_plain(name) { format!("{column} = {literal} AND {exact}") } else { exact }
}

/// A column's text in a list.
pub(super) fn column_in(quoted: &str, read: &str, column: &OutputColumn, texts: &[String]) -> String {
    let own = column.source_type.as_deref().unwrap_or_default();
    if read == quoted || !is_plain_text(base_name(own)) {
        return in_list(read, texts);
    }
    let set = character_set(own).unwrap_or_default();
    let (indexed, others): (Vec<String>, Vec<String>) =
        texts.iter().cloned().partition(|text| is_plain(text) && is_in(text, set));
    let mut found = Vec::new();
    if !indexed.is_empty() {
        found.push(format!("{} AND {}", in_list(quoted, &indexed), in_list(read, &indexed)));
    }
    if !others.is_empty() {
        found.push(in_list(read, &others));
    }
    match found.as_slice() {
        [] => "FALSE".to_owned(),
        [only] => only.clone(),
        many => format!("({})", many.join(") OR (")),
    }
}

pub(super) fn in_list(operand: &str, texts: &[String]) -> String {
    match texts {
        [] => "FALSE".to_owned(),
        [only] => format!("{operand} = {}", literal::text(only)),
        many => {
            let many: Vec<String> = many.iter().map(|text| literal::text(text)).collect();
            format!("{operand} IN ({})", many.join(", "))
        }
    }
}

/// Whether the server can write a text in a character set. Where it cannot, it refuses to compare the two.
fn is_in(text: &str, character_set: &str) -> bool {
    match character_set {
        "utf8mb4" => true,
        "utf8mb3" | "utf8" => text.chars().all(|character| character <= '\u{ffff}'),
        _ => text.is_ascii(),
    }
}

/// The same comparison of a base column and a constant in the column's own collation, which its index serves.
pub(super) fn equal_by_index(left: &str, right: &str) -> Option<String> {
    if let (Some(column), true) = (base_column(left), is_ascii_literal(right)) {
        return Some(format!("{column} = {right}"));
    }
    if let (true, Some(column)) = (is_ascii_literal(left), base_column(right)) {
        return Some(format!("{column} = {left}"));
    }
    None
}

/// The column inside [`read`]'s `CAST(`b`.`name` AS CHAR)`.
fn base_column(sql: &str) -> Option<&str> {
    let column = sql.strip_prefix("CAST(")?.strip_suffix(" AS CHAR)")?;
    let (alias, name) = column.strip_prefix('`')?.split_once("`.`")?;
    let name = name.strip_suffix('`')?;
    let is_alias = alias.chars().all(|c| c.is_ascii_alphanumeric());
    let is_one_name = !name.replace("``", "").contains('`');
    (is_alias && is_one_name && (alias == "b" || alias.starts_with('p'))).then_some(column)
}

fn is_ascii_literal(sql: &str) -> bool {
    let inner = sql.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    inner.is_some_and(|inner| inner.is_ascii() && !inner.replace("''", "").contains('\''))
}

/// Case-sensitive LIKE. The session has no escape of its own, so one is named.
pub(super) fn like(text: &str, pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            '%' | '_' => {
                written.push(character);
                continue;
            }
            // A backslash with nothing after it stands for itself.
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        };
        if matches!(literal, '%' | '_' | '!') {
            written.push('!');
        }
        written.push(literal);
    }
    format!("{text} LIKE {} ESCAPE '!'", literal::text(&written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_column_and_a_plain_constant_are_looked_up() {
        let column = "CAST(`b`.`na``me` AS CHAR)";
        assert_eq!(equal_by_index(column, "'x'").as_deref(), Some("`b`.`na``me` = 'x'"));
        assert_eq!(equal_by_index("'O''B'", "CAST(`p1`.`n` AS CHAR)").as_deref(), Some("`p1`.`n` = 'O''B'"));
        assert_eq!(equal_by_index(column, "'é'"), None);
        assert_eq!(equal_by_index(column, "CAST(_utf8mb4 X'5C' AS CHAR)"), None);
        assert_eq!(equal_by_index(column, "concat('a', 'b')"), None);
        assert_eq!(equal_by_index(column, "'a' = 'b'"), None);
        assert_eq!(equal_by_index("CAST(concat(`b`.`e`) AS CHAR)", "'x'"), None);
        assert_eq!(equal_by_index("CAST(`t1`.`c1` AS CHAR)", "'x'"), None);
        assert_eq!(equal_by_index("CAST(`b`.`a` AS CHAR) OR CAST(`b`.`b` AS CHAR)", "'x'"), None);
    }

    #[test]
    fn a_pattern_keeps_its_meaning_without_backslashes() {
        assert_eq!(like("x", r"50\%_!%"), "x LIKE '50!%_!!%' ESCAPE '!'");
        assert_eq!(like("x", r"a\"), "x LIKE CAST(_utf8mb4 X'615C' AS CHAR) ESCAPE '!'");
    }
}
