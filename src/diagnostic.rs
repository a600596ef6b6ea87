//! What is wrong in a file that somebody wrote, said so that they can put it right.
//!
//! In: a file's text and the byte span of what is wrong. Out: a [`Diagnostic`] with file, line and column, the line itself
//! and a hint. It must never show a secret: see [`document::Contents::MayHoldSecrets`].

use std::fmt;
use std::path::{Path, PathBuf};

pub mod document;
pub mod schema;

/// One thing wrong at one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub file: PathBuf,
    /// Counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Counted from 1, in characters; 0 where the file as a whole is meant.
    pub column: usize,
    /// The line as it stands in the file, what might be a secret replaced by `…`.
    pub source_line: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Diagnostic {
    pub fn at(place: &Place, message: impl Into<String>) -> Self {
        Self {
            file: place.file.clone(),
            line: place.line,
            column: place.column,
            source_line: place.source_line.clone(),
            message: message.into(),
            hint: None,
        }
    }

    /// A diagnostic for a file that has no text to point at: it is missing or cannot be read.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            source_line: String::new(),
            message: message.into(),
            hint: None,
        }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        if self.line == 0 {
            write!(f, "{file}: {}", self.message)?;
        } else {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            // A tab stays a tab, so that the caret stands under its character at any tab width.
            let caret_indent: String = self
                .source_line
                .chars()
                .take(self.column.saturating_sub(1))
                .map(|character| if character == '\t' { '\t' } else { ' ' })
                .collect();
            writeln!(f, "{file}:{}:{}: {}", self.line, self.column, self.message)?;
            writeln!(f, "{gutter} |")?;
            writeln!(f, "{number} | {}", self.source_line)?;
            write!(f, "{gutter} | {caret_indent}^")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything wrong in one or more files; never empty where it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// The value where nothing was found wrong, otherwise everything found, in the order of the files' lines.
    pub fn or_value<T>(mut found: Vec<Diagnostic>, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if found.is_empty() => Ok(value),
            _ => {
                found.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
                Err(Self(found))
            }
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

/// A place in a file, kept apart from the text so that later checks can still point at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
    pub source_line: String,
}

impl Place {
    /// The place where a byte span of a text starts. The whole line is kept: for text that may hold secrets, read the
    /// file as a [`document::Document`] and take places from that.
    pub fn of_span(file: &Path, text: &str, span: &std::ops::Range<usize>) -> Self {
        let line = LineAt::of(text, span.start);
        Self { file: file.to_owned(), line: line.number, column: line.column, source_line: printable(line.text) }
    }
}

/// A value and the place where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub place: Place,
}

/// The line in which a byte offset falls.
pub(crate) struct LineAt<'t> {
    pub number: usize,
    pub column: usize,
    pub text: &'t str,
    /// The byte offset at which the line starts.
    pub start: usize,
}

impl<'t> LineAt<'t> {
    pub(crate) fn of(text: &'t str, offset: usize) -> Self {
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let (before, after) = text.split_at(offset);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = after.find('\n').map_or(text.len(), |newline| offset + newline);
        Self {
            // Bytes are compared many at a time: a long file asks this of each of its entries.
            number: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before.get(start..).map_or(0, |head| head.chars().count()) + 1,
            text: text.get(start..end).unwrap_or_default(),
            start,
        }
    }
}

/// A line without its line break and without control characters, which a terminal would obey.
pub(crate) fn printable(line: &str) -> String {
    line.trim_end_matches('\r')
        .chars()
        .map(|character| if character.is_control() && character != '\t' { '\u{fffd}' } else { character })
        .collect()
}

/// A text that cannot steer the terminal or a page that shows it: an agency's values and a file's texts are somebody else's,
/// so control characters and those that reorder a line are written as escapes.
pub fn visible(text: &str) -> String {
    let steers = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(steers) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A text of the file as a message may quote it: what looks like a connection URL is never repeated.
pub(crate) fn quoted(text: &str) -> String {
    if text.contains("://") { "`…`".to_owned() } else { format!("`{}`", printable(text)) }
}

/// The known name that was probably meant, or `None` where none is near.
pub(crate) fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let allowed = written.chars().count().div_ceil(3);
    known
        .into_iter()
        .map(|name| (edit_distance(written, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The number of characters to insert, delete or replace (Levenshtein 1966), two rows of the matrix at a time.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (row, from) in left.chars().enumerate() {
        let mut diagonal = row;
        let mut last = row + 1;
        let mut current = vec![last];
        for (to, above) in right.iter().zip(previous.iter().skip(1)) {
            let replaced = diagonal + usize::from(from != *to);
            last = replaced.min(above + 1).min(last + 1);
            diagonal = *above;
            current.push(last);
        }
        previous = current;
    }
    previous.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a = 1\nñame = \"é\" bad\n";
        let span = text.find("bad").unwrap()..text.len();
        let place = Place::of_span(Path::new("x.toml"), text, &span);
        assert_eq!((place.line, place.column, place.source_line.as_str()), (2, 12, "ñame = \"é\" bad"));
        let end = Place::of_span(Path::new("x.toml"), text, &(text.len() + 5..text.len() + 6));
        assert_eq!((end.line, end.column, end.source_line.as_str()), (3, 1, ""));
    }

    #[test]
    fn a_diagnostic_reads_like_a_compilers() {
        let place = Place::of_span(Path::new("wayleave.toml"), "a = 1\n\tpolices = 2\r\n", &(7..14));
        let diagnostic =
            Diagnostic::at(&place, "unknown key `polices`").with_hint("did you mean `policies`?").to_string();
        assert_eq!(
            diagnostic,
            "wayleave.toml:2:2: unknown key `polices`\n  |\n2 | \tpolices = 2\n  | \t^\nhint: did you mean `policies`?"
        );
        let missing = Diagnostic::of_file(Path::new("x.toml"), "the file cannot be read");
        assert_eq!(missing.to_string(), "x.toml: the file cannot be read");
    }

    #[test]
    fn several_are_shown_in_the_order_of_their_lines() {
        let text = "a\nb\n";
        let at = |offset: usize, message: &str| {
            Diagnostic::at(&Place::of_span(Path::new("x"), text, &(offset..offset)), message)
        };
        let found = Diagnostics::or_value(vec![at(2, "second"), at(0, "first")], Some(())).unwrap_err();
        assert_eq!(found.to_string(), "x:1:1: first\n  |\n1 | a\n  | ^\n\nx:2:1: second\n  |\n2 | b\n  | ^");
        assert_eq!(Diagnostics::or_value(Vec::new(), Some(1)), Ok(1));
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        assert_eq!(nearest("colunms", ["table", "columns"]), Some("columns"));
        assert_eq!(nearest("tabel", ["columns", "table"]), Some("table"));
        assert_eq!(nearest("id", ["dpv", "hl7"]), None);
        assert_eq!(nearest("password", ["table", "columns"]), None);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable("a\u{1b}[31m\r"), "a\u{fffd}[31m");
        assert_eq!(quoted("postgres://u:hunter2@h"), "`…`");
    }
}
