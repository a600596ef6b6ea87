//! One case: a little world, its policy, a query, and the answer that is expected.
//!
//! As a file (`tests/certificate/*.toml`) it needs nothing beside it. A cell is the text of its value, in quotes; NULL is
//! `{}`. A column is its name and its type, in the words of [`Kind::parse`]; ` not null` and ` unique` may follow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kind::Kind;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// What it shows.
    pub note: String,
    pub query: String,
    /// Whether the query fails; then there are no rows.
    #[serde(default)]
    pub fails: bool,
    /// In any order, unless the query gives one.
    #[serde(default)]
    pub expected: Vec<Vec<Cell>>,
    pub world: World,
}

/// Agencies with their rows, and policy over them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct World {
    pub agency: Vec<Agency>,
    #[serde(default)]
    pub register: Vec<Register>,
    pub agreement: Vec<Agreement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connector {
    Sqlite,
    Postgres,
    Mariadb,
    SqlServer,
}

impl Connector {
    pub const ALL: [Self; 4] = [Self::Sqlite, Self::Postgres, Self::Mariadb, Self::SqlServer];

    /// By the name that case files have for it.
    pub fn named(name: &str) -> Option<Self> {
        Self::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(name)).ok()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agency {
    pub name: String,
    pub connector: Connector,
    /// `main` in SQLite; in MariaDB a database and in SQL Server a schema, which no other world has.
    pub schema: String,
    pub table: Vec<Table>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    pub columns: Vec<(String, String)>,
    /// Columns with an index of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

/// Which column says whom a row is about, and how it is written there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    pub column: String,
    pub form: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Register {
    pub name: String,
    pub agency: String,
    pub table: String,
    /// `decisions`, `dissent` or `allow`.
    pub kind: String,
    pub subject: Subject,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    pub share: Vec<Share>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Consent {
    pub registers: Vec<String>,
    /// `permit` or `deny`.
    pub no_information: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub agency: String,
    pub table: String,
    pub columns: Vec<String>,
    /// `null`, `outward`, `year`, `last 3`, `constant text`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mask: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disclose_keys_to: Vec<String>,
    /// Agencies that may be sent pseudonyms of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disclose_pseudonyms_to: Vec<String>,
}

/// A value as text, or NULL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    Value(String),
    Null {},
}

impl Cell {
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Value(text) => Some(text),
            Self::Null {} => None,
        }
    }
}

impl From<Option<String>> for Cell {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::Null {}, Self::Value)
    }
}

impl Case {
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The case as a file, one row a line.
    pub fn write(&self) -> String {
        let mut text = String::new();
        for line in toml::to_string(self).unwrap().lines() {
            let is_list = ["rows = [[", "expected = [[", "columns = [["].iter().any(|start| line.starts_with(start));
            // Only between two rows does a bracket follow a comma, unless it stands in a value: then the line stays as it is.
            let spread = line.replacen(" = [[", " = [\n    [", 1).replace("], [", "],\n    [");
            let spread = format!("{},\n]", spread.strip_suffix(']').unwrap_or(&spread));
            let same = |left: &str, right: &str| toml::from_str::<toml::Table>(left) == toml::from_str(right);
            text.push_str(if is_list && same(line, &spread) { &spread } else { line });
            text.push('\n');
        }
        text
    }
}

impl World {
    pub fn agency(&self, name: &str) -> &Agency {
        self.agency.iter().find(|agency| agency.name == name).unwrap()
    }

    pub fn table(&self, agency: &str, table: &str) -> &Table {
        self.agency(agency).table.iter().find(|known| known.name == table).unwrap()
    }

    /// Every shared table with the agreement and the share that release it.
    pub fn shares(&self) -> impl Iterator<Item = (&Agreement, &Share)> {
        self.agreement.iter().flat_map(|agreement| agreement.share.iter().map(move |share| (agreement, share)))
    }
}

impl Table {
    pub fn position(&self, column: &str) -> usize {
        self.columns.iter().position(|(name, _)| name == column).unwrap()
    }

    pub fn kind(&self, column: &str) -> Kind {
        Kind::parse(&self.columns[self.position(column)].1)
    }
}

#[test]
fn a_case_is_read_as_it_was_written() {
    let table = Table {
        name: "odd \"table\"".to_owned(),
        subject: Some(Subject { column: "id".to_owned(), form: "mixed".to_owned() }),
        columns: vec![("id".to_owned(), "text".to_owned()), ("].[".to_owned(), "int4 not null".to_owned())],
        indexes: vec!["id".to_owned()],
        rows: vec![
            vec![Cell::Value("], [".to_owned()), Cell::Value("1".to_owned())],
            vec![Cell::Null {}, Cell::Value("\\ ' \" \n".to_owned())],
        ],
    };
    let agency =
        Agency { name: "a".to_owned(), connector: Connector::Postgres, schema: "main".to_owned(), table: vec![table] };
    let case = Case {
        note: "a note".to_owned(),
        query: "SELECT 1\nFROM x".to_owned(),
        fails: false,
        expected: vec![vec![Cell::Null {}], vec![Cell::Value(String::new())]],
        world: World { agency: vec![agency], register: Vec::new(), agreement: Vec::new() },
    };
    let text = case.write();
    assert_eq!(Case::parse(&text).unwrap(), case, "{text}");
}
