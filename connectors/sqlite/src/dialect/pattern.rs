//! LIKE as we mean it: case-sensitive, `\` escapes.
//!
//! SQLite's own LIKE ignores the case of ASCII letters. Its GLOB does not, but ends a text at the first NUL character. So
//! the common shapes of a pattern become plain comparisons, which are exact for every text and can use an index; only the
//! rest is GLOB, and says nothing of a text that has a NUL.

use super::{BINARY, literal};
use crate::functions::TEXT_LIKE;

/// One element of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `%`
    Any,
    /// `_`
    One,
    Text(String),
}

/// `sql` comes with the collation that its comparisons need; where nothing is compared, it goes without.
pub(super) fn like(sql: &str, pattern: &str) -> String {
    let bare = sql.strip_suffix(BINARY).unwrap_or(sql);
    match parse(pattern).as_slice() {
        [] => format!("{sql} = ''"),
        [Part::Any] => format!("{sql} >= ''"),
        [Part::Text(text)] => format!("{sql} = {}", literal::text(text)),
        [Part::Text(text), Part::Any] => starts_with(sql, text),
        [Part::Any, Part::Text(text)] => {
            // The end of nothing is NULL, and not nothing.
            let end = format!("substr(CAST({bare} AS BLOB), -{}) = {}", text.len(), literal::blob(text.as_bytes()));
            format!("(CASE WHEN {sql} = '' THEN 0 ELSE {end} END)")
        }
        [Part::Any, Part::Text(text), Part::Any] => format!("instr({bare}, {}) > 0", literal::text(text)),
        parts => format!(
            "(CASE WHEN instr({bare}, {nul}) = 0 THEN {bare} GLOB {} ELSE {TEXT_LIKE}({bare}, {}) END)",
            literal::text(&glob(parts)),
            literal::text(pattern),
            nul = literal::text("\0"),
        ),
    }
}

fn parse(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            '%' => {
                if parts.last() != Some(&Part::Any) {
                    parts.push(Part::Any);
                }
                continue;
            }
            '_' => {
                parts.push(Part::One);
                continue;
            }
            // A backslash with nothing after it stands for itself.
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        };
        match parts.last_mut() {
            Some(Part::Text(text)) => text.push(literal),
            Some(Part::Any | Part::One) | None => parts.push(Part::Text(literal.to_string())),
        }
    }
    parts
}

/// Everything from the text itself up to the first that no longer begins so.
fn starts_with(sql: &str, text: &str) -> String {
    let from = format!("{sql} >= {}", literal::text(text));
    match successor(text) {
        Some(end) => format!("({from} AND {sql} < {})", literal::text(&end)),
        // Nothing but the highest character there is: no text lies above.
        None => from,
    }
}

/// The least text above every text that begins with this one, in the order of bytes, which is that of code points.
fn successor(text: &str) -> Option<String> {
    let mut characters: Vec<char> = text.chars().collect();
    while let Some(last) = characters.pop() {
        // Skips the gap of the surrogates, which are no characters.
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            other => u32::from(other).checked_add(1).and_then(char::from_u32),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

fn glob(parts: &[Part]) -> String {
    let mut glob = String::new();
    for part in parts {
        match part {
            Part::Any => glob.push('*'),
            Part::One => glob.push('?'),
            Part::Text(text) => {
                for character in text.chars() {
                    match character {
                        '*' | '?' | '[' => glob.extend(['[', character, ']']),
                        other => glob.push(other),
                    }
                }
            }
        }
    }
    glob
}
