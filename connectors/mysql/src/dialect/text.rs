//! Text: how it is read, bounded, matched and looked up.
//!
//! Every text is read in the session's collation, in which it is compared as we do. An index of the column's own collation
//! serves nevertheless where the column is also asked in that one: what is the same text is equal in any collation.
//!
//! INVARIANT: a text that is made at the source has at most [`LONGEST_SORTED_BYTES`], so that sorting and grouping look at
//! all of it. A column that may hold longer ones is read, compared and searched there, and nothing else.

use arrow::datatypes::DataType;
use wayleave_connector_api::{Collation, Expr, Mask, Operand, OutputColumn, Support, TextFunction, Value};

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
            TextFunction::Left(count)
            | TextFunction::Right(count)
            | TextFunction::Substring { length: Some(count), .. }
                if *count >= 0 =>
            {
                let most = characters(*count)?;
                Some(longest(expr, input).map_or(most, |all| all.min(most)))
            }
            TextFunction::Left(_)
            | TextFunction::Right(_)
            | TextFunction::Substring { .. }
            | TextFunction::Trim(_)
            | TextFunction::Replace { .. } => longest(expr, input),
            TextFunction::Length | TextFunction::Position(_) => Some(0),
            TextFunction::Upper | TextFunction::Lower => None,
        },
        Expr::CanonicalKey { .. } | Expr::WrittenKey { .. } => Some(KEY_BYTES),
        Expr::Released { value, .. } => longest(value, input),
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

/// Whether two columns are compared in one collation of their own, so that an index of either serves.
pub(super) fn share_an_index(left: &OutputColumn, right: &OutputColumn) -> bool {
    let collation = |column: &OutputColumn| {
        let own = column.source_type.as_deref().filter(|own| is_plain_text(base_name(own)))?;
        own.rsplit_once(" collate ").map(|(_, collation)| collation.to_owned())
    };
    collation(left).is_some_and(|left| Some(left) == collation(right))
}

/// The same comparison of a base column and a constant, or of two base columns, in the column's own collation, which its
/// index serves.
pub(super) fn equal_by_index(left: (&str, Operand<'_>), right: (&str, Operand<'_>)) -> Option<String> {
    if let (Some(left_column), Some(right_column)) = (base_column(left.0), base_column(right.0)) {
        let shared = share_an_index(left.1.output, right.1.output);
        return shared.then(|| format!("{left_column} = {right_column}"));
    }
    let found = |(column_sql, column): (&str, Operand<'_>), (_, constant): (&str, Operand<'_>)| {
        let Some(Value::Text(text)) = constant.literal else { return None };
        let own = column.output.source_type.as_deref()?;
        let quoted = base_column(column_sql)?;
        let indexed = is_plain_text(base_name(own)) && is_plain(text) && is_in(text, character_set(own)?);
        indexed.then(|| format!("{quoted} = {}", literal::text(text)))
    };
    found(left, right).or_else(|| found(right, left))
}

/// The column inside [`read`]'s ``CAST(`b`.`name` AS CHAR)``.
fn base_column(sql: &str) -> Option<&str> {
    let column = sql.strip_prefix("CAST(")?.strip_suffix(" AS CHAR)")?;
    let (alias, name) = column.strip_prefix('`')?.split_once("`.`")?;
    let name = name.strip_suffix('`')?;
    let is_alias = alias.chars().all(|c| c.is_ascii_alphanumeric());
    let is_one_name = !name.replace("``", "").contains('`');
    (is_alias && is_one_name && (alias == "b" || alias.starts_with('p'))).then_some(column)
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
    fn only_a_column_and_a_constant_that_its_character_set_has_are_looked_up() {
        let output = |own: Option<&str>| OutputColumn {
            source_type: own.map(str::to_owned),
            collation: Collation::Loose,
            ..OutputColumn::computed(DataType::Utf8)
        };
        let latin = output(Some("varchar(9) collate latin1_swedish_ci"));
        let unicode = output(Some("varchar(9) collate utf8mb4_general_ci"));
        let (label, computed) = (output(Some("enum('x') collate utf8mb4_general_ci")), output(None));
        let found = |column: (&str, &OutputColumn), text: &str| {
            let value = Value::Text(text.to_owned());
            let left = (column.0, Operand { output: column.1, literal: None });
            let right = ("literal", Operand { output: &computed, literal: Some(&value) });
            assert_eq!(equal_by_index(left, right), equal_by_index(right, left));
            equal_by_index(left, right)
        };
        let column = "CAST(`b`.`na``me` AS CHAR)";
        assert_eq!(found((column, &latin), "O'B").as_deref(), Some("`b`.`na``me` = 'O''B'"));
        assert_eq!(found((column, &latin), "é"), None);
        assert_eq!(found((column, &unicode), "é").as_deref(), Some("`b`.`na``me` = 'é'"));
        assert_eq!(found((column, &unicode), "\\"), None);
        assert_eq!(found(("CAST(`p1`.`n` AS CHAR)", &latin), "x").as_deref(), Some("`p1`.`n` = 'x'"));
        assert_eq!(found(("`t1`.`c1`", &latin), "x"), None);
        assert_eq!(found(("CAST(`t1`.`c1` AS CHAR)", &latin), "x"), None);
        assert_eq!(found(("CAST(concat(`b`.`e`) AS CHAR)", &label), "x"), None);
        assert_eq!(found((column, &computed), "x"), None);
        assert_eq!(found(("CAST(`b`.`a` AS CHAR) OR CAST(`b`.`b` AS CHAR)", &latin), "x"), None);
        let pair = |left, right| {
            let (left, right) = (Operand { output: left, literal: None }, Operand { output: right, literal: None });
            equal_by_index(("CAST(`p1`.`n` AS CHAR)", left), ("CAST(`b`.`m` AS CHAR)", right))
        };
        assert_eq!(pair(&latin, &latin).as_deref(), Some("`p1`.`n` = `b`.`m`"));
        assert_eq!(pair(&latin, &unicode), None);
        assert_eq!(pair(&label, &label), None);
    }

    #[test]
    fn a_pattern_keeps_its_meaning_without_backslashes() {
        assert_eq!(like("x", r"50\%_!%"), "x LIKE '50!%_!!%' ESCAPE '!'");
        assert_eq!(like("x", r"a\"), "x LIKE CAST(_utf8mb4 X'615C' AS CHAR) ESCAPE '!'");
    }
}
