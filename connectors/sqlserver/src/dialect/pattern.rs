//! LIKE as we mean it: case-sensitive, `\` escapes, `_` is one character.
//!
//! SQL Server's has sets in brackets, and its `_` is half of a character beyond the first 65,536. A pattern with one is
//! widened there to any text, and checked again here.

use wayleave_connector_api::Support;

use super::literal;

/// SQL Server refuses a longer one when it meets the first row; escapes make one twice as long.
const LONGEST_PATTERN: usize = 1_900;

/// One element of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// `%`
    Any,
    /// `_`
    One,
    Character(char),
}

pub(super) fn support(pattern: &str, negated: bool) -> Support {
    let parts = parse(pattern);
    if pattern.encode_utf16().count() > LONGEST_PATTERN {
        return Support::Local { reason: "SQL Server refuses a pattern of this length" };
    }
    if parts.contains(&Part::Character('\0')) {
        return Support::Local { reason: "SQL Server finds no NUL character in a text" };
    }
    match (parts.contains(&Part::One), negated) {
        (false, _) => Support::Exact,
        (true, false) => Support::Superset { reason: "SQL Server counts some characters as two" },
        (true, true) => Support::Local { reason: "SQL Server counts some characters as two" },
    }
}

/// `text` says its collation itself.
pub(super) fn like(text: &str, pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    for part in parse(pattern) {
        match part {
            // See `support`: a superset.
            Part::Any | Part::One => {
                if !written.ends_with('%') || written.ends_with("\\%") {
                    written.push('%');
                }
            }
            Part::Character(character) => {
                if matches!(character, '%' | '_' | '[' | '\\') {
                    written.push('\\');
                }
                written.push(character);
            }
        }
    }
    format!("{text} LIKE {} ESCAPE N'\\'", literal::text(&written))
}

fn parse(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '%' => Part::Any,
            '_' => Part::One,
            // A backslash with nothing after it stands for itself.
            '\\' => Part::Character(characters.next().unwrap_or('\\')),
            other => Part::Character(other),
        });
    }
    parts
}
