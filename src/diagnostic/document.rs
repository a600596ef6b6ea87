//! A TOML file read by hand, so that everything wrong in it is said at once.
//!
//! In: a file's text. Out: tables and values with their places, and a [`Diagnostic`] for each unknown key, missing key and
//! wrong type on the way. A reader takes what it can, goes on after an error, and asks [`Document::into_found`] at the end.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use chrono::NaiveDate;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::schema::Shape;
use super::{Diagnostic, LineAt, Located, Place, nearest, printable, quoted};

/// A key of a table: how it is written, for hints, and what it means, for the schema that editors read.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    /// TOML that a reader of the hint may copy.
    pub example: &'static str,
    /// What the key says, in a sentence.
    pub description: &'static str,
    pub shape: Shape,
    pub required: bool,
}

impl Key {
    /// A key whose value is a text; it need not be there.
    pub const fn new(name: &'static str, example: &'static str) -> Self {
        Self { name, example, description: "", shape: Shape::Text, required: false }
    }

    #[must_use]
    pub const fn says(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    #[must_use]
    pub const fn of(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// Whether a file's lines may be shown as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Values of keys that sound like a secret (`url`, `password` …), values of unknown keys, comments and anything like
    /// `scheme://` are never shown.
    MayHoldSecrets,
    Plain,
}

/// Parts of key names whose values are not shown.
const SECRET_WORDS: [&str; 11] =
    ["url", "uri", "pass", "pwd", "secret", "token", "credential", "dsn", "connection_", "key_env", "key_file"];

/// One parsed file and what has been found wrong in it so far.
#[derive(Debug)]
pub struct Document<'t> {
    file: &'t Path,
    text: &'t str,
    contents: Contents,
    root: Spanned<DeTable<'t>>,
    hidden: RefCell<Vec<Range<usize>>>,
    found: RefCell<Vec<Diagnostic>>,
}

impl<'t> Document<'t> {
    /// Reads the text as TOML.
    ///
    /// # Errors
    /// The first syntax error.
    pub fn parse(file: &'t Path, text: &'t str, contents: Contents) -> Result<Self, Diagnostic> {
        let root = DeTable::parse(text).map_err(|error| syntax_error(file, text, contents, &error))?;
        let mut hidden = Vec::new();
        if contents == Contents::MayHoldSecrets {
            hide_secrets(root.get_ref(), &mut hidden);
        }
        Ok(Self { file, text, contents, root, hidden: RefCell::new(hidden), found: RefCell::new(Vec::new()) })
    }

    /// The top of the file, its unknown keys reported.
    pub fn root(&self, keys: &'static [Key]) -> Table<'_> {
        let table = Table { document: self, name: String::new(), table: self.root.get_ref(), span: 0..0, keys };
        table.report_unknown_keys();
        table
    }

    pub fn report(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    pub fn into_found(self) -> Vec<Diagnostic> {
        self.found.into_inner()
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let line = LineAt::of(self.text, span.start);
        Place {
            file: self.file.to_owned(),
            line: line.number,
            column: line.column,
            source_line: self.shown_line(&line),
        }
    }

    fn shown_line(&self, line: &LineAt<'_>) -> String {
        if self.contents == Contents::Plain {
            return printable(line.text);
        }
        let line_end = line.start + line.text.len();
        let first_hidden = self
            .hidden
            .borrow()
            .iter()
            .filter(|span| span.start < line_end && span.end > line.start)
            .map(|span| span.start.saturating_sub(line.start))
            .min();
        let shown = first_hidden.and_then(|end| line.text.get(..end));
        let without_urls = cut_unless_plain(shown.unwrap_or(line.text), &[]);
        match shown {
            Some(_) if !without_urls.ends_with('…') => without_urls + "…",
            _ => without_urls,
        }
    }
}

/// A table of the file.
#[derive(Clone, Debug)]
pub struct Table<'d> {
    document: &'d Document<'d>,
    /// The dotted path from the top, empty for the top itself.
    name: String,
    table: &'d DeTable<'d>,
    span: Range<usize>,
    keys: &'static [Key],
}

impl<'d> Table<'d> {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn place(&self) -> Place {
        self.document.place(&self.span)
    }

    pub fn document(&self) -> &'d Document<'d> {
        self.document
    }

    pub fn optional(&self, key: &str) -> Option<Entry<'d>> {
        let (written, value) = self.table.iter().find(|(written, _)| written.get_ref() == key)?;
        Some(self.entry(written, value))
    }

    /// The entry, or a report that it is missing.
    pub fn required(&self, key: &str) -> Option<Entry<'d>> {
        let entry = self.optional(key);
        if entry.is_none() {
            let message = match self.name.as_str() {
                "" => format!("`{key}` is missing"),
                name => format!("`{key}` is missing in `{name}`"),
            };
            self.document.report(Diagnostic::at(&self.place(), message).with_hint(self.write(key)));
        }
        entry
    }

    /// Every entry in the order of the file.
    pub fn entries(&self) -> Vec<Entry<'d>> {
        let mut entries: Vec<Entry<'d>> =
            self.table.iter().map(|(written, value)| self.entry(written, value)).collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        entries
    }

    pub fn report(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.document.report(Diagnostic::at(&self.place(), message).with_hint(hint));
    }

    fn entry(&self, written: &Spanned<std::borrow::Cow<'d, str>>, value: &'d Spanned<DeValue<'d>>) -> Entry<'d> {
        let key = written.get_ref().to_string();
        let name = if self.name.is_empty() { key.clone() } else { format!("{}.{key}", self.name) };
        let hint = self.write(&key);
        Entry { document: self.document, key, name, key_span: written.span(), value, hint }
    }

    fn write(&self, key: &str) -> String {
        self.keys.iter().find(|known| known.name == key).map_or_else(String::new, |known| {
            let lines: Vec<String> = known.example.lines().map(|line| format!("`{line}`")).collect();
            format!("write {}", lines.join(", then "))
        })
    }

    fn report_unknown_keys(&self) {
        let known = || self.keys.iter().map(|key| key.name);
        let unknown: Vec<Entry<'d>> =
            self.entries().into_iter().filter(|entry| !known().any(|name| name == entry.key)).collect();
        if self.document.contents == Contents::MayHoldSecrets {
            self.document.hidden.borrow_mut().extend(unknown.iter().map(|entry| entry.value_span()));
        }
        for entry in unknown {
            let place = match self.name.as_str() {
                "" => String::new(),
                name => format!(" in `{name}`"),
            };
            let hint = match nearest(&entry.key, known()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => {
                    let names: Vec<String> = known().map(|name| format!("`{name}`")).collect();
                    format!("the keys here are {}", names.join(", "))
                }
            };
            let message = format!("unknown key {}{place}", quoted(&entry.key));
            self.document.report(Diagnostic::at(&entry.key_place(), message).with_hint(hint));
        }
    }
}

/// A single value, a number as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    Text(String),
    Integer(String),
    Decimal(String),
    Boolean(bool),
    /// A date, a time or both.
    Moment(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) | Self::Integer(text) | Self::Decimal(text) | Self::Moment(text) => f.write_str(text),
            Self::Boolean(flag) => write!(f, "{flag}"),
        }
    }
}

/// A key of the file and its value.
#[derive(Clone, Debug)]
pub struct Entry<'d> {
    document: &'d Document<'d>,
    key: String,
    name: String,
    key_span: Range<usize>,
    value: &'d Spanned<DeValue<'d>>,
    hint: String,
}

impl<'d> Entry<'d> {
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The dotted path from the top of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn key_place(&self) -> Place {
        self.document.place(&self.key_span)
    }

    pub fn place(&self) -> Place {
        self.document.place(&self.value_span())
    }

    pub fn document(&self) -> &'d Document<'d> {
        self.document
    }

    /// Where the key stands in the file, for "which came first".
    pub fn offset(&self) -> usize {
        self.key_span.start
    }

    pub fn report(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.document.report(Diagnostic::at(&self.place(), message).with_hint(hint));
    }

    /// A text that is not blank.
    pub fn text(&self) -> Option<Located<String>> {
        let text = self.any_text()?;
        if text.value.trim().is_empty() {
            self.report(format!("`{}` is empty", self.name), self.hint.clone());
            return None;
        }
        Some(text)
    }

    pub fn any_text(&self) -> Option<Located<String>> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(self.located(text.to_string())),
            _ => self.wrong_type("text in quotes"),
        }
    }

    /// A single value of any kind.
    pub fn scalar(&self) -> Option<Scalar> {
        Some(match self.value.get_ref() {
            DeValue::String(text) => Scalar::Text(text.to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Scalar::Integer(number.to_string()),
                Err(_) => return self.wrong_type("a whole number of 64 bits"),
            },
            DeValue::Float(number) => Scalar::Decimal(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Scalar::Boolean(*flag),
            DeValue::Datetime(moment) => Scalar::Moment(moment.to_string()),
            DeValue::Array(_) | DeValue::Table(_) => return self.wrong_type("a single value"),
        })
    }

    /// One of a fixed list of words.
    pub fn one_of<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<Located<T>> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
        if found.is_none() {
            let listed: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let hint = match nearest(&text.value, words.iter().map(|(word, _)| *word)) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("write one of {}", listed.join(", ")),
            };
            self.report(format!("{} is no value of `{}`", self.quoted(&text.value), self.name), hint);
        }
        found.map(|value| self.located(value))
    }

    pub fn boolean(&self) -> Option<Located<bool>> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Some(self.located(*value)),
            _ => self.wrong_type("`true` or `false`"),
        }
    }

    /// A whole number of the range, both ends included.
    pub fn integer(&self, range: std::ops::RangeInclusive<u64>) -> Option<Located<u64>> {
        let DeValue::Integer(written) = self.value.get_ref() else {
            return self.wrong_type("a whole number");
        };
        let value = u64::from_str_radix(written.as_str(), written.radix()).ok().filter(|value| range.contains(value));
        if value.is_none() {
            let message = format!("`{}` must be between {} and {}", self.name, range.start(), range.end());
            self.report(message, self.hint.clone());
        }
        value.map(|value| self.located(value))
    }

    pub fn date(&self) -> Option<Located<NaiveDate>> {
        let date = match self.value.get_ref() {
            DeValue::Datetime(datetime) if datetime.time.is_none() && datetime.offset.is_none() => datetime.date,
            _ => None,
        };
        let date = date
            .and_then(|date| NaiveDate::from_ymd_opt(i32::from(date.year), u32::from(date.month), u32::from(date.day)));
        match date {
            Some(date) => Some(self.located(date)),
            None => self.wrong_type("a date without quotes"),
        }
    }

    /// A list of texts, none blank and none twice. It may be empty.
    pub fn texts(&self) -> Option<Vec<Located<String>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            return self.wrong_type("a list of texts");
        };
        let mut texts: Vec<Located<String>> = Vec::new();
        let mut complete = true;
        for item in items {
            let place = self.document.place(&item.span());
            let message = match item.get_ref() {
                DeValue::String(text) if text.trim().is_empty() => format!("`{}` has an empty text", self.name),
                DeValue::String(text) if texts.iter().any(|earlier| earlier.value == **text) => {
                    format!("{} stands twice in `{}`", self.quoted(text), self.name)
                }
                DeValue::String(text) => {
                    texts.push(Located { value: text.to_string(), place });
                    continue;
                }
                other => format!("`{}` must be a list of texts, and this is {}", self.name, type_name(other)),
            };
            complete = false;
            self.document.report(Diagnostic::at(&place, message).with_hint(self.hint.clone()));
        }
        complete.then_some(texts)
    }

    /// [`Entry::texts`] with at least one text.
    pub fn some_texts(&self) -> Option<Vec<Located<String>>> {
        let texts = self.texts()?;
        if texts.is_empty() {
            self.report(format!("`{}` is empty", self.name), self.hint.clone());
            return None;
        }
        Some(texts)
    }

    /// A table with known keys, unknown ones reported.
    pub fn table(&self, keys: &'static [Key]) -> Option<Table<'d>> {
        let table = self.make_table(self.value, self.name.clone(), keys)?;
        table.report_unknown_keys();
        Some(table)
    }

    /// A table whose keys are names that the file's author chose.
    pub fn open_table(&self) -> Option<Table<'d>> {
        self.make_table(self.value, self.name.clone(), &[])
    }

    /// A list of tables (`[[share]]`), at least one.
    pub fn tables(&self, keys: &'static [Key]) -> Option<Vec<Table<'d>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            return self.wrong_type("a list of tables");
        };
        if items.is_empty() {
            self.report(format!("`{}` is empty", self.name), self.hint.clone());
            return None;
        }
        let tables: Option<Vec<Table<'d>>> =
            items.iter().map(|item| self.make_table(item, self.name.clone(), keys)).collect();
        tables.iter().flatten().for_each(Table::report_unknown_keys);
        tables
    }

    /// A list of tables whose keys are names that the file's author chose. It may be empty.
    pub fn open_tables(&self) -> Option<Vec<Table<'d>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            return self.wrong_type("a list of tables");
        };
        items.iter().map(|item| self.make_table(item, self.name.clone(), &[])).collect()
    }

    pub fn is_table(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Table(_))
    }

    pub fn is_text(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::String(_))
    }

    pub fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let message = format!("`{}` must be {expected}, and this is {}", self.name, type_name(self.value.get_ref()));
        // An empty hint says nothing: the key is one that the author named.
        let diagnostic = Diagnostic::at(&self.place(), message);
        self.document.report(if self.hint.is_empty() { diagnostic } else { diagnostic.with_hint(self.hint.clone()) });
        None
    }

    /// The value as a message may repeat it.
    fn quoted(&self, text: &str) -> String {
        let span = self.value_span();
        let is_hidden = |hidden: &Range<usize>| hidden.start < span.end && span.start < hidden.end;
        if self.document.hidden.borrow().iter().any(is_hidden) { "`…`".to_owned() } else { quoted(text) }
    }

    fn make_table(&self, value: &'d Spanned<DeValue<'d>>, name: String, keys: &'static [Key]) -> Option<Table<'d>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Table { document: self.document, name, table, span: value.span(), keys }),
            _ => self.wrong_type("a table"),
        }
    }

    fn located<T>(&self, value: T) -> Located<T> {
        Located { value, place: self.place() }
    }

    fn value_span(&self) -> Range<usize> {
        self.value.span()
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn hide_secrets(table: &DeTable<'_>, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let key = key.get_ref().to_ascii_lowercase();
        match value.get_ref() {
            DeValue::Table(inner) => hide_secrets(inner, hidden),
            _ if SECRET_WORDS.iter().any(|word| key.contains(word)) => hidden.push(value.span()),
            DeValue::Array(items) => {
                for item in items {
                    if let DeValue::Table(inner) = item.get_ref() {
                        hide_secrets(inner, hidden);
                    }
                }
            }
            _ => {}
        }
    }
}

/// A syntax error leaves no tree to say which value belongs to which key, so that the line is judged by its text alone.
fn syntax_error(file: &Path, text: &str, contents: Contents, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let line = LineAt::of(text, span.start);
    let source_line = match contents {
        Contents::Plain => printable(line.text),
        Contents::MayHoldSecrets => {
            let before = text.get(..line.start).unwrap_or_default();
            let inside_long_text = before.contains("\"\"\"") || before.contains("'''");
            let starts_anew = line.text.trim_start().starts_with('[')
                || line.text.split_once('=').is_some_and(|(key, _)| key.chars().all(is_of_bare_key));
            if starts_anew && !inside_long_text { cut_unless_plain(line.text, &SECRET_WORDS) } else { "…".to_owned() }
        }
    };
    let place = Place { file: file.to_owned(), line: line.number, column: line.column, source_line };
    Diagnostic::at(&place, format!("this is not TOML: {}", error.message()))
}

fn is_of_bare_key(character: char) -> bool {
    character.is_alphanumeric() || " \t_-.\"'".contains(character)
}

/// The line up to where a secret may start: after the `=` that follows one of the words, before a comment, and after the
/// `=` that precedes a `scheme://`.
fn cut_unless_plain(line: &str, words: &[&str]) -> String {
    let lower = line.to_ascii_lowercase();
    let after_words = words.iter().filter_map(|word| {
        let from = lower.find(word)?;
        Some(from + lower.get(from..)?.find('=')? + 1)
    });
    let comment = line.find('#');
    let url = line.find("://").map(|at| line.get(..at).and_then(|head| head.rfind('=')).map_or(0, |equals| equals + 1));
    match after_words.chain(comment).chain(url).min() {
        Some(end) => {
            let shown = printable(line.get(..end).unwrap_or_default());
            let gap = if shown.ends_with('=') { " " } else { "" };
            format!("{shown}{gap}…")
        }
        None => printable(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;

    const KEYS: &[Key] = &[
        Key::new("name", "name = \"x\""),
        Key::new("count", "count = 3"),
        Key::new("list", "list = [\"a\"]"),
        Key::new("url", "url = \"postgres://…\""),
        Key::new("day", "day = 2026-04-01"),
        Key::new("inner", "[inner]\nname = \"x\""),
    ];

    fn found(text: &str, read: impl Fn(&Table<'_>)) -> Vec<(usize, usize, String)> {
        let document = Document::parse(Path::new("t.toml"), text, Contents::MayHoldSecrets).unwrap();
        read(&document.root(KEYS));
        let found = document.into_found();
        found.into_iter().map(|one| (one.line, one.column, one.message)).collect()
    }

    #[test]
    fn every_wrong_thing_is_said_with_its_place() {
        let text = "name = 5\ncuont = 1\nlist = [\"a\", \"a\", 7]\n[inner]\nday = \"2026-04-01\"\n";
        let found = found(text, |root| {
            root.required("name").unwrap().text();
            root.required("count");
            root.required("list").unwrap().texts();
            let inner = root.required("inner").unwrap().table(KEYS).unwrap();
            inner.required("day").unwrap().date();
            inner.required("name");
        });
        assert_eq!(
            found,
            [
                (2, 1, "unknown key `cuont`".to_owned()),
                (1, 8, "`name` must be text in quotes, and this is a whole number".to_owned()),
                (1, 1, "`count` is missing".to_owned()),
                (3, 14, "`a` stands twice in `list`".to_owned()),
                (3, 19, "`list` must be a list of texts, and this is a whole number".to_owned()),
                (5, 7, "`inner.day` must be a date without quotes, and this is text".to_owned()),
                (4, 1, "`name` is missing in `inner`".to_owned()),
            ]
        );
    }

    #[test]
    fn entries_come_in_the_order_of_the_file() {
        let document = Document::parse(Path::new("t.toml"), "b = 1\na = 2\nc.z = 1\nc.y = 2", Contents::Plain).unwrap();
        let root = document.root(&[]);
        let keys: Vec<String> = root.entries().iter().map(|entry| entry.key().to_owned()).collect();
        assert_eq!(keys, ["b", "a", "c"]);
    }

    #[test]
    fn integers_keep_to_their_range() {
        for (text, expected) in
            [("count = 2", true), ("count = 1", false), ("count = -2", false), ("count = 0x5", true)]
        {
            let document = Document::parse(Path::new("t.toml"), text, Contents::Plain).unwrap();
            assert_eq!(document.root(KEYS).required("count").unwrap().integer(2..=9).is_some(), expected, "{text}");
            assert_eq!(document.into_found().is_empty(), expected, "{text}");
        }
    }

    fn shown(text: &str) -> String {
        match Document::parse(Path::new("t.toml"), text, Contents::MayHoldSecrets) {
            Ok(document) => {
                let root = document.root(KEYS);
                for entry in root.entries() {
                    entry.wrong_type::<()>("nothing");
                    entry.texts();
                    if let Some(inner) = (entry.key() == "inner").then(|| entry.open_table()).flatten() {
                        inner.entries().iter().for_each(|entry| {
                            entry.wrong_type::<()>("nothing");
                        });
                    }
                }
                let found = document.into_found();
                assert!(!found.is_empty());
                Diagnostics(found)
            }
            Err(error) => error.into(),
        }
        .to_string()
    }
    #[test]
    fn no_line_shows_a_secret() {
        for text in [
            "url = \"hunter2\"",
            "url = [\n  \"hunter2\",\n  \"hunter2\",\n]",
            "url = \"\"\"\nhunter2\nhunter2\"\"\"",
            "pasword = \"hunter2\"",
            "mistyped = \"hunter2\"",
            "name = \"x\" # password hunter2",
            "name = \"postgres://u:hunter2@h/d\"",
            "inner = { url = \"hunter2\", name = 5 }",
            "inner = { name = 5, pwd = \"hunter2\" }",
            "list = [\n \"postgres://hunter2\", 5 ]",
            // Syntax errors.
            "url = \"hunter2",
            "url = hunter2",
            "url = \"hunter2\" \"x\"",
            "x.db_password = 'hunter2",
            "inner = { url = \"hunter2\"",
            "list = [\n\"hunter2\" \"hunter2\" ]",
            "name = \"\"\"\nname = hunter2\nname = hunter2",
            "hunter2",
            "name = \"postgres://u:hunter2@h",
        ] {
            let shown = shown(text);
            assert!(!shown.contains("hunter2"), "{text}\n{shown}");
            assert!(shown.contains('…'), "{text}\n{shown}");
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        assert!(shown("url = 5").contains("1 | url = …\n"), "{}", shown("url = 5"));
        assert!(shown("name = [\"x\"]").contains("1 | name = [\"x\"]\n"));
        assert!(shown("name = \"x\" y").contains("1 | name = \"x\" y\n"));
    }
}
