//! Functions of texts as SQLite's SQL: each is one of [`crate::functions`], which counts characters as we do, where SQLite's
//! own end a text at its first NUL.

use wayleave_connector_api::{TextFunction, TextPart, TrimSide};

use super::{BINARY, literal};
use crate::functions::{
    TEXT_CONCAT, TEXT_LEFT, TEXT_LENGTH, TEXT_LOWER, TEXT_POSITION, TEXT_REPLACE, TEXT_RIGHT, TEXT_SUBSTRING,
    TEXT_TRIM, TEXT_UPPER,
};

pub(super) fn concat(parts: &[TextPart]) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| plain(&part.sql)).collect();
    format!("{TEXT_CONCAT}({})", parts.join(", "))
}

pub(super) fn of_text(function: &TextFunction, sql: &str) -> String {
    let sql = plain(sql);
    match function {
        TextFunction::Length => format!("{TEXT_LENGTH}({sql})"),
        TextFunction::Substring { start, length: None } => format!("{TEXT_SUBSTRING}({sql}, {start})"),
        TextFunction::Substring { start, length: Some(length) } => {
            format!("{TEXT_SUBSTRING}({sql}, {start}, {length})")
        }
        TextFunction::Left(count) => format!("{TEXT_LEFT}({sql}, {count})"),
        TextFunction::Right(count) => format!("{TEXT_RIGHT}({sql}, {count})"),
        TextFunction::Trim(side) => {
            let side = match side {
                TrimSide::Both => "both",
                TrimSide::Start => "start",
                TrimSide::End => "end",
            };
            format!("{TEXT_TRIM}({sql}, '{side}')")
        }
        TextFunction::Replace { from, to } => {
            format!("{TEXT_REPLACE}({sql}, {}, {})", literal::text(from), literal::text(to))
        }
        TextFunction::Position(text) => format!("{TEXT_POSITION}({sql}, {})", literal::text(text)),
        TextFunction::Upper => format!("{TEXT_UPPER}({sql})"),
        TextFunction::Lower => format!("{TEXT_LOWER}({sql})"),
    }
}

/// A collation means nothing to a function.
fn plain(sql: &str) -> &str {
    sql.strip_suffix(BINARY).unwrap_or(sql)
}
