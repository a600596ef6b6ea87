//! What a source says of itself: schemas, tables, columns, types and sizes.

use arrow::datatypes::DataType;

/// A table's name inside one source. The agency's name is the catalog, which a connector does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    pub schema: String,
    pub table: String,
}

impl TableName {
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// What kind of relation a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    Table,
    View,
    MaterializedView,
    ForeignTable,
}

impl TableKind {
    /// The word shown in listings, as `information_schema.tables` writes it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Table => "BASE TABLE",
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::ForeignTable => "FOREIGN",
        }
    }
}

/// One line of a source's table list; reading ten thousand of them is one query.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSummary {
    pub name: TableName,
    pub kind: TableKind,
    /// Rows by the source's own statistics; `None` where it keeps none.
    pub row_estimate: Option<u64>,
}

/// A table with its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub name: TableName,
    pub kind: TableKind,
    pub columns: Vec<Column>,
    /// Column names of the primary key, in key order; empty where there is none.
    pub primary_key: Vec<String>,
    /// Every unique key that is not the primary key.
    pub unique_keys: Vec<Vec<String>>,
    pub row_estimate: Option<u64>,
}

impl Table {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A column as the source describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    /// The type in the source's own words (`numeric(10,2)`, `uuid`, `VARCHAR(12)`).
    pub source_type: String,
    pub column_type: ColumnType,
    pub nullable: bool,
    /// How the source compares this column's text; [`Collation::Binary`] for what is not text.
    pub collation: Collation,
}

/// How a column arrives here.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnType {
    /// Read as this Arrow type.
    Readable(DataType),
    /// Listed, but refused by name when it is selected; the rest of its table still works.
    Unreadable { reason: String },
}

impl ColumnType {
    pub fn readable(&self) -> Option<&DataType> {
        match self {
            Self::Readable(data_type) => Some(data_type),
            Self::Unreadable { .. } => None,
        }
    }
}

/// How a source compares two texts, against ours (byte by byte over UTF-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Collation {
    /// Equality and order are ours.
    Binary,
    /// Equality is ours, order is not (most language collations).
    EqualityOnly,
    /// Neither: texts that differ may be equal there (case- or accent-insensitive, trailing blanks ignored).
    Loose,
}
