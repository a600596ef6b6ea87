//! Reading `*.case.toml`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::world::{CaseTable, Row};
use crate::config::subject::{SUBJECT_KEYS, SUBJECT_RULES, read_subject};
use crate::diagnostic::document::{Contents, Document, Entry, Key, Table};
use crate::diagnostic::schema::{FileKind, Rule, Shape, words};
use crate::diagnostic::{Diagnostic, Diagnostics, quoted};
use crate::names::QualifiedTable;
use crate::session::{BeyondConsent, Identity, Session};

pub(super) const CASE_FILE: FileKind = FileKind {
    name: "case",
    title: "Cases of policy",
    description: "What roles should see of a small made-up world, and what they should be refused; `wayleave policy test` \
                  runs it.",
    keys: ROOT_KEYS,
    rules: &[],
};
const ROOT_KEYS: &[Key] = &[
    Key::new("on", "on = 2026-06-01")
        .says("The day on which every case runs that names no other.")
        .of(Shape::Date)
        .required(),
    Key::new("table", "[[table]]\nname = \"health.main.patients\"\ncolumns = { nhs_number = \"TEXT\" }\nrows = []")
        .says("The world: throw-away tables of the agencies, registers among them.")
        .of(Shape::Sections { least: 1, keys: TABLE_KEYS, rules: &[] }),
    Key::new("case", "[[case]]\nname = \"…\"\nas = \"alice@torbay-asc/social-worker\"\npurpose = \"…\"")
        .says("The cases.")
        .of(Shape::Sections { least: 1, keys: CASE_KEYS, rules: CASE_RULES })
        .required(),
];
/// Values by column; a column that is left out is NULL.
const ROW: Shape = Shape::Names(&Shape::Scalar);
const TABLE_NAME: Shape = Shape::Pattern("^.+\\..+\\..+$");
const TABLE_KEYS: &[Key] = &[
    Key::new("name", "name = \"health.main.patients\"")
        .says("The table, as the agreements name it: agency.schema.table.")
        .of(TABLE_NAME)
        .required(),
    Key::new("subject", "subject = { column = \"nhs_number\", scheme = \"nhs-number\", form = \"spaced\" }")
        .says("The column that says whom a row is about, as wayleave.toml declares it.")
        .of(Shape::Section(SUBJECT_KEYS, SUBJECT_RULES)),
    Key::new("columns", "columns = { nhs_number = \"TEXT\", dob = \"DATE\" }")
        .says("The columns and their types, as SQLite names types: TEXT, INTEGER, BOOLEAN, DATE, TIMESTAMP, DECIMAL(10,2).")
        .of(Shape::Names(&Shape::Text))
        .required(),
    Key::new("rows", "rows = [{ nhs_number = \"943 476 5919\", dob = 1950-01-31 }]")
        .says("The rows. A column that a row leaves out is NULL.")
        .of(Shape::List(&ROW)),
];
const ADD_KEYS: &[Key] = &[
    Key::new("table", "table = \"health.main.consents\"").says("A table of the world.").of(TABLE_NAME).required(),
    Key::new("rows", "rows = [{ nhs_number = \"943 476 5919\" }]")
        .says("Its further rows.")
        .of(Shape::List(&ROW))
        .required(),
];
const CASE_KEYS: &[Key] = &[
    Key::new("name", "name = \"who has objected is withheld\"").says("What the case shows.").required(),
    Key::new("as", "as = \"alice@torbay-asc/social-worker\"")
        .says("Who asks: user@organisation/role.")
        .of(Shape::Pattern("^[^@/]+@[^@/]+/[^@/]+$"))
        .required(),
    Key::new("purpose", "purpose = \"joint-needs-assessment\"").says("The declared purpose.").required(),
    Key::new("case", "case = \"C-1042\"").says("The case reference that is given."),
    Key::new("reason", "reason = \"strategy discussion\"").says("The reason that is given."),
    Key::new("beyond_consent", "beyond_consent = \"override\"")
        .says("How the session asks past persons' own decisions.")
        .of(Shape::OneOf(|| words(&BeyondConsent::WORDS))),
    Key::new("on", "on = 2026-06-01").says("The day of this case.").of(Shape::Date),
    Key::new("table", "table = \"health.main.patients\"")
        .says("Asks for every released column of a table.")
        .of(TABLE_NAME),
    Key::new("query", "query = \"SELECT count(*) AS n FROM health.main.patients\"").says("Asks in SQL instead."),
    Key::new("add", "add = [{ table = \"health.main.consents\", rows = [{ nhs_number = \"943 476 5919\" }] }]")
        .says("Rows that stand in the world for this case alone.")
        .of(Shape::Sections { least: 1, keys: ADD_KEYS, rules: &[] }),
    Key::new("columns", "columns = [\"nhs_number\", \"name\"]")
        .says("Every column of the answer, in order.")
        .of(Shape::Texts { least: 0 }),
    Key::new("rows", "rows = [{ name = \"Margaret Ellis\" }]")
        .says(
            "Every row of the answer, in any order, by the columns that any of them names; `<any>` is any value but NULL.",
        )
        .of(Shape::List(&ROW)),
    Key::new("refused", "refused = \"table-not-released\"").says("The code of the refusal, such as table-not-released."),
    Key::new("because", "because = \"it ended on\"").says("Words that the refusal says."),
];
const CASE_RULES: &[Rule] = &[Rule::One(&["table", "query"])];

/// What stands in an expected cell for any value but NULL.
pub(super) const ANY: &str = "<any>";

/// One file of cases.
#[derive(Clone, Debug)]
pub struct CaseFile {
    pub file: PathBuf,
    pub(super) tables: Vec<CaseTable>,
    pub(super) cases: Vec<Case>,
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub name: String,
    pub line: usize,
    pub session: Session,
    pub on: NaiveDate,
    pub asked: Asked,
    pub add: Vec<(QualifiedTable, Vec<Row>)>,
    pub expected: Expected,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// `SELECT *` of it.
    Table(QualifiedTable),
    Query(String),
}

#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// What is `None` is not compared.
    Answer {
        columns: Option<Vec<String>>,
        rows: Option<Vec<Row>>,
    },
    Refusal {
        code: String,
        because: Option<String>,
    },
}

/// Every `*.case.toml` of a policy directory and its `agreements`, by name.
///
/// # Errors
/// A directory that cannot be read.
pub fn find_case_files(directory: &Path) -> Result<Vec<PathBuf>, Diagnostics> {
    let mut files = Vec::new();
    for place in [directory.to_owned(), directory.join("agreements")] {
        if !place.is_dir() {
            continue;
        }
        let unreadable = |error: std::io::Error| {
            Diagnostics::from(Diagnostic::of_file(&place, format!("it cannot be read: {}", error.kind())))
        };
        for entry in std::fs::read_dir(&place).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.ends_with(".case.toml") && !name.starts_with('.') {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

impl CaseFile {
    /// # Errors
    /// Everything wrong in the file, each with its place.
    pub fn load(file: &Path) -> Result<Self, Diagnostics> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Diagnostic::of_file(file, format!("it cannot be read: {}", error.kind())))?;
        Self::parse(file, &text)
    }

    /// # Errors
    /// As [`CaseFile::load`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, Diagnostics> {
        let document = Document::parse(file, text, Contents::Plain)?;
        let read = read_file(&document, file);
        Diagnostics::or_value(document.into_found(), read)
    }

    pub fn len(&self) -> usize {
        self.cases.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }
}

fn read_file(document: &Document<'_>, file: &Path) -> Option<CaseFile> {
    let root = document.root(ROOT_KEYS);
    let on = root.required("on").and_then(|entry| entry.date());
    let tables: Option<Vec<CaseTable>> = match root.optional("table") {
        Some(entry) => {
            let read: Vec<Option<CaseTable>> = entry.tables(TABLE_KEYS)?.iter().map(read_table).collect();
            read.into_iter().collect()
        }
        None => Some(Vec::new()),
    };
    let entries = root.required("case").and_then(|entry| entry.tables(CASE_KEYS));
    let (on, tables, entries) = (on?, tables?, entries?);
    let read: Vec<Option<Case>> = entries.iter().map(|table| read_case(table, on.value, &tables)).collect();
    Some(CaseFile { file: file.to_owned(), cases: read.into_iter().collect::<Option<Vec<_>>>()?, tables })
}

fn read_table(table: &Table<'_>) -> Option<CaseTable> {
    let name = table.required("name").and_then(|entry| read_name(&entry));
    let subject = match table.optional("subject") {
        Some(entry) => read_subject(&entry).map(Some),
        None => Some(None),
    };
    let columns = table.required("columns").and_then(|entry| read_columns(&entry));
    let rows = match table.optional("rows") {
        Some(entry) => read_rows(&entry),
        None => Some(Vec::new()),
    };
    let (name, columns, rows) = (name?, columns?, rows?);
    check_rows(table, &rows, &columns)?;
    Some(CaseTable { name, subject: subject?, columns, rows })
}

fn check_rows(table: &Table<'_>, rows: &[Row], columns: &[(String, String)]) -> Option<()> {
    let known = |name: &String| columns.iter().any(|(column, _)| column == name);
    match rows.iter().flat_map(|row| row.keys()).find(|name| !known(name)) {
        None => Some(()),
        Some(name) => {
            table.report(
                format!("a row has a value for {}, which is no column of the table", quoted(name)),
                "name the column in `columns`, with its type",
            );
            None
        }
    }
}

fn read_name(entry: &Entry<'_>) -> Option<QualifiedTable> {
    let text = entry.text()?;
    match QualifiedTable::parse(&text.value) {
        Ok(name) => Some(name),
        Err(fault) => {
            entry.report(fault.to_string(), "write `\"agency.schema.table\"`");
            None
        }
    }
}

fn read_columns(entry: &Entry<'_>) -> Option<Vec<(String, String)>> {
    let mut columns = Vec::new();
    let mut complete = true;
    for entry in entry.open_table()?.entries() {
        match entry.text() {
            Some(kind) if kind.value.chars().all(|c| c.is_ascii_alphanumeric() || " (),".contains(c)) => {
                columns.push((entry.key().to_owned(), kind.value));
            }
            Some(_) => {
                entry.report(
                    "this is no type of a column",
                    "write a type of SQLite, such as `TEXT`, `INTEGER` or `DATE`",
                );
                complete = false;
            }
            None => complete = false,
        }
    }
    if columns.is_empty() && complete {
        entry.report("`columns` is empty", "write `columns = { nhs_number = \"TEXT\" }`");
        return None;
    }
    complete.then_some(columns)
}

fn read_rows(entry: &Entry<'_>) -> Option<Vec<Row>> {
    let rows: Vec<Option<Row>> = entry
        .open_tables()?
        .iter()
        .map(|row| row.entries().iter().map(|cell| Some((cell.key().to_owned(), cell.scalar()?))).collect())
        .collect();
    rows.into_iter().collect()
}

fn read_case(table: &Table<'_>, on: NaiveDate, tables: &[CaseTable]) -> Option<Case> {
    let text = |key: &str| match table.optional(key) {
        Some(entry) => entry.text().map(|text| Some(text.value)),
        None => Some(None),
    };
    let name = table.required("name").and_then(|entry| entry.text());
    let identity = table.required("as").and_then(|entry| {
        let text = entry.text()?;
        let identity = Identity::parse(&text.value).ok();
        if identity.is_none() {
            entry.report("this does not say who asks", "write `as = \"user@organisation/role\"`");
        }
        identity
    });
    let purpose = table.required("purpose").and_then(|entry| entry.text());
    let (case_reference, reason) = (text("case"), text("reason"));
    let on = match table.optional("on") {
        Some(entry) => entry.date().map(|date| date.value),
        None => Some(on),
    };
    let asked = match (table.optional("table"), table.optional("query")) {
        (Some(entry), None) => read_name(&entry).map(Asked::Table),
        (None, Some(entry)) => entry.text().map(|text| Asked::Query(text.value)),
        _ => {
            table.report("a case asks one of `table` and `query`", "write `table = \"agency.schema.table\"`");
            None
        }
    };
    let add = match table.optional("add") {
        Some(entry) => read_additions(&entry, tables),
        None => Some(Vec::new()),
    };
    let expected = read_expected(table);
    let beyond_consent = match table.optional("beyond_consent") {
        Some(entry) => entry.one_of(&BeyondConsent::WORDS).map(|how| Some((how.value)())),
        None => Some(None),
    };
    let mut session = Session::new(identity?, purpose?.value);
    session.case_reference = case_reference?;
    session.reason = reason?;
    session.beyond_consent = beyond_consent?;
    Some(Case {
        name: name?.value,
        line: table.place().line,
        session,
        on: on?,
        asked: asked?,
        add: add?,
        expected: expected?,
    })
}

fn read_additions(entry: &Entry<'_>, tables: &[CaseTable]) -> Option<Vec<(QualifiedTable, Vec<Row>)>> {
    let mut additions = Vec::new();
    for table in entry.tables(ADD_KEYS)? {
        let named = table.required("table")?;
        let name = read_name(&named)?;
        let rows = table.required("rows").and_then(|entry| read_rows(&entry))?;
        let Some(known) = tables.iter().find(|known| known.name == name) else {
            named.report(format!("the file has no table `{name}`"), "write a `[[table]]` for it");
            return None;
        };
        check_rows(&table, &rows, &known.columns)?;
        additions.push((name, rows));
    }
    Some(additions)
}

fn read_expected(table: &Table<'_>) -> Option<Expected> {
    let columns = match table.optional("columns") {
        Some(entry) => Some(entry.texts()?.into_iter().map(|column| column.value).collect::<Vec<_>>()),
        None => None,
    };
    let rows = match table.optional("rows") {
        Some(entry) => Some(read_rows(&entry)?),
        None => None,
    };
    match (table.optional("refused"), table.optional("because")) {
        (Some(code), because) if columns.is_none() && rows.is_none() => Some(Expected::Refusal {
            code: code.text()?.value,
            because: match because {
                Some(because) => Some(because.text()?.value),
                None => None,
            },
        }),
        (None, None) if columns.is_some() || rows.is_some() => Some(Expected::Answer { columns, rows }),
        _ => {
            table.report(
                "a case expects `columns` and `rows`, or to be `refused`",
                "write `rows = []`, or `refused = \"table-not-released\"` and perhaps `because = \"…\"`",
            );
            None
        }
    }
}

/// The columns that expected rows compare.
pub(super) fn compared(rows: &[Row]) -> BTreeSet<&String> {
    rows.iter().flat_map(|row| row.keys()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"on = 2026-06-01
[[table]]
name = "a.main.t"
columns = { k = "TEXT", n = "INTEGER" }
rows = [{ k = "x", n = 1 }, { k = "y" }]
[[case]]
name = "one"
as = "u@o/r"
purpose = "p"
table = "a.main.t"
columns = ["k"]
rows = []
"#;

    fn faults(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        CaseFile::parse(Path::new("x.case.toml"), &GOOD.replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_read_and_a_case_has_its_place() {
        let read = CaseFile::parse(Path::new("x.case.toml"), GOOD).unwrap();
        assert_eq!((read.len(), read.tables[0].rows.len(), read.cases[0].line), (1, 2, 6));
        assert_eq!(read.cases[0].asked, Asked::Table(QualifiedTable::new("a", "main", "t")));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        let cases = [
            ("on = 2026-06-01\n", "", "`on` is missing"),
            ("u@o/r", "u", "does not say who asks"),
            ("table = \"a.main.t\"\ncolumns", "columns", "one of `table` and `query`"),
            ("columns = [\"k\"]\nrows = []\n", "", "expects `columns` and `rows`"),
            ("rows = []", "refused = \"x\"", "expects `columns` and `rows`"),
            ("n = 1", "m = 1", "which is no column"),
            ("\"INTEGER\"", "\"TEXT); DROP\"", "no type of a column"),
            ("purpose = \"p\"", "purpos = \"p\"", "unknown key `purpos`"),
        ];
        for (from, to, message) in cases {
            let said = faults(from, to);
            assert!(said.contains(message) && said.contains("hint: "), "{message}\n{said}");
        }
        assert!(
            CaseFile::parse(Path::new("x"), "on = 2026-06-01").unwrap_err().to_string().contains("`case` is missing")
        );
    }
}
