//! What the database holds: tables, views, their columns, keys and indexes, as T-SQL declared them.

use std::collections::BTreeMap;

use crate::error::SqlError;
use crate::sql_type::SqlType;

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub sql_type: SqlType,
    pub nullable: bool,
    pub is_identity: bool,
    /// The default in the SQL of SQLite.
    pub default: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    PrimaryKey,
    UniqueConstraint,
    UniqueIndex,
    Index,
}

#[derive(Clone, Debug)]
pub struct Index {
    pub name: String,
    pub kind: IndexKind,
    pub clustered: bool,
    /// Positions of the columns, and whether each is descending.
    pub columns: Vec<(usize, bool)>,
    /// A filter (`WHERE`): such an index proves no key.
    pub filter: Option<String>,
}

#[derive(Clone, Debug)]
pub struct ForeignKey {
    pub name: String,
    pub columns: Vec<usize>,
    pub referenced_table: i64,
    pub referenced_columns: Vec<usize>,
}

#[derive(Clone, Debug)]
pub enum TableKind {
    Table,
    /// The text of its query.
    View(String),
}

#[derive(Clone, Debug)]
pub struct Table {
    pub id: i64,
    pub schema: String,
    pub name: String,
    pub kind: TableKind,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    pub foreign_keys: Vec<ForeignKey>,
    /// The table of SQLite, with its database.
    pub sqlite_name: String,
}

impl Table {
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| same_name(&known.name, column))
    }
}

/// Names are compared as the database's collation does it: without regard to case.
pub fn same_name(left: &str, right: &str) -> bool {
    left == right || left.to_lowercase() == right.to_lowercase()
}

#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pub schemas: Vec<String>,
    pub tables: Vec<Table>,
    /// By the table's number: how many rows the statistics say it has, where that is not how many there are.
    pub told_rows: BTreeMap<i64, i64>,
    last_id: i64,
}

impl Catalog {
    pub fn new() -> Self {
        Self { schemas: vec!["dbo".to_owned()], tables: Vec::new(), told_rows: BTreeMap::new(), last_id: 245_575_913 }
    }

    pub fn next_id(&mut self) -> i64 {
        self.last_id += 16;
        self.last_id
    }

    pub fn find(&self, schema: &str, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| same_name(&table.schema, schema) && same_name(&table.name, name))
    }

    pub fn find_mut(&mut self, schema: &str, name: &str) -> Option<&mut Table> {
        self.tables.iter_mut().find(|table| same_name(&table.schema, schema) && same_name(&table.name, name))
    }

    pub fn add_schema(&mut self, name: &str) {
        if !self.schemas.iter().any(|known| same_name(known, name)) {
            self.schemas.push(name.to_owned());
        }
    }

    /// Removes a schema in which nothing is left.
    pub fn drop_schema(&mut self, name: &str, if_exists: bool) -> Result<(), SqlError> {
        let Some(position) = self.schemas.iter().position(|known| same_name(known, name)) else {
            let missing =
                format!("Cannot drop the schema '{name}', because it does not exist or you do not have permission.");
            return if if_exists { Ok(()) } else { Err(SqlError::new(15151, 16, 1, missing)) };
        };
        if let Some(table) = self.tables.iter().find(|table| same_name(&table.schema, name)) {
            let kept =
                format!("Cannot drop schema '{name}' because it is being referenced by object '{}'.", table.name);
            return Err(SqlError::new(3729, 16, 1, kept));
        }
        self.schemas.remove(position);
        Ok(())
    }

    pub fn schema_id(&self, name: &str) -> Option<i64> {
        if same_name(name, "sys") {
            return Some(4);
        }
        let position = self.schemas.iter().position(|known| same_name(known, name))?;
        let position = i64::try_from(position).ok()?;
        Some(if position == 0 { 1 } else { position + 4 })
    }
}

/// Error 208.
pub fn invalid_object(name: &str) -> SqlError {
    SqlError::new(208, 16, 1, format!("Invalid object name '{name}'."))
}
